"""The classes of the demo: an inventory of Python source files."""

from dataclasses import dataclass, field
from pathlib import Path


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
        return sum(module.lines for module in self.modules)


def take(root: Path) -> Inventory:
    """Count lines and bytes of every Python file directly below a folder."""
    inventory = Inventory(root.name)
    for path in sorted(root.glob("*.py")):
        data = path.read_bytes()
        inventory.modules.append(Module(path.stem, data.count(b"\n"), len(data)))
    return inventory
