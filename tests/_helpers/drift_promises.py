"""What the docs promise for the cells of the drift matrix: which are right, and which are refused.

The table is that of docs/schemas.md. What no rule here names is refused.
"""

from __future__ import annotations

from _helpers.drift_runs import ABSENT, NOT_PACKED, REFUSED, RIGHT
from _helpers.drift_ways import ADD, ADD_DEFAULT, ADD_FACTORY, BASE, KIND, MOVED, NOTHING, RENAME, STYLES, SWAP, Cell

PICKLESEAL = {
    "pickleseal": (False, False),
    "pickleseal, strict": (False, True),
    "pickleseal, registered": (True, False),
    "pickleseal, registered, strict": (True, True),
}
# Ways of one kind with each other, between which fields are resolved by name.
_BY_NAME = ("plain class", "class with slots", "dataclass", "attrs")
# Bases whose objects a call makes, of its arguments by position: names that changed are refused.
_CALLED = (
    *("set", "frozenset", "bytearray", "array.array", "types.SimpleNamespace"),
    *("collections.OrderedDict", "collections.UserString", "collections.deque"),
)


def is_called(cell: Cell) -> bool:
    return cell.group in ("exception", "over an exception") or cell.way.partition(",")[0] in _CALLED


def is_by_position(cell: Cell) -> bool:
    """Return whether the call takes the fields by position, and no state brings them by name: slots keep them."""
    return is_called(cell) and ("slots" in cell.way or cell.way.startswith("attrs"))


def promised(cell: Cell, is_registered: bool, is_strict: bool) -> str:
    """Return what the docs promise for a cell."""
    change, way = cell.change, cell.way
    is_enum = cell.group in ("enum", "flag")
    if change == NOTHING:
        return RIGHT
    if change == MOVED:
        if way == "Django":  # finds a model by its label
            return RIGHT
        return RIGHT if is_registered and way != "enum of dataclasses" else REFUSED  # `Value` has no name
    if change == BASE and is_enum:  # a member is its name and its value
        is_same = way in ("enum of tuples", "enum of dicts", "enum of dataclasses")
        return REFUSED if is_same else RIGHT
    if is_strict:
        # No order is declared where only code assigns.
        has_no_order = way == "plain" or way == "exception" or way.endswith(", assigned")
        if change == SWAP and has_no_order:
            return RIGHT
        has_same_kind = way in ("attrs, without slots", "SQLAlchemy, Column")
        return RIGHT if change == KIND and has_same_kind else REFUSED
    if change == RENAME:
        return RIGHT if is_registered and not is_called(cell) else REFUSED
    if change in (ADD_DEFAULT, ADD_FACTORY):
        # The default of an argument is none of the class.
        return REFUSED if way == "exception" else RIGHT
    if change == ADD:
        return RIGHT if is_enum else REFUSED
    if change == SWAP:
        return REFUSED if is_enum or is_by_position(cell) else RIGHT
    if change == KIND:
        both = (cell.group, STYLES[STYLES[way].other].group) if way in STYLES else ("", "")
        return RIGHT if set(both) <= set(_BY_NAME) or way == "SQLAlchemy, Column" else REFUSED
    return REFUSED


def broken(cells: list[Cell], outcomes: dict[str, dict[str, str]], way: str) -> list[str]:
    """Return the cells of a way in which pickleseal did something else than what is promised.

    Where pickle itself does not bring back an object of a class that did not change, packing refuses it.
    """
    found = []
    is_lost = outcomes["pickle"].get(f"{way}: {NOTHING}") != RIGHT
    for cell in cells:
        for tool, (is_registered, is_strict) in PICKLESEAL.items():
            outcome = outcomes[tool][cell.name]
            wanted = NOT_PACKED if is_lost else promised(cell, is_registered, is_strict)
            if outcome.partition(":")[0] != wanted and not (outcome == ABSENT and cell.may_be_impossible):
                found.append(f"{cell.name}, {tool}: expected {wanted}, found {outcome}")
    return found
