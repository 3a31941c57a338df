"""`expect=`: what it may be, which headers pass, which classes it trusts, and which loaded objects pass."""

# ruff: noqa: UP006, UP007, UP045  # every spelling of an alias counts here
import collections
import dataclasses
import gc
import sys
import types
import typing
import weakref
from collections.abc import Callable, Iterable
from typing import Any, Optional, Union

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pickleseal
from pickleseal import Header, Policy, Registry, pack, unpack
from pickleseal import _expect as module
from pickleseal._expect import Expectation, expectation, imported_class
from pickleseal._policy import compiled as compiled_policy
from pickleseal._policy import evaluate_header, request_of
from pickleseal._schema.header_entries import name_in_header
from pickleseal.errors import TypeMismatchError

NONE = type(None)


@dataclasses.dataclass
class Line:
    text: str


@dataclasses.dataclass
class LongLine(Line):
    count: int = 0


class Other:
    pass


class OwnList(list[Any]):
    def __iter__(self) -> Any:
        raise AssertionError("a method of the object ran")

    __len__ = __iter__


class OwnDict(dict[Any, Any]):
    def items(self) -> Any:
        raise AssertionError("a method of the object ran")

    __iter__ = items


# --- the object -------------------------------------------------------------------------------------------------------

LEAVES: list[tuple[Any, Any]] = [
    (int, st.integers()),
    (str, st.text(max_size=3)),
    (bytes, st.binary(max_size=3)),
    (float, st.floats()),
    (bool, st.booleans()),
    (NONE, st.none()),
]
VALUES = st.recursive(
    st.one_of([values for _, values in LEAVES]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.one_of(st.integers(0, 3), st.text(max_size=1), st.none()), inner, max_size=3),
        st.sets(st.one_of(st.integers(0, 3), st.text(max_size=1)), max_size=3),
        st.frozensets(st.integers(0, 3), max_size=3),
    ),
    max_leaves=12,
)


def aliases(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    pairs = st.tuples(inner, inner)
    return st.one_of(
        inner.map(lambda x: list[x]),
        inner.map(lambda x: typing.List[x]),
        inner.map(lambda x: set[x]),
        inner.map(lambda x: frozenset[x]),
        pairs.map(lambda p: dict[p[0], p[1]]),  # type: ignore[misc,name-defined,valid-type]
        inner.map(lambda x: tuple[x, ...]),  # type: ignore[misc,name-defined,valid-type]
        st.lists(inner, max_size=3).map(lambda items: tuple[tuple(items)]),  # type: ignore[misc]
        pairs.map(lambda p: Union[p[0], p[1]]),
        inner.map(lambda x: Optional[x]),
    )


ALIASES = st.recursive(st.sampled_from([cls for cls, _ in LEAVES] + [list, dict, object, Any]), aliases, max_leaves=8)


def conforms(obj: Any, alias: Any) -> bool:
    """Say naively whether an object is what an alias says."""
    origin, arguments = typing.get_origin(alias), typing.get_args(alias)
    if alias is Any:
        return True
    if origin is None:
        return isinstance(obj, alias)
    if origin in (Union, types.UnionType):
        return any(conforms(obj, each) for each in arguments)
    if not isinstance(obj, origin):
        return False
    if origin is dict:
        return all(conforms(k, arguments[0]) and conforms(v, arguments[1]) for k, v in obj.items())
    if origin is tuple and Ellipsis not in arguments:
        items = () if arguments == ((),) else arguments
        return len(obj) == len(items) and all(map(conforms, obj, items))
    return all(conforms(item, arguments[0]) for item in obj)


def compiled(alias: Any) -> Expectation:
    """Compile an alias, also where it is `Any`, by putting it into a list."""
    return expectation(list[alias])


@given(VALUES, ALIASES)
def test_an_object_passes_where_it_conforms(obj: Any, alias: Any) -> None:
    try:
        compiled(alias).check([obj])
    except TypeMismatchError as exc:
        assert not conforms(obj, alias)
        assert exc.step == 20
        assert (exc.where or "").startswith("$[0]")
    else:
        assert conforms(obj, alias)


@given(VALUES, ALIASES)
def test_the_path_leads_to_an_object_of_the_type_that_was_found(obj: Any, alias: Any) -> None:
    try:
        compiled(alias).check([obj])
    except TypeMismatchError as exc:
        where, found = str(exc.where), str(exc.found)
        if "{" not in where and ".key" not in where and " " not in found:
            element = eval(where.replace("$", "root", 1), {"root": [obj]})
            assert type(element).__name__ == found.replace("None", "NoneType")


@given(ALIASES)
def test_an_equal_alias_means_the_same(alias: Any) -> None:
    assert str(compiled(alias)) == str(compiled(alias))
    assert compiled(alias) is compiled(alias)


@pytest.mark.parametrize(
    ("expect", "obj", "where", "expected", "found"),
    [
        (list[int], [1, 2, "3"], "$[2]", "int", "str"),
        (dict[str, list[int]], {"a": [], "b": [1, None]}, "$['b'][1]", "int", "None"),
        (dict[str, int], {"a": 1, 2: 1}, "$.key(2)", "str", "int"),
        (dict[Any, int], {(1, 2): "x"}, "$[<tuple>]", "int", "str"),
        (set[int], {"x"}, "${...}", "int", "str"),
        (tuple[int, str], (1, 2), "$[1]", "str", "int"),
        (tuple[int, str], (1, "a", 2), None, "tuple[int, str], of 2 elements", "a tuple of 3"),
        (tuple[()], (1,), None, "tuple[()], of 0 elements", "a tuple of 1"),
        (tuple[int, ...], (1, "a"), "$[1]", "int", "str"),
        (list[int | None], [1, None, "x"], "$[2]", "int | None", "str"),
        (list[int] | None, [1, "x"], "$[1]", "int", "str"),
        (list[int] | None, (), None, "list[int] | None", "tuple"),
        (list[int] | list[str], [1, "x"], None, "list[int] | list[str]", "list of other elements"),
        ((Line, NONE), 3, None, f"{__name__}:Line | None", "int"),
        (list[Line], [LongLine("a"), Other()], "$[1]", f"{__name__}:Line", f"{__name__}:Other"),
        (int, "x", None, "int", "str"),
    ],
)
def test_an_error_names_the_element_and_both_types(
    expect: Any, obj: Any, where: str | None, expected: str, found: str
) -> None:
    with pytest.raises(TypeMismatchError) as caught:
        expectation(expect).check(obj)
    exc = caught.value
    assert (exc.where, exc.expected, exc.found, exc.step) == (where, expected, found, 20)


def test_none_passes_only_where_it_is_named() -> None:
    for expect in (list[int], dict[str, int], int, tuple[int], list[int | str], (int, str)):
        for obj in (None, [None], {"a": None}, (None,)):
            with pytest.raises(TypeMismatchError):
                expectation(expect).check(obj)
    for expect in (int | None, Optional[int], (int, NONE), NONE, Union[None, str, int]):
        expectation(expect).check(None)


def test_no_method_of_a_subclass_runs() -> None:
    expectation(list[int]).check(OwnList([1, 2]))
    expectation(dict[int, int]).check(OwnDict({1: 2}))
    with pytest.raises(TypeMismatchError):
        expectation(list[int]).check(OwnList(["1"]))
    with pytest.raises(TypeMismatchError):
        expectation(dict[int, int]).check(OwnDict({1: "2"}))


def test_a_name_says_nothing_of_the_object() -> None:
    expectation("jobs.Task").check(object())


class Counting(type):
    count = 0

    def __instancecheck__(cls, instance: object) -> bool:
        Counting.count += 1
        return True


class Counted(metaclass=Counting):
    pass


def test_the_cost_is_linear_in_what_is_shared() -> None:
    leaf: Any = ["x"] * 50
    for _ in range(4):
        leaf = [leaf] * 50  # 50 ** 5 elements, of which 250 are there
    Counting.count = 0
    expectation(list[list[list[list[list[Counted]]]]]).check(leaf)
    assert Counting.count <= 52


def test_a_cycle_is_checked_as_deep_as_the_alias_goes() -> None:
    ring: list[Any] = []
    ring.append(ring)
    expectation(list[list[list[Any]]]).check(ring)
    with pytest.raises(TypeMismatchError) as caught:
        expectation(list[list[int]]).check(ring)
    assert caught.value.where == "$[0][0]"


# --- what it may be ---------------------------------------------------------------------------------------------------


class Shape(typing.Protocol):
    side: int


@typing.runtime_checkable
class Sized(typing.Protocol):
    def __len__(self) -> int: ...


class Row(typing.TypedDict):
    a: int


T = typing.TypeVar("T")


class Box(typing.Generic[T]):
    pass


REFUSED: list[Any] = [
    *(3, b"Line", 1.5, [int], {int}, object(), len, lambda: 0, Ellipsis, True),
    *((), (int, None), (int, "str"), (int, (str,)), (int, Any), Any),
    *(list["Line"], Optional["Line"], list[T], list[Any, Any, 3]),  # type: ignore[valid-type,misc]
    *(typing.List, typing.Dict, typing.Tuple, collections.deque[int], collections.OrderedDict[int, int]),
    *(type[int], Callable[[int], int], Iterable[int], typing.Literal[1], Box[int], typing.Annotated[int, 1]),
    *(typing.NewType("Id", int), Shape, Row, list[Row], dict[str, Shape], T, typing.ForwardRef("int")),
]


@pytest.mark.parametrize("expect", REFUSED, ids=range(len(REFUSED)))
def test_anything_else_is_a_type_error_that_says_what_is_accepted(expect: Any) -> None:
    for _ in range(2):  # a refusal is not cached as something else
        with pytest.raises(TypeError, match=r"expect: expected a class, a tuple of classes, A \| B, .*; found "):
            expectation(expect)


def test_an_alias_that_is_nested_too_deep_is_refused() -> None:
    alias: Any = int
    for _ in range(20):
        alias = list[alias]
    expectation(alias)
    for _ in range(100):
        alias = list[alias]
    with pytest.raises(TypeError, match="aliases more than 20 deep"):
        expectation(alias)


def test_protocols_and_generic_classes_are_classes() -> None:
    expectation(Sized).check("abc")
    expectation(Box).check(Box())


# --- the cache --------------------------------------------------------------------------------------------------------


class AllEqual(type):
    def __eq__(cls, other: object) -> bool:
        return True

    def __hash__(cls) -> int:
        return 1


class NoHash(type):
    __hash__ = None  # type: ignore[assignment]

    def __eq__(cls, other: object) -> bool:
        raise AssertionError("a method of the metaclass ran")


def test_classes_that_claim_to_be_equal_are_kept_apart() -> None:
    one, two = AllEqual("One", (), {}), AllEqual("Two", (), {})
    expectation(list[one]).check([one()])  # type: ignore[valid-type]
    with pytest.raises(TypeMismatchError):
        expectation(list[two]).check([one()])  # type: ignore[valid-type]


def test_no_method_of_a_metaclass_runs_to_find_a_cached_alias() -> None:
    cls = NoHash("Some", (), {})
    assert expectation(list[cls]) is expectation(list[cls])  # type: ignore[valid-type]


def test_a_class_that_takes_the_place_of_another_in_memory_is_another() -> None:
    for number in range(2000):
        cls = type(f"Made{number}", (), {})
        expectation(list[cls]).check([cls()])  # type: ignore[valid-type]
        del cls
    assert len(module.compiled_aliases) <= 256


def test_an_expected_class_is_kept_alive_by_nothing() -> None:
    cls = type("Gone", (), {})
    expectation(cls)
    gone = weakref.ref(cls)
    del cls
    gc.collect()
    assert gone() is None


# --- the header -------------------------------------------------------------------------------------------------------


def mismatch(header: Header, expect: Any, policy: Policy, trust: Any = ()) -> TypeMismatchError | None:
    errors = [found.error for found in evaluate_header(header._fields, request_of(expect, trust, policy))]
    assert len(errors) <= 1
    return errors[0] if errors else None  # type: ignore[return-value]


def passes(header: Header, expect: Any, policy: Policy, trust: Any = ()) -> bool:
    error = mismatch(header, expect, policy, trust)
    if error is None:
        return True
    assert (type(error), error.step, error.where, error.found) == (TypeMismatchError, 15, "type", header.type)
    return False


def header_of(obj: Any, **options: Any) -> Header:
    return pickleseal.peek(pickleseal.pack(obj, **options))


@pytest.mark.parametrize(
    ("obj", "expect", "is_expected"),
    [
        ([1], list, True),
        ([1], list[int], True),
        ([1], list[str], True),  # its elements are not in the header
        ([1], dict[str, int] | list[int], True),
        ([1], (dict, tuple), False),
        ([1], set[int], False),
        (None, int | None, True),
        (None, Optional[list[int]], True),
        (None, int, False),
        (3, int | None, True),
        (True, int, True),  # bool is a subclass that every reader trusts
        (1, bool, False),
        (collections.OrderedDict(), dict[str, int], True),
        (Line("a"), Line, True),
        (Line("a"), (Other, Line), True),
        (LongLine("a"), Other, False),
        (Line("a"), LongLine, False),
        ([1], "builtins:list", True),
        ([1], "list", False),
    ],
)
def test_the_outermost_class_is_compared_with_the_header(obj: Any, expect: Any, is_expected: bool) -> None:
    assert passes(header_of(obj), expect, Policy()) is is_expected


def test_a_subclass_passes_where_it_is_trusted_and_imported() -> None:
    header = header_of(LongLine("a"))
    assert not passes(header, Line, Policy())
    assert passes(header, Line, Policy(), [LongLine])
    assert passes(header, Line | None, Policy(), [f"{__name__}:LongLine"])
    assert passes(header, (Other, Line), Policy(trust=[LongLine]))
    assert not passes(header, Other, Policy(trust=[LongLine]))
    registry = Registry()
    registry.register(LongLine, "test.LongLine")
    assert passes(
        header_of(LongLine("a"), options=pickleseal.PackOptions(registry=registry)), Line, Policy(registry=registry)
    )


def test_a_trusted_class_is_not_imported_to_see_what_it_is(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "not_imported.py").write_text("class Cls(list):\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    header = header_of([], type="not_imported:Cls")
    assert not passes(header, list, Policy(), ["not_imported:Cls"])
    assert "not_imported" not in sys.modules


def test_a_protocol_with_attributes_has_no_subclass_in_a_header() -> None:
    assert not passes(header_of(LongLine("a")), typing.runtime_checkable(Shape), Policy(trust=[LongLine]))


def test_names_of_today_and_of_before_pass() -> None:
    registry = Registry()
    registry.register(Line, "test.Line", formerly=["old.place:Line"])
    policy = Policy(registry=registry, renames={"other.place": __name__})
    for name in ("test.Line", f"{__name__}:Line", "old.place:Line", "other.place:Line"):
        header = header_of([], type=name)
        assert passes(header, Line, policy)
        assert passes(header, Line | None, policy)
        assert passes(header, "test.Line", policy)
    assert passes(header_of(Line("a")), Line, policy)  # the writer did not know the registry


@pytest.mark.filterwarnings("ignore::pickleseal.errors.PackWarning")  # a registry that the writer lacks
@given(
    st.sampled_from([Line, LongLine, Other, list, dict]),
    st.sampled_from([Line, LongLine, Other, list, dict, "test.Line", "builtins:list", f"{__name__}:Other", "x"]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([{}, {__name__: "new.place"}, {"new.place": __name__}, {f"{__name__}:Line": f"{__name__}:Other"}]),
)
def test_a_class_passes_by_any_of_its_names_and_a_name_by_its_own(
    cls: type, expect: Any, writer_knows: bool, reader_knows: bool, renames: dict[str, str]
) -> None:
    registry = Registry()
    registry.register(Line, "test.Line", formerly=["old:Line"])
    writer = pickleseal.PackOptions(registry=registry if writer_knows else Registry())
    obj = cls("a") if issubclass(cls, Line) else cls()
    data = pickleseal.pack(obj, options=writer)
    policy = Policy(registry=registry if reader_knows else Registry(), renames=renames)
    header, name_today = pickleseal.peek(data), compiled_policy(policy).name_today
    names = {header.type, name_today(header.type)}
    if isinstance(expect, type):
        types = header._fields.get("types", {})
        names.add(name_today(types[header.type]["global"] if header.type in types else header.type))
    wanted = expect if isinstance(expect, str) else name_in_header(expect, policy.registry)
    error = mismatch(header, expect, policy)
    assert (error is None) is (wanted in names)
    assert error is None or (error.expected, error.found) == (wanted, header.type)


# --- trust ------------------------------------------------------------------------------------------------------------


def test_every_class_that_is_named_is_trusted() -> None:
    assert expectation(Line).trusts == (Line,)
    assert expectation(dict[str, list[Line] | None]).trusts == (dict, str, list, Line)
    assert expectation((Line, tuple[Other, ...])).trusts == (Line, tuple, Other)
    assert expectation(dict[Any, Any]).trusts == (dict,)
    assert expectation("x:Line").trusts == ()


def test_a_class_is_looked_up_among_imported_modules_alone() -> None:
    assert imported_class(f"{__name__}:Line") is Line
    for name in ("not_imported_at_all:Cls", f"{__name__}:line", f"{__name__}:passes", f"{__name__}:Line.text", "", "x"):
        assert imported_class(name) is None


# --- unpack -----------------------------------------------------------------------------------------------------------


def test_unpack_takes_what_can_be_expected() -> None:
    lines = [Line("a"), Line("b")]
    assert unpack(pack(lines), expect=list[Line]) == lines
    assert unpack(pack({"a": lines}), expect=dict[str, list[Line]]) == {"a": lines}
    assert unpack(pack(Line("a")), expect=(Other, Line)) == Line("a")
    assert unpack(pack(Line("a")), expect=Other | Line) == Line("a")
    assert unpack(pack(None), expect=Line | None) is None
    assert unpack(pack(LongLine("a", 2)), expect=Line, trust=[LongLine]) == LongLine("a", 2)
    assert unpack(pack(True), expect=int) is True
    assert unpack(pack(collections.OrderedDict(a=1)), expect=dict[str, int]) == {"a": 1}


def test_unpack_refuses_elements_after_the_payload_ran() -> None:
    with pytest.raises(TypeMismatchError) as caught:
        unpack(pack([1, "2"]), expect=list[int])
    assert (caught.value.step, caught.value.where) == (20, "$[1]")


def test_unpack_refuses_another_class_before_the_payload_runs() -> None:
    for expect in (dict[str, int], (dict, set), int | None, "builtins:dict"):
        with pytest.raises(TypeMismatchError) as caught:
            unpack(pack([1]), expect=expect)
        assert (caught.value.step, caught.value.where) == (15, "type")


def test_an_expected_array_gives_a_payload_no_constructor_of_arrays() -> None:
    np = pytest.importorskip("numpy")
    asked = request_of(dict[str, np.ndarray], (), None)
    assert set(asked.trusted.entries) == {"builtins:dict", "builtins:str"}
    assert unpack(pack({"a": np.arange(2)}), expect=dict[str, np.ndarray])["a"].tolist() == [0, 1]


def test_each_record_of_a_batch_is_compared_with_an_alias(tmp_path: Any) -> None:
    path = tmp_path / "records.pseal"
    with pickleseal.StreamWriter(path, batch=3) as stream:
        for record in ([1], [2], ["x"]):
            stream.append(record)
    with pytest.raises(TypeMismatchError) as caught:
        list(pickleseal.iter_load(path, expect=list[int]))
    assert (caught.value.step, caught.value.where) == (20, "$[0]")
    assert list(pickleseal.iter_load(path, expect=list[int | str])) == [[1], [2], ["x"]]


def test_a_batch_of_several_types_passes_where_several_are_expected(tmp_path: Any) -> None:
    path = tmp_path / "records.pseal"
    with pickleseal.StreamWriter(path, batch=2) as stream:
        stream.append(Line("a"))
        stream.append(3)
    assert list(pickleseal.iter_load(path, expect=Line | int)) == [Line("a"), 3]
    for expect in (Line, Line | str):
        with pytest.raises(TypeMismatchError):
            list(pickleseal.iter_load(path, expect=expect))
