"""The places of one module that pickle or unpickle, and a guess where the data of reads comes from.

Only the syntax tree is read. Nothing is imported or run.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .names import (
    Function,
    Names,
    Scope,
    called_name,
    children,
    first_argument,
    has_call,
    is_shared,
    makes_objects,
    may_be_true,
    name_of,
    third_argument,
)
from .rules import BACKENDS, METHODS, PICKLE_NAMES, RULES, SETTINGS, Rule, offer, questions

# --- where the data of a read comes from: a guess by the names in its argument, and by what they are bound to ---------


class Source(NamedTuple):
    """`kind` is network, cache, database, argument, file, unknown, process (pickled by the same code) or literal."""

    kind: str
    is_fixed: bool = False  # of a file: its name is in the code

    @property
    def is_untrusted(self) -> bool:
        """Return whether somebody else may have written the data."""
        return self.kind not in ("process", "literal") and not (self.kind == "file" and self.is_fixed)


# If a guess finds several kinds, the first of these counts.
_ORDER = ("network", "cache", "database", "argument", "unknown", "file", "process", "literal")
_KINDS = {
    word: kind
    for kind, words in (
        (
            "network",
            "socket sock recv recvfrom request requests response resp urlopen urlretrieve http httpx websocket",
        ),
        ("network", "body packet message msg zmq kafka consumer topic broker wire"),
        ("cache", "redis cache cached memcache memcached lmdb"),
        ("database", "cursor fetchone fetchall fetchmany row rows sqlite sqlite3 db database column blob execute"),
    )
    for word in words.split()
}
_OPENERS = frozenset(("open", "fopen", "read_bytes", "open_binary", "ZipFile", "NamedTemporaryFile", "TemporaryFile"))
_OPENERS |= {"GzipFile", "BZ2File", "LZMAFile", "FileIO", "memmap", "open_text"}
_JOINERS = frozenset(("join", "abspath", "dirname", "realpath", "normpath", "Path", "PurePath", "files", "joinpath"))
# Calls that return their arguments or the contents of their object in another form.
_TRANSFORMS = frozenset(
    (
        *("read", "readline", "readall", "getvalue", "getbuffer", "tobytes", "decompress", "b64decode", "decode"),
        *("encode", "bytes", "bytearray", "memoryview", "join", "unhexlify", "fromhex", "strip", "replace"),
        *("urlsafe_b64decode", "a2b_base64", "b32decode", "b85decode", "asarray", "deepcopy", "copy"),
    )
)
_HARMLESS = frozenset(("seek", "tell", "getvalue", "getbuffer", "read", "readline", "close", "truncate", "flush"))
_WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")
_MOST = 60  # expressions that are read for one guess
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.ASCII)


def guess(node: ast.expr | None, rule: Rule, names: Names, scope: Scope) -> Source:
    """Guess where the data of the first argument of a read comes from."""
    if rule.argument == "url":
        return Source("network")
    if node is None:
        return Source("unknown")
    search = _Search(names)
    if rule.argument == "path":
        search.path(node, scope)
    else:
        search.look(node, scope)
    found = search.found or [Source("unknown")]
    return min(found, key=lambda source: (_ORDER.index(source.kind), source.is_fixed))


def _words(name: str) -> str | None:
    """Return the kind of source that a name suggests."""
    kinds = {_KINDS[word.lower()] for word in _WORD.findall(name) if word.lower() in _KINDS}
    return min(kinds, key=_ORDER.index) if kinds else None


def _owner_of(node: ast.expr) -> str | None:
    """Return the name before a method."""
    return node.value.id if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) else None


def _is_empty_buffer(node: object) -> bool:
    """Return whether an expression is `io.BytesIO()`."""
    if not isinstance(node, ast.Call) or node.args or node.keywords:
        return False
    return isinstance(node.func, ast.Name | ast.Attribute) and name_of(node.func) == "BytesIO"


class _Search:
    """Follows expressions to the sources of their data."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._left = _MOST
        self._seen: set[tuple[str, int]] = set()
        self.found: list[Source] = []

    def look(self, node: ast.expr | None, scope: Scope) -> None:
        """Follow an expression whose value is data or an open file."""
        self._left -= 1
        if node is None or self._left < 0:
            return
        if isinstance(node, ast.Constant):
            self.found.append(Source("literal"))
        elif isinstance(node, ast.Name):
            self._name(node.id, scope)
        elif isinstance(node, ast.Attribute):
            kind = _words(node.attr)
            if kind is None:
                self.look(node.value, scope)
            else:
                self.found.append(Source(kind))
        elif isinstance(node, ast.Call):
            self._call(node, scope)
        elif isinstance(node, ast.Subscript | ast.Await | ast.Starred):
            self.look(node.value, scope)
        elif isinstance(node, ast.IfExp):
            self.look(node.body, scope)
            self.look(node.orelse, scope)
        elif isinstance(node, ast.BinOp):
            self.look(node.left, scope)
            self.look(node.right, scope)
        elif isinstance(node, ast.BoolOp):
            for part in node.values:
                self.look(part, scope)

    def _name(self, name: str, scope: Scope) -> None:
        bound = self._names.bindings(name, scope)
        kind = _words(name)
        if bound is None:
            self.found.append(Source(kind or "unknown"))
            return
        at, bindings = bound
        if (name, id(at)) in self._seen:
            return
        self._seen.add((name, id(at)))
        before = len(self.found)
        bindings = [binding for binding in bindings if binding.how not in ("instance", "default")]
        if name in at.parameters and not bindings:
            self.found.append(Source(kind or "argument"))
            return
        if any(_is_empty_buffer(binding.value) for binding in bindings) and self._is_filled_by_pickling(name, at):
            self.found.append(Source("process"))
            return
        for binding in bindings:
            if isinstance(binding.value, ast.expr):
                self.look(binding.value, at)
        if len(self.found) == before or (kind is not None and self.found[-1].kind == "unknown"):
            self.found.append(Source(kind or "unknown"))

    def _call(self, node: ast.Call, scope: Scope) -> None:
        for value in self._names.values(node.func, scope):
            rule = RULES.get(value)
            if rule is not None and rule.direction == "write":
                self.found.append(Source("process"))
                return
        function = node.func
        last = called_name(function)
        if last in ("BytesIO", "StringIO"):
            if node.args:
                self.look(node.args[0], scope)
            else:
                self.found.append(Source("unknown"))  # `_name` finds out who fills it
            return
        if last in _OPENERS:
            place = node.args[0] if node.args else None
            if isinstance(function, ast.Attribute) and last in ("open", "read_bytes"):
                base = self._names.values(function.value, scope)
                if not base & {"gzip", "bz2", "lzma", "io", "os", "codecs", "fsspec", "builtins"}:
                    place = function.value
            self.path(place, scope)
            return
        kind = _words(last)
        if kind is not None:
            self.found.append(Source(kind))
            return
        owner: list[Source] = []
        if isinstance(function, ast.Attribute) and not isinstance(function.value, ast.Constant):
            owner = self._apart(function.value, scope)
        given = [source for argument in node.args for source in self._apart(argument, scope)]
        if not given:
            self.found += owner
        elif any(source.kind != "unknown" for source in owner):
            self.found += [*owner, *given]
        else:
            self.found += given
        if last not in _TRANSFORMS or not (owner or given):
            self.found.append(Source("unknown"))  # an unknown call may return data from anywhere

    def _apart(self, node: ast.expr, scope: Scope) -> list[Source]:
        """Follow an expression, and return its sources separately."""
        before, self.found = self.found, []
        self.look(node, scope)
        found, self.found = self.found, before
        return found

    def _is_filled_by_pickling(self, name: str, scope: Scope) -> bool:
        """Return whether pickled data, and nothing else, is written to a BytesIO."""
        is_filled = False
        for node in ast.walk(scope.node):
            if not isinstance(node, ast.Call):
                continue
            if any(isinstance(part, ast.Name) and part.id == name for part in node.args):
                rules = [RULES[value] for value in self._names.values(node.func, scope) if value in RULES]
                if not rules:
                    return False
                is_filled = is_filled or any(rule.direction == "write" for rule in rules)
            elif _owner_of(node.func) == name and name_of(node.func) not in _HARMLESS:
                return False
        return is_filled

    def path(self, node: ast.expr | None, scope: Scope) -> None:
        """Follow an expression that names a file."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _URL.match(node.value):
            self.found.append(Source("network"))
            return
        if isinstance(node, ast.Name):
            kind = _words(node.id)
            bound = self._names.bindings(node.id, scope)
            made = [binding.value for binding in bound[1] if isinstance(binding.value, ast.Call)] if bound else []
            if bound and made and (node.id, id(bound[0])) not in self._seen:  # an open file, or bytes in memory
                self._seen.add((node.id, id(bound[0])))
                before = len(self.found)
                for value in made:
                    last = called_name(value.func)
                    if last in _OPENERS or last in ("BytesIO", "urlopen", "urlretrieve"):
                        self._call(value, bound[0])
                if len(self.found) > before:
                    return
            if kind in ("network", "cache"):
                self.found.append(Source(kind))
                return
        self.found.append(Source("file", self._is_fixed(node, scope, 12)))

    def _is_fixed(self, node: ast.expr | None, scope: Scope, left: int) -> bool:
        if left <= 0:
            return False
        if isinstance(node, ast.Constant):
            return True
        if isinstance(node, ast.Name):
            if node.id == "__file__":
                return True
            bound = self._names.bindings(node.id, scope)
            if bound is None or node.id in bound[0].parameters:
                return False
            return all(
                isinstance(binding.value, ast.expr)
                and binding.how == "whole"
                and self._is_fixed(binding.value, bound[0], left - 1)
                for binding in bound[1]
            )
        if isinstance(node, ast.BinOp):
            return self._is_fixed(node.left, scope, left - 1) and self._is_fixed(node.right, scope, left - 1)
        if isinstance(node, ast.Attribute):
            return node.attr in ("parent", "parents") and self._is_fixed(node.value, scope, left - 1)
        if isinstance(node, ast.Subscript):
            return self._is_fixed(node.value, scope, left - 1)
        if isinstance(node, ast.Call):
            function = node.func
            last = called_name(function)
            if last not in _JOINERS:
                return False
            parts = [*node.args]
            if isinstance(function, ast.Attribute) and not self._names.values(function.value, scope):
                parts.append(function.value)
            return all(self._is_fixed(part, scope, left - 1) for part in parts)
        return False


_ACCEPT = re.compile(r"#\s*pickleseal:\s*ok\b[\s:,-]*(.*)", re.DOTALL)
# Arguments of these are used as types, and are not passed on.
_TYPE_TESTS = frozenset({"isinstance", "issubclass", "hasattr", "getattr", "super", "type"})
# Parameters with these names take the functions of pickle, or similar ones.
_HANDED_IN = {"loads": "read", "dumps": "write"}
_SERIALIZERS = ("serializer", "pickler")
_WITH_CONNECTIONS = (b"import multiprocess", b"from multiprocess", b"import billiard", b"from billiard")
_CHAINED = "()"  # in place of a name, for an object that is bound to none: `Unpickler(file).load()`


class Place(NamedTuple):
    """One place, as `map` shows it."""

    line: int
    column: int
    end: int  # the last line
    where: str  # class and function
    call: str  # its name in the rules
    rule: Rule
    kind: str
    source: Source | None = None
    note: str | None = None
    accepted: str | None = None  # the reason in a comment

    @property
    def is_untrusted(self) -> bool:
        """Return whether it unpickles data that somebody else may have written, and no comment accepts it."""
        return self.accepted is None and self.kind == "call" and self.source is not None and self.source.is_untrusted

    def as_json(self) -> dict[str, Any]:
        """Return the place for programs, without its file."""
        return {
            "line": self.line,
            "column": self.column,
            "where": self.where,
            "call": self.call,
            "library": self.rule.library,
            "direction": self.rule.direction,
            "kind": self.kind,
            "source": None if self.source is None else self.source.kind,
            "untrusted": self.is_untrusted,
            "note": self.note,
            "accepted": self.accepted,
            "ask": questions(self.rule._replace(kind=self.kind)),
            "offer": offer(self.rule._replace(kind=self.kind), None if self.source is None else self.source.kind),
        }


class Module:
    """One module: its places, and what it passes on to other modules."""

    def __init__(
        self, text: bytes, tree: ast.Module, name: str, is_package: bool, exports: Mapping[str, frozenset[str]]
    ) -> None:
        self._names = Names(tree, name, is_package, exports)
        self._found: list[Place] = []
        self._pending: list[tuple[Place, str | None]] = []  # with the name that it is bound to
        self._has_connections = any(word in text for word in _WITH_CONNECTIONS)
        self._used = {_CHAINED}  # names that a place was found by
        self.by_serializer: list[Place] = []  # calls of a serializer, which pickles if it is given pickle
        self._sent: list[tuple[Place, tuple[int, str]]] = []
        self._received: set[tuple[int, str]] = set()
        for statement in tree.body:
            self._visit(statement, self._names.root, None)
        self._found += [place for place, where in self._sent if where in self._received]
        self._found += [place for place, bound in self._pending if bound is None or bound not in self._used]
        self.unexplained: list[int] = []  # lines of accepting comments without a reason
        if b"pickleseal:" in text:
            self._accept(text)

    @property
    def places(self) -> list[Place]:
        """Return the places in the order of the text."""
        return sorted(self._found, key=lambda place: (place.line, place.column, place.call))

    def exports(self) -> dict[str, frozenset[str]]:
        """Return what this module passes on that pickles."""
        return self._names.exports()

    # --- the walk ----------------------------------------------------------------------------------------------------

    def _visit(self, node: ast.AST, scope: Scope, bound: str | None) -> None:
        if isinstance(node, Function):
            self._function(node, scope)
            return
        if isinstance(node, ast.ClassDef):
            self._class(node, scope)
            return
        if isinstance(node, ast.Import | ast.ImportFrom):
            return
        if isinstance(node, ast.Call):
            self._call(node, scope, bound)
            return
        if isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Load):
            self._reference(node, scope, bound)
        if isinstance(node, ast.Assign):
            self._settings([*map(name_of, node.targets)], node.value, node, scope)
            name = name_of(node.targets[0])
            self._visit(node.value, scope, name)
            for target in node.targets:
                self._visit(target, scope, None)
            return
        if isinstance(node, ast.AnnAssign):
            self._settings([name_of(node.target)], node.value, node, scope)
            if node.value is not None:
                self._visit(node.value, scope, name_of(node.target))
            return
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    self._settings([key.value], value, value, scope)
        if isinstance(node, ast.Compare):
            for part in (node.left, *node.comparators):
                if not isinstance(part, ast.Name | ast.Attribute) or has_call(part):
                    self._visit(part, scope, None)
            return
        if isinstance(node, ast.ExceptHandler):
            for statement in node.body:
                self._visit(statement, scope, None)
            return
        keeps = isinstance(node, ast.BoolOp | ast.IfExp | ast.NamedExpr | ast.withitem)
        if isinstance(node, ast.withitem) and node.optional_vars is not None:
            bound = name_of(node.optional_vars)
        elif isinstance(node, ast.NamedExpr):
            bound = node.target.id
        for child in children(node):
            self._visit(child, scope, bound if keeps else None)

    def _function(self, node: Function, scope: Scope) -> None:
        inner = self._names.scopes[node]
        if not isinstance(node, ast.Lambda):
            for part in node.decorator_list:
                self._visit(part, scope, None)
        positional = [*node.args.posonlyargs, *node.args.args]
        for parameter, default in (
            *zip(positional[::-1], node.args.defaults[::-1], strict=False),
            *zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True),
        ):
            if default is not None:
                self._settings([parameter.arg], default, default, scope)
                self._visit(default, scope, parameter.arg)
        for statement in [node.body] if isinstance(node, ast.Lambda) else node.body:
            self._visit(statement, inner, None)

    def _class(self, node: ast.ClassDef, scope: Scope) -> None:
        inner = self._names.scopes[node]
        for value in self._names.plain(self._names.values(ast.Name(node.name, ast.Load()), scope)):
            rule = RULES.get(value)
            if rule is not None and rule.kind == "class":
                self._add(node, scope, value, rule, "class", note=f"subclass {node.name}")
        for part in (*node.decorator_list, *(keyword.value for keyword in node.keywords)):
            self._visit(part, scope, None)
        for base in node.bases:
            if isinstance(base, ast.Call):
                self._visit(base, scope, None)
        for statement in node.body:
            self._visit(statement, inner, None)

    def _call(self, node: ast.Call, scope: Scope, bound: str | None) -> None:
        function = node.func
        values = self._names.plain(self._names.values(function, scope))
        known = sorted(value for value in values if value in RULES)
        for value in known[:1]:
            self._use(function)
            self._known(node, scope, value, RULES[value], bound)
        if not known:
            self._guessed(node, scope)
        last = called_name(function)
        for keyword in node.keywords:
            if keyword.arg is not None:
                self._settings([keyword.arg], keyword.value, keyword.value, scope)
        is_partial = "functools.partial" in values
        if isinstance(function, ast.Attribute):
            self._visit(function.value, scope, _CHAINED if known else None)
        elif not isinstance(function, ast.Name):
            self._visit(function, scope, bound if isinstance(function, ast.BoolOp | ast.Call) else None)
        for index, argument in enumerate(node.args):
            if last in _TYPE_TESTS and isinstance(argument, ast.Name | ast.Attribute | ast.Tuple):
                continue
            self._visit(argument, scope, bound if is_partial and index == 0 else None)
        for keyword in node.keywords:
            self._visit(keyword.value, scope, None)

    def _guessed(self, node: ast.Call, scope: Scope) -> None:
        """Note a call that is recognised by the name of a method or parameter."""
        function = node.func
        if isinstance(function, ast.Attribute) and function.attr in METHODS:
            rule = METHODS[function.attr]
            source = None if rule.direction == "write" else guess(first_argument(node), rule, self._names, scope)
            self._add(node, scope, f"{rule.library}.{function.attr}", rule, "call", source)
        elif isinstance(function, ast.Attribute) and function.attr in ("recv", "send") and self._has_connections:
            name = f"multiprocessing.connection.Connection().{function.attr}"
            place = self._place(node, scope, name, RULES[name], "implicit")
            where = id(scope), ast.dump(function.value)
            if function.attr == "send" and len(node.args) == 1 and not node.keywords:
                self._sent.append(
                    (place, where)
                )  # many objects have `send`: this counts if the same object also has `recv`
            elif function.attr == "recv" and not node.args and not node.keywords:  # that of a socket takes a size
                self._found.append(place)
                self._received.add(where)
        elif isinstance(function, ast.Attribute) and function.attr in _HANDED_IN and len(node.args) == 1:
            owner = (name_of(function.value) or "").lower().strip("_")
            if owner in _SERIALIZERS:
                rule = Rule("argument", _HANDED_IN[function.attr], "handed-in", "")
                self.by_serializer.append(self._place(node, scope, f"{owner}.{function.attr}", rule, "handed-in"))
        elif isinstance(function, ast.Name) and function.id in _HANDED_IN and len(node.args) == 1:
            found = self._names.bindings(function.id, scope)
            if found is not None and function.id in found[0].parameters:
                direction = _HANDED_IN[function.id]
                self._add(node, scope, function.id, Rule("argument", direction, "handed-in", ""), "handed-in")

    def _known(self, node: ast.Call, scope: Scope, value: str, rule: Rule, bound: str | None) -> None:
        kind, note = rule.kind, None
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        if value in ("numpy.load", "numpy.lib.format.read_array"):
            if not may_be_true(given.get("allow_pickle", third_argument(node))):
                return
        elif rule.library == "numpy":
            allowed = given.get("allow_pickle")
            if (allowed is not None and not may_be_true(allowed)) or (allowed is None and not makes_objects(node)):
                return
        elif value == "torch.load":
            limited = given.get("weights_only")
            if isinstance(limited, ast.Constant) and limited.value is True:
                kind, note = "limited", "weights_only=True"
            elif isinstance(limited, ast.Constant):
                note = f"weights_only={limited.value!r}"
            else:
                note = (
                    "weights_only not set, which means True from torch 2.6 on"
                    if limited is None
                    else "weights_only varies"
                )
        elif value == "joblib.Parallel" and is_shared(given):
            return
        elif kind == "class":
            self._pending.append((self._place(node, scope, value, rule, "class"), bound))
            return
        elif rule.kind == "setting" and rule.library == "kombu":
            note = "pickles if the content type says so"
        source = None
        if rule.direction == "read" and kind in ("call", "limited", "setting", "note", "sealed"):
            source = self._source(node, value, rule, scope)
        self._add(node, scope, value, rule, kind, source, note)

    def _source(self, node: ast.Call, value: str, rule: Rule, scope: Scope) -> Source:
        argument = first_argument(node)
        if value.endswith("().load") and isinstance(node.func, ast.Attribute):
            argument = self._made_of(node.func.value, scope)
        return guess(argument, rule, self._names, scope)

    def _made_of(self, node: ast.expr, scope: Scope) -> ast.expr | None:
        """Return the first argument of the call that made an unpickler."""
        if isinstance(node, ast.Call):
            return first_argument(node)
        if isinstance(node, ast.Name):
            found = self._names.bindings(node.id, scope)
            for binding in found[1] if found else ():
                if isinstance(binding.value, ast.Call):
                    return first_argument(binding.value)
        return None

    def _reference(self, node: ast.Attribute | ast.Name, scope: Scope, bound: str | None) -> None:
        """Note a function that is passed on, or bound to a name that is never called here."""
        for value in sorted(self._names.plain(self._names.values(node, scope))):
            rule = RULES.get(value)
            if rule is None or value.endswith("()") or rule.library == "numpy":  # numpy pickles only if asked
                continue
            if rule.kind == "call" or (bound is None and value.endswith(("Pool", "ProcessPoolExecutor"))):
                self._pending.append((self._place(node, scope, value, rule, "handed-on"), bound))
                return

    def _settings(self, names: list[str | None], value: ast.expr | None, node: ast.AST, scope: Scope) -> None:
        """Note a setting that means pickle, such as `task_serializer="pickle"` or `"BACKEND": "...RedisCache"`."""
        texts = [
            part.value
            for part in (value.elts if isinstance(value, ast.List | ast.Tuple | ast.Set) else [value])
            if isinstance(part, ast.Constant) and isinstance(part.value, str)
        ]
        for name in names:
            if name is None:
                continue
            plain = name.lower().removeprefix("celery_")
            pickles = [text for text in texts if text in PICKLE_NAMES]
            if plain in SETTINGS and pickles:
                library = "celery" if plain not in ("serializer", "session_serializer") else "settings"
                rule = Rule(library, SETTINGS[plain], "setting", "")
                self._add(node, scope, f"{plain}={pickles[0]}", rule, "setting")
            elif name in ("BACKEND", "CACHE_BACKEND", "backend"):
                for text in texts:
                    if text in BACKENDS:
                        rule = Rule(BACKENDS[text], "both", "setting", "")
                        self._add(node, scope, text, rule, "setting", note="pickles values unless configured otherwise")

    # --- places ------------------------------------------------------------------------------------------------------

    def _place(
        self,
        node: Any,
        scope: Scope,
        call: str,
        rule: Rule,
        kind: str,
        source: Source | None = None,
        note: str | None = None,
    ) -> Place:
        end = node.end_lineno or node.lineno
        if isinstance(node, ast.ClassDef):
            end = node.lineno
        shown = call.replace("()", "")
        return Place(node.lineno, node.col_offset + 1, end, scope.qualname, shown, rule, kind, source, note)

    def _add(self, *arguments: Any, **more: Any) -> None:
        self._found.append(self._place(*arguments, **more))

    def _use(self, function: ast.expr) -> None:
        """Note the names that a function was called by."""
        for part in ast.walk(function):
            if isinstance(part, ast.Name):
                self._used.add(part.id)
            elif isinstance(part, ast.Attribute):
                self._used.add(part.attr)

    def _accept(self, text: bytes) -> None:
        """Apply the comments `# pickleseal: ok REASON`, in a line of a place or alone in the line above."""
        reasons: dict[int, str] = {}
        alone: set[int] = set()
        for token in _tokens(text):
            if token.type == tokenize.COMMENT and (match := _ACCEPT.match(token.string)):
                line, reason = token.start[0], match[1].strip()
                if not reason:
                    self.unexplained.append(line)
                    continue
                reasons[line] = reason
                if not token.line[: token.start[1]].strip():
                    alone.add(line)
        for index, place in enumerate(self._found):
            lines = [*range(place.line, place.end + 1)]
            if place.line - 1 in alone:
                lines.append(place.line - 1)
            for line in lines:
                if line in reasons:
                    self._found[index] = place._replace(accepted=reasons[line])
                    break


def _tokens(text: bytes) -> Iterator[tokenize.TokenInfo]:
    try:
        yield from tokenize.tokenize(io.BytesIO(text).readline)
    except (tokenize.TokenError, SyntaxError):  # it was parsed, so only the end is malformed
        return
