"""Load stored artifacts after their class changed: every kind of class, every change, every mode of `drift`.

Of stored files that say the same, one stands for all; a test compares the others with it.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from _helpers.evolving import FIELDS, FOLDER, HEADS, OLD, VALUES, installed, module_name, old_object, source

import pickleseal
from pickleseal.errors import SchemaDriftError, SchemaVersionError, SchemaWarning

ACCOUNT, QTY, PRICE = FIELDS
BY_NAME = {kind for kind in HEADS if kind.partition("_")[0] in ("attrs", "dataclass", "plain", "slots")}
STORED = sorted(FOLDER.glob("*/*.pseal"))
REPEATS = {"py311": "py310", "py313": "py310", "py311-2": "py310-2", "py313-2": "py310-2"}


def repeated(path: Path) -> Path | None:
    """Return the stored file that says the same as this one, or None for a file that stands for itself."""
    label = path.parent.name
    if path.stem == "pydantic" and label.endswith("-2"):  # pickled sets of names: their order differs
        return FOLDER / "py311-2" / path.name if label == "py313-2" else None
    return FOLDER / REPEATS[label] / path.name if label in REPEATS else None


DISTINCT = [path for path in STORED if repeated(path) is None]
RECORDS = [path for path in DISTINCT if path.stem in HEADS]
ENUM_FILES, FLAG_FILES = ([path for path in DISTINCT if path.stem == kind] for kind in ("enum", "flag"))
MODES = ("resolve", "strict", "ignore")

LOAD, WARN, DRIFT, VERSION, PLAIN = "load", "warn", "schema-drift", "schema-version", "as bare pickle"

pytestmark = pytest.mark.usefixtures("engine")


def named(path: Path) -> str:
    return f"{path.parent.name}-{path.stem}"


def meaning(path: Path) -> tuple[dict[str, Any], bytes]:
    """Return all that a stored file says, except which Python wrote it: its header and its payload."""
    header = pickleseal.peek(path)
    said = header.as_dict()
    assert said.pop("build")
    return said, path.read_bytes()[64 + header.preamble.header_len :]


@pytest.mark.parametrize("path", [path for path in STORED if path not in DISTINCT], ids=named)
def test_a_stored_file_says_the_same_as_the_one_that_stands_for_it(path: Path) -> None:
    twin = repeated(path)
    assert twin in DISTINCT
    assert meaning(path) == meaning(twin)


def test_the_stored_files_in_the_matrix_all_differ() -> None:
    said = [meaning(path) for path in DISTINCT]
    assert len(said) == 33
    assert all(one not in said[:number] for number, one in enumerate(said))


@pytest.mark.parametrize("path", STORED, ids=named)
def test_every_stored_file_loads_with_its_own_class(path: Path) -> None:
    kind = path.stem
    if kind.partition("_")[0] in ("attrs", "msgspec", "pydantic"):
        pytest.importorskip(kind.partition("_")[0])
    policy = pickleseal.Policy(drift="strict", registry=pickleseal.Registry(), packages={"*": "ignore"})
    with installed(module_name(kind), OLD[kind]) as module:
        if kind in HEADS:
            check_loaded(pickleseal.load(path, trust=trust(kind, module), policy=policy), module, "none")
        else:
            loaded = pickleseal.load(path, trust=[module.Side], policy=policy)
            assert loaded == old_object(kind, module)


def changed(change: str, kind: str) -> str | None:
    """Write today's class of a kind after a change, or None where the kind can't change that way."""
    family = kind.partition("_")[0]
    if change == "none":
        return source(kind)
    if change == "reordered":
        return source(kind, (PRICE, QTY, ACCOUNT))
    if change == "swapped":
        return source(kind, (ACCOUNT, PRICE, QTY))
    if change == "added with default":
        return None if family == "slots" else source(kind, (*FIELDS, ("venue", "str", "'X'")))
    if change == "added in front with default":
        if family in ("slots", "namedtuple") or kind in ("dataclass", "dataclass_frozen", "dataclass_slots"):
            return None
        if kind in ("dataclass_frozen_slots", "attrs", "attrs_dict", "attrs_frozen", "msgspec"):
            return None  # a field without a default may not follow
        return source(kind, (("venue", "str", "'X'"), *FIELDS))
    if change == "added with factory":
        factories = {"dataclass": "d.field(default_factory=list)", "attrs": "attrs.field(factory=list)"}
        factories |= {"pydantic": "pydantic.Field(default_factory=list)"}
        factories |= {"msgspec": "msgspec.field(default_factory=list)"}
        return source(kind, (*FIELDS, ("venue", "list", factories[family]))) if family in factories else None
    if change == "added without default":
        return source(kind, (*FIELDS, ("venue", "str", None)))
    if change == "removed":
        return source(kind, (ACCOUNT, PRICE))
    if change == "renamed":
        return source(kind, (ACCOUNT, ("quantity", "int", None), PRICE))
    if change == "renamed, registered":
        text = source(kind, (("quantity", "int", None), ACCOUNT, PRICE))
        return text + 'registry.register(Trade, "Trade", renames={"qty": "quantity"})\n'
    if change == "annotation":
        return source(kind, (ACCOUNT, ("qty", "float", None), PRICE)) if family != "slots" else None
    if change == "annotation written otherwise":
        return "from __future__ import annotations\nimport builtins\n" + source(
            kind, (("account", "builtins.str", None), ("qty", "int", None), PRICE)
        )
    if change == "kind":
        return source("plain" if family == "dataclass" else "dataclass_slots")
    if change == "other shape":
        return source(OTHER_SHAPE[kind]) if kind in OTHER_SHAPE else None
    if change == "own __setstate__":
        if family in ("namedtuple", "msgspec", "pydantic"):
            return None
        more = "    def __setstate__(self, state):\n        s = state[1] if type(state) is tuple else state\n"
        more += f"        s = dict(zip({tuple(VALUES)!r}, s)) if type(s) is list else s\n"
        more += "        for name, value in s.items(): object.__setattr__(self, name, value)\n"
        return source(kind, (PRICE, QTY, ACCOUNT), more)
    if change == "migrated":
        text = source(kind, (("venue", "str", None), PRICE, ("quantity", "int", None), ACCOUNT))
        return text + MIGRATED
    if change == "migrated by renames":
        text = source(kind, (PRICE, ("quantity", "int", None), ACCOUNT))
        text += 'registry.register(Trade, "Trade", version=1)\n'
        return text + 'registry.migration("Trade", from_version=0, renames={"qty": "quantity"})\n'
    if change == "new version without migration":
        return source(kind) + 'registry.register(Trade, "Trade", version=1)\n'
    raise AssertionError(change)


# Kinds whose instances are the same to their users, and are pickled otherwise.
OTHER_SHAPE = {
    "dataclass": "dataclass_frozen_slots",
    "dataclass_frozen": "dataclass_frozen_slots",
    "dataclass_slots": "dataclass_frozen_slots",
    "dataclass_frozen_slots": "dataclass",
    "dataclass_kw_only": "dataclass_slots",
    "attrs": "attrs_dict",
    "attrs_dict": "attrs",
    "attrs_frozen": "attrs_dict",
}
MIGRATED = """
registry.register(Trade, "Trade", version=2)
@registry.migration("Trade", from_version=0)
def one(state):
    assert list(state) == ["account", "qty", "price"], state
    state["quantity"] = state.pop("qty")
    return state
@registry.migration("Trade", from_version=1)
def two(state):
    return {**state, "venue": "X"}
"""

# change -> outcome under resolve, strict; under ignore it is always what bare pickle does.
CHANGES = {
    "none": (LOAD, LOAD),
    "reordered": (LOAD, DRIFT),
    "swapped": (LOAD, DRIFT),
    "added with default": (LOAD, DRIFT),
    "added in front with default": (LOAD, DRIFT),
    "added with factory": (LOAD, DRIFT),
    "added without default": (DRIFT, DRIFT),
    "removed": (DRIFT, DRIFT),
    "renamed": (DRIFT, DRIFT),
    "renamed, registered": (LOAD, DRIFT),
    "annotation": (WARN, DRIFT),
    "annotation written otherwise": (LOAD, LOAD),
    "other shape": (LOAD, LOAD),  # DRIFT under strict, where the artifact says which shape it has
    "kind": (WARN, DRIFT),  # DRIFT for kinds that are not by name
    "own __setstate__": (LOAD, DRIFT),
    "migrated": (LOAD, DRIFT),
    "migrated by renames": (LOAD, DRIFT),
    "new version without migration": (VERSION, VERSION),
}


def outcome(change: str, path: Any, mode: str) -> str:
    kind = path.stem
    if change == "other shape" and mode == "strict" and kind.startswith("dataclass"):
        says = "shape" in next(iter(pickleseal.peek(path).as_dict()["types"].values()))
        return DRIFT if says else LOAD
    if mode == "ignore":
        return PLAIN
    if change == "kind" and kind not in BY_NAME:
        return DRIFT
    return CHANGES[change][mode == "strict"]


def trust(kind: str, module: Any) -> list[Any]:
    return [module.Trade, "msgspec._utils:rebuild"] if kind == "msgspec_kw_only" else [module.Trade]


def names_of(change: str) -> dict[str, str]:
    return {"qty": "quantity"} if change.startswith(("renamed, ", "migrated")) else {}


def check_loaded(obj: Any, module: Any, change: str) -> None:
    first, second = obj["trades"]
    assert obj["same"] is first
    renamed = names_of(change)
    for trade, values in ((first, VALUES), (second, {"account": "B", "qty": 7, "price": 0.5})):
        assert type(trade) is module.Trade
        for name, value in values.items():
            found = getattr(trade, renamed.get(name, name))
            assert found == value
            assert type(found) is type(value)
        if change.startswith("added") or change == "migrated":
            assert trade.venue == ([] if change == "added with factory" else "X")
    if change == "added with factory":
        assert first.venue is not second.venue


def run_plain(data: bytes) -> Any:
    header = pickleseal.peek(data)
    start = 64 + header.preamble.header_len
    return pickle.loads(data[start : start + header.sections[0].len])


def shown(obj: Any) -> Any:
    """Return what an object shows, for comparing two loads under `ignore`."""
    names = (*VALUES, "quantity", "venue")
    return [[getattr(trade, name, "absent") for name in names] for trade in obj["trades"]]


def matrix() -> list[Any]:
    cells = [
        pytest.param(path, change, mode, id=f"{named(path)}-{change}-{mode}")
        for path in RECORDS
        for change in CHANGES
        for mode in MODES
        if changed(change, path.stem) is not None
    ]
    assert len(cells) > 1000
    return cells


@pytest.mark.parametrize(("path", "change", "mode"), matrix())
def test_a_record_of_a_changed_class_is_loaded_or_refused(path: Path, change: str, mode: str) -> None:
    kind, data = path.stem, path.read_bytes()
    if kind.partition("_")[0] in ("attrs", "msgspec", "pydantic"):
        pytest.importorskip(kind.partition("_")[0])
    text = changed(change, kind) or ""
    registry = pickleseal.Registry()
    policy = pickleseal.Policy(drift=mode, registry=registry, packages={"*": "ignore"})
    with installed(module_name(kind), text, registry=registry) as module:
        wanted = outcome(change, path, mode)
        if wanted == LOAD:
            check_loaded(pickleseal.unpack(data, trust=trust(kind, module), policy=policy), module, change)
        elif wanted == WARN:
            with pytest.warns(SchemaWarning) as caught:
                check_loaded(pickleseal.unpack(data, trust=trust(kind, module), policy=policy), module, change)
            assert caught[0].filename == __file__
        elif wanted == PLAIN:
            same_as_plain(data, kind, module, policy)
        else:
            refused(data, kind, module, policy, wanted)


def same_as_plain(data: bytes, kind: str, module: Any, policy: pickleseal.Policy) -> None:
    try:
        plain = run_plain(data)
    except Exception as exc:
        with pytest.raises(pickleseal.errors.UnpickleError) as caught:
            pickleseal.unpack(data, trust=trust(kind, module), policy=policy)
        assert type(caught.value.__cause__) is type(exc)
    else:
        assert shown(pickleseal.unpack(data, trust=trust(kind, module), policy=policy)) == shown(plain)


def refused(data: bytes, kind: str, module: Any, policy: pickleseal.Policy, code: str) -> None:
    with pytest.raises((SchemaDriftError, SchemaVersionError)) as caught:  # and no warning: they are errors here
        pickleseal.unpack(data, trust=trust(kind, module), policy=policy)
    assert caught.value.code == code
    assert caught.value.step == 15
    assert caught.value.hint
    assert "Trade" in str(caught.value)
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)


# --- enums ------------------------------------------------------------------------------------------------------------

ENUMS = {  # change -> (source of the body, outcome under resolve, under strict, what the list of SELL and BUY is)
    "none": ("BUY = 1; SELL = 2; LONG = 1", LOAD, LOAD, ["SELL", "BUY"]),
    "added": ("BUY = 1; SELL = 2; LONG = 1; HOLD = 3", LOAD, DRIFT, ["SELL", "BUY"]),
    "reordered": ("SELL = 2; BUY = 1; LONG = 1", LOAD, DRIFT, ["SELL", "BUY"]),
    "alias and name exchanged": ("LONG = 1; BUY = 1; SELL = 2", LOAD, DRIFT, ["SELL", "LONG"]),
    "values swapped": ("BUY = 2; SELL = 1; LONG = 2", DRIFT, DRIFT, None),
    "value changed": ("BUY = 1; SELL = 'sell'; LONG = 1", DRIFT, DRIFT, None),
    "member removed": ("BUY = 1; LONG = 1", DRIFT, DRIFT, None),
    "member renamed": ("BUY = 1; DISPOSE = 2; LONG = 1", DRIFT, DRIFT, None),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("change", ENUMS)
@pytest.mark.parametrize("path", ENUM_FILES, ids=named)
def test_a_member_of_a_changed_enum_is_loaded_or_refused(path: Path, change: str, mode: str) -> None:
    data = path.read_bytes()
    body, resolve, strict, names = ENUMS[change]
    policy = pickleseal.Policy(drift=mode, registry=pickleseal.Registry())
    with installed("evolving_enum", f"import enum\nclass Side(enum.Enum):\n    {body}\n") as module:
        wanted = {"resolve": resolve, "strict": strict, "ignore": PLAIN}[mode]
        if wanted == LOAD:
            members = pickleseal.unpack(data, trust=[module.Side], policy=policy)
            assert [member.name for member in members] == names
        elif wanted == DRIFT:
            with pytest.raises(SchemaDriftError):
                pickleseal.unpack(data, trust=[module.Side], policy=policy)
        else:
            try:
                plain = run_plain(data)
            except ValueError:
                with pytest.raises(pickleseal.errors.UnpickleError):
                    pickleseal.unpack(data, trust=[module.Side], policy=policy)
            else:
                assert pickleseal.unpack(data, trust=[module.Side], policy=policy) == plain


ENUM_WAYS = {
    "renames": ("BUY = 1; DISPOSE = 2; LONG = 1", 'registry.register(Side, "Side", renames={"SELL": "DISPOSE"})\n'),
    "migration by name": (
        "DISPOSE = 'd'; BUY = 'b'",
        'registry.register(Side, "Side", version=1)\n@registry.migration("Side", from_version=0)\n'
        "def one(state):\n    return {'name': {'SELL': 'DISPOSE'}.get(state['name'], state['name'])}\n",
    ),
    "migration by value": (
        "DISPOSE = 'd'; BUY = 'b'",
        'registry.register(Side, "Side", version=1)\n@registry.migration("Side", from_version=0)\n'
        "def one(state):\n    return {'value': {1: 'b', 2: 'd'}[state['value']]}\n",
    ),
}


@pytest.mark.parametrize("way", ENUM_WAYS)
@pytest.mark.parametrize("path", ENUM_FILES, ids=named)
def test_a_member_that_was_renamed_is_found(path: Path, way: str) -> None:
    data = path.read_bytes()
    body, more = ENUM_WAYS[way]
    registry = pickleseal.Registry()
    text = f"import enum\nclass Side(enum.Enum):\n    {body}\n{more}"
    with installed("evolving_enum", text, registry=registry) as module:
        members = pickleseal.unpack(data, policy=pickleseal.Policy(registry=registry))
        assert members == [module.Side.DISPOSE, module.Side.BUY]


@pytest.mark.parametrize("path", FLAG_FILES, ids=named)
def test_flags_keep_their_names_when_all_values_change(path: Path) -> None:
    data = path.read_bytes()
    registry = pickleseal.Registry()
    text = "import enum\nclass Side(enum.Flag):\n    EXECUTE = 1\n    READ = 2\n    WRITE = 4\n"
    with installed("evolving_flag", text) as module, pytest.raises(SchemaDriftError):
        pickleseal.unpack(data, trust=[module.Side])
    more = 'registry.register(Side, "Side", version=1)\n'
    more += '@registry.migration("Side", from_version=0)\ndef same(state): return state\n'
    with installed("evolving_flag", text + more, registry=registry) as module:
        side = module.Side
        loaded = pickleseal.unpack(data, policy=pickleseal.Policy(registry=registry))
        assert loaded == [side.READ | side.EXECUTE, side.WRITE]


def test_there_are_stored_files_of_every_kind_from_several_pythons() -> None:
    assert len({path.parent.name for path in STORED}) >= 6
    assert {path.stem for path in STORED} == {*HEADS, "enum", "flag"}
