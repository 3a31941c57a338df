"""Compression: what is compressed and what is left alone, at every level; and that nothing decompresses to too much."""

import array
import dataclasses
import io
import os
import pickle
import subprocess
import sys
import types
import zlib
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from frames import PAYLOAD, Frame
from hypothesis import example, given, settings
from hypothesis import strategies as st

import pickleseal
from pickleseal import Header, Key, KeyRing, Limits, PackOptions, Policy, Reader, pack, peek, unpack, verify
from pickleseal._format import codec
from pickleseal._io import compression
from pickleseal.errors import CodecDataError, LimitExceededError, MissingExtraError, PackError, PackWarning, ReadError

NEW_YEAR = datetime(2026, 1, 1, tzinfo=timezone.utc)
LEVELS = (-131072, -5, -1, 0, 1, 3, 9, 19, 20, 22)
ZSTD = PackOptions(compress="zstd")
TEXT = " ".join(f"line {n} of a text that goes on" for n in range(400))
NOISE = os.urandom(40_000)
VALUES = st.recursive(
    st.none() | st.integers() | st.text() | st.binary() | st.just(TEXT) | st.just(b"ab" * 3000) | st.just(NOISE[:3000]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
BUFFERS = st.lists(
    st.sampled_from([bytes(20_000), bytearray(17_000), NOISE, bytearray(NOISE), TEXT.encode() * 3]), max_size=3
)


def buffers_of(raw: list[Any]) -> list[pickle.PickleBuffer]:
    return [pickle.PickleBuffer(item) for item in raw]


def codecs(header: Header) -> list[str | None]:
    return [section.codec for section in header.sections]


def window_of(frame: bytes) -> int:
    """Return the window of a Zstandard frame header with a content size (RFC 8878, 3.1.1.1.2)."""
    if frame[4] & 0x20:
        return int(codec._zstd().get_frame_info(frame).decompressed_size)
    base = 1 << (10 + (frame[5] >> 3))
    return base + base // 8 * (frame[5] & 7)


class TestAnyObject:
    @settings(max_examples=60, deadline=None)
    @given(VALUES, BUFFERS, st.sampled_from(LEVELS), st.sampled_from([0, 64, 1024, 1 << 30]))
    @example([TEXT] * 9, [bytes(70_000), bytes(1 << 20), NOISE], 3, 64)
    def test_an_object_comes_back_at_any_level_and_threshold(
        self, value: Any, raw: list[Any], level: int, smallest: int
    ) -> None:
        """spec 12: compression changes how an object is stored, not what it is."""
        writer = PackOptions(compress="zstd", compress_level=level)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(compression, "_SMALLEST", smallest)
            data = pack([value, *buffers_of(raw)], options=writer)
        header = verify(data)
        assert unpack(data) == [value, *raw]
        assert pickleseal.load(io.BytesIO(data)) == [value, *raw]
        for section in header.sections:
            if section.codec is not None:
                assert section.raw_len is not None
                assert section.raw_len >= smallest
                assert section.len <= section.raw_len - section.raw_len // 8
        bare = peek(pack([value, *buffers_of(raw)]))
        assert [s.readonly for s in header.sections] == [s.readonly for s in bare.sections]
        assert [s.len if s.raw_len is None else s.raw_len for s in header.sections] == [s.len for s in bare.sections]

    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def test_a_flip_anywhere_is_a_documented_error(self, data: st.DataObject) -> None:
        artifact = bytearray(FLIPPED)
        artifact[data.draw(st.integers(0, len(artifact) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        for judge in (unpack, verify):
            with pytest.raises(ReadError):
                judge(bytes(artifact))

    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def test_a_flip_under_a_right_checksum_is_refused_or_gives_as_many_bytes(self, data: st.DataObject) -> None:
        """spec 7.2: whoever writes the checksums writes the Zstandard frame as well."""
        raw = PAYLOAD[:-1] + b"0\x8c\xc8" + b"ab" * 100 + b"."
        stored = bytearray(b"".join(codec.compressed_chunks([raw], len(raw), 3)))
        stored[data.draw(st.integers(0, len(stored) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        entry = {"codec": "zstd", "raw_len": len(raw)}
        try:
            assert sum(map(len, codec.decompressed_chunks(entry, bytes(stored), "x"))) == len(raw)
        except CodecDataError as exc:
            assert exc.step == 18

    @settings(max_examples=100, deadline=None)
    @given(st.binary(max_size=300), st.integers(0, 2**30))
    def test_any_bytes_as_a_frame_are_decoded_or_refused(self, junk: bytes, raw_len: int) -> None:
        entry = {"codec": "zstd", "raw_len": raw_len}
        for stored in (junk, b"\x28\xb5\x2f\xfd" + junk):
            try:
                assert sum(map(len, codec.decompressed_chunks(entry, stored, "x"))) == raw_len
            except CodecDataError:
                pass


FLIPPED = pack([TEXT, *buffers_of([bytes(20_000), NOISE[:17_000]])], options=ZSTD)


class TestWhatIsCompressed:
    def test_small_sections_are_left_alone(self) -> None:
        assert codecs(peek(pack("x" * 900, options=ZSTD))) == [None]
        assert codecs(peek(pack("x" * 1100, options=ZSTD))) == ["zstd"]

    def test_a_section_that_does_not_shrink_is_left_alone(self) -> None:
        packed = zlib.compress(os.urandom(30_000).hex().encode())
        data = pack([TEXT, *buffers_of([NOISE, bytes(20_000), packed])], options=ZSTD)
        assert codecs(peek(data)) == ["zstd", None, "zstd", None]

    def test_a_section_is_compressed_if_it_saves_an_eighth(self) -> None:
        """spec 12."""
        for zeros, wanted in ((4_000, None), (7_000, "zstd")):
            noise = NOISE[: 40_000 - zeros] + bytes(zeros)
            header = peek(pack(pickle.PickleBuffer(noise), options=ZSTD))
            assert header.sections[1].codec == wanted, zeros

    @pytest.mark.parametrize("size", [1 << 20, 3_000_000])
    def test_samples_decide_about_a_large_section_first(self, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
        seen = []

        def spy(parts: Any, length: int, level: int) -> Iterator[bytes]:
            seen.append((level, length))
            return codec.compressed_chunks(parts, length, level)

        monkeypatch.setattr(compression, "compressed_chunks", spy)
        noise, mixed = os.urandom(size), os.urandom(size // 2) + bytes(size - size // 2)
        assert codecs(
            peek(pack(pickle.PickleBuffer(noise), options=PackOptions(compress="zstd", compress_level=5)))
        ) == [
            None,
            None,
        ]
        assert seen == [(1, 1 << 18)]  # the noise was not compressed as a whole
        assert codecs(peek(pack(pickle.PickleBuffer(mixed), options=ZSTD)))[1] == "zstd"

    @given(st.lists(st.integers(0, 200_000), min_size=1, max_size=9), st.integers(0, 1 << 21))
    @settings(deadline=None)
    def test_samples_are_pieces_of_the_section(self, lengths: list[int], extra: int) -> None:
        parts = [bytes([n]) * length for n, length in enumerate([*lengths, extra])]
        total = sum(map(len, parts))
        pieces = compression._sample(parts, total)
        assert len(pieces) <= 8
        assert sum(map(len, pieces)) <= 8 * (1 << 15)
        whole = b"".join(parts)
        distance = total // 8
        for n, piece in enumerate(pieces):
            assert bytes(piece) == whole[n * distance : n * distance + len(piece)]

    def test_compression_that_does_not_pay_ends_early(self) -> None:
        taken = []

        def parts() -> Iterator[bytes]:
            for n in range(64):
                taken.append(n)
                yield os.urandom(1 << 18)

        assert compression._shrunk(parts(), 40 << 18, 1, None) is None  # type: ignore[arg-type]
        assert len(taken) < 40

    def test_nothing_is_compressed_unless_asked(self) -> None:
        assert codecs(peek(pack(TEXT))) == [None]
        assert PackOptions().compress is None

    def test_the_same_object_gives_the_same_bytes_with_and_without_threads(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """spec 12: one object, one time stamp, one build, one level, one library: one artifact."""
        writer = PackOptions(compress="zstd", created=NEW_YEAR)
        obj = [[TEXT] * 40, *buffers_of([bytes(1 << 20), TEXT.encode() * 20, NOISE, bytes(1 << 19)])]
        found = [pack(obj, options=writer), pack(obj, options=writer)]
        monkeypatch.setattr(compression, "pays", lambda lengths: False)
        found.append(pack(obj, options=writer))
        assert found[0] == found[1] == found[2]

    def test_arrays(self) -> None:
        np = pytest.importorskip("numpy")
        made = {"zeros": np.zeros((300, 400)), "noise": np.random.default_rng(0).random(40_000)}
        made["steps"] = np.asfortranarray(np.arange(90_000, dtype=">i4").reshape(300, 300))
        made["locked"] = np.arange(40_000)
        made["locked"].flags.writeable = False
        data = pack(made, options=ZSTD)
        assert sorted(map(str, codecs(peek(data))[1:])) == ["None", "zstd", "zstd", "zstd"]
        for found in (unpack(data), pickleseal.load(io.BytesIO(data))):
            for name, value in made.items():
                assert (found[name] == value).all()
                assert found[name].dtype == value.dtype
                assert found[name].flags.f_contiguous == value.flags.f_contiguous
                assert found[name].flags.writeable == (name != "locked")
        found["zeros"][0, 0] = 1  # memory of its own

    def test_arrays_of_the_standard_library(self) -> None:
        numbers = array.array("q", range(20_000))
        assert unpack(pack(numbers, options=ZSTD)) == numbers


class TestFrames:
    @pytest.mark.parametrize("level", [-131072, *range(-3, 23)])
    def test_the_window_is_bounded_at_every_level_and_length(self, level: int) -> None:
        """spec 7.2: the window size is at most 8 MiB. The frame header says so before the content is there."""
        zstd = codec._zstd()
        for length in (1024, 1 << 20, 8 << 20, (8 << 20) + 1, 300_000_000, 1 << 40):
            compressor = codec._compressor(zstd, length, level)
            begun = compressor.compress(b"x", compressor.FLUSH_BLOCK)
            info = zstd.get_frame_info(begun)
            assert (info.decompressed_size, info.dictionary_id) == (length, 0)
            assert begun[4] & 0x04 == 0  # no checksum: the section has one
            assert min(length, 1 << 20) <= window_of(begun) <= 8 << 20
            with pytest.raises(CodecDataError, match="cut off"):  # our reader takes the header, and misses the rest
                list(codec.decompressed_chunks({"raw_len": length}, begun, "x"))

    @pytest.mark.parametrize(("exponent", "mantissa"), [(13, 0), (12, 7), (13, 1), (13, 7), (14, 0), (21, 0)])
    @pytest.mark.parametrize("flags", [0x40, 0x41])  # without a dictionary, and with one whose id is 0
    def test_the_window_of_a_frame_is_compared_with_8_mib(self, exponent: int, mantissa: int, flags: int) -> None:
        window = (8 + mantissa) << exponent + 7
        identity = b"\0" if flags & 1 else b""
        content = (2**15).to_bytes(2, "little")  # of 256 + this many bytes
        stored = b"\x28\xb5\x2f\xfd" + bytes((flags, exponent << 3 | mantissa)) + identity + content
        with pytest.raises(CodecDataError) as caught:
            list(codec.decompressed_chunks({"raw_len": 2**15 + 256}, stored, "x"))
        if window > 8 << 20:
            assert (caught.value.found, caught.value.expected) == (window, "at most 8388608")
        else:
            assert "cut off" in str(caught.value)

    @pytest.mark.parametrize("level", [3, 22])
    def test_a_section_larger_than_the_window_comes_back(self, level: int) -> None:
        raw = bytes(9_000_000) if level > 3 else (NOISE + bytes(50_000)) * 100
        stored = b"".join(codec.compressed_chunks([raw[:5], raw[5:]], len(raw), level))
        assert not stored[4] & 0x20
        assert window_of(stored) == 8 << 20
        assert b"".join(codec.decompressed_chunks({"raw_len": len(raw)}, stored, "x")) == raw

    def test_it_is_one_frame_with_its_size_that_others_read(self) -> None:
        zstd = codec._zstd()
        data = pack(TEXT, options=ZSTD)
        section = peek(data).sections[0]
        start = 64 + peek(data).preamble.header_len
        stored = data[start : start + section.len]
        assert pickle.loads(zstd.decompress(stored)) == TEXT
        assert zstd.get_frame_size(stored) == len(stored)
        assert zstd.get_frame_info(stored).decompressed_size == section.raw_len

    @pytest.mark.parametrize("given", [b"", b"abc", b"abcde", b"abcd" * 9])
    def test_the_decoded_length_is_counted(self, given: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        """spec 7.2: a reader refuses output of any other length than raw_len, and does not go on to make it."""
        zstd = codec._zstd()

        class Careless:
            """A library that does not compare the blocks with the content size."""

            ZstdError, get_frame_info = zstd.ZstdError, staticmethod(zstd.get_frame_info)
            needs_input, eof, unused_data, left = True, False, b"", given

            def ZstdDecompressor(self) -> Any:  # noqa: N802
                return self

            def decompress(self, data: Any, most: int) -> bytes:
                assert most <= 5
                made, self.left = self.left[:most], self.left[most:]
                self.eof, self.needs_input = not self.left, False
                return made

        stored = b"".join(codec.compressed_chunks([b"abcd"], 4, 3))
        monkeypatch.setattr(codec, "_zstd", Careless)
        with pytest.raises(CodecDataError, match="not exactly raw_len bytes"):
            list(codec.decompressed_chunks({"raw_len": 4}, stored, "x"))

    def test_an_empty_section_and_one_of_a_byte(self) -> None:
        for raw in (b"", b"x"):
            stored = b"".join(codec.compressed_chunks([raw], len(raw), 3))
            assert b"".join(codec.decompressed_chunks({"raw_len": len(raw)}, stored, "x")) == raw


class TestSettings:
    @pytest.mark.parametrize(
        ("fields", "error", "message"),
        [
            ({"compress": "lz4"}, ValueError, "compress: expected None or zstd, found 'lz4'"),
            ({"compress": True}, ValueError, "compress: expected None or zstd, found True"),
            ({"compress": ["zstd"]}, ValueError, "found \\['zstd'\\]"),
            (
                {"compress": "zstd", "compress_level": 23},
                ValueError,
                "compress_level: expected -131072 to 22, found 23",
            ),
            ({"compress": "zstd", "compress_level": -131073}, ValueError, "compress_level: expected"),
            ({"compress": "zstd", "compress_level": 3.0}, TypeError, "compress_level: expected an int, found 3.0"),
            ({"compress_level": True}, TypeError, "compress_level: expected an int, found True"),
        ],
    )
    def test_an_unknown_codec_or_level_is_refused(
        self, fields: dict[str, Any], error: type[Exception], message: str
    ) -> None:
        with pytest.raises(error, match=message):
            PackOptions(**fields)

    def test_without_a_library_the_writer_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        hide(monkeypatch)
        with pytest.raises(MissingExtraError, match=r"pickleseal\[zstd\]"):
            PackOptions(compress="zstd")
        assert unpack(pack(TEXT, options=PackOptions())) == TEXT
        with pytest.raises(pickleseal.errors.UnsupportedCodecError, match=r"pickleseal\[zstd\]"):
            unpack(FLIPPED)

    def test_the_zstandard_of_the_standard_library_comes_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Python 3.14 has `compression.zstd`, and needs no extra."""
        zstd, asked = codec._zstd(), []
        module = types.ModuleType("compression.zstd")

        def get(name: str) -> Any:
            asked.append(name)
            return getattr(zstd, name)

        module.__getattr__ = get  # type: ignore[method-assign]
        package = types.ModuleType("compression")
        package.zstd = module  # type: ignore[attr-defined]
        hide(monkeypatch)
        monkeypatch.setitem(sys.modules, "compression", package)
        monkeypatch.setitem(sys.modules, "compression.zstd", module)
        data = pack(TEXT, options=PackOptions(compress="zstd"))
        assert codecs(peek(data)) == ["zstd"]
        assert unpack(data) == TEXT
        assert {"ZstdCompressor", "ZstdDecompressor", "CompressionParameter", "get_frame_info"} <= set(asked)

    def test_the_failure_of_a_compressor_is_a_pack_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        zstd = codec._zstd()

        class Exhausted:
            CompressionParameter, ZstdError = zstd.CompressionParameter, zstd.ZstdError

            def ZstdCompressor(self, options: Any) -> Any:  # noqa: N802
                raise zstd.ZstdError("Allocation error : not enough memory")

        monkeypatch.setattr(codec, "_zstd", Exhausted)
        with pytest.raises(PackError, match="Zstandard failed: Allocation error"):
            pack(TEXT, options=ZSTD)

    def test_a_section_beyond_the_default_limit_of_readers_gives_a_warning(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(compression, "DEFAULT_MAX_DECODED", 30_000)
        pack(buffers_of([bytes(20_000)]), options=ZSTD)
        with pytest.warns(PackWarning, match=r"decompresses to 40000 bytes.*max_decoded") as caught:
            pack(buffers_of([bytes(20_000), bytearray(20_000)]), options=ZSTD)
        assert caught[0].filename == __file__


def hide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no Zstandard library be found."""
    for name in ("compression", "compression.zstd", "backports.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    backports = sys.modules.get("backports")
    if backports is not None:
        monkeypatch.delattr(backports, "zstd", raising=False)


class TestOperations:
    """All that can be done with an artifact can be done with a compressed one."""

    def test_files(self, tmp_path: Path) -> None:
        path = tmp_path / "a.pseal"
        obj = [TEXT, *buffers_of([bytes(200_000), NOISE])]
        pickleseal.dump(obj, path, options=ZSTD, durable=False)
        assert path.stat().st_size < 60_000
        assert codecs(peek(path)) == codecs(verify(path)) == ["zstd", "zstd", None]
        assert pickleseal.load(path) == [TEXT, bytes(200_000), NOISE]
        assert Reader().read(path).object == [TEXT, bytes(200_000), NOISE]
        assert codecs(Reader(Policy(level="strict")).check(path)) == ["zstd", "zstd", None]
        assert pickleseal.loads(path.read_bytes()) == [TEXT, bytes(200_000), NOISE]

    def test_a_signature_is_over_what_is_stored(self, tmp_path: Path) -> None:
        import hashlib

        ring = KeyRing([Key.hmac("k", bytes(32))])
        data = pack(TEXT, options=PackOptions(compress="zstd", keys=ring))
        header = verify(data, policy=Policy(keys=ring))
        start = header.preamble.head_len
        stored = data[start : start + header.sections[0].len]
        assert header.sections[0].sha256 == hashlib.sha256(stored).hexdigest()
        assert unpack(data, policy=Policy(keys=ring, level="signed")) == TEXT

    def test_seal_keeps_what_is_compressed(self, tmp_path: Path) -> None:
        path, ring = tmp_path / "a.pseal", KeyRing([Key.hmac("k", bytes(32))])
        pickleseal.dump([TEXT, *buffers_of([bytes(100_000)])], path, options=ZSTD, durable=False)
        before = peek(path)
        after = pickleseal.maintenance.seal(path, ring)
        assert [(s.codec, s.raw_len, s.xxh3) for s in after.sections] == [
            (s.codec, s.raw_len, s.xxh3) for s in before.sections
        ]
        assert pickleseal.load(path, policy=Policy(keys=ring)) == [TEXT, bytes(100_000)]

    @pytest.mark.parametrize("was", ["zstd", None])
    @pytest.mark.parametrize("writer", ["default", "zstd", "plain"])
    def test_upgrade_keeps_compression_or_follows_its_writer(
        self, was: str | None, writer: str, tmp_path: Path
    ) -> None:
        path, registry = tmp_path / "a.pseal", pickleseal.Registry()
        registry.register(Note, "notes.Note")
        pickleseal.dump(Note(TEXT), path, options=PackOptions(registry=registry, compress=was), durable=False)
        registry = pickleseal.Registry()
        registry.register(Note, "notes.Note", version=1)
        registry.migration("notes.Note", from_version=0)(lambda state: state)
        told = {
            "default": None,
            "zstd": PackOptions(registry=registry, compress="zstd", compress_level=1),
            "plain": PackOptions(registry=registry),
        }[writer]
        policy = Policy(registry=registry)
        assert pickleseal.maintenance.upgrade(path, policy=policy, options=told, durable=False)
        assert codecs(peek(path)) == [{"default": was, "zstd": "zstd", "plain": None}[writer]]
        assert pickleseal.load(path, policy=policy) == Note(TEXT)

    def test_a_policy_can_refuse_what_is_compressed(self) -> None:
        with pytest.raises(pickleseal.errors.PolicyError):
            unpack(FLIPPED, policy=Policy(codecs=()))
        with pytest.raises(LimitExceededError):
            verify(FLIPPED, policy=Policy(limits=Limits(max_decoded=20_000)))


@dataclasses.dataclass
class Note:
    text: str


def zstd_frame(*sections: bytes | tuple[int, bytes]) -> bytes:
    """Build an artifact by hand, with sections of (raw_len, stored) compressed."""
    stored = [part if isinstance(part, bytes) else part[1] for part in sections]
    frame = Frame(*stored)
    for entry, part in zip(frame.section_fields, sections, strict=True):
        if not isinstance(part, bytes):
            entry.update(codec="zstd", raw_len=part[0])
    return frame.data


class TestSeveralAtOnce:
    GOOD = b"".join(codec.compressed_chunks([bytes(1 << 21)], 1 << 21, 1))

    @pytest.mark.parametrize("threads", [True, False])
    def test_the_first_bad_section_is_named(self, threads: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        """spec 11, step 18: for k = 0, 1, ..."""
        monkeypatch.setattr(compression, "pays", lambda lengths: bool(list(lengths)) and threads)
        payload = b"".join(codec.compressed_chunks([PAYLOAD], len(PAYLOAD), 1))
        slow = (1 << 21, self.GOOD[:-1])  # found only at its end
        for bad in ([slow, (9, b"x")], [(9, b"x"), slow]):
            data = zstd_frame((len(PAYLOAD), payload), (1 << 21, self.GOOD), *bad)
            for _ in range(5):
                with pytest.raises(CodecDataError) as caught:
                    verify(data)
                assert (caught.value.where, caught.value.step) == ("sections[2]", 18)

    def test_work_stops_if_nobody_waits_for_it(self) -> None:
        class Stopped:
            is_stopped = True

        pool: Any = Stopped()
        assert compression._shrunk([bytes(1 << 22)], 1 << 22, 3, pool) is None
        entry = {"codec": "zstd", "raw_len": 1 << 21}
        assert compression._decompressed(1, entry, self.GOOD, True, pool) is None

    def test_many_large_sections_come_back(self) -> None:
        raw = [bytes([n]) * (200_000 + n) for n in range(20)]
        data = pack(buffers_of(raw), options=ZSTD)
        assert codecs(verify(data))[1:] == ["zstd"] * 20
        assert unpack(data) == raw


CHILD = """
import sys, pickleseal
def status(name):
    return int(open("/proc/self/status").read().split(name + ":")[1].split()[0]) * 1024
with open(sys.argv[1], "rb") as file:
    data = file.read()
try:
    pickleseal.verify(pickleseal.pack("x" * 2000, options=pickleseal.PackOptions(compress="zstd")))
    before = status("VmHWM"), status("VmPeak")
    pickleseal.verify(data)
except pickleseal.errors.ReadError as exc:
    print(exc.code, status("VmHWM") - before[0], status("VmPeak") - before[1])
else:
    print("accepted", status("VmHWM") - before[0], status("VmPeak") - before[1])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
class TestMemory:
    """spec 3, I6: no allocation is larger than what is there, or than the caller's limit."""

    GIB = 1 << 30
    LYING = b"\x28\xb5\x2f\xfd\x80" + bytes((13 << 3,)) + GIB.to_bytes(4, "little")  # window 8 MiB, content 1 GiB

    def peak(self, data: bytes, tmp_path: Path) -> tuple[str, int, int]:
        path = tmp_path / "bomb.pseal"
        path.write_bytes(data)
        done = subprocess.run([sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, check=True)
        code, resident, virtual = done.stdout.split()
        return code, int(resident), int(virtual)

    @pytest.mark.parametrize("index", [0, 1])
    def test_a_wrong_length_allocates_nothing(self, index: int, tmp_path: Path) -> None:
        """raw_len and the frame's own content size agree on 1 GiB; 100 bytes are there."""
        stored = (self.LYING + (80 << 3 | 1).to_bytes(3, "little") + bytes(80), self.LYING + b"\x03\0\x10" + b"x")[
            index
        ]
        sections: list[Any] = [(self.GIB, stored)] if not index else [PAYLOAD, (self.GIB, stored)]
        code, resident, virtual = self.peak(zstd_frame(*sections), tmp_path)
        assert code == "codec-data"
        assert resident < 24 << 20
        assert virtual < 64 << 20

    def test_data_beyond_raw_len_is_not_decoded(self, tmp_path: Path) -> None:
        """100 bytes are declared; blocks for 256 MiB follow."""
        block = (1 << 17 << 3 | 2).to_bytes(3, "little") + b"x"  # RLE: 128 KiB out of four bytes
        stored = b"\x28\xb5\x2f\xfd\x80" + bytes((13 << 3,)) + (100).to_bytes(4, "little") + block * 2048
        code, resident, _ = self.peak(zstd_frame((100, stored)), tmp_path)
        assert code == "codec-data"
        assert resident < 24 << 20

    def test_verify_keeps_no_buffer(self, tmp_path: Path) -> None:
        """256 MiB in a buffer: judged as it goes by."""
        size = 1 << 28
        stored = b"".join(codec.compressed_chunks([bytes(size)], size, 1))
        frame = Frame(b"\x80\x05\x97.", stored, type="builtins:memoryview")
        frame.section_fields[1] = {"codec": "zstd", "raw_len": size}
        code, resident, _ = self.peak(frame.data, tmp_path)
        assert code == "accepted"
        assert resident < 48 << 20
