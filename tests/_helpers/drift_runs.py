"""Put the cells of the drift matrix through a tool: one process stores objects of the old classes, another loads them.

The tools are pickleseal, in several settings, and what it is compared with. A process takes all cells in turn; each has
a module of its own. If a cell ends the process, another one goes on after it.
"""

from __future__ import annotations

import importlib
import io
import json
import pickle
import subprocess
import sys
import tempfile
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

from _helpers.drift_ways import MOVED, Cell, all_cells
from _helpers.support import child_environment

# What comes of a cell. What was refused or failed says more after these words.
RIGHT, WRONG, ABSENT = "right", "wrong", "absent"
REFUSED, NOT_PACKED = "refused", "refused when packing"  # by pickleseal, before anything is unpickled or written
FAILED, NOT_STORED = "failed", "failed when storing"  # any other exception
CRASHED = "crashed"
REFUSALS = ("class-missing", "schema-drift")  # codes of the errors


class Store(NamedTuple):
    """One way to store objects: how it writes and reads, each with the module that has the class."""

    write: Callable[[Any, Any, Cell], bytes]
    read: Callable[[bytes, Any, Cell], Any]
    version: Callable[[], str]


def with_pickleseal(is_registered: bool, drift: Literal["resolve", "strict"]) -> Store:
    """With the caller's trust in all that the artifact asks for."""
    import pickleseal

    def registry_of(module: Any, cell: Cell, renames: dict[str, str]) -> pickleseal.Registry:
        registry = pickleseal.Registry()
        if is_registered:
            registry.register(getattr(module, cell.cls), "shop.Trade", renames=renames)
        return registry

    def write(obj: Any, module: Any, cell: Cell) -> bytes:
        return pickleseal.pack(obj, options=pickleseal.PackOptions(registry=registry_of(module, cell, {})))

    def read(data: bytes, module: Any, cell: Cell) -> Any:
        registry = registry_of(module, cell, dict(cell.renames))
        policy = pickleseal.Policy(registry=registry, drift=drift, level="strict" if drift == "strict" else "guarded")
        return pickleseal.unpack(data, trust=pickleseal.peek(data).globals, policy=policy)

    return Store(write, read, lambda: pickleseal.__version__)


def with_pickle() -> Store:
    return Store(
        lambda obj, *_: pickle.dumps(obj, 5),
        lambda data, *_: pickle.loads(data),
        lambda: "protocol 5",
    )


def with_joblib() -> Store:
    import joblib

    def write(obj: Any, *_: Any) -> bytes:
        file = io.BytesIO()
        joblib.dump(obj, file)
        return file.getvalue()

    return Store(write, lambda data, *_: joblib.load(io.BytesIO(data)), lambda: joblib.__version__)


def with_pyfory(is_compatible: bool) -> Store:
    """As its documentation has it for Python alone: the native mode, with registered classes.

    `strict=False` lets it store classes that are no dataclasses, such as exceptions.
    """
    import pyfory

    def fory(module: Any, cell: Cell) -> Any:
        made = pyfory.Fory(xlang=False, ref=True, strict=False, compatible=is_compatible)
        made.register(getattr(module, cell.cls), name="shop.Trade")
        return made

    return Store(
        lambda obj, module, cell: fory(module, cell).serialize(obj),
        lambda data, module, cell: fory(module, cell).deserialize(data),
        lambda: pyfory.__version__,
    )


TOOLS: dict[str, Callable[[], Store]] = {
    "pickleseal": lambda: with_pickleseal(False, "resolve"),
    "pickleseal, strict": lambda: with_pickleseal(False, "strict"),
    "pickleseal, registered": lambda: with_pickleseal(True, "resolve"),
    "pickleseal, registered, strict": lambda: with_pickleseal(True, "strict"),
    "pickle": with_pickle,
    "joblib": with_joblib,
    "pyfory, compatible": lambda: with_pyfory(True),
    "pyfory, schema-consistent": lambda: with_pyfory(False),
}


# --- the two processes ------------------------------------------------------------------------------------------------


def run_module(name: str, text: str) -> Any:
    """Execute a source in place of a module."""
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(text, f"<{name}>", "exec", dont_inherit=True), vars(module))
    return module


def place(number: int, cell: Cell, is_new: bool) -> str:
    """Return the name of a cell's module. A class that moved is in another one today."""
    return f"store_{number}" if is_new and cell.change == MOVED else f"shop_{number}"


def module_of(number: int, cell: Cell, is_new: bool) -> Any:
    """Return the module of a cell, or None if this Python can't have it."""
    for name in cell.needs:
        try:
            importlib.import_module(name)
        except ImportError:
            return None
    try:
        module = run_module(place(number, cell, is_new), cell.new if is_new else cell.old)
        if not is_new:
            module.objects = [eval(text, vars(module)) for text in cell.objects]
    except (AttributeError, TypeError, ValueError):
        if not cell.may_be_impossible:
            raise
        return None
    return module


def stored(store: Store, module: Any, cell: Cell, file: Path) -> str | None:
    """Store the objects of a cell. Return why there is nothing to load, or None."""
    first, second = module.objects
    try:
        data = store.write({"first": first, "same": [first], "second": second}, module, cell)
    except Exception as error:
        return f"{NOT_PACKED if type(error).__name__ == 'PackError' else NOT_STORED}: {told(error)}"
    file.write_bytes(data)
    return None


def loaded(store: Store, module: Any, cell: Cell, file: Path) -> str:
    """Load the objects of a cell, and return what came of it."""
    ran: list[str] = []

    def watch(frame: Any, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename == f"<{module.__name__}>":
            ran.append(frame.f_code.co_name)

    data = file.read_bytes()
    sys.setprofile(watch)
    try:
        found = store.read(data, module, cell)
    except Exception as error:
        sys.setprofile(None)
        if getattr(error, "code", "") in REFUSALS and getattr(error, "step", 0) == 15 and not ran:
            return f"{REFUSED}: {getattr(error, 'code', '')}"
        return f"{FAILED}: {told(error)}" + (f", after {ran}" if ran else "")
    finally:
        sys.setprofile(None)
    wrong = differences(found, module, cell)
    return f"{WRONG}: {wrong}" if wrong else RIGHT


def told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:200]


def differences(found: Any, module: Any, cell: Cell) -> str:
    """Return what is wrong with loaded objects, or nothing."""
    if found["same"][0] is not found["first"]:
        return "one object became two"
    for obj, checks in zip((found["first"], found["second"]), cell.checks, strict=True):
        for check in checks:
            try:
                value = eval(check.text, {**vars(module), "obj": obj})
            except Exception as error:
                return f"{check.text}: {told(error)}"
            if check.value is None:
                return f"{check.text} is made up: {value!r}"
            wanted = eval(check.value, vars(module))
            if value != wanted or type(value) is not type(wanted):
                return f"{check.text} is {value!r}, not {wanted!r}"
        if type(obj) is not getattr(module, cell.cls):
            return f"the class is {type(obj).__qualname__}"
    return ""


def child(step: str, folder: Path, tools: list[str], groups: list[str]) -> None:
    """Store or load all cells that have no outcome yet."""
    warnings.simplefilter("ignore")
    stores = [TOOLS[tool]() for tool in tools]
    before = read_outcomes(folder)
    with (folder / "outcomes").open("a", encoding="utf-8") as file:

        def note(*line: Any) -> None:
            print(json.dumps(line), file=file, flush=True)

        for number, cell in enumerate(all_cells(groups)):
            left = [which for which in range(len(tools)) if before.wants(step, which, number)]
            module = module_of(number, cell, step == "load") if left else None
            for which in left:
                note(step, which, number, "begun")
                work, data = stored if step == "store" else loaded, folder / f"{number}-{which}"
                note(step, which, number, ABSENT if module is None else work(stores[which], module, cell, data))


class Outcomes(NamedTuple):
    """What came of the cells so far, by the numbers of the tool and the cell."""

    found: dict[tuple[int, int], str]
    begun: set[tuple[str, int, int]]

    def wants(self, step: str, which: int, number: int) -> bool:
        return (which, number) not in self.found and (step, which, number) not in self.begun


def read_outcomes(folder: Path) -> Outcomes:
    """Read the lines that the processes wrote: one when a cell begins with a tool, and one when it ends."""
    path = folder / "outcomes"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    outcomes = Outcomes({}, set())
    ended: set[tuple[str, int, int]] = set()
    for step, which, number, outcome in map(json.loads, lines):
        (outcomes.begun if outcome == "begun" else ended).add((step, which, number))
        if outcome not in ("begun", None):
            outcomes.found[which, number] = outcome
    for step, which, number in outcomes.begun - ended:
        outcomes.found[which, number] = f"{CRASHED}: {step}"
    return outcomes


def run(
    tools: list[str], groups: list[str], stores: str = sys.executable, loads: str = ""
) -> dict[str, dict[str, str]]:
    """Return the outcome of each cell, by tool. Another interpreter may load what the first one stored."""
    with tempfile.TemporaryDirectory() as name:
        for step, interpreter in (("store", stores), ("load", loads or stores)):
            arguments = [interpreter, "-m", "_helpers.drift_runs", step, name, ",".join(groups), *tools]
            done, crashed = None, -1
            while done is None or done.returncode < 0:
                done = subprocess.run(
                    arguments, env=child_environment(), capture_output=True, text=True, timeout=600, check=False
                )
                before, crashed = crashed, list(read_outcomes(Path(name)).found.values()).count(f"{CRASHED}: {step}")
                if done.returncode > 0 or (done.returncode < 0 and crashed == before):
                    raise RuntimeError(f"the process ended with {done.returncode}: {done.stderr[-2000:]}")
        found = read_outcomes(Path(name)).found
        cells = all_cells(groups)
        return {
            tool: {cell.name: found[which, number] for number, cell in enumerate(cells)}
            for which, tool in enumerate(tools)
        }


def main() -> None:
    step, folder, groups, *tools = sys.argv[1:]
    child(step, Path(folder), tools, groups.split(","))


if __name__ == "__main__":
    main()
