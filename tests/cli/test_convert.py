"""`pickleseal convert`: bare pickles become artifacts and pickles again. None is run without --load."""

from __future__ import annotations

import datetime
import gzip
import io
import json
import lzma
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import canary
import kinds
import pytest
from _helpers import hostile_corpus as hostile
from _helpers.support import GOLDEN

import pickleseal
from pickleseal._cli.main import main


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
