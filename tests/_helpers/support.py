"""What several test modules share: paths, the vectors, and one way to read a vector with the library."""

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pickleseal
from pickleseal.errors import ReadError

ROOT = Path(__file__).resolve().parents[2]
SPEC = ROOT / "spec"
VECTORS = SPEC / "vectors"
DATA = ROOT / "tests" / "data"
GOLDEN = DATA / "golden"


def child_environment(**more: str) -> dict[str, str]:
    """Return an environment in which a child process finds the modules that the tests import."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **more}


def need(name: str) -> Any:
    """Import what only some tests need. Where it is missing they are skipped, and fail in CI."""
    import pytest

    try:
        return importlib.import_module(name)
    except ImportError:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"{name} is not installed", allow_module_level=True)


class Verdict(NamedTuple):
    """What a reader says of some bytes."""

    error: str | None
    step: int | None


ACCEPTED = Verdict(None, None)


def manifest() -> dict[str, list[dict[str, Any]]]:
    loaded: dict[str, list[dict[str, Any]]] = json.loads((VECTORS / "manifest.json").read_text("utf-8"))
    return loaded


def cases(kind: str) -> list[Any]:
    """Return the vectors of a kind as pytest parameters. An empty folder is an error, not a pass."""
    import pytest

    entries = manifest()[kind]
    assert entries, f"no {kind} vectors"
    return [pytest.param(entry, id=Path(entry["file"]).stem) for entry in entries]


def read(entry: dict[str, Any]) -> bytes:
    return (VECTORS / entry["file"]).read_bytes()


def policy_of(entry: dict[str, Any]) -> dict[str, Any]:
    """Turn a manifest's policy into arguments of `unpack`."""
    told = entry.get("policy", {})
    fields: dict[str, Any] = {}
    if "limits" in told:
        fields["limits"] = pickleseal.Limits(**told["limits"])
    if "level" in told:
        fields["level"] = told["level"]
    if "protocols" in told:
        fields["protocols"] = tuple(told["protocols"])
    if "keys" in told:
        ring = pickleseal.KeyRing(map(key_of, told["keys"]), told.get("purpose", ""))
        fields["keys"] = ring.in_context(told["context"]) if "context" in told else ring
        fields["signed_by"] = tuple(told.get("signed_by", ()))
    fields |= {name: told[name] for name in ("packages", "python", "types", "build", "meta", "codecs") if name in told}
    return {
        "expect": told.get("expect"),
        "trust": told.get("trust", ()),
        "policy": pickleseal.Policy(**fields),
    }


def key_of(entry: dict[str, str]) -> pickleseal.Key:
    """Turn a manifest's key into one of ours. Ed25519 needs an extra, without which the test is skipped."""
    import pytest

    if entry["alg"] == "hmac-sha256":
        return pickleseal.Key.hmac(entry["id"], bytes.fromhex(entry["secret"]))
    pytest.importorskip("cryptography")
    return pickleseal.Key.ed25519(entry["id"], public=bytes.fromhex(entry["public"]))


def ensure(condition: bool) -> None:
    """Assert in a helper module: shows that such asserts count, too."""
    assert condition


def verdict_of(error: ReadError) -> Verdict:
    return Verdict(error.code, error.step)


def flips(data: bytes) -> Any:
    """Yield every single-bit change of some bytes."""
    changed = bytearray(data)
    for offset in range(len(data)):
        for bit in range(8):
            changed[offset] ^= 1 << bit
            yield offset, bit, bytes(changed)
            changed[offset] ^= 1 << bit
