"""The demo's deploys: one module of an application, as it is on three days, imported from a real file each time."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

HEAD = "from dataclasses import dataclass\n\nimport pickleseal\n\n\n"
CLASS = "@dataclass(frozen=True, slots=True)\nclass Trade:\n"
MONDAY = HEAD + CLASS + "    account: str\n    qty: int\n    price: float\n"
TUESDAY = HEAD + CLASS + "    account: str\n    price: float\n    qty: int\n"
WEDNESDAY = HEAD + CLASS + "    account: str\n    price: float\n    quantity: int\n"
THURSDAY = (
    HEAD
    + '@pickleseal.artifact("shop.Trade", version=1, formerly=["trades:Trade"])\n'
    + CLASS
    + "    account: str\n    price: float\n    quantity: int\n    venue: str = 'XETR'\n\n\n"
    + '@pickleseal.migration("shop.Trade", from_version=0)\n'
    + "def quantity_was_qty(state):\n    state['quantity'] = state.pop('qty')\n    return state\n"
)


def deploy(folder: Path, source: str) -> Any:
    """Write the module `trades`, and import it anew."""
    (folder / "trades.py").write_text(source, "utf-8")
    sys.modules.pop("trades", None)
    importlib.invalidate_caches()
    sys.path.insert(0, str(folder))
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        return importlib.import_module("trades")
    finally:
        sys.dont_write_bytecode = before
        sys.path.remove(str(folder))
