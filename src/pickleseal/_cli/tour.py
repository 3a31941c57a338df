"""A tour in ten seconds: real objects are packed, inspected, verified, migrated, damaged and refused.

It works in a temporary folder, and loads only what it has written there. Some of these pickles are hostile, and are
refused.

    pickleseal tour
"""

import argparse
import copyreg
import importlib
import os
import pickle
import random
import sys
import sysconfig
import tempfile
import textwrap
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pickleseal

from ..errors import PackError, PackWarning, ReadError
from .inspect.frame import regions
from .output import Output, bar, columns, signatures_text

_LABEL = 16


# --- the objects: an inventory of source files, and an application whose class changes from day to day ----------------

_MODULE = "tour_trades"
_HEAD = "from dataclasses import dataclass\n\nimport pickleseal\n\n\n"
_CLASS = "@dataclass(frozen=True, slots=True)\nclass Trade:\n"
_MONDAY = _HEAD + _CLASS + "    account: str\n    qty: int\n    price: float\n"
_TUESDAY = _HEAD + _CLASS + "    account: str\n    price: float\n    qty: int\n"
_WEDNESDAY = _HEAD + _CLASS + "    account: str\n    price: float\n    quantity: int\n"
_THURSDAY = (
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
    """The source files of one folder."""

    root: str
    modules: list[Module] = field(default_factory=list)

    @property
    def lines(self) -> int:
        """The lines of all files."""
        return sum(module.lines for module in self.modules)


def _inventory_of(root: Path) -> Inventory:
    """Count lines and bytes of every Python file directly below a folder."""
    inventory = Inventory(root.name)
    for path in sorted(root.glob("*.py")):
        data = path.read_bytes()
        inventory.modules.append(Module(path.stem, data.count(b"\n"), len(data)))
    return inventory


def _deploy(folder: Path, source: str) -> Any:
    """Write a module of an application to a folder, and import it again."""
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


# --- the steps --------------------------------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command, of which there are none."""


def run(options: argparse.Namespace, out: Output) -> None:
    """Run the command."""
    with tempfile.TemporaryDirectory(prefix="pickleseal-") as name:
        _Tour(out).run(Path(name))


class _Tour:
    """Runs and shows the steps."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._step: dict[str, Any] = {}

    def title(self, number: int, text: str) -> None:
        """Begin a step."""
        self.finish()
        self._step = {"step": number, "title": text, "lines": []}
        self.line("")
        self._out.text(self._out.style(f"{number}  {text}", "bold"))

    def finish(self) -> None:
        """End a step; for programs, print it."""
        if self._step and self._out.form != "text":
            self._out.result(self._step)
        self._step = {}

    def line(self, text: str, *styles: str) -> None:
        """Show a line."""
        if text and self._step:
            self._step["lines"].append(text)
        self._out.text(self._out.style(text, *styles) if styles else text)

    def row(self, label: str, value: object) -> None:
        """Show a value with its label."""
        lines = textwrap.wrap(str(value), columns() - _LABEL - 4, break_on_hyphens=False)
        self.line(f"   {label:<{_LABEL}}{lines[0]}")
        for text in lines[1:]:
            self.line(" " * (_LABEL + 3) + text)

    def refused(self, action: Callable[[], object]) -> None:
        """Run something that must be refused, and show the error."""
        try:
            action()
        except (ReadError, PackError) as error:
            for line in str(error).splitlines():
                for text in textwrap.wrap(line, columns() - 6, break_on_hyphens=False):
                    self._step["lines"].append(text)
                    self._out.text(f"   {self._out.style('|', 'red')} {text}")
        else:
            raise RuntimeError("this was not refused")

    def layout(self, header: pickleseal.Header) -> None:
        """Draw the frame, with one line for each region."""
        for part in regions(header, header.preamble.header_len):
            if part.name != "padding":
                drawn = self._out.style(bar(part.length, header.frame_len, 36), "cyan")
                self.line(f"   {part.offset:>8}  {part.name:<18}{part.length:>8} bytes  {drawn}".rstrip())

    def damage(self, report: Inventory, rounds: int = 400) -> None:
        """Flip one random bit, many times, and compare what pickle and pickleseal do."""
        small = Inventory(report.root, report.modules[:40])
        sealed, bare = pickleseal.pack(small), pickle.dumps(small, 5)
        trust = [Inventory, Module]
        loaders: list[tuple[str, bytes, Callable[[bytes], object]]] = [
            ("pickle.loads", bare, pickle.loads),
            ("pickleseal", sealed, lambda data: pickleseal.unpack(data, trust=trust)),
        ]
        for name, data, load in loaders:
            rng = random.Random(2026)  # noqa: S311  # the same bits in each run
            counts = {"refused": 0, "loaded, right": 0, "loaded, WRONG": 0}
            with _no_stderr():
                for _ in range(rounds):
                    counts[_outcome(load, _flipped(data, rng), small)] += 1
            self.line(f"   {name:<16}" + "   ".join(f"{key}: {value:>3}" for key, value in counts.items()))

    def changes(self, folder: Path) -> None:
        """Store a trade on Monday, and load it with the code of the next days."""
        path = folder / "trade.pseal"
        trades = _deploy(folder, _MONDAY)
        trade = trades.Trade("A", 100, 2.5)
        bare = pickle.dumps(trade)
        pickleseal.dump(trade, path)
        self.row("Monday stores", trade)
        trades = _deploy(folder, _TUESDAY)
        self.row("pickle.loads", f"{pickle.loads(bare)}   <- wrong, without an error")
        self.row("pickleseal", pickleseal.load(path, expect=trades.Trade))
        trades = _deploy(folder, _WEDNESDAY)
        self.line("   On Wednesday, the field is called 'quantity':")
        self.refused(lambda: pickleseal.load(path, expect=trades.Trade))
        policy = pickleseal.Policy(registry=_deploy(folder, _THURSDAY).registry)
        self.row("with migration", pickleseal.load(path, policy=policy))
        pickleseal.maintenance.upgrade(path, policy=policy)
        header = pickleseal.peek(path)
        self.row("upgraded", f"{header.type}, version {header.version}, created {header.created}")

    def strangers(self) -> None:
        """Read intact artifacts that are meant to do harm."""
        shell = "echo this machine is no longer yours"
        state = None, {"__class__": Inventory}
        for what, obj in (
            ("a shell command", _Hostile(os.system, (shell,))),
            ("40 GB of memory from 30 bytes", _Hostile(list, (range(10**9),))),
            ("an object that changes its class", _Disguised(copyreg.__newobj__, (Module,), state)),  # type: ignore[attr-defined]
        ):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", PackWarning)  # an attacker ignores warnings
                data = pickleseal.pack(obj, type=f"{Inventory.__module__}:Inventory")
            self.line(f"   {what}:")
            self.refused(partial(pickleseal.unpack, data, expect=Inventory, trust=[Module]))

    def signatures(self, report: Inventory) -> None:
        """Sign with a key, and read with and without a signature."""
        ring = pickleseal.KeyRing([pickleseal.Key.generate("nightly-2026")], purpose="reports")
        policy = pickleseal.Policy(keys=ring, trust=[Inventory, Module])
        signed = pickleseal.pack(report, options=pickleseal.PackOptions(keys=ring))
        again = pickleseal.unpack(signed, policy=policy)
        self.row(
            "verified",
            f"{signatures_text(pickleseal.verify(signed, policy=policy).verified)}, equal: {again == report}",
        )
        self.line("   without a signature:")
        self.refused(lambda: pickleseal.unpack(pickleseal.pack(report), policy=policy))

    def run(self, folder: Path) -> None:
        """Run all steps in a folder."""
        root = Path(sysconfig.get_paths()["stdlib"])

        self.title(1, "Count the lines of the standard library, and save the result")
        report = _inventory_of(root)
        path = folder / "inventory.pseal"
        start = time.perf_counter()
        pickleseal.dump(report, path, meta={"job": "nightly-inventory"})
        self.row("objects", f"{len(report.modules)} modules, {report.lines:,} lines of Python")
        self.row(
            "saved",
            f"{path.name}, {path.stat().st_size:,} bytes, in {(time.perf_counter() - start) * 1e3:.1f} ms, atomically",
        )

        self.title(2, "What is in the file? The header says it, and nothing is unpickled")
        header = pickleseal.peek(path)
        self.row("type", header.type)
        self.row("created", header.created)
        self.row("build", ", ".join(f"{key} {value}" for key, value in header.build.items()))
        self.row("meta", dict(header.meta))
        self.row("imports", ", ".join(header.globals))
        self.layout(header)

        self.title(3, "Is it whole? All checksums and the structure are checked, and nothing runs")
        start = time.perf_counter()
        pickleseal.verify(path)
        self.row("verified", f"in {(time.perf_counter() - start) * 1e3:.1f} ms")

        self.title(4, "Load it. This is refused until you say what it may import")
        self.refused(lambda: pickleseal.load(path))
        again = pickleseal.load(path, expect=Inventory, trust=[Module])
        self.row(
            "then",
            f"load(path, expect=Inventory, trust=[Module]): {len(again.modules)} modules, equal: {again == report}",
        )

        self.title(5, "The class changes: fields are swapped, one is renamed, a migration helps")
        self.changes(folder)

        self.title(6, "Flip one random bit, 400 times")
        self.damage(report)

        self.title(7, "Other accidents, each with its own error")
        data = path.read_bytes()
        self.line("   half of the file:")
        self.refused(lambda: pickleseal.verify(data[: len(data) // 2]))
        self.line("   copied in text mode:")
        self.refused(lambda: pickleseal.verify(data.replace(b"\r\n", b"\n")))
        self.line("   a bare pickle:")
        self.refused(lambda: pickleseal.verify(pickle.dumps(report)))
        self.line("   not the expected type:")
        self.refused(lambda: pickleseal.unpack(data, expect=dict))

        self.title(8, "Artifacts of a stranger that are intact and meant to do harm")
        self.strangers()

        self.title(9, "Who wrote it? A signature proves it before the payload is read")
        self.signatures(report)

        self.title(10, "An object that can't be stored: the error says where, and what to do")
        with open(os.devnull) as log:
            self.refused(lambda: pickleseal.pack({"report": report.root, "workers": [{"id": 1, "log": log}]}))
        self.finish()
        self.line("")
        self.line("Done. Read on in README.md, and in docs/: schemas, trust, seals, cli, reference.", "green")


class _Hostile:
    """A hostile object: its pickle calls a function, and may set the state of the result."""

    def __init__(self, *reduced: object) -> None:
        self.reduced = reduced

    def __reduce__(self) -> tuple[object, ...]:
        return self.reduced


class _Disguised(_Hostile):
    """A hostile object that pickle takes for a `Module`."""

    __class__ = property(lambda self: Module)


def _flipped(data: bytes, rng: random.Random) -> bytes:
    """Return a copy with one random bit flipped, except those that make LONG_BINPUT: pickle then fills gigabytes."""
    while True:
        damaged = bytearray(data)
        position = rng.randrange(len(data))
        damaged[position] ^= 1 << rng.randrange(8)
        if damaged[position] != ord("r"):
            return bytes(damaged)


@contextmanager
def _no_stderr() -> Iterator[None]:
    """Silence standard error, because the interpreter itself writes about damaged pickles."""
    saved = os.dup(2)
    with open(os.devnull, "w") as null:
        os.dup2(null.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def _outcome(load: Callable[[bytes], object], data: bytes, wanted: object) -> str:
    try:
        return "loaded, right" if load(data) == wanted else "loaded, WRONG"
    except Exception:
        return "refused"
