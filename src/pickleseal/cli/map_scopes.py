"""Scopes of a module, and what is bound to the names in them."""

import ast
from typing import NamedTuple

__all__ = ["Binding", "Function", "Scope"]

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


class Binding(NamedTuple):
    """One way in which a name is bound: to a dotted name, or to an expression.

    `how`: to its value (`whole`), to that of a default, to one of its items, or to an instance of a class.
    """

    value: "str | ast.expr | None"
    how: str = "whole"


class Scope:
    """A module, class, function or lambda: what is bound in it."""

    def __init__(self, kind: str, name: str, parent: "Scope | None", node: ast.AST) -> None:
        self.kind = kind
        self.name = name
        self.parent = parent
        self.node = node
        self.names: dict[str, list[Binding]] = {}
        self.parameters: set[str] = set()
        self.outer: set[str] = set()  # declared global or nonlocal
        self.number = -1  # of a class

    @property
    def qualname(self) -> str:
        """Return where it stands in its module, as `Class.method`; empty for the module itself."""
        if self.parent is None:
            return ""
        above = self.parent.qualname
        return f"{above}.{self.name}" if above else self.name

    def bind(self, name: str, binding: Binding) -> None:
        """Note that a name stands for something here."""
        scope = self
        if name in self.outer:
            while scope.parent is not None:
                scope = scope.parent
        scope.names.setdefault(name, []).append(binding)

    @property
    def around(self) -> "Scope | None":
        """Return the class that a method stands in, or that a function inside a method does."""
        scope: Scope | None = self
        while scope is not None and scope.kind != "class":
            scope = scope.parent
        return scope
