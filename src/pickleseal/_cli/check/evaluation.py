"""All that keeps an artifact from loading, from its header alone: step 15 of spec section 11, and not its first
refusal only. Unpickles nothing.

What is said of classes, globals and packages depends on these members of the header alone, so it is kept: streams of a
million records have a few different headers.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..._format.canonical import encode
from ..._format.codec import CODECS
from ..._format.header import Header
from ..._policy import Policy, judge_age, judge_codecs, judge_labels, judge_type
from ..._reading import check_codecs
from ..._schema.change import REFUSED, WARNED, Change
from ..._schema.distributions import check_packages
from ..._schema.plans import make_plans
from ..._schema.registry import RegistryIndex, index_of
from ..._trust.allow_list import Trusted, build_trust, is_dangerous, is_listed, resolve_all, resolve_globals
from ..._trust.safe_functions import GUARDED
from ...errors import (
    ClassMissingError,
    PackageVersionError,
    PolicyError,
    ReadError,
    SchemaDriftError,
    SchemaVersionError,
    SchemaWarning,
    UntrustedGlobalError,
    printable,
)
from .code import Code, source_of
from .fixes import Fix, fixes_for_drift, fixes_for_moved, fixes_for_versions, fixes_for_warned

__all__ = ["BREAKS", "WARNS", "Judge", "Problem"]

BREAKS, WARNS = "breaks", "warns"
_MOST = 4096  # different headers that are kept


class Problem(NamedTuple):
    """What keeps artifacts from loading, or makes them load with a warning."""

    level: str
    code: str  # of the error, as everywhere
    subject: str  # the class as the header calls it, the global, the distribution, or a member of the header
    version: int | None  # of the class, as recorded
    changes: tuple[str, ...]  # one clause each
    fixes: tuple[Fix, ...]
    source: str | None = None  # of the class today, as `path:line`


class Judge:
    """Judges headers by a policy and the code as it is.

    Where `trusts_all` is true, every class and function that is there counts as trusted, if a reader could trust it.
    """

    def __init__(self, policy: Policy, code: Code, trusts_all: bool) -> None:
        self._policy = policy
        self._code = code
        self._trusts_all = trusts_all
        self._known: dict[bytes, tuple[Problem, ...]] = {}

    @property
    def _index(self) -> RegistryIndex:
        """What is registered now: comparing imports modules, which may register classes."""
        return index_of(self._policy.registry)

    def judge(self, header: Header) -> tuple[Problem, ...]:
        """Return all problems of an artifact, none where it would load."""
        fields = header._fields
        names = ("globals", "packages", "pickle", "types")
        codecs = [entry["codec"] for entry in fields["sections"] if "codec" in entry]
        key = encode({**{name: fields.get(name) for name in names}, "codecs": codecs})
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _MOST:
                self._known.clear()
            found = self._known[key] = tuple(self._judge(header))
        rules = self._rules(fields)
        return (*found, *rules) if rules else found

    def _judge(self, header: Header) -> list[Problem]:
        fields, policy, problems = header._fields, self._policy, list[Problem]()
        protocol = fields["pickle"]["protocol"]
        if protocol not in policy.protocols:
            text = f"pickle protocol {protocol} is not accepted"
            code = f"Policy(protocols={tuple(sorted({*policy.protocols, protocol}))})"
            problems.append(Problem(BREAKS, "policy", "pickle.protocol", None, (text,), (Fix("", code),)))
        _collect(problems, lambda: check_codecs(header))
        for name, version in fields.get("packages", {}).items():
            try:
                notes = check_packages({name: version}, policy.packages)
            except PackageVersionError as exc:
                problems.append(_problem(exc, f"packages.{name}"))
            else:
                problems += [
                    Problem(WARNS, "package-version", f"packages.{name}", None, (str(note),), ()) for note in notes
                ]
        return problems + self._classes(fields)

    def _rules(self, fields: Mapping[str, Any]) -> list[Problem]:
        """Judge what a policy asks of the header alone: it may be about this very artifact."""
        policy, problems = self._policy, list[Problem]()
        if policy.types:
            _collect(problems, lambda: judge_type(fields, policy.types, policy._name_today))
        if policy.max_age is not None or policy.max_skew is not None:
            _collect(problems, lambda: judge_age(fields["created"], policy.max_age, policy.max_skew))  # type: ignore[arg-type]  # by Policy
        for name in ("build", "meta"):
            for key, value in getattr(policy, name).items():
                _collect(problems, lambda n=name, k=key, v=value: judge_labels(n, fields.get(n, {}), {k: v}))  # type: ignore[misc]
        if policy.codecs != CODECS:
            _collect(problems, lambda: judge_codecs(fields["sections"], policy.codecs))
        return problems

    def _classes(self, fields: Mapping[str, Any]) -> list[Problem]:
        """Find every global, then compare every class that was found."""
        types, policy = fields.get("types", {}), self._policy
        places = policy._places(fields["globals"], types)
        problems, classes = list[Problem](), dict[str, Any]()
        called = {was["global"]: (name, was["version"]) for name, was in types.items()}
        for name in fields["globals"]:
            try:
                classes[name] = self._find(name, places.get(name, name))
            except (ClassMissingError, PolicyError, UntrustedGlobalError) as exc:
                subject, version = called.get(name, (name, None))
                problems.append(self._not_found(exc, name, subject, version, types))
        return problems + self._compare(types, classes)

    def _find(self, name: str, place: str | type) -> Any:
        """Return what a global is here. Raises what a reader would, and imports what `Code` allows."""
        module, _, qualname = name.partition(":")
        trusted: Trusted = self._policy._trusted
        is_checked = self._policy._level.is_checked
        is_own = type(place) is not str or place in GUARDED or is_listed(place)
        if type(place) is str and not is_own and (self._trusts_all or not is_checked):
            problem = self._code.problem_of(place)
            if problem is not None:
                raise ClassMissingError(problem, None, place, None, "globals")
            if is_checked:
                trusted = {**trusted, **_trust(place)}
        resolve = resolve_globals if is_checked else resolve_all
        return resolve([name], trusted, {name: place} if place != name else {})[module, qualname]

    def _not_found(
        self, error: ReadError, name: str, subject: str, version: int | None, types: Mapping[str, Any]
    ) -> Problem:
        text = error.reason
        if isinstance(error, UntrustedGlobalError):
            text = "it runs what its arguments say" if is_dangerous(name) else "it is not trusted"
            fixes: tuple[Fix, ...] = (Fix("", printable(error.hint or "", 1000)),)
        elif isinstance(error, ClassMissingError) and isinstance(error.found, str):
            fixes = self._ways_to(error.found)
            if self._code.is_out_of_reach(error.found):
                text = "its module is not named by --import, so it was not looked for"
        else:
            text, fixes = f"{name}: {error.reason}", (Fix("", error.hint),) if error.hint else ()
        unknown = ":" not in subject and not self._index.by_name(subject)
        if unknown and subject in types:
            fixes = (Fix("", f"import the module that registers {printable(subject)}"), *fixes)
        return Problem(BREAKS, error.code, subject, version, (text,), fixes)

    def _ways_to(self, name: str) -> tuple[Fix, ...]:
        module, _, qualname = name.partition(":")
        if self._code.is_out_of_reach(name):
            return (Fix("", f"--import {printable(module.partition('.')[0])}"),)
        same = self._code.classes_called(qualname)
        today = same[0] if len(same) == 1 else None
        return fixes_for_moved(name, today, None if today is None else self._index.by_class(today))

    def _compare(self, types: Mapping[str, Any], classes: Mapping[str, Any]) -> list[Problem]:
        drift, notes = self._policy.drift, list[Warning]()
        try:
            make_plans(types, classes, self._index, drift, notes)
        except (SchemaDriftError, SchemaVersionError) as exc:
            problems = self._compare_each(types, classes)
            return problems if any(p.level == BREAKS for p in problems) else [*problems, _problem(exc, "types")]
        return self._compare_each(types, classes) if notes else []

    def _compare_each(self, types: Mapping[str, Any], classes: Mapping[str, Any]) -> list[Problem]:
        """Compare class by class: a reader stops at the first that is refused."""
        problems, seen = list[Problem](), set[str]()
        pairs = [(name, was, classes.get(was["global"])) for name, was in types.items()]
        seen = {was["global"] for was in types.values()}
        pairs += [(name, None, value) for name, value in classes.items() if name not in seen]
        for name, was, cls in pairs:
            if not isinstance(cls, type):
                continue
            place, notes = was["global"] if was is not None else name, list[Warning]()
            try:
                make_plans({name: was} if was else {}, {place: cls}, self._index, self._policy.drift, notes)
                changes = [note.change for note in notes if isinstance(note, SchemaWarning) and note.change is not None]
                problems += self._drift(name, was, cls, changes)
            except SchemaDriftError as exc:
                problems += self._drift(name, was, cls, exc.changes)
            except SchemaVersionError as exc:
                problems.append(self._version(exc, name, was, cls))
        return problems

    def _drift(self, name: str, was: Any, cls: type, changes: "tuple[Change, ...] | list[Change]") -> list[Problem]:
        entry, version = self._index.by_class(cls), was["version"] if was else None
        is_strict = self._policy.drift == "strict"
        refused = [change for change in changes if is_strict or change.level == REFUSED]
        warned = [change for change in changes if not is_strict and change.level == WARNED]
        problems = []
        if refused:
            fixes = fixes_for_drift(cls, entry, was or {}, refused)
            if is_strict and all(change.level != REFUSED for change in refused):
                fixes = (Fix("", 'Policy(drift="resolve") loads it'),)
            texts = tuple(change.text for change in refused)
            problems.append(Problem(BREAKS, "schema-drift", name, version, texts, fixes, source_of(cls)))
        if warned:
            fixes = fixes_for_warned(cls, entry, warned)
            texts = tuple(change.text for change in warned)
            problems.append(Problem(WARNS, "schema-drift", name, version, texts, fixes, source_of(cls)))
        return problems

    def _version(self, error: SchemaVersionError, name: str, was: Any, cls: type) -> Problem:
        entry, recorded = self._index.by_class(cls), was["version"] if was else 0
        text = f"it was at version {recorded} and is at version {entry.version if entry else 0}: {error.reason}"
        fixes: tuple[Fix, ...] = (Fix("", error.hint),) if error.hint else ()
        chain = self._index.steps
        if entry is not None and recorded < entry.version and chain(entry.name, recorded, entry.version) is None:
            fixes = fixes_for_versions(cls, entry, recorded, was)
        return Problem(BREAKS, error.code, name, recorded, (text,), fixes, source_of(cls))


def _trust(place: str) -> Trusted:
    """Trust a name, if that is possible at all."""
    try:
        return build_trust([place])
    except (TypeError, ValueError):
        hint = "no reader hands it out, whatever it trusts: do not load this, or find out who wrote it"
        raise UntrustedGlobalError("it runs what its arguments say", None, (place,), hint, "globals") from None


def _collect(problems: list[Problem], judge: Callable[[], object]) -> None:
    try:
        judge()
    except ReadError as exc:
        problems.append(_problem(exc, exc.where or exc.code))


def _problem(error: ReadError, subject: str) -> Problem:
    """Make a problem of a refusal. What differs from artifact to artifact is left out, so that it can be counted."""
    text = error.reason
    sides = []
    if error.expected is not None:
        sides.append(f"expected {printable(error.expected)}")
    if error.found is not None and not isinstance(error.found, tuple) and subject != "created":
        sides.append(f"found {printable(error.found)}")
    if sides:
        text = f"{text}: {', '.join(sides)}"
    return Problem(BREAKS, error.code, subject, None, (text,), (Fix("", error.hint),) if error.hint else ())
