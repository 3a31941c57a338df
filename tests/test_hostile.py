"""The hostile corpus against the levels: no marker fires, nothing changes, nothing ends the process.

Every case is loaded in a child process with limits (`hostile_child`); one child takes many cases, and another takes the
rest where a case ends it.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("resource", reason="POSIX only")
import hostile
from hostile import CASES

from pickleseal import errors

HERE = Path(__file__).resolve().parent
# What one case may take: processor time in seconds, and resident memory in bytes beyond what was there, with what the
# artifact itself takes.
MOST_SECONDS, MOST_MEMORY = 2.0, 256 * 2**20
SOON = 0.3  # processor time of a case that is known to take too much
CODES = {cls.code for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, errors.ReadError)}
CODES |= {hostile.OK, hostile.TRUST}
# What breaks what its level promises, by cause: reason -> (levels, cases). A case that is mended fails here.
_BOTH, _STRICT = ("guarded", "strict"), ("strict",)
CAUSES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "O5: a UserString that gets its text by BUILD is not seen as a name": (
        _BOTH, ("spelling-user-string-state/targets:Point", "spelling-user-string-state/types:SimpleNamespace")),
    "O5: the dtype of a numpy.str_ can be the result of str()": (
        _BOTH, tuple(f"spelling-numpy-scalar-by-str/{name}"
                     for name in ("targets:Point", "types:SimpleNamespace", "targets:ErrorA"))),
    "O5: exceptions set __class__ from a plain state": (_BOTH, ("swap-class/by-state-of/targets:ErrorA",)),
    "L1: time.struct_time goes through what it gets": (
        _BOTH, tuple(f"bomb-{name}/time:struct_time" for name in ("range", "addresses-v4", "addresses-v6"))),
    "L1: bytes by a number that int() made": (_BOTH, ("bomb-bytes/by-int", "bomb-bytes/by-int-of-its-own")),
    "L1: codecs of more than linear time": (_BOTH, ("bomb-bytes/punycode",)),
    "L1: one long pattern is compiled as often as there are flags": (_BOTH, ("bomb-re/flags",)),
    "O7: Fraction() of a text that str() or a class of its own made": (
        _BOTH, ("bomb-number/fraction-of-str", "bomb-number/fraction-of-text")),
    "O7: int() of a Decimal has no dry run": (("guarded",), ("bomb-number/int-of-decimal",)),
    "O7: addresses and enums make text of any object": (
        _BOTH, tuple(f"bomb-text-of/{name}" for name in (
            "ipaddress:IPv4Address", "ipaddress:IPv6Address", "ipaddress:IPv4Network", "ipaddress:IPv6Interface",
            "http:HTTPStatus", "uuid:SafeUUID", "targets:Color"))),
    "L2: copies of what a call made are not counted": (
        _STRICT, tuple(f"bomb-copies/by-{name}" for name in ("list", "deque", "user-list", "tuple"))),
    "L3: fewer than 17 tuples can be wide": (_STRICT, ("bomb-tower/wide", "bomb-tower/wide-15")),
    "L3: tuples that a call takes, and the memo keeps, are not counted": (
        _STRICT, ("bomb-tower/of-arguments", "bomb-tower/of-arguments-new")),
    "L3: what a call hashes is not counted": (
        _STRICT, tuple(f"bomb-tower-by/{name}" for name in (
            *("set", "frozenset", "set-of-tuple", "dict", "Counter", "OrderedDict", "defaultdict", "UserDict"),
            *("HTTPStatus", "SafeUUID", "ZoneInfo", "deque", "object-list", "generic", "enum")))),
    "L4: what a call hashes may be deep": (
        _STRICT, tuple(f"crash-call/{name}" for name in ("deep-enum", "deep-set", "deep-dict", "deep-own-enum"))),
}  # fmt: skip
CAUSES["L4: struct_time, and from 3.12 on deque and defaultdict, count as classes of Python"] = (
    _STRICT,
    tuple(f"crash-long/{name}" for name in sorted(hostile.ENDLESS, reverse=True)),
)
if sys.version_info < (3, 11):
    CAUSES["E2: refused on 3.10 beyond 4,000 opcodes"] = (
        _BOTH,
        ("crash-dtype/deep", *(name for name, case in CASES.items() if case.group == "crash-chain")),
    )
KNOWN = {(level, name): why for why, (levels, names) in CAUSES.items() for level in levels for name in names}


def promised(level: str) -> list[str]:
    """Return the cases about which a level promises something, without those known to break it."""
    return [name for name in CASES if expected(name, level) and (level, name) not in KNOWN]


def expected(name: str, level: str) -> frozenset[str]:
    return CASES[name].guarded if level == "guarded" else CASES[name].strict


def run(level: str, isolated: bool, names: list[str], seconds: float = 2 * MOST_SECONDS) -> dict[str, dict[str, Any]]:
    """Load cases in child processes, and return what each of them said, by case."""
    told: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "told"
        while names:
            place.write_text("")
            command = [
                sys.executable,
                str(HERE / "hostile_child.py"),
                level,
                str(int(isolated)),
                str(seconds),
                str(place),
            ]
            done = subprocess.run(
                command, input="\n".join(names), text=True, capture_output=True, cwd=folder, timeout=120, check=False
            )
            lines = place.read_text().splitlines()
            for name, line in zip(lines[::2], lines[1::2], strict=False):
                told[name] = json.loads(line)
            if len(lines) % 2:
                died = {"code": f"died: {done.returncode}", "fired": [], "changed": [], "memory": 0, "seconds": 0}
                told[lines[-1]] = died
            elif done.returncode or done.stdout or done.stderr:
                raise RuntimeError(f"the child ended with {done.returncode}: {done.stdout[-500:]}{done.stderr[-2000:]}")
            names = [name for name in names if name not in told]
    return told


def _patience(name: str) -> float:
    return 2 * MOST_SECONDS if CASES[name].group.startswith("crash") else SOON


def problems(name: str, told: dict[str, Any], codes: frozenset[str]) -> list[str]:
    """Say what is wrong with the outcome of a case."""
    found = [f"{name}: {what} {told[what]}" for what in ("fired", "changed") if told[what]]
    if told["code"] not in codes:
        found.append(f"{name}: {told['code']}, and expected was {' or '.join(sorted(codes))}")
    if told["seconds"] > MOST_SECONDS or told["memory"] > MOST_MEMORY:
        found.append(f"{name}: took {told['seconds']} s and {told['memory']} bytes")
    return found


@functools.cache
def all_outcomes() -> dict[str, dict[str, dict[str, Any]]]:
    levels = ("guarded", "strict")
    with ThreadPoolExecutor() as pool:
        return dict(zip(levels, pool.map(lambda level: run(level, False, promised(level)), levels), strict=True))


def test_the_corpus_is_large() -> None:
    assert len(CASES) >= 400
    assert len({case.make() for case in CASES.values() if not case.group.startswith(("bomb", "crash"))}) >= 400
    assert {code for case in CASES.values() for code in case.guarded | case.strict} <= CODES
    assert {name for _, name in KNOWN} <= CASES.keys()


@pytest.mark.parametrize("level", ["guarded", "strict"])
@pytest.mark.parametrize("group", sorted({case.group for case in CASES.values()}))
def test_a_group_does_no_harm(group: str, level: str) -> None:
    found = [
        problem
        for name, told in all_outcomes()[level].items()
        if CASES[name].group == group
        for problem in problems(name, told, expected(name, level))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("level", "name"),
    [
        pytest.param(levels[-1], names[0], marks=pytest.mark.xfail(reason=why, strict=True))
        for why, (levels, names) in CAUSES.items()
    ],
)
def test_what_is_known_to_break_its_level(level: str, name: str) -> None:
    """One case of each cause; `make soak` tries all of them."""
    told = run(level, False, [name], _patience(name))[name]
    assert not problems(name, told, expected(name, level))


def test_in_isolation() -> None:
    """The dry run in a child process: the verdicts of `strict`, or that the child took too much."""
    names = promised("strict")
    sample = [name for name in names if CASES[name].group.startswith(("bomb", "crash-call"))] + names[::25]
    for name, told in run("guarded", True, list(dict.fromkeys(sample))).items():
        codes = expected(name, "strict")
        codes = codes | {"isolation-failed"} if hostile.OK not in codes else codes
        assert not problems(name, told, codes | expected(name, "guarded"))


def soak() -> list[str]:
    """Try all cases in isolation, and those that are known to break their level. Return what is wrong, or mended."""
    found = []
    for name, told in run("strict", True, promised("strict")).items():
        codes = expected(name, "strict")
        found += problems(name, told, codes | {"isolation-failed"} if hostile.OK not in codes else codes)
    for level, name in KNOWN:
        told = run(level, False, [name], _patience(name))[name]
        if expected(name, level) and not problems(name, told, expected(name, level)):
            found.append(f"{name}: keeps what {level} promises now; take it out of CAUSES")
    return found
