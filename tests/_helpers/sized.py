"""Payloads of honest shapes with numbers far too large, measured in memory and processor time of a child process.

A case takes a mutant of an honest pickle (`mutations`) or a shape of table 8-A, makes numbers, texts, repetitions and
chains of it far too large, and keeps the payload itself small. `measure` loads many of them in one child, and
says where memory or time was out of proportion to the length, the child died, or a victim was marked.
"""

from __future__ import annotations

import json
import pickle
import random
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from typing import Any

from frames import Frame, framed, named, text

from . import mutations
from .support import child_environment

# At `strict` a payload may take so many bytes for each of its own, and so many more. The processor time likewise.
MEMORY_PER_BYTE, MEMORY = 256, 64 * 2**20
SECONDS_PER_BYTE, SECONDS = 2e-5, 2.0
MODES = (("guarded", False), ("strict", False), ("strict", True))


def _number(rng: random.Random) -> bytes:
    number = rng.choice([-1, 1]) * (
        2 ** rng.choice([7, 15, 20, 31, 32, 40, 61, 62, 63, 64, 127, 200, 5000]) - rng.randrange(3)
    )
    data = pickle.encode_long(number)
    return b"\x8a" + bytes((len(data),)) + data if len(data) < 256 else b"\x8b" + struct.pack("<i", len(data)) + data


def _text(rng: random.Random) -> bytes:
    data = rng.choice([b"a", b"9", b"a/", b"(", b"[a-z]", b"1e9", b"\\u0100-\\uffff", "\u0100-\uffff".encode()])
    data = data * rng.choice([1, 50, 3000, 20_000])
    return b"X" + struct.pack("<I", len(data)) + data


def _nested(rng: random.Random, inner: bytes) -> bytes:
    """Nest a value: one object in the next, or each twice, which doubles the leaves."""
    depth = rng.choice([5, 60, 1500, 20_000])
    if rng.random() < 0.5 and depth < 1000:  # 2**depth leaves, from memo places that MEMOIZE does not use
        twice = rng.choice([b"\x86", b"\x91", b"l"])
        body = inner
        for _ in range(depth):
            body += b"\x94" + (b"(" if twice != b"\x86" else b"") + b"h%c" * 2 + twice
        return b"" if body.count(b"h%c") > 500 else _with_places(body)
    return inner + rng.choice([b"\x85", b"\x85\x85"]) * depth


def _with_places(body: bytes) -> bytes:
    """Fill the places of the memo in: each pair of BINGETs takes what MEMOIZE has stored last."""
    parts = body.split(b"h%c")
    found = [parts[0]]
    for index, part in enumerate(parts[1:]):
        found.append(b"h" + bytes((min(index // 2, 255),)) + part)
    return b"".join(found)


def _value(rng: random.Random) -> bytes:
    choice = rng.randrange(6)
    if choice == 0:
        return _number(rng)
    if choice == 1:
        return _text(rng)
    if choice == 2:
        return _nested(rng, rng.choice([b"N", b")", b"]", b"(\x91"]))
    if choice == 3:
        return b"](" + rng.choice([b"N", b"K\x01", b"]", b")"]) * rng.choice([10, 1000, 50_000]) + b"e"
    if choice == 4:
        name = rng.choice(["builtins:range", "builtins:slice"])
        return named(*name.split(":")).replace(b"\x94", b"") + b"(" + _number(rng) * rng.randint(1, 3) + b"tR"
    return rng.choice(mutations.VALUES)


def _call(rng: random.Random) -> bytes:
    name = rng.choice(mutations.NAMES)
    callee = named(*name.split(":")).replace(b"\x94", b"")
    args = b"(" + b"".join(_value(rng) for _ in range(rng.randrange(4))) + b"t"
    made = callee + args + rng.choice([b"R", b"R", b"R", b"\x81"])
    if rng.random() < 0.3:
        members = b"".join(text(key).replace(b"\x94", b"") + _value(rng) for key in rng.sample(_KEYS, 2))
        made += b"}(" + members + b"ub"
    return made


_KEYS = ["a", "data", "maps", "int", "args", "value", "filename", "name", "path", "msg"]


def payload(rng: random.Random) -> bytes:
    """Return one payload."""
    choice = rng.randrange(5)
    if choice == 0:  # the same arguments, many times
        name = named(*rng.choice(mutations.NAMES).split(":")).replace(b"\x94", b"")
        args = b"(" + b"".join(_value(rng) for _ in range(rng.randrange(3))) + b"t"
        places = (args + name).count(b"\x94")
        if places > 250:
            return framed(_call(rng))
        calls = b"h" + bytes((places + 1,)) + b"h" + bytes((places,)) + rng.choice([b"R", b"\x81"])
        return framed(args + b"\x940" + name + b"\x940](" + calls * rng.choice([20, 2000]) + b"e")
    if choice == 1:  # a chain
        name = named(*rng.choice(mutations.NAMES).split(":")).replace(b"\x94", b"")
        link = rng.choice([b"\x85R", b"\x85\x81", b"\x85\x85R"])
        count = rng.choice([50, 3000])
        return framed(name + b"\x940" + b"h\x00" * count + b"N" + link * count)
    if choice == 2:  # keys
        keys = [_call(rng) if rng.random() < 0.3 else _value(rng) for _ in range(rng.randint(1, 5))]
        return framed(b"}(" + b"".join(key + b"N" for key in keys) + b"u")
    if choice == 3:
        return mutations.mutant(rng)[0]
    return framed(_call(rng))


def artifact(number: int) -> bytes:
    """Return the artifact of a number."""
    data = Frame(payload(random.Random(number)), globals=sorted(mutations.NAMES), type="builtins:object").data
    return bytes(data)


def measure(level: str, isolated: bool, first: int, count: int) -> Counter[str]:
    """Load artifacts in child processes. Return how often each outcome came.

    Raises:
        AssertionError: one took too much, ended the process, or asked a victim for something.
    """
    told: Counter[str] = Counter()
    number, last = first, first + count
    with tempfile.TemporaryDirectory() as folder:
        while number < last:
            done = subprocess.run(
                [sys.executable, "-m", "_helpers.sized_child", level, str(int(isolated)), str(number), str(last)],
                capture_output=True, text=True, cwd=folder, env=child_environment(), timeout=900, check=False,
            )  # fmt: skip
            for line in done.stdout.splitlines():
                if not line.endswith("}"):
                    break
                found = json.loads(line)
                told[found["code"]] += 1
                number = found["number"] + 1
                if wrong := problem(found, level):
                    raise AssertionError(f"sized.artifact({found['number']}) at {level}, isolated={isolated}: {wrong}")
            if done.returncode or number < last:
                what = f"the process ended with {done.returncode}: {done.stderr[-500:]}"
                if level != "guarded" or done.returncode > 0:  # below `strict` nobody promises that it survives
                    raise AssertionError(f"sized.artifact({number}) at {level}, isolated={isolated}: {what}")
                told["died"] += 1
                number += 1
    return told


def problem(found: dict[str, Any], level: str) -> str | None:
    """Return what is wrong with the outcome of one artifact, if anything is."""
    length = found["length"]
    if found["code"].startswith("undocumented") or (found["marked"] and level == "strict"):
        return f"{found['code']}, marked {found['marked']}"
    if level == "strict" and found["memory"] > MEMORY_PER_BYTE * length + MEMORY:
        return f"{length} bytes took {found['memory']} bytes of memory"
    if level == "strict" and found["seconds"] > SECONDS_PER_BYTE * length + SECONDS:
        return f"{length} bytes took {found['seconds']} s"
    return None
