"""Models of pydantic 1 (`pydantic.v1`), of pydantic 2 before 2.10, and of today are compared with their own kind."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from _helpers.evolving import installed
from pydantic.fields import FieldInfo

import pickleseal
from pickleseal.errors import SchemaDriftError, SchemaWarning

V1 = """
import pydantic.v1 as pydantic
class Order(pydantic.BaseModel):
    number: int
    note: str = "-"
    _hits: int = pydantic.PrivateAttr(0)
"""
V2 = V1.replace("import pydantic.v1 as pydantic", "import pydantic")

needs_v1 = pytest.mark.skipif(sys.version_info >= (3, 14), reason="pydantic.v1 does not run there")


def packed(text: str) -> bytes:
    with installed("shop", text) as module:
        order = module.Order(number=1)
        order._hits = 5
        return pickleseal.pack(order)


def read(data: bytes, text: str, **policy: Any) -> Any:
    with installed("shop", text) as module:
        return pickleseal.unpack(data, trust=[module.Order], policy=pickleseal.Policy(**policy))


@needs_v1
def test_the_fields_of_a_model_of_pydantic_1_are_recorded() -> None:
    entry = pickleseal.peek(packed(V1)).types["shop:Order"]
    assert (entry.kind, entry.state, entry.fields) == ("slots", "default", (("number", "int"), ("note", "str")))


@needs_v1
def test_a_model_of_pydantic_1_that_did_not_change_loads() -> None:
    for drift in ("resolve", "strict"):
        order = read(packed(V1), V1, drift=drift)
        assert (order.dict(), order.__fields_set__, order._hits) == ({"number": 1, "note": "-"}, {"number"}, 5)


@needs_v1
@pytest.mark.parametrize(
    ("old", "new"),
    [("note", "text"), ("    number: int\n", "    number: int\n    price: int\n"), ("    number: int\n", "")],
)
def test_a_changed_model_of_pydantic_1_is_refused(old: str, new: str) -> None:
    with pytest.raises(SchemaDriftError):
        read(packed(V1), V1.replace(old, new))


@needs_v1
def test_new_fields_of_a_model_of_pydantic_1_get_their_defaults() -> None:
    text = V1 + "    tags: list = pydantic.Field(default_factory=list)\n    rank: int = 3\n"
    order = read(packed(V1), text)
    assert order.dict() == {"number": 1, "note": "-", "tags": [], "rank": 3}
    assert (order.__fields_set__, order._hits) == ({"number"}, 5)


@needs_v1
@pytest.mark.parametrize("getstate", ["", "    def __getstate__(self): return super().__getstate__()\n"])
def test_another_generation_of_pydantic_is_another_kind(getstate: str) -> None:
    for old, new in ((V1, V2), (V2, V1)):
        with pytest.raises(SchemaDriftError, match="it was of kind"):
            read(packed(old + getstate), new)


@needs_v1
def test_a_model_that_early_versions_took_for_a_class_with_slots_is_of_its_generation() -> None:
    from frames import Frame

    for text, marker, readable in ((V1, "__fields_set__", False), (V2, "__pydantic_fields_set__", True)):
        data = packed(text)
        header = pickleseal.peek(data)
        start = 64 + header.preamble.header_len
        fields = {name: value for name, value in header.as_dict().items() if name not in ("sections", "format")}
        entry = {"kind": "slots", "state": "custom", "fields": [[marker, ""], ["number", "int"], ["note", "str"]]}
        fields["types"]["shop:Order"].update(entry)
        del fields["types"]["shop:Order"]["shape"], fields["types"]["shop:Order"]["attributes"]
        early = Frame(data[start : start + header.sections[0].len], **fields).data
        assert read(early, text)._hits == 5
        if readable:
            assert read(early, V2).number == 1
        else:
            with pytest.raises(SchemaDriftError, match="it was of kind slots and is of kind pydantic"):
                read(early, V2)


def test_models_are_recognized_by_the_table_that_releases_before_2_10_have() -> None:
    from pickleseal._schema.adapters import adapter_of

    class Old:  # what those releases leave on a class
        __pydantic_decorators__ = object()
        model_fields = {"number": FieldInfo(annotation=int)}  # noqa: RUF012

    adapter: Any = adapter_of(Old)
    assert adapter.kind == "pydantic"
    assert adapter.fields(Old) == [("number", "int")]
    assert adapter.default(Old, "number") is None
    Old.model_fields = {"number": FieldInfo(annotation=int, default=3)}
    assert adapter.default(Old, "number")(None) == 3


# --- private attributes -----------------------------------------------------------------------------------------------

generations = pytest.mark.parametrize("text", [pytest.param(V1, marks=needs_v1), V2], ids=["pydantic 1", "pydantic 2"])
HITS = "    _hits: int = pydantic.PrivateAttr(0)\n"


@generations
def test_private_attributes_are_recorded_and_kept(text: str) -> None:
    data = packed(text)
    entry = pickleseal.peek(data).types["shop:Order"]
    assert entry.attributes == (("_hits", "required"),)
    assert [name for name, _ in entry.fields] == ["number", "note"]
    for drift in ("resolve", "strict"):
        assert read(data, text, drift=drift)._hits == 5


@generations
def test_a_model_without_private_attributes_says_so(text: str) -> None:
    with installed("shop", text.replace(HITS, "")) as module:
        data = pickleseal.pack(module.Order(number=1))
    assert pickleseal.peek(data).types["shop:Order"].attributes == ()
    assert read(data, text)._hits == 0


@generations
def test_a_private_attribute_that_was_renamed_or_removed_is_refused(text: str) -> None:
    for changed in (text.replace("_hits", "_count"), text.replace(HITS, "")):
        with pytest.raises(SchemaDriftError, match="'_hits' was removed or renamed"):
            read(packed(text), changed)


@generations
def test_a_new_private_attribute_gets_its_default(text: str) -> None:
    more = "    _seen: list = pydantic.PrivateAttr(default_factory=list)\n    _rank: int = pydantic.PrivateAttr(3)\n"
    order = read(packed(text), text + more)
    assert (order._hits, order._seen, order._rank, order.number) == (5, [], 3, 1)
    with pytest.raises(SchemaDriftError, match="'_new' was added"):
        read(packed(text), text + "    _new: int = pydantic.PrivateAttr()\n")


@generations
def test_a_private_attribute_can_be_renamed_and_migrated(text: str) -> None:
    changed = text.replace("_hits", "_count")

    def count(state: dict[str, Any]) -> dict[str, Any]:
        return {**{name: value for name, value in state.items() if name != "_hits"}, "_count": state["_hits"] * 100}

    for arguments, expected in (({"renames": {"_hits": "_count"}}, 5), ({"version": 1}, 500)):
        data, registry = packed(text), pickleseal.Registry()
        with installed("shop", changed) as module:
            registry.register(module.Order, "shop.Order", formerly=["shop:Order"], **arguments)
            if "version" in arguments:
                registry.migration("shop.Order", from_version=0)(count)
            order = pickleseal.unpack(data, policy=pickleseal.Policy(registry=registry))
        assert (order._count, order.number, order.note) == (expected, 1, "-")


@generations
def test_a_private_attribute_that_newer_code_added_is_dropped_on_demand(text: str) -> None:
    with pytest.warns(SchemaWarning, match="does not know '_hits', which is dropped"):
        order = read(packed(text), text.replace(HITS, ""), newer="drop")
    assert (order.number, order.note) == (1, "-")
    assert not hasattr(order, "_hits")


@generations
def test_an_artifact_that_does_not_record_private_attributes_loads_as_before(text: str) -> None:
    from frames import Frame

    data = packed(text)
    header = pickleseal.peek(data)
    start = 64 + header.preamble.header_len
    fields = {name: value for name, value in header.as_dict().items() if name not in ("sections", "format")}
    del fields["types"]["shop:Order"]["attributes"]
    early = Frame(data[start : start + header.sections[0].len], **fields).data
    more = "    rank: int = 3\n    _seen: list = pydantic.PrivateAttr(default_factory=list)\n"
    for changed in (text, text + more):
        order = read(early, changed)
        assert (order._hits, order.number) == (5, 1)
    assert (order.rank, order._seen) == (3, [])


# --- models of one value ----------------------------------------------------------------------------------------------

ROOT = "import pydantic\nclass Order(pydantic.RootModel[list[int]]): pass\n"
MODEL = "import pydantic\nclass Order(pydantic.BaseModel{}):\n    items: list = []\n"
ROOT_CHANGES = {"a model": MODEL.format(""), "a model that takes any field": MODEL.format(", extra='allow'")}


def root() -> bytes:
    with installed("shop", ROOT) as module:
        return pickleseal.pack(module.Order([1, 2]))


def as_an_early_version_wrote(data: bytes) -> bytes:
    """Return the artifact with the entry of a version that took the methods of RootModel for the class's own."""
    from frames import Frame

    header = pickleseal.peek(data)
    start = 64 + header.preamble.header_len
    fields = {name: value for name, value in header.as_dict().items() if name not in ("sections", "format")}
    fields["types"]["shop:Order"]["state"] = "custom"
    del fields["types"]["shop:Order"]["shape"], fields["types"]["shop:Order"]["attributes"]
    return Frame(data[start : start + header.sections[0].len], **fields).data


@pytest.mark.parametrize("drift", ["resolve", "strict"])
def test_a_root_model_that_did_not_change_loads(drift: str) -> None:
    for data in (root(), as_an_early_version_wrote(root())):
        assert read(data, ROOT, drift=drift).root == [1, 2]


@pytest.mark.parametrize("change", ROOT_CHANGES)
def test_a_root_model_that_became_another_model_is_refused(change: str) -> None:
    for data in (root(), as_an_early_version_wrote(root())):
        with pytest.raises(SchemaDriftError, match="'root' was removed or renamed"):
            read(data, ROOT_CHANGES[change])


def test_a_model_that_became_a_root_model_is_refused() -> None:
    with pytest.raises(SchemaDriftError):
        read(packed(V2), ROOT)


def test_the_value_of_a_root_model_can_be_migrated() -> None:
    registry = pickleseal.Registry()
    with installed("shop", ROOT) as module:
        registry.register(module.Order, "shop.Order", formerly=["shop:Order"], version=1)
        registry.migration("shop.Order", from_version=0)(lambda state: {"root": [n * 10 for n in state["root"]]})
        order = pickleseal.unpack(root(), policy=pickleseal.Policy(registry=registry))
    assert order.root == [10, 20]
    assert order == module.Order([10, 20])
