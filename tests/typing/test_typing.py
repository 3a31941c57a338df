"""Users' programs pass mypy --strict and pyright, with the types that the signatures promise.

These programs say with `assert_type` what a checker has to find, and with `type: ignore` what it has to refuse.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from _helpers.support import ROOT, need

HERE = Path(__file__).parent
PROGRAMS = ["expect.py", "modules.py", "serializer.py", "unions.py"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("typing")
    for name in PROGRAMS:
        (folder / name).write_text((HERE / name).read_text("utf-8"), "utf-8")
    return folder


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MYPYPATH": str(ROOT / "src")}
    return subprocess.run([sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, env=environment)


def mypy(folder: Path, *programs: str) -> subprocess.CompletedProcess[str]:
    need("mypy")
    return run(folder, "mypy", "--strict", "--python-version", "3.10", "--config-file=", *programs)


def pyright(folder: Path) -> subprocess.CompletedProcess[str]:
    need("pyright")
    settings = {
        "include": ["*.py"],
        "extraPaths": [str(ROOT / "src")],
        "pythonVersion": "3.10",
        "typeCheckingMode": "strict",
        "reportUnnecessaryTypeIgnoreComment": "error",
    }
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    return run(folder, "pyright")


def test_mypy_finds_the_types(folder: Path) -> None:
    done = mypy(folder, *PROGRAMS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_would_say_so(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text("from pickleseal import unpack\nx: str = unpack(b'', expect=int)\n")
    done = mypy(folder, str(tmp_path / "wrong.py"))
    assert done.returncode == 1
    assert "Incompatible types in assignment" in done.stdout


def test_pyright_finds_the_types(folder: Path) -> None:
    done = pyright(folder)
    assert done.returncode == 0, done.stdout + done.stderr
