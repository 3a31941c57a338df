"""The drift matrix for models of Django and classes that SQLAlchemy maps; tests/unit/schema has it for all others."""

from __future__ import annotations

import pytest
from _helpers.drift_promises import PICKLESEAL, broken
from _helpers.drift_runs import run
from _helpers.drift_ways import all_cells
from _helpers.support import need

need("sqlalchemy")
need("django")
CELLS = all_cells(["orm"])


@pytest.fixture(scope="module")
def outcomes() -> dict[str, dict[str, str]]:
    return run([*PICKLESEAL, "pickle"], ["orm"])


@pytest.mark.parametrize("way", list(dict.fromkeys(cell.way for cell in CELLS)))
def test_the_value_is_right_or_refused_as_promised(outcomes: dict[str, dict[str, str]], way: str) -> None:
    assert broken([cell for cell in CELLS if cell.way == way], outcomes, way) == []
