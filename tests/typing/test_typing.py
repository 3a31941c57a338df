"""Users' programs pass mypy --strict and pyright, with the types that the signatures promise.

`expect.py` and `unions.py` say with `assert_type` what a checker has to find, and with `type: ignore` what it has to
refuse. They are checked against `signatures.pyi` in the place of the package.
"""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PROGRAMS = ["expect.py", "unions.py"]
# The names that signatures.pyi takes from the package, whose place it takes here.
TAKEN = "from pickleseal import Header, KeyRing, Policy, Quarantine\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("typing")
    text = (HERE / "signatures.pyi").read_text("utf-8")
    assert TAKEN in text
    names = TAKEN.partition("import ")[2].strip().split(", ")
    (folder / "pickleseal").mkdir()
    (folder / "pickleseal" / "__init__.pyi").write_text(
        text.replace(TAKEN, "".join(f"class {name}: ...\n" for name in names)), "utf-8"
    )
    for name in PROGRAMS:
        (folder / name).write_text((HERE / name).read_text("utf-8"), "utf-8")
    return folder


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True)


def mypy(folder: Path) -> subprocess.CompletedProcess[str]:
    return run(folder, "mypy", "--strict", "--python-version", "3.10", "--config-file=", *PROGRAMS)


def test_mypy_finds_the_types(folder: Path) -> None:
    done = mypy(folder)
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_would_say_so(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text("from pickleseal import unpack\nx: str = unpack(b'', expect=int)\n")
    done = run(folder, "mypy", "--strict", "--config-file=", str(tmp_path / "wrong.py"))
    assert done.returncode == 1
    assert "Incompatible types in assignment" in done.stdout


@pytest.mark.skipif(importlib.util.find_spec("pyright") is None, reason="pyright is not installed")
def test_pyright_finds_the_types(folder: Path) -> None:
    settings = {
        "include": ["."],
        "pythonVersion": "3.10",
        "typeCheckingMode": "strict",
        "reportUnnecessaryTypeIgnoreComment": "error",
    }
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    done = run(folder, "pyright")
    assert done.returncode == 0, done.stdout + done.stderr
