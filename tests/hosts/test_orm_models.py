"""Objects of relational mappers over a change of their class: the right value, or a refusal before unpickling."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import pytest
from _helpers.evolving import installed
from _helpers.support import need

import pickleseal
from pickleseal import Policy
from pickleseal.errors import SchemaDriftError, SchemaWarning

need("sqlalchemy")

HEAD = """
from typing import Optional
from sqlalchemy import *
from sqlalchemy.orm import *
"""
STYLES = {
    "column": (
        "Base = declarative_base()\nclass Order(Base):\n    __tablename__ = 'orders'\n",
        {"id": "Column(Integer, primary_key=True)", "price": "Column(Integer)", "note": "Column(String)"},
        {"optional": "Column(Integer)", "with default": "Column(Integer, nullable=False, default=9)"},
        "Column(Integer, nullable=False)",
    ),
    "mapped": (
        "class Base(DeclarativeBase): pass\nclass Order(Base):\n    __tablename__ = 'orders'\n",
        {"id: Mapped[int]": "mapped_column(primary_key=True)", "price: Mapped[int]": "", "note: Mapped[str]": ""},
        {"optional": "Mapped[Optional[int]]", "with default": "Mapped[int] = mapped_column(default=9)"},
        "Mapped[int]",
    ),
    "dataclass": (
        "class Base(MappedAsDataclass, DeclarativeBase): pass\nclass Order(Base):\n    __tablename__ = 'orders'\n",
        {
            "id: Mapped[int]": "mapped_column(primary_key=True, init=False)",
            "price: Mapped[int]": "mapped_column()",
            "note: Mapped[str]": "mapped_column()",
        },
        {
            "optional": "Mapped[Optional[int]] = mapped_column(default=None)",
            "with default": "Mapped[int] = mapped_column(default=9)",
        },
        "Mapped[int] = mapped_column(init=False)",
    ),
}
styles = pytest.mark.parametrize("style", STYLES)


def source(style: str, fields: dict[str, str] | None = None, more: str = "") -> str:
    head, own, _, _ = STYLES[style]
    lines = [f"    {name} = {value}" if value else f"    {name}" for name, value in (fields or own).items()]
    return HEAD + head + "\n".join([*lines, *([f"    {more}"] if more else [])]) + "\n"


def new_column(style: str, text: str) -> str:
    return f"added = {text}" if style == "column" else f"added: {text}"


def packed(text: str) -> bytes:
    with installed("shop", text) as module:
        return pickleseal.pack(module.Order(price=4, note="n"))


def read(data: bytes, text: str, **policy: Any) -> tuple[Any, list[str]]:
    with installed("shop", text), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        order = pickleseal.unpack(data, trust=pickleseal.peek(data).globals, policy=Policy(**policy))
        order.price
    return order, [str(warning.message) for warning in caught if warning.category is SchemaWarning]


@styles
def test_the_columns_of_an_unchanged_class_are_recorded_and_compared(style: str) -> None:
    data = packed(source(style))
    assert [name for name, _ in pickleseal.peek(data).types["shop:Order"].fields] == ["id", "price", "note"]
    for drift in ("resolve", "strict"):
        order, notes = read(data, source(style), drift=drift)
        assert (order.price, order.note, notes) == (4, "n", [])


@styles
def test_reordered_columns_keep_their_values(style: str) -> None:
    fields = dict(reversed(STYLES[style][1].items()))
    order, notes = read(packed(source(style)), source(style, fields))
    assert (order.price, order.note, notes) == (4, "n", [])


@styles
def test_a_renamed_or_removed_column_is_refused(style: str) -> None:
    data = packed(source(style))
    fields = STYLES[style][1]
    renamed = {name.replace("price", "cents"): value for name, value in fields.items()}
    removed = {name: value for name, value in fields.items() if not name.startswith("price")}
    for changed in (renamed, removed):
        with pytest.raises(SchemaDriftError, match="'price' was removed or renamed"):
            read(data, source(style, changed))


@styles
@pytest.mark.parametrize("kind", ["optional", "with default"])
def test_a_new_column_is_left_to_sqlalchemy_if_it_may_be_missing(style: str, kind: str) -> None:
    order, notes = read(packed(source(style)), source(style, more=new_column(style, STYLES[style][2][kind])))
    assert notes == []
    assert "added" not in vars(order)
    assert order.added in ((9, None) if kind == "with default" else (None,))


@styles
def test_a_new_column_that_needs_a_value_is_refused(style: str) -> None:
    with pytest.raises(SchemaDriftError, match="'added' was added"):
        read(packed(source(style)), source(style, more=new_column(style, STYLES[style][3])))


@styles
def test_a_renamed_column_that_is_registered_keeps_its_value(style: str) -> None:
    data = packed(source(style))
    fields = {name.replace("price", "cents"): value for name, value in STYLES[style][1].items()}
    registry = pickleseal.Registry()
    with installed("shop", source(style, fields)) as module:
        registry.register(module.Order, "shop.Order", formerly=["shop:Order"], renames={"price": "cents"})
        policy = Policy(registry=registry)
        order = pickleseal.unpack(data, trust=pickleseal.peek(data).globals, policy=policy)
        assert (order.cents, order.note) == (4, "n")


def test_an_object_of_a_session_comes_back_with_its_relationships_loaded_or_not() -> None:
    text = (
        HEAD
        + """
Base = declarative_base()
class Customer(Base):
    __tablename__ = "customers"
    id = Column(Integer, primary_key=True)
    orders = relationship("Order", backref="customer")
class Order(Base):
    __tablename__ = "orders"
    id = Column(Integer, primary_key=True)
    price = Column(Integer)
    customer_id = Column(ForeignKey("customers.id"))
"""
    )
    with installed("shop", text) as module:
        engine = module.create_engine("sqlite://")
        module.Base.metadata.create_all(engine)
        with module.Session(engine) as session:
            customer = module.Customer(orders=[module.Order(price=1), module.Order(price=2)])
            session.add(customer)
            session.commit()
            assert [order.customer.id for order in customer.orders] == [1, 1]
            loaded = pickleseal.pack(customer)
            session.expire(customer)
            expired = pickleseal.pack(customer)
        engine.dispose()
    # `customer` exists once the mappers are configured: it must not depend on that.
    assert [name for name, _ in pickleseal.peek(loaded).types["shop:Order"].fields] == ["id", "price", "customer_id"]
    for data, expected in ((loaded, {"id", "orders"}), (expired, set())):
        for drift in ("resolve", "strict"):
            with installed("shop", text):
                found = pickleseal.unpack(data, trust=pickleseal.peek(data).globals, policy=Policy(drift=drift))
                assert vars(found).keys() - {"_sa_instance_state"} == expected
                if expected:
                    assert [order.price for order in found.orders] == [1, 2]
    with installed("shop", text.replace("orders =", "purchases =")), pytest.raises(SchemaDriftError):
        pickleseal.unpack(loaded, trust=pickleseal.peek(loaded).globals)


def test_the_wrapper_in_annotations_takes_no_part() -> None:
    """Releases of SQLAlchemy differ in whether a mapped dataclass says `Mapped[int]` or `int`."""
    from frames import Frame

    data = packed(source("dataclass"))
    header = pickleseal.peek(data)
    start = 64 + header.preamble.header_len
    section = data[start : start + header.sections[0].len]
    for texts in (["int", "int", "str"], ["Mapped[int]", "Mapped[int]", "Mapped[str]"]):
        fields = {name: value for name, value in header.as_dict().items() if name != "sections"}
        names = ["id", "price", "note"]
        fields["types"]["shop:Order"]["fields"] = [list(pair) for pair in zip(names, texts, strict=True)]
        assert read(Frame(section, **fields).data, source("dataclass"))[1] == []


def test_sqlalchemy_is_not_imported_for_other_classes() -> None:
    import subprocess

    code = (
        "import pickleseal, fractions, sys; pickleseal.pack(fractions.Fraction(1)); print('sqlalchemy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
