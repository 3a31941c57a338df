"""Whole frames: what is written comes back on every way to read it, and each damage is named with its place."""

from typing import Any

import pytest
from frames import MAGIC, Frame
from hypothesis import given
from hypothesis import strategies as st

import pickleseal
from pickleseal import errors
from pickleseal._format.checksum import checksum, checksum_hex
from pickleseal._format.frame import (
    DeferredFrame,
    SectionCheck,
    check_section,
    decode_plain,
    encode_frame,
    frame_parts,
    padding_of,
)
from pickleseal._format.header_cache import header_cache
from pickleseal._format.seal import Signature, signed_body

sections = st.lists(st.lists(st.binary(max_size=200), max_size=3), min_size=1, max_size=4)


def fields(count: int) -> dict[str, Any]:
    return {**Frame().fields, "sections": [{} for _ in range(count)]}


def joined(parts: list[Any]) -> bytes:
    return b"".join(bytes(part) for part in parts)


class TestWriting:
    @given(sections, st.integers(0, 3), st.integers(0, 3))
    def test_a_frame_is_what_the_generator_of_the_vectors_makes(
        self, parts: list[list[bytes]], stream_id: int, seq: int
    ) -> None:
        expected = Frame(*map(b"".join, parts))
        expected.preamble = {"stream_id": stream_id, "seq": seq}
        frame = encode_frame(fields(len(parts)), parts)
        found = frame_parts(frame, stream_id=stream_id, seq=seq)
        assert joined(found) == expected.data
        assert frame.length == len(expected.data) - 64 == len(frame.header) + len(joined(frame.parts))

    @given(sections, st.integers(0, 64))
    def test_a_deferred_frame_is_the_same(self, parts: list[list[bytes]], length: int) -> None:
        build = {"python": "x" * length}  # headers of any length: one too many would be a block of padding more
        frame = DeferredFrame({**fields(len(parts)), "build": build}, parts)
        body = b""
        for index, section in enumerate(parts):
            frame.hash(index)
            body += b"".join(section) + frame.padding(index)
        head = frame.head()
        assert len(head) == 64 + frame.header_len
        assert frame.length == len(head) + len(body)
        assert head + body == Frame(*map(b"".join, parts), build=build).data

    def test_there_is_an_entry_for_each_section(self) -> None:
        for make in (encode_frame, DeferredFrame):
            for count in (1, 3):
                with pytest.raises(ValueError, match="zip"):
                    make(fields(count), [[b"N."], [b"x"]])

    def test_a_seal_signs_the_place_and_the_header(self) -> None:
        signed: list[bytes] = []

        def sign(body: bytes) -> Signature:
            signed.append(body)
            return Signature("hmac-sha256", "k", b"s" * 32)

        frame = encode_frame({**fields(1), "sections": [{"sha256": "0" * 64}]}, [[b"N."]])
        data = joined(frame_parts(frame, sign, 5, 6))
        header = pickleseal.peek(data)
        place = MAGIC + data[8:16] + data[40:56]
        assert signed == [place + frame.header] == [signed_body(header.preamble, frame.header)]
        assert (header.preamble.stream_id, header.preamble.seq) == (5, 6)
        assert header.signatures == (("hmac-sha256", "k"),)
        assert len(data) == header.frame_len == 64 + frame.length + header.preamble.seal_len

    def test_nothing_is_joined_or_copied(self) -> None:
        first, second = bytearray(b"x" * 100), memoryview(b"y" * 64)
        found = frame_parts(encode_frame(fields(2), [[first], [second]]))
        assert found[2] is first
        assert found[4] is second
        assert len(found) == 5  # preamble, header, section, padding, section that needs none

    def test_padding(self) -> None:
        assert [padding_of(length) for length in (0, 1, 63, 64, 65)] == [0, 63, 1, 0, 63]


class TestSectionCheck:
    data = b"x" * 100

    def entry(self, **members: str) -> dict[str, Any]:
        return {"len": len(self.data), "xxh3": checksum_hex(self.data), **members}

    def refusals(self, entry: dict[str, Any], padding: bytes) -> list[errors.ReadError]:
        """Check the bytes in one go and piece by piece; return what each raised."""
        found = []
        with pytest.raises(errors.ReadError) as caught:
            check_section(3, entry, self.data, padding)
        found.append(caught.value)
        check = SectionCheck(3, entry)
        check.update(self.data[:40])
        check.update(memoryview(self.data)[40:])
        with pytest.raises(errors.ReadError) as caught:
            check.finish(padding)
        return [*found, caught.value]

    def test_right_bytes_pass(self) -> None:
        import hashlib

        for entry in (self.entry(), self.entry(sha256=hashlib.sha256(self.data).hexdigest())):
            check_section(3, entry, self.data, bytes(28))
            check_section(3, entry, memoryview(self.data), b"")
            check = SectionCheck(3, entry)
            check.update(self.data)
            check.finish(bytes(28))

    def test_a_wrong_checksum_is_refused(self) -> None:
        for error in self.refusals(self.entry(xxh3="0" * 16), bytes(28)):
            assert isinstance(error, errors.SectionChecksumError)
            assert (error.where, error.expected, error.found) == ("sections[3]", "0" * 16, checksum_hex(self.data))

    def test_a_wrong_sha256_is_refused(self) -> None:
        for error in self.refusals(self.entry(sha256="0" * 64), bytes(28)):
            assert isinstance(error, errors.SectionChecksumError)
            assert (error.where, error.expected) == ("sections[3]", "0" * 64)
            assert len(str(error.found)) == 64

    def test_padding_that_is_not_zero_is_refused(self) -> None:
        for padding in (bytes(27) + b"\1", b"\1" + bytes(27), *(bytes([value]) * 28 for value in range(1, 256))):
            for error in self.refusals(self.entry(), padding):
                assert isinstance(error, errors.SectionPaddingError)
                assert (error.where, error.found) == ("sections[3]", padding.hex())

    def test_a_sha256_of_the_caller_is_taken(self) -> None:
        entry = self.entry(sha256="a" * 64)
        check_section(3, entry, self.data, b"", "a" * 64)
        with pytest.raises(errors.SectionChecksumError) as caught:
            check_section(3, entry, self.data, b"", "b" * 64)
        assert (caught.value.expected, caught.value.found) == ("a" * 64, "b" * 64)
        check = SectionCheck(3, entry, with_sha256=False)
        check.update(self.data)
        check.finish_xxh3()
        check.finish_rest(b"", "a" * 64)


def seen() -> bytes:
    """Return an artifact whose header is in the cache."""
    header_cache.clear()
    data = Frame(b"x" * 100).data
    pickleseal.peek(data)
    return data


class TestPlain:
    """`decode_plain` gives what the long way gives, or None. It never decides an error."""

    def test_it_gives_the_fields_and_the_payload(self) -> None:
        data = seen()
        assert decode_plain(data) == (pickleseal.peek(data).as_dict(), b"x" * 100)
        full = Frame(b"x" * 128)
        assert decode_plain(full.data) == (full.header(), b"x" * 128)

    def test_a_header_that_is_not_in_the_cache_goes_the_long_way(self) -> None:
        data = seen()
        header_cache.clear()
        assert decode_plain(data) is None

    @pytest.mark.parametrize(
        "changed",
        [
            {"minor": 1},
            {"flags": 1},
            {"frame_len": 512},
            {"seal_len": 64},
            {"stream_id": 1},
            {"stream_id": 1, "seq": 1},
            {"seq": 1},
            {"header_len": 255},
            {"header_len": 192},
            {"header_xxh3": 1},
            {"preamble_xxh3": 1},
        ],
    )
    def test_a_preamble_of_another_kind_goes_the_long_way(self, changed: dict[str, int]) -> None:
        seen()
        frame = Frame(b"x" * 100)
        frame.preamble = changed
        assert decode_plain(frame.data) is None

    def test_damage_goes_the_long_way(self) -> None:
        data = seen()
        for length in range(len(data)):
            assert decode_plain(data[:length]) is None
            flipped = bytearray(data)
            flipped[length] ^= 1
            assert decode_plain(bytes(flipped)) is None
        assert decode_plain(data + bytes(64)) is None
        for value in range(1, 256):
            assert decode_plain(data[:-28] + bytes([value]) * 28) is None

    def test_lengths_that_do_not_add_up_go_the_long_way(self) -> None:
        seen()
        for length in (0, 1, 64, 99, 129, 164):
            frame = Frame(b"x" * 100)
            frame.section_fields = [{"len": length, "xxh3": checksum_hex(b"x" * min(length, 100))}]
            assert decode_plain(frame.data) is None

    def test_an_empty_payload_goes_the_long_way(self) -> None:
        seen()
        frame = Frame(b"")
        frame.preamble = {"frame_len": len(frame.data)}
        assert decode_plain(frame.data) is None


def test_the_checksum_in_hexadecimal_has_16_digits() -> None:
    assert checksum_hex(b"") == f"{checksum(b''):016x}"
    assert {len(checksum_hex(bytes([n]))) for n in range(256)} == {16}
