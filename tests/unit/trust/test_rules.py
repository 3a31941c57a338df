"""Rules and presets in `trust=`: which classes they give, and what a payload may do with them at each level."""

import collections
import copy
import importlib
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from frames import Frame, framed, named, text

import pickleseal
from pickleseal import Policy, Reader, Serializer, errors
from pickleseal._trust import presets
from pickleseal.trust import Rule, classes_in, preset, subclasses_of

INIT = """
import os
from collections import Counter
from os import system
from subprocess import CompletedProcess, Popen
from shop.models import Order, Meta
"""
MODELS = """
import collections, copyreg, enum
from dataclasses import dataclass, field
from typing import NamedTuple

marks = []

@dataclass
class Order:
    id: int
    lines: list = field(default_factory=list)

    @dataclass
    class Line:
        text: str

    def __init__(self, id, lines=()):
        marks.append("init")
        self.id, self.lines = id, list(lines)

    @classmethod
    def made(cls, *args):
        marks.append("made")

class Special(Order):
    pass

class Status(enum.Enum):
    OPEN = "open"
    DONE = "done"

class Flag(enum.Flag):
    A = 1
    B = 2

class Empty(enum.Enum):
    pass

class Point(NamedTuple):
    x: int
    y: int

class Rows(list):
    pass

class Own:
    def __init__(self, x=0):
        marks.append("own")
        self.x = x

    def __reduce__(self):
        return Own, (self.x,)

class Stateful:
    def __setstate__(self, state):
        marks.append("setstate")
        self.x = state["x"]

class Deleted:
    def __del__(self):
        marks.append("del")

class Meta(type):
    pass

class WithMeta(metaclass=Meta):
    pass

class Failed(Exception):
    pass

class MyPopen:
    pass

MyPopen.__module__, MyPopen.__qualname__ = "subprocess", "Popen"
Moved = Order

def helper(*args):
    marks.append("helper")

class Callable:
    def __call__(self, *args):
        marks.append("called")

def rebuild(*args):
    return Order.__new__(Order)

def given(*args):
    return helper

def local():
    class Local:
        pass
    return Local
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The models of a package, and a module of it, `shop.late`, that nobody has imported."""
    root = tmp_path_factory.mktemp("code")
    (root / "shop").mkdir()
    (root / "shop" / "__init__.py").write_text(INIT)
    (root / "shop" / "models.py").write_text(MODELS)
    (root / "shop" / "late.py").write_text("class Late:\n    pass\n")
    (root / "shopping.py").write_text("class Basket:\n    pass\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root))
        importlib.import_module("shopping")
        yield importlib.import_module("shop.models")
        for name in [name for name in sys.modules if name.partition(".")[0] in ("shop", "shopping")]:
            del sys.modules[name]


@pytest.fixture(autouse=True)
def _no_marks(shop: Any) -> None:
    shop.marks.clear()


def hostile(body: bytes, *names: str) -> bytes:
    """An intact artifact whose pickle is `body` and whose header declares `names`."""
    return Frame(framed(body), globals=sorted(names), type="builtins:object").data


IN_SHOP = (classes_in("shop"),)
LEVELS = [
    Policy(),
    Policy(level="strict"),
    pytest.param(Policy(isolated=True), marks=pytest.mark.skipif(sys.platform == "win32", reason="no fork")),
]
levels = pytest.mark.parametrize("policy", LEVELS, ids=["guarded", "strict", "isolated"])


class TestClassesIn:
    @levels
    def test_objects_of_the_package_load(self, shop: Any, policy: Policy) -> None:
        obj = [shop.Order(1, [shop.Order.Line("tea")]), shop.Special(2), shop.Status.DONE, shop.Flag.A | shop.Flag.B]
        obj += [shop.Point(1, 2), shop.Rows([1, 2])]
        shop.marks.clear()
        again = pickleseal.unpack(pickleseal.pack(obj), trust=IN_SHOP, policy=policy)
        assert again == obj
        assert [type(item) for item in again] == [type(item) for item in obj]
        assert shop.marks == []

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("shop:system", "gives classes, and shop:system is a builtin_function"),
            ("shop:Counter", "only by the name of its definition, which is collections:Counter"),
            ("shop:CompletedProcess", "which is subprocess:CompletedProcess"),
            ("shop:Order", "which is shop.models:Order"),
            ("shop.models:Moved", "which is shop.models:Order"),
            ("shop.models:helper", "is a function"),
            ("shop.models:Order.made", "is a classmethod"),
            ("shop.models:Order.__init__", "is a function"),
            ("shop.models:marks", "is a list"),
            ("shop.models:Meta", "is a metaclass"),
            ("shop.models:Deleted", "defines __del__"),
            ("shop.models:MyPopen", "which is subprocess:Popen"),
            ("shop.models:Nothing", "has no shop.models:Nothing there"),
            ("shop.late:Late", "import shop.late first"),
            ("shop.models:local.<locals>.Local", "has no"),
        ],
    )
    def test_nothing_else_of_it_is_trusted(self, shop: Any, name: str, reason: str) -> None:
        for body in (named(*name.split(":")), named(*name.split(":")) + b")R", named(*name.split(":")) + b")\x81"):
            for level in ("guarded", "strict"):
                with pytest.raises(errors.UntrustedGlobalError) as caught:
                    pickleseal.unpack(hostile(body, name), trust=IN_SHOP, policy=Policy(level=level))
                assert caught.value.step == 15
                assert reason in str(caught.value)
        assert shop.marks == []
        assert "shop.late" not in sys.modules

    @pytest.mark.parametrize("name", ["shop:os.system", "shop:Popen", "shop:os.path.os.system", "shop:os"])
    def test_what_runs_its_arguments_is_not_reached_through_the_package(self, shop: Any, name: str) -> None:
        body = named(*name.split(":")) + text("true") + b"\x85R"
        with pytest.raises(errors.UntrustedGlobalError):
            pickleseal.unpack(hostile(body, name), trust=IN_SHOP)

    def test_a_package_whose_name_begins_alike_is_another(self, shop: Any) -> None:
        import shopping

        data = pickleseal.pack(shopping.Basket())
        with pytest.raises(errors.UntrustedGlobalError):
            pickleseal.unpack(data, trust=IN_SHOP)
        assert pickleseal.unpack(data, trust=[classes_in("shopping")])

    @levels
    @pytest.mark.parametrize("cls", ["Order", "Own", "Special", "WithMeta", "Failed", "Stateful", "Rows"])
    def test_a_call_is_refused_before_anything_runs(self, shop: Any, policy: Policy, cls: str) -> None:
        name = f"shop.models:{cls}"
        # An object that would leave a mark comes first.
        marking = named("shop.models", "Stateful") + b")\x81}" + text("x") + b"K\x01sb"
        body = b"]" + marking + b"a" + named("shop.models", cls) + b"K\x01\x85Ra"
        with pytest.raises(errors.ForbiddenOperationError) as caught:
            pickleseal.unpack(hostile(body, *{name, "shop.models:Stateful"}), trust=IN_SHOP, policy=policy)
        assert caught.value.step == 20
        assert f"calls {name}" in str(caught.value)
        assert "only classes_in('shop') trusts it, and not for that" in str(caught.value)
        assert f'trust=["{name}"]' in str(caught.value)
        assert shop.marks == []

    def test_an_object_whose_pickle_calls_its_class_needs_its_exact_name(self, shop: Any) -> None:
        data = pickleseal.pack([shop.Own(7), shop.Failed("no")])
        with pytest.raises(errors.ForbiddenOperationError, match="classes_in"):
            pickleseal.unpack(data, trust=IN_SHOP)
        again = pickleseal.unpack(data, trust=[*IN_SHOP, shop.Own, "shop.models:Failed"])
        assert again[0].x == 7
        assert again[1].args == ("no",)

    @levels
    def test_class_methods_of_it_are_not_called(self, shop: Any, policy: Policy) -> None:
        body = named("builtins", "getattr") + named("shop.models", "Own") + text("__init__") + b"\x86R)R"
        with pytest.raises(errors.ReadError) as caught:
            pickleseal.unpack(hostile(body, "builtins:getattr", "shop.models:Own"), trust=IN_SHOP, policy=policy)
        assert caught.value.step == 20
        body = named("builtins", "getattr") + named("shop.models", "Order") + text("made") + b"\x86R)R"
        with pytest.raises(errors.ForbiddenOperationError):
            pickleseal.unpack(hostile(body, "builtins:getattr", "shop.models:Order"), trust=IN_SHOP, policy=policy)
        assert shop.marks == []

    @levels
    def test_the_class_itself_is_not_changed(self, shop: Any, policy: Policy) -> None:
        for body in (b"}" + text("id") + b"K\x01sb", b"N}" + text("id") + b"K\x01s\x86b"):
            data = hostile(named("shop.models", "Order") + body, "shop.models:Order")
            with pytest.raises(errors.ReadError) as caught:
                pickleseal.unpack(data, trust=IN_SHOP, policy=policy)
            assert caught.value.step == 20
        assert not hasattr(shop.Order, "id")

    def test_an_enum_is_called_with_one_value(self, shop: Any) -> None:
        body = named("shop.models", "Status") + text("open") + b"\x85R"
        assert pickleseal.unpack(hostile(body, "shop.models:Status"), trust=IN_SHOP) is shop.Status.OPEN
        for args in (b")R", text("New") + text("a b") + b"\x86R"):
            data = hostile(named("shop.models", "Status") + args, "shop.models:Status")
            with pytest.raises(errors.PayloadError):
                pickleseal.unpack(data, trust=IN_SHOP)
            with pytest.raises(errors.ForbiddenOperationError, match="one value"):
                pickleseal.unpack(data, trust=IN_SHOP, policy=Policy(level="strict"))

    def test_a_call_of_an_enum_without_members_would_make_a_class(self, shop: Any) -> None:
        data = hostile(named("shop.models", "Empty") + text("New") + text("a b") + b"\x86R", "shop.models:Empty")
        with pytest.raises(errors.UntrustedGlobalError, match="an enum without members"):
            pickleseal.unpack(data, trust=IN_SHOP)
        with pytest.raises(errors.ForbiddenOperationError, match="one value"):
            pickleseal.unpack(data, trust=[shop.Empty])

    def test_a_policy_sees_classes_that_are_imported_later(self, shop: Any) -> None:
        policy = Policy(trust=IN_SHOP)
        name = "shop.late:Late"
        data = hostile(named("shop.late", "Late") + b")\x81", name)
        with pytest.raises(errors.UntrustedGlobalError, match=r"import shop\.late first"):
            pickleseal.unpack(data, policy=policy)
        late = importlib.import_module("shop.late")
        try:
            assert type(pickleseal.unpack(data, policy=policy)) is late.Late
        finally:
            del sys.modules["shop.late"]

    def test_a_payload_without_calls_takes_no_dry_run(self, shop: Any, no_dry_run: None) -> None:
        orders = [shop.Order(1), shop.Order(2)]
        assert pickleseal.unpack(pickleseal.pack(orders), trust=IN_SHOP) == orders

    def test_the_exact_name_gives_what_pickles_of_the_class_need(self, shop: Any) -> None:
        data = pickleseal.pack(shop.Own(7))
        for trust in ([*IN_SHOP, shop.Own], [shop.Own, *IN_SHOP]):
            assert pickleseal.unpack(data, trust=trust).x == 7

    @pytest.mark.parametrize(
        "package", ["", "shop.*", "*", "shop:models", "os", "subprocess", "builtins", "numpy.linalg"]
    )
    def test_no_package_of_which_classes_do_harm(self, package: str) -> None:
        with pytest.raises(ValueError, match="classes_in: expected"):
            classes_in(package)

    @pytest.mark.parametrize("package", [None, 7, sys, ["shop"]])
    def test_the_package_is_a_text(self, package: Any) -> None:
        with pytest.raises(TypeError, match="classes_in: expected"):
            classes_in(package)

    def test_a_call_that_readers_refuse_is_heard_when_writing(self, shop: Any) -> None:
        serializer = Serializer(trust=IN_SHOP, check_writes=True)
        for level in ("guarded", "strict"):
            checked = Serializer(Policy(trust=IN_SHOP, level=level), check_writes=True)
            for _ in range(2):
                with pytest.raises(errors.PackError, match=r"only classes_in\('shop'\) trusts it") as caught:
                    checked.dumps([shop.Order(1), shop.Own(7)])
                assert 'trust=["shop.models:Own"]' in str(caught.value)
        assert serializer.dumps([shop.Order(1)])
        assert Serializer(trust=[*IN_SHOP, shop.Own], check_writes=True).dumps(shop.Own(7))
        assert shop.marks.count("own") == 5  # the objects that are packed here, and no others

    def test_verify_leaves_out_what_depends_on_an_import(self, shop: Any) -> None:
        late = hostile(named("shop.late", "Late") + b")\x81", "shop.late:Late")
        for rule in (classes_in("shop"), subclasses_of("shop.late:Late")):
            header = pickleseal.verify(late, policy=Policy(trust=[rule], drift="ignore"))
            assert header.left_out == ("untrusted-global", "class-missing")
        header = pickleseal.verify(pickleseal.pack(shop.Order(1)), policy=Policy(trust=IN_SHOP, drift="ignore"))
        assert header.left_out == ("class-missing",)
        for name in ("shop.models:Own.x", "elsewhere:Late", "subprocess:Popen"):
            with pytest.raises(errors.UntrustedGlobalError):
                pickleseal.verify(hostile(b"N", name), policy=Policy(trust=IN_SHOP))
        assert "shop.late" not in sys.modules


class TestSubclassesOf:
    @levels
    def test_the_class_and_its_subclasses_load(self, shop: Any, policy: Policy) -> None:
        obj = [shop.Order(1), shop.Special(2)]
        for rule in (subclasses_of(shop.Order), subclasses_of("shop.models:Order")):
            assert pickleseal.unpack(pickleseal.pack(obj), trust=[rule], policy=policy) == obj
        with pytest.raises(errors.UntrustedGlobalError):
            pickleseal.unpack(pickleseal.pack(shop.Order.Line("x")), trust=[subclasses_of(shop.Order)])

    @levels
    def test_they_are_not_called(self, shop: Any, policy: Policy) -> None:
        body = named("shop.models", "Special") + b"K\x01\x85R"
        with pytest.raises(errors.ForbiddenOperationError, match="subclasses_of"):
            pickleseal.unpack(hostile(body, "shop.models:Special"), trust=[subclasses_of(shop.Order)], policy=policy)
        assert shop.marks == []

    def test_a_name_that_is_not_imported_gives_nothing(self, shop: Any) -> None:
        with pytest.raises(errors.UntrustedGlobalError):
            pickleseal.unpack(pickleseal.pack(shop.Order(1)), trust=[subclasses_of("shop.late:Late")])
        assert "shop.late" not in sys.modules

    @pytest.mark.parametrize("base", [object, "builtins:object", type, "os:system"])
    def test_no_class_that_narrows_nothing(self, base: Any) -> None:
        with pytest.raises(ValueError, match="subclasses_of: expected"):
            subclasses_of(base)

    @pytest.mark.parametrize("base", [None, 7, "shop.models.Order", len])
    def test_the_base_is_a_class(self, base: Any) -> None:
        with pytest.raises(TypeError, match="subclasses_of: expected"):
            subclasses_of(base)


ROWS = (
    ("shop.models", "call", "rebuild"),
    ("shop.models", "value", "helper Status Own"),
    ("shop.models", "make", "Order Callable"),
    ("shop.models", "method", "Own.made_of"),
)


@pytest.fixture
def no_dry_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where a dry run is made."""
    from pickleseal._trust import dryrun

    def fail(*args: Any) -> Any:
        raise AssertionError("a dry run")

    monkeypatch.setattr(dryrun, "check_operations", fail)


class TestPresets:
    @pytest.fixture(autouse=True)
    def _preset(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A preset for the package, with and without states for what its function returns."""
        for name, verbs in (("shop", "call"), ("shop with states", "call state")):
            rows = (("shop.models", verbs, "rebuild"), *ROWS[1:])
            monkeypatch.setitem(presets.PRESETS, name, presets.Table(rows))
            monkeypatch.setitem(presets.ENTRIES, name, presets.entries_of(name))

    REBUILD = named("shop.models", "rebuild") + b")R"
    STATE = b"}" + text("id") + b"K\x01sb"

    def test_its_functions_need_no_dry_run(self, shop: Any, no_dry_run: None) -> None:
        names = ["shop.models:Order", "shop.models:Status", "shop.models:helper", "shop.models:rebuild"]
        body = b"]" + self.REBUILD + b"a" + b"".join(named(*name.split(":")) + b"a" for name in names[1:3])
        body += named("shop.models", "Order") + b")\x81" + self.STATE + b"a"
        again = pickleseal.unpack(hostile(body, *names), trust=[preset("shop")])
        assert again[1:3] == [shop.Status, shop.helper]
        assert again[3].id == 1
        body = self.REBUILD + self.STATE
        assert pickleseal.unpack(hostile(body, "shop.models:rebuild"), trust=[preset("shop with states")]).id == 1

    def test_classes_of_a_rule_need_none_beside_calls_of_others(self, shop: Any, no_dry_run: None) -> None:
        import datetime

        obj = [shop.Order(1), datetime.datetime(2026, 1, 2), shop.Status.OPEN, shop.Point(1, 2), shop.Order.Line("x")]
        assert pickleseal.unpack(pickleseal.pack(obj), trust=IN_SHOP) == obj

    @levels
    @pytest.mark.parametrize(
        ("body", "names"),
        [
            (REBUILD + STATE, "rebuild"),  # a state where none is permitted
            (REBUILD + b"K\x01a", "rebuild"),
            (REBUILD + b")R", "rebuild"),  # a call of a result
            (REBUILD + b")\x81", "rebuild"),
            (named("shop.models", "helper") + b")R", "helper"),
            (named("shop.models", "helper") + STATE, "helper"),
            (named("shop.models", "Own") + b")R", "Own"),
            (named("shop.models", "Own") + b")\x81", "Own"),
            (named("shop.models", "Order") + b")R", "Order"),
            (named("shop.models", "Callable") + b")\x81)R", "Callable"),
            (named("shop.models", "Status") + b")\x81", "Status"),
            (named("shop.models", "Status") + text("open") + b"\x85R" + STATE, "Status"),
            (named("shop.models", "Order") + b"N}" + text("id") + b"K\x01s\x86b", "Order"),
            (named("shop.models", "rebuild") + b"N}" + text("x") + b"K\x01s\x86b", "rebuild"),
        ],
    )
    def test_what_its_verbs_do_not_permit_is_refused(self, shop: Any, policy: Policy, body: bytes, names: str) -> None:
        data = hostile(body, *(f"shop.models:{name}" for name in names.split()))
        with pytest.raises(errors.PayloadError) as caught:
            pickleseal.unpack(data, trust=[preset("shop")], policy=policy)
        assert caught.value.code == "forbidden-operation"
        assert caught.value.step == 20
        assert shop.marks == []
        assert not hasattr(shop.helper, "id")

    def test_an_exact_name_gives_more(self, shop: Any) -> None:
        body = named("shop.models", "helper") + b")R"
        assert pickleseal.unpack(hostile(body, "shop.models:helper"), trust=[preset("shop"), shop.helper]) is None
        assert shop.marks == ["helper"]

    @levels
    def test_pandas_loads_with_its_preset(self, policy: Policy) -> None:
        pd = pytest.importorskip("pandas")
        frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"], "c": pd.to_datetime(["2026-01-01", "2026-02-01"])})
        for obj in (frame, frame["a"], frame.index, pd.Timestamp("2026-01-01", tz="UTC")):
            again = pickleseal.unpack(pickleseal.pack(obj), trust=[preset("pandas")], policy=policy)
            assert again.equals(obj) if hasattr(obj, "equals") else again == obj
        assert pickleseal.unpack(pickleseal.pack([pd.NA, pd.NaT]), trust=[preset("pandas")], policy=policy)[0] is pd.NA

    @levels
    def test_scikit_learn_loads_with_its_preset(self, policy: Policy) -> None:
        pytest.importorskip("sklearn")
        from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier

        inside, classes = [[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1]
        for model in (RandomForestClassifier(3, random_state=1), GradientBoostingClassifier(n_estimators=2)):
            model.fit(inside, classes)
            data = pickleseal.pack(model)
            again = pickleseal.unpack(data, trust=[preset("scikit-learn")], policy=policy)
            assert (again.predict(inside) == model.predict(inside)).all()

    def test_an_unknown_one_lists_all(self) -> None:
        with pytest.raises(ValueError, match=r"numpy\.random.*did you mean 'pandas'"):
            preset("panda")
        with pytest.raises(TypeError, match="preset: expected"):
            preset(None)  # type: ignore[arg-type]

    def test_a_refusal_names_the_preset(self, shop: Any) -> None:
        data = hostile(self.REBUILD, "shop.models:rebuild")
        with pytest.raises(errors.UntrustedGlobalError, match=r'trust\.preset\("shop"\) in trust=\[\.\.\.\] allows it'):
            pickleseal.unpack(data)
        data = hostile(self.REBUILD, "shop.models:rebuild", "shop.models:Flag", "shop.models:helper")
        with pytest.raises(errors.UntrustedGlobalError, match=r'preset\("shop"\) .* allows 2 of them'):
            pickleseal.unpack(data)
        data = hostile(self.REBUILD, "shop.models:rebuild", "os:system")
        with pytest.raises(errors.UntrustedGlobalError) as caught:
            pickleseal.unpack(data)
        assert "preset" not in str(caught.value)
        with pytest.raises(errors.PackError, match="preset") as heard:
            Serializer(check_writes=True).dumps(shop.Status.OPEN)
        assert 'trust=["shop.models:Status"]' in str(heard.value)

    def test_each_table_is_sound(self) -> None:
        from pickleseal._trust.allow_list import is_dangerous
        from pickleseal._trust.presets import ENTRIES

        for name, entries in ENTRIES.items():
            for known, entry in entries.items():
                assert known.count(":") == 1
                assert not is_dangerous(known), f"{name}: {known}"
                assert entry.value is None
                assert entry.verbs


class TestValues:
    RULES = (
        classes_in("shop"),
        subclasses_of("shop.models:Order"),
        subclasses_of(collections.UserDict),
        preset("pandas"),
    )

    @pytest.mark.parametrize("rule", RULES, ids=repr)
    def test_rules_are_values(self, rule: Rule) -> None:
        assert isinstance(rule, Rule)
        assert type(rule).__module__ == "pickleseal.trust"
        for again in (pickle.loads(pickle.dumps(rule)), copy.deepcopy(rule)):
            assert again == rule
            assert hash(again) == hash(rule)
        assert [other for other in self.RULES if other == rule] == [rule]
        assert eval(repr(rule).replace("'collections:UserDict'", "collections.UserDict")) == rule
        (field,) = type(rule).__slots__
        with pytest.raises(AttributeError):
            setattr(rule, field, "os")

    def test_they_go_into_every_trust(self, shop: Any, tmp_path: Path) -> None:
        data = pickleseal.pack(shop.Order(1))
        path = tmp_path / "order.pseal"
        pickleseal.dump(shop.Order(1), path)
        policy = Policy(trust=IN_SHOP)
        assert policy == Policy(trust=[classes_in("shop")])
        assert pickle.loads(pickle.dumps(policy)) == policy
        assert "classes_in('shop')" in repr(policy)
        found = [
            pickleseal.unpack(data, trust=IN_SHOP),
            pickleseal.load(path, trust=IN_SHOP),
            pickleseal.unpack(data, policy=policy),
            pickleseal.unpack(data, policy=pickle.loads(pickle.dumps(policy))),
            Serializer(trust=IN_SHOP).loads(data),
            Serializer(policy).unpack(data),
            Reader(policy).read(data).object,
            Reader(Policy(), trust=IN_SHOP).read(data).object,
            *pickleseal.iter_load(path, trust=IN_SHOP),
        ]
        assert found == [shop.Order(1)] * len(found)
        assert Serializer(trust=IN_SHOP, check_writes=True).dumps(shop.Order(1))

    @pytest.mark.parametrize("item", ["shop.*", "shop:*", "*", "shop.*:Order"])
    def test_a_wildcard_names_the_rule(self, item: str) -> None:
        with pytest.raises(TypeError, match="classes_in"):
            Policy(trust=[item])

    def test_a_rule_needs_a_list(self) -> None:
        with pytest.raises(TypeError, match="trust: expected a list"):
            Policy(trust=classes_in("shop"))  # type: ignore[arg-type]

    def test_toml_has_tables_for_them(self, tmp_path: Path) -> None:
        pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli")
        path = tmp_path / "policy.toml"
        path.write_text(
            'trust = ["shop.models:Order", {classes_in = "shop"}, {subclasses_of = "shop:Base"}, {preset = "pandas"}]\n'
        )
        rules = (classes_in("shop"), subclasses_of("shop:Base"), preset("pandas"))
        assert Policy.from_toml(path).trust == ("shop.models:Order", *rules)
        for wrong in (
            '{classes_in = ""}',
            '{classes_in = "shop", preset = "pandas"}',
            "{}",
            '{preset = "panda"}',
            "{preset = 1}",
            '{classes = "shop"}',
            '{subclasses_of = "shop.Base"}',
            '"shop.*"',
        ):
            path.write_text(f"level = 'strict'\ntrust = [{wrong}]\n")
            with pytest.raises(ValueError, match=r"policy\.toml:2: trust: .*expected"):
                Policy.from_toml(path)


class TestOtherNames:
    def test_a_class_is_trusted_under_another_of_its_names(self, shop: Any) -> None:
        cls, name = shop.Order, "shop:Order"
        body = named("shop", "Order") + b")\x81}" + text("id") + b"K\x01s" + text("lines") + b"]s" + b"b"
        for trust in ([cls], ["shop.models:Order"], ["shop.models:Moved"]):
            assert pickleseal.unpack(hostile(body, name), trust=trust) == cls(1)

    def test_another_object_under_the_name_is_not(self, shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys.modules["shop"], "Order", shop.Special)
        with pytest.raises(errors.UntrustedGlobalError):
            pickleseal.unpack(hostile(named("shop", "Order") + b")\x81", "shop:Order"), trust=["shop.models:Order"])

    def test_nothing_is_imported_for_it(self, shop: Any) -> None:
        data = hostile(named("shop.late", "Order") + b")\x81", "shop.late:Order")
        with pytest.raises(errors.UntrustedGlobalError):
            pickleseal.unpack(data, trust=["shop.models:Order"])
        assert "shop.late" not in sys.modules


def test_old_pickles_are_held_to_the_rules_too(shop: Any) -> None:
    from pickleseal.convert import repickle

    order = shop.Order(1)
    for protocol in range(6):
        data = repickle(pickle.dumps(order, protocol), trust=IN_SHOP).data
        assert pickleseal.unpack(data, trust=IN_SHOP) == order
    shop.marks.clear()
    with pytest.raises(errors.ForbiddenOperationError, match="classes_in"):
        repickle(b"cshop.models\nOrder\n(I1\ntR.", trust=IN_SHOP)
    assert shop.marks == []
