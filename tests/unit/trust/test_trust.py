"""The allow-list: what a payload may import, which object it gets, and the errors when it may not."""

import builtins
import collections
import copyreg
import datetime
import enum
import functools
import io
import os
import pickle
import subprocess
import zoneinfo
from typing import Any

import pytest
import shapes
from _helpers.support import need
from frames import Frame, framed, named, text

import pickleseal
from pickleseal import Key, KeyRing, Policy, Serializer, errors
from pickleseal.trust import trust_of


class Reducing:
    """Is pickled as somebody says."""

    def __init__(self, *reduced: Any) -> None:
        self.reduced = reduced

    def __reduce__(self) -> Any:
        return self.reduced


def hostile(body: bytes, *names: str) -> bytes:
    """An intact artifact whose pickle is `body` and whose header declares `names`."""
    return Frame(framed(body), globals=sorted(names), type="builtins:object").data


class TestRefusals:
    def test_all_missing_names_at_once_with_a_trust_list_to_paste(self) -> None:
        data = pickleseal.pack([shapes.Job(1, "a"), shapes.Outer.Inner(), datetime.date(2026, 1, 1)])
        with pytest.raises(errors.UntrustedGlobalError) as caught:
            pickleseal.unpack(data)
        assert caught.value.missing == ("shapes:Job", "shapes:Outer.Inner")
        assert 'trust=["shapes:Job", "shapes:Outer.Inner"]' in str(caught.value)
        pasted = str(caught.value).split("trust=")[1]
        assert pickleseal.unpack(data, trust=eval(pasted))[0] == shapes.Job(1, "a")

    def test_the_hint_never_suggests_to_trust_dangerous_names(self) -> None:
        data = hostile(named("os", "system") + text("true") + b"\x85R", "os:system")
        with pytest.raises(errors.UntrustedGlobalError) as caught:
            pickleseal.unpack(data)
        assert "os:system runs what its arguments say, and can't be trusted by name" in str(caught.value)
        assert "trust=[" not in str(caught.value)

    @pytest.mark.parametrize("trust", [True, False, "shapes:Job", b"shapes:Job", shapes.Job, 7, None])
    def test_trust_takes_names_only(self, trust: Any) -> None:
        with pytest.raises(TypeError, match="trust: expected a list"):
            pickleseal.unpack(pickleseal.pack(1), trust=trust)

    def test_a_dotted_name_is_corrected(self) -> None:
        with pytest.raises(TypeError, match="did you mean 'shapes:Job'"):
            pickleseal.unpack(pickleseal.pack(1), trust=["shapes.Job"])

    def test_an_alias_of_a_dangerous_function_is_refused(self) -> None:
        data = hostile(named("logging", "os.system"), "logging:os.system")
        with pytest.raises(errors.UntrustedGlobalError, match="can't be trusted by name"):
            pickleseal.unpack(data)
        with pytest.raises(ValueError, match="runs what its arguments say"):
            pickleseal.unpack(data, trust=["logging:os.system"])
        data = hostile(named("shapes", "alias"), "shapes:alias")
        with pytest.raises(errors.PolicyError, match=r"another name of posix:system|another name of nt:system"):
            pickleseal.unpack(data, trust=["shapes:alias"])

    def test_values_in_modules_of_dangerous_functions_can_be_trusted(self) -> None:
        import subprocess

        done = subprocess.CompletedProcess(["true"], 0)
        again = pickleseal.unpack(pickleseal.pack(done), trust=[subprocess.CompletedProcess])
        assert again.args == done.args
        assert pickleseal.unpack(pickleseal.pack(os.stat(".")), trust=[os.stat_result]).st_size >= 0

    def test_a_refusal_of_other_bytes_inside_a_payload_is_an_unpickle_error(self) -> None:
        data = pickleseal.pack(shapes.LoadsGarbage())
        with pytest.raises(errors.UnpickleError, match="NotAnArtifactError"):
            pickleseal.unpack(data, expect=shapes.LoadsGarbage)

    def test_a_safe_function_refuses_at_step_20(self) -> None:
        body = named("builtins", "type") + b"K\x01\x85R"
        with pytest.raises(errors.ForbiddenOperationError, match="calls builtins:type") as caught:
            pickleseal.unpack(hostile(body, "builtins:type"))
        assert caught.value.step == 20
        assert caught.value.hint

    @pytest.mark.parametrize(
        "item", [True, None, 7, os, shapes.Job(1, "a"), {}, "shapes", "shapes:", ":Job", "a:b:c", [shapes.Job], enum]
    )
    def test_only_classes_and_functions_can_be_listed(self, item: Any) -> None:
        with pytest.raises(TypeError, match="trust: expected"):
            pickleseal.unpack(pickleseal.pack(1), trust=[item])

    @pytest.mark.parametrize(
        "item",
        [
            *(eval, exec, getattr, setattr, type, open, __import__, compile, vars, os.system, pickle.loads, breakpoint),
            *(
                "os:system",
                "posix:system",
                "nt:system",
                "subprocess:Popen",
                "builtins:eval",
                "operator:attrgetter.x",
            ),
            *(
                "functools:partialmethod",
                "functools:reduce",
                "importlib:import_module",
                "_codecs:encode",
                "sys:exit",
                "builtins:eval.__call__",
                "os.path:join",
            ),
        ],
        ids=str,
    )
    def test_functions_that_run_their_arguments_are_never_trusted(self, item: Any) -> None:
        with pytest.raises(ValueError, match="runs what its arguments say"):
            pickleseal.unpack(pickleseal.pack(1), trust=[item])

    def test_a_trusted_name_does_not_cover_dotted_names_below_it(self) -> None:
        for name in ("Job.__init__", "Job.__init__.__globals__", "function.__globals__", "Outer.Inner"):
            data = hostile(named("shapes", name), f"shapes:{name}")
            with pytest.raises(errors.UntrustedGlobalError):
                pickleseal.unpack(data, trust=[shapes.Job, shapes.function, shapes.Outer])

    def test_a_trusted_string_that_cannot_be_imported_is_named(self) -> None:
        for name in ("no_such_module:Cls", "shapes:NoSuchClass", "string:digits"):
            data = hostile(named(*name.split(":")), name)
            with pytest.raises((errors.ClassMissingError, errors.PolicyError)) as caught:
                pickleseal.unpack(data, trust=[name])
            assert caught.value.found == name
            assert caught.value.code == ("policy" if name.endswith("digits") else "class-missing")

    def test_a_value_that_is_pickled_by_its_name_can_be_trusted_and_not_changed(self) -> None:
        name = "shapes:SINGLETON"
        data = pickleseal.pack([shapes.SINGLETON])
        assert pickleseal.unpack(data, trust=[name]) == [shapes.SINGLETON]
        assert pickleseal.unpack(data, trust=[name], policy=pickleseal.Policy(level="strict"))[0] is shapes.SINGLETON
        for body in (b"}" + text("x") + b"Nsb", b")R"):
            for level in ("guarded", "strict"):
                with pytest.raises(errors.ForbiddenOperationError):
                    pickleseal.unpack(
                        hostile(named(*name.split(":")) + body, name),
                        trust=[name],
                        policy=pickleseal.Policy(level=level),
                    )
            assert not vars(shapes.SINGLETON)

    def test_a_trusted_string_is_not_imported_where_the_payload_does_not_need_it(self) -> None:
        assert pickleseal.unpack(pickleseal.pack(1), trust=["no_such_module:Cls"]) == 1

    def test_the_object_that_was_trusted_is_the_one_that_is_called(self, monkeypatch: pytest.MonkeyPatch) -> None:
        data = pickleseal.pack(shapes.Job(1, "a"))
        trusted = shapes.Job
        monkeypatch.setattr(shapes, "Job", None)
        assert type(pickleseal.unpack(data, trust=[trusted])) is trusted


class TestManifest:
    @pytest.mark.parametrize(
        ("obj", "names"),
        [
            ({"a": [1, "x", None, 2.5, b"b", (), {1}, frozenset()]}, []),
            (shapes.Job(1, "a"), ["shapes:Job"]),
            (shapes.Job, ["shapes:Job"]),
            (shapes.function, ["shapes:function"]),
            (shapes.Outer.Inner, ["shapes:Outer.Inner"]),
            (shapes.SINGLETON, ["shapes:SINGLETON"]),
            (shapes.WithMeta, ["shapes:WithMeta"]),
            (shapes.Proxy(), ["builtins:int"]),
            (shapes.NewArgs(size=3), ["shapes:NewArgs"]),
            (len, ["builtins:len"]),
            ([].append, ["builtins:getattr"]),
            (dict.fromkeys, ["builtins:dict", "builtins:getattr"]),
            (type(None), ["builtins:type"]),
            (..., ["builtins:Ellipsis"]),
            (int, ["builtins:int"]),
            (1 + 2j, ["builtins:complex"]),
            (datetime.timezone.utc, ["datetime:timedelta", "datetime:timezone"]),
            (zoneinfo.ZoneInfo("UTC"), ["builtins:getattr", "zoneinfo:ZoneInfo"]),
            (collections.OrderedDict(a=1), ["collections:OrderedDict"]),
            (ValueError("x"), ["builtins:ValueError"]),
        ],
    )
    @pytest.mark.filterwarnings("ignore:only readers at level")
    def test_it_lists_every_global_and_nothing_else(self, obj: Any, names: list[str]) -> None:
        data = pickleseal.pack(obj)
        assert list(pickleseal.peek(data).globals) == names
        assert set(names) == imported_by_pickle(data)

    def test_a_reducer_from_the_dispatch_table_is_followed(self) -> None:
        copyreg.pickle(shapes.Slots, lambda obj: (shapes.Job, (1, "from table")))
        try:
            data = pickleseal.pack(shapes.Slots(None))
        finally:
            del copyreg.dispatch_table[shapes.Slots]
        assert pickleseal.peek(data).globals == ("shapes:Job",)
        assert pickleseal.unpack(data, trust=[shapes.Job]) == shapes.Job(1, "from table")

    def test_a_metaclass_in_the_dispatch_table_is_followed(self) -> None:
        copyreg.pickle(shapes.Meta, lambda cls: (shapes.Job, (2, "by metaclass")))
        try:
            data = pickleseal.pack(shapes.WithMeta)
        finally:
            del copyreg.dispatch_table[shapes.Meta]
        assert pickleseal.peek(data).globals == ("shapes:Job",)
        assert pickleseal.unpack(data, trust=[shapes.Job]) == shapes.Job(2, "by metaclass")


def imported_by_pickle(data: bytes) -> set[str]:
    """What CPython's unpickler really asks for, by the payload cut out of the artifact."""
    header = pickleseal.peek(data)
    start = header.preamble.head_len
    asked = set()

    class Spy(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            asked.add(f"{module}:{name}")
            return super().find_class(module, name)

    Spy(io.BytesIO(data[start : start + header.sections[0].len])).load()
    return asked


class TestSafeFunctions:
    """A payload gets the one harmless use of a function, and nothing of the original."""

    @pytest.mark.parametrize(
        ("body", "names"),
        [
            (
                named("builtins", "getattr") + named("builtins", "dict") + text("__init__") + b"\x86R",
                ["builtins:getattr", "builtins:dict"],
            ),
            (
                named("builtins", "getattr") + named("zoneinfo", "ZoneInfo") + text("__init__") + b"\x86R",
                ["builtins:getattr", "zoneinfo:ZoneInfo"],
            ),
            (named("builtins", "type") + text("x") + b"\x85R", ["builtins:type"]),
            (named("builtins", "type") + text("X") + b")}\x87R", ["builtins:type"]),
            (named("builtins", "bytearray") + b"J\x00\x00\x00\x40\x85R", ["builtins:bytearray"]),
        ],
        ids=["getattr-dict", "getattr-zoneinfo-init", "type-of-value", "type-three-arguments", "bytearray-by-size"],
    )
    def test_other_uses_are_refused(self, body: bytes, names: list[str]) -> None:
        refusals = (errors.UntrustedGlobalError, errors.ForbiddenOperationError, errors.LimitExceededError)
        with pytest.raises(refusals):
            pickleseal.unpack(hostile(body, *names))

    def test_honest_uses_load(self) -> None:
        class_of_none, zone = type(None), zoneinfo.ZoneInfo("UTC")
        assert pickleseal.unpack(pickleseal.pack([class_of_none, zone])) == [class_of_none, zone]
        assert pickleseal.unpack(
            hostile(named("builtins", "bytearray") + b"C\x02ab\x85R", "builtins:bytearray")
        ) == bytearray(b"ab")

    def test_the_originals_cannot_be_reached(self) -> None:
        for name in ("eval", "exec", "getattr", "__import__", "open"):
            with pytest.raises(errors.UntrustedGlobalError):
                pickleseal.unpack(hostile(named("builtins", name), f"builtins:{name}"))

    @pytest.mark.parametrize("level", ["guarded", "strict"])
    @pytest.mark.parametrize("name", ["_functools:reduce", "_operator:or_", "_operator:getitem", "re:_compile"])
    def test_what_stands_in_for_a_function_never_reaches_the_caller(self, level: str, name: str) -> None:
        body = b"]" + named(*name.split(":")) + b"a"
        with pytest.raises(errors.UntrustedGlobalError, match="keeps a function"):
            pickleseal.unpack(hostile(body, name), policy=Policy(level=level))

    @pytest.mark.parametrize("level", ["guarded", "strict"])
    def test_bytearray_and_type_as_values_are_themselves(self, level: str) -> None:
        factories = collections.defaultdict(bytearray, a=bytearray(b"1"))
        data = pickleseal.pack({"type": type, "bytearray": [bytearray], "factories": factories, "none": type(None)})
        found = pickleseal.unpack(data, policy=Policy(level=level))
        assert found["type"] is type
        assert found["bytearray"][0] is bytearray
        assert found["factories"].default_factory is bytearray
        assert found["none"] is type(None)
        assert pickleseal.unpack(pickleseal.pack(found), policy=Policy(level=level)) == found


def test_the_extension_registry_is_refused_with_a_warm_cache() -> None:
    """EXT1 with a warm cache never asks find_class; the opcode is refused before anything runs."""
    copyreg.add_extension("os", "system", 241)
    copyreg._extension_cache[241] = os.system  # type: ignore[attr-defined]
    try:
        with pytest.raises(errors.PickleEnvelopeError):
            pickleseal.unpack(Frame(b"\x80\x05\x82\xf1\x8c\x04true\x85R.").data)
    finally:
        copyreg.remove_extension("os", "system", 241)
        copyreg._extension_cache.pop(241, None)  # type: ignore[attr-defined]


class TestMemorySafety:
    """What the rebuild functions hand out must not become a way to foreign memory (each of these once was one)."""

    def test_memory_of_another_object_is_refused_as_a_buffer(self) -> None:
        np = pytest.importorskip("numpy")
        import array

        for exporter in (np.empty(1, object), np.zeros(1), array.array("d", [1.0])):
            with pytest.raises(ValueError, match="array buffer: expected bytes"):
                pickleseal.rebuild_array("<i8", (1,), "C", exporter)

    def test_a_payload_cannot_see_an_array_of_objects_as_numbers(self) -> None:
        pytest.importorskip("numpy")
        objects = named("pickleseal", "rebuild_object_array") + b"K\x01\x85" + text("C") + b"\x86R"
        body = named("pickleseal", "rebuild_array") + b"(" + text("<i8") + b"K\x01\x85" + text("C") + objects + b"tR"
        with pytest.raises(errors.UnpickleError, match="array buffer"):
            pickleseal.unpack(hostile(body, "pickleseal:rebuild_array", "pickleseal:rebuild_object_array"))

    def test_a_payload_cannot_set_the_state_of_a_dtype(self) -> None:
        pytest.importorskip("numpy")
        body = (
            named("pickleseal", "rebuild_dtype")
            + text("|V8")
            + b"\x85R"
            + b"(K\x03"
            + text("|")
            + b"NNNJ@B\x0f\x00K\x01K\x00tb"
        )
        with pytest.raises(errors.ForbiddenOperationError, match="state of an object of numpy"):
            pickleseal.unpack(hostile(body, "pickleseal:rebuild_dtype"))

    def test_offsets_that_wrap_are_refused(self) -> None:
        pytest.importorskip("numpy")
        for offset, itemsize in ((2**31 - 4, 8), (-8, 8), (4, 8), (0, 4), (2**31, 2**31 + 8), (0, 2**40)):
            for aligned in (False, True):
                described = ("struct", itemsize, aligned, (("a", "<i8", offset, None),))
                with pytest.raises(ValueError, match="outside its item"):
                    pickleseal.rebuild_dtype(described)
                with pytest.raises(ValueError, match="outside its item"):
                    pickleseal.rebuild_array(described, (1,), "C", bytearray(8))

    def test_expecting_an_array_does_not_trust_its_constructor(self) -> None:
        np = pytest.importorskip("numpy")
        import struct

        body = named("numpy", "ndarray") + b"(K\x01\x85" + text("O") + b"\x96" + struct.pack("<Q", 8) + b"A" * 8 + b"tR"
        data = Frame(framed(body), globals=["numpy:ndarray"], type="numpy:ndarray").data
        with pytest.raises(errors.UntrustedGlobalError):
            pickleseal.unpack(data, expect=np.ndarray)

    def test_trusting_a_scalar_class_keeps_the_safe_function(self) -> None:
        np = pytest.importorskip("numpy")
        state = b"(K\x03" + text("|") + b"NNNJ@B\x0f\x00K\x01K\x00tb"
        body = named("pickleseal", "rebuild_dtype") + text("|V8") + b"\x85R" + state + b"0" + named("numpy", "float64")
        with pytest.raises(errors.ForbiddenOperationError, match="state of an object of numpy"):
            pickleseal.unpack(hostile(body, "pickleseal:rebuild_dtype", "numpy:float64"), trust=[np.float64])

    def test_honest_payloads_with_dtypes_and_objects_load(self) -> None:
        np = pytest.importorskip("numpy")
        obj = [np.dtype("<f8"), shapes.Job(1, "b"), np.arange(20_000.0), {"b": shapes.Outer.Inner()}]
        again = pickleseal.unpack(pickleseal.pack(obj), trust=[shapes.Job, shapes.Outer.Inner])
        assert again[:2] == obj[:2]
        assert (again[2] == obj[2]).all()
        again[2][0] = 1

    def test_a_small_description_with_shared_parts_is_refused(self) -> None:
        pytest.importorskip("numpy")
        described: Any = "<f8"
        for _ in range(25):
            described = ("struct", 8, False, (("a", described, 0, None), ("b", described, 0, None)))
        with pytest.raises(ValueError, match="too many parts"):
            pickleseal.rebuild_dtype(described)


class TestSafeFunctionsDoNotChange:
    @pytest.mark.parametrize(
        "name", ["builtins:getattr", "builtins:type", "builtins:bytearray", "re:_compile", "pickleseal:rebuild_array"]
    )
    @pytest.mark.parametrize(
        "state",
        [
            b"N}" + text("__defaults__") + b"Ns\x86",
            b"}" + text("x") + b"K\x01s",
            b"N}" + text("__module__") + b"Ns\x86",
        ],
    )
    def test_build_changes_nothing(self, name: str, state: bytes) -> None:
        body = named(*name.split(":")) + state + b"b"
        with pytest.raises((errors.UnpickleError, errors.ForbiddenOperationError)):
            pickleseal.unpack(hostile(body, name))

    def test_their_class_cannot_be_swapped(self) -> None:
        body = named("builtins", "type") + b"N}" + text("__class__") + named("shapes", "Empty") + b"s\x86b"
        with pytest.raises((errors.UnpickleError, errors.ForbiddenOperationError)):
            pickleseal.unpack(hostile(body, "builtins:type", "shapes:Empty"), trust=[shapes.Empty])

    def test_a_pattern_is_compiled_without_debug_output(self, capsys: pytest.CaptureFixture[str]) -> None:
        body = named("re", "_compile") + text("x") + b"K\x80\x86R"
        with pytest.raises(errors.ForbiddenOperationError):
            pickleseal.unpack(hostile(body, "re:_compile"))
        assert capsys.readouterr().out == ""

    def test_getattr_shows_no_foreign_objects(self) -> None:
        tower = b"N" + b"\x94h\x00\x86" * 1 + b"".join(b"\x94h" + bytes((n,)) + b"\x86" for n in range(1, 25))
        body = tower + b"0" + named("builtins", "getattr") + b"Nh\x18\x86R"
        with pytest.raises(errors.ReadError):
            pickleseal.unpack(hostile(body, "builtins:getattr"))


class TestNamesThatNeedCare:
    def test_private_twins_of_dangerous_functions(self) -> None:
        import functools
        import importlib
        import marshal
        import types

        for item in (functools.reduce, importlib.__import__, marshal.loads, types.FunctionType, "_socket:socket"):
            with pytest.raises(ValueError, match="runs what its arguments say"):
                pickleseal.unpack(pickleseal.pack(1), trust=[item])

    @pytest.mark.skipif(os.name != "posix", reason="POSIX only")
    def test_results_of_system_calls_can_be_trusted(self) -> None:
        import shutil

        with pytest.warns(errors.PackWarning, match="this kind of platform"):
            data = pickleseal.pack([os.uname(), os.times()])
        assert pickleseal.unpack(data, trust=pickleseal.peek(data).globals)[0] == os.uname()
        assert pickleseal.unpack(pickleseal.pack(shutil.Error("x")), trust=[shutil.Error]).args == ("x",)

    @pytest.mark.parametrize("level", ["guarded", "strict"])
    def test_a_subclass_of_a_time_zone_loads(self, level: str) -> None:
        data = pickleseal.pack(shapes.OwnZone("UTC"))
        zone = pickleseal.unpack(data, trust=[shapes.OwnZone], policy=Policy(level=level))
        assert type(zone) is shapes.OwnZone
        assert zone.key == "UTC"

    def test_a_header_s_own_globals_can_be_trusted(self) -> None:
        obj = [..., type(None), zoneinfo.ZoneInfo("UTC"), shapes.Job(1, "a"), datetime.date(2026, 1, 1)]
        data = pickleseal.pack(obj)
        assert pickleseal.unpack(data, trust=pickleseal.peek(data).globals) == obj

    def test_functions_of_other_kinds(self) -> None:
        np = pytest.importorskip("numpy")
        for function in (np.add, np.mean, shapes.cached):
            data = pickleseal.pack(function)
            assert pickleseal.unpack(data, trust=pickleseal.peek(data).globals) is function
            if getattr(function, "__module__", None) is None:  # a ufunc of numpy 1
                with pytest.raises(TypeError, match="does not know its module"):
                    pickleseal.unpack(data, trust=[function])
            else:
                assert pickleseal.unpack(data, trust=[function]) is function

    def test_globals_that_no_reader_takes_are_reported_when_packing(self) -> None:
        what = 'only readers at level "signed" or "unchecked" load this: '
        for obj, said in (
            ({"run": [1, subprocess.run]}, "subprocess:run, which runs what its arguments say ($['run'][1])"),
            ([functools.partial(eval)], "builtins:eval"),
            (
                ["12".__len__, "12".__add__],
                "builtins:str.__len__ is no method that payloads get; store the name of the method",
            ),
            (shapes.Holder(a=[shapes.Meta]), "shapes:Meta, a metaclass ($.a[0])"),
        ):
            with pytest.warns(errors.PackWarning) as caught:
                data = pickleseal.pack(obj)
            (warning,) = caught
            assert str(warning.message).startswith(what)
            assert said in str(warning.message)
            assert warning.filename == __file__
            with pytest.raises(errors.ReadError):
                pickleseal.unpack(data, trust=trust_of(pickleseal.peek(data)))

    def test_only_the_first_of_many_are_named(self) -> None:
        names = [getattr(builtins, name) for name in ("eval", "exec", "compile", "open", "input", "setattr", "delattr")]
        with pytest.warns(errors.PackWarning, match="and 2 more$") as caught:
            pickleseal.pack(names)
        assert len(caught) == 1

    def test_a_serializer_whose_readers_load_it_is_not_warned(self) -> None:
        ring = KeyRing([Key.generate("k")])
        for serializer in (Serializer(level="unchecked"), Serializer(keys=ring, level="signed")):
            assert serializer.loads(serializer.dumps([functools.partial(int, "7")]))[0]() == 7
            assert serializer.loads(serializer.dumps([shapes.Meta])) == [shapes.Meta]

    @pytest.mark.parametrize("name", ["cloudpickle:subimport", "joblib.externals.cloudpickle.cloudpickle:subimport"])
    def test_no_reader_takes_what_makes_code_of_text(self, name: str) -> None:
        with pytest.raises(ValueError, match="runs what its arguments say"):
            pickleseal.unpack(pickleseal.pack(1), trust=[name])
        with pytest.raises(errors.UntrustedGlobalError, match="can't be trusted by name"):
            pickleseal.unpack(hostile(named(*name.split(":")), name))

    def test_functions_by_cloudpickle_are_reported_when_packing(self) -> None:
        cloudpickle = need("cloudpickle")
        function, arguments, *_ = cloudpickle.cloudpickle._dynamic_class_reduce(type("Local", (), {}))
        made = shapes.Holder(made=[Reducing(function, arguments)])
        with pytest.warns(errors.PackWarning, match=r"cloudpickle:_make_skeleton_class.*\(\$.made\[0\]") as caught:
            pickleseal.pack(made)
        assert len(caught) == 1

    def test_a_value_type_that_this_python_lacks_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import http

        monkeypatch.delattr(http, "HTTPMethod", raising=False)
        with pytest.raises(errors.ClassMissingError, match="this Python lacks"):
            pickleseal.unpack(hostile(named("http", "HTTPMethod"), "http:HTTPMethod"))

    def test_a_class_that_overrides_attribute_access(self) -> None:
        data = pickleseal.pack(shapes.BY_NAME)
        assert pickleseal.peek(data).globals == ("shapes:BY_NAME",)

    def test_a_metaclass_that_refuses_attributes(self) -> None:
        again = pickleseal.unpack(pickleseal.pack(shapes.Shy()), trust=["shapes:Shy"])
        assert type(again) is shapes.Shy
