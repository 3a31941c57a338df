"""A tour in ten seconds: real objects packed, inspected, verified, migrated, damaged, refused. `make demo` runs it."""

from __future__ import annotations

import os
import pickle
import random
import sys
import sysconfig
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import deploys
import inventory

import pickleseal
from pickleseal.errors import PackError, ReadError

COLOR = sys.stdout.isatty() and "NO_COLOR" not in os.environ
WIDTH = 88


def paint(code: str, text: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if COLOR else text


def title(number: int, text: str) -> None:
    print(f"\n{paint('1', f'{number}  {text}')}")


def row(label: str, value: object) -> None:
    print(f"   {label:<16}{value}")


def refused(action: Callable[[], object]) -> None:
    """Run what must be refused and show the refusal as it is, wrapped."""
    try:
        action()
    except (ReadError, PackError) as error:
        text = str(error)
        while text:
            cut = len(text) if len(text) <= WIDTH - 5 else max(text.rfind(" ", 0, WIDTH - 5), WIDTH // 2)
            print(f"   {paint('31', '|')} {text[:cut]}")
            text = text[cut:].lstrip()
    else:
        raise SystemExit("this should have been refused")


def layout(header: pickleseal.Header) -> None:
    """Draw the frame: one line a region, in order."""
    regions = [("preamble", 64), ("header", header.preamble.header_len)]
    regions += [(f"section {i}" + (" (pickle)" if not i else ""), s.len) for i, s in enumerate(header.sections)]
    offset = 0
    for name, length in regions:
        bar = "#" * max(1, round(36 * length / header.frame_len))
        print(f"   {offset:>8}  {name:<18}{length:>8} bytes  {paint('36', bar)}")
        offset += length + -length % 64


def flip(data: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(data)
    damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


_stderr: list[int] = []


def silence_stderr() -> None:
    _stderr.append(os.dup(2))
    with open(os.devnull, "w") as null:
        os.dup2(null.fileno(), 2)


def restore_stderr() -> None:
    while _stderr:
        saved = _stderr.pop()
        os.dup2(saved, 2)
        os.close(saved)


def outcome(load: Callable[[bytes], object], data: bytes, wanted: object) -> str:
    try:
        return "loaded, and right" if load(data) == wanted else "loaded, and WRONG"
    except Exception:
        return "refused"


def damage(report: inventory.Inventory, rounds: int = 400) -> None:
    """Flip one random bit, many times; compare what pickle and pickleseal do."""
    small = inventory.Inventory(report.root, report.modules[:40])
    sealed, bare = pickleseal.pack(small), pickle.dumps(small, 5)
    trust = [inventory.Inventory, inventory.Module]
    loaders: list[tuple[str, bytes, Callable[[bytes], object]]] = [
        ("pickle.loads", bare, pickle.loads),
        ("pickleseal", sealed, lambda data: pickleseal.unpack(data, trust=trust)),
    ]
    for name, data, load in loaders:
        rng = random.Random(2026)
        if load is pickle.loads:
            silence_stderr()  # damaged pickles make the interpreter itself complain
        counts = {"refused": 0, "loaded, and right": 0, "loaded, and WRONG": 0}
        for _ in range(rounds):
            counts[outcome(load, flip(data, rng), small)] += 1
        restore_stderr()
        print(f"   {name:<16}" + "   ".join(f"{key}: {value:>3}" for key, value in counts.items()))


def changes(folder: Path) -> None:
    """Store a trade on Monday, and load it with the code of the days after."""
    path = folder / "trade.pseal"
    trades = deploys.deploy(folder, deploys.MONDAY)
    trade = trades.Trade("A", 100, 2.5)
    bare = pickle.dumps(trade)
    pickleseal.dump(trade, path)
    row("Monday stores", trade)
    trades = deploys.deploy(folder, deploys.TUESDAY)
    row("pickle.loads", f"{pickle.loads(bare)}   {paint('31', '<- wrong, in silence')}")
    row("pickleseal", pickleseal.load(path, expect=trades.Trade))
    trades = deploys.deploy(folder, deploys.WEDNESDAY)
    print("   Wednesday's class says 'quantity':")
    refused(lambda: pickleseal.load(path, expect=trades.Trade))
    deploys.deploy(folder, deploys.THURSDAY)
    row("with migration", pickleseal.load(path))
    pickleseal.upgrade(path)
    header = pickleseal.peek(path)
    row("upgraded", f"{header.type}, version {header.version}, created {header.created}")


class Hostile:
    """What an attacker would send: a pickle that calls something, and sets the state of what it gets."""

    def __init__(self, *reduced: object) -> None:
        self.reduced = reduced

    def __reduce__(self) -> tuple[object, ...]:
        return self.reduced


def strangers() -> None:
    """Intact artifacts that were made to do harm."""
    shell = "echo this machine is no longer yours"
    state = None, {"__class__": inventory.Inventory}
    for what, obj in (
        ("a shell command", Hostile(os.system, (shell,))),
        ("40 GB out of 30 bytes", Hostile(list, (range(10**9),))),
        ("an object that becomes another", Hostile(inventory.Module, ("a", 1, 2, 3, 4), state)),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pickleseal.errors.PackWarning)  # the attacker does not care for warnings
            data = pickleseal.pack(obj, type="inventory:Inventory")
        print(f"   {what}:")
        refused(partial(pickleseal.unpack, data, expect=inventory.Inventory, trust=[inventory.Module]))


def signatures(report: inventory.Inventory) -> None:
    """Who wrote it: signed by one key, read with that one, and with none that fits."""
    ring = pickleseal.KeyRing([pickleseal.Key.generate("nightly-2026")], purpose="reports")
    policy = pickleseal.Policy(keys=ring, trust=[inventory.Inventory, inventory.Module])
    signed = pickleseal.pack(report, writer=pickleseal.Writer(keys=ring))
    again = pickleseal.unpack(signed, policy=policy)
    row("signed", f"by {pickleseal.verify(signed, policy=policy).verified}; equal: {again == report}")
    print("   without a signature:")
    refused(lambda: pickleseal.unpack(pickleseal.pack(report), policy=policy))


def main(folder: Path) -> None:
    root = Path(sysconfig.get_paths()["stdlib"])

    title(1, "Take an inventory of the standard library, and save it")
    report = inventory.take(root)
    path = folder / "inventory.pseal"
    start = time.perf_counter()
    pickleseal.dump(report, path, meta={"job": "nightly-inventory"})
    row("objects", f"{len(report.modules)} modules, {report.lines:,} lines of Python")
    row(
        "saved",
        f"{path.name}, {path.stat().st_size:,} bytes, in {(time.perf_counter() - start) * 1e3:.1f} ms, atomically",
    )

    title(2, "What is in it? The header says so, and nothing is unpickled")
    header = pickleseal.peek(path)
    row("type", header.type)
    row("created", header.created)
    row("build", ", ".join(f"{key} {value}" for key, value in header.build.items()))
    row("meta", dict(header.meta))
    row("imports", ", ".join(header.globals))
    layout(header)

    title(3, "Is it whole? All checksums and the pickle's structure, and nothing runs")
    start = time.perf_counter()
    pickleseal.verify(path)
    row("verified", f"in {(time.perf_counter() - start) * 1e3:.1f} ms")

    title(4, "Load it: refused, until you say what it may import")
    refused(lambda: pickleseal.load(path))
    again = pickleseal.load(path, expect=inventory.Inventory, trust=[inventory.Module])
    row(
        "then",
        f"load(path, expect=Inventory, trust=[Module]) gives {len(again.modules)} modules, equal: {again == report}",
    )

    title(5, "The class changes: a deploy swaps two fields, the next one renames one, the third has a migration")
    changes(folder)

    title(6, "Flip one random bit, 400 times")
    damage(report)

    title(7, "Other accidents, each with its name")
    data = path.read_bytes()
    print("   half of the file:")
    refused(lambda: pickleseal.verify(data[: len(data) // 2]))
    print("   copied in text mode:")
    refused(lambda: pickleseal.verify(data.replace(b"\r\n", b"\n")))
    print("   a bare pickle instead:")
    refused(lambda: pickleseal.verify(pickle.dumps(report)))
    print("   another type than expected:")
    refused(lambda: pickleseal.unpack(data, expect=dict))

    title(8, "A stranger's artifacts, intact, that were made to do harm")
    strangers()

    title(9, "Who wrote it? A key says so, before anything of it is looked at")
    signatures(report)

    title(10, "An object that can't be stored says where, and what to do")
    with open(os.devnull) as log:
        refused(lambda: pickleseal.pack({"report": report.root, "workers": [{"id": 1, "log": log}]}))
    print(f"\n{paint('32', 'Done.')} Next: README.md, and in docs/: schemas, trust, seals, ingestion, reference.")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
