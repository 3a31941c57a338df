"""What the names of a module stand for, found in its syntax tree. Nothing is imported or run.

One walk over the tree notes for each scope what is bound to which name: imports, assignments, defaults of parameters,
attributes of `self`. It evaluates nothing. `Names.values` follows a name later, and returns dotted names such as
`pickle.loads`, or `pickle.Unpickler()` for an instance. A name that is bound more than once stands for everything that
it is bound to, as the order of statements is not known. `@3` is class number 3 of the module, `#3` its function 3.
"""

import ast
import warnings
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from .rules import RULES, canonical

# --- scopes -----------------------------------------------------------------------------------------------------------

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


class Binding(NamedTuple):
    """What a name is bound to: a dotted name or an expression.

    `how` is `whole` (its value), `default` (a default value), `item` (one of its items) or `instance` (an instance of a
    class).
    """

    value: "str | ast.expr | None"
    how: str = "whole"


class Scope:
    """A module, class, function or lambda, and what is bound in it."""

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
        """Return its name within its module, as `Class.method`; empty for the module itself."""
        if self.parent is None:
            return ""
        above = self.parent.qualname
        return f"{above}.{self.name}" if above else self.name

    def bind(self, name: str, binding: Binding) -> None:
        """Note what a name is bound to in this scope."""
        scope = self
        if name in self.outer:
            while scope.parent is not None:
                scope = scope.parent
        scope.names.setdefault(name, []).append(binding)

    @property
    def enclosing_class(self) -> "Scope | None":
        """Return the class that this scope is in, or None."""
        scope: Scope | None = self
        while scope is not None and scope.kind != "class":
            scope = scope.parent
        return scope


# --- helpers for syntax trees -----------------------------------------------------------------------------------------

_SHARED = {"prefer": ("threads",), "require": ("sharedmem",), "backend": ("threading", "sequential")}


_LEAVES = (ast.expr_context, ast.operator, ast.cmpop, ast.boolop, ast.unaryop, ast.Constant)


def children(node: ast.AST) -> list[ast.AST]:
    """Return the child nodes of a node, without leaves that do not matter here."""
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


def called_name(function: ast.expr) -> str:
    """Return the last part of the name that is called, or nothing."""
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


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
    """Return whether an argument makes an array of objects."""
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
    """Return whether the arguments of joblib.Parallel select threads, between which nothing is pickled."""
    return any(
        isinstance(value := given.get(name), ast.Constant) and value.value in threads
        for name, threads in _SHARED.items()
    )


def parse(text: bytes | str) -> ast.Module:
    """Parse a module without warnings.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: it can't be parsed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


_MOST_STEPS = 40  # from a name to what it stands for; more steps are a loop
_MOST_RETURNS = 6
_NOTHING: frozenset[str] = frozenset()
_CONNECTION = "multiprocessing.connection.Connection()"
_RETURNS = {  # calls whose result is known
    "multiprocessing.get_context": "multiprocessing",
    "multiprocessing.connection.Client": _CONNECTION,
    "multiprocessing.connection.Listener().accept": _CONNECTION,
}
_BINDING = (
    *(ast.Return, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.NamedExpr, ast.AugAssign),
    *(ast.For, ast.AsyncFor, ast.With, ast.AsyncWith, ast.ExceptHandler),
)
_IMPORTERS = ("importlib.import_module", "__import__", "pytest.importorskip")


class Names:
    """The names of one module. `exports` says what the names of other modules stand for."""

    def __init__(self, tree: ast.Module, module: str, is_package: bool, exports: Mapping[str, frozenset[str]]) -> None:
        self.module = module
        self._package = module if is_package else module.rpartition(".")[0]
        self._exports = exports
        self._steps = 0
        self.scopes: dict[ast.AST, Scope] = {}
        self._homes: dict[int, Scope] = {}  # of `self.name = value`: the scope of the value, by its id
        self.classes: list[Scope] = []
        self._functions: list[Scope] = []  # known as `#0`, `#1` and so on
        self._returns: dict[int, list[ast.expr]] = {}  # by the scope's id
        self._known_names: dict[tuple[int, str], frozenset[str]] = {}
        self.root = Scope("module", module, None, tree)
        self.scopes[tree] = self.root
        for statement in tree.body:
            self._walk(statement, self.root)

    # --- binding -----------------------------------------------------------------------------------------------------

    def _walk(self, node: ast.AST, scope: Scope) -> None:
        if isinstance(node, Function):
            self._function(node, scope)
            return
        if isinstance(node, ast.ClassDef):
            inner = Scope("class", node.name, scope, node)
            inner.number = len(self.classes)
            self.classes.append(inner)
            self.scopes[node] = inner
            scope.bind(node.name, Binding(f"@{inner.number}"))
            for part in (*node.decorator_list, *node.bases, *node.keywords):
                self._walk(part, scope)
            for statement in node.body:
                self._walk(statement, inner)
            return
        if isinstance(node, _BINDING):
            self._note(node, scope)
        for child in children(node):
            self._walk(child, scope)

    def _function(self, node: Function, scope: Scope) -> None:
        is_lambda = isinstance(node, ast.Lambda)
        name = "<lambda>" if isinstance(node, ast.Lambda) else node.name
        inner = Scope("function", name, scope, node)
        self.scopes[node] = inner
        if not isinstance(node, ast.Lambda):
            scope.bind(name, Binding(f"#{len(self._functions)}"))
            self._functions.append(inner)
            for part in node.decorator_list:
                self._walk(part, scope)
        arguments = node.args
        positional = [*arguments.posonlyargs, *arguments.args]
        for parameter in (*positional, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg):
            if parameter is not None:
                inner.parameters.add(parameter.arg)
                inner.bind(parameter.arg, Binding(parameter.annotation, "instance"))
        optional = zip(positional[::-1], arguments.defaults[::-1], strict=False)
        for parameter, default in (*optional, *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)):
            if default is None:
                continue
            inner.bind(parameter.arg, Binding(default, "default"))
            self._walk(default, scope)
        if scope.kind == "class" and positional and not is_lambda:
            kinds = {part.id for part in node.decorator_list if isinstance(part, ast.Name)}  # type: ignore[union-attr]
            if "staticmethod" not in kinds:
                suffix = "" if "classmethod" in kinds or name in ("__new__", "__init_subclass__") else "()"
                inner.names[positional[0].arg] = [Binding(f"@{scope.number}{suffix}")]
        body = [node.body] if isinstance(node, ast.Lambda) else node.body
        for statement in body:
            if isinstance(statement, ast.Global | ast.Nonlocal):
                inner.outer.update(statement.names)
        for statement in body:
            self._walk(statement, inner)

    def _note(self, node: ast.AST, scope: Scope) -> None:
        if isinstance(node, ast.Return):
            if node.value is not None:
                self._returns.setdefault(id(scope), []).append(node.value)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.asname or alias.name.partition(".")[0]
                scope.bind(name, Binding(alias.name if alias.asname else name))
        elif isinstance(node, ast.ImportFrom):
            base = self._base(node)
            for alias in node.names:
                if alias.name == "*":
                    for exported in self._star(base):
                        scope.bind(exported, Binding(f"{base}.{exported}"))
                else:
                    scope.bind(alias.asname or alias.name, Binding(f"{base}.{alias.name}"))
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                self._assign(target, node.value, scope)
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr | ast.AugAssign):
            self._assign(node.target, node.value, scope)
        elif isinstance(node, ast.For | ast.AsyncFor):
            self._assign(node.target, node.iter, scope, "item")
        elif isinstance(node, ast.With | ast.AsyncWith):
            for item in node.items:
                if item.optional_vars is not None:
                    self._assign(item.optional_vars, item.context_expr, scope)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            scope.bind(node.name, Binding(None))

    def _assign(self, target: ast.expr, value: ast.expr | None, scope: Scope, how: str = "whole") -> None:
        if isinstance(target, ast.Name):
            scope.bind(target.id, Binding(value, how))
        elif isinstance(target, ast.Starred):
            self._assign(target.value, value, scope, how)
        elif isinstance(target, ast.Tuple | ast.List):
            pairs: list[tuple[ast.expr, ast.expr | None, str]] = [(part, value, "item") for part in target.elts]
            if isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(target.elts) and how == "whole":
                pairs = [(*pair, "whole") for pair in zip(target.elts, value.elts, strict=True)]
            for part, own, way in pairs:
                self._assign(part, own, scope, way)
        elif isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
            around = scope.enclosing_class
            if around is not None and scope.kind == "function" and target.value.id in ("self", "cls"):
                around.bind(target.attr, Binding(value, how))
                self._homes[id(value)] = scope

    def _base(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self._package.split(".")
        parts = parts[: len(parts) - node.level + 1]
        return ".".join((*parts, *([node.module] if node.module else ())))

    def _star(self, base: str) -> Iterator[str]:
        found = canonical(base)
        for name in (*RULES, *self._exports):
            module, _, last = name.rpartition(".")
            if module in (found, base) and not last.endswith(")"):
                yield last

    # --- following names ---------------------------------------------------------------------------------------------

    def values(self, node: ast.expr | None, scope: Scope) -> frozenset[str]:
        """Return the dotted names that an expression may stand for."""
        self._steps = 0
        return self._values(node, scope)

    def _values(self, node: ast.expr | None, scope: Scope) -> frozenset[str]:
        self._steps += 1
        if node is None or self._steps > _MOST_STEPS:
            return _NOTHING
        if isinstance(node, ast.Name):
            return self._look_up(node.id, scope)
        if isinstance(node, ast.Attribute):
            found: set[str] = set()
            for value in self._values(node.value, scope):
                found |= self._attribute(value, node.attr)
            return frozenset(found)
        if isinstance(node, ast.Call):
            return self._called(node, scope)
        parts: list[ast.expr] = []
        if isinstance(node, ast.IfExp):
            parts = [node.body, node.orelse]
        elif isinstance(node, ast.BoolOp):
            parts = node.values
        elif isinstance(node, ast.NamedExpr | ast.Await):
            parts = [node.value]
        return frozenset().union(*(self._values(part, scope) for part in parts)) if parts else _NOTHING

    def bindings(self, name: str, scope: Scope) -> tuple[Scope, list[Binding]] | None:
        """Return the scope in which a name is bound, as seen from a scope, and its bindings."""
        at: Scope | None = scope
        while at is not None:
            if name in at.names and (at.kind != "class" or at is scope):
                return at, at.names[name]
            at = at.parent
        return None

    def _look_up(self, name: str, scope: Scope) -> frozenset[str]:
        found = self.bindings(name, scope)
        if found is None:
            return frozenset({name}) if name in ("__import__", "getattr", "super") else _NOTHING
        key = id(found[0]), name
        if key not in self._known_names:
            values = self._bound(found[1], found[0])
            if self._steps > _MOST_STEPS:
                return values
            self._known_names[key] = values
        return self._known_names[key]

    def _bound(self, bindings: list[Binding], scope: Scope) -> frozenset[str]:
        found: set[str] = set()
        for binding in bindings[:12]:
            if isinstance(binding.value, str):
                found |= self._known(binding.value)
            elif binding.value is not None:
                values = self._values(binding.value, self._scope_of(binding, scope))
                if binding.how == "instance":
                    found |= {f"{value}()" for value in values if not value.endswith(")")}
                elif binding.how in ("whole", "default"):
                    found |= values
                elif "multiprocessing.Pipe()" in values:
                    found.add(_CONNECTION)
        return frozenset(found)

    def _scope_of(self, binding: Binding, scope: Scope) -> Scope:
        """Return the scope in which the value of a binding is evaluated."""
        value = binding.value
        if scope.parent is not None:
            if binding.how == "default":
                return scope.parent
            if scope.kind == "class" and isinstance(value, ast.Name) and binding in scope.names.get(value.id, ()):
                return scope.parent  # `Pool = Pool` in a class
        return self._homes.get(id(value), scope)

    def _known(self, name: str) -> frozenset[str]:
        """Return what a dotted name stands for, after the exports of other modules."""
        if name.startswith(("@", "#")):
            return frozenset({name})
        head, rest = name, ""
        while head:
            if head in self._exports:
                return frozenset(canonical(value + rest) for value in self._exports[head])
            head, _, last = head.rpartition(".")
            rest = f".{last}{rest}"
        return frozenset({canonical(name)})

    def _attribute(self, value: str, name: str) -> frozenset[str]:
        if value.startswith("#"):
            return _NOTHING
        if not value.startswith("@"):
            return self._known(f"{value}.{name}")
        cls = self.classes[int(value.strip("@()"))]
        if name in cls.names:
            return self._bound(cls.names[name], cls)
        found: set[str] = set()
        self._steps += 1
        if self._steps <= _MOST_STEPS:
            for base in self.bases(cls):
                found |= self._attribute(base + ("()" if value.endswith(")") else ""), name)
        return frozenset(found)

    def bases(self, cls: Scope) -> frozenset[str]:
        """Return what the bases of a class stand for."""
        if not isinstance(cls.node, ast.ClassDef) or cls.parent is None:
            return _NOTHING
        return frozenset().union(*(self._values(base, cls.parent) for base in cls.node.bases))

    def _called(self, node: ast.Call, scope: Scope) -> frozenset[str]:
        found: set[str] = set()
        for function in self._values(node.func, scope):
            first = node.args[0] if node.args else None
            if function in ("functools.partial", "builtins.staticmethod"):
                found |= self._values(first, scope)
            elif function in _IMPORTERS:
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    found |= self._known(first.value)
            elif function == "getattr":
                if len(node.args) > 1 and isinstance(node.args[1], ast.Constant):
                    for value in self._values(first, scope):
                        found |= self._attribute(value, str(node.args[1].value))
            elif function == "super":
                if scope.enclosing_class is not None:
                    found |= {f"{base}()" for base in self.bases(scope.enclosing_class)}
            elif function in _RETURNS:
                found.add(_RETURNS[function])
            elif function.startswith("#"):
                inner = self._functions[int(function[1:])]
                for returned in self._returns.get(id(inner), ())[:_MOST_RETURNS]:
                    found |= self._values(returned, inner)
            elif f"{function}()" in self._exports:
                found |= self._exports[f"{function}()"]
            elif not function.endswith("()()"):
                found.add(f"{function}()")
        return frozenset(found)

    def plain(self, values: frozenset[str]) -> frozenset[str]:
        """Replace classes of this module by their bases."""
        found: set[str] = set()
        for value in values:
            if value.startswith("#"):
                continue
            if value.startswith("@"):
                self._steps += 1
                suffix = "()" * value.count("()")
                if self._steps <= _MOST_STEPS:
                    bases = self.bases(self.classes[int(value.strip("@()"))])
                    found |= {base + suffix for base in self.plain(bases)}
            else:
                found.add(value)
        return frozenset(found)

    def exports(self) -> dict[str, frozenset[str]]:
        """Return the names of the module that stand for something that pickles, and what they stand for.

        `name()` is what a function returns.
        """
        found: dict[str, frozenset[str]] = {}
        for name in self.root.names:
            self._steps = 0
            values = self._look_up(name, self.root)
            self._keep(found, name, values, _WORTH)
            for value in values:
                if value.startswith("#"):
                    function = self._functions[int(value[1:])]
                    for returned in self._returns.get(id(function), ())[:_MOST_RETURNS]:
                        self._steps = 0
                        self._keep(found, f"{name}()", self._values(returned, function), _WORTH_RETURNED)
        return found

    def _keep(self, found: dict[str, frozenset[str]], name: str, values: frozenset[str], worth: frozenset[str]) -> None:
        kept = frozenset(value for value in self.plain(values) if value in worth)
        full = f"{self.module}.{name}"
        if kept and kept != {full}:
            found[full] = found.get(full, _NOTHING) | kept


_WORTH = frozenset((*RULES, "pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"))
_WORTH_RETURNED = _WORTH | {"multiprocessing", *(f"{name}()" for name, rule in RULES.items() if rule.kind != "call")}
