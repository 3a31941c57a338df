"""Headers that lie about classes, and payloads that play tricks on them: what comes of it is an object or an error.

`attempt` makes one such artifact out of an old one and loads it with some changed class. The soak runs it for minutes,
the suite some hundred times.
"""

from __future__ import annotations

import json
import random
import warnings
from typing import Any

from frames import Frame

import pickleseal
from _helpers.evolving import FIELDS, FOLDER, HEADS, installed, module_name, source
from pickleseal._payload import standin
from pickleseal.errors import ReadError

KINDS = ["attrs", "dataclass", "enum", "msgspec", "namedtuple", "plain", "pydantic", "slots"]
NAMES = ["account", "qty", "price", "venue", "quantity", "__class__", "__dict__", "__slots__", "x y", "é"]
GLOBALS = ["{m}:Trade", "builtins:dict", "builtins:list", "builtins:object", "http:HTTPStatus", "re:_compile"]
OPCODES = b"()]}Ntdlaesub0R1\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x94h\x00h\x01h\x02K\x05"
OLD = sorted(FOLDER.glob("*/*.pseal"))


def parts(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Take header and payload out of an artifact of one section."""
    end = 64 + int.from_bytes(data[24:28], "little")
    header = json.loads(data[64:end])
    return header, data[end : end + header["sections"][0]["len"]]


def lie(rng: random.Random, header: dict[str, Any], module: str) -> None:
    """Change what a header says of its classes."""
    types = header["types"]
    entry = types[rng.choice(sorted(types))]
    choice = rng.randrange(8)
    if choice == 0:
        entry["kind"] = rng.choice(KINDS)
    elif choice == 1:
        entry["state"] = rng.choice(["custom", "default"])
    elif choice == 2:
        entry["version"] = header["version"] = rng.choice([0, 1, 2, 3, 2**53 - 1])
    elif choice == 3:
        entry["fields"] = [[name, rng.choice(["int", "", "1", "'a'"])] for name in rng.sample(NAMES, rng.randint(0, 5))]
        entry.pop("defaults", None)
    elif choice == 4:
        rng.shuffle(entry["fields"])
    elif choice == 5:
        entry["global"] = rng.choice(GLOBALS).format(m=module)
    elif choice == 6:
        types[rng.choice(["Trade", "builtins:dict", f"{module}:Trade", "x"])] = dict(entry)
    elif entry["fields"]:
        entry["defaults"] = [[entry["fields"][0][0], rng.choice(["5", "None", ""])]]
    if header["type"] in types:
        header["version"] = types[header["type"]]["version"]


def play(rng: random.Random, payload: bytes) -> bytes:
    """Change opcodes of a payload, which may then build other things out of its values."""
    changed = bytearray(payload)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(11, len(changed) - 1)
        if rng.random() < 0.6:
            changed[at] = rng.choice(OPCODES)
        else:
            changed[at:at] = bytes([rng.choice(OPCODES)])
    changed[3:11] = (len(changed) - 11).to_bytes(8, "little")
    return bytes(changed)


def today(rng: random.Random, kind: str) -> str:
    """Write some class that the module may hold today, registered in some way."""
    fields = rng.sample([*FIELDS, ("venue", "str", None)], rng.randint(1, 4))
    text = source(rng.choice([kind, *HEADS]), tuple(fields)) if kind in HEADS else "import enum\n"
    if kind not in HEADS:
        text += "class Side(enum.Flag):\n    WRITE = 1\n    READ = 4\n    BUY = 8\n"
    name = "Trade" if kind in HEADS else "Side"
    if rng.random() < 0.7:
        version = rng.randint(0, 2)
        validate = rng.choice(["None", "lambda t: True", "lambda t: t.qty > 0"])
        text += f"registry.register({name}, {name!r}, version={version}, validate={validate})\n"
        for number in range(version):
            body = rng.choice(["return s", "return {}", "s.pop('qty', 0); return s", "return {**s, 'venue': 1}"])
            text += f"@registry.migration({name!r}, from_version={number})\ndef step_{number}(s): {body}\n"
    return text


def attempt(rng: random.Random) -> str:
    """Load one artifact that lies or plays tricks. Return what came of it; any undocumented exception escapes."""
    path = rng.choice(OLD)
    kind, module = path.stem, module_name(path.stem)
    header, payload = parts(path.read_bytes())
    for _ in range(rng.randint(0, 3)):
        lie(rng, header, module)
    if rng.random() < 0.6:
        payload = play(rng, payload)
    del header["sections"]
    header["globals"] = sorted({*header["globals"], *(g.format(m=module) for g in rng.sample(GLOBALS[1:], 2))})
    data = Frame(payload, **header).data
    registry = pickleseal.Registry()
    policy = pickleseal.Policy(registry=registry, drift=rng.choice(["resolve", "resolve", "strict", "ignore"]))
    before, standin.SMALLEST = standin.SMALLEST, rng.choice([0, 2**60])
    try:
        with installed(module, today(rng, kind), registry=registry) as found, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cls = found.Trade if kind in HEADS else found.Side
            pickleseal.unpack(data, trust=[cls, "msgspec._utils:rebuild"], policy=policy)
    except ReadError as error:
        return error.code
    finally:
        standin.SMALLEST = before
    return "loaded"
