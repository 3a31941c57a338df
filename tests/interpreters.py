"""Run the suite on every other Python 3.10-3.14 of this machine, each in a virtual environment of its own.

Looks on the PATH and where pyenv and uv keep interpreters. A version that is not here is named as such; it is no
failure, but for the set-up of one that is here. Python 3.10 gets numpy 1, the others numpy 2: arrays have to pass
between the two. Two versions get an early release of pydantic.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VERSIONS = ["3.10", "3.11", "3.12", "3.13", "3.14"]
# What depends on the interpreter. The hostile corpus runs at the level `strict` alone (PICKLESEAL_SHORT).
TESTS = ["tests/conformance", "tests/faults", "tests/hostile", "tests/unit"]
MORE = {"3.10": ["tests/cli/test_check.py", "tests/cli/test_inspect.py", "tests/cli/test_verify.py", "tests/property"]}
PYDANTIC = {"3.10": "pydantic>=2.4,<2.5", "3.13": "pydantic>=2.9,<2.10"}
LEFT_OUT = {"tests/unit/test_architecture.py"}
LEFT_OUT_OF_NEWER = {"tests/unit/schema/test_drift.py", "tests/unit/trust/test_benign.py"}


def candidates(version: str) -> list[str]:
    """Return possible interpreters of a version, the likeliest first."""
    homes = [Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"]
    homes.append(Path(sys.base_prefix).parent)  # beside the one that runs this
    homes.append(Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share")) / "uv" / "python")
    found = [str(path) for home in homes for path in sorted(home.glob(f"*{version}.*/bin/python3"), reverse=True)]
    return [f"python{version}", *found]


def works(command: str, version: str) -> bool:
    code = f"import sys, venv, ensurepip; sys.exit('%d.%d' % sys.version_info[:2] != {version!r})"
    try:
        return subprocess.run([command, "-c", code], capture_output=True, timeout=60, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def run(command: str, version: str) -> bool:
    folder = ROOT / f".venv-{version}"
    python = str(folder / "bin" / "python")
    packages = [f"{ROOT}[test]", "numpy>=1.26,<2" if version == "3.10" else "numpy>=2"]
    packages.append(PYDANTIC.get(version, "pydantic"))
    stamp = folder / ".installed"
    wanted = " ".join(packages) + (ROOT / "pyproject.toml").read_text("utf-8")
    if not stamp.exists() or stamp.read_text("utf-8") != wanted:
        subprocess.run([command, "-m", "venv", str(folder)], check=True)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, "--editable", *packages], check=True)
        stamp.write_text(wanted, "utf-8")
    left_out = LEFT_OUT if version in MORE else LEFT_OUT | LEFT_OUT_OF_NEWER
    tests = [*TESTS, *MORE.get(version, []), *(f"--ignore={path}" for path in sorted(left_out))]
    options = ["-q", "-p", "no:cacheprovider", "-n", "auto", "--maxprocesses", "8", "--dist", "loadfile"]
    command_line = [python, "-m", "pytest", *options, *tests]
    done = subprocess.run(command_line, cwd=ROOT, env={**os.environ, "PICKLESEAL_SHORT": "1"}, check=False)
    return done.returncode == 0


def main() -> int:
    failed = []
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    for version in VERSIONS:
        if version == own:
            continue
        command = next((c for c in candidates(version) if works(c, version)), None)
        print(f"Python {version}: {command or 'not on this machine'}", flush=True)
        if command is not None and not run(command, version):
            failed.append(version)
    if failed:
        print(f"failed on Python {', '.join(failed)}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
