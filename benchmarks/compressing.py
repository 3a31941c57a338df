"""Measure compression beside `zstd.compress(pickle.dumps(obj))` at the same level."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pickleseal
from pickleseal._format.codec import _zstd

Compare = Callable[..., Any]
LEVEL = 3


def compressing(compare: Compare, quick: bool) -> tuple[list[Any], dict[str, float]]:
    """Compare packing and unpacking, and the sizes as ratios to the compressed pickle."""
    results, sizes = [], {}
    for name, obj in objects(quick).items():
        rows, size = one(compare, name, obj, 3 if quick else 7)
        results += rows
        sizes[name] = size
    return results, sizes


def objects(quick: bool) -> dict[str, Any]:
    """Return plain data, a compressible array, the same array in four parts, and noise."""
    count = 20_000 if quick else 400_000
    made: dict[str, Any] = {}
    dicts = [{"id": i, "name": f"job-{i}", "score": i / 7, "tags": ["a", "b"]} for i in range(count)]
    made[f"{len(pickle.dumps(dicts, 5)) / 1e6:.0f} MB of dicts"] = dicts
    try:
        import numpy as np
    except ImportError:
        return made
    megabytes = 20 if quick else 200
    steps = np.cumsum(np.random.default_rng(0).integers(0, 50, megabytes * 125_000)).astype(np.float64)
    made[f"{megabytes} MB array"] = steps
    made[f"4 x {megabytes // 4} MB arrays"] = np.array_split(steps, 4)
    made[f"{megabytes} MB of noise"] = np.random.default_rng(0).random(megabytes * 125_000)
    return made


def one(compare: Compare, name: str, obj: Any, rounds: int) -> tuple[list[Any], float]:
    zstd, writer = _zstd(), pickleseal.PackOptions(compress="zstd", compress_level=LEVEL)

    def plain() -> bytes:
        return zstd.compress(pickle.dumps(obj, 5), LEVEL)  # type: ignore[no-any-return]

    bare, sealed = plain(), pickleseal.pack(obj, options=writer)
    rows = [
        compare(f"{name}, pack", plain, lambda: pickleseal.pack(obj, options=writer), rounds),
        compare(
            f"{name}, unpack", lambda: pickle.loads(zstd.decompress(bare)), lambda: pickleseal.unpack(sealed), rounds
        ),
    ]
    return rows, round(len(sealed) / len(bare), 2)
