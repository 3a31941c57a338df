"""Objects of relational mappers over a change of their class: the right value, or a refusal before unpickling."""

from __future__ import annotations

import subprocess
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
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
    ),
    "mapped": (
        "class Base(DeclarativeBase): pass\nclass Order(Base):\n    __tablename__ = 'orders'\n",
        {"id: Mapped[int]": "mapped_column(primary_key=True)", "price: Mapped[int]": "", "note: Mapped[str]": ""},
        {"optional": "Mapped[Optional[int]]", "with default": "Mapped[int] = mapped_column(default=9)"},
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
    ),
}
styles = pytest.mark.parametrize("style", STYLES)


def source(style: str, fields: dict[str, str] | None = None, more: str = "") -> str:
    head, own, _ = STYLES[style]
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


# --- Django -----------------------------------------------------------------------------------------------------------

MODELS = """
from django.db import models
class Customer(models.Model):
    name = models.CharField(max_length=9)
    class Meta: app_label = "shop"
class Order(models.Model):
    price = models.IntegerField()
    customer = models.ForeignKey(Customer, null=True, on_delete=models.CASCADE)
    blob = models.BinaryField(null=True)
    class Meta: app_label = "shop"
"""
PRICE = "    price = models.IntegerField()\n"
CENTS = MODELS.replace("price", "cents")


@pytest.fixture(scope="module")
def define() -> Iterator[Callable[[str], Any]]:
    """Give a function that defines the models of an application in place of those before."""
    need("django")
    import django
    from django.apps import AppConfig, apps
    from django.conf import settings

    if not settings.configured:
        settings.configure(DEFAULT_AUTO_FIELD="django.db.models.AutoField")
    django.setup()

    def define(text: str) -> Any:
        apps.all_models["shop"].clear()
        module = sys.modules["shop"] = types.ModuleType("shop")
        exec(text, vars(module))
        config = type("Shop", (AppConfig,), {"path": "."})("shop", module)
        config.models, config.apps = apps.all_models["shop"], apps
        apps.app_configs["shop"] = config
        apps.clear_cache()
        return module

    yield define
    sys.modules.pop("shop", None)
    apps.app_configs.pop("shop", None)
    apps.all_models.pop("shop", None)
    apps.clear_cache()


Define = Callable[[str], Any]


def order_of(define: Define) -> bytes:
    shop = define(MODELS)
    order = shop.Order(id=3, price=7, customer=shop.Customer(id=1, name="n"), blob=memoryview(b"q"))
    return pickleseal.pack([order])


def model_read(data: bytes, **policy: Any) -> Any:
    return pickleseal.unpack(data, trust=pickleseal.peek(data).globals, policy=Policy(**policy))[0]


def test_models_of_django_are_recorded_although_the_payload_does_not_import_them(define: Define) -> None:
    header = pickleseal.peek(order_of(define))
    assert "shop:Order" not in header.globals
    fields = [("id", "AutoField"), ("price", "IntegerField"), ("customer_id", "ForeignKey"), ("blob", "BinaryField")]
    assert header.types["shop:Order"].fields == tuple(fields)
    assert header.types["shop:Customer"].fields == (("id", "AutoField"), ("name", "CharField"))


@pytest.mark.parametrize("drift", ["resolve", "strict", "ignore"])
def test_an_unchanged_model_loads(define: Define, drift: str) -> None:
    data = order_of(define)
    shop = define(MODELS)
    order = model_read(data, drift=drift)
    assert type(order) is shop.Order
    assert (order.price, order.customer.name, bytes(order.blob)) == (7, "n", b"q")


@pytest.mark.parametrize(
    "new",
    [CENTS, MODELS.replace(PRICE, ""), MODELS.replace(PRICE, PRICE + PRICE.replace("price", "added"))],
    ids=["renamed", "removed", "added"],
)
def test_a_changed_model_is_refused_before_unpickling(define: Define, new: str) -> None:
    data = order_of(define)
    define(new)
    with pytest.raises(SchemaDriftError, match="Order"):
        model_read(data)
    assert model_read(data, drift="ignore").customer.name == "n"


@pytest.mark.parametrize("options", ["null=True", "default=9", "default=int"])
def test_a_new_column_that_may_be_missing_is_left_to_django(define: Define, options: str) -> None:
    data = order_of(define)
    define(MODELS.replace(PRICE, f"    added = models.IntegerField({options})\n{PRICE}"))
    order = model_read(data)
    assert "added" not in vars(order)
    assert order.price == 7


def test_a_deferred_column_stays_deferred(define: Define) -> None:
    shop = define(MODELS)
    order = shop.Order(id=3, customer_id=4)
    del vars(order)["price"]
    data = pickleseal.pack([order])
    define(MODELS.replace(PRICE, f"    added = models.IntegerField(null=True)\n{PRICE}"))
    assert not {"price", "added"} & vars(model_read(data)).keys()


def test_migrations_and_renames_see_models(define: Define) -> None:
    data = order_of(define)

    def cents(state: dict[str, Any]) -> dict[str, Any]:
        state["cents"] = state.pop("price") * 100
        return state

    for new, arguments, migration, expected in [
        (CENTS, {"renames": {"price": "cents"}}, None, 7),
        (CENTS, {"version": 1}, cents, 700),
        (CENTS.replace("blob", "data"), {"renames": {"price": "cents", "blob": "data"}}, None, 7),
    ]:
        registry = pickleseal.Registry()
        shop = define(new)
        registry.register(shop.Order, "shop.Order", formerly=["shop:Order"], **arguments)
        if migration is not None:
            registry.migration("shop.Order", from_version=0)(migration)
        order = model_read(data, registry=registry)
        assert (order.cents, order.customer.name, order._state.adding) == (expected, "n", True)
        assert bytes(getattr(order, "blob", None) or order.data) == b"q"


def test_a_registered_model_is_recorded_and_upgraded(define: Define, tmp_path: Path) -> None:
    path = tmp_path / "order.pseal"
    path.write_bytes(order_of(define))
    registry = pickleseal.Registry()
    shop = define(MODELS)
    registry.register(shop.Order, "shop.Order", formerly=["shop:Order"], version=1)
    registry.migration("shop.Order", from_version=0)(lambda state: {**state, "price": state["price"] * 100})
    policy = Policy(registry=registry)
    trust = pickleseal.peek(path).globals
    options = pickleseal.PackOptions(registry=registry)
    assert pickleseal.maintenance.upgrade(path, trust=trust, policy=policy, options=options)
    assert not pickleseal.maintenance.upgrade(path, trust=trust, policy=policy, options=options)
    assert pickleseal.peek(path).types["shop.Order"].version == 1
    assert pickleseal.load(path, trust=trust, policy=policy)[0].price == 700


def test_a_model_whose_module_is_not_imported_is_not_compared(define: Define) -> None:
    data = order_of(define)
    define(CENTS)
    moved = sys.modules.pop("shop")
    try:
        assert vars(model_read(data))["price"] == 7
        assert "shop" not in sys.modules
    finally:
        sys.modules["shop"] = moved


def test_comparing_a_model_does_not_let_the_payload_import_it(define: Define) -> None:
    from frames import Frame, framed, named

    data = order_of(define)
    fields = {name: value for name, value in pickleseal.peek(data).as_dict().items() if name != "sections"}
    frame = Frame(framed(named("shop", "Order")), **fields)
    with pytest.raises(pickleseal.errors.UndeclaredGlobalError):
        pickleseal.unpack(frame.data, trust=[*fields["globals"], "shop:Order"])


# --- both -------------------------------------------------------------------------------------------------------------


def test_neither_is_imported_for_other_classes() -> None:
    code = "import pickleseal, fractions, sys; pickleseal.pack(fractions.Fraction(1)); "
    code += "print('sqlalchemy' in sys.modules, 'django' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
