"""Payloads that once got past `guarded` or `strict`, each by its shortest way, and honest ones that look alike."""

import collections
import dataclasses
import decimal
import enum
import fractions
import http
import ipaddress
import os
import pickle
import struct
import sys
import threading
import types
import typing
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import shapes
from frames import Frame, framed, named, text

import pickleseal
from pickleseal import Policy, errors

LEVELS = ("guarded", "strict")
PRIME = 2**61 - 1
REFUSALS = (errors.LimitExceededError, errors.ForbiddenOperationError)  # by its price, or by its shape


class Box(typing.Generic[typing.TypeVar("T")]):  # type: ignore[misc]
    limit = 5

    def method(self) -> None:
        return None


class Calls:
    seen: typing.ClassVar[list[Any]] = []

    def __call__(self, *args: Any) -> None:
        self.seen.append(args)


class FirstError(Exception):
    pass


class SecondError(Exception):
    pass


class Items(list[Any]):
    pass


class Lower(str):
    def __new__(cls, value: str) -> "Lower":
        return super().__new__(cls, value.lower())


class Attributes(dict[str, Any]):
    """The usual dict whose items are its attributes: it is its own state."""

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.__dict__ = self


class ByName(enum.Enum):
    A = 1

    def __reduce_ex__(self, proto: Any) -> Any:
        return getattr, (type(self), self.name)


def function() -> None:
    return None


HERE = __name__
CALLS = f"{HERE}:Calls"
TRUST = [Box, Calls, FirstError, SecondError, Items, Lower, function, shapes.Job, shapes.Empty]


def run(body: bytes, *names: str, level: str = "strict") -> Any:
    data = Frame(framed(body), globals=sorted(names), type="builtins:object").data
    return pickleseal.unpack(data, trust=TRUST, policy=Policy(level=level))


def here(name: str) -> bytes:
    return named(HERE, name)


def state(**members: bytes) -> bytes:
    return b"}(" + b"".join(text(key) + value for key, value in members.items()) + b"u"


ALIAS, JOB = "types:GenericAlias", "shapes:Job"
MEMBER = named("http", "HTTPStatus") + b"M\xc8\x00\x85R"
OBJECT = named("shapes", "Job") + b")\x81"


@pytest.mark.parametrize("level", LEVELS)
class TestValuesThatStandForOthers:
    """What stands for another object, and hands attributes on to it."""

    def test_an_alias_of_a_member_of_an_enum(self, level: str) -> None:
        body = named("types", "GenericAlias") + MEMBER + b")\x86R" + state(phrase=text("changed")) + b"b"
        with pytest.raises(errors.ForbiddenOperationError):
            run(body, ALIAS, "http:HTTPStatus", level=level)
        assert http.HTTPStatus.OK.phrase == "OK"

    def test_an_alias_of_a_function(self, level: str) -> None:
        body = named("types", "GenericAlias") + here("function") + b")\x86R" + state(__wrapped__=b"N") + b"b"
        with pytest.raises(errors.ForbiddenOperationError):
            run(body, ALIAS, f"{HERE}:function", level=level)
        assert not function.__dict__

    @pytest.mark.parametrize("slots", [b"N" + state(limit=b"K\x63") + b"\x86", state(__origin__=b"N")])
    def test_a_generic_class_with_parameters(self, level: str, slots: bytes) -> None:
        body = named("_operator", "getitem") + here("Box") + named("builtins", "int") + b"\x86R" + slots + b"b"
        with pytest.raises(errors.ForbiddenOperationError):
            run(body, "_operator:getitem", f"{HERE}:Box", "builtins:int", level=level)
        assert Box.limit == 5
        assert typing.get_origin(Box[int]) is Box

    def test_a_bound_method(self, level: str) -> None:
        body = named("builtins", "getattr") + here("Box") + b")\x81" + text("method") + b"\x86R" + state(a=b"N") + b"b"
        with pytest.raises(errors.ForbiddenOperationError):
            run(body, "builtins:getattr", f"{HERE}:Box", level=level)
        assert not Box.method.__dict__


@pytest.mark.parametrize("level", LEVELS)
class TestStates:
    @pytest.mark.parametrize(
        ("made", "names"),
        [
            (named("builtins", "tuple") + b"](N" + state(__class__=named("shapes", "Empty")) + b"e\x85R", "tuple"),
            (
                b"N" + named("builtins", "dict") + b")R(" + text("__class__") + named("shapes", "Empty") + b"u\x86",
                "dict",
            ),
            (
                b"N"
                + named("builtins", "dict")
                + b"]"
                + text("__class__")
                + named("shapes", "Empty")
                + b"\x86a\x85R\x86",
                "dict",
            ),
        ],
        ids=["tuple", "dict", "dict-of-pairs"],
    )
    def test_a_class_swapped_by_a_state_from_a_call(self, level: str, made: bytes, names: str) -> None:
        with pytest.raises(errors.ForbiddenOperationError):
            run(OBJECT + made + b"b", JOB, "shapes:Empty", f"builtins:{names}", level=level)

    def test_a_class_swapped_by_an_exception_s_own_setstate(self, level: str) -> None:
        body = here("FirstError") + b")\x81" + state(__class__=here("SecondError")) + b"b"
        with pytest.raises(errors.ForbiddenOperationError):
            run(body, f"{HERE}:FirstError", f"{HERE}:SecondError", level=level)

    def test_a_class_swapped_by_a_name_that_its_class_makes(self, level: str) -> None:
        key = here("Lower") + text("__CLASS__") + b"\x85\x81"
        body = OBJECT + b"N}" + key + named("shapes", "Empty") + b"s\x86b"
        with pytest.raises(errors.ForbiddenOperationError):
            run(body, JOB, "shapes:Empty", f"{HERE}:Lower", level=level)

    def test_a_name_made_of_bytes_by_named_arguments(self, level: str) -> None:
        key = named("builtins", "str") + b")" + state(object=b"C\x09__class__", encoding=text("ascii")) + b"\x92"
        body = OBJECT + b"N}" + key + named("shapes", "Empty") + b"s\x86b"
        with pytest.raises(errors.ForbiddenOperationError):
            run(body, JOB, "shapes:Empty", "builtins:str", level=level)

    @pytest.mark.parametrize(("name", "opcodes"), [("extend", b"(K\x01e"), ("append", b"K\x01a")])
    def test_a_state_with_a_method_that_takes_items(self, level: str, name: str, opcodes: bytes) -> None:
        body = here("Items") + b")\x81" + state(**{name: here("Calls") + b")\x81"}) + b"b" + opcodes
        with pytest.raises(errors.ForbiddenOperationError):
            run(body, f"{HERE}:Items", f"{HERE}:Calls", level=level)
        assert not Calls.seen

    def test_an_object_with_its_own_keys_method(self, level: str) -> None:
        body = named("types", "SimpleNamespace") + b")\x81" + state(keys=here("Calls") + b")\x81") + b"b"
        body = named("builtins", "dict") + body + b"\x85R"
        with pytest.raises(errors.ForbiddenOperationError):
            run(body, "builtins:dict", "types:SimpleNamespace", f"{HERE}:Calls", level=level)
        assert not Calls.seen

    def test_the_exact_unpickler_calls_no_items_of_a_state(self, level: str) -> None:
        registry = pickleseal.Registry()
        registry.register(shapes.Job, "job", validate=lambda job: None)
        ns = named("types", "SimpleNamespace") + b")\x81" + state(items=here("Calls") + b")\x81") + b"b"
        body = OBJECT + b"0" + named("shapes", "Empty") + b")\x81" + ns + b"b"
        names = sorted(["types:SimpleNamespace", f"{HERE}:Calls", JOB, "shapes:Empty"])
        data = Frame(framed(body), globals=names, type="builtins:object").data
        with pytest.raises(errors.ReadError):
            pickleseal.unpack(data, trust=TRUST, policy=Policy(level=level, registry=registry))
        assert not Calls.seen


def tower(opener: bytes = b"", close: bytes = b"\x86") -> bytes:
    """Sixty levels, popped from the stack; the top is memo 60."""
    one = [b"0" + opener + b"h" + bytes((k, 0x68, k)) + close + b"\x94" for k in range(60)]
    return b")\x94" + b"".join(one) + b"0"


LISTS = tower(b"](", b"e")
TOP = b"h\x3c"


class TestBounds:
    """At level `strict`. Each of these once took hours, or all memory."""

    @pytest.mark.parametrize(
        ("module", "name", "argument"),
        [
            ("builtins", "set", b"]" + TOP + b"a"),
            ("builtins", "dict", b"]" + TOP + b"N\x86a"),
            ("collections", "Counter", b"]" + TOP + b"a"),
            ("http", "HTTPStatus", TOP),
            ("zoneinfo", "ZoneInfo", TOP),
        ],
    )
    @pytest.mark.parametrize("opcode", [b"R", b"\x81"])
    def test_nested_tuples_that_a_call_hashes(self, module: str, name: str, argument: bytes, opcode: bytes) -> None:
        with pytest.raises(REFUSALS):
            run(tower() + named(module, name) + argument + b"\x85" + opcode, f"{module}:{name}")

    @pytest.mark.parametrize(("module", "name"), [("http", "HTTPStatus"), ("ipaddress", "IPv4Address")])
    def test_nested_lists_that_a_call_prints(self, module: str, name: str) -> None:
        with pytest.raises(REFUSALS):
            run(LISTS + named(module, name) + TOP + b"\x85R", f"{module}:{name}")

    def test_nested_arguments(self) -> None:
        body = named("builtins", "ValueError") + b"N\x94"  # memo 2 and 3
        for k in range(60):
            body += b"0h\x02h" + bytes((k + 3, 0x68, k + 3)) + b"\x86\x94R"
        with pytest.raises(errors.LimitExceededError):
            run(body + b"0}h\x3fNs", "builtins:ValueError")

    @pytest.mark.parametrize("before", [b"", b"(" + b")\x85" * 17 + b"l0"])
    @pytest.mark.parametrize("code", [b"\x8a\x0a", b"\x8b\x0a\0\0\0"])
    def test_integers_with_the_same_hash(self, before: bytes, code: bytes) -> None:
        numbers = b"".join(code + (PRIME * k).to_bytes(10, "little") for k in range(1, 1100))
        with pytest.raises(errors.LimitExceededError, match="same hash"):
            run(before + b"\x8f(" + numbers + b"\x90")

    @pytest.mark.parametrize("name", ["decimal:Decimal", "fractions:Fraction"])
    def test_numbers_made_from_text_with_the_same_hash(self, name: str) -> None:
        made = [b"h\x02\x8c" + bytes((len(n := str(PRIME * k)),)) + n.encode() + b"\x85R" for k in range(1, 1100)]
        with pytest.raises(errors.LimitExceededError, match="same hash"):
            run(named(*name.split(":")) + b"0\x8f(" + b"".join(made) + b"\x90", name)

    @pytest.mark.parametrize(("name", "argument"), [("Fraction", "numerator"), ("bytes", "source")])
    def test_arguments_by_name(self, name: str, argument: str) -> None:
        module, value = ("fractions", text("1e999999999")) if name == "Fraction" else ("builtins", b"J\0\0\0\x60")
        with pytest.raises(errors.ForbiddenOperationError):
            run(named(module, name) + b")" + state(**{argument: value}) + b"\x92", f"{module}:{name}")

    @pytest.mark.parametrize("level", LEVELS)
    def test_a_range_that_others_expand(self, level: str) -> None:
        body = named("time", "struct_time") + named("builtins", "range") + b"J\0\0\0\x60\x85R\x85R"
        with pytest.raises(errors.LimitExceededError):
            run(body, "time:struct_time", "builtins:range", level=level)

    @pytest.mark.parametrize("name", ["list", "bytearray"])
    def test_copies_of_the_result_of_a_call(self, name: str) -> None:
        what = b"](" + b"N" * 5000 + b"e" if name == "list" else b"B" + struct.pack("<I", 5000) + b"x" * 5000
        copy = "tuple" if name == "list" else "bytes"
        body = named("builtins", copy) + named("builtins", name) + what + b"\x85R\x94" + b"h\x02h\x06\x85R0" * 3000
        with pytest.raises(REFUSALS):
            run(body, f"builtins:{copy}", f"builtins:{name}")

    def test_copies_of_a_state_that_a_call_made(self) -> None:
        items = b"".join(b"M" + struct.pack("<H", k) + b"N" for k in range(3000))
        made = named("builtins", "dict") + b")R\x94(" + items + b"u0"  # memo 5
        body = named("shapes", "Empty") + made + b"h\x02)\x81h\x06b0" * 3000
        with pytest.raises(REFUSALS):
            run(body, "builtins:dict", "shapes:Empty")

    def test_greatest_common_divisors_and_digits(self) -> None:
        big = b"\x8b" + struct.pack("<i", 20001) + b"\x7f" * 20000 + b"\0"
        with pytest.raises(REFUSALS):
            run(named("decimal", "Decimal") + big + b"\x94" + b"h\x02h\x03\x85R0" * 20, "decimal:Decimal")
        with pytest.raises(REFUSALS):
            run(named("fractions", "Fraction") + big + b"\x94" + b"h\x02h\x03h\x03\x86R0" * 30, "fractions:Fraction")

    def test_chains_of_defaultdicts(self) -> None:
        body = named("collections", "defaultdict") + b"0" + b"h\x02)RN" * 3000 + b"N" + b"s" * 3000
        with pytest.raises(errors.LimitExceededError, match="too deep"):
            run(body, "collections:defaultdict")

    def test_chains_of_aliases(self) -> None:
        alias, inner = named("types", "GenericAlias"), named("builtins", "list")
        chain = alias + b"0" + b"h\x02" * 3000 + inner + b")\x86R" * 3000
        with pytest.raises(errors.LimitExceededError):
            run(chain, ALIAS, "builtins:list")

    def test_ranges_of_characters_without_case(self) -> None:
        pattern = ("[\0-\U0010ffff]" * 1000).encode()
        body = named("re", "_compile") + b"X" + struct.pack("<I", len(pattern)) + pattern + b"K\x22\x86R"
        with pytest.raises(errors.LimitExceededError):
            run(body, "re:_compile")

    def test_elements_without_size(self) -> None:
        pytest.importorskip("numpy")
        with pytest.raises(ValueError, match="without size"):
            pickleseal.rebuild_array("|S0", (10**9,), "C", b"")
        data = b"B" + struct.pack("<I", 50000) + b"x" * 50000 + b"\x94"  # memo 3
        body = named("pickleseal", "rebuild_scalar") + data + text("|S50000") + b"h\x02h\x04h\x03\x86R0" * 100
        with pytest.raises(errors.LimitExceededError):
            run(body, "pickleseal:rebuild_scalar")


@pytest.mark.parametrize("level", LEVELS)
class TestHonestPayloadsThatLookLikeAttacks:
    @pytest.mark.parametrize(
        "obj",
        [
            *(list[int], Box[int], int | None, ByName.A, [ByName.A, {ByName.A: 1}], http.HTTPStatus.OK),
            *(Attributes(a=1, b=[2]), types.SimpleNamespace(keys=1), Lower("A"), {Lower("a"): 1}, Items([1])),
            *(collections.Counter("abca"), collections.defaultdict(list, a=[1]), [10**30 * k for k in range(2000)]),
            [(k % 7, "x", (k % 5,)) for k in range(3000)],
        ],
        ids=str,
    )
    def test_they_load(self, level: str, obj: Any) -> None:
        data = pickleseal.pack(obj)
        again = pickleseal.unpack(data, trust=pickleseal.peek(data).globals, policy=Policy(level=level))
        assert again == obj

    def test_a_state_of_pydantic_s_loads(self, level: str) -> None:
        pydantic = pytest.importorskip("pydantic")
        model = pydantic.create_model("Model", __module__=HERE, a=(int, 0))
        globals()["Model"] = model
        try:
            data = pickleseal.pack(model(a=1))
            assert pickleseal.unpack(data, trust=[model], policy=Policy(level=level)).a == 1
        finally:
            del globals()["Model"]

    @pytest.mark.parametrize("length", [3999, 4001, 20000])
    def test_long_runs_of_plain_opcodes(self, level: str, length: int) -> None:
        for obj in ([k % 250 for k in range(length)], [{"a": k % 9} for k in range(length)], ["x"] * length):
            assert pickleseal.unpack(pickleseal.pack(obj), policy=Policy(level=level)) == obj


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX only")
class TestIsolated:
    def in_a_child(self, work: Any) -> int:
        pid = os.fork()
        if pid == 0:
            try:
                work()
                os._exit(0)
            except BaseException:
                os._exit(1)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    @pytest.mark.parametrize("how", ["cpu", "memory", "sigchld"])
    def test_a_caller_with_limits_or_that_ignores_its_children(self, how: str) -> None:
        def work() -> None:
            import resource

            if how == "cpu":
                resource.setrlimit(resource.RLIMIT_CPU, (8, 8))
            elif how == "memory":
                resource.setrlimit(resource.RLIMIT_AS, (2**32, 2**32))
            else:
                import signal

                signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            policy = Policy(isolated=True, limits=pickleseal.Limits(max_memory=2**33))
            assert pickleseal.unpack(pickleseal.pack({1}), policy=policy) == {1}

        assert self.in_a_child(work) == 0

    @pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
    def test_a_fork_while_another_thread_writes_to_the_helper(self) -> None:
        import signal

        from pickleseal._trust import sandbox

        policy = Policy(isolated=True)
        pickleseal.unpack(pickleseal.pack(1), policy=policy)
        helper = sandbox.helper.process
        assert helper is not None
        os.kill(helper.pid, signal.SIGSTOP)
        data = pickleseal.pack(b"x" * 300_000)
        thread = threading.Thread(target=pickleseal.unpack, args=(data,), kwargs={"policy": policy})
        thread.start()
        thread.join(0.2)
        try:
            assert self.in_a_child(lambda: signal.alarm(0)) == 0
        finally:
            os.kill(helper.pid, signal.SIGCONT)
            thread.join()

    def test_a_long_name_is_refused_as_undeclared(self) -> None:
        name = b"X" + struct.pack("<I", 60000) + b"\xc3\xa9" * 30000
        data = Frame(framed(name + text("x") + b"\x93"), globals=[], type="builtins:object").data
        with pytest.raises(errors.UndeclaredGlobalError):
            pickleseal.unpack(data, policy=Policy(isolated=True))


def _colliding_pairs(count: int) -> list[tuple[int, int]]:
    """Return pairs of numbers of which all tuples have the same hash: CPython's function of two lanes, inverted."""
    full, first, second, start = 2**64 - 1, 11400714785074694791, 14029467366897019727, 2870177450012600261
    wanted = 12345 * pow(first, -1, 2**64) & full
    wanted = (wanted << 33 | wanted >> 31) & full
    found: list[tuple[int, int]] = []
    for one in range(10**6):
        lane = start + one * second & full
        lane = ((lane << 31 | lane >> 33) & full) * first & full
        two = (wanted - lane) * pow(second, -1, 2**64) & full
        if two < PRIME and len(found) < count:
            found.append((one, two))
    return found


class Pair(typing.NamedTuple):
    one: Any
    two: Any


@dataclasses.dataclass(frozen=True)
class FrozenPair:
    one: Any
    two: Any


def _network(number: int) -> ipaddress.IPv6Network:
    return ipaddress.IPv6Network((number ^ 2**128 - 1, 128))


COLLIDING: dict[str, Callable[[int, int], Any]] = {
    "numbers": lambda one, two: (one, two),
    "objects": lambda one, two: (uuid.UUID(int=one), uuid.UUID(int=two)),
    "object-first": lambda one, two: (decimal.Decimal(one), two),
    "object-last": lambda one, two: (one, fractions.Fraction(two)),
    "network": lambda one, two: (_network(one), two),
    "in-a-tuple": lambda one, two: (1, (uuid.UUID(int=one), two)),
    "in-a-frozenset": lambda one, two: frozenset([(one, uuid.UUID(int=two))]),
    "named-tuple": lambda one, two: Pair(decimal.Decimal(one), uuid.UUID(int=two)),
    "dataclass": lambda one, two: FrozenPair(one, decimal.Decimal(two)),
    "in-a-named-tuple": lambda one, two: Pair(1, (uuid.UUID(int=one), two)),
    "named-tuple-in-a-tuple": lambda one, two: (None, Pair(one, two)),
    "networks": lambda one, two: _network(5 + one * PRIME),
    "interfaces": lambda one, two: ipaddress.IPv6Interface((5 + one * PRIME, 128)),
    "frozensets": lambda one, two: frozenset([5 + one * PRIME]),
}
if sys.hash_info.width == 64:
    PAIRS = _colliding_pairs(1100)


@pytest.mark.skipif(sys.hash_info.width != 64, reason="the numbers are made for hashes of 64 bits")
class TestKeysWithTheSameHash:
    def read(self, obj: Any, isolated: bool = False) -> Any:
        names = ["Pair", "FrozenPair"]
        return pickleseal.unpack(
            pickleseal.pack(obj),
            trust=[f"{__name__}:{name}" for name in names],
            policy=Policy(level="strict", isolated=isolated),
        )

    @pytest.mark.parametrize("kind", COLLIDING)
    @pytest.mark.parametrize("container", [dict.fromkeys, set])
    def test_are_refused(self, kind: str, container: Callable[[Any], Any]) -> None:
        keys = [COLLIDING[kind](*pair) for pair in PAIRS]
        assert len({*map(hash, keys)}) == 1
        with pytest.raises(errors.LimitExceededError, match="same hash"):
            self.read(container(keys))

    def test_are_refused_in_isolation(self) -> None:
        with pytest.raises(errors.LimitExceededError, match="same hash"):
            self.read({COLLIDING["objects"](*pair) for pair in PAIRS}, True)

    def test_are_refused_in_an_argument(self) -> None:
        """Protocol 2 makes sets by calls, which hash a list."""
        data = pickle.dumps({COLLIDING["object-last"](*pair) for pair in PAIRS}, 2)[2:-1].replace(
            b"__builtin__", b"builtins"
        )
        payload = b"\x80\x02" + data + b"."
        frame = Frame(
            payload, globals=["builtins:set", "fractions:Fraction"], type="builtins:set", pickle={"protocol": 2}
        )
        with pytest.raises(errors.LimitExceededError, match="same hash"):
            pickleseal.unpack(frame.data, policy=Policy(level="strict", protocols=[2]))

    @pytest.mark.parametrize("kind", COLLIDING)
    def test_other_keys_load(self, kind: str) -> None:
        keys = (
            [COLLIDING[kind](one, one % 7) for one in range(1, 1500)]
            if not kind.endswith("s")
            else [COLLIDING[kind](one, one + 1) for one in (3, 5, 8)]
        )
        obj = dict.fromkeys(keys)
        assert self.read(obj) == obj

    def test_long_doubles_of_numpy(self) -> None:
        np = pytest.importorskip("numpy")
        if np.longdouble(2) ** 3000 == np.inf:
            pytest.skip("a long double is a double here")
        large = [np.longdouble(2) ** (2000 + k) for k in range(1100)]
        for keys in (large, [np.clongdouble(1j) * one for one in large]):
            assert len({*map(hash, keys)}) == 1
            with pytest.raises(errors.LimitExceededError, match="same hash"):
                self.read(dict.fromkeys(keys))
        honest = dict.fromkeys([np.longdouble(k) / 3 for k in range(1500)])
        assert self.read(honest) == honest


class TestTheEndOfAPayload:
    """No pickler leaves anything on the stack. What is left was made for its side effects alone."""

    @pytest.mark.parametrize("before", [b"N", b"(", b"N(", b"(N", b"(((", b"N(N", b"C\x01a(", b"](Ne", b"K\x01K\x02("])
    def test_values_and_marks_that_are_left_are_refused(self, before: bytes) -> None:
        made = here("Calls") + b")\x81"
        for body in (before + made, made + before + b"N"):
            with pytest.raises(errors.ForbiddenOperationError, match="more on its stack"):
                run(body, CALLS)

    @pytest.mark.parametrize("protocol", [2, 3, 4, 5])
    def test_what_picklers_write_loads(self, protocol: int) -> None:
        loop: list[Any] = []
        loop.append((loop, Calls()))
        policy = Policy(level="strict", protocols=[protocol])
        for obj in (loop, (1, loop), {1: [Calls()] * 3}, [[Calls()] for _ in range(2500)]):
            data = pickle.dumps(obj, protocol)
            frame = Frame(data, globals=[CALLS], pickle={"protocol": protocol}, type="builtins:list")
            assert type(pickleseal.unpack(frame.data, trust=[CALLS], policy=policy)) is type(obj)

    def test_also_of_a_payload_that_pops_at_its_start(self) -> None:
        for body in (b"0", b"1", b"0(", b"t", b"00"):
            with pytest.raises(errors.ReadError):
                run(body + here("Calls"), CALLS)


def test_a_large_list_that_is_given_to_many_calls() -> None:
    """Each call looks for what is nested in its arguments, which has to be paid for: else this takes seconds."""
    body = b"](" + b"N" * 50_000 + b"e\x940" + named("builtins", "ValueError").replace(b"\x94", b"") + b"\x940]("
    assert run(body + b"h\x01h\x00\x85R" * 100 + b"e", "builtins:ValueError")
    with pytest.raises(errors.LimitExceededError, match="out of proportion"):
        run(body + b"h\x01h\x00\x85R" * 400 + b"e", "builtins:ValueError")
