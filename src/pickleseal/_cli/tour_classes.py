"""The classes of the tour: an inventory of Python source files, and an application whose class changes by the day."""

import importlib
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["MONDAY", "THURSDAY", "TUESDAY", "WEDNESDAY", "Inventory", "Module", "deploy", "take"]

_MODULE = "tour_trades"  # a name that no application has
_HEAD = "from dataclasses import dataclass\n\nimport pickleseal\n\n\n"
_CLASS = "@dataclass(frozen=True, slots=True)\nclass Trade:\n"
MONDAY = _HEAD + _CLASS + "    account: str\n    qty: int\n    price: float\n"
TUESDAY = _HEAD + _CLASS + "    account: str\n    price: float\n    qty: int\n"
WEDNESDAY = _HEAD + _CLASS + "    account: str\n    price: float\n    quantity: int\n"
THURSDAY = (
    _HEAD
    + "registry = pickleseal.Registry()\n\n\n"
    + '@registry.artifact("tour.Trade", version=1, formerly=["tour_trades:Trade"])\n'
    + _CLASS
    + "    account: str\n    price: float\n    quantity: int\n    venue: str = 'XETR'\n\n\n"
    + '@registry.migration("tour.Trade", from_version=0)\n'
    + "def quantity_was_qty(state):\n    state['quantity'] = state.pop('qty')\n    return state\n"
)


@dataclass
class Module:
    """One source file."""

    name: str
    lines: int
    bytes: int


@dataclass
class Inventory:
    """What `take` found in one folder."""

    root: str
    modules: list[Module] = field(default_factory=list)

    @property
    def lines(self) -> int:
        """Lines of all files together."""
        return sum(module.lines for module in self.modules)


def take(root: Path) -> Inventory:
    """Count lines and bytes of every Python file directly below a folder."""
    inventory = Inventory(root.name)
    for path in sorted(root.glob("*.py")):
        data = path.read_bytes()
        inventory.modules.append(Module(path.stem, data.count(b"\n"), len(data)))
    return inventory


def deploy(folder: Path, source: str) -> Any:
    """Write the module of the demo's application into a folder, and import it anew."""
    (folder / f"{_MODULE}.py").write_text(source, "utf-8")
    sys.modules.pop(_MODULE, None)
    importlib.invalidate_caches()
    sys.path.insert(0, str(folder))
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        return importlib.import_module(_MODULE)
    finally:
        sys.dont_write_bytecode = before
        sys.path.remove(str(folder))
