"""`pickleseal.maintenance`: signatures are removed, and a torn tail is reported. `test_seals.py` has `seal`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from _helpers.cli_support import cli

import pickleseal
from pickleseal import Key, KeyRing, PackOptions, Policy
from pickleseal.errors import SectionChecksumError, TornTailError, TrailingBytesError
from pickleseal.maintenance import remove_signatures, repair, seal, upgrade

KEYS = {name: Key.hmac(name, name.encode() * 32) for name in ("a", "b", "c")}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with the signatures of three keys."""
    path = tmp_path / "report.pseal"
    pickleseal.dump({"rows": list(range(2000))}, path, options=PackOptions(compress="zstd"))
    for key in KEYS.values():
        seal(path, key)
    return path


def signers(path: Path) -> list[str]:
    return [name for _, name in pickleseal.peek(path).signatures]


@pytest.mark.parametrize("ids", [["a"], ("a", "c"), {"b"}, ["c", "c"], iter(["a", "b", "c"]), ["a", "unknown"]])
def test_the_signatures_of_these_keys_are_removed_and_others_verify(path: Path, ids: Any) -> None:
    given = list(ids)
    removed = sorted(set(given) & KEYS.keys())
    before = pickleseal.verify(path).as_dict()
    assert remove_signatures(path, iter(given) if not isinstance(ids, list | tuple | set) else ids) == len(removed)
    left = [name for name in KEYS if name not in removed]
    assert signers(path) == left
    assert pickleseal.verify(path).as_dict()["sections"] == before["sections"]
    if left:
        policy = Policy(keys=KeyRing([KEYS[name] for name in left]), signed_by=tuple(left))
        assert pickleseal.load(path, policy=policy)["rows"][-1] == 1999
    else:
        assert pickleseal.peek(path).preamble.seal_len == 0
        assert pickleseal.load(path)["rows"][-1] == 1999


def test_all_algorithms_of_a_key_are_removed(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    path = tmp_path / "report.pseal"
    pickleseal.dump(1, path)
    for key in (Key.generate("release", "ed25519"), Key.generate("release"), KEYS["a"]):
        seal(path, key)
    assert len(pickleseal.peek(path).signatures) == 3
    assert remove_signatures(str(path), ["release"]) == 2
    assert signers(path) == ["a"]
    pickleseal.verify(path, policy=Policy(keys=KeyRing([KEYS["a"]])))


def test_the_file_stays_as_it_is_when_no_key_has_signed_it(path: Path) -> None:
    before = path.stat()
    assert remove_signatures(path, ["unknown"]) == remove_signatures(path, []) == 0
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_an_artifact_that_was_never_sealed(tmp_path: Path) -> None:
    pickleseal.dump(1, tmp_path / "plain.pseal")
    assert remove_signatures(tmp_path / "plain.pseal", ["a"]) == 0


@pytest.mark.parametrize(
    ("ids", "text"),
    [("a", r"give \['a'\]"), ([KEYS["a"]], "found Key"), ([b"a"], "found bytes"), ([None], "found None")],
)
def test_ids_are_a_list_of_texts(path: Path, ids: Any, text: str) -> None:
    before = path.read_bytes()
    with pytest.raises(TypeError, match=text):
        remove_signatures(path, ids)
    assert path.read_bytes() == before


@pytest.mark.parametrize("work", [lambda url: remove_signatures(url, ["a"]), lambda url: seal(url, KEYS["a"]), repair])
def test_a_url_is_refused(work: Any) -> None:
    with pytest.raises(ValueError, match=r"expected a path, found a URL \(s3://bucket/key\)"):
        work("s3://bucket/key")


def test_a_damaged_file_and_a_stream_are_left_alone(path: Path, tmp_path: Path) -> None:
    damaged = bytearray(path.read_bytes())
    damaged[-1 - pickleseal.peek(path).sections[0].len % 64] ^= 1
    damaged[pickleseal.peek(path).preamble.head_len + 9] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(SectionChecksumError) as caught:
        remove_signatures(path, ["a"])
    assert caught.value.path == str(path)
    assert path.read_bytes() == damaged
    stream = tmp_path / "stream.pseal"
    for record in range(2):
        pickleseal.append(stream, record, options=PackOptions(keys=KeyRing([KEYS["a"]])))
    with pytest.raises(TrailingBytesError):
        remove_signatures(stream, ["a"])
    with pytest.raises(FileNotFoundError):
        remove_signatures(tmp_path / "none.pseal", ["a"])


def test_a_dry_run_reports_the_torn_tail_and_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "events.pseal"
    pickleseal.append(path, "whole")
    assert repair(path, dry_run=True) == 0
    with path.open("ab") as file:
        file.write(pickleseal.pack("torn")[:-5])
    size = path.stat().st_size
    cut = repair(path, dry_run=True)
    assert cut == len(pickleseal.pack("torn")) - 5
    assert path.stat().st_size == size
    with pytest.raises(TornTailError):
        pickleseal.append(path, "next")
    assert repair(path) == cut
    assert repair(path, dry_run=True) == 0


def test_a_dry_run_refuses_what_a_repair_refuses(tmp_path: Path) -> None:
    path = tmp_path / "events.pseal"
    for record in range(2):
        pickleseal.append(path, record)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1  # in the padding or the payload of the last frame
    path.write_bytes(data)
    refusals = []
    for dry_run in (True, False):
        with pytest.raises(pickleseal.errors.ReadError) as caught:
            repair(path, dry_run=dry_run)
        refusals.append((caught.value.code, caught.value.path, caught.value.offset))
        assert caught.value.hint is not None
        assert "repair(path, drop_corrupt=True) cuts the end off" in caught.value.hint
    assert refusals[0] == refusals[1]
    assert refusals[0][1] == str(path)
    cut = repair(path, drop_corrupt=True, dry_run=True)
    assert path.read_bytes() == data
    assert repair(path, drop_corrupt=True) == cut > 0
    with pytest.raises(FileNotFoundError):
        repair(tmp_path / "none", dry_run=True)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("more", ["records", "foreign", "torn"])
def test_an_upgrade_does_not_call_a_stream_current_after_its_first_frame(tmp_path: Path, more: str) -> None:
    path = tmp_path / "stream.pseal"
    pickleseal.append(path, {"n": 1})
    assert upgrade(path) is False
    if more == "records":
        pickleseal.append(path, {"n": 2})
    else:
        with open(path, "ab") as file:
            file.write(b"foreign" if more == "foreign" else pickleseal.pack("torn")[:100])
    data = path.read_bytes()
    with pytest.raises(TrailingBytesError, match="stream") as caught:
        upgrade(path)
    assert caught.value.path == str(path)
    assert path.read_bytes() == data
    said = cli("upgrade", path, "--load")
    assert said.code == 3
    assert "trailing-bytes" in said.out + said.err
