"""The preamble: what is decoded, what is refused at which value, and what foreign bytes are called."""

import base64
import collections
import datetime
import gzip
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest
from frames import Frame

from pickleseal import Limits
from pickleseal._format.limits import MAX_HEADER, MAX_INTEGER, MAX_SEAL
from pickleseal._format.preamble import Preamble, check_limits, decode_preamble, encode_preamble
from pickleseal.errors import (
    Hint,
    LimitExceededError,
    NotAnArtifactError,
    PreambleFieldError,
    ReadError,
    TruncatedError,
)

STEP = 64


def preamble(**changed: int) -> bytes:
    """Return the preamble of a frame, with other values in some of its fields and a right checksum."""
    frame = Frame()
    frame.preamble = changed
    return frame.data[:64]


def refusal(data: bytes, limits: Limits | None = None) -> ReadError:
    with pytest.raises(ReadError) as caught:
        decode_preamble(data, limits or Limits())
    return caught.value


def test_a_preamble_comes_back() -> None:
    data = encode_preamble(512, b"x" * 128, 64, 3, 9, 8)
    found = decode_preamble(data, Limits())
    assert found == Preamble(3, 512, 128, 64, found.header_xxh3, 9, 8)
    assert found.head_len == 64 + 128 + 64


class TestLengths:
    @pytest.mark.parametrize(
        ("changed", "field"),
        [
            ({"header_len": 0}, "header_len"),
            ({"header_len": 63}, "header_len"),
            ({"header_len": 65}, "header_len"),
            ({"header_len": MAX_HEADER + STEP, "frame_len": 2 * MAX_HEADER}, "header_len"),
            ({"seal_len": 1}, "seal_len"),
            ({"seal_len": MAX_SEAL + STEP, "frame_len": 2 * MAX_HEADER}, "seal_len"),
            ({"header_len": 64, "seal_len": 64, "frame_len": 192}, "frame_len"),
            ({"header_len": 64, "seal_len": 64, "frame_len": 257}, "frame_len"),
            ({"header_len": 64, "frame_len": MAX_INTEGER + 1}, "frame_len"),
            ({"seq": 1}, "seq"),
        ],
    )
    def test_a_wrong_value_is_refused_with_its_field(self, changed: dict[str, int], field: str) -> None:
        error = refusal(preamble(**changed))
        assert isinstance(error, PreambleFieldError)
        assert error.where == field
        assert error.found == changed[field]
        assert "64" in str(error.expected) or field == "seq"

    @pytest.mark.parametrize(
        "changed",
        [
            {"header_len": 64, "frame_len": 192},
            {"header_len": MAX_HEADER, "frame_len": 2 * MAX_HEADER},
            {"seal_len": MAX_SEAL, "frame_len": 2 * MAX_HEADER},
            {"header_len": 64, "seal_len": 64, "frame_len": 256},
            {"header_len": 64, "frame_len": MAX_INTEGER // 64 * 64},
            {"stream_id": 1, "seq": 1},
        ],
    )
    def test_the_first_and_the_last_right_value_are_accepted(self, changed: dict[str, int]) -> None:
        found = decode_preamble(preamble(**changed), Limits())._asdict()
        assert {name: found[name] for name in changed} == changed


class TestLimits:
    @pytest.mark.parametrize("name", ["frame", "header"])
    def test_a_length_of_the_limit_is_accepted_and_one_more_is_refused(self, name: str) -> None:
        data = preamble()
        found = decode_preamble(data, Limits())
        length = getattr(found, f"{name}_len")
        limits: dict[str, Any] = {f"max_{name}": length}
        assert decode_preamble(data, Limits(**limits)) == found
        check_limits(found, Limits(**limits))
        limits[f"max_{name}"] -= 1
        error = refusal(data, Limits(**limits))
        assert isinstance(error, LimitExceededError)
        assert error.step == 6
        assert (error.found, error.expected) == (length, f"at most {length - 1} bytes")
        assert name in str(error)
        with pytest.raises(LimitExceededError):
            check_limits(found, Limits(**limits))


class TestTruncation:
    def test_any_beginning_is_truncated_and_nothing_is_too(self) -> None:
        data = preamble()
        for length in range(64):
            error = refusal(data[:length])
            assert isinstance(error, TruncatedError)
            assert (error.step, error.expected, error.found) == (1, 64, length)
            assert ("seek(0)" in str(error.hint)) == (length == 0)

    def test_any_other_beginning_is_not_an_artifact(self) -> None:
        for length in range(1, 9):
            error = refusal(b"\xf7PSL\r\n\x1a\x0b"[8 - length :])
            assert isinstance(error, NotAnArtifactError)


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"\xf7PSL\n\x1a\n", "CR LF became LF"),
        (b"\xf7PSL\r\r\n", "LF became CR LF"),
        (b"\xf7PSL\r\n\x1a\r\n", "LF became CR LF"),
        (b"\x77PSL", "7-bit"),
        (b"\xc3\xb7PSL", "Latin-1"),
        (b"\xef\xbf\xbdPSL", "UTF-8 text"),
        (b"\x1f\x8b", "gzip data"),
        (b"(\xb5/\xfd", "Zstandard data"),
        (b"BZh9", "bzip2 data"),
        (b"\xfd7zXZ\x00", "xz data"),
        (b"PK\x03\x04", "zip archive"),
        (b"\x93NUMPY", ".npy file"),
        (b"SQLite format 3\x00", "SQLite"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"PAR1", "Parquet"),
        (b"%PDF-1.7", "PDF"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"\x78\x9c\x01", "zlib data"),
        (b"\x80\x02", "a bare pickle of protocol 2"),
        (b"Subject: x\n.", "bytes 53 75 62 6a 65 63 74 3a"),
        (b"import os\nfoo\nbar(", "bytes 69 6d 70 6f 72 74 20 6f"),
        (b"(1, 2)", "bytes 28 31 2c 20 32 29"),
        (b"\x80\x05\x95", "a bare pickle of protocol 5"),
        (b"\x80\x01\x95", "bytes 80 01 95"),
        (b"\x80\x06\x95", "bytes 80 06 95"),
        (b"\x81\x05\x95", "bytes 81 05 95"),
        (b"\x80", "bytes 80"),
        (b" \r\n\t<!DOCTYPE html>", "an HTML page ("),
        (b"\xef\xbb\xbf<html>", "an HTML page ("),
        (b"<head>", "an HTML page ("),
        (b"<?xml ", "an XML document ("),
        (b' {"a": 1}', "JSON text"),
        (b"[1]", "JSON text"),
        (bytes(64), "zero bytes"),
        (bytes(63) + b"\1", "bytes 00 00 00 00 00 00 00 00"),
        (b"X<html>", "bytes 58 3c 68 74 6d 6c 3e"),
        (b"0123456789", "bytes 30 31 32 33 34 35 36 37"),
    ],
)
def test_foreign_bytes_are_named(start: bytes, name: str) -> None:
    error = refusal(start)
    assert isinstance(error, NotAnArtifactError)
    if name.startswith("bytes "):
        assert error.found == name
    else:
        assert name in str(error.found)


OBJECTS = [
    *(1, -5, 1.5, 2**70, None, "text", "", {"a": 1}, {}, [1], [], (), (1, 2), ("a",), (1.5, "x"), {1, 2}, [[[]]]),
    *(datetime.date(2020, 1, 1), Path("a"), collections.OrderedDict(a=1), Limits, len, b"bytes"),
]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("obj", OBJECTS, ids=repr)
def test_bare_pickles_of_every_protocol_are_named_with_the_way_out(obj: object, protocol: int) -> None:
    data = pickle.dumps(obj, protocol)
    error = refusal(data[:64])
    lowest = next(number for number in range(6) if pickle.dumps(obj, number) == data)  # None is the same in 0 and 1
    assert error.found == f"a bare pickle of protocol {lowest}"
    assert ("adopt" if protocol > 1 else "repickle") in str(error.hint)
    assert isinstance(error.hint, Hint)
    assert "pickleseal convert " in error.hint.commands[0]
    if protocol > 1:
        for encoded in (base64.b64encode(data), base64.encodebytes(data)):
            assert refusal(encoded[:64]).found == "a bare pickle in base64"
    for compressed in (zlib.compress(data), gzip.compress(data)):
        assert "decompress" in str(refusal(compressed[:64]).hint)


def test_a_file_of_joblib_is_named(tmp_path: Path) -> None:
    joblib, numpy = pytest.importorskip("joblib"), pytest.importorskip("numpy")
    joblib.dump(numpy.arange(3), tmp_path / "a.joblib")
    assert refusal((tmp_path / "a.joblib").read_bytes()[:64]).found == "a file of joblib"


def test_foreign_bytes_are_named_by_the_first_64() -> None:
    assert "zero bytes" in str(refusal(bytes(64) + b"\1").found)
    assert "bytes 00" in str(refusal(bytes(63) + b"\1").found)
