"""Run the command line in this process, with streams of its own, and compare what it prints with files."""

import contextlib
import io
import json
import os
import re
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple
from unittest import mock

from _helpers.support import GOLDEN
from pickleseal._cli.main import main

# What help must not say on the command line, and what it must not say to callers.
_FUNCTIONS = "Policy|Limits|PackOptions|PackOptions|repair|seal|iter_load|adopt|repickle|extract"
PYTHON = re.compile(rf"\b({_FUNCTIONS})\(|\b(trust|policy|keys|encoding|isolated)=")
SHELL = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
_NOW = "1798761600"  # 2027-01-01: ages in golden files do not change


class Said(NamedTuple):
    """What a run printed, and its exit code."""

    code: int
    out: str
    err: str
    raw: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The JSON object of `--json`."""
        loaded: dict[str, Any] = json.loads(self.out)
        return loaded

    @property
    def result(self) -> dict[str, Any]:
        """The one result of `--json`."""
        (found,) = self.json["results"]
        return found  # type: ignore[no-any-return]


class _Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


def cli(
    *arguments: object,
    stdin: bytes = b"",
    encoding: str = "utf-8",
    terminal: bool = False,
    env: Mapping[str, str] | None = None,
) -> Said:
    """Run `pickleseal` with some arguments."""
    kind = _Terminal if terminal else io.TextIOWrapper
    out, err = (kind(io.BytesIO(), encoding=encoding) for _ in range(2))
    given = io.TextIOWrapper(io.BytesIO(stdin))
    clean = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    environment = {**clean, "COLUMNS": "80", "SOURCE_DATE_EPOCH": _NOW, **(env or {})}
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, environment, clear=True))
        stack.enter_context(mock.patch.object(sys, "stdin", given))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        code = main([str(argument) for argument in arguments])
    for stream in (out, err):
        stream.flush()
    raw: bytes = out.buffer.getvalue()  # type: ignore[attr-defined]
    said = raw.decode(encoding, "replace")
    return Said(code, said, err.buffer.getvalue().decode(encoding), raw)  # type: ignore[attr-defined]


def compare(name: str, said: Said) -> None:
    """Compare with a golden file, or write it where PICKLESEAL_UPDATE_GOLDEN is set."""
    path = GOLDEN / f"{name}.txt"
    text = f"{said.out}exit code {said.code}\n"
    if os.environ.get("PICKLESEAL_UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8", newline="\n")
    assert text == path.read_text("utf-8"), f"{path} differs: PICKLESEAL_UPDATE_GOLDEN=1 writes it anew, then look"
