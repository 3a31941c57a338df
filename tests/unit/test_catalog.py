"""`catalog.read_headers`: the headers in some bytes. `tests/cli/test_scan.py` has those of files and URLs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import pickleseal
from pickleseal import Key, KeyRing, Limits, Policy
from pickleseal.catalog import iter_headers, read_headers

ARTIFACT = pickleseal.pack([1, 2, 3])


@pytest.fixture
def stream(tmp_path: Path) -> bytes:
    path = tmp_path / "stream.pseal"
    for record in ("first", 2, None):
        pickleseal.append(path, record)
    return path.read_bytes()


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_an_artifact_has_one_header_and_a_stream_one_for_each_frame(kind: Any, stream: bytes) -> None:
    (entry,) = read_headers(kind(ARTIFACT))
    assert (entry.path, entry.header, entry.error) == ("<bytes>", pickleseal.peek(ARTIFACT), None)
    types = [entry.header and entry.header.type for entry in read_headers(kind(stream), name="inbox")]
    assert types == ["builtins:str", "builtins:int", "builtins:NoneType"]


def test_entries_are_those_of_a_file_with_these_bytes(stream: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x"
    damaged = bytearray(stream)
    damaged[3] ^= 1
    for data in (ARTIFACT, stream, bytes(damaged), b"no artifact", ARTIFACT[:-1], ARTIFACT[:70], stream + b"tail"):
        path.write_bytes(data)
        of_file = [entry._replace(modified=None) for entry in iter_headers([path])]
        of_bytes = list(read_headers(data, name=str(path)))
        assert [shown(entry) for entry in of_bytes] == [shown(entry) for entry in of_file]


def test_an_empty_file_is_a_stream_without_entries_and_no_bytes_at_all_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"")
    assert list(iter_headers([tmp_path / "x"])) == []
    (entry,) = read_headers(b"")
    assert isinstance(entry.error, pickleseal.errors.TruncatedError)


def shown(entry: Any) -> Any:
    return entry._replace(error=str(entry.error))


def test_a_policy_gives_limits_and_keys() -> None:
    ring = KeyRing([Key.hmac("k", b"s" * 32)])
    (entry,) = read_headers(pickleseal.pack(1, keys=ring), policy=Policy(keys=ring))
    assert entry.header is not None
    assert entry.header.verified == (("hmac-sha256", "k"),)
    (entry,) = read_headers(ARTIFACT, policy=Policy(limits=Limits(max_frame=64)))
    assert isinstance(entry.error, pickleseal.errors.LimitExceededError)


@pytest.mark.parametrize("arguments", [{"data": "a.pseal"}, {"data": None}, {"data": ARTIFACT, "policy": {}}])
def test_wrong_arguments_are_heard_at_once(arguments: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        read_headers(**arguments)
