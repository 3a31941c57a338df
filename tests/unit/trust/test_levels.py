"""Trust levels: what each one lets a payload do, and what it undoes (spec section 8.2)."""

from __future__ import annotations

import enum
import ipaddress
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import canary
import pytest
from _helpers import operations
from frames import KEY, Frame, framed, named, text

import pickleseal
from pickleseal import Key, KeyRing, Limits, PackOptions, Policy
from pickleseal._trust import dryrun, traits
from pickleseal._trust.traits import Traits, traits_of
from pickleseal.errors import (
    ForbiddenOperationError,
    IsolationError,
    LimitExceededError,
    PolicyError,
    ReadError,
    SignatureError,
    UntrustedGlobalError,
)

posix = pytest.mark.skipif(os.name != "posix", reason="fork and resource limits")
CHECKED = ["guarded", "strict"]
OWN = "unchecked"


@dataclass
class Plain:
    a: int = 0

    def method(self) -> int:
        return self.a

    @classmethod
    def make(cls, a: int) -> Plain:
        return cls(a)

    @property
    def secret(self) -> int:
        raise AssertionError("a property was read")


class Callable:
    def __call__(self, *args: Any) -> None:
        canary.trip()


class Color(enum.Enum):
    RED = 1


class Counted:
    """Changes its class while it is loaded, by its own code."""

    loaded = 0

    def __setstate__(self, state: Any) -> None:
        type(self).loaded += 1


class Made:
    def __init__(self, value: int) -> None:
        self.value = value

    def __reduce__(self) -> Any:
        return self.build, (self.value,)

    @classmethod
    def build(cls, value: int) -> Made:
        return cls(value)


def the_class() -> type:
    return Plain


def counting() -> list[int]:
    return []


HERE = __name__
PLAIN, CALLABLE, COLOR, COUNTED = (named(HERE, name) for name in ("Plain", "Callable", "Color", "Counted"))


def artifact(body: bytes, *names: str) -> bytes:
    return Frame(framed(body), globals=sorted(names), type="x").data


def of_here(*names: str) -> list[str]:
    return [f"{HERE}:{name}" for name in names]


def refusal(data: bytes, level: str = "guarded", trust: Any = (), **fields: Any) -> ReadError:
    with pytest.raises(ReadError) as caught:
        pickleseal.unpack(data, trust=trust, policy=Policy(level=level, **fields))
    return caught.value


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    before = canary.tripped
    yield
    assert canary.tripped == before


class TestGuarded:
    def test_a_change_of_a_class_is_refused(self) -> None:
        for state in (b"N}" + text("a") + b"K\x07s\x86", b"N}" + text("method") + b"Ns" + text("new") + b"Ns\x86"):
            for after in (b"b", b"bh\x63"):  # the payload ends well, or fails
                error = refusal(artifact(PLAIN + state + after, *of_here("Plain")), trust=[Plain])
                assert isinstance(error, ForbiddenOperationError)
                assert Plain.a == 0
                assert Plain(3).method() == 3
                assert not hasattr(Plain, "new")

    def test_a_class_may_change_itself(self) -> None:
        before = Counted.loaded
        obj = pickle.loads(pickle.dumps(Counted()))
        obj.x = 1
        data = pickleseal.pack(obj)
        for level in CHECKED:
            pickleseal.unpack(data, trust=[Counted], policy=Policy(level=level))
        assert Counted.loaded == before + 2

    def test_a_change_of_a_class_that_a_function_returned_is_refused(self) -> None:
        body = named(HERE, "the_class") + b")RN}" + text("a") + b"K\x09s\x86b0" + PLAIN
        for level in CHECKED:
            error = refusal(artifact(body, *of_here("the_class", "Plain")), level, [the_class, Plain])
            assert isinstance(error, ForbiddenOperationError)
            assert Plain.a == 0
        body = named(HERE, "counting") + b")R0" + COUNTED + b")\x81}" + text("x") + b"Nsb"
        before = Counted.loaded
        data = artifact(body, *of_here("counting", "Counted"))
        pickleseal.unpack(data, trust=[counting, Counted])
        assert Counted.loaded == before + 1

    def test_a_change_of_a_member_of_an_enum_is_refused(self) -> None:
        before = dict(Color.RED.__dict__)
        body = COLOR + b"K\x01\x85R}" + text("_value_") + b"K\x09sb"
        for level in CHECKED:
            assert isinstance(refusal(artifact(body, *of_here("Color")), level, [Color]), ForbiddenOperationError)
            assert Color.RED.__dict__ == before

    def test_objects_are_not_called(self) -> None:
        body = CALLABLE + b")\x81)R"
        for level in CHECKED:
            error = refusal(artifact(body, *of_here("Callable")), level, [Callable])
            assert isinstance(error, ForbiddenOperationError)

    def test_forbidden_names_made_from_other_texts_are_found(self) -> None:
        user_string = named("collections", "UserString")
        keys = {
            "str": (text("__setstate__"), []),
            "UserString": (user_string + text("__setstate__") + b"\x85R", ["collections:UserString"]),
        }
        for key, names in keys.values():
            body = PLAIN + b")\x81}" + key + CALLABLE + b"sb"
            for level in CHECKED:
                error = refusal(artifact(body, *names, *of_here("Plain", "Callable")), level, [Plain, Callable])
                assert isinstance(error, ForbiddenOperationError)

    def test_a_text_that_refers_to_itself_ends(self) -> None:
        ring = b"]\x94h\x07a"
        key = named("collections", "UserString") + b")\x81}" + text("data") + ring + b"sb\x94"
        body = PLAIN + b"0" + key + b"0h\x02)\x81}h\x08Nsb"
        for level in CHECKED:
            error = refusal(artifact(body, "collections:UserString", *of_here("Plain")), level, [Plain])
            assert error.code in ("limit-exceeded", "unpickle-failed", "forbidden-operation")

    def test_a_forbidden_name_as_a_numpy_text_is_found(self) -> None:
        pytest.importorskip("numpy")
        raw = "__setstate__".encode("utf-32-le")
        key = named("pickleseal", "rebuild_scalar") + text("<U12") + b"C" + bytes([len(raw)]) + raw + b"\x86R"
        body = PLAIN + b")\x81}" + key + CALLABLE + b"sb"
        names = ["pickleseal:rebuild_scalar", *of_here("Plain", "Callable")]
        for level in CHECKED:
            assert isinstance(refusal(artifact(body, *names), level, [Plain, Callable]), ForbiddenOperationError)

    def test_honest_uses_of_dangerous_functions_load(self) -> None:
        for obj in (Plain(3).method, Plain.make, int | None, list[int], dict[str, int | str], Made(4)):
            data = pickleseal.pack(obj)
            for level in CHECKED:
                again = pickleseal.unpack(data, trust=[Plain, Made], policy=Policy(level=level))
                if isinstance(obj, Made):
                    assert again.value == 4
                elif hasattr(obj, "__self__") and isinstance(obj.__self__, Plain):
                    assert again() == 3
                else:
                    assert again == obj

    @pytest.mark.parametrize("name", ["secret", "__init__", "__class__", "no_such", "a"])
    def test_getattr_returns_methods_only(self, name: str) -> None:
        getter = named("builtins", "getattr")
        for owner in (PLAIN + b")\x81", PLAIN):
            body = getter + owner + text(name) + b"\x86R"
            error = refusal(artifact(body, "builtins:getattr", *of_here("Plain")), trust=[Plain])
            assert isinstance(error, UntrustedGlobalError)

    def test_a_bound_method_of_an_object_is_a_value(self) -> None:
        body = named("builtins", "getattr") + CALLABLE + b")\x81" + text("run") + b"\x86R)R"
        assert isinstance(
            refusal(artifact(body, "builtins:getattr", *of_here("Callable")), trust=[Callable]), ForbiddenOperationError
        )

    def test_metaclasses_are_never_trusted(self) -> None:
        with pytest.raises(ValueError, match=r"enum:EnumMeta|enum:EnumType"):
            pickleseal.unpack(pickleseal.pack(1), trust=[enum.EnumMeta])
        with pytest.raises(PolicyError, match="metaclass"):
            pickleseal.unpack(artifact(named("abc", "ABCMeta"), "abc:ABCMeta"), trust=["abc:ABCMeta"])


class TestStrict:
    def test_nothing_runs_before_the_dry_run_is_over(self) -> None:
        body = named("canary", "trip") + b")R" + named("uuid", "UUID") + b"N}" + text("x") + b"Ns\x86b"
        error = refusal(artifact(body, "canary:trip", "uuid:UUID"), "strict", [canary.trip])
        assert isinstance(error, ForbiddenOperationError)

    def test_the_check_of_a_reader_makes_the_dry_run(self) -> None:
        data = artifact(CALLABLE + b")\x81)R", *of_here("Callable"))
        for fields in ({"level": "strict"}, {"level": "guarded"}):
            with pytest.raises(ForbiddenOperationError):
                pickleseal.Reader(Policy(**fields), trust=[Callable]).check(data)
        with pytest.raises(ForbiddenOperationError):
            pickleseal.Reader(Policy(level="strict"), trust=[Plain]).check(
                artifact(PLAIN + b"N}" + text("a") + b"Ns\x86b", *of_here("Plain"))
            )
        assert pickleseal.Reader(Policy(level="strict"), trust=[Plain]).check(pickleseal.pack(Plain(1))).version == 0

    def test_ordinary_objects_pass(self) -> None:
        objects = [Plain(1), Color.RED, HTTPStatus.OK, ipaddress.ip_address("::1"), {Plain: 1}, {(1, (2, 3)): {4}}]
        for obj in objects:
            data = pickleseal.pack(obj)
            assert pickleseal.unpack(data, trust=[Plain, Color], policy=Policy(level="strict")) == obj

    def test_many_flat_tuples_load(self) -> None:
        obj = {(n, str(n), (n,)): [(n, n)] * 3 for n in range(5000)}
        assert pickleseal.unpack(pickleseal.pack(obj), policy=Policy(level="strict")) == obj

    def test_the_policy_sets_the_depth(self) -> None:
        key: Any = ()
        for _ in range(300):
            key = (key,)
        data = pickleseal.pack([{key: 1}] + [(n,) for n in range(20)])
        assert pickleseal.unpack(data, policy=Policy(level="strict"))[0] == {key: 1}
        error = refusal(data, "strict", limits=Limits(max_depth=200))
        assert isinstance(error, LimitExceededError)
        assert "200" in str(error)

    def test_chains_of_deques_in_cycles(self) -> None:
        from collections import deque

        ring: deque[Any] = deque()
        for _ in range(150):
            ring = deque([ring])
        first: Any = ring
        while first:
            first = first[0]
        first.append(ring)
        data = pickleseal.pack(ring)
        assert isinstance(refusal(data, "strict", limits=Limits(max_depth=100)), LimitExceededError)
        pickleseal.unpack(data, policy=Policy(level="strict"))
        many = [deque([deque([n])]) for n in range(500)]
        assert pickleseal.unpack(pickleseal.pack(many), policy=Policy(level="strict", limits=Limits(max_depth=100)))


def test_a_safe_function_among_arguments_does_no_harm() -> None:
    body = named("collections", "defaultdict") + named("builtins", "bytearray") + b"\x85R0]"
    data = artifact(body, "builtins:bytearray", "collections:defaultdict")
    for level in CHECKED:
        assert pickleseal.unpack(data, policy=Policy(level=level)) == []


def test_random_programs_change_nothing_and_call_nothing() -> None:
    for by_rule in (False, True):
        found = {
            operations.attempt(random.Random(seed), seed % 100 == 0 and os.name == "posix", by_rule)
            for seed in range(3000)
        }
        assert "forbidden-operation" in found
        assert any(outcome.startswith("object") for outcome in found)


class TestVouchedFor:
    def test_signed_runs_what_the_signer_declares(self) -> None:
        ring = KeyRing([Key.generate("a")], "test")
        policy = Policy(level="signed", keys=ring)
        for obj in (Plain(1), Plain.make, Callable, [].append, enum.EnumMeta):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that no reader of another level will take it
                data = pickleseal.pack(obj, options=PackOptions(keys=ring))
            again = pickleseal.unpack(data, policy=policy)
            assert again == obj or again.__qualname__ == "list.append"
        with pytest.raises(SignatureError):
            pickleseal.unpack(pickleseal.pack(1), policy=policy)
        with pytest.raises(SignatureError):
            pickleseal.unpack(
                pickleseal.pack(1, options=PackOptions(keys=KeyRing([Key.generate("a")], "test"))), policy=policy
            )

    def test_signed_needs_keys(self) -> None:
        with pytest.raises(ValueError, match="keys"):
            Policy(level="signed")

    def test_the_manifest_is_enforced_at_every_level(self) -> None:
        data = artifact(named("canary", "trip") + b")R")
        assert refusal(data, OWN).code == "undeclared-global"

    def test_never_left_my_hands_runs_everything_that_is_declared(self) -> None:
        data = artifact(named("canary", "quiet") + b")R", "canary:quiet")
        assert pickleseal.unpack(data, policy=Policy(level=OWN)) is None
        assert refusal(data, "guarded").code == "untrusted-global"
        assert refusal(artifact(b"N", "no_such_module:x"), OWN).code == "class-missing"

    def test_there_is_no_other_level(self) -> None:
        for level in ("off", "", "Guarded", None, 3, True):
            with pytest.raises(ValueError, match="level"):
                Policy(level=level)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="isolated"):
            Policy(isolated=1)  # type: ignore[arg-type]

    def test_a_reader_checks_at_every_level(self) -> None:
        data = pickleseal.pack(Plain(5))
        for level in (*CHECKED, OWN):
            reader = pickleseal.Reader(Policy(level=level), trust=[Plain])
            assert reader.read(data).object == Plain(5)
            reader.check(data)


@posix
class TestIsolated:
    def read(self, data: bytes, level: str = "guarded", **limits: int) -> Any:
        policy = Policy(level=level, isolated=True, limits=Limits(**limits))
        return pickleseal.unpack(data, trust=[Plain, Color, Callable], policy=policy)

    def test_objects_of_all_kinds_pass(self) -> None:
        for obj in ([1, "a", (2.5, None)], Plain(3), {Color.RED: Plain}, {HTTPStatus.OK}):
            for level in (*CHECKED, OWN):
                assert self.read(pickleseal.pack(obj), level) == obj

    def test_buffers_stay_with_the_caller(self) -> None:
        np = pytest.importorskip("numpy")
        obj = {"a": np.arange(100_000.0), "b": np.arange(5), "o": np.array([Plain(1), None])}
        again = self.read(pickleseal.pack(obj), "strict")
        assert (again["a"] == obj["a"]).all()
        assert again["o"][0] == Plain(1)

    def test_refusals_come_back_unchanged(self) -> None:
        with pytest.raises(ForbiddenOperationError) as caught:
            self.read(artifact(CALLABLE + b")\x81)R", *of_here("Callable")))
        assert caught.value.step == 20
        assert caught.value.found == f"{HERE}:Callable"
        with pytest.raises(ReadError) as failed:
            self.read(artifact(b"h\x07"))
        assert (failed.value.code, failed.value.step) == ("unpickle-failed", 20)

    def test_a_child_that_takes_too_much_is_ended(self) -> None:
        dicts = artifact(b"](" + b"}" * 3_000_000 + b"e")
        with pytest.raises(IsolationError, match="memory"):
            self.read(dicts, max_memory=50_000_000, max_seconds=60)
        assert self.read(pickleseal.pack([1])) == [1]

    def test_time_is_limited(self) -> None:
        # Honest. As it has a dict, what may be a key is followed opcode by opcode, which takes several seconds.
        many = artifact(b"](" + b"}K\x01K\x01s" + b"K\x01\x85" * 8_000_000 + b"e")
        with pytest.raises(IsolationError, match="signal"):
            self.read(many, max_seconds=1, max_memory=8 * 10**9)
        assert self.read(pickleseal.pack([1])) == [1]

    def test_numbers_with_the_same_hash_are_found_in_the_child(self) -> None:
        decimal = named("decimal", "Decimal")
        texts = b"".join(b"h\x02" + text(str(5 + k * (2**61 - 1))) + b"\x85R" for k in range(1, 1100))
        data = artifact(decimal + b"0\x8f(" + texts + b"\x90", "decimal:Decimal")
        for fields in ({"level": "strict"}, {"level": "strict", "isolated": True}, {"isolated": True}):
            with pytest.raises(LimitExceededError, match="same hash"):
                pickleseal.unpack(data, policy=Policy(**fields))

    def test_a_helper_that_died_is_started_again(self) -> None:
        from pickleseal._trust.sandbox import helper

        assert self.read(pickleseal.pack([1])) == [1]
        process = helper.process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert self.read(pickleseal.pack([2])) == [2]

    def test_an_interpreter_that_cannot_start_itself_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from pickleseal._trust import sandbox

        monkeypatch.setattr(sandbox, "helper", sandbox.Helper())
        monkeypatch.setattr(sys, "executable", None)
        with pytest.raises(IsolationError, match=r"sys\.executable"):
            self.read(pickleseal.pack([1]))

    def test_threads_share_the_helper(self) -> None:
        found: list[Any] = []

        def work(number: int) -> None:
            for turn in range(5):
                found.append(self.read(pickleseal.pack([number, turn])) == [number, turn])

        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [True] * 30

    def test_a_forked_process_gets_its_own_helper(self) -> None:
        code = (
            "import os, pickleseal as p\n"
            "policy = p.Policy(isolated=True)\n"
            "assert p.unpack(p.pack([1]), policy=policy) == [1]\n"
            "child = os.fork()\n"
            "assert p.unpack(p.pack([2]), policy=policy) == [2]\n"
            "if child == 0: os._exit(0)\n"
            "assert os.waitpid(child, 0)[1] == 0\n"
            "print('well')\n"
        )
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False, timeout=60
        )
        assert (done.stdout, done.stderr) == ("well\n", "")

    def test_the_helper_ends_with_its_caller(self) -> None:
        code = (
            "import pickleseal as p\n"
            "p.unpack(p.pack([1]), policy=p.Policy(isolated=True))\n"
            "from pickleseal._trust.sandbox import helper\n"
            "print(helper.process.pid)\n"
        )
        for end in ("", "import os\nos._exit(0)\n"):
            done = subprocess.run(
                [sys.executable, "-W", "error", "-c", code + "import sys\nsys.stdout.flush()\n" + end],
                capture_output=True,
                text=True,
                check=True,
                timeout=60,
            )
            pid = int(done.stdout)
            for _ in range(100):
                try:
                    os.kill(pid, 0)
                except ProcessLookupError:
                    break
                time.sleep(0.05)
            else:
                pytest.fail("the helper is still there")

    def test_a_platform_without_resource_limits_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "resource", None)
        with pytest.raises(PolicyError, match="resource limits"):
            self.read(pickleseal.pack([1]))


class TestInertObjects:
    def test_every_value_type_has_traits(self) -> None:
        from pickleseal._trust.allow_list import LISTED, AllowList, resolve_all

        for name in sorted(LISTED):
            try:
                (value,) = resolve_all([name], AllowList()).values()
            except pickleseal.errors.ClassMissingError:  # of a newer Python, or of another platform
                continue
            made = dryrun.stand_in(name, value)
            traits = traits_of(name, value)
            assert isinstance(made, type) == isinstance(value, type)
            assert Traits(*traits) == traits

    def test_kinds_are_kept_no_longer_than_their_classes(self) -> None:
        import gc

        before = len(traits.kinds)
        for _ in range(50):
            cls = type("Passing", (), {})
            traits.kind_of(cls)
            dryrun.stand_in("m:Passing", cls)
        del cls
        gc.collect()
        assert len(traits.kinds) <= before + 1


@pytest.mark.parametrize("opcode", [b"\x82\xf1", b"\x83\xf1\x00", b"\x84\xf1\x00\x00\x00"])
def test_the_extension_registry_gives_nothing_at_any_level(opcode: bytes) -> None:
    import copyreg

    key = Key.hmac("test-2026", KEY)
    copyreg.add_extension("os", "getcwd", 0xF1)
    try:
        assert pickle.loads(b"\x80\x02" + opcode + b".") is os.getcwd  # from now on it is in the registry's cache
        data = Frame(framed(opcode + b")R.")).sign().data
        for policy in (Policy(keys=KeyRing([key]), level="signed"), Policy(level="unchecked")):
            with pytest.raises(pickleseal.errors.UndeclaredGlobalError, match="extension registry"):
                pickleseal.unpack(data, policy=policy)
        for value in ("\x82\x83\x84", b"\x82\x83\x84", 0x82, 0x83848485):
            assert pickleseal.unpack(pickleseal.pack(value), level="unchecked") == value
    finally:
        copyreg.remove_extension("os", "getcwd", 0xF1)


@pytest.mark.parametrize("level", ["guarded", "strict"])
def test_data_that_looks_like_empty_sets_loads(level: str) -> None:
    """The limit on empty sets counts opcodes. The same byte occurs in data."""
    obj = [b"\x8f" * 5_000_000, "\u03cf" * 300_000, bytearray(b"\x8f" * 300_000)]
    for limits in (pickleseal.Limits(), pickleseal.Limits(max_memory=1_000_000)):
        policy = Policy(level=level, limits=limits)
        assert pickleseal.unpack(pickleseal.pack(obj), policy=policy) == obj
    sets = artifact(b"](" + (b"\x8f" * 9 + b"N") * 100_000 + b"e")
    with pytest.raises(LimitExceededError, match="too many sets") as caught:
        pickleseal.unpack(sets, policy=Policy(level=level, limits=pickleseal.Limits(max_memory=1_000_000)))
    assert caught.value.found == 232 * 900_000
