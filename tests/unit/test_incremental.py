"""`IncrementalReader` has the verdict of `unpack`, however the bytes are cut, as early as it can, and runs nothing."""

import io
import re
import tracemalloc
from typing import Any

import pytest
from _helpers.support import cases, policy_of, read, verdict_of
from hypothesis import given
from hypothesis import strategies as st

from pickleseal import IncrementalReader, Key, KeyRing, Limits, PackOptions, Policy, Reader, pack, peek, unpack
from pickleseal.errors import (
    LimitExceededError,
    NotAnArtifactError,
    ReadError,
    SectionChecksumError,
    TrailingBytesError,
    TruncatedError,
    TypeMismatchError,
)

SIZES = [1, 7, 64, 100, 4096, 1 << 30]


def read_in_chunks(data: bytes, sizes: list[int], **arguments: Any) -> Any:
    reader = IncrementalReader(**arguments)
    start = turn = 0
    while start < len(data):
        size = sizes[turn % len(sizes)]
        reader.feed(data[start : start + size])
        start, turn = start + size, turn + 1
    return reader.finish()


def outcome(work: Any, *args: Any, **arguments: Any) -> Any:
    """Return the object, or what a refusal says."""
    try:
        return work(*args, **arguments)
    except ReadError as exc:
        return verdict_of(exc), exc.where, str(exc)


def without_addresses(value: Any) -> str:
    views = (
        [(view.readonly, bytes(view)) for view in value if isinstance(view, memoryview)] if type(value) is list else []
    )
    return re.sub("0x[0-9a-f]+", "", repr((value, views)))


@pytest.mark.parametrize("entry", cases("invalid"))
def test_invalid_vectors_get_the_verdict_of_unpack(entry: dict[str, Any]) -> None:
    import canary

    arguments, before = policy_of(entry), canary.tripped
    whole = outcome(unpack, read(entry), **arguments)
    for size in SIZES:
        found = outcome(read_in_chunks, read(entry), [size], **arguments)
        assert found == whole
        assert found[0] == (entry["error"], entry["step"])
    assert canary.tripped == before


@pytest.mark.filterwarnings("ignore::pickleseal.errors.PackageWarning", "ignore::pickleseal.errors.SchemaWarning")
@pytest.mark.parametrize("entry", [*cases("valid"), *cases("legacy")])
def test_valid_vectors_give_what_unpack_gives(entry: dict[str, Any]) -> None:
    data = read(entry)
    arguments = policy_of(entry)
    arguments["trust"] = [name for name in peek(data).globals if not name.startswith(("builtins:", "copyreg:"))]
    whole = outcome(unpack, data, **arguments)
    for size in SIZES:
        found = outcome(read_in_chunks, data, [size], **arguments)
        assert type(found) is type(whole)
        assert without_addresses(found) == without_addresses(whole)


@given(
    value=st.recursive(st.none() | st.integers() | st.text() | st.binary(), lambda s: st.lists(s), max_leaves=20),
    sizes=st.lists(st.integers(1, 500), min_size=1),
)
def test_any_chunks_give_the_object(value: Any, sizes: list[int]) -> None:
    assert read_in_chunks(pack(value), sizes) == value


RING = KeyRing([Key.hmac("k", b"s" * 32)])
SAMPLES = {
    "plain": (pack({"a": [1, "b"]}), Policy()),
    "sealed": (pack(list(range(50)), options=PackOptions(keys=RING)), Policy(keys=RING)),
    "strict": (pack({"a": (1, 2)}), Policy(level="strict")),
}


@given(
    name=st.sampled_from(sorted(SAMPLES)),
    offset=st.integers(0, 10_000),
    bit=st.integers(0, 7),
    cut=st.integers(0, 10_000),
    more=st.binary(max_size=3),
    sizes=st.lists(st.integers(1, 200), min_size=1),
)
def test_damage_gets_the_verdict_of_unpack(
    name: str, offset: int, bit: int, cut: int, more: bytes, sizes: list[int]
) -> None:
    data, policy = SAMPLES[name]
    damaged = bytearray(data)
    damaged[offset % len(data)] ^= 1 << bit
    for changed in (bytes(damaged) + more, data[: cut % len(data)], bytes(damaged)[: cut % len(data)], data + more):
        assert outcome(read_in_chunks, changed, sizes, policy=policy) == outcome(unpack, changed, policy=policy)


def arrays() -> tuple[Any, Any]:
    numpy = pytest.importorskip("numpy")
    noise = numpy.random.default_rng(1).integers(0, 255, 300_000, "u1")
    return numpy, [noise, numpy.zeros(100_000), numpy.arange(5)]


@pytest.mark.parametrize("compress", [None, "zstd"])
@pytest.mark.parametrize("keys", [None, RING])
def test_arrays_come_back_writable(compress: str | None, keys: KeyRing | None) -> None:
    if compress:
        pytest.importorskip("compression.zstd" if __import__("sys").version_info >= (3, 14) else "backports.zstd")
    numpy, value = arrays()
    data = pack(value, options=PackOptions(compress=compress, keys=keys))
    for sizes in ([1, 65, 10_000], [1 << 30]):
        loaded = read_in_chunks(data, sizes, policy=Policy(keys=keys))
        assert all(map(numpy.array_equal, loaded, value))
        assert all(array.flags.writeable for array in loaded)


def test_a_section_of_no_bytes_is_checked() -> None:
    numpy = pytest.importorskip("numpy")
    value = [numpy.zeros(50_000), b""]
    data = pack(value)
    assert read_in_chunks(data, [1000])[1] == b""


class TestEarly:
    def test_the_limits_are_checked_with_the_preamble(self) -> None:
        reader = IncrementalReader(policy=Policy(limits=Limits(max_frame=1000)))
        data = pack(bytes(2000))
        reader.feed(data[:63])
        assert reader.needed == 1
        with pytest.raises(LimitExceededError) as caught:
            reader.feed(data[63:64])
        assert caught.value.step == 6

    def test_the_policy_is_applied_with_the_last_byte_of_the_header(self) -> None:
        data = pack(bytes(100_000))
        header_end = 64 + peek(data).preamble.header_len
        reader = IncrementalReader(expect=dict)
        reader.feed(data[: header_end - 1])
        assert reader.header is None
        assert reader.needed == 1
        with pytest.raises(TypeMismatchError) as caught:
            reader.feed(data[header_end - 1 : header_end])
        assert caught.value.step == 15

    def test_a_damaged_section_is_refused_before_the_next(self) -> None:
        numpy = pytest.importorskip("numpy")
        data = bytearray(pack([numpy.zeros(100_000), numpy.ones(100_000)]))
        header = peek(data)
        start = header.frame_len - sum((s.len + 63) // 64 * 64 for s in header.sections[1:])
        data[start + 5] ^= 1
        reader = IncrementalReader()
        reader.feed(data[:start])
        with pytest.raises(SectionChecksumError, match=r"sections\[1\]"):
            reader.feed(data[start : start + (header.sections[1].len + 63) // 64 * 64])
        assert reader.header is not None

    def test_the_first_byte_after_the_frame_is_refused(self) -> None:
        reader = IncrementalReader()
        reader.feed(pack(1))
        with pytest.raises(TrailingBytesError):
            reader.feed(b"x")

    def test_foreign_bytes_are_named(self) -> None:
        reader = IncrementalReader()
        with pytest.raises(NotAnArtifactError, match="HTML"):
            reader.feed(b"<!doctype html>" + bytes(100))


class TestUse:
    def test_needed_leads_exactly_to_the_end_of_the_frame(self) -> None:
        first, second = pack([1, 2]), pack("x" * 1000)
        file = io.BytesIO(first + second)
        for value in ([1, 2], "x" * 1000):
            reader = IncrementalReader()
            while reader.needed:
                reader.feed(file.read(reader.needed))
            assert reader.finish() == value
        assert not file.read()

    def test_what_ends_early_is_truncated(self) -> None:
        data = pack([1, 2])
        for end in range(len(data)):
            reader = IncrementalReader()
            reader.feed(data[:end])
            needed = reader.needed
            with pytest.raises(TruncatedError) as caught:
                reader.finish() if end % 2 else reader.accepts()
            assert caught.value.found == end
            assert caught.value.missing <= needed

    def test_it_is_used_once(self) -> None:
        refused, done = IncrementalReader(), IncrementalReader()
        with pytest.raises(ReadError):
            refused.feed(b"x" * 64)
        done.feed(pack(1))
        assert done.finish() == 1
        for reader in (refused, done):
            assert reader.needed == 0
            for call in (reader.finish, reader.accepts, lambda reader=reader: reader.feed(b"x")):
                with pytest.raises(ValueError, match="use a new one"):
                    call()

    def test_accepts_runs_nothing_and_finish_may_follow(self) -> None:
        reader = IncrementalReader(policy=Policy(level="strict"))
        reader.feed(pack({"id": 7}))
        assert reader.accepts().type == "builtins:dict"
        assert reader.accepts() is reader.header
        assert reader.finish() == {"id": 7}

    def test_a_reader_without_buffers_gives_no_object(self) -> None:
        reader = IncrementalReader(keep_buffers=False)
        reader.feed(pack(1))
        with pytest.raises(ValueError, match="keep_buffers"):
            reader.finish()
        assert reader.accepts().type == "builtins:int"

    def test_what_changes_after_feed_has_no_effect(self) -> None:
        numpy, value = arrays()
        chunk = bytearray(pack(value))
        reader = IncrementalReader()
        reader.feed(memoryview(chunk))
        chunk[:] = bytes(len(chunk))
        assert all(map(numpy.array_equal, reader.finish(), value))

    @pytest.mark.parametrize("wrong", ["text", 3, None, ["a"]])
    def test_what_is_no_bytes_is_a_type_error(self, wrong: Any) -> None:
        with pytest.raises(TypeError, match="bytes-like"):
            IncrementalReader().feed(wrong)

    def test_wrong_arguments_are_refused_at_once(self) -> None:
        with pytest.raises(TypeError):
            IncrementalReader(policy="strict")  # type: ignore[call-overload]


class TestMemory:
    def test_a_declared_length_takes_no_memory(self) -> None:
        numpy = pytest.importorskip("numpy")
        data = pack([numpy.zeros(4_000_000)])
        tracemalloc.start()
        try:
            reader = IncrementalReader()
            reader.feed(data[:10_000])
            assert tracemalloc.get_traced_memory()[1] < 300_000
        finally:
            tracemalloc.stop()

    @pytest.mark.parametrize("keep", [True, False])
    def test_it_takes_what_was_fed(self, keep: bool) -> None:
        numpy = pytest.importorskip("numpy")
        data = pack([numpy.zeros(2_000_000), b"x" * 1_000_000])
        tracemalloc.start()
        try:
            reader = IncrementalReader(keep_buffers=keep)
            for start in range(0, len(data), 65_536):
                reader.feed(data[start : start + 65_536])
            reader.finish() if keep else reader.accepts()
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert most < (1.2 * len(data) if keep else 1.2 * 1_000_000) + 500_000


def test_the_policy_comes_first_as_for_a_reader() -> None:
    data, policy = pack([1]), Policy(types={"builtins:dict": "*"})
    for take in (Reader(policy).read, IncrementalReader(policy).feed):
        with pytest.raises(TypeMismatchError):
            take(data)
