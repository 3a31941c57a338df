"""The hostile corpus against the levels: no marker fires, nothing changes, nothing ends the process.

Every case is loaded in a child process with limits (`_helpers.hostile_runs`).
"""

from __future__ import annotations

import functools
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

pytest.importorskip("resource", reason="POSIX only")
from _helpers import hostile_corpus as hostile
from _helpers.hostile_corpus import CASES
from _helpers.hostile_runs import expected, problems, promised, run

from pickleseal import errors

CODES = {cls.code for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, errors.ReadError)}
CODES |= {hostile.OK, hostile.TRUST}
# On other interpreters than the first one, `strict` alone: what it sees depends most on CPython's own ways.
SHORT = "PICKLESEAL_SHORT" in os.environ
LEVELS = ("strict",) if SHORT else ("guarded", "strict")


@functools.cache
def all_outcomes() -> dict[str, dict[str, dict[str, Any]]]:
    with ThreadPoolExecutor() as pool:
        return dict(zip(LEVELS, pool.map(lambda level: run(level, False, promised(level)), LEVELS), strict=True))


def test_the_corpus_is_large() -> None:
    assert len(CASES) >= 400
    assert len({case.make() for case in CASES.values() if not case.group.startswith(("bomb", "crash"))}) >= 400
    assert {code for case in CASES.values() for code in case.guarded | case.strict} <= CODES


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("group", sorted({case.group for case in CASES.values()}))
def test_a_group_of_payloads_does_no_harm(group: str, level: str) -> None:
    found = [
        problem
        for name, told in all_outcomes()[level].items()
        if CASES[name].group == group
        for problem in problems(name, told, expected(name, level))
    ]
    assert not found, "\n".join(found)


@pytest.mark.skipif(SHORT, reason="on the first interpreter")
def test_in_isolation() -> None:
    """The dry run in a child process: the verdicts of `strict`, or that the child took too much."""
    names = promised("strict")
    groups = {CASES[name].group: name for name in names if CASES[name].group.startswith(("bomb", "crash"))}
    sample = [*groups.values(), *names[::40]]
    for name, told in run("guarded", True, list(dict.fromkeys(sample))).items():
        codes = expected(name, "strict")
        codes = codes | {"isolation-failed"} if hostile.OK not in codes else codes
        assert not problems(name, told, codes | expected(name, "guarded"))
