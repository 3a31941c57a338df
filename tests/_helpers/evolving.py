"""Classes as they were and as they are: one small class in every kind, and the sources of its changed forms.

`OLD` holds the sources with which the artifacts under tests/data/old/ were written, once for each interpreter
(`python tests/_helpers/evolving.py LABEL`; a file that exists is never written again). The tests put a changed source
into the place of the old module and load those bytes.
"""

from __future__ import annotations

import contextlib
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pickleseal
from pickleseal import PackOptions, Policy, Registry

FOLDER = Path(__file__).resolve().parents[1] / "data" / "old"

# How each kind writes a class: its head, and one line for a field (name, annotation, default source or None).
HEADS = {
    "dataclass": "import dataclasses as d\n@d.dataclass\nclass Trade:\n",
    "dataclass_frozen": "import dataclasses as d\n@d.dataclass(frozen=True)\nclass Trade:\n",
    "dataclass_slots": "import dataclasses as d\n@d.dataclass(slots=True)\nclass Trade:\n",
    "dataclass_frozen_slots": "import dataclasses as d\n@d.dataclass(frozen=True, slots=True)\nclass Trade:\n",
    "dataclass_kw_only": "import dataclasses as d\n@d.dataclass(kw_only=True)\nclass Trade:\n",
    "namedtuple": "from typing import NamedTuple\nclass Trade(NamedTuple):\n",
    "attrs": "import attrs\n@attrs.define\nclass Trade:\n",
    "attrs_dict": "import attrs\n@attrs.define(slots=False)\nclass Trade:\n",
    "attrs_frozen": "import attrs\n@attrs.frozen\nclass Trade:\n",
    "pydantic": "import pydantic\nclass Trade(pydantic.BaseModel):\n",
    "msgspec": "import msgspec\nclass Trade(msgspec.Struct):\n",
    "msgspec_kw_only": "import msgspec\nclass Trade(msgspec.Struct, kw_only=True):\n",
    "slots": "class Trade:\n",
    "plain": "class Trade:\n",
}
FACTORIES = {
    "dataclass": "d.field(default_factory=list)",
    "attrs": "attrs.field(factory=list)",
    "pydantic": "pydantic.Field(default_factory=list)",
    "msgspec": "msgspec.field(default_factory=list)",
}
FIELDS = (("account", "str", None), ("qty", "int", None), ("price", "float", None))
VALUES = {"account": "A", "qty": 100, "price": 2.5}
ENUM = "import enum\nclass Side(enum.Enum):\n    BUY = 1\n    SELL = 2\n    LONG = 1\n"
FLAG = "import enum\nclass Side(enum.Flag):\n    READ = 1\n    WRITE = 2\n    EXECUTE = 4\n"

Field = tuple[str, str, "str | None"]


def source(kind: str, fields: tuple[Field, ...] = FIELDS, more: str = "") -> str:
    """Write a class of a kind with some fields, and more lines in its body."""
    body = []
    if kind == "slots":
        body.append(f"    __slots__ = {tuple(name for name, _, _ in fields)!r}")
    for name, annotation, default in fields:
        line = f"    {name}: {annotation}"
        body.append(line if default is None or kind == "slots" else f"{line} = {default}")
    if kind in ("slots", "plain"):
        body.append("    def __init__(self, **values):")
        body.append("        for name, value in values.items(): setattr(self, name, value)")
    return HEADS[kind] + "\n".join(body) + "\n" + more


OLD = {kind: source(kind) for kind in HEADS} | {"enum": ENUM, "flag": FLAG}


def module_name(kind: str) -> str:
    return f"evolving_{kind}"


@contextlib.contextmanager
def installed(name: str, text: str, **names: Any) -> Iterator[Any]:
    """Put a source into the place of a module."""
    module = types.ModuleType(name)
    vars(module).update(names)
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        exec(compile(text, f"<{name}>", "exec", dont_inherit=True), vars(module))
        yield module
    finally:
        if before is None:
            sys.modules.pop(name, None)
        else:
            sys.modules[name] = before


def old_object(kind: str, module: Any) -> Any:
    """Make the object that the old artifact of a kind holds: one of its objects twice."""
    if kind in ("enum", "flag"):
        side = module.Side
        return [side.SELL, side.LONG] if kind == "enum" else [side.READ | side.EXECUTE, side.WRITE]
    trade = module.Trade(**VALUES)
    return {"trades": [trade, module.Trade(account="B", qty=7, price=0.5)], "same": trade}


MODULE = "evolving_jobs"
TASK = "from dataclasses import dataclass, field\nfrom typing import *\n@dataclass{flags}\nclass Task:\n{body}\n"


def task(body: str, flags: str = "", more: str = "") -> str:
    lines = "\n".join(f"    {line}" for line in body.split("; "))
    return TASK.format(flags=flags, body=lines) + more


def pack_old(text: str, make: Any, registry: Registry | None = None) -> bytes:
    """Pack what `make` gives with the classes of a source."""
    registry = registry or Registry()
    with installed(MODULE, text, registry=registry) as module:
        return pickleseal.pack(make(module), options=PackOptions(registry=registry))


def unpack_new(data: bytes, text: str, check: Any = None, **policy: Any) -> Any:
    registry = Registry()
    with installed(MODULE, text, registry=registry) as module:
        obj = pickleseal.unpack(data, policy=Policy(registry=registry, **policy))
        if check is not None:
            check(obj, module)
        return obj


REGISTER = "registry.register(Task, 'jobs.Task', version={})\n"
STEP = "@registry.migration('jobs.Task', from_version={0})\ndef step_{0}(state):\n    {1}\n    return state\n"


def evolved(old: str, new: str, make: Any, **policy: Any) -> Any:
    """Pack with one source, unpack with another, each with a registry of its own."""
    data = pack_old(old, make)
    registry = Registry()
    with installed(MODULE, new, registry=registry) as module:
        trust = [value for value in vars(module).values() if getattr(value, "__module__", "") == MODULE]
        return pickleseal.unpack(data, trust=trust, policy=Policy(registry=registry, **policy))


def main() -> None:
    import datetime

    label = sys.argv[1]
    created = datetime.datetime(2026, 11, 23, tzinfo=datetime.timezone.utc)
    for kind, text in OLD.items():
        path = FOLDER / label / f"{kind}.pseal"
        if path.exists():
            continue
        try:
            with installed(module_name(kind), text) as module:
                path.parent.mkdir(parents=True, exist_ok=True)
                writer = pickleseal.PackOptions(created=created)
                pickleseal.dump(old_object(kind, module), path, options=writer)
        except ImportError as exc:
            print(f"{kind}: {exc}")


if __name__ == "__main__":
    main()
