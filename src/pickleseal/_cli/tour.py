"""A tour in ten seconds: real objects packed, inspected, verified, migrated, damaged, refused. `make demo` runs it too.

It works in a temporary folder, and runs what a few pickles of its own say; the hostile ones among them are refused.

    pickleseal tour
"""

import argparse
import os
import pickle
import random
import sysconfig
import tempfile
import textwrap
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pickleseal

from ..errors import PackError, PackWarning, ReadError
from .inspect.frame import regions
from .output import Output, bar, columns
from .tour_classes import MONDAY, THURSDAY, TUESDAY, WEDNESDAY, Inventory, Module, deploy, take

__all__ = ["add_arguments", "run"]

_LABEL = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command: there are none."""


def run(options: argparse.Namespace, out: Output) -> None:
    """Run the command."""
    with tempfile.TemporaryDirectory(prefix="pickleseal-") as name:
        _Tour(out).take(Path(name))


class _Tour:
    """What is shown, step by step."""

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
        """Give out the step before, for programs."""
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
        """Run what must be refused, and show the refusal as it is, wrapped."""
        try:
            action()
        except (ReadError, PackError) as error:
            for text in textwrap.wrap(str(error), columns() - 6, break_on_hyphens=False):
                self._step["lines"].append(text)
                self._out.text(f"   {self._out.style('|', 'red')} {text}")
        else:
            raise RuntimeError("this should have been refused")

    def layout(self, header: pickleseal.Header) -> None:
        """Draw the frame: one line a region, in order."""
        for part in regions(header, header.preamble.header_len):
            if part.name != "padding":
                drawn = self._out.style(bar(part.length, header.frame_len, 36), "cyan")
                self.line(f"   {part.offset:>8}  {part.name:<18}{part.length:>8} bytes  {drawn}".rstrip())

    def damage(self, report: Inventory, rounds: int = 400) -> None:
        """Flip one random bit, many times; compare what pickle and pickleseal do."""
        small = Inventory(report.root, report.modules[:40])
        sealed, bare = pickleseal.pack(small), pickle.dumps(small, 5)
        trust = [Inventory, Module]
        loaders: list[tuple[str, bytes, Callable[[bytes], object]]] = [
            ("pickle.loads", bare, pickle.loads),
            ("pickleseal", sealed, lambda data: pickleseal.unpack(data, trust=trust)),
        ]
        for name, data, load in loaders:
            rng = random.Random(2026)  # noqa: S311  # no secret: the same bits every time
            counts = {"refused": 0, "loaded, and right": 0, "loaded, and WRONG": 0}
            with _no_stderr():
                for _ in range(rounds):
                    counts[_outcome(load, _flipped(data, rng), small)] += 1
            self.line(f"   {name:<16}" + "   ".join(f"{key}: {value:>3}" for key, value in counts.items()))

    def changes(self, folder: Path) -> None:
        """Store a trade on Monday, and load it with the code of the days after."""
        path = folder / "trade.pseal"
        trades = deploy(folder, MONDAY)
        trade = trades.Trade("A", 100, 2.5)
        bare = pickle.dumps(trade)
        pickleseal.dump(trade, path)
        self.row("Monday stores", trade)
        trades = deploy(folder, TUESDAY)
        self.row("pickle.loads", f"{pickle.loads(bare)}   <- wrong, in silence")
        self.row("pickleseal", pickleseal.load(path, expect=trades.Trade))
        trades = deploy(folder, WEDNESDAY)
        self.line("   Wednesday's class says 'quantity':")
        self.refused(lambda: pickleseal.load(path, expect=trades.Trade))
        policy = pickleseal.Policy(registry=deploy(folder, THURSDAY).registry)
        self.row("with migration", pickleseal.load(path, policy=policy))
        pickleseal.upgrade(path, policy=policy)
        header = pickleseal.peek(path)
        self.row("upgraded", f"{header.type}, version {header.version}, created {header.created}")

    def strangers(self) -> None:
        """Intact artifacts that were made to do harm."""
        shell = "echo this machine is no longer yours"
        state = None, {"__class__": Inventory}
        for what, obj in (
            ("a shell command", _Hostile(os.system, (shell,))),
            ("40 GB out of 30 bytes", _Hostile(list, (range(10**9),))),
            ("an object that becomes another", _Hostile(Module, ("a", 1, 2, 3, 4), state)),
        ):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", PackWarning)  # the attacker does not care for warnings
                data = pickleseal.pack(obj, type=f"{Inventory.__module__}:Inventory")
            self.line(f"   {what}:")
            self.refused(partial(pickleseal.unpack, data, expect=Inventory, trust=[Module]))

    def signatures(self, report: Inventory) -> None:
        """Who wrote it: signed by one key, read with that one, and with none that fits."""
        ring = pickleseal.KeyRing([pickleseal.Key.generate("nightly-2026")], purpose="reports")
        policy = pickleseal.Policy(keys=ring, trust=[Inventory, Module])
        signed = pickleseal.pack(report, writer=pickleseal.Writer(keys=ring))
        again = pickleseal.unpack(signed, policy=policy)
        self.row("signed", f"by {pickleseal.verify(signed, policy=policy).verified}; equal: {again == report}")
        self.line("   without a signature:")
        self.refused(lambda: pickleseal.unpack(pickleseal.pack(report), policy=policy))

    def take(self, folder: Path) -> None:
        """Take the tour in a folder."""
        root = Path(sysconfig.get_paths()["stdlib"])

        self.title(1, "Take an inventory of the standard library, and save it")
        report = take(root)
        path = folder / "inventory.pseal"
        start = time.perf_counter()
        pickleseal.dump(report, path, meta={"job": "nightly-inventory"})
        self.row("objects", f"{len(report.modules)} modules, {report.lines:,} lines of Python")
        self.row(
            "saved",
            f"{path.name}, {path.stat().st_size:,} bytes, in {(time.perf_counter() - start) * 1e3:.1f} ms, atomically",
        )

        self.title(2, "What is in it? The header says so, and nothing is unpickled")
        header = pickleseal.peek(path)
        self.row("type", header.type)
        self.row("created", header.created)
        self.row("build", ", ".join(f"{key} {value}" for key, value in header.build.items()))
        self.row("meta", dict(header.meta))
        self.row("imports", ", ".join(header.globals))
        self.layout(header)

        self.title(3, "Is it whole? All checksums and the pickle's structure, and nothing runs")
        start = time.perf_counter()
        pickleseal.verify(path)
        self.row("verified", f"in {(time.perf_counter() - start) * 1e3:.1f} ms")

        self.title(4, "Load it: refused, until you say what it may import")
        self.refused(lambda: pickleseal.load(path))
        again = pickleseal.load(path, expect=Inventory, trust=[Module])
        self.row(
            "then",
            f"load(path, expect=Inventory, trust=[Module]): {len(again.modules)} modules, equal: {again == report}",
        )

        self.title(5, "The class changes: two fields swapped, then one renamed, then a migration")
        self.changes(folder)

        self.title(6, "Flip one random bit, 400 times")
        self.damage(report)

        self.title(7, "Other accidents, each with its name")
        data = path.read_bytes()
        self.line("   half of the file:")
        self.refused(lambda: pickleseal.verify(data[: len(data) // 2]))
        self.line("   copied in text mode:")
        self.refused(lambda: pickleseal.verify(data.replace(b"\r\n", b"\n")))
        self.line("   a bare pickle instead:")
        self.refused(lambda: pickleseal.verify(pickle.dumps(report)))
        self.line("   another type than expected:")
        self.refused(lambda: pickleseal.unpack(data, expect=dict))

        self.title(8, "A stranger's artifacts, intact, that were made to do harm")
        self.strangers()

        self.title(9, "Who wrote it? A key says so, before anything of it is looked at")
        self.signatures(report)

        self.title(10, "An object that can't be stored says where, and what to do")
        with open(os.devnull) as log:
            self.refused(lambda: pickleseal.pack({"report": report.root, "workers": [{"id": 1, "log": log}]}))
        self.finish()
        self.line("")
        self.line("Done. Next: README.md, and in docs/: schemas, trust, seals, ingestion, cli, reference.", "green")


class _Hostile:
    """What an attacker would send: a pickle that calls something, and sets the state of what it gets."""

    def __init__(self, *reduced: object) -> None:
        self.reduced = reduced

    def __reduce__(self) -> tuple[object, ...]:
        return self.reduced


def _flipped(data: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(data)
    damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


@contextmanager
def _no_stderr() -> Iterator[None]:
    """Damaged pickles make the interpreter itself complain."""
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
        return "loaded, and right" if load(data) == wanted else "loaded, and WRONG"
    except Exception:
        return "refused"
