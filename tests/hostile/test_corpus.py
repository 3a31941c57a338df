"""The hostile corpus against the levels: no marker fires, nothing changes, nothing ends the process.

Every case is loaded in a child process with limits (`hostile_child`); one child takes many cases, and another takes the
rest where a case ends it.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("resource", reason="POSIX only")
import hostile
from hostile import CASES

from pickleseal import errors

HERE = Path(__file__).resolve().parent
# What one case may take: processor time in seconds, and resident memory in bytes beyond what was there, with what the
# artifact itself takes.
MOST_SECONDS, MOST_MEMORY = 2.0, 256 * 2**20
CODES = {cls.code for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, errors.ReadError)}
CODES |= {hostile.OK, hostile.TRUST}
# On other interpreters than the first one, `strict` alone: what it sees depends most on CPython's own ways.
SHORT = "PICKLESEAL_SHORT" in os.environ
LEVELS = ("strict",) if SHORT else ("guarded", "strict")


def promised(level: str) -> list[str]:
    """Return the cases about which a level promises something."""
    return [name for name in CASES if expected(name, level)]


def expected(name: str, level: str) -> frozenset[str]:
    return CASES[name].guarded if level == "guarded" else CASES[name].strict


def run(level: str, isolated: bool, names: list[str], seconds: float = 2 * MOST_SECONDS) -> dict[str, dict[str, Any]]:
    """Load cases in child processes, and return what each of them said, by case."""
    told: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "told"
        while names:
            place.write_text("")
            command = [
                sys.executable,
                str(HERE / "hostile_child.py"),
                level,
                str(int(isolated)),
                str(seconds),
                str(place),
            ]
            done = subprocess.run(
                command, input="\n".join(names), text=True, capture_output=True, cwd=folder, timeout=120, check=False
            )
            lines = place.read_text().splitlines()
            for name, line in zip(lines[::2], lines[1::2], strict=False):
                told[name] = json.loads(line)
            if len(lines) % 2:
                died = {"code": f"died: {done.returncode}", "fired": [], "changed": [], "memory": 0, "seconds": 0}
                told[lines[-1]] = died
            elif done.returncode or done.stdout or done.stderr:
                raise RuntimeError(f"the child ended with {done.returncode}: {done.stdout[-500:]}{done.stderr[-2000:]}")
            names = [name for name in names if name not in told]
    return told


def problems(name: str, told: dict[str, Any], codes: frozenset[str]) -> list[str]:
    """Say what is wrong with the outcome of a case."""
    found = [f"{name}: {what} {told[what]}" for what in ("fired", "changed") if told[what]]
    if told["code"] not in codes:
        found.append(f"{name}: {told['code']}, and expected was {' or '.join(sorted(codes))}")
    if told["seconds"] > MOST_SECONDS or told["memory"] > MOST_MEMORY:
        found.append(f"{name}: took {told['seconds']} s and {told['memory']} bytes")
    return found


@functools.cache
def all_outcomes() -> dict[str, dict[str, dict[str, Any]]]:
    with ThreadPoolExecutor() as pool:
        return dict(zip(LEVELS, pool.map(lambda level: run(level, False, promised(level)), LEVELS), strict=True))


def test_the_corpus_is_large() -> None:
    assert len(CASES) >= 400
    assert len({case.make() for case in CASES.values() if not case.group.startswith(("bomb", "crash"))}) >= 400
    assert {code for case in CASES.values() for code in case.guarded | case.strict} <= CODES


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("group", sorted({case.group for case in CASES.values()}))
def test_a_group_does_no_harm(group: str, level: str) -> None:
    found = [
        problem
        for name, told in all_outcomes()[level].items()
        if CASES[name].group == group
        for problem in problems(name, told, expected(name, level))
    ]
    assert not found, "\n".join(found)


@pytest.mark.skipif(SHORT, reason="on the first interpreter")
def test_in_isolation() -> None:
    """The dry run in a child process: the verdicts of `strict`, or that the child took too much."""
    names = promised("strict")
    groups = {CASES[name].group: name for name in names if CASES[name].group.startswith(("bomb", "crash"))}
    sample = [*groups.values(), *names[::40]]
    for name, told in run("guarded", True, list(dict.fromkeys(sample))).items():
        codes = expected(name, "strict")
        codes = codes | {"isolation-failed"} if hostile.OK not in codes else codes
        assert not problems(name, told, codes | expected(name, "guarded"))


def soak() -> list[str]:
    """Try all cases in isolation. Return what is wrong."""
    found = []
    for name, told in run("strict", True, promised("strict")).items():
        codes = expected(name, "strict")
        found += problems(name, told, codes | {"isolation-failed"} if hostile.OK not in codes else codes)
    return found
