"""Small questions to a syntax tree, for `map`."""

import ast
import warnings
from collections.abc import Mapping

__all__ = [
    "children",
    "first_argument",
    "has_call",
    "is_shared",
    "makes_objects",
    "may_be_true",
    "name_of",
    "parse",
    "third_argument",
]

_SHARED = {"prefer": ("threads",), "require": ("sharedmem",), "backend": ("threading", "sequential")}


_LEAVES = (ast.expr_context, ast.operator, ast.cmpop, ast.boolop, ast.unaryop, ast.Constant)


def children(node: ast.AST) -> list[ast.AST]:
    """Return the nodes below a node, without those that have none and say nothing here."""
    found = []
    for field in node._fields:
        value = getattr(node, field, None)
        if type(value) is list:
            found += [part for part in value if isinstance(part, ast.AST) and not isinstance(part, _LEAVES)]
        elif isinstance(value, ast.AST) and not isinstance(value, _LEAVES):
            found.append(value)
    return found


def name_of(node: ast.expr) -> str | None:
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
        return node.slice.value
    return None


def first_argument(node: ast.Call) -> ast.expr | None:
    if node.args:
        return node.args[0]
    return next((keyword.value for keyword in node.keywords if keyword.arg is not None), None)


def third_argument(node: ast.Call) -> ast.expr | None:
    return node.args[2] if len(node.args) > 2 else None


def has_call(node: ast.AST) -> bool:
    return any(isinstance(part, ast.Call) for part in ast.walk(node))


def may_be_true(node: ast.expr | None) -> bool:
    return node is not None and not (isinstance(node, ast.Constant) and not node.value)


def makes_objects(node: ast.Call) -> bool:
    """Tell whether an argument says that it is an array of objects."""
    for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
        for part in ast.walk(argument):
            if isinstance(part, ast.keyword) and part.arg == "dtype":
                kind = part.value
                if (isinstance(kind, ast.Name) and kind.id == "object") or (
                    isinstance(kind, ast.Constant) and kind.value in ("O", "object")
                ):
                    return True
    return False


def is_shared(given: Mapping[str | None, ast.expr]) -> bool:
    """Tell whether a Parallel is told to use threads, between which nothing is pickled."""
    return any(
        isinstance(value := given.get(name), ast.Constant) and value.value in threads
        for name, threads in _SHARED.items()
    )


def parse(text: bytes | str) -> ast.Module:
    """Parse a module without a word about its style.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: it can't be parsed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)
