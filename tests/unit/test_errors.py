"""Errors: one tree, data attributes, one printable line, picklable; and why an object could not be packed."""

import decimal
import io
import pickle
import queue
import re
import socket
import sqlite3
import sys
import threading
import types
import weakref
from pathlib import Path
from typing import Any

import pytest
import shapes

import pickleseal
from pickleseal import errors

SPEC = Path(__file__).resolve().parents[2] / "spec" / "format.md"
FAMILIES = {
    errors.CorruptError: """preamble-checksum preamble-field header-checksum header-encoding header-schema truncated
        torn-tail section-checksum section-padding trailing-bytes layout codec-data stream-order seal-invalid""",
    errors.ForeignError: "not-an-artifact",
    errors.UnsupportedError: "unsupported-version unsupported-flags unsupported-critical unsupported-codec",
    errors.RefusedError: """policy type-mismatch untrusted-global class-missing package-version schema-version
        schema-drift limit-exceeded pickle-envelope signature-invalid""",
    errors.PayloadError: """undeclared-global forbidden-operation isolation-failed migration-failed invalid-object
        unpickle-failed""",
}
RETRYABLE = """unsupported-version unsupported-flags unsupported-critical unsupported-codec policy untrusted-global
    class-missing package-version schema-version schema-drift limit-exceeded migration-failed"""
TREE = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, errors.PicklesealError)]


class TestTree:
    @pytest.mark.parametrize("cls", TREE, ids=lambda cls: cls.__name__)
    def test_every_error_survives_pickling(self, cls: type[errors.PicklesealError]) -> None:
        error = cls("reason", 1, "two", "hint", "where")
        error.path = "/some/path"
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is cls
        assert str(again) == str(error)
        assert vars(again) == vars(error)

    @pytest.mark.parametrize("cls", TREE, ids=lambda cls: cls.__name__)
    def test_every_error_is_documented_and_has_a_code(self, cls: type[errors.PicklesealError]) -> None:
        assert cls.__doc__
        assert cls.code
        assert cls.__name__ in errors.__all__

    def test_codes_are_unique(self) -> None:
        codes = [cls.code for cls in TREE if cls not in FAMILIES]
        assert len(set(codes)) == len(codes)

    def test_every_code_of_the_spec_has_one_family_and_says_whether_it_is_retryable(self) -> None:
        registry = SPEC.read_text("utf-8").split("\n## 15 ")[1].split("\n## 16 ")[0]
        families = {code: family for family, codes in FAMILIES.items() for code in codes.split()}
        assert families.keys() == set(re.findall(r"^\| `([a-z-]+)` \|", registry, re.MULTILINE))
        reading = [
            cls for cls in TREE if issubclass(cls, errors.ReadError) and cls not in (errors.ReadError, *FAMILIES)
        ]
        assert {cls.code: [family for family in FAMILIES if issubclass(cls, family)] for cls in reading} == {
            code: [family] for code, family in families.items()
        }
        assert {cls.code for cls in reading if cls.is_retryable} == set(RETRYABLE.split())

    def test_the_family_does_not_depend_on_the_step(self) -> None:
        error = errors.UntrustedGlobalError("no").at(20)
        assert isinstance(error, errors.RefusedError)
        assert error.is_retryable

    def test_errors_are_caught_as_those_of_pickle(self) -> None:
        assert issubclass(errors.ReadError, pickle.UnpicklingError)
        assert issubclass(errors.PackError, pickle.PicklingError)
        assert issubclass(errors.MissingExtraError, ImportError)

    def test_foreign_text_is_escaped_and_cut(self) -> None:
        error = errors.PolicyError("x\x1b[31m\n", "a\u202eb", "y" * 5000, None, "\ud800")
        assert all(line.isprintable() for line in str(error).split("\n"))
        assert str(error).count("\n") == 0
        assert len(str(error)) < 1000
        assert "5000 characters" in str(error)
        str(error).encode("utf-8")

    def test_two_lines_say_path_code_reason_place_sides_and_help(self) -> None:
        error = errors.PolicyError("too old", 5, 3, "write it anew", "version")
        error.path = "a.pseal"
        assert str(error) == "a.pseal: policy: too old (version), expected 5, found 3\nhelp: write it anew"
        error.offset, error.record, error.hint, error.where = 64, 2, None, None
        assert str(error) == "a.pseal: policy: too old (byte 64, record 2), expected 5, found 3"
        assert errors.one_line(errors.PackError("no", hint="do")) == "pack-failed: no; help: do"


FOREIGN = {
    "a bare pickle of protocol 4": pickle.dumps([1], 4),
    "a bare pickle of protocol 2": pickle.dumps([1], 2),
    "gzip data": b"\x1f\x8b\x08" + bytes(20),
    "a zip archive": b"PK\x03\x04" + bytes(20),
    "an HTML page": b"\n <!doctype HTML><html>",
    "git-lfs pointer": b"version https://git-lfs.github.com/spec/v1\n",
    "a NumPy .npy file": b"\x93NUMPY\x01\x00",
    "an SQLite database": b"SQLite format 3\x00",
    "JSON text": b' {"a": 1}',
    "an XML document": b"<?xml version='1.0'?><Error><Code>AccessDenied</Code>",
    "zero bytes": bytes(100),
    "a text-mode transfer": pickleseal.pack(1).replace(b"\r\n", b"\n"),
    "a 7-bit transfer": bytes(byte & 127 for byte in pickleseal.pack(1)),
    "bytes 01 02 03": b"\x01\x02\x03",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_files_of_other_formats_are_named(name: str) -> None:
    for call in (pickleseal.peek, pickleseal.verify, pickleseal.unpack):
        with pytest.raises(errors.NotAnArtifactError) as caught:
            call(FOREIGN[name])
        assert name in str(caught.value)


def generator() -> Any:
    yield 1


async def coroutine() -> None:
    return None


@pytest.fixture(scope="module")
def refused() -> Any:
    sock, connection = socket.socket(), sqlite3.connect(":memory:")
    thread = threading.Thread(target=print)
    yield {
        "socket": (sock, "socket.socket", "connect again"),
        "file": (io.FileIO(0, closefd=False), "FileIO", "open it again"),
        "lock": (threading.Lock(), "lock", "__getstate__"),
        "rlock": (threading.RLock(), "RLock", "__getstate__"),
        "thread": (thread, "_ThreadHandle" if sys.version_info >= (3, 13) else "lock", "__getstate__"),
        "queue": (queue.Queue(), "lock", "__getstate__"),
        "connection": (connection, "sqlite3.Connection", "connect again"),
        "lambda": (lambda: 1, "the lambda", "top of a module"),
        "generator": (generator(), "generator", "list(...)"),
        "module": (types, "a module", "import it"),
        "memoryview": (memoryview(b"x"), "memoryview", "bytes(view)"),
        "weakref": (weakref.ref(shapes.Job), "ReferenceType", "the object itself"),
        "mappingproxy": (types.MappingProxyType({}), "mappingproxy", "dict(...)"),
        "local": (threading.local(), "_thread._local", "thread-local"),
        "raises": (shapes.Raises(), "shapes.Raises (RuntimeError in its own pickling", "__getstate__"),
    }
    sock.close()
    connection.close()


BEFORE_THE_CULPRIT = [
    *("pickle.PickleBuffer(b'x')", "pickle.PickleBuffer(bytearray(90_000))", "bytearray(9)", "range(3)", "[].append"),
    *("__import__('array').array('d', [1.0])", "io.BytesIO(b'x')", "iter([1])", "type(None)", "len"),
    *("np.zeros(9)", "np.zeros(90_000)", "np.zeros((3, 4)).T", "np.zeros((9, 9))[::2]", "np.float64(1)", "np.sin"),
    *("np.array([1, 'a', None], object)", "np.zeros(3, [('a', 'f8'), ('b', 'O')])", "np.random.default_rng()"),
    *("np.ma.masked_array([1, 2], [True, False])", "np.dtype('f8', metadata={'a': 1})", "np.mean"),
    *("pandas.DataFrame({'a': [1.0], 'b': ['x']})", "pandas.Series([1], dtype='Int64')", "pandas.NA"),
]


class TestExplain:
    """What can't be packed is refused with the path in the object and what to do instead."""

    @pytest.mark.parametrize(
        "name",
        [
            "socket",
            "file",
            "lock",
            "rlock",
            "thread",
            "queue",
            "connection",
            "lambda",
            "generator",
            "module",
            "memoryview",
            "weakref",
            "mappingproxy",
            "local",
            "raises",
        ],
    )
    def test_the_path_what_it_is_and_what_to_do(self, refused: Any, name: str) -> None:
        culprit, what, advice = refused[name]
        obj = {"workers": [1, 2, {"id": 3}, shapes.Holder(name="w", conn=culprit)]}
        with pytest.raises(errors.PackError) as caught:
            pickleseal.pack(obj)
        assert str(caught.value.where).startswith("$['workers'][3].conn")
        assert what in str(caught.value)
        assert advice in str(caught.value)
        assert all(line.isprintable() for line in str(caught.value).split("\n"))
        assert caught.value.__cause__ is not None

    def test_local_classes_and_functions(self) -> None:
        class Local:
            pass

        def local() -> None:
            pass

        for obj, what in ((Local(), "the local class"), (Local, "the local class"), (local, "the local function")):
            with pytest.raises(errors.PackError) as caught:
                pickleseal.pack([obj])
            assert what in str(caught.value)
            assert str(caught.value.where).startswith("$[0]")

    @pytest.mark.parametrize(
        ("wrap", "path"),
        [
            (lambda bad: [[bad]], "$[0][0]"),
            (lambda bad: (1, {"k": bad}), "$[1]['k']"),
            (lambda bad: {bad: 1}, "$.key(<function>)"),
            (lambda bad: {(1, bad)}, "${...}[1]"),
            (lambda bad: {decimal.Decimal(1): bad}, "$[<Decimal>]"),
            (lambda bad: shapes.Slots(bad), "$.conn"),
            (lambda bad: shapes.Holder(inner=shapes.Holder(x=bad)), "$.inner.x"),
            (lambda bad: __import__("collections").OrderedDict(a=bad), "$['a']"),
            (lambda bad: __import__("collections").deque([0, bad]), "$[1]"),
            (lambda bad: __import__("functools").partial(print, bad), "$.__getstate__()[1][0]"),
            (lambda bad: __import__("collections").defaultdict(bad), "$.__reduce__()[1][0]"),
        ],
    )
    def test_paths_through_every_kind_of_container(self, wrap: Any, path: str) -> None:
        with pytest.raises(errors.PackError) as caught:
            pickleseal.pack(wrap(generator_function))
        assert caught.value.where == path

    def test_cycles_do_not_matter(self) -> None:
        loop: list[Any] = [1]
        loop.append({"again": loop, "bad": lambda: 1})
        with pytest.raises(errors.PackError) as caught:
            pickleseal.pack(loop)
        assert caught.value.where == "$[1]['bad']"

    def test_deep_nesting_is_named(self) -> None:
        deep: list[Any] = []
        for _ in range(100_000):
            deep = [deep]
        with pytest.raises(errors.PackError, match="too deep"):
            pickleseal.pack(deep)

    def test_a_class_that_is_not_found_under_its_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        lost = shapes.Job
        monkeypatch.setattr(shapes, "Job", int)
        with pytest.raises(errors.PackError, match="not found under that name"):
            pickleseal.pack([lost(1, "a")])

    def test_an_error_without_a_culprit_keeps_its_text(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Odd:
            calls = 0

            def __reduce__(self) -> Any:
                Odd.calls += 1
                if Odd.calls == 1:
                    raise ZeroDivisionError("only once")
                return int, (7,)

        with pytest.raises(errors.PackError, match="ZeroDivisionError: only once") as caught:
            pickleseal.pack(Odd())
        assert caught.value.where == "$"

    def test_buffers_that_are_not_contiguous(self) -> None:
        view = memoryview(bytearray(100_000))[::2]
        with pytest.raises(errors.PackError, match=r"gaps in its memory cannot be packed \(\$\['b'\]\)"):
            pickleseal.pack({"a": pickle.PickleBuffer(b"x"), "b": pickle.PickleBuffer(view)})

    @pytest.mark.parametrize("make", BEFORE_THE_CULPRIT, ids=str)
    def test_what_can_be_packed_is_never_blamed(self, make: str) -> None:
        np, pandas = (
            pytest.importorskip(name) if f"{short}." in make else None
            for short, name in (("np", "numpy"), ("pandas", "pandas"))
        )
        harmless = eval(make, {"np": np, "pandas": pandas, **globals()})
        with pytest.raises(errors.PackError) as caught:
            pickleseal.pack({"before": harmless, "lock": threading.Lock()})
        assert caught.value.where == "$['lock']"

    def test_paths_into_arrays_of_objects(self) -> None:
        np = pytest.importorskip("numpy")
        array = np.zeros((2, 3), object)
        array[1, 2] = threading.Lock()
        record = np.zeros(2, [("number", "f8"), ("any", "O")])
        record["any"][1] = threading.Lock()
        for obj, path in ((array, "$[1, 2]"), (array.T, "$[2, 1]"), (array[1], "$[2]"), (record, "$['any'][1]")):
            with pytest.raises(errors.PackError) as caught:
                pickleseal.pack(obj)
            assert caught.value.where == path

    def test_exceptions_that_cannot_be_shown(self) -> None:
        class Bad:
            def __reduce__(self) -> Any:
                raise shapes.BadText

        for obj in (Bad(), [Bad()]):
            with pytest.raises(errors.PackError, match="without a text"):
                pickleseal.pack(obj)
        data = pickleseal.pack(shapes.RaisesBadText())
        with pytest.raises(errors.UnpickleError, match="without a text"):
            pickleseal.unpack(data, expect=shapes.RaisesBadText)

    def test_objects_with_endless_items_are_explained(self) -> None:
        import itertools

        class Endless:
            def __reduce__(self) -> Any:
                return list, (), None, itertools.repeat(generator_function)

        with pytest.raises(errors.PackError) as caught:
            pickleseal.pack([Endless()])
        assert caught.value.where == "$[0][0]"

    def test_a_reduce_of_a_wrong_form_is_named(self) -> None:
        class Bad:
            def __reduce__(self) -> Any:
                return 5

        with pytest.raises(errors.PackError, match="neither a string nor a tuple") as caught:
            pickleseal.pack({"a": Bad()})
        assert caught.value.where == "$['a']"

    def test_a_root_class_without_a_proper_name(self) -> None:
        with pytest.raises(errors.PackError, match="no place in a header"):
            pickleseal.pack(type("Weird\nName", (), {})())

    def test_a_memory_error_stays_a_memory_error(self) -> None:
        class Hungry:
            def __reduce__(self) -> Any:
                raise MemoryError

        with pytest.raises(MemoryError):
            pickleseal.pack(Hungry())

    def test_global_names_that_no_header_can_hold(self, monkeypatch: pytest.MonkeyPatch) -> None:
        odd = type("Odd:Name", (), {"__module__": "shapes"})
        monkeypatch.setattr(shapes, "Odd:Name", odd, raising=False)
        with pytest.raises(errors.PackError, match="no place in a header"):
            pickleseal.pack([odd])


def generator_function() -> None:
    """Stands for something that can't be packed: its module does not hold it under its name."""


generator_function.__qualname__ = "nowhere"
