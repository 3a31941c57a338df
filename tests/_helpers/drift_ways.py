"""The drift matrix: ways in which classes keep their fields, and changes of such a class.

A cell of the matrix is one way with one change. It has the source of a module as it was and as it is, how to make two
objects with the old one, and what has to be true of the objects that are loaded with the new one. `drift_runs` puts the
cells through pickleseal and other tools, each module in a process of its own.

Two objects are made of a class. The values of one object differ in type, so none passes for another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

# Changes, in the words of the tables. `add` brings a field for which nothing gives a value.
NOTHING, RENAME, REMOVE, ADD = "nothing", "rename", "remove", "add"
ADD_DEFAULT, ADD_FACTORY, SWAP = "add with default", "add with factory", "swap"
BASE, KIND, MOVED = "base changed", "kind changed", "moved"
CHANGES = (NOTHING, RENAME, REMOVE, ADD, ADD_DEFAULT, ADD_FACTORY, SWAP, BASE, KIND, MOVED)


class Check(NamedTuple):
    """An expression about a loaded `obj`, and its value if all is right. None: no value can be right."""

    text: str
    value: str | None  # the source of an expression


class Cell(NamedTuple):
    """One way to keep fields, and one change."""

    way: str
    group: str  # the row of the table in the docs
    change: str
    old: str  # the source of the module when the object was stored
    new: str
    cls: str  # the name of the class, before and after
    objects: tuple[str, str]  # expressions in the old module
    checks: tuple[tuple[Check, ...], tuple[Check, ...]]  # for each of the objects, in the new module
    renames: tuple[tuple[str, str], ...] = ()  # what a registration of the new class says
    needs: tuple[str, ...] = ()  # modules that have to be there
    may_be_impossible: bool = False  # some bases take no slots, or not in every Python

    @property
    def name(self) -> str:
        return f"{self.way}: {self.change}"


# --- classes with declared or assigned fields -------------------------------------------------------------------------

Fields = tuple[tuple[str, str, "str | None"], ...]  # name, annotation, source of the default
ACCOUNT, QTY, PRICE = ("account", "str", None), ("qty", "int", None), ("price", "float", None)
VALUES = ({"account": "'A'", "qty": "100", "price": "2.5"}, {"account": "'B'", "qty": "7", "price": "0.5"})
FIELDS: Fields = (ACCOUNT, QTY, PRICE)
CHANGED: dict[str, Fields] = {
    NOTHING: FIELDS,
    RENAME: (ACCOUNT, ("quantity", "int", None), PRICE),
    REMOVE: (ACCOUNT, PRICE),
    ADD: (*FIELDS, ("venue", "str", None)),
    ADD_DEFAULT: (*FIELDS, ("venue", "str", "'X'")),
    SWAP: (ACCOUNT, PRICE, QTY),
}


class Style(NamedTuple):
    """How a class with fields is written: the head of the module, the line of the class, and its body."""

    group: str
    imports: str
    head: str  # lines before the class
    bases: str = ""
    other: str = ""  # the style of `kind changed`
    factory: str | None = None  # how a field with a list as its default is written
    inherits: bool = True  # a class may take a field from a base of the same style
    needs: tuple[str, ...] = ()


DATACLASS = "from dataclasses import dataclass, field\n"
STYLES = {
    "plain": Style("plain class", "", "", other="slots"),
    "plain, annotated": Style("plain class", "", "", other="dataclass"),
    "slots": Style("class with slots", "", "", other="plain"),
    "slots, annotated": Style("class with slots", "", "", other="dataclass with slots"),
    "dataclass": Style(
        "dataclass", DATACLASS, "@dataclass\n", other="dataclass with slots", factory="field(default_factory=list)"
    ),
    "dataclass, frozen": Style("dataclass", DATACLASS, "@dataclass(frozen=True)\n", other="attrs"),
    "dataclass, keyword-only": Style("dataclass", DATACLASS, "@dataclass(kw_only=True)\n", other="plain, annotated"),
    "dataclass with slots": Style(
        "dataclass", DATACLASS, "@dataclass(slots=True)\n", other="dataclass", factory="field(default_factory=list)"
    ),
    "dataclass with slots, frozen": Style(
        "dataclass", DATACLASS, "@dataclass(frozen=True, slots=True)\n", other="pydantic"
    ),
    "attrs": Style("attrs", "import attrs\n", "@attrs.define\n", "", "dataclass", "attrs.field(factory=list)"),
    "attrs, without slots": Style("attrs", "import attrs\n", "@attrs.define(slots=False)\n", other="attrs"),
    "attrs, frozen": Style("attrs", "import attrs\n", "@attrs.frozen\n", other="dataclass with slots"),
    "pydantic": Style(
        "pydantic", "import pydantic\n", "", "pydantic.BaseModel", "dataclass", "pydantic.Field(default_factory=list)"
    ),
    "pydantic, frozen": Style("pydantic", "import pydantic\n", "", "pydantic.BaseModel, frozen=True", "attrs"),
    "pydantic 1": Style(
        "pydantic", "import pydantic.v1 as pydantic\n", "", "pydantic.BaseModel", "pydantic", needs=("pydantic.v1",)
    ),
    "msgspec": Style(
        "msgspec", "import msgspec\n", "", "msgspec.Struct", "dataclass", "msgspec.field(default_factory=list)"
    ),
    "msgspec, keyword-only": Style("msgspec", "import msgspec\n", "", "msgspec.Struct, kw_only=True", "pydantic"),
    "msgspec, frozen": Style("msgspec", "import msgspec\n", "", "msgspec.Struct, frozen=True", "named tuple"),
    "named tuple": Style(
        "named tuple", "from typing import NamedTuple\n", "", "NamedTuple", "dataclass with slots", inherits=False
    ),
    "named tuple of collections": Style("named tuple", "import collections\n", "", other="msgspec", inherits=False),
    # Exceptions whose constructor passes its arguments on.
    "exception": Style("exception", "", "", "Exception", "dataclass exception"),
    "exception, annotated": Style("exception", "", "", "ValueError", "exception with slots"),
    "exception with slots": Style("exception", "", "", "Exception", "exception"),
    "dataclass exception": Style(
        "exception", DATACLASS, "@dataclass(eq=False)\n", "Exception", "exception", "field(default_factory=list)"
    ),
    "dataclass exception with slots": Style(
        "exception", DATACLASS, "@dataclass(eq=False, slots=True)\n", "LookupError"
    ),
    "attrs exception": Style("exception", "import attrs\n", "@attrs.define(eq=False)\n", "Exception"),
}
CODED = frozenset({"plain", "slots", "exception", "exception, annotated", "exception with slots"})
KEYWORD_ONLY = frozenset(
    {"dataclass, keyword-only", "pydantic", "pydantic, frozen", "pydantic 1", "msgspec, keyword-only"}
)
# The fields that the base brings, for `base changed`: the class keeps the two others.
OWN: Fields = (QTY, PRICE)


def written(style: str, fields: Fields, name: str = "Trade", base: str = "", inherited: Fields = ()) -> str:
    """Write a class in a style. With `base`, a class of the same style brings the inherited fields."""
    how = STYLES[style]
    if style == "named tuple of collections":
        defaults = [default for _, _, default in fields if default is not None]
        more = f", defaults=[{', '.join(defaults)}]" if defaults else ""
        return f"{name} = collections.namedtuple({name!r}, {[field for field, _, _ in fields]!r}{more})\n"
    bases = base or how.bases
    lines = [f"{how.head}class {name}({bases}):" if bases else f"{how.head}class {name}:"]
    if style in ("slots", "slots, annotated", "exception with slots"):
        lines.append(f"    __slots__ = {tuple(field for field, _, _ in fields)!r}")
    if style == "plain":  # a default for objects that were stored before
        lines += [f"    {field} = {default}" for field, _, default in fields if default is not None]
    if style not in ("plain", "slots", "exception", "exception with slots"):
        for field, annotation, default in fields:
            has_value = default is not None and style != "slots, annotated"
            lines.append(f"    {field}: {annotation}" + (f" = {default}" if has_value else ""))
    if style in CODED or style in ("plain, annotated", "slots, annotated"):
        lines += constructor(style, fields, base, inherited)
    return "\n".join(lines) + "\n"


def constructor(style: str, fields: Fields, base: str, inherited: Fields) -> list[str]:
    """Write `__init__`, which takes the fields in their order."""
    taken = [*inherited, *fields]
    parameters = [field if default is None else f"{field}={default}" for field, _, default in taken]
    lines = [f"    def __init__(self, {', '.join(parameters)}):"]
    if STYLES[style].group == "exception":  # a call with its arguments makes it again
        lines[0] = lines[0].replace("):", ", *more):")
        lines.append(f"        super().__init__({', '.join(field for field, _, _ in taken)}, *more)")
    elif base:
        lines.append(f"        super().__init__({', '.join(field for field, _, _ in inherited)})")
    return lines + [f"        self.{field} = {field}" for field, _, _ in fields]


def called(style: str, values: dict[str, str]) -> str:
    pairs = [f"{name}={value}" if style in KEYWORD_ONLY else value for name, value in values.items()]
    return f"Trade({', '.join(pairs)})"


def checks_of(values: dict[str, str], change: str) -> tuple[Check, ...]:
    """Return what holds of an object with some values after a change of its class."""
    left = dict(values)
    if change == RENAME:
        left = {"quantity" if name == "qty" else name: value for name, value in left.items()}
    elif change == REMOVE:
        del left["qty"]
    checks = [Check(f"obj.{name}", value) for name, value in left.items()]
    if change == ADD:
        checks.append(Check("obj.venue", None))
    elif change in (ADD_DEFAULT, ADD_FACTORY):
        checks.append(Check("obj.venue", "'X'" if change == ADD_DEFAULT else "[]"))
    elif change == BASE:
        checks[0] = Check("obj.title", None)
    return tuple(checks)


def field_cells() -> Iterator[Cell]:
    for way, style in STYLES.items():
        for change in CHANGES:
            old, new, needs = style.imports + written(way, FIELDS), "", needed(style)
            if change in CHANGED:
                if change == ADD_DEFAULT and way in ("slots", "slots, annotated", "exception with slots"):
                    continue  # a slot has no default on the class
                new = style.imports + written(way, CHANGED[change])
            elif change == ADD_FACTORY and style.factory is not None:
                new = style.imports + written(way, (*FIELDS, ("venue", "list", style.factory)))
            elif change == BASE and style.inherits:
                title = ("title", "str", None)
                both = [(ACCOUNT, "Named"), (title, "Titled")]
                old, new = (
                    style.imports
                    + written(way, (field,), base)
                    + written(way, OWN, base=base + settings(style), inherited=(field,))
                    for field, base in both
                )
            elif change == KIND and style.other:
                other = STYLES[style.other]
                new = other.imports + written(style.other, FIELDS)
                needs += needed(other)
            elif change == MOVED:
                new = old
            else:
                continue
            objects = called(way, VALUES[0]), called(way, VALUES[1])
            checks = checks_of(VALUES[0], change), checks_of(VALUES[1], change)
            renames = (("qty", "quantity"),) if change == RENAME else ()
            yield Cell(way, style.group, change, old, new, "Trade", objects, checks, renames, needs)


def needed(style: Style) -> tuple[str, ...]:
    """Return the modules that a style needs."""
    return (*(name for name in ("attrs", "msgspec", "pydantic") if f"import {name}" in style.imports), *style.needs)


def settings(style: Style) -> str:
    """Return the arguments of a class statement that subclasses repeat."""
    _, comma, setting = style.bases.partition(", ")
    return comma + setting


# --- enums ------------------------------------------------------------------------------------------------------------


class Members(NamedTuple):
    """How an enum is written: its bases, and the values of BUY and SELL, and of a third member."""

    bases: str
    buy: str
    sell: str
    hold: str
    other: str  # the bases after `base changed`
    body: str = ""


ENUMS = {
    "enum": Members("enum.Enum", "1", "2", "3", "enum.IntEnum"),
    "enum of texts": Members("enum.Enum", "'b'", "'s'", "'h'", "str, enum.Enum"),
    "enum over int": Members("enum.IntEnum", "1", "2", "3", "enum.Enum"),
    "enum over str": Members("str, enum.Enum", "'b'", "'s'", "'h'", "enum.Enum"),
    "enum, automatic values": Members("enum.Enum", "enum.auto()", "enum.auto()", "enum.auto()", "enum.IntEnum"),
    "enum of tuples": Members(
        "enum.Enum",
        "(1, 'b')",
        "(2, 's')",
        "(3, 'h')",
        "enum.Enum",
        "    def __init__(self, number, letter):\n        self.number, self.letter = number, letter\n",
    ),
    "enum of dicts": Members("enum.Enum", "{'n': 1}", "{'n': 2}", "{'n': 3}", "enum.Enum"),
    "enum of dataclasses": Members("enum.Enum", "Value(1)", "Value(2)", "Value(3)", "enum.Enum"),
    "flag": Members("enum.Flag", "1", "2", "4", "enum.IntFlag"),
    "flag over int": Members("enum.IntFlag", "1", "2", "4", "enum.Flag"),
}
ENUM_HEAD = "import enum\nfrom dataclasses import dataclass\n@dataclass(frozen=True)\nclass Value:\n    number: int\n"


def enum_source(members: Members, pairs: list[tuple[str, str]], bases: str = "") -> str:
    body = "".join(f"    {name} = {value}\n" for name, value in pairs)
    return f"{ENUM_HEAD}class Trade({bases or members.bases}):\n{body}{members.body}"


def enum_cells() -> Iterator[Cell]:
    for way, members in ENUMS.items():
        buy, sell, hold = ("BUY", members.buy), ("SELL", members.sell), ("HOLD", members.hold)
        old = enum_source(members, [buy, sell])
        is_automatic = members.buy == members.sell
        objects = ("Trade.SELL", "Trade.BUY | Trade.SELL" if way.startswith("flag") else "Trade.BUY")
        swapped = [sell, buy] if is_automatic else [("BUY", members.sell), ("SELL", members.buy)]
        sources = {
            NOTHING: old,
            RENAME: enum_source(members, [buy, ("DISPOSE", members.sell)]),
            REMOVE: enum_source(members, [buy]),
            ADD: enum_source(members, [buy, sell, hold]),
            SWAP: enum_source(members, swapped),
            BASE: enum_source(members, [buy, sell], members.other) if members.other != members.bases else "",
            MOVED: old,
        }
        for change, new in sources.items():
            if not new:
                continue
            today = [text.replace("SELL", "DISPOSE") if change == RENAME else text for text in objects]
            if change == REMOVE:  # no member can be right
                checks = tuple((Check("obj", None),) if "SELL" in text else (Check("obj", text),) for text in objects)
            else:
                checks = tuple((Check("obj", text),) for text in today)
            group = "flag" if way.startswith("flag") else "enum"
            renames = (("SELL", "DISPOSE"),) if change == RENAME else ()
            yield Cell(way, group, change, old, new, "Trade", objects, (checks[0], checks[1]), renames)


# --- classes over builtins and over classes of the standard library ---------------------------------------------------


class Base(NamedTuple):
    """A base whose objects hold values: the arguments of its constructor, how they show, and the base it becomes."""

    arguments: tuple[str, str]
    shows: str  # an expression about `obj`
    other: str


BASES = {
    "dict": Base(("{'k': 1}", "{'k': 2}"), "dict(obj)", "collections.UserDict"),
    "list": Base(("[1, 2]", "[3]"), "list(obj)", "collections.UserList"),
    "set": Base(("[1, 2]", "[3]"), "set(obj)", "frozenset"),
    "frozenset": Base(("[1, 2]", "[3]"), "frozenset(obj)", "set"),
    "tuple": Base(("(1, 2)", "(3,)"), "tuple(obj)", "list"),
    "str": Base(("'text'", "'more'"), "str(obj)", "collections.UserString"),
    "bytes": Base(("b'ab'", "b'c'"), "bytes(obj)", "bytearray"),
    "bytearray": Base(("b'ab'", "b'c'"), "bytes(obj)", "bytes"),
    "int": Base(("3", "4"), "int(obj)", "float"),
    "float": Base(("1.5", "2.5"), "float(obj)", "decimal.Decimal"),
    "complex": Base(("1j", "2j"), "complex(obj)", "float"),
    "array.array": Base(("'i', [1, 2]", "'i', [3]"), "obj.tolist()", "list"),
    "collections.ChainMap": Base(("{'k': 1}", "{'k': 2}"), "dict(obj)", "dict"),
    "collections.Counter": Base(("'aab'", "'b'"), "dict(obj)", "dict"),
    "collections.OrderedDict": Base(("[('k', 1)]", "[('k', 2)]"), "list(obj.items())", "dict"),
    "collections.UserDict": Base(("{'k': 1}", "{'k': 2}"), "dict(obj)", "dict"),
    "collections.UserList": Base(("[1, 2]", "[3]"), "list(obj)", "list"),
    "collections.UserString": Base(("'text'", "'more'"), "str(obj)", "str"),
    "collections.defaultdict": Base(("list, {'k': [1]}", "list"), "(dict(obj), obj.default_factory)", "dict"),
    "collections.deque": Base(("[1, 2], 5", "[3]"), "(list(obj), obj.maxlen)", "list"),
    "datetime.date": Base(("2026, 1, 2", "2026, 1, 3"), "obj.isoformat()", "datetime.datetime"),
    "datetime.datetime": Base(("2026, 1, 2, 3", "2026, 1, 3"), "obj.isoformat()", "datetime.date"),
    "datetime.time": Base(("3, 4", "5"), "obj.isoformat()", "datetime.timedelta"),
    "datetime.timedelta": Base(("1, 2", "3"), "obj.total_seconds()", "int"),
    "decimal.Decimal": Base(("'1.5'", "'2'"), "str(obj)", "float"),
    "fractions.Fraction": Base(("1, 3", "2"), "(obj.numerator, obj.denominator)", "decimal.Decimal"),
    "pathlib.PurePosixPath": Base(("'a/b'", "'c'"), "str(obj)", "str"),
    "uuid.UUID": Base(("int=1", "int=2"), "obj.int", "int"),
    "random.Random": Base(("1", "2"), "obj.getstate()[1][:3]", "object"),
    "types.SimpleNamespace": Base(("k=1", "k=2"), "obj.k", "dict"),
    "OSError": Base(("2, 'text'", "3, 'more'"), "obj.args", "Exception"),
    "KeyError": Base(("'text'", "'more'"), "obj.args", "OSError"),
    "UnicodeError": Base(("'text'", "'more'"), "obj.args", "UnicodeDecodeError"),
}
BASE_HEAD = (
    "import array, collections, datetime, decimal, fractions, pathlib, random, types, uuid\n"
    "from dataclasses import dataclass\n"
)
OWNER, COUNT = ("owner", "str", None), ("count", "int", None)
BASE_FIELDS: dict[str, Fields] = {
    NOTHING: (OWNER, COUNT),
    RENAME: (OWNER, ("amount", "int", None)),
    REMOVE: (OWNER,),
    ADD: (OWNER, COUNT, ("venue", "str", None)),
    ADD_DEFAULT: (OWNER, COUNT, ("venue", "str", "'X'")),
    SWAP: (COUNT, OWNER),
    BASE: (OWNER, COUNT),
    MOVED: (OWNER, COUNT),
}
BASE_VALUES = ({"owner": "'ada'", "count": "3"}, {"owner": "'bob'", "count": "4"})
WITHOUT_FIELDS: dict[str, Fields] = {
    NOTHING: (),
    ADD: (("venue", "str", None),),
    ADD_DEFAULT: (("venue", "str", "'X'"),),
    BASE: (),
    MOVED: (),
}
IMMUTABLE = frozenset(
    {
        *("frozenset", "tuple", "str", "bytes", "int", "float", "complex", "array.array"),
        *("datetime.date", "datetime.datetime", "datetime.time", "datetime.timedelta", "decimal.Decimal"),
        *("fractions.Fraction", "pathlib.PurePosixPath", "random.Random"),
    }
)


def over_base(base: str, fields: Fields, how: str) -> str:
    """Write a class over a base, whose attributes are annotated, or assigned by its constructor."""
    lines = [f"class Trade({base}):"]
    if how in ("annotated", "without attributes"):
        lines.append("    pass")
        lines += [f"    {name}: {text}" + ("" if value is None else f" = {value}") for name, text, value in fields]
    elif how == "slots":
        lines.append(f"    __slots__ = {tuple(name for name, _, _ in fields)!r}")
    else:
        lines += [f"    {name} = {value}" for name, _, value in fields if value is not None]
        keywords = ", ".join(f"{name}={value or repr('?')}" for name, _, value in fields)
        if base in IMMUTABLE:
            lines += [f"    def __new__(cls, *args, {keywords}, **more):"]
            lines += ["        self = super().__new__(cls, *args, **more)"]
        else:
            lines += [f"    def __init__(self, *args, {keywords}, **more):", "        super().__init__(*args, **more)"]
        lines += [f"        self.{name} = {name}" for name, _, _ in fields]
        lines += ["        return self"] if base in IMMUTABLE else []
    return BASE_HEAD + "\n".join([*lines, MADE])


# Sets the attributes as other code does, also where the constructor takes none.
MADE = """
def made(attributes, *args, **more):
    obj = Trade(*args, **more)
    for name, value in attributes.items():
        object.__setattr__(obj, name, value)
    return obj
"""


def base_cells() -> Iterator[Cell]:
    for base, about in BASES.items():
        for how in ("annotated", "assigned", "slots", "without attributes"):
            if (how == "slots" and base in ("tuple", "bytes", "int")) or (how == "assigned" and base == "uuid.UUID"):
                continue  # objects of variable size have no slots, and those of UUID refuse assignments
            for change in WITHOUT_FIELDS if how == "without attributes" else BASE_FIELDS:
                if change != ADD_DEFAULT or how != "slots":
                    yield base_cell(base, about, how, change)


def base_cell(base: str, about: Base, how: str, change: str) -> Cell:
    has_fields = how != "without attributes"
    table = BASE_FIELDS if has_fields else WITHOUT_FIELDS
    old = over_base(base, table[NOTHING], how)
    new = over_base(about.other if change == BASE else base, table[change], how)
    objects, checks = [], []
    for values, arguments in zip(BASE_VALUES if has_fields else ({}, {}), about.arguments, strict=True):
        attributes = ", ".join(f"{name}={value}" for name, value in values.items())
        objects.append(f"made(dict({attributes}), {arguments})")
        left = dict(values)
        if change == RENAME:
            left = {"amount" if name == "count" else name: value for name, value in left.items()}
        elif change == REMOVE:
            del left["count"]
        found = [Check(f"obj.{name}", value) for name, value in left.items()]
        if change in (ADD, ADD_DEFAULT):
            found.append(Check("obj.venue", None if change == ADD else "'X'"))
        found.append(Check(about.shows, f"(lambda obj: {about.shows})({base}({arguments}))"))
        checks.append(tuple(found))
    group = "over an exception" if base[0].isupper() else "over a standard class" if "." in base else "over a builtin"
    return Cell(
        f"{base}, {how}",
        group,
        change,
        old,
        new,
        "Trade",
        (objects[0], objects[1]),
        (checks[0], checks[1]),
        (("count", "amount"),) if change == RENAME else (),
        may_be_impossible=how == "slots" or change == BASE,
    )


# --- classes of relational mappers ------------------------------------------------------------------------------------

SQLALCHEMY = "from typing import Optional\nfrom sqlalchemy import *\nfrom sqlalchemy.orm import *\n"
TABLE = "    __tablename__ = 'trades'\n"


class Mapper(NamedTuple):
    """How a class is mapped: the head of the module, the base of mixins, and its columns: `{}` stands for a type."""

    head: str
    mixin: str
    key: str
    column: str
    new: str  # a column that nothing gives a value
    default: str
    body: str = ""
    needs: str = "sqlalchemy"
    types: tuple[str, ...] = ("str", "int", "float")


MAPPERS = {
    "SQLAlchemy, Column": Mapper(
        SQLALCHEMY + "Base = declarative_base()\n",
        "",
        "id = Column(Integer, primary_key=True)",
        "{name} = Column({type})",
        "{name} = Column({type}, nullable=False)",
        "{name} = Column({type}, nullable=False, default='X')",
        TABLE,
        types=("String", "Integer", "Float"),
    ),
    "SQLAlchemy, Mapped": Mapper(
        SQLALCHEMY + "class Base(DeclarativeBase): pass\n",
        "",
        "id: Mapped[int] = mapped_column(primary_key=True)",
        "{name}: Mapped[{type}]",
        "{name}: Mapped[{type}]",
        "{name}: Mapped[{type}] = mapped_column(default='X')",
        TABLE,
    ),
    "SQLAlchemy, MappedAsDataclass": Mapper(
        SQLALCHEMY + "class Base(MappedAsDataclass, DeclarativeBase): pass\n",
        "MappedAsDataclass",
        "id: Mapped[int] = mapped_column(primary_key=True, init=False)",
        "{name}: Mapped[{type}] = mapped_column()",
        "{name}: Mapped[{type}] = mapped_column(init=False)",
        "{name}: Mapped[{type}] = mapped_column(default='X')",
        TABLE,
    ),
    "Django": Mapper(
        "from _helpers.drift_ways import django_label\nfrom django.db import models\n"
        "label = django_label(__name__)\nBase = models.Model\n",
        "models.Model",
        "",
        "{name} = models.{type}",
        "{name} = models.{type}",
        "{name} = models.CharField(max_length=9, default='X')",
        "    class Meta: app_label = label\n",
        "django",
        ("CharField(max_length=9)", "IntegerField()", "FloatField()"),
    ),
}


def django_label(module: str) -> str:
    """Make an application of Django for a module, and return its label: a model that moves keeps it."""
    import sys

    import django
    from django.apps import AppConfig, apps
    from django.conf import settings as django_settings

    if not django_settings.configured:
        django_settings.configure(DEFAULT_AUTO_FIELD="django.db.models.AutoField")
        django.setup()
    label = module.replace("store_", "shop_")
    config = type("Shop", (AppConfig,), {"path": ".", "label": label})(label, sys.modules[module])
    config.models, config.apps = apps.all_models[label], apps
    apps.app_configs[label] = config
    apps.clear_cache()
    return label


def mapped(mapper: Mapper, fields: Fields, base: str = "", inherited: Fields = ()) -> str:
    """Write a mapped class. With `base`, a mixin of this name brings the inherited columns."""
    types = dict(zip(("str", "int", "float"), mapper.types, strict=True))

    def columns(fields: Fields) -> str:
        lines = []
        for name, annotation, default in fields:
            is_new = name in ("venue", "title")
            text = mapper.default if default else mapper.new if is_new else mapper.column
            lines.append(f"    {text.format(name=name, type=types[annotation])}\n")
        return "".join(lines)

    mixin = ""
    if base:
        meta = "    class Meta: abstract = True\n" if mapper.needs == "django" else ""
        mixin = f"class {base}({mapper.mixin}):\n{columns(inherited)}{meta}"
    key = f"    {mapper.key}\n" if mapper.key else ""
    return f"{mapper.head}{mixin}class Trade({base + ', ' if base else ''}Base):\n{key}{columns(fields)}{mapper.body}"


def orm_cells() -> Iterator[Cell]:
    for way, mapper in MAPPERS.items():
        objects = tuple(f"Trade({', '.join(f'{k}={v}' for k, v in values.items())})" for values in VALUES)
        for change in (*CHANGED, BASE, MOVED, KIND):
            old = mapped(mapper, FIELDS)
            new = mapped(mapper, CHANGED.get(change, FIELDS))
            if change == BASE:
                old = mapped(mapper, OWN, "Named", (ACCOUNT,))
                new = mapped(mapper, OWN, "Titled", (("title", "str", None),))
            elif change == KIND:
                if way != "SQLAlchemy, Column":
                    continue
                new = mapped(MAPPERS["SQLAlchemy, Mapped"], FIELDS)
            found = []
            for values in VALUES:
                checks = checks_of(values, change)
                if change == ADD_DEFAULT:  # the framework loads it from the database, or takes the default
                    checks = (*checks[:-1], Check("vars(obj).get('venue', 'X')", "'X'"))
                found.append(checks)
            renames = (("qty", "quantity"),) if change == RENAME else ()
            pair, both = (objects[0], objects[1]), (found[0], found[1])
            yield Cell(way, way.partition(",")[0], change, old, new, "Trade", pair, both, renames, (mapper.needs,))


GROUPS: dict[str, tuple[Callable[[], Iterator[Cell]], ...]] = {
    "light": (field_cells, enum_cells, base_cells),
    "fields": (field_cells,),
    "orm": (orm_cells,),
}


def all_cells(groups: list[str]) -> list[Cell]:
    """Return the cells of some groups."""
    return [cell for group in groups for cells in GROUPS[group] for cell in cells()]
