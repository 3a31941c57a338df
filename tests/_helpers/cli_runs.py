"""How tests run the command line: in a process of its own, in a folder, and compared with golden files.

Where the system can fork, the processes are forked from one that has imported the library and nothing else: a new
interpreter for each of some hundred runs would take most of the time.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from _helpers.support import GOLDEN

SERVER = """
import importlib, json, os, sys, traceback, warnings
from pickleseal._cli.main import main

for line in sys.stdin.buffer:
    told = json.loads(line)
    child = os.fork()
    if not child:
        code = 70
        try:
            os.chdir(told["folder"])
            os.environ.clear()
            os.environ.update(told["environment"])
            for number, name in enumerate(told["files"]):
                os.dup2(os.open(name, os.O_RDWR), number)
            sys.stdin = open(0, closefd=False)
            importlib.invalidate_caches()
            if "code" in told:
                warnings.simplefilter("ignore")
                exec(told["code"], {"__name__": "__main__"})
                code = 0
            else:
                code = main(told["arguments"])
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\\n")
    sys.stdout.flush()
"""


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
    if hasattr(os, "fork"):
        return _forked(folder, {"arguments": arguments}, stdin, environment)
    return _started(folder, ["-m", "pickleseal", *arguments], stdin, environment)


def python(folder: Path, code: str) -> str:
    """Run some Python code in a folder, as a deploy of its own, and return what it prints."""
    if hasattr(os, "fork"):
        ran = _forked(folder, {"code": code}, b"", {})
    else:
        ran = _started(folder, ["-W", "ignore", "-c", code], b"", {})
    assert ran.code == 0, ran.err
    return ran.out


@functools.cache
def _server() -> subprocess.Popen[bytes]:
    import atexit

    server = subprocess.Popen([sys.executable, "-B", "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def stop() -> None:
        server.communicate()

    atexit.register(stop)
    return server


def _forked(folder: Path, told: dict[str, Any], stdin: bytes, more: dict[str, str]) -> Ran:
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    with tempfile.TemporaryDirectory() as name:
        files = [Path(name) / part for part in ("in", "out", "err")]
        for path, data in zip(files, (stdin, b"", b""), strict=True):
            path.write_bytes(data)
        told = {**told, "folder": str(folder), "files": [str(path) for path in files], "environment": _env(more)}
        server.stdin.write(json.dumps(told).encode() + b"\n")
        server.stdin.flush()
        code = int(server.stdout.readline())
        return Ran(code, *(path.read_text("utf-8") for path in files[1:]))


def _started(folder: Path, arguments: list[str], stdin: bytes, more: dict[str, str]) -> Ran:
    command = [sys.executable, "-B", *arguments]
    done = subprocess.run(command, cwd=folder, input=stdin, capture_output=True, env=_env(more), check=False)
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())


def _env(more: dict[str, str]) -> dict[str, str]:
    dropped = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TERM")
    return {**{name: value for name, value in os.environ.items() if name not in dropped}, "COLUMNS": "80", **more}


def golden(name: str, found: str) -> None:
    """Compare an output with the golden file, or write it where PICKLESEAL_UPDATE_GOLDEN is set."""
    path = GOLDEN / name
    if os.environ.get("PICKLESEAL_UPDATE_GOLDEN"):
        path.write_text(found, "utf-8")
    assert found == path.read_text("utf-8")
