"""The classes that annotations name: who expects a class expects objects of these in its fields.

They stand in the caller's own code, so `expect=` trusts them: to make objects, not to be called. Annotations are
resolved as `typing.get_type_hints` resolves them, in the module of the class that has them. Where one of them can't be
resolved, the others are resolved by themselves. What gives nothing raises nothing, and the refusal of a name says why.
"""

import enum
import inspect
import re
import sys
import typing
from collections.abc import Callable as AbstractCallable
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from weakref import ref

from .._schema.class_cache import ClassCache
from .._schema.names import global_name, is_standard
from .allow_list import Entry, Rule, is_listed
from .rules import unfit, verbs_of

_DEEPEST = 20  # aliases within aliases
_MOST = 1000  # classes
_GIVES_NOTHING: tuple[Any, ...] = (type, AbstractCallable, typing.ClassVar)
_WORD = re.compile(r"[^\W\d]\w*")


class OfAnnotations(Rule):
    """The classes that the annotations of a class name, transitively, without the class itself.

    It keeps none of them alive. `notes` says why other names have no entry, by global, or by the words of an annotation
    that can't be resolved.
    """

    __slots__ = ("_classes", "_notes")

    def __init__(self, classes: Mapping[str, tuple["ref[type]", Entry]], notes: Mapping[str, str]) -> None:
        self._classes = classes
        self._notes = notes

    def __bool__(self) -> bool:
        return bool(self._classes or self._notes)

    @property
    def entries(self) -> Mapping[str, Entry]:
        return {name: entry for name in self._classes if isinstance(entry := self.answer(name), Entry)}

    def answer(self, name: str) -> Entry | str | None:
        found = self._classes.get(name)
        if found is not None and (cls := found[0]()) is not None:
            return found[1]._replace(value=cls)
        return self._notes.get(name) or self._notes.get(name.rpartition(":")[2].rpartition(".")[2])


def rules_of(classes: Iterable[type]) -> tuple[OfAnnotations, ...]:
    """Return the rules of the annotations of classes; those that say nothing are left out. Evaluates text in them."""
    return tuple(rule for cls in classes if (rule := _rule_of(cls)))


# A rule is kept only if all annotations were resolved: a name that is missing may be defined later.
annotated: ClassCache[OfAnnotations] = ClassCache()


def _rule_of(cls: type) -> OfAnnotations:
    known = annotated.find(cls)
    if known is None:
        known, is_complete = _find(cls)
        if is_complete:
            annotated.keep(cls, known)
    return known


def _find(cls: type) -> tuple[OfAnnotations, bool]:
    found: dict[str, tuple[ref[type], Entry]] = {}
    notes: dict[str, str] = {}
    seen, left, is_complete = {id(cls)}, [cls], True
    while left and len(seen) < _MOST:
        for where, hint in _hints(left.pop()):
            if isinstance(hint, _Unresolved):
                is_complete = False
                for word in _WORD.findall(hint.text):
                    notes[word] = f"the annotation {hint.text!r} of {where} can't be resolved, so it trusts nothing"
                continue
            for one in _classes(hint, 0):
                name = global_name(one)
                if id(one) in seen or is_listed(name):
                    continue
                seen.add(id(one))
                reason = _why_not(one)
                if reason is None:
                    found[name] = ref(one), Entry(None, verbs_of(one), (), f"the annotation of {where}")
                    left.append(one)
                else:
                    notes[name] = f"{name}, which the annotation of {where} names, is not trusted: {reason}"
    return OfAnnotations(found, notes), is_complete


def _why_not(cls: type) -> str | None:
    if inspect.isabstract(cls) or cls.__dict__.get("_is_protocol", False):
        return "it is abstract"
    return unfit(cls)


class _Unresolved:
    """An annotation that can't be resolved."""

    def __init__(self, value: Any) -> None:
        self.text = value if isinstance(value, str) else repr(value)


def _hints(cls: type) -> Iterator[tuple[str, Any]]:
    """Give the annotations of the fields of a class and its bases, each with where it stands."""
    for base in cls.__mro__:
        module = type.__getattribute__(base, "__module__")
        if not isinstance(module, str) or is_standard(module.partition(".")[0]):
            continue
        own = _own_annotations(base)
        if not own:
            continue
        scope, names = vars(sys.modules.get(module, typing)), dict(base.__dict__)
        try:
            hints = _resolved(own, scope, names)
        except Exception:  # whatever an annotation raises; then each by itself
            hints = {}
        for name, value in own.items():
            where = f"{global_name(base)}.{name}"
            if name in hints:
                yield where, hints[name]
                continue
            try:
                yield where, _resolved({name: value}, scope, names)[name]
            except Exception:  # as above
                yield where, _Unresolved(value)


def _own_annotations(cls: type) -> Mapping[str, Any]:
    if sys.version_info >= (3, 14):
        import annotationlib

        try:
            return annotationlib.get_annotations(cls, format=annotationlib.Format.FORWARDREF)
        except Exception:  # whatever an annotation raises
            return {}
    annotations = cls.__dict__.get("__annotations__")  # noqa: RUF063 - the right way before 3.14
    return annotations if isinstance(annotations, dict) else {}


def _resolved(annotations: Mapping[str, Any], scope: dict[str, Any], names: dict[str, Any]) -> dict[str, Any]:
    holder = type("Holder", (), {"__annotations__": dict(annotations)})
    return typing.get_type_hints(holder, scope, names)


def _classes(hint: Any, depth: int) -> Iterator[type]:
    """Give the classes of which a field with this annotation holds objects."""
    if depth > _DEEPEST:
        return
    origin = typing.get_origin(hint)
    if origin is None:
        if issubclass(type(hint), type):
            if hint is not type:
                yield hint
        else:  # a NewType, or an alias by the statement `type`
            inner = getattr(hint, "__supertype__", None) or getattr(hint, "__value__", None)
            if inner is not None:
                yield from _classes(inner, depth + 1)
        return
    if any(origin is one for one in _GIVES_NOTHING):
        return
    if origin is typing.Literal:
        yield from (type(value) for value in typing.get_args(hint) if isinstance(value, enum.Enum))
        return
    if issubclass(type(origin), type):
        yield origin
    for argument in typing.get_args(hint):
        yield from _classes(argument, depth + 1)
