"""Run the suite on every other Python 3.10-3.14 of this machine, each in a virtual environment of its own.

Looks on the PATH and where pyenv and uv keep interpreters. A version that is not here is named as such; it is no
failure, but for the set-up of one that is here. Python 3.10 gets numpy 1, the others numpy 2: arrays have to pass
between the two.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VERSIONS = ["3.10", "3.11", "3.12", "3.13", "3.14"]
TESTS = [
    "tests/conformance/test_vectors.py",
    "tests/unit/test_seals.py",
    "tests/unit/schema/test_drift.py",
    "tests/unit/schema/test_migrations.py",
    "tests/unit/schema/test_schema_cases.py",
    "tests/unit/schema/test_packages.py",
    "tests/unit/test_policy.py",
    "tests/unit/test_ingest.py",
    "tests/unit/schema/test_annotations.py",
    "tests/property/test_properties.py",
    "tests/unit/test_api.py",
    "tests/unit/test_compress.py",
    "tests/unit/io/test_pipes.py",
    "tests/unit/io/test_urls.py",
    "tests/unit/streams/test_streams.py",
    "tests/hostile/test_streams.py",
    "tests/unit/streams/test_misuse.py",
    "tests/conformance/test_stream_vectors.py",
    "tests/unit/payload/test_arrays.py",
    "tests/unit/io/test_mapped.py",
    "tests/unit/trust/test_trust.py",
    "tests/unit/trust/test_levels.py",
    "tests/unit/payload/test_opcodes.py",
    "tests/unit/trust/test_benign.py",
    "tests/hostile/test_trust_attacks.py",
    "tests/faults/test_faults.py",
    "tests/faults/test_stream_faults.py",
    "tests/cli/test_check.py",
    "tests/cli/test_inspect.py",
    "tests/cli/test_verify.py",
]

# On the newer ones: what depends on the interpreter most, and on one of them the corpus of hostile payloads.
FEWER = [
    "tests/conformance/test_vectors.py",
    "tests/conformance/test_stream_vectors.py",
    "tests/unit/schema/test_annotations.py",
    "tests/unit/test_seals.py",
    "tests/unit/test_api.py",
    "tests/unit/schema/test_schema_cases.py",
    "tests/unit/schema/test_migrations.py",
    "tests/unit/streams/test_streams.py",
    "tests/faults/test_faults.py",
    "tests/unit/payload/test_arrays.py",
    "tests/unit/io/test_mapped.py",
    "tests/unit/trust/test_levels.py",
    "tests/unit/payload/test_opcodes.py",
    "tests/unit/trust/test_trust.py",
    "tests/hostile/test_trust_attacks.py",
]
CHOSEN = {"3.10": TESTS, "3.12": [*FEWER, "tests/hostile/test_corpus.py"]}


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
    packages = [
        "attrs>=22.2",
        "fsspec>=2025.3",
        "hypothesis>=6.100",
        "jsonschema>=4.20",
        "msgspec>=0.18",
        "numpy>=1.26,<2" if version == "3.10" else "numpy>=2",
        "packaging>=22",
        "pydantic>=2.4",
        "pytest>=8",
        "pyyaml>=6",
        "rich>=13",
        "tomli>=2; python_version < '3.11'",
    ]
    stamp = folder / ".installed"
    if not stamp.exists() or stamp.read_text() != " ".join(packages):
        subprocess.run([command, "-m", "venv", str(folder)], check=True)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, "--editable", f"{ROOT}[ed25519,zstd]", *packages], check=True)
        stamp.write_text(" ".join(packages))
    tests = CHOSEN.get(version, FEWER)
    command_line = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
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
