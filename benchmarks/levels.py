"""Measure the trust levels beside bare pickle, and the lexical pass beside `pickletools`."""

from __future__ import annotations

import hashlib
import os
import pickle
import pickletools
import sys
from collections.abc import Callable
from typing import Any

from workload import Job

import pickleseal
from pickleseal import Key, KeyRing, PackOptions, Policy
from pickleseal._payload.structure import check_envelope

Compare = Callable[..., Any]


def levels(compare: Compare, quick: bool) -> list[Any]:
    """Compare unpacking at each level with `pickle.loads`."""
    count, rounds = (10_000, 3) if quick else (400_000, 7)
    dicts = [{"id": i, "name": f"job-{i}", "score": i / 7, "tags": ["a", "b"]} for i in range(count)]
    jobs = [Job(i, f"job-{i}", i / 7, ["a", "b"]) for i in range(count)]
    rows = [(i, f"job-{i}", i / 7) for i in range(count)]
    ring = KeyRing([Key.generate("bench")], "benchmark")
    results = []
    for name, obj in (("dicts", dicts), ("dataclasses", jobs), ("tuples", rows)):
        bare, sealed = pickle.dumps(obj, 5), pickleseal.pack(obj)
        signed = pickleseal.pack(obj, options=PackOptions(keys=ring))
        size = f"{len(bare) / 1e6:.0f} MB of {name}"

        def loads(bare: bytes = bare) -> Any:
            return pickle.loads(bare)

        def loads_and_hash(bare: bytes = bare) -> Any:
            hashlib.sha256(bare).digest()
            return pickle.loads(bare)

        def unpack(data: bytes, **fields: Any) -> Callable[[], Any]:
            policy = Policy(**fields)
            return lambda: pickleseal.unpack(data, trust=[Job], policy=policy)

        has_goal = name != "tuples"
        results += [
            compare(f"{size}, guarded", loads, unpack(sealed), rounds, 1, 1.5 if has_goal else None),
            compare(f"{size}, strict", loads, unpack(sealed, level="strict"), rounds, 1, 4.0 if has_goal else None),
            compare(f"{size}, signed*", loads_and_hash, unpack(signed, level="signed", keys=ring), rounds, 1, 1.1),
        ]
        if sys.platform != "win32":
            results.append(compare(f"{size}, isolated", loads, unpack(sealed, isolated=True), rounds))
        if has_goal:
            results += lexical(compare, size, bare, rounds)
    return results


def lexical(compare: Compare, size: str, bare: bytes, rounds: int) -> list[Any]:
    """Compare `pickle.loads` with the lexical pass, and with a walk over the opcodes by `pickletools`."""

    def walk() -> None:
        for _ in pickletools.genops(bare):
            pass

    def scan() -> None:
        check_envelope(bare, 5, [])

    return [
        compare(f"{size}, lexical pass", lambda: pickle.loads(bare), scan, rounds),
        compare(f"{size}, pickletools.genops", lambda: pickle.loads(bare), walk, 1),
    ]


def hashing(compare: Compare, quick: bool) -> list[Any]:
    """Compare verifying a signed artifact of four buffers with hashing the buffers one after the other."""
    size = 4_000_000 if quick else 64_000_000
    buffers = [os.urandom(size) for _ in range(4)]
    ring = KeyRing([Key.generate("bench")], "benchmark")
    views = [pickle.PickleBuffer(buffer) for buffer in buffers]
    sealed = pickleseal.pack(views, options=PackOptions(keys=ring))
    policy = Policy(keys=ring)

    def hash_all() -> None:
        for buffer in buffers:
            hashlib.sha256(buffer).digest()

    name = f"SHA-256 of 4 x {size // 1_000_000} MB, verify"
    return [compare(name, hash_all, lambda: pickleseal.verify(sealed, policy=policy), 3 if quick else 5)]


def small_levels(compare: Compare, quick: bool) -> list[Any]:
    """Compare reading small objects at each level with reading them unchecked."""
    rounds = 5 if quick else 30
    results = []
    for name, obj in (
        ("4-key dict", {"id": 1, "name": "report", "total": 99.5, "ok": True}),
        ("one dataclass", Job(1, "a", 0.5, [])),
    ):
        sealed = pickleseal.pack(obj)

        def unpack(level: Any, sealed: bytes = sealed) -> Callable[[], Any]:
            policy = Policy(level=level)
            return lambda: pickleseal.unpack(sealed, trust=[Job], policy=policy)

        base = unpack("unchecked")
        results += [compare(f"{name}, {level}", base, unpack(level), rounds, 500) for level in ("guarded", "strict")]
    return results
