"""Mutation testing of the core, outside the suite: `make soak` runs it after the fuzzing.

    python tests/mutation.py [--seconds N] [PART ...]

mutmut changes one expression of a module after the other, and runs the tests that reach it. A change that no test
notices is called a survivor: write the missing test, or delete the code. Texts of errors are not changed. The work is
kept in `.mutation/`, so that the next run goes on where this one ended.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / ".mutation"
# Lines that mutmut leaves alone: an error that is raised or made, and a line that is a text and nothing else.
TEXTS = (
    r"(raise|return|yield) .*([Ee]rror|wrong)\(",
    r"^\s*return f?[\"'].*[\"']$",
    r"^\s*(hint=)?f?[\"'][^\"']*[\"'],?$",
)


class Part(NamedTuple):
    """Some modules, and the tests that are to notice each change of them."""

    modules: tuple[str, ...]
    tests: tuple[str, ...]


VECTORS = ("tests/conformance/test_vectors.py", "tests/conformance/test_stream_vectors.py")
KEYS = ("tests/unit/test_keys.py", "tests/unit/test_seals.py")
CLASSES = tuple(
    f"tests/unit/schema/test_{name}.py"
    for name in ("migrations", "packages", "refusals", "two_loads", "unusual_classes")
)
PARTS = {
    "format": Part(("_format/*",), ("tests/unit/format", "tests/unit/test_compress.py", *KEYS, *VECTORS)),
    "schema": Part(("_schema/*",), ("tests/unit/schema",)),
    "policy": Part(
        ("_policy.py",), ("tests/unit/test_policy.py", "tests/unit/trust/test_trust.py", *CLASSES, *KEYS, *VECTORS)
    ),
    "reading": Part(
        ("_reading.py",), ("tests/unit/test_api.py", "tests/unit/test_policy.py", *CLASSES, *KEYS, *VECTORS)
    ),
}


def prepare(name: str) -> Path:
    """Make the folder in which a part is worked on, with links to this source, and mutmut's settings."""
    folder = WORK / name
    folder.mkdir(parents=True, exist_ok=True)
    for entry in ("src", "tests", "spec", "docs", "README.md"):
        if not (folder / entry).is_symlink():
            (folder / entry).symlink_to(ROOT / entry)
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    part = PARTS[name]
    settings = {
        "source_paths": ["src"],
        "only_mutate": [f"src/pickleseal/{pattern}" for pattern in part.modules],
        "do_not_mutate_patterns": list(TEXTS),
        "also_copy": ["spec", "docs", "README.md"],
        "pytest_add_cli_args": ["-p", "no:cacheprovider", "-p", "no:xdist"],
        "pytest_add_cli_args_test_selection": list(part.tests),
    }
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())
    (folder / "pyproject.toml").write_text(f"{text}\n[tool.mutmut]\n{lines}", "utf-8")
    return folder


def mutmut(folder: Path, *arguments: str, seconds: float | None = None) -> str:
    """Run a command of mutmut, for some seconds at most, and return what it printed."""
    command = [sys.executable, "-m", "mutmut", *arguments]
    environment = {**os.environ, "HYPOTHESIS_PROFILE": "mutation"}
    with subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            return process.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            return process.communicate()[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1200)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    options = parser.parse_args()
    end = time.monotonic() + options.seconds
    names = options.parts or list(PARTS)
    for number, name in enumerate(names):
        folder = prepare(name)
        said = mutmut(folder, "run", seconds=(end - time.monotonic()) / (len(names) - number))
        results = re.findall(r"^ +(\S+): ([\w ]+)$", mutmut(folder, "results", "--all", "true"), re.MULTILINE)
        if not results:
            print(said[-3000:])
            return 1
        counts = {status: sum(found == status for _, found in results) for status in sorted({s for _, s in results})}
        print(f"{name}: {', '.join(f'{count:,} {status}' for status, count in counts.items())}", flush=True)
        for mutant, status in results:
            if status == "survived":
                changed = re.findall(r"^[-+](?![-+]).*", mutmut(folder, "show", mutant), re.MULTILINE)
                print(f"{mutant}\n  " + "\n  ".join(changed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
