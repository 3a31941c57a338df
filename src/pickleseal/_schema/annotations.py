"""The text of an annotation: one spelling for every Python version and for every way to write it (spec 6.2).

`Optional[int]`, `int | None`, `Union[None, int]` and the string `"typing.Optional[int]"` all become `int | None`. An
annotation without such a spelling becomes the empty text, which takes no part in comparisons. Nothing is imported and
no annotation is evaluated.

Strategy: an annotation is written as source text, which is parsed, and then written in normal form.
"""

import ast
import collections.abc
import sys
import types
import typing
from typing import Any

_LONGEST = 1000  # characters of an annotation that is kept
_DEEPEST = 20
_RENAMED = {
    **{name.capitalize(): name for name in ("list", "dict", "tuple", "set", "type")},
    "FrozenSet": "frozenset",
    "DefaultDict": "defaultdict",
    "Deque": "deque",
    "NoneType": "None",
    "Text": "str",
    "AbstractContextManager": "ContextManager",
    "AbstractAsyncContextManager": "AsyncContextManager",
}
_WRAPPERS = frozenset({"Annotated", "Final", "Required", "NotRequired", "ReadOnly"})  # `W[X, ...]` is written as X
_FIRST = frozenset({"ContextManager", "AsyncContextManager"})  # CPython 3.13 gave them a second argument
_UNSTABLE = frozenset({"numpy"})  # its aliases expand to other annotations in each release


class _UnknownError(Exception):
    """The annotation has no normal form."""


def annotation_text(annotation: object) -> str:
    """Return the normal form of an annotation, or "" if it has none. Nothing is evaluated.

    >>> annotation_text(typing.Optional[typing.List[int]]), annotation_text("None | list[int]")
    ('list[int] | None', 'list[int] | None')
    """
    try:
        text = _normal(ast.parse(_source(annotation, 0).strip(), mode="eval").body, 0)
        text.encode("utf-8")
    except Exception:  # no normal form, a syntax error, or an object whose attributes raise
        return ""
    return text if len(text) <= _LONGEST else ""


def _source(value: Any, depth: int) -> str:
    """Return an annotation as source text."""
    if depth > _DEEPEST:
        raise _UnknownError
    if isinstance(value, str):
        if len(value) > _LONGEST:
            raise _UnknownError
        return value
    if value is None or value is type(None):
        return "None"
    if value is Ellipsis:
        return "..."
    if isinstance(value, typing.ForwardRef):
        return value.__forward_arg__
    if isinstance(value, list):  # the arguments of a Callable
        return "[" + ", ".join(_source(item, depth + 1) for item in value) + "]"
    origin = typing.get_origin(value)
    if str(getattr(origin or value, "__module__", "")).partition(".")[0] in _UNSTABLE:
        if value is not _ndarray():
            raise _UnknownError
    elif value is collections.abc.Set or (origin is collections.abc.Set and not hasattr(value, "__args__")):
        return "AbstractSet"
    elif origin is not None:
        if not hasattr(value, "__args__"):  # `typing.List` without brackets
            return _source(origin, depth + 1)
        return _generic_source(value, origin, depth)
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None) or getattr(value, "_name", None)
    if not isinstance(name, str):
        raise _UnknownError
    return name


def _generic_source(value: Any, origin: Any, depth: int) -> str:
    arguments = typing.get_args(value)
    if origin is typing.Union or origin is types.UnionType:
        return " | ".join(f"({_source(item, depth + 1)})" for item in arguments)
    if origin is typing.Literal:
        return f"Literal[{', '.join(map(_literal, arguments))}]"
    if getattr(value, "__metadata__", None) is not None:  # Annotated
        return _source(value.__origin__, depth + 1)
    inner = ", ".join(_source(item, depth + 1) for item in arguments)
    return f"{_source(origin, depth + 1)}[{inner or '()'}]"


def _ndarray() -> object:
    numpy = sys.modules.get("numpy")
    return getattr(numpy, "ndarray", None)


def _literal(value: object) -> str:
    if value is None or type(value) in (bool, int, str, bytes):
        return ascii(value)
    name, kind = getattr(value, "name", None), type(value).__name__
    if isinstance(name, str):  # a member of an enum
        return f"{kind}.{name}"
    raise _UnknownError


def _normal(node: ast.expr, depth: int) -> str:
    """Return the normal form of a parsed annotation."""
    if depth > _DEEPEST:
        raise _UnknownError
    if isinstance(node, ast.Name):
        return _RENAMED.get(node.id, node.id)
    if isinstance(node, ast.Attribute):  # the module is dropped: another import changes it
        if node.attr == "Set" and ast.unparse(node.value).endswith("abc"):
            return "AbstractSet"
        return _RENAMED.get(node.attr, node.attr)
    if isinstance(node, ast.Constant):
        return _constant(node.value, depth)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _union([node], depth)
    if isinstance(node, ast.List):
        return "[" + ", ".join(_normal(item, depth + 1) for item in node.elts) + "]"
    if isinstance(node, ast.Subscript):
        return _subscript(node, depth)
    raise _UnknownError


def _constant(value: object, depth: int) -> str:
    if value is None:
        return "None"
    if value is Ellipsis:
        return "..."
    if isinstance(value, str):  # a forward reference within an annotation
        return _normal(ast.parse(value.strip(), mode="eval").body, depth + 1)
    raise _UnknownError


def _subscript(node: ast.Subscript, depth: int) -> str:
    base = _normal(node.value, depth + 1)
    items = _items(node)
    if base in ("Optional", "Union", *_WRAPPERS):
        return _union([node], depth)
    if base in _FIRST:
        items = items[:1]
    if base == "Literal":
        # `typing` may keep one object for all orders of the values, so the order carries no meaning.
        return f"Literal[{', '.join(sorted({_literal_node(item) for item in items}))}]"
    return f"{base}[{', '.join(_normal(item, depth + 1) for item in items) or '()'}]"


def _literal_node(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return ascii(node.value)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
        owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
        return f"{owner}.{node.attr}"
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        return f"-{node.operand.value!r}"
    raise _UnknownError


def _union(items: list[ast.expr], depth: int) -> str:
    """Return a flat union without duplicates, ordered by name with None last: unions are sets."""
    members: set[str] = set()
    for item in items:
        members.update(_members(item, depth + 1))
    last = ["None"] if "None" in members else []
    return " | ".join(sorted(members - {"None"}) + last)


def _members(node: ast.expr, depth: int) -> list[str]:
    """Return the normal forms of the members of a union. A node that is no union is its only member."""
    if depth > _DEEPEST:
        raise _UnknownError
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _members(ast.parse(node.value.strip(), mode="eval").body, depth + 1)
    items: list[ast.expr] = []
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        items = [node.left, node.right]
    elif isinstance(node, ast.Subscript):
        base, inner = _normal(node.value, depth + 1), _items(node)
        if base == "Optional":
            items = [*inner, ast.Constant(None)]
        elif base == "Union":
            items = inner
        elif base in _WRAPPERS:
            items = inner[:1]
    if not items:
        return [_normal(node, depth)]
    return [member for item in items for member in _members(item, depth + 1)]


def _items(node: ast.Subscript) -> list[ast.expr]:
    return node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
