"""What users call: pack, unpack, peek, verify, dump, load and their arguments, over bytes, paths, files and pipes."""

import builtins
import datetime
import enum
import inspect
import io
import pickle
import statistics
import sys
import textwrap
import threading
import types
import warnings
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import shapes
from _helpers.files import Unseekable
from _helpers.support import VECTORS

import pickleseal
from pickleseal import Key, KeyRing, Limits, PackOptions, Policy, errors

FIXED = PackOptions(created=datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.timezone.utc))


class TestPack:
    def test_the_header_says_what_it_is(self) -> None:
        header = pickleseal.peek(pickleseal.pack({"a": 1}, meta={"team": "risk"}, options=FIXED))
        assert header.type == "builtins:dict"
        assert header.created == "2026-01-02T03:04:05.678901Z"
        assert header.version == 0
        assert header.protocol == 5
        assert header.globals == ()
        assert dict(header.meta) == {"team": "risk"}
        assert header.build["python"] == sys.version.split()[0]
        assert header.build["pickleseal"] == f"{pickleseal.__version__} {sys.platform}"
        assert ("implementation" in header.build) == (sys.implementation.name != "cpython")
        assert repr(header).startswith("<Header type='builtins:dict'")

    def test_small_objects_have_small_artifacts(self) -> None:
        obj, ring = {"id": 7, "state": "done"}, KeyRing([Key.hmac("k", b"s" * 32)])
        assert len(pickleseal.pack(obj)) == 384  # preamble, 256 bytes of header, payload
        assert len(pickleseal.pack(obj, keys=ring)) <= 640

    def test_build_may_be_empty(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PICKLESEAL_APP", "billing")
        options = PackOptions(build=None)
        for copy in (options, pickle.loads(pickle.dumps(options))):
            data = pickleseal.pack({"id": 7}, options=copy)
            assert pickleseal.peek(data).build == {}
            assert pickleseal.unpack(data) == {"id": 7}

    def test_the_clock_is_used_where_no_time_is_given(self) -> None:
        before = datetime.datetime.now(datetime.timezone.utc)
        created = pickleseal.peek(pickleseal.pack(1)).created
        after = datetime.datetime.now(datetime.timezone.utc)
        assert before <= datetime.datetime.fromisoformat(created.replace("Z", "+00:00")) <= after

    def test_a_type_can_be_named(self) -> None:
        assert pickleseal.peek(pickleseal.pack({}, type="jobs.Snapshot")).type == "jobs.Snapshot"

    @pytest.mark.parametrize("name", ["", "x" * 1024, "a\nb", "\ud800", 7])
    def test_a_wrong_type_name_is_misuse(self, name: Any) -> None:
        with pytest.raises(ValueError, match="type: expected"):
            pickleseal.pack({}, type=name)

    @pytest.mark.parametrize("meta", [{"a": 1}, {"": "x"}, {"a b": "x"}, {1: "x"}, 5, ["a"]])
    def test_wrong_labels_are_misuse(self, meta: Any) -> None:
        with pytest.raises(TypeError, match="meta: expected"):
            pickleseal.pack({}, meta=meta)
        with pytest.raises(TypeError, match="build: expected"):
            PackOptions(build=meta)

    def test_labels_without_utf8_are_misuse(self) -> None:
        with pytest.raises(ValueError, match="UTF-8"):
            pickleseal.pack({}, meta={"a": "\ud800"})

    def test_a_header_that_is_too_large_is_refused(self) -> None:
        with pytest.raises(errors.PackError, match="header is too large"):
            pickleseal.pack({}, meta={"a": "x" * 2_000_000})

    def test_a_schema_that_does_not_fit_costs_only_itself(self) -> None:
        large = enum.Enum("Large", {f"CODE_{i}": f"value number {i}" for i in range(40_000)}, module="support_large")
        small = enum.Enum("Small", {"A": 1, "B": 2}, module="support_large")
        middle = enum.Enum("Middle", {f"CODE_{i}": i for i in range(4_000)}, module="support_large")
        module = types.ModuleType("support_large")
        vars(module).update(Large=large, Small=small, Middle=middle)
        registry = pickleseal.Registry()
        with mock.patch.dict(sys.modules, {"support_large": module}):
            obj = [large["CODE_1"], small["A"], middle["CODE_1"]]
            for some in (obj, [*obj, bytearray(5_000_000), pickle.PickleBuffer(bytearray(5_000_000))]):
                with pytest.warns(errors.PackWarning, match="schema of support_large:Large has 40000 fields") as caught:
                    data = pickleseal.pack(some)
                assert len(caught) == 1
                assert set(pickleseal.peek(data).types) == {"support_large:Small", "support_large:Middle"}
            registry.register(large, "x.Large", version=1)
            with pytest.raises(errors.PackError, match=r"schema of x\.Large") as refused:
                pickleseal.pack(obj, options=PackOptions(registry=registry))
            assert refused.value.where == "types.x.Large"

    def test_build_labels_come_from_options_and_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PICKLESEAL_APP", "billing")
        monkeypatch.setenv("PICKLESEAL_COMMIT", "1f3c")
        build = pickleseal.peek(
            pickleseal.pack(1, options=PackOptions(build={"commit": "2222", "stage": "prod"}))
        ).build
        assert (build["app"], build["commit"], build["stage"]) == ("billing", "2222", "prod")

    def test_source_date_epoch_fixes_the_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        options = PackOptions()
        assert pickleseal.pack({"a": [1]}, options=options) == pickleseal.pack({"a": [1]}, options=PackOptions())
        assert pickleseal.peek(pickleseal.pack(1, options=options)).created == "2023-11-14T22:13:20.000000Z"

    @pytest.mark.parametrize("epoch", ["yesterday", "1e9", "-99999999999999", "9" * 30, "253402300800"])
    def test_a_wrong_source_date_epoch_is_named(self, monkeypatch: pytest.MonkeyPatch, epoch: str) -> None:
        monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
        for _ in range(2):  # also where the text of that second is at hand
            with pytest.raises(ValueError, match="SOURCE_DATE_EPOCH"):
                PackOptions()

    @pytest.mark.parametrize("created", [datetime.datetime(2026, 1, 1), "2026-01-01"])
    def test_a_time_without_a_zone_is_misuse(self, created: Any) -> None:
        with pytest.raises(ValueError, match="time zone"):
            PackOptions(created=created)

    def test_a_time_of_another_zone_is_written_in_utc(self) -> None:
        zone = datetime.timezone(datetime.timedelta(hours=2))
        options = PackOptions(created=datetime.datetime(987, 1, 1, 1, tzinfo=zone))
        assert pickleseal.peek(pickleseal.pack(1, options=options)).created == "0986-12-31T23:00:00.000000Z"

    def test_parts_refer_to_the_object_s_memory(self) -> None:
        blob, buffer = b"x" * 100_000, bytearray(100_000)
        parts = pickleseal.pack_parts([blob, pickle.PickleBuffer(buffer)])
        assert any(part is blob for part in parts)
        assert any(isinstance(part, memoryview) and part.obj is buffer for part in parts)
        assert pickleseal.unpack(b"".join(parts)) == [blob, buffer]

    def test_small_buffers_stay_in_the_pickle(self) -> None:
        data = pickleseal.pack([pickle.PickleBuffer(bytes(1000)), pickle.PickleBuffer(bytearray(20_000))])
        assert [section.readonly for section in pickleseal.peek(data).sections] == [False, False]
        small, large = pickleseal.unpack(data)
        assert small == bytes(1000)
        assert large == bytes(20_000)

    def test_the_header_of_many_buffers_stays_within_its_limit(self) -> None:
        buffers = [pickle.PickleBuffer(bytearray(16_384)) for _ in range(10_050)]
        header = pickleseal.peek(pickleseal.pack(buffers))
        assert len(header.sections) == 10_001
        assert header.preamble.header_len < 1_048_576

    def test_read_only_buffers_stay_read_only(self) -> None:
        data = pickleseal.pack([pickle.PickleBuffer(bytes(20_000)), pickle.PickleBuffer(bytearray(20_000))])
        header = pickleseal.peek(data)
        assert [section.readonly for section in header.sections] == [False, True, False]
        frozen, free = pickleseal.unpack(data)
        assert frozen.readonly
        free[0] = 1

    def test_main_classes_and_platform_paths_are_reported(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shapes.Job, "__module__", "__main__")
        monkeypatch.setattr(sys.modules["__main__"], "Job", shapes.Job, raising=False)
        with pytest.warns(errors.PackWarning, match="script that runs now") as caught:
            pickleseal.pack(shapes.Job(1, "a"))
        assert caught[0].filename == __file__
        with pytest.warns(errors.PackWarning, match="platform only"):
            pickleseal.pack(Path("/x"))

    def test_a_copyreg_extension_is_refused(self) -> None:
        import copyreg

        copyreg.add_extension("shapes", "Job", 240)
        try:
            with pytest.raises(errors.PackError, match="add_extension"):
                pickleseal.pack(shapes.Job(1, "a"))
        finally:
            copyreg.remove_extension("shapes", "Job", 240)

    def test_dumps_and_loads_accept_the_arguments_of_hosts(self) -> None:
        data = pickleseal.dumps([1], 4, fix_imports=True, buffer_callback=None)
        assert pickleseal.loads(data, fix_imports=True, encoding="ASCII", errors="strict", buffers=None) == [1]
        assert pickleseal.loads(memoryview(data)) == [1]

    def test_the_options_are_immutable(self) -> None:
        with pytest.raises(AttributeError):
            FIXED.created = None  # type: ignore[misc]

    def test_threads_share_options(self) -> None:
        found: list[bytes] = []
        threads = [
            threading.Thread(target=lambda: found.extend(pickleseal.pack({"a": 1}, options=FIXED) for _ in range(200)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 800
        assert len(set(found)) == 1


class TestUnpack:
    def test_expect_checks_and_trusts_a_class(self) -> None:
        data = pickleseal.pack(shapes.Job(1, "a"))
        assert pickleseal.unpack(data, expect=shapes.Job) == shapes.Job(1, "a")
        with pytest.raises(errors.TypeMismatchError) as caught:
            pickleseal.unpack(data, expect=dict)
        assert (caught.value.expected, caught.value.found) == ("builtins:dict", "shapes:Job")

    def test_expect_takes_a_name(self) -> None:
        data = pickleseal.pack({"a": 1}, type="jobs.Snapshot")
        assert pickleseal.unpack(data, expect="jobs.Snapshot") == {"a": 1}
        with pytest.raises(errors.TypeMismatchError):
            pickleseal.unpack(data, expect="jobs.Other")

    def test_a_wrong_type_in_the_header_is_found(self) -> None:
        data = pickleseal.pack([1], type="builtins:dict")
        with pytest.raises(errors.TypeMismatchError, match="than its header says"):
            pickleseal.unpack(data, expect=dict)

    @pytest.mark.parametrize("expect", [7, ["a"], b"x"])
    def test_a_wrong_expect_is_misuse(self, expect: Any) -> None:
        for data in (pickleseal.pack(1), b"junk"):
            with pytest.raises(TypeError, match="expect: expected"):
                pickleseal.unpack(data, expect=expect)

    @pytest.mark.parametrize("data", ["text", None, 7, [1]])
    def test_wrong_data_is_misuse(self, data: Any) -> None:
        with pytest.raises(TypeError, match=r"data: expected bytes-like.*load"):
            pickleseal.unpack(data)
        with pytest.raises(TypeError, match=r"file: expected a path.*unpack"):
            pickleseal.load(b"bytes")  # type: ignore[call-overload]

    def test_every_kind_of_bytes_is_taken(self) -> None:
        import array

        data = pickleseal.pack([1])
        views = [
            bytearray(data),
            memoryview(data),
            memoryview(bytearray(data)),
            array.array("B", data),
            memoryview(data).cast("B", (len(data) // 64, 64)),
        ]
        doubled = bytearray(2 * len(data))
        doubled[::2] = data
        for view in [*views, memoryview(doubled)[::2]]:
            assert pickleseal.unpack(view) == [1]

    def test_a_nested_pickle_of_protocol_4_is_taken_and_2_asks_for_a_policy(self) -> None:
        data = (VECTORS / "valid" / "proto-2.pseal").read_bytes()
        with pytest.raises(errors.PolicyError, match="protocol is not accepted"):
            pickleseal.unpack(data)
        assert pickleseal.unpack(data, policy=Policy(protocols=(2,))) == {"id": 7, "s": "done"}
        assert pickleseal.verify(data).protocol == 2

    def test_a_batch_is_a_list(self) -> None:
        assert pickleseal.unpack((VECTORS / "valid" / "records.pseal").read_bytes()) == [1, 2, 3]

    def test_errors_of_the_payload_are_wrapped_with_their_cause(self) -> None:
        data = pickleseal.pack(shapes.RaisesOnLoad())
        with pytest.raises(errors.UnpickleError, match="raised KeyError") as caught:
            pickleseal.unpack(data, expect=shapes.RaisesOnLoad)
        assert isinstance(caught.value.__cause__, KeyError)

    @pytest.mark.parametrize("fields", [{"limits": 7}, {"limits": None}])
    def test_wrong_limits_are_misuse(self, fields: Any) -> None:
        with pytest.raises(TypeError):
            Policy(**fields)

    @pytest.mark.parametrize("protocols", [(), (1,), (6,), [6], [], 5])
    def test_wrong_protocols_are_misuse(self, protocols: Any) -> None:
        with pytest.raises(ValueError, match="protocols: expected"):
            Policy(protocols=protocols)

    def test_a_declared_length_allocates_nothing(self) -> None:
        """spec 3, I6: a small input that declares terabytes is refused as truncated, not by running out of memory."""
        from frames import Frame

        frame = Frame()
        frame.section_fields = [{"len": 2**52}]
        frame.preamble = {"frame_len": 64 + len(frame.header_bytes()) + 2**52}
        data = frame.data
        for source in (data, io.BytesIO(data), Unseekable(data)):
            with pytest.raises(errors.TruncatedError):
                pickleseal.verify(source)
        frame.sections += [b"x"]
        frame.section_fields = [{}, {"len": 2**52}]
        frame.preamble = {"frame_len": 0}
        frame.preamble = {"frame_len": 64 + len(frame.header_bytes()) + 128 + 2**52 - 64}
        for source in (frame.data, io.BytesIO(frame.data), Unseekable(frame.data)):
            with pytest.raises(errors.TruncatedError):
                (pickleseal.unpack if isinstance(source, bytes) else pickleseal.load)(source)


class TestPeekAndVerify:
    def test_peek_takes_a_prefix_and_says_how_much_is_missing(self) -> None:
        data = pickleseal.pack({"a": "x" * 10_000}, meta={"k": "v" * 5000})
        have = data[:64]
        while True:
            try:
                header = pickleseal.peek(have)
                break
            except errors.TruncatedError as error:
                assert error.missing > 0
                have = data[: len(have) + error.missing]
        assert len(have) == header.preamble.head_len < len(data)

    def test_peek_leaves_a_seekable_file_where_it_was(self, tmp_path: Path) -> None:
        pickleseal.dump([1], tmp_path / "a")
        with open(tmp_path / "a", "rb") as file:
            assert pickleseal.peek(file).type == "builtins:list"
            assert pickleseal.load(file) == [1]
            with pytest.raises(errors.TruncatedError, match="empty, or at its end"):
                pickleseal.load(file)

    def test_unknown_members_of_a_newer_minor_cost_linear_time(self) -> None:
        """Counted, not timed: each member is looked at once."""
        from pickleseal._format import header as fields

        seen = 0
        real = fields._check_keys

        def count(value: Any, where: str) -> None:
            nonlocal seen
            seen += 1
            real(value, where)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fields, "_check_keys", count)
            entry = {"len": 1, "xxh3": "0" * 16, **{f"x{n}": 1 for n in range(2000)}}
            fields._sections([entry], 2)
        assert seen <= 3 * 2000

    def test_long_names_are_not_cached(self) -> None:
        from pickleseal._format.header import is_key, is_name, matches_key, matches_name

        before = matches_key.cache_info().currsize, matches_name.cache_info().currsize
        for n in range(50):
            assert not is_key(f"k{n}" + "x" * 100_000)
            assert not is_name(f"k{n}" + "x" * 100_000)
        assert (matches_key.cache_info().currsize, matches_name.cache_info().currsize) == before

    def test_limits_of_a_policy_apply(self) -> None:
        data = pickleseal.pack(1)
        for call in (pickleseal.peek, pickleseal.verify, pickleseal.unpack):
            with pytest.raises(errors.LimitExceededError):
                call(data, policy=Policy(limits=Limits(max_frame=64)))

    def test_nothing_is_imported(self, monkeypatch: pytest.MonkeyPatch) -> None:
        data = pickleseal.pack(shapes.Job(1, "a"))
        monkeypatch.delitem(sys.modules, "shapes")
        called: list[str] = []
        real = builtins.__import__
        monkeypatch.setattr(builtins, "__import__", lambda name, *a, **k: called.append(name) or real(name, *a, **k))
        pickleseal.peek(data)
        pickleseal.verify(data)
        with pytest.raises(errors.UntrustedGlobalError):
            pickleseal.unpack(data)
        monkeypatch.undo()
        assert not {"shapes", "pickle"} & set(called)

    def test_a_header_can_be_compared_pickled_and_not_changed(self) -> None:
        data = pickleseal.pack([1], meta={"a": "b"}, options=FIXED)
        header = pickleseal.peek(data)
        assert header == pickleseal.peek(data) == pickle.loads(pickle.dumps(header))
        assert hash(header) == hash(pickleseal.peek(data))
        assert header != pickleseal.peek(pickleseal.pack([1], options=FIXED))
        assert header != 7
        with pytest.raises(AttributeError):
            header.type = "x"  # type: ignore[misc]
        with pytest.raises(TypeError):
            header.meta["a"] = "x"  # type: ignore[index]
        header.as_dict()["meta"]["a"] = "changed"
        vendor = (VECTORS / "valid" / "ext.pseal").read_bytes()
        pickleseal.peek(vendor).ext["com.example.lineage"]["parents"].append("changed")
        assert pickleseal.peek(vendor).ext["com.example.lineage"]["parents"] == ["a", "b"]
        assert header.meta["a"] == "b"

    def test_a_seal_is_shown_as_a_claim(self) -> None:
        assert pickleseal.peek(VECTORS / "valid" / "sealed.pseal").signatures == (("hmac-sha256", "test-2026"),)


def test_the_suite_has_no_silent_warnings() -> None:
    assert any(action == "error" for action, *_ in warnings.filters)


class TestIdlePicklers:
    """Small objects reuse picklers (payload/pickler.py): nothing of one object may show in the next."""

    def test_a_pack_inside_a_pack(self) -> None:
        inner = pickleseal.pack(shapes.Nested([1, shapes.Job(1, "a")]), options=FIXED)
        assert pickleseal.unpack(inner, trust=[shapes.Nested]).data == pickleseal.pack(
            [1, shapes.Job(1, "a")], options=FIXED
        )

    def test_globals_and_memo_do_not_leak(self) -> None:
        shared = shapes.Job(1, "a")
        first = pickleseal.pack([shared, shared], options=FIXED)
        assert pickleseal.peek(pickleseal.pack([1])).globals == ()
        for _ in range(20):
            assert pickleseal.pack([shared, shared], options=FIXED) == first
            with pytest.raises(errors.PackError):
                pickleseal.pack([shapes.Job(2, "b"), lambda: 1])

    def test_a_pickler_with_a_large_memo_is_not_kept(self) -> None:
        from pickleseal._payload import pickler

        pickler.idle_picklers.clear()
        pickleseal.pack([[] for _ in range(30_000)])
        assert pickler.idle_picklers == []
        pickleseal.pack([1])
        assert len(pickler.idle_picklers) == 1

    def test_packed_objects_are_not_kept_alive(self) -> None:
        import gc
        import weakref

        job = shapes.Job(1, "a")
        gone = weakref.ref(job)
        pickleseal.pack([job])
        del job
        gc.collect()
        assert gone() is None

    def test_threads_do_not_share_one(self) -> None:
        results: list[bool] = []

        def work(n: int) -> None:
            obj = {"n": n, "jobs": [shapes.Job(n, str(n))] * 3}
            for _ in range(300):
                results.append(pickleseal.unpack(pickleseal.pack(obj), trust=[shapes.Job]) == obj)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [True] * 1800


RING = pickleseal.KeyRing([pickleseal.Key.hmac("test", b"k" * 32)])


class TestArgumentsBesidePolicies:
    def test_packing_takes_keys_and_compression(self, tmp_path: Path) -> None:
        path = tmp_path / "x.pseal"
        text = "x" * 5000
        pickleseal.dump(text, path, keys=RING, compress="zstd")
        parts = pickleseal.pack_parts(text, keys=RING, compress="zstd")
        for data in (pickleseal.pack(text, keys=RING, compress="zstd"), path.read_bytes(), b"".join(parts)):
            header = pickleseal.peek(data)
            assert (header.signatures, header.sections[0].codec) == ((("hmac-sha256", "test"),), "zstd")
            assert pickleseal.unpack(data, keys=RING) == text
        options = pickleseal.PackOptions(build={"app": "billing"}, compress="zstd")
        header = pickleseal.peek(pickleseal.pack(text, keys=RING, options=options))
        assert (header.build["app"], header.sections[0].codec, len(header.signatures)) == ("billing", "zstd", 1)

    def test_reading_takes_keys_and_a_level(self, tmp_path: Path) -> None:
        path = tmp_path / "x.pseal"
        pickleseal.dump(Fraction(1, 2), path, keys=RING)
        signed = path.read_bytes()
        for level in (None, "strict", "signed"):
            assert pickleseal.unpack(signed, keys=RING, level=level) == Fraction(1, 2)
            assert pickleseal.load(path, keys=RING, level=level) == Fraction(1, 2)
        assert pickleseal.unpack(signed, keys=RING, policy=pickleseal.Policy(types={"fractions:Fraction": "*"}))
        for how in ({"keys": RING}, {"keys": RING, "mmap": "r"}, {"keys": RING, "level": "strict"}):
            pickleseal.dump(Fraction(1, 2), path)
            with pytest.raises(errors.SignatureError):
                pickleseal.load(path, **how)
        assert pickleseal.load(path, level="unchecked") == Fraction(1, 2)

    def test_keys_do_not_make_the_level_weaker(self) -> None:
        data = pickleseal.pack(textwrap.dedent, keys=RING)
        with pytest.raises(errors.UntrustedGlobalError):
            pickleseal.unpack(data, keys=RING)
        assert pickleseal.unpack(data, keys=RING, level="signed") is textwrap.dedent

    def test_trust_adds_to_the_list_of_the_policy(self) -> None:
        data = pickleseal.pack([textwrap.dedent, statistics.mean])
        policy = pickleseal.Policy(trust=[textwrap.dedent])
        assert pickleseal.unpack(data, trust=[statistics.mean], policy=policy) == [textwrap.dedent, statistics.mean]

    def test_one_setting_in_two_places_is_a_type_error(self, tmp_path: Path) -> None:
        keyed, path = pickleseal.Policy(keys=RING), tmp_path / "x.pseal"
        path.write_bytes(pickleseal.pack(1, keys=RING))
        for how in (
            {"keys": RING, "policy": keyed},
            {"level": "strict", "policy": pickleseal.Policy()},
            {"level": "strict", "keys": RING, "policy": pickleseal.Policy()},
        ):
            for call in (pickleseal.load, lambda file, **how: pickleseal.unpack(file.read_bytes(), **how)):
                with pytest.raises(TypeError, match=r"Policy\(keys=\.\.\., level=\.\.\.\)"):
                    call(path, **how)
            with pytest.raises(TypeError, match=r"Policy\(keys=\.\.\., level=\.\.\.\)"):
                pickleseal.load(path, mmap="r", **how)
        for how in (
            {"keys": RING, "options": pickleseal.PackOptions(keys=RING)},
            {"compress": "zstd", "options": pickleseal.PackOptions(compress="zstd")},
        ):
            for pack in (pickleseal.pack, pickleseal.pack_parts, lambda obj, **how: pickleseal.dump(obj, path, **how)):
                with pytest.raises(TypeError, match=r"PackOptions\((keys|compress)=\.\.\.\)"):
                    pack(1, **how)

    def test_wrong_values_are_refused(self) -> None:
        data = pickleseal.pack(1)
        for how, kind in (
            ({"keys": "k"}, TypeError),
            ({"level": "strikt"}, ValueError),
            ({"level": "signed"}, ValueError),
            ({"policy": "x", "level": "strict"}, TypeError),
            ({"policy": "x", "keys": RING}, TypeError),
        ):
            with pytest.raises(kind):
                pickleseal.unpack(data, **how)
        for how, kind in (({"keys": "k"}, TypeError), ({"compress": "gzip"}, ValueError), ({"options": 1}, TypeError)):
            with pytest.raises(kind):
                pickleseal.pack(1, **how)


def test_dumps_and_loads_take_what_pack_and_unpack_take() -> None:
    def names(function: Any) -> set[str]:
        return set(inspect.signature(function).parameters)

    of_pickle = {"protocol", "fix_imports", "buffer_callback", "encoding", "errors", "buffers"}
    assert names(pickleseal.dumps) - of_pickle == names(pickleseal.pack)
    assert names(pickleseal.loads) - of_pickle == names(pickleseal.unpack)
    ring = KeyRing([Key.hmac("k", b"s" * 32)])
    data = pickleseal.dumps({"x": "y" * 5000}, type="report", meta={"a": "b"}, compress="zstd", keys=ring)
    header = pickleseal.peek(data)
    assert (header.type, header.meta, header.sections[0].codec) == ("report", {"a": "b"}, "zstd")
    assert pickleseal.loads(data, keys=ring, level="signed") == {"x": "y" * 5000}
    with pytest.raises(pickleseal.errors.SignatureError):
        pickleseal.loads(pickleseal.dumps(1), keys=ring)


@pytest.mark.parametrize("function", [pickleseal.peek, pickleseal.verify, pickleseal.convert.extract])
@pytest.mark.parametrize("data", [None, 3, ["a"], object])
def test_what_is_neither_bytes_nor_a_file_is_a_type_error(function: Any, data: Any) -> None:
    with pytest.raises(TypeError, match="data: expected bytes, a path, a URL or a binary file, found"):
        function(data)
