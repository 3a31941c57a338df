"""How tests run the command line: in a process of its own, in a folder, and compared with golden files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

GOLDEN = Path(__file__).resolve().parent / "cli" / "golden"


class Ran(NamedTuple):
    """What came of a run."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def run(folder: Path, *arguments: str, stdin: bytes = b"", **environment: str) -> Ran:
    """Run `pickleseal ARGUMENTS` in a folder."""
    return _run(folder, ["-m", "pickleseal", *arguments], stdin, environment)


def python(folder: Path, code: str) -> str:
    """Run some Python code in a folder, as a deploy of its own, and return what it prints."""
    ran = _run(folder, ["-W", "ignore", "-c", code], b"", {})
    assert ran.code == 0, ran.err
    return ran.out


def _run(folder: Path, arguments: list[str], stdin: bytes, more: dict[str, str]) -> Ran:
    dropped = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TERM")
    environment = {name: value for name, value in os.environ.items() if name not in dropped}
    done = subprocess.run(
        [sys.executable, "-B", *arguments],
        cwd=folder,
        input=stdin,
        capture_output=True,
        env={**environment, "COLUMNS": "80", **more},
        timeout=60,
        check=False,
    )
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())


def golden(name: str, found: str) -> None:
    """Compare an output with the golden file, or write it where PICKLESEAL_UPDATE_GOLDEN is set."""
    path = GOLDEN / name
    if os.environ.get("PICKLESEAL_UPDATE_GOLDEN"):
        path.write_text(found, "utf-8")
    assert found == path.read_text("utf-8")
