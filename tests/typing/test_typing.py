"""Users' programs pass mypy --strict and pyright, with the types that the signatures promise.

`expect.py` and `unions.py` say with `assert_type` what a checker has to find, and with `type: ignore` what it has to
refuse. `serializer.py` is checked against `signatures.pyi` in the place of the package.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from _helpers.support import ROOT

HERE = Path(__file__).parent
PROGRAMS = ["expect.py", "unions.py"]
# The names that signatures.pyi takes from the package, whose place it takes.
TAKEN = "from pickleseal import Policy, Quarantine\n"
needs_pyright = pytest.mark.skipif(importlib.util.find_spec("pyright") is None, reason="pyright is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("typing")
    for name in PROGRAMS:
        (folder / name).write_text((HERE / name).read_text("utf-8"), "utf-8")
    return folder


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder where `pickleseal` is what signatures.pyi says."""
    folder = tmp_path_factory.mktemp("stub")
    text = (HERE / "signatures.pyi").read_text("utf-8")
    assert TAKEN in text
    names = TAKEN.partition("import ")[2].strip().split(", ")
    (folder / "pickleseal").mkdir()
    (folder / "pickleseal" / "__init__.pyi").write_text(
        text.replace(TAKEN, "".join(f"class {name}: ...\n" for name in names)), "utf-8"
    )
    (folder / "serializer.py").write_text((HERE / "serializer.py").read_text("utf-8"), "utf-8")
    return folder


def run(folder: Path, *command: str, source: bool = True) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **({"MYPYPATH": str(ROOT / "src")} if source else {})}
    return subprocess.run([sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, env=environment)


def mypy(folder: Path, *programs: str, source: bool = True) -> subprocess.CompletedProcess[str]:
    return run(folder, "mypy", "--strict", "--python-version", "3.10", "--config-file=", *programs, source=source)


def pyright(folder: Path) -> subprocess.CompletedProcess[str]:
    settings = {
        "include": ["*.py"],
        "extraPaths": [] if (folder / "pickleseal").exists() else [str(ROOT / "src")],
        "pythonVersion": "3.10",
        "typeCheckingMode": "strict",
        "reportUnnecessaryTypeIgnoreComment": "error",
    }
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    return run(folder, "pyright")


def test_mypy_finds_the_types(folder: Path) -> None:
    done = mypy(folder, *PROGRAMS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_finds_the_types_of_a_serializer(stub: Path) -> None:
    done = mypy(stub, "serializer.py", source=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_would_say_so(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text("from pickleseal import unpack\nx: str = unpack(b'', expect=int)\n")
    done = mypy(folder, str(tmp_path / "wrong.py"))
    assert done.returncode == 1
    assert "Incompatible types in assignment" in done.stdout


@needs_pyright
def test_pyright_finds_the_types(folder: Path) -> None:
    done = pyright(folder)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_pyright
def test_pyright_finds_the_types_of_a_serializer(stub: Path) -> None:
    done = pyright(stub)
    assert done.returncode == 0, done.stdout + done.stderr
