"""Every way to keep fields with every change: the right value, or a refusal before anything is unpickled.

The old class writes in one process, the new one reads in another. A cell is refused only if the header said so and no
code of the class ran; else it counts as failed. `drift_ways` has the cells, `drift_promises` what is to come of them.
"""

from __future__ import annotations

import pytest
from _helpers.drift_promises import PICKLESEAL, broken
from _helpers.drift_runs import RIGHT, WRONG, run
from _helpers.drift_ways import CHANGES, all_cells

CELLS = all_cells(["light"])
WAYS = list(dict.fromkeys(cell.way for cell in CELLS))
NEEDED = ("attrs", "msgspec", "pydantic")


@pytest.fixture(scope="module")
def outcomes() -> dict[str, dict[str, str]]:
    return run([*PICKLESEAL, "pickle"], ["light"])


@pytest.mark.parametrize("way", WAYS)
def test_the_value_is_right_or_refused_as_promised(outcomes: dict[str, dict[str, str]], way: str) -> None:
    cells = [cell for cell in CELLS if cell.way == way]
    for name in {name for cell in cells for name in cell.needs}:
        pytest.importorskip(name)
    assert broken(cells, outcomes, way) == []


def test_no_change_is_without_effect_on_pickle(outcomes: dict[str, dict[str, str]]) -> None:
    """Every change but a move makes some class wrong in silence, or the matrix does not show what it is for."""
    for change in set(CHANGES) - {"moved", "nothing"}:
        found = {outcomes["pickle"][cell.name].partition(":")[0] for cell in CELLS if cell.change == change}
        assert {RIGHT, WRONG} & found
        assert WRONG in found or change == "kind changed"
