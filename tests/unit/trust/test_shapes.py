"""The table of shapes: each row and each alternative is what some Python writes, and nothing else is accepted."""

from __future__ import annotations

import base64
import builtins
import functools
import io
import json
import pickle
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _helpers import mutations
from hypothesis import given, settings
from hypothesis import strategies as st

import pickleseal
from pickleseal._trust import dryrun, traits
from pickleseal._trust.safe_functions import OLD_SAFE_FUNCTIONS, SAFE_FUNCTIONS
from pickleseal._trust.shapes import ROWS, Args
from pickleseal.errors import ForbiddenOperationError

VERSIONS = ["3.10", "3.12", "3.13", "3.14"]  # beside the one that runs this
# Sources of values, for the Python that runs this and for others. Each row needs one that is pickled by it.
IMPORTS = """
import array, builtins, collections, datetime, decimal, fractions, http, ipaddress, pathlib, re, sys, time, types
import collections.abc, functools, operator, typing, uuid, zoneinfo
UTC = datetime.timezone.utc
class By:
    def __init__(self, *reduced): self.reduced = reduced
    def __reduce__(self): return self.reduced
class Box:
    def __class_getitem__(cls, item): return types.GenericAlias(cls, item)
"""
SAMPLES = """
object(); 1 + 2j; range(1, 9, 2); slice(1, None, 2); slice("a", 2.5); b""; bytearray(); bytearray(b"ab"); b"ab"
[b"x"]
{1, "a"}; frozenset((1, (2, 3))); set(); frozenset(); type(None); type(...); type(NotImplemented); ...; NotImplemented
list[int]; dict[str, list[int]]; tuple[int, ...]; int | None; int | str | None; list[int] | None; list["x"]
typing.Optional[int]; typing.List[int]; typing.Dict[str, typing.List[int]]; typing.Tuple[()]; typing.Tuple[int, ...]
typing.Callable[[int], str]; typing.Callable[..., None]; typing.Literal["a"]; typing.Literal["a", 1, b"x", None, True]
typing.Annotated[int, "text", [1]]; typing.Type[int]; typing.Union[int, typing.List[str]]; typing.List; typing.Any
typing.Optional[type]; list[bytearray]; collections.abc.Callable[[int], str]; collections.abc.Mapping[str, int]
typing.Optional[collections.abc.Callable[..., None]]
types.SimpleNamespace(a=1); types.SimpleNamespace(); collections.OrderedDict(a=1); collections.Counter("aab")
collections.defaultdict(list, a=[1]); collections.defaultdict(None, a=1); collections.deque([1])
collections.deque([1], 5)
collections.UserDict(a=1); collections.UserList([1]); collections.UserString("x"); collections.ChainMap({"a": 1}, {})
functools.partial(int); functools.partial(int, "1", base=2); operator.itemgetter(1); operator.itemgetter("a", 2)
operator.attrgetter("a", "b.c"); operator.methodcaller("a", 1); operator.methodcaller("a", 1, x=2)
functools.partial("a".split); functools.partial(operator.mul, 2); str.upper; [1].index; int.from_bytes
array.array("d", [1.0]); array.array("q"); decimal.Decimal("1.50")
decimal.Decimal("Infinity")
fractions.Fraction(1, 3); fractions.Fraction(-7); uuid.UUID(int=7); uuid.UUID(int=7, is_safe=uuid.SafeUUID.safe)
datetime.date(2026, 1, 2); datetime.time(1, 2, 3, 4); datetime.time(1, tzinfo=UTC); datetime.datetime(2026, 1, 2)
datetime.datetime(2026, 1, 2, tzinfo=UTC); datetime.timedelta(1, 2, 3); UTC
datetime.timezone(datetime.timedelta(hours=5), "IST"); zoneinfo.ZoneInfo("UTC"); zoneinfo.ZoneInfo.no_cache("UTC")
time.gmtime(0); time.struct_time(range(9)); pathlib.PurePosixPath("a/b"); pathlib.PureWindowsPath("c:/x")
pathlib.Path("a")
ipaddress.ip_address("127.0.0.1"); ipaddress.ip_address("::1"); ipaddress.ip_network("10.0.0.0/8")
ipaddress.ip_network("2001:db8::/32"); ipaddress.ip_interface("10.0.0.1/24"); ipaddress.ip_interface("::1/64")
re.compile("a+"); re.compile(b"a", re.I); http.HTTPStatus.OK; uuid.SafeUUID.safe
ValueError("x", [1]); Exception(); KeyError(1); OSError(2, "no"); OSError(2, "no", "f"); OSError(); OSError("x")
OSError(2, "no", "f", None, "g"); SyntaxError("x", ("f", 1, 2, "t")); SyntaxError("x"); SyntaxError()
StopIteration(3)
UnicodeDecodeError("ascii", b"x", 0, 1, "bad"); UnicodeEncodeError("ascii", "x", 0, 1, "bad")
UnicodeTranslateError("x", 0, 1, "bad"); ImportError("x", name="n", path="p"); AttributeError("x")
By(list, ()); By(list, ([1],)); By(list, ((1,),)); By(tuple, ()); By(tuple, ([1],)); By(dict, ()); By(dict, ({},))
By(int, (7,)); By(float, (7.5,)); By(str, ("x",)); By(set, ([1],)); By(set, ()); By(frozenset, ()); By(range, (5,))
By(complex, (1.0, 2.0)); By(object, ()); By(datetime.timedelta, (1, 2, 3))
"""
NEWER = """
builtins.ExceptionGroup("several", [ValueError(1), TypeError("x")]); http.HTTPMethod.GET
ipaddress.ip_address("fe80::1%eth0")
SyntaxError("x", ("f", 1, 2, "t", 1, 3)); builtins.ExceptionGroup("several", (ValueError(1),))
"""  # since 3.11
# Rows of which this test has nothing: test_benign has values for each (numpy; a generic class; functions of a class).
ELSEWHERE = {
    *("pickleseal:rebuild_dtype", "pickleseal:rebuild_array", "pickleseal:rebuild_scalar"),
    *("pickleseal:rebuild_object_array", "pickleseal:fill_object_array", "_operator:getitem", "_operator:or_"),
    "zoneinfo:ZoneInfo",  # it is never called
}

WRITER = (
    IMPORTS
    + """
import base64, io, json, pickle
if sys.version_info[:2] < (3, 11): sources = sources[0]
else: sources = sources[0] + ";" + sources[1]
class Names(pickle._Pickler):
    pass
out = []
for source in sources.replace("\\n", ";").split(";"):
    if not source.strip(): continue
    for protocol in range(2, 6):
        out.append([source.strip(), protocol, base64.b64encode(pickle.dumps(eval(source), protocol)).decode()])
print(json.dumps(out))
"""
)


def _written(command: str) -> list[tuple[str, int, bytes]]:
    code = f"sources = {[SAMPLES, NEWER]!r}\n{WRITER}"
    done = subprocess.run([command, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return [(source, protocol, base64.b64decode(data)) for source, protocol, data in json.loads(done.stdout)]


@functools.cache
def written(version: str | None = None) -> list[tuple[str, int, bytes]]:
    """Return what a Python writes: (source, protocol, pickle)."""
    if version is None:
        return _written(sys.executable)
    sys.path.append(str(Path(__file__).parents[2]))
    import interpreters

    command = next((c for c in interpreters.candidates(version) if interpreters.works(c, version)), None)
    if command is None:
        pytest.skip(f"Python {version} is not on this machine")
    return _written(command)


class _Resolver(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        value = super().find_class("pathlib" if module == "pathlib._local" else module, name)
        self.found[module, name] = value  # type: ignore[attr-defined]
        return value


def resolved(data: bytes) -> dict[tuple[str, str], Any]:
    """Return what an honest pickle imports, with safe functions where a payload gets these."""
    unpickler = _Resolver(io.BytesIO(data), fix_imports=True)
    unpickler.found = {}  # type: ignore[attr-defined]
    unpickler.load()
    safe = SAFE_FUNCTIONS | OLD_SAFE_FUNCTIONS
    found: dict[tuple[str, str], Any] = {}
    for (module, name), value in unpickler.found.items():  # type: ignore[attr-defined]
        own = f"{getattr(value, '__module__', '')}:{getattr(value, '__qualname__', '')}"
        found[module, name] = safe.get(own, value)  # whatever protocol 2 calls it
    return found


def refusal(data: bytes) -> str | None:
    try:
        dryrun.check_operations(data, (), resolved(data), 1000)
    except pickleseal.errors.ReadError as error:
        return str(error)
    return None


class TestHonestPickles:
    @pytest.mark.parametrize("version", [None, *VERSIONS])
    def test_what_picklers_write_passes(self, version: str | None) -> None:
        refused = [
            f"{source}, protocol {protocol}: {found}"
            for source, protocol, data in written(version)
            if not _is_unknown_here(data) and (found := refusal(data)) is not None
        ]
        assert not refused, "\n".join(refused)

    def test_some_python_writes_each_alternative_of_each_row(self, recorded: set[int]) -> None:
        for source, protocol, data in written():
            assert refusal(data) is None, (source, protocol)
        for version in VERSIONS:
            try:
                more = written(version)
            except pytest.skip.Exception:
                continue
            for _, _, data in more:
                if not _is_unknown_here(data):
                    refusal(data)
        dead = [
            f"{name} {args.text}"
            for name, row in ROWS.items()
            for args in (*row.calls, *row.makes)
            if id(args) not in recorded and name not in ELSEWHERE and _is_here(name)
        ]
        assert not dead, dead


def _is_here(name: str) -> bool:
    """Return whether this Python has a built-in class: groups of exceptions came with 3.11."""
    module, _, qualname = name.partition(":")
    return module != "builtins" or hasattr(builtins, qualname)


def _is_unknown_here(data: bytes) -> bool:
    """Return whether a pickle names something that this Python lacks."""
    try:
        resolved(data)
    except (AttributeError, ImportError):
        return True
    return False


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[int]]:
    """The alternatives that fit something, by their ids."""
    fitted: set[int] = set()

    def watched(args: Args) -> Any:
        fit = args.fit

        def record(found: tuple[Any, ...]) -> bool:
            if fits := fit(found):
                fitted.add(id(args))
            return fits

        return record

    for row in ROWS.values():
        monkeypatch.setattr(row, "fits_small", None)
        for args in {id(args): args for args in (*row.calls, *row.makes)}.values():
            monkeypatch.setattr(args, "fit", watched(args))
    traits.kinds.clear()  # stand-ins that were made before
    yield fitted
    traits.kinds.clear()


def test_the_format_lists_each_row() -> None:
    text = (Path(__file__).parents[3] / "spec" / "format.md").read_text("utf-8")
    assert not [name for name in ROWS if f"`{name}`" not in text]


class TestMutants:
    """An honest payload, changed: it equals an honest one, or is refused before anything of it runs."""

    @settings(max_examples=300, deadline=None)
    @given(st.integers(0, 2**64))
    def test_no_mutant_makes_an_object_do_anything(self, seed: int) -> None:
        mutations.attempt(random.Random(seed))

    def test_many_are_refused_and_some_load(self) -> None:
        found = {mutations.attempt(random.Random(seed)) for seed in range(500)}
        assert {"object", "forbidden-operation", "unpickle-failed"} <= found


class TestRefusals:
    def test_a_refusal_says_what_was_expected_and_found(self) -> None:
        data = b"\x80\x05\x8c\x07decimal\x8c\x07Decimal\x93K\x07\x85R."
        with pytest.raises(ForbiddenOperationError) as caught:
            dryrun.check_operations(data, (), {("decimal", "Decimal"): __import__("decimal").Decimal}, 1000)
        assert caught.value.expected == "(str of at most 100000)"
        assert caught.value.found == "(int)"
        assert "decimal:Decimal" in str(caught.value)
