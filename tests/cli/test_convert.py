"""`pickleseal convert`: bare pickles become artifacts and pickles again. None is run without --load."""

# ruff: noqa: E501 - tables are read best as tables
from __future__ import annotations

import bz2
import collections
import datetime
import functools
import gzip
import io
import itertools
import json
import lzma
import os
import pickle
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import canary
import kinds
import pytest
from _helpers import hostile_corpus as hostile
from _helpers.support import GOLDEN
from hypothesis import given, settings
from hypothesis import strategies as st

import pickleseal
from pickleseal._cli.main import main
from pickleseal._io.source import BytesSource
from pickleseal._payload.analysis import outline
from pickleseal.convert import adopt, decompressed, extract, repickle
from pickleseal.errors import PicklesealError, ReadError

ALL = pickleseal.Policy(protocols=(2, 3, 4, 5))

# -- objects ----------------------------------------------------------------------------------------------------------

leaves = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
    | st.builds(bytearray, st.binary()) | st.dates() | st.datetimes() | st.decimals(allow_nan=False) | st.uuids()
    | st.complex_numbers(allow_nan=False) | st.sampled_from([*kinds.Color, *kinds.Number])
    | st.builds(kinds.Point, st.integers(), st.integers()) | st.just(range(3))
)  # fmt: skip
objects = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner, max_size=4)
        | st.sets(st.integers() | st.text(), max_size=4) | st.frozensets(st.text(), max_size=4)
        | st.builds(collections.OrderedDict, st.dictionaries(st.text(), inner, max_size=3))
        | st.builds(kinds.Plain, st.integers(), st.lists(inner, max_size=3))
        | st.builds(kinds.Node, st.text(), inner)
    ),
    max_leaves=12,
)  # fmt: skip
NAMES = ["kinds:Plain", "kinds:Node", "kinds:Point", "kinds:Color", "kinds:Number"]


def artifact(found: Any) -> bytes:
    return b"".join(found.parts)


class TestAnyObject:
    @given(objects, st.integers(2, 5))
    @settings(max_examples=150)
    def test_a_wrapped_pickle_loads_as_an_equal_object(self, obj: Any, protocol: int) -> None:
        data = pickle.dumps(obj, protocol)
        found = adopt(data)
        wrapped = artifact(found)
        header = pickleseal.verify(wrapped)
        assert header.protocol == protocol
        assert header.type == found.type
        if found.is_known and protocol > 2:
            assert header.type == f"{type(obj).__module__}:{type(obj).__qualname__}"
        back, _ = extract(BytesSource(wrapped))
        assert b"".join(back) == data
        if not found.refused:  # bytes of protocol 2 are made by codecs.encode
            policy = pickleseal.Policy(protocols=(2, 3, 4, 5), renames=found.renamed)
            assert pickleseal.unpack(wrapped, trust=NAMES, policy=policy) == obj

    @given(objects, st.integers(0, 5))
    @settings(max_examples=100)
    def test_a_pickle_packed_again_loads_as_an_equal_object(self, obj: Any, protocol: int) -> None:
        found = repickle(pickle.dumps(obj, protocol), trust=NAMES)
        assert pickleseal.unpack(artifact(found), trust=NAMES) == obj

    @given(objects)
    @settings(max_examples=60)
    def test_every_artifact_becomes_a_plain_pickle(self, obj: Any) -> None:
        parts, _ = extract(BytesSource(pickleseal.pack([obj, bytearray(20_000)])))
        assert pickle.loads(b"".join(parts)) == [obj, bytearray(20_000)]

    def test_globals_are_the_names_that_the_unpickler_imports(self) -> None:
        asked: set[str] = set()

        class Unpickler(pickle.Unpickler):
            def find_class(self, module: str, name: str) -> Any:
                asked.add(f"{module}:{name}")
                return super().find_class(module, name) if module != "__builtin__" else getattr(__builtins__, name)

        for protocol in range(3, 6):
            for obj in (kinds.Plain(1), kinds.Color.RED, collections.Counter("ab"), datetime.datetime(2020, 1, 1), {1}):
                asked.clear()
                data = pickle.dumps(obj, protocol)
                Unpickler(io.BytesIO(data)).load()
                assert set(outline(data).names) == asked


# -- buffers ----------------------------------------------------------------------------------------------------------


def test_sections_are_put_in_band() -> None:
    np = pytest.importorskip("numpy")
    arrays = {"a": np.arange(10_000.0), "b": np.arange(9_000, dtype="i4"), "small": np.arange(3)}
    arrays["b"].flags.writeable = False
    data = pickleseal.pack([arrays, arrays["a"]])
    assert len(pickleseal.peek(data).sections) == 3
    parts, header = extract(BytesSource(data))
    loaded, again = pickle.loads(b"".join(parts))
    assert again is loaded["a"]
    assert loaded["a"].flags.writeable
    assert not loaded["b"].flags.writeable
    for name, array in arrays.items():
        assert (loaded[name] == array).all()
    assert "pickleseal:rebuild_array" in header.globals


def test_a_compressed_artifact_is_extracted() -> None:
    writer = pickleseal.PackOptions(compress="zstd")
    parts, _ = extract(BytesSource(pickleseal.pack(["x" * 100_000, bytearray(50_000)], options=writer)))
    assert pickle.loads(b"".join(parts)) == ["x" * 100_000, bytearray(50_000)]


# -- hostile pickles --------------------------------------------------------------------------------------------------


def payloads() -> dict[str, bytes]:
    """The payloads of the hostile corpus, cut out of their artifacts; of the large ones, one of each group."""
    found, large = {}, set()
    for name, case in hostile.CASES.items():
        if case.group in large:
            continue
        data = case.make()
        if len(data) > 100_000:
            large.add(case.group)
        try:
            header = pickleseal.peek(data)
        except ReadError:
            found[name] = data  # something around an artifact, or a bare pickle
            continue
        start = header.preamble.head_len
        found[name] = data[start : start + header.sections[0].len]
    return found


def test_hostile_pickles_import_and_call_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    raws = payloads()
    before, tripped = set(sys.modules), canary.tripped
    outcomes: collections.Counter[str] = collections.Counter()
    for name, raw in raws.items():
        try:
            found = adopt(raw)
        except PicklesealError as exc:
            outcomes[exc.code] += 1
            continue
        outcomes["wrapped"] += 1
        assert b"".join(extract(BytesSource(artifact(found)))[0]) == raw, name
        for gadget in found.globals:
            if gadget in ("os:system", "posix:system", "builtins:eval", "builtins:exec", "subprocess:Popen"):
                assert gadget in found.refused
    assert outcomes["wrapped"] > 2000
    assert set(outcomes) <= {"wrapped", "pickle-envelope", "not-an-artifact"}
    assert canary.tripped == tripped
    assert os.listdir(tmp_path) == []
    assert not {"antigravity", "this"} & (set(sys.modules) - before)


class Evil:
    def __reduce__(self) -> Any:
        return canary.trip, ()


@pytest.mark.parametrize("protocol", range(6))
def test_a_canary_in_the_command_itself(protocol: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, before = tmp_path / "evil.pkl", canary.tripped
    path.write_bytes(pickle.dumps([Evil()], protocol))
    main(["convert", str(path), str(tmp_path / "a.pseal")])
    assert main(["convert", str(path), str(tmp_path / "b.pseal"), "--load"]) == 1
    assert "--trust canary:trip" in capsys.readouterr().out
    assert canary.tripped == before
    assert main(["convert", str(path), str(tmp_path / "b.pseal"), "--load", "--trust", "canary:trip"]) == 0
    assert canary.tripped == before + 1
    capsys.readouterr()


@given(st.data())
@settings(max_examples=300)
def test_random_opcodes_end_in_a_documented_error_or_an_artifact(data: st.DataObject) -> None:
    opcode = st.sampled_from(
        [bytes((byte,)) for byte in b"(NK.0127]}ltdaesubRoicgpPQqrhjJIFGSTUVXBCL" + bytes(range(128, 153))]
    )
    tail = st.binary(max_size=9)
    name = st.sampled_from([b"\x8c\x02os\x8c\x06system\x93", b"cos\nsystem\n", b"\x8c\x06canary\x8c\x04trip\x93)R"])
    parts = data.draw(st.lists(opcode | tail | name, max_size=25))
    raw = data.draw(st.sampled_from([b"", b"\x80\x02", b"\x80\x04", b"\x80\x05"])) + b"".join(parts) + b"."
    before = canary.tripped
    for convert in (adopt, lambda raw: repickle(raw, trust=())):
        try:
            convert(raw)
        except PicklesealError:
            pass
    assert canary.tripped == before


LENGTHS = [b"\x80\x04X\xff\xff\xff\xff.", b"\x80\x04\x8e" + b"\xff" * 8 + b".", b"\x80\x04\x95" + b"\xff" * 8 + b"N.",
           b"\x80\x02T\xff\xff\xff\xff.", b"\x80\x02\x8b\xff\xff\xff\xff.", b"(" * 50_000 + b".", b"]" + b"2" * 50_000 + b".",
           b"p" + b"9" * 30 + b"\n.", b"Vx\\ud800\n.", b"S'\\x'\n.", b"\x80\x09N."]  # fmt: skip


@pytest.mark.parametrize("raw", LENGTHS)
def test_wrong_lengths_are_refused(raw: bytes) -> None:
    with pytest.raises(PicklesealError):
        adopt(raw)


def test_a_name_that_is_made_at_run_time_is_refused_with_help() -> None:
    made = b"\x80\x04" + hostile.call("builtins:str", hostile.S("os")) + hostile.S("system") + b"\x93."
    with pytest.raises(ReadError, match=r"(?s)is made while it runs.*repickle"):
        adopt(made)


def test_names_through_the_memo_and_the_stack() -> None:
    body = (
        hostile.S("os")
        + b"\x940"
        + hostile.S("uuid")
        + b"\x94"
        + hostile.S("x")
        + b"0"
        + hostile.S("UUID")
        + b"\x94\x93"
    )
    assert outline(b"\x80\x04" + body + b".").names == ["uuid:UUID"]
    again = body + b"0h\x01h\x02\x93" + b"0h\x00h\x02\x93."
    assert outline(b"\x80\x04" + again).names == ["os:UUID", "uuid:UUID"]
    assert outline(b"\x80\x04" + hostile.S("a") + b"2\x93.").names == ["a:a"]


# -- what is compressed -----------------------------------------------------------------------------------------------


def zstd(data: bytes) -> bytes:
    return b"".join(_zstd_chunks(data))


def _zstd_chunks(data: bytes) -> Any:
    from pickleseal._format.codec import compressed_chunks

    return compressed_chunks([data], len(data), 1)


COMPRESSORS = {
    "gzip": functools.partial(gzip.compress, compresslevel=1), "bzip2": bz2.compress, "xz": lzma.compress, "zlib": zlib.compress, "zstd": zstd,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
}  # fmt: skip


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_compressed_pickles(kind: str) -> None:
    compress, data = COMPRESSORS[kind], pickle.dumps(list(range(300_000)))
    packed = compress(data)
    assert decompressed(packed, 10**8) == (data, kind)
    for cut in (5, len(packed) // 2, len(packed) - 1):
        with pytest.raises(PicklesealError):
            adopt(decompressed(packed[:cut], 10**8)[0])
    if kind in ("gzip", "bzip2", "xz", "zstd"):  # several members make one file
        assert decompressed(compress(data[:1000]) + compress(data[1000:]), 10**8) == (data, kind)
    broken = bytearray(packed)
    broken[len(packed) // 2] ^= 0xFF
    try:
        assert adopt(decompressed(bytes(broken), 10**8)[0])
    except PicklesealError:
        pass


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_bombs_are_bounded(kind: str) -> None:
    import tracemalloc

    bomb = COMPRESSORS[kind](bytes(40_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(pickleseal.errors.LimitExceededError):
            decompressed(bomb, 4_000_000)
        assert tracemalloc.get_traced_memory()[1] < 24_000_000
    finally:
        tracemalloc.stop()


@given(
    st.binary(max_size=40),
    st.sampled_from([b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x5d\0\0", b"\x28\xb5\x2f\xfd", b"x\x9c"]),
)
def test_data_that_only_begins_like_compressed_data(tail: bytes, start: bytes) -> None:
    try:
        adopt(decompressed(start + tail, 10_000)[0])
    except PicklesealError:
        pass


# -- what can not be wrapped ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "an empty file"),
        (b"PK\x03\x04" + bytes(40), "a zip"),
        (b"\x93NUMPY\x01\x00", "numpy.save"),
        (b"SQLite format 3\0" + bytes(40), "shelve"),
        (pickleseal.pack(1), "converted already"),
        (pickle.dumps(1, 0), "protocol 0 or 1"),
        (pickle.dumps(1) * 2, "something follows the pickle"),
        (b"\x80\x04\x8c\x01xQ.", "persistent id"),
        (b"\x80\x04\x82\x01.", "extension registry"),
        (b"hello, world", "pickle-envelope"),
    ],
)
def test_refusals_name_the_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(ReadError, match=reason):
        adopt(raw)


def test_python_2(tmp_path: Path) -> None:
    raw = (
        b"\x80\x02}q\x00(U\x04nameq\x01U\x04caf\xe9q\x02U\x01nK\x01U\x01l"
        b"T" + struct.pack("<i", 300) + b"x" * 300 + b"u."
    )
    with pytest.raises(ReadError, match="a string of Python 2 that is not ascii"):
        repickle(raw, trust=())
    loaded = pickleseal.unpack(artifact(repickle(raw, trust=(), encoding="latin-1")))
    assert loaded == {"name": "café", "n": 1, "l": "x" * 300}
    loaded = pickleseal.unpack(artifact(repickle(raw, trust=(), encoding="bytes")))
    assert loaded[b"name"] == b"caf\xe9"
    assert pickleseal.unpack(artifact(repickle(b"S'a\\x41\\n'\n.", trust=()))) == "aA\n"


# -- joblib -----------------------------------------------------------------------------------------------------------


def joblib_objects() -> list[Any]:
    np = pytest.importorskip("numpy")
    return [
        {"x": np.arange(10.0), "n": [1, {"y": np.zeros((2, 3), "f4")}]},
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.array([1, "a", None, kinds.Plain(2)], dtype=object),
        np.array(["2020-01-01"], "M8[D]"), np.array(["a", "bcd"]), np.array([True, False]), np.zeros((0, 3)),
        np.arange(3, dtype=">i4"), kinds.Plain(1, [np.arange(3)]), {"a": np.zeros(2), "d": np.dtype(">f4"), "u": np.dtype("M8[s]"), "t": np.dtype("<U3")},
        np.array([b"a", b"bc"]), np.array([1 + 2j]), np.array(["2020-01-01T00:00:01"], ">M8[us]"),
    ]  # fmt: skip


@pytest.mark.parametrize("index", range(13))
@pytest.mark.parametrize("compress", [0, ("zlib", 3), ("lzma", 1), ("bz2", 1)])
def test_joblib_files(index: int, compress: Any, tmp_path: Path) -> None:
    joblib, np = pytest.importorskip("joblib"), pytest.importorskip("numpy")
    obj, path = joblib_objects()[index], tmp_path / "x.joblib"
    joblib.dump(obj, path, compress=compress)
    data, _ = decompressed(path.read_bytes(), 10**7)
    with pytest.raises(ReadError, match=r"(?s)a file of joblib.*repickle"):
        adopt(data)
    found = repickle(data, trust=NAMES)
    loaded = pickleseal.unpack(artifact(found), trust=NAMES)
    np.testing.assert_equal(
        vars(loaded) if isinstance(obj, kinds.Plain) else loaded, vars(obj) if isinstance(obj, kinds.Plain) else obj
    )
    if index in (2, 8):
        with pytest.raises(pickleseal.errors.UntrustedGlobalError):
            repickle(data, trust=())


def test_hostile_joblib_files(tmp_path: Path) -> None:
    """Arrays of objects are a bare pickle inside the file, which joblib's own reader runs."""
    joblib, np = pytest.importorskip("joblib"), pytest.importorskip("numpy")
    path, before = tmp_path / "x.joblib", canary.tripped
    joblib.dump(np.array([Evil(), 1], dtype=object), path)
    data = path.read_bytes()
    with pytest.raises(pickleseal.errors.UntrustedGlobalError):
        repickle(data, trust=())
    joblib.dump({"x": np.arange(10.0)}, path)
    data = path.read_bytes()
    for position in itertools.chain(range(0, len(data) - 80, 3), range(len(data) - 80, len(data), 9)):
        for mask in (0x01, 0x80, 0xFF):
            damaged = bytearray(data)
            damaged[position] ^= mask
            try:
                repickle(bytes(damaged), trust=())
            except PicklesealError:
                pass
    assert canary.tripped == before


WRAPPER = hostile.G("joblib.numpy_pickle:NumpyArrayWrapper") + b")\x81"
NDARRAY, DTYPE = hostile.G("numpy:ndarray"), hostile.G("numpy:dtype")


def dtype(described: bytes, state: bytes = b"") -> bytes:
    return DTYPE + hostile.T(described, b"\x89", b"\x88") + b"R" + state


def wrapper(**items: bytes) -> bytes:
    told = {
        "subclass": NDARRAY,
        "shape": hostile.T(hostile.I(2)),
        "order": hostile.S("C"),
        "dtype": dtype(hostile.S("i1")),
    }
    return WRAPPER + hostile.state(**{**told, **items}) + b"b"


RECONSTRUCT = hostile.G("numpy.core.multiarray:_reconstruct")
EMPTY_ARRAY = RECONSTRUCT + hostile.T(NDARRAY, hostile.T(hostile.I(0)), hostile.B(b"b")) + b"R"
STATE = (hostile.I(3), hostile.S("<"), b"N", b"N", b"N", hostile.I(255), hostile.I(255), hostile.I(0))
FORGED = {
    "buffer as objects": NDARRAY + hostile.T(hostile.T(hostile.I(1)), hostile.S("O"), hostile.B(bytes(8))) + b"R",
    "records": dtype(hostile.S("V8,i4")),
    "dtype of a list": dtype(b"]"),
    "dtype without size": dtype(hostile.S("S0")),
    "dtype with fields": dtype(hostile.S("V8"), hostile.T(*STATE[:3], b"}", *STATE[4:]) + b"b"),
    "dtype with a wrong order": dtype(hostile.S("i8"), hostile.T(STATE[0], hostile.S("x"), *STATE[2:]) + b"b"),
    "dtype with a unit of its own": dtype(hostile.S("M8"), hostile.T(*STATE, hostile.T(b"}", hostile.I(1))) + b"b"),
    "the class of arrays": hostile.T(NDARRAY),
    "an array that is not read": WRAPPER,
    "a state of a class": NDARRAY + b"}b",
    "a class of one's own": wrapper(subclass=DTYPE),
    "no dtype": wrapper(dtype=b"N"),
    "a shape that is none": wrapper(shape=hostile.S("x")),
    "a shape beyond the file": wrapper(shape=hostile.T(hostile.I(2**40), hostile.I(2**40))),
    "a matrix": RECONSTRUCT + hostile.T(hostile.G("builtins:list"), hostile.T(hostile.I(0)), hostile.B(b"b")) + b"R",
    "objects of bytes": EMPTY_ARRAY
    + hostile.T(hostile.I(1), hostile.T(hostile.I(1)), dtype(hostile.S("O8")), b"\x89", hostile.B(bytes(8)))
    + b"b",
    "too few bytes": EMPTY_ARRAY
    + hostile.T(hostile.I(1), hostile.T(hostile.I(9)), dtype(hostile.S("i8")), b"\x89", hostile.B(bytes(8)))
    + b"b",
    "no state": EMPTY_ARRAY + b"]b",
    "a list for an array": wrapper(dtype=dtype(hostile.S("O8"))) + b"\x80\x04].",
    "a persistent id": hostile.S("x") + b"Q",
    "an extension": b"\x82\x01",
    "another class": hostile.G("collections:OrderedDict") + b")R" + hostile.state(__class__=b"N") + b"b",
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_arrays_are_refused(name: str) -> None:
    pytest.importorskip("numpy")
    mark = hostile.G("joblib.numpy_pickle:NumpyArrayWrapper") + b"0"
    with pytest.raises(ReadError):
        repickle(b"\x80\x04" + mark + FORGED[name] + b".", trust=())


@pytest.mark.parametrize(
    "body",
    [
        hostile.call("_codecs:encode", hostile.S("print(1)"), hostile.S("rot13")),
        hostile.call("_codecs:encode", hostile.B(b"x"), hostile.S("latin1")),
        hostile.call("copyreg:_reconstructor", hostile.G("builtins:int"), hostile.G("builtins:str"), hostile.S("x")),
        hostile.call("copyreg:_reconstructor", hostile.S("x"), hostile.G("builtins:object"), b"N"),
    ],
)
def test_other_calls_of_old_protocols_are_refused(body: bytes) -> None:
    with pytest.raises(ReadError):
        repickle(b"\x80\x04" + body + b".", trust=())


# -- the command ------------------------------------------------------------------------------------------------------


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code = main(["convert", *arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_the_call_that_is_printed_reads_the_artifact(
    protocol: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    obj = {"c": kinds.Color.RED, "s": {1, 2}, "p": kinds.Point(1, 2), "d": datetime.timedelta(1)}
    path = tmp_path / "new.pseal"
    (tmp_path / "old.pkl").write_bytes(pickle.dumps(obj, protocol))
    code, said = run(capsys, str(tmp_path / "old.pkl"), str(path))
    assert code == 0
    names = {"load": pickleseal.load, "Policy": pickleseal.Policy, "path": path}
    assert eval(said["results"][0]["read"], names) == obj


def test_one_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new, back = (str(tmp_path / name) for name in ("old.pkl.gz", "new.pseal", "back.pkl"))
    Path(old).write_bytes(gzip.compress(pickle.dumps(kinds.Plain(3))))
    os.utime(old, (1_600_000_000, 1_600_000_000))
    code, said = run(capsys, old, new)
    (found,) = said["results"]
    assert (code, found["type"], found["globals"], found["compression"]) == (0, "kinds:Plain", ["kinds:Plain"], "gzip")
    header = pickleseal.peek(new)
    assert header.meta["convert.mtime"] == "2020-09-13T12:26:40Z"
    assert run(capsys, old, new)[1]["results"][0]["code"] == "exists"
    assert run(capsys, old, new, "--force", "--type", "my type")[0] == 0
    assert pickleseal.peek(new).type == "my type"
    assert run(capsys, "--extract", new, back)[0] == 0
    assert pickle.loads(Path(back).read_bytes()) == kinds.Plain(3)
    assert run(capsys, "--extract", back, new, "--force")[0] == 3
    assert pickleseal.peek(new).type == "my type"  # a refusal leaves what was there


def test_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "old" / "sub").mkdir(parents=True)
    for name in ("a.pkl", "sub/b.pickle.xz", "sub/c.p", "same.pkl", "same.pickle", "old.pkl", "notes.txt"):
        data = pickle.dumps(name, 0 if name == "old.pkl" else 4)
        (tmp_path / "old" / name).write_bytes(lzma.compress(data) if name.endswith("xz") else data)
    code, said = run(capsys, str(tmp_path / "old"), "--out", str(tmp_path / "new"))
    made = sorted(str(path.relative_to(tmp_path / "new")) for path in (tmp_path / "new").rglob("*.*"))
    assert made == ["a.pseal", "same.pseal", "sub/b.pseal", "sub/c.pseal"]
    assert said["summary"] == {"converted": 4, "refused": 2}
    assert {found["code"] for found in said["results"] if not found["ok"]} == {"exists", "pickle-envelope"}
    assert code == 3
    code, said = run(capsys, "--extract", str(tmp_path / "new"), "--out", str(tmp_path / "back"))
    assert (code, said["summary"]["converted"]) == (0, 4)
    assert pickle.loads((tmp_path / "back" / "sub" / "b.pkl").read_bytes()) == "sub/b.pickle.xz"


def test_a_pickle_that_readers_refuse_gives_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.pkl").write_bytes(b"\x80\x04" + hostile.call("os:system", hostile.S("true")) + b".")
    code, said = run(capsys, str(tmp_path / "a.pkl"), str(tmp_path / "a.pseal"))
    assert (code, said["results"][0]["refused_globals"], said["results"][0]["read"]) == (1, ["os:system"], None)


def test_standard_input(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(pickle.dumps([1]))))
    assert run(capsys, "-", str(tmp_path / "a.pseal"))[0] == 0
    assert pickleseal.load(tmp_path / "a.pseal") == [1]
    stdin = io.BytesIO((tmp_path / "a.pseal").read_bytes())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stdin))
    assert run(capsys, "--extract", "-", str(tmp_path / "a.pkl"))[0] == 0
    assert pickle.loads((tmp_path / "a.pkl").read_bytes()) == [1]


def test_an_object_that_cannot_be_packed_or_loaded_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "path.pkl").write_bytes(pickle.dumps(Path("x"), 0))
    assert main(["convert", str(tmp_path / "path.pkl"), str(tmp_path / "a.pseal"), "--load"]) == 0
    assert "loads on this kind of platform only" in capsys.readouterr().err
    (tmp_path / "name.pkl").write_bytes(b"\x80\x04N.")
    assert main(["convert", str(tmp_path / "none.pkl"), str(tmp_path / "b.pseal")]) == 3
    assert "incomplete" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["a.pkl"],
        ["a.pkl", "b.pseal", "c.pseal"],
        ["a.pkl", "b.pseal", "--trust", "x:y"],
        ["a.pkl", "b.pseal", "--extract", "--load"],
        ["a.pkl", "b.pseal", "--type", "a\nb"],
        ["a.pkl", "b.pseal", "--load", "--trust", "no-colon"],
        ["a.pkl", "b.pseal", "--load", "--trust", "os:system"],
        ["s3://x/", "--out", "d"],
    ],
)
def test_wrong_usage(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.pkl").write_bytes(pickle.dumps([1]))
    assert main(["convert", *arguments]) == 2
    assert os.listdir(tmp_path) == ["a.pkl"]
    capsys.readouterr()


def test_a_size_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.pkl").write_bytes(gzip.compress(pickle.dumps(bytes(100_000))))
    code, said = run(capsys, str(tmp_path / "a.pkl"), str(tmp_path / "a.pseal"), "--max-size", "50000")
    assert (code, said["results"][0]["code"]) == (1, "limit-exceeded")


@pytest.mark.parametrize("form", ["text-80", "text-200", "colour-80"])
def test_golden(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", form.rpartition("-")[2])
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if form.startswith("colour"):
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm")
    else:
        monkeypatch.delenv("FORCE_COLOR", raising=False)
    os.mkdir("old")
    Path("old/user.pkl").write_bytes(pickle.dumps(kinds.Plain(3), 4))
    Path("old/ancient.pkl").write_bytes(pickle.dumps({1, 2}, 2))
    Path("old/text.pkl").write_bytes(pickle.dumps([1], 0))
    Path("old/evil.pkl").write_bytes(b"\x80\x04" + hostile.call("os:system", hostile.S("true")) + b".")
    for path in Path("old").iterdir():
        os.utime(path, (1_600_000_000, 1_600_000_000))
    main(["convert", "old", "--out", "new"])
    main(["convert", "--extract", "new/user.pseal", "user.pkl"])
    said = capsys.readouterr().out
    path = GOLDEN / f"convert-{form}.txt"
    if os.environ.get("PICKLESEAL_UPDATE_GOLDEN"):
        path.write_text(said, "utf-8")
    assert _without_sizes(said) == _without_sizes(path.read_text("utf-8"))


def _without_sizes(text: str) -> str:
    """Leave out the sizes, which depend on the name of the platform."""
    import re

    return re.sub(r"[\d,]+ bytes", "N bytes", text)


@pytest.mark.parametrize("size", ["-1", "-2", "-3"])
def test_a_negative_size_is_wrong_usage(size: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = tmp_path / "old.pkl"
    old.write_bytes(pickle.dumps(1))
    assert main(["convert", str(old), str(tmp_path / "new.pseal"), f"--max-size={size}"]) == 2
    assert capsys.readouterr().err == f"pickleseal: --max-size: expected 0 or more, found {size}\n"


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, taken = tmp_path / "old.pkl", tmp_path / "taken"
    old.write_bytes(pickle.dumps(1))
    taken.write_bytes(b"")
    for new, arguments in (
        (tmp_path / "none" / "new.pseal", [str(tmp_path / "none" / "new.pseal")]),
        (tmp_path, [str(tmp_path), "--force"]),
        (taken / "old.pseal", ["--out", str(taken)]),
    ):
        code, said = run(capsys, str(old), *arguments)
        assert code == 3
        (refused,) = said["results"]
        assert refused["path"] == str(old)
        assert refused["reason"].startswith(f"{new} can't be written: ")


def test_nothing_is_written_or_listed_for_a_path_that_is_not_local(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = tmp_path / "old.pkl", tmp_path / "new"
    old.write_bytes(pickle.dumps(1))
    monkeypatch.setitem(sys.modules, "fsspec", None)  # a store would ask for it
    for path in ("s3://bucket/", "s3://bucket/*.pkl", "-"):
        assert main(["convert", str(old), path, "--out", str(new)]) == 2
    assert not new.exists()
