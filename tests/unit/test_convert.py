"""`pickleseal.convert`: bare pickles become artifacts and pickles again. Only `repickle` runs one."""

# ruff: noqa: E501 - tables are read best as tables
from __future__ import annotations

import bz2
import collections
import datetime
import functools
import gzip
import io
import itertools
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
from hypothesis import given, settings
from hypothesis import strategies as st

import pickleseal
from pickleseal import Key, KeyRing, PackOptions, Policy
from pickleseal._payload.analysis import outline
from pickleseal.convert import adopt, decompress, extract, extract_parts, repickle
from pickleseal.errors import PicklesealError, ReadError

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


class TestAnyObject:
    @given(objects, st.integers(2, 5))
    @settings(max_examples=150)
    def test_a_wrapped_pickle_loads_as_an_equal_object(self, obj: Any, protocol: int) -> None:
        data = pickle.dumps(obj, protocol)
        found = adopt(data)
        wrapped = found.data
        header = pickleseal.verify(wrapped)
        assert header.protocol == protocol
        assert header.type == found.type
        if found.is_type_known and protocol > 2:
            assert header.type == f"{type(obj).__module__}:{type(obj).__qualname__}"
        assert extract(wrapped) == data
        if not found.refused:  # bytes of protocol 2 are made by codecs.encode
            policy = pickleseal.Policy(protocols=(2, 3, 4, 5), renames=found.renamed)
            assert pickleseal.unpack(wrapped, trust=NAMES, policy=policy) == obj

    @given(objects, st.integers(0, 5))
    @settings(max_examples=100)
    def test_a_pickle_packed_again_loads_as_an_equal_object(self, obj: Any, protocol: int) -> None:
        found = repickle(pickle.dumps(obj, protocol), trust=NAMES)
        assert pickleseal.unpack(found.data, trust=NAMES) == obj

    @given(objects)
    @settings(max_examples=60)
    def test_every_artifact_becomes_a_plain_pickle(self, obj: Any) -> None:
        assert pickle.loads(extract(pickleseal.pack([obj, bytearray(20_000)]))) == [obj, bytearray(20_000)]

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


# -- arguments and results --------------------------------------------------------------------------------------------


def test_what_a_reader_needs_is_in_the_result() -> None:
    obj = [kinds.Plain(1), datetime.date(2026, 1, 2), kinds.Color.RED]
    for found in (adopt(pickle.dumps(obj)), repickle(pickle.dumps(obj), trust=[kinds.Plain, "kinds:Color"])):
        assert found.trust == ("kinds:Color", "kinds:Plain")
        assert set(found.trust) < set(found.globals)
        assert (found.is_type_known, found.refused, found.renamed) == (True, (), {})
        assert found.data == b"".join(found.parts)
        assert found.globals == pickleseal.peek(found.data).globals
        assert pickleseal.unpack(found.data, trust=found.trust) == obj


def test_names_of_python_2_are_given_as_they_are_called_today() -> None:
    found = adopt(b"\x80\x02ccollections\nUserDict\n0cUserDict\nUserDict\n0c__builtin__\nxrange\n(K\x03tR.")
    assert found.renamed == {"UserDict:UserDict": "collections:UserDict", "__builtin__:xrange": "builtins:range"}
    assert found.trust == ()
    policy = Policy(protocols=(2, 3, 4, 5), renames=found.renamed)
    assert pickleseal.unpack(found.data, policy=policy) == range(3)


def test_dangerous_names_are_refused_and_are_nothing_to_trust() -> None:
    found = adopt(b"\x80\x04" + hostile.call("os:system", hostile.S("true")) + b".")
    assert (found.globals, found.refused, found.trust) == (("os:system",), ("os:system",), ())


def test_meta_and_options_are_those_of_pack() -> None:
    ring = KeyRing([Key.hmac("k", b"s" * 32)])
    data = pickle.dumps({"x": "y" * 5000}, 4)
    for convert in (adopt, repickle):
        options = PackOptions(keys=ring, build={"app": "x"}, compress="zstd")
        found = convert(data, type="report", meta={"a": "b"}, options=options)
        header = pickleseal.verify(found.data, policy=Policy(keys=ring))
        assert (header.type, header.meta, header.build["app"]) == ("report", {"a": "b"}, "x")
        assert header.sections[0].codec == "zstd"
        assert header.verified == (("hmac-sha256", "k"),)
        assert pickleseal.unpack(found.data, keys=ring) == {"x": "y" * 5000}


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_like_data_is_taken_and_copied(kind: Any) -> None:
    data = bytearray(pickle.dumps([1, 2, 3]))
    found = adopt(kind(data))
    back = bytearray(found.data)
    data[:] = bytes(len(data))
    assert extract(kind(back)) == pickle.dumps([1, 2, 3])
    assert pickleseal.unpack(found.data) == [1, 2, 3]
    assert repickle(kind(pickle.dumps(7))).type == "builtins:int"
    assert decompress(kind(gzip.compress(b"x"))) == (b"x", "gzip")


@pytest.mark.parametrize("function", [adopt, repickle, decompress])
@pytest.mark.parametrize("data", ["model.pkl", Path("model.pkl"), None, 5, io.BytesIO(b"")])
def test_what_is_not_bytes_is_a_type_error(function: Any, data: Any) -> None:
    with pytest.raises(TypeError, match="data: expected bytes") as caught:
        function(data)
    assert ("read_bytes" in str(caught.value)) == isinstance(data, str | Path)


def test_extract_takes_what_verify_takes(tmp_path: Path) -> None:
    path, obj = tmp_path / "a.pseal", {"n": list(range(9)), "b": b"x" * 9000}
    pickleseal.dump(obj, path)
    with path.open("rb") as file:
        given = [path.read_bytes(), path, str(path), file]
        for data in given:
            assert pickle.loads(extract(data)) == obj
    assert pickle.loads(extract(f"memory://{_in_memory(path)}")) == obj
    two = io.BytesIO(pickleseal.pack("first") + pickleseal.pack("second"))
    assert [pickle.loads(extract(two)) for _ in range(2)] == ["first", "second"]
    with pytest.raises(pickleseal.errors.TrailingBytesError):
        extract(two.getvalue())
    with pytest.raises(FileNotFoundError) as missing:
        extract(tmp_path / "none")
    assert missing.value.filename == str(tmp_path / "none")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(pickleseal.errors.TruncatedError) as caught:
        extract(path)
    assert caught.value.path == str(path)
    with pytest.raises(ValueError, match="storage_options"):
        extract(path, storage_options={"key": "x"})


def _in_memory(path: Path) -> str:
    fsspec = pytest.importorskip("fsspec")
    fsspec.filesystem("memory").pipe("/convert/a.pseal", path.read_bytes())
    return "convert/a.pseal"


def test_large_buffers_are_not_copied_into_the_parts() -> None:
    data = pickleseal.pack([pickle.PickleBuffer(bytes(3_000_000)), 1])
    parts = extract_parts(data)
    assert b"".join(parts) == extract(data)
    (large,) = (part for part in parts if len(part) == 3_000_000)
    assert isinstance(large, memoryview)
    assert large.obj is data


def test_extract_checks_what_a_policy_asks() -> None:
    ring, other = (KeyRing([Key.hmac("k", secret * 32)]) for secret in (b"s", b"o"))
    data, signed = pickleseal.pack(1), pickleseal.pack(1, keys=ring)
    assert pickle.loads(extract(signed, policy=Policy(keys=ring))) == 1
    assert pickle.loads(extract(signed)) == 1
    for artifact, policy, code in (
        (data, Policy(keys=ring), "signature-invalid"),
        (signed, Policy(keys=other), "signature-invalid"),
        (data, Policy(types={"builtins:str": "*"}), "type-mismatch"),
        (data, Policy(meta={"team": "*"}), "policy"),
        (data, Policy(limits=pickleseal.Limits(max_frame=64)), "limit-exceeded"),
    ):
        with pytest.raises(ReadError) as caught:
            extract(artifact, policy=policy)
        assert caught.value.code == code
    with pytest.raises(TypeError, match="policy"):
        extract(data, policy={})  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [4, "4B"])
def test_the_size_of_what_is_decompressed_is_bounded(size: Any) -> None:
    assert decompress(b"1234", max_size=size) == (b"1234", None)
    for data in (b"12345", gzip.compress(b"12345")):
        with pytest.raises(pickleseal.errors.LimitExceededError, match="a larger max_size allows more"):
            decompress(data, max_size=size)


@pytest.mark.parametrize(
    ("size", "error"), [(-1, ValueError), ("4 apples", ValueError), (1.5, TypeError), (True, TypeError)]
)
def test_wrong_sizes(size: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="max_size: expected"):
        decompress(b"", max_size=size)


def test_two_compressions() -> None:
    assert decompress(gzip.compress(lzma.compress(b"N."))) == (b"N.", "gzip+xz")


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress, zlib.compress])
@pytest.mark.parametrize("function", [adopt, repickle])
def test_compressed_data_is_refused_with_the_way_to_decompress_it(compress: Any, function: Any) -> None:
    with pytest.raises(
        pickleseal.errors.NotAnArtifactError, match=r"(?s)found (gzip|bzip2|xz|zlib) data.*decompress\(data\)"
    ):
        function(compress(pickle.dumps([1, 2])))


# -- buffers ----------------------------------------------------------------------------------------------------------


def test_sections_are_put_in_band() -> None:
    np = pytest.importorskip("numpy")
    arrays = {"a": np.arange(10_000.0), "b": np.arange(9_000, dtype="i4"), "small": np.arange(3)}
    arrays["b"].flags.writeable = False
    data = pickleseal.pack([arrays, arrays["a"]])
    assert len(pickleseal.peek(data).sections) == 3
    loaded, again = pickle.loads(extract(data))
    assert again is loaded["a"]
    assert loaded["a"].flags.writeable
    assert not loaded["b"].flags.writeable
    for name, array in arrays.items():
        assert (loaded[name] == array).all()
    assert "pickleseal:rebuild_array" in pickleseal.peek(data).globals


def test_a_compressed_artifact_is_extracted() -> None:
    writer = pickleseal.PackOptions(compress="zstd")
    data = pickleseal.pack(["x" * 100_000, bytearray(50_000)], options=writer)
    assert pickle.loads(extract(data)) == ["x" * 100_000, bytearray(50_000)]


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
        assert extract(found.data) == raw, name
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
    assert decompress(packed, max_size=10**8) == (data, kind)
    for cut in (5, len(packed) // 2, len(packed) - 1):
        with pytest.raises(PicklesealError):
            adopt(decompress(packed[:cut], max_size=10**8)[0])
    if kind in ("gzip", "bzip2", "xz", "zstd"):  # several members make one file
        assert decompress(compress(data[:1000]) + compress(data[1000:]), max_size=10**8) == (data, kind)
    broken = bytearray(packed)
    broken[len(packed) // 2] ^= 0xFF
    try:
        assert adopt(decompress(bytes(broken), max_size=10**8)[0])
    except PicklesealError:
        pass


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_bombs_are_bounded(kind: str) -> None:
    import tracemalloc

    bomb = COMPRESSORS[kind](bytes(40_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(pickleseal.errors.LimitExceededError):
            decompress(bomb, max_size=4_000_000)
        assert tracemalloc.get_traced_memory()[1] < 24_000_000
    finally:
        tracemalloc.stop()


@given(
    st.binary(max_size=40),
    st.sampled_from([b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x5d\0\0", b"\x28\xb5\x2f\xfd", b"x\x9c"]),
)
def test_data_that_only_begins_like_compressed_data(tail: bytes, start: bytes) -> None:
    try:
        adopt(decompress(start + tail, max_size=10_000)[0])
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
    with pytest.raises(ReadError, match="not ASCII can't be wrapped as it is") as caught:  # as nothing could load it
        adopt(raw)
    assert caught.value.where == "payload[14]"
    assert "--encoding latin-1" in str(caught.value.hint.commands)  # type: ignore[union-attr]
    date = b"\x80\x02cdatetime\ndatetime\nq\x00U\n\x07\xe4\x01\x02\x03\x04\x05\x00\x00\x00\x85R."
    with pytest.raises(ReadError, match="not ASCII"):
        adopt(date)
    assert pickleseal.unpack(adopt(raw.replace(b"\xe9", b"e")).data, policy=Policy(protocols=(2,)))["name"] == "cafe"
    loaded = pickleseal.unpack(repickle(raw, trust=(), encoding="latin-1").data)
    assert loaded == {"name": "café", "n": 1, "l": "x" * 300}
    loaded = pickleseal.unpack(repickle(raw, trust=(), encoding="bytes").data)
    assert loaded[b"name"] == b"caf\xe9"
    assert pickleseal.unpack(repickle(b"S'a\\x41\\n'\n.", trust=()).data) == "aA\n"


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
    data, _ = decompress(path.read_bytes(), max_size=10**7)
    with pytest.raises(ReadError, match=r"(?s)a file of joblib.*repickle"):
        adopt(data)
    old = ["numpy.core.multiarray:_reconstruct", "numpy:dtype", "numpy:ndarray"]  # pickles of numpy 1 name these
    trust = [*NAMES, *old] if np.__version__.startswith("1.") else NAMES
    found = repickle(data, trust=trust)
    loaded = pickleseal.unpack(found.data, trust=trust)
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
