"""docs/cli.md: each ```console block is run in a folder of its own, and must print what the page shows.

`$ pickleseal ...` goes through `main`, `$ python -c ...` through the interpreter, `$ cat FILE` and `$ ls` through here.
What a command prints is compared line by line; `...` stands for anything within a line, and alone for any lines.
"""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from _helpers.support import ROOT, need

from pickleseal._cli.main import COMMANDS, main

PAGE = ROOT / "docs" / "cli.md"
TEXT = PAGE.read_text("utf-8")
BLOCKS = re.findall(r"^```console\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def steps(block: str) -> list[tuple[str, list[str]]]:
    """Split a block into commands and what they print."""
    found: list[tuple[str, list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif line.startswith("> ") and found and not found[-1][1]:
            found[-1] = (f"{found[-1][0]}\n{line[2:]}", [])
        else:
            found[-1][1].append(line)
    return found


def run(command: str) -> str:
    """Run a command line, and return what it prints on both streams; `echo $?` gives the last exit code."""
    if command == "echo $?":
        return f"{run.code}\n"  # type: ignore[attr-defined]
    words = shlex.split(command)
    if words[0] == "pickleseal":
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            run.code = main(words[1:])  # type: ignore[attr-defined]
        return out.getvalue()
    if words[0] == "cat":
        return Path(words[1]).read_text("utf-8")
    if words[0] == "ls":
        return "\n".join(sorted(os.listdir(words[1] if len(words) > 1 else "."))) + "\n"
    if words[0] == "python":
        command_line = [sys.executable, *words[1:]]
        done = subprocess.run(command_line, capture_output=True, text=True, check=False)
        run.code = done.returncode  # type: ignore[attr-defined]
        return done.stdout + done.stderr
    raise AssertionError(f"the page uses {words[0]}")


def matches(wanted: list[str], found: list[str]) -> bool:
    """Compare lines; a line `...` stands for any number of them."""
    if not wanted:
        return not found
    if wanted[0].strip() == "...":
        return any(matches(wanted[1:], found[skip:]) for skip in range(len(found) + 1))
    pattern = ".*".join(re.escape(part) for part in wanted[0].rstrip().split("..."))
    return bool(found) and re.fullmatch(pattern, found[0].rstrip()) is not None and matches(wanted[1:], found[1:])


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_block_does_what_the_page_says(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH")))))
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    before = set(sys.modules)
    try:
        for command, wanted in steps(BLOCKS[number]):
            found = run(command).splitlines()
            assert matches(wanted, found), f"$ {command}\n" + "\n".join(found)
    finally:
        for name in set(sys.modules) - before:
            if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]


def test_every_command_has_a_section_and_an_example() -> None:
    assert BLOCKS
    for name in COMMANDS:
        assert f"\n## {name}\n" in TEXT, name
        assert any(f"$ pickleseal {name}" in block for block in BLOCKS), name


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    overview = capsys.readouterr().out
    for name, text in COMMANDS.items():
        assert name in overview
        assert main([name, "--help"]) == 0
        assert "usage: pickleseal " + name in capsys.readouterr().out
        assert text.split()[0] in overview


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_knows_all_commands(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    need("shtab")
    assert main(["--print-completion", shell]) == 0
    script = capsys.readouterr().out
    for name in COMMANDS:
        assert name in script
    assert "--layout" in script


def test_completion_without_shtab_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["--print-completion", "bash"]) == 2
    assert "pickleseal[completion]" in capsys.readouterr().err
