"""Payloads of honest shapes whose numbers, texts, repetitions and chains are far too large, at level `strict`.

`make soak` makes many more of them, at other levels as well.
"""

import pytest

pytest.importorskip("resource", reason="POSIX only")
from _helpers import sized


@pytest.mark.parametrize("isolated", [False, True])
def test_memory_and_time_stay_in_proportion(isolated: bool) -> None:
    told = sized.measure("strict", isolated, 5000 * isolated, 300)
    assert {"loads", "forbidden-operation", "limit-exceeded", "unpickle-failed"} <= told.keys()
    assert sum(told.values()) == 300


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"memory": 400 * 2**20}, "bytes of memory"),
        ({"seconds": 19.5}, "took 19.5 s"),
        ({"marked": ["__call__"]}, "__call__"),
        ({"code": "undocumented KeyError: 1"}, "KeyError"),
    ],
)
def test_what_is_out_of_proportion_is_a_problem(wrong: dict[str, object], match: str) -> None:
    right = {"code": "loads", "length": 500_000, "marked": [], "memory": 100 * 2**20, "seconds": 1.5}
    assert sized.problem(right, "strict") is None
    assert match in str(sized.problem({**right, **wrong}, "strict"))
