"""Where the data of a read comes from: a guess, by what the names in its argument say and how they were made."""

import ast
import re
from typing import NamedTuple

from .map_names import Names
from .map_rules import RULES, Rule
from .map_scopes import Scope
from .map_syntax import name_of

__all__ = ["Source", "guess"]


class Source(NamedTuple):
    """`kind`: network, cache, database, argument, file, unknown, process (made here by pickling) or literal."""

    kind: str
    is_fixed: bool = False  # of a file: its name stands in the code

    @property
    def is_untrusted(self) -> bool:
        """Tell whether somebody else may have written the data."""
        return self.kind not in ("process", "literal") and not (self.kind == "file" and self.is_fixed)


# From the one that counts most, where a guess finds several.
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
# Calls that give what they are given, or what is in their object, in another form.
_TRANSFORMS = frozenset(
    (
        *("read", "readline", "readall", "getvalue", "getbuffer", "tobytes", "decompress", "b64decode", "decode"),
        *("encode", "bytes", "bytearray", "memoryview", "join", "unhexlify", "fromhex", "strip", "replace"),
        *("urlsafe_b64decode", "a2b_base64", "b32decode", "b85decode", "asarray", "deepcopy", "copy"),
    )
)
_HARMLESS = frozenset(("seek", "tell", "getvalue", "getbuffer", "read", "readline", "close", "truncate", "flush"))
_WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")
_MOST = 60  # expressions that are looked at for one guess
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.ASCII)


def guess(node: ast.expr | None, rule: Rule, names: Names, scope: Scope) -> Source:
    """Guess where the data behind the first argument of a read comes from."""
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
    """Return the name in front of a method."""
    return node.value.id if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) else None


def _is_empty_buffer(node: object) -> bool:
    """Tell whether an expression is `io.BytesIO()`."""
    if not isinstance(node, ast.Call) or node.args or node.keywords:
        return False
    return isinstance(node.func, ast.Name | ast.Attribute) and name_of(node.func) == "BytesIO"


class _Search:
    def __init__(self, names: Names) -> None:
        self._names = names
        self._left = _MOST
        self._seen: set[tuple[str, int]] = set()
        self.found: list[Source] = []

    def look(self, node: ast.expr | None, scope: Scope) -> None:
        """Look at an expression whose value is data, or an open file."""
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
        last = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        if last in ("BytesIO", "StringIO"):
            if node.args:
                self.look(node.args[0], scope)
            else:
                self.found.append(Source("unknown"))  # whoever fills it: `_name` knows more
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
            self.found.append(Source("unknown"))  # it may bring anything from anywhere

    def _apart(self, node: ast.expr, scope: Scope) -> list[Source]:
        """Look at an expression by itself."""
        before, self.found = self.found, []
        self.look(node, scope)
        found, self.found = self.found, before
        return found

    def _is_filled_by_pickling(self, name: str, scope: Scope) -> bool:
        """Tell whether a BytesIO gets what is pickled into it, and nothing else."""
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
        """Look at an expression that names a file."""
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
                    function = value.func
                    last = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
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
            last = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            if last not in _JOINERS:
                return False
            parts = [*node.args]
            if isinstance(function, ast.Attribute) and not self._names.values(function.value, scope):
                parts.append(function.value)
            return all(self._is_fixed(part, scope, left - 1) for part in parts)
        return False
