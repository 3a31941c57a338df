"""Write `spec/vectors/` and the worked example in `spec/format.md`. Run from the repository: `python spec/generate.py`.

The output is deterministic: the tests build the files again and compare. This script never writes `vectors/legacy/`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import worked_example
from invalid_envelope import ENVELOPE
from invalid_frame import FRAME
from invalid_header import HEADER
from invalid_levels import LEVELS
from invalid_policy import POLICY
from signed import signed_invalid, signed_valid
from streams import INDEXES, STREAMS
from valid import VALID

HERE = Path(__file__).resolve().parent
VECTORS = HERE / "vectors"


def build() -> dict[str, bytes]:
    """Return the bytes of every generated file, by path relative to `spec/`.

    Ed25519 signatures need the package cryptography.
    """
    files: dict[str, bytes] = {}
    valid, invalid = [], []
    for name, (about, frame, policy) in {**VALID, **signed_valid()}.items():
        files[f"vectors/valid/{name}.pseal"] = frame.data
        entry: dict[str, Any] = {"file": f"valid/{name}.pseal", "about": about, "header": frame.header()}
        valid.append({**entry, **({"policy": policy} if policy else {})})
    invalids = {**FRAME, **HEADER, **POLICY, **ENVELOPE, **LEVELS, **signed_invalid()}
    for name, (about, error, step, data, policy) in invalids.items():
        files[f"vectors/invalid/{name}.pseal"] = data
        entry = {"file": f"invalid/{name}.pseal", "about": about, "error": error, "step": step}
        invalid.append({**entry, **({"policy": policy} if policy else {})})
    streams = []
    for name, (members, data) in STREAMS.items():
        files[f"vectors/streams/{name}.pseal"] = data
        streams.append({"file": f"streams/{name}.pseal", **members})
    files |= {f"vectors/streams/{name}.pseal.idx": data for name, data in INDEXES.items()}
    legacy = json.loads((VECTORS / "legacy" / "manifest.json").read_text())
    manifest = {"valid": valid, "invalid": invalid, "streams": streams, "legacy": legacy}
    files["vectors/manifest.json"] = (json.dumps(manifest, indent=1, ensure_ascii=True) + "\n").encode()
    example = VALID["minimal"][1].data
    files["format.md"] = worked_example.insert((HERE / "format.md").read_text("utf-8"), example).encode()
    return files


def main() -> None:
    files = build()
    for folder in ("valid", "invalid", "streams"):
        (VECTORS / folder).mkdir(parents=True, exist_ok=True)
        for old in (VECTORS / folder).glob("*.pseal*"):
            old.unlink()
    for name, data in files.items():
        (HERE / name).write_bytes(data)
    counts = {
        kind: sum(kind in name and name.endswith(".pseal") for name in files)
        for kind in ("/valid/", "/invalid/", "/streams/")
    }
    print(
        f"wrote {counts['/valid/']} valid and {counts['/invalid/']} invalid vectors, {counts['/streams/']} of streams"
    )


if __name__ == "__main__":
    main()
