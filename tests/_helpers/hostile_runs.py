"""Load cases of the hostile corpus in child processes with limits, and compare what came of them with what is expected.

Every case is loaded by `hostile_child`; one child takes many cases, and where a case ends it, another takes the rest.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from _helpers import hostile_corpus as hostile
from _helpers.hostile_corpus import CASES
from _helpers.support import child_environment

# What one case may take: processor time in seconds, beyond what its length allows (`hostile_child.SECONDS_PER_BYTE`),
# and resident memory in bytes beyond what was there, with what the artifact itself takes.
MOST_SECONDS, MOST_MEMORY = 2.0, 256 * 2**20


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
            arguments = [level, str(int(isolated)), str(seconds), str(place)]
            done = subprocess.run(
                [sys.executable, "-m", "_helpers.hostile_child", *arguments],
                input="\n".join(names),
                text=True,
                capture_output=True,
                cwd=folder,
                env=child_environment(),
                timeout=120,
                check=False,
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


def soak() -> list[str]:
    """Try all cases in isolation. Return what is wrong."""
    found = []
    for name, told in run("strict", True, promised("strict")).items():
        codes = expected(name, "strict")
        found += problems(name, told, codes | {"isolation-failed"} if hostile.OK not in codes else codes)
    return found
