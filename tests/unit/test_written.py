"""What is checked when an object is packed: the serializer's own policy, and that it reads back; reproducible bytes."""

import copyreg
import os
import pickle
import subprocess
import sys
from argparse import Namespace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from _helpers.support import need

from pickleseal import (
    Key,
    KeyRing,
    Limits,
    PackOptions,
    Policy,
    Registry,
    Serializer,
    StreamReader,
    StreamWriter,
    append,
    dump,
    errors,
    load,
    pack,
    peek,
    unpack,
)
from pickleseal.trust import classes_in

RING = KeyRing([Key.generate("k2026")])
CHECKING = Serializer(check_writes=True)
READ_BACK = PackOptions(read_back=True)


class Forgetful:
    """An object that does not come back as it was."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.value = 0


class Plain:
    def __init__(self, value: object) -> None:
        self.value = value


class Mutual:
    """A class whose objects can't be loaded: their own method refuses it."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        raise ValueError("never")

    def __getstate__(self) -> dict[str, Any]:
        return {"a": 1}


# --- check_writes -----------------------------------------------------------------------------------------------------


def refusal(serializer: Serializer, obj: Any) -> errors.PackError:
    """Return the error of packing, and check that reading would have raised for the same reason."""
    with pytest.raises(errors.PackError) as caught:
        serializer.dumps(obj)
    assert isinstance(caught.value.__cause__, errors.ReadError)
    unchecked = Serializer(
        serializer.policy, serializer.options, keys=serializer.keys, trust=serializer.trust, expect=serializer.expect
    )
    with pytest.raises(type(caught.value.__cause__)):
        unchecked.loads(unchecked.dumps(obj))
    return caught.value


def test_a_name_that_is_not_trusted_is_refused_with_its_path_and_the_line_to_paste() -> None:
    error = refusal(CHECKING, {"runs": [1, {"options": Namespace(verbose=True)}]})
    assert error.where == "$['runs'][1]['options']"
    assert error.hint == 'to allow it, give the serializer trust=["argparse:Namespace"]'
    assert error.found == "argparse:Namespace"
    trusting = Serializer(check_writes=True, trust=["argparse:Namespace"])
    assert trusting.loads(trusting.dumps(Namespace(a=1))) == Namespace(a=1)


def test_several_names_are_listed_at_once() -> None:
    error = refusal(CHECKING, [Plain(1), Namespace()])
    assert error.where == "$[0]"
    assert f'trust=["argparse:Namespace", "{Plain.__module__}:Plain"]' in str(error.hint)


def test_what_no_reader_may_trust_is_not_recommended() -> None:
    with pytest.warns(errors.PackWarning):
        error = refusal(CHECKING, [subprocess.Popen])
    assert error.where == "$[0]"
    assert "trust=[" not in str(error.hint)


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        ({"policy": Policy(build={"app": "billing"})}, "build.app"),
        ({"policy": Policy(types={"builtins:dict": "*"})}, "$"),
        ({"policy": Policy(keys=RING)}, None),
        ({"policy": Policy(keys=RING), "options": PackOptions(keys=KeyRing([Key.generate("other")]))}, None),
        ({"expect": dict}, "$"),
        ({"policy": Policy(codecs=()), "options": PackOptions(compress="zstd")}, "sections[0].codec"),
        ({"policy": Policy(limits=Limits(max_frame=1000))}, None),
    ],
)
def test_whatever_the_policy_refuses_is_not_written(arguments: Any, where: str | None) -> None:
    serializer = Serializer(**arguments, check_writes=True)
    for _ in range(2):
        assert refusal(serializer, ["a" * 2000]).where == where


def test_a_signature_that_the_policy_accepts_passes() -> None:
    signed = Serializer(keys=RING, check_writes=True, level="signed")
    assert signed.loads(signed.dumps(Plain([1]))).value == [1]
    assert "options=PackOptions(keys=...)" in str(refusal(Serializer(Policy(keys=RING), check_writes=True), 1).hint)


def test_a_header_like_an_earlier_one_is_still_compared_with_the_limits_and_codecs() -> None:
    small = Serializer(Policy(limits=Limits(max_frame=200_000)), check_writes=True)
    few = Serializer(Policy(limits=Limits(max_sections=2)), check_writes=True)
    plain = Serializer(Policy(codecs=()), PackOptions(compress="zstd"), check_writes=True)
    buffers = [pickle.PickleBuffer(bytes([n]) * 20_000) for n in range(3)]
    for serializer, good, bad in (
        (small, b"a", b"a" * 300_000),
        (few, buffers[:1], buffers),
        (plain, "a", "a" * 9000),
    ):
        serializer.dumps(good)
        serializer.dumps(good)
        refusal(serializer, bad)
        serializer.dumps(good)


def test_headers_are_evaluated_again_after_a_registration() -> None:
    registry = Registry()
    serializer = Serializer(Policy(registry=registry), PackOptions(registry=registry), check_writes=True)
    refusal(serializer, Plain(1))
    registry.register(Plain, "tests.Plain")
    for _ in range(2):
        assert serializer.loads(serializer.dumps(Plain(1))).value == 1
    registry.clear()
    refusal(serializer, Plain(1))


def test_a_header_that_was_accepted_is_not_evaluated_again(monkeypatch: pytest.MonkeyPatch) -> None:
    import pickleseal._written as written

    calls: list[Any] = []

    def counted(source: Any, request: Any) -> Any:
        calls.append(source)
        return accept(source, request)

    accept = written.accept
    monkeypatch.setattr(written, "accept", counted)
    serializer = Serializer(check_writes=True)
    for number in range(5):
        serializer.dumps({"number": number, "text": "a" * number * 20})
    assert len(calls) <= 2  # the text of a header is padded to 64 bytes, so its end may differ
    before = len(calls)
    for number in range(600):
        serializer.dumps(1, meta={"number": str(number)})
    assert len(calls) == before + 600
    assert len(serializer._pack_options._checks[0]._seen) <= 256  # type: ignore[attr-defined]


def test_files_streams_and_large_buffers_are_checked_too(tmp_path: Any) -> None:
    path = tmp_path / "x.pseal"
    large = bytes(5 << 20)
    for obj in (Namespace(), [Namespace(), pickle.PickleBuffer(large)]):
        with pytest.raises(errors.PackError, match="argparse"):
            CHECKING.dump(obj, path)
        with pytest.raises(errors.PackError, match="argparse"):
            CHECKING.append(path, obj)
        assert not path.exists()
    CHECKING.dump([pickle.PickleBuffer(large)], path)
    assert bytes(CHECKING.load(path)[0]) == large


# --- read_back --------------------------------------------------------------------------------------------------------


def test_what_reads_back_is_packed(tmp_path: Any) -> None:
    shared: list[Any] = [1]
    obj = {"a": shared, "b": [shared, {2, 3}], "c": Plain(Namespace(x=1.5)), "d": pickle.PickleBuffer(bytes(5 << 20))}
    assert unpack(pack(obj, options=READ_BACK), trust=[Plain, Namespace])["c"].value.x == 1.5
    dump(obj, tmp_path / "x.pseal", options=READ_BACK)
    assert load(tmp_path / "x.pseal", trust=[Plain, Namespace])["a"] == [1]
    signed = pack(obj, options=PackOptions(read_back=True, keys=RING, compress="zstd"))
    assert unpack(signed, policy=Policy(keys=RING), trust=[Plain, Namespace])["a"] == [1]


def test_the_first_difference_is_named(tmp_path: Any) -> None:
    obj = [Plain(1), {"key": Forgetful(3)}]
    with pytest.raises(errors.PackError) as caught:
        pack(obj, options=READ_BACK)
    error = caught.value
    assert (error.where, str(error.expected), str(error.found)) == ("$[1]['key'].value", "3", "0")
    for write in (dump, lambda obj, path, options: append(path, obj, options=options)):
        with pytest.raises(errors.PackError, match="reads back as something else"):
            write(obj, tmp_path / "x.pseal", options=READ_BACK)
    assert not (tmp_path / "x.pseal").exists()


def test_what_does_not_load_is_not_packed() -> None:
    with pytest.raises(errors.PackError, match=r"not read back; .*never"):
        pack(Mutual(), options=READ_BACK)
    with pytest.warns(errors.PackWarning), pytest.raises(errors.PackError, match="not read back"):
        pack([subprocess.Popen], options=READ_BACK)


def test_the_registry_of_the_writer_is_used() -> None:
    registry = Registry()
    registry.register(Plain, "tests.Plain")
    assert peek(pack(Plain(1), options=PackOptions(registry=registry, read_back=True))).type == "tests.Plain"


@pytest.mark.parametrize("options", [{"read_back": True}, {"reproducible": True}])
def test_records_of_a_stream_are_not_batched(options: Any, tmp_path: Any) -> None:
    with StreamWriter(tmp_path / "x", batch=10, options=PackOptions(**options)) as stream:
        for number in range(3):
            stream.append({"number": number})
        if "read_back" in options:
            with pytest.raises(errors.PackError):
                stream.append({"a": Forgetful(1)})
    with StreamReader(tmp_path / "x") as reader:
        assert len(list(reader.frames())) == 3


# --- reproducible -----------------------------------------------------------------------------------------------------

PROGRAM = """
import sys
from pickleseal import PackOptions, pack
words = ["one", "two", "three", "four"]
text = "".join(["on", "e"])
sys.stdout.buffer.write(pack({"set": set(words), "text": [text, "one"]}, options=PackOptions(reproducible=True)))
"""


def test_equal_objects_have_equal_bytes_in_every_process() -> None:
    found = set()
    for seed in ("1", "2", "3"):
        env = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, check=True, timeout=60)
        found.add(done.stdout)
    assert len(found) == 1
    assert unpack(found.pop())["set"] == {"one", "two", "three", "four"}


def test_the_time_stamp_is_fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert peek(pack(1, options=PackOptions(reproducible=True))).created == "1970-01-01T00:00:00.000000Z"
    given = datetime(2026, 1, 2, tzinfo=timezone.utc)
    assert peek(pack(1, options=PackOptions(reproducible=True, created=given))).created.startswith("2026-01-02")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert peek(pack(1, options=PackOptions(reproducible=True))).created.startswith("1970-01-02")


def test_a_set_without_an_order_is_refused() -> None:
    with pytest.raises(errors.PackError, match="no order") as caught:
        pack({"a": [{Plain(1), Plain(2)}]}, options=PackOptions(reproducible=True))
    assert caught.value.where == "$['a'][0]"


def test_files_and_large_buffers_are_reproducible_too(tmp_path: Any) -> None:
    for name in ("x", "y"):
        obj = ["".join(["a", "b"]), "ab", pickle.PickleBuffer(bytes(5 << 20))]
        dump(obj if name == "x" else [obj[1], obj[1], obj[2]], tmp_path / name, options=PackOptions(reproducible=True))
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


# --- options ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["read_back", "reproducible"])
def test_options_are_bools(name: str) -> None:
    with pytest.raises(TypeError, match=name):
        PackOptions(**{name: 1})  # type: ignore[arg-type]


def test_a_writer_can_be_pickled() -> None:
    copy = pickle.loads(pickle.dumps(PackOptions(build={"app": "billing"}, read_back=True)))
    assert copy.build == {"app": "billing"}
    with pytest.raises(errors.PackError, match="reads back"):
        pack(Forgetful(1), options=copy)


class OwnReduction:
    """A class that pickles may call, of which this pickle makes an object without a call."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __reduce__(self) -> Any:
        return copyreg.__newobj__, (OwnReduction,), {"value": self.value}  # type: ignore[attr-defined]


def test_a_large_array_is_checked_in_a_file_as_in_memory(tmp_path: Path) -> None:
    numpy = need("numpy")
    serializer = Serializer(trust=[classes_in(OwnReduction.__module__)], check_writes=True)
    obj = OwnReduction(numpy.zeros(1_000_000))
    serializer.dump(obj, tmp_path / "a.pseal")
    assert serializer.load(tmp_path / "a.pseal").value.shape == (1_000_000,)
    assert serializer.loads(serializer.dumps(obj)).value.shape == (1_000_000,)
    for write in (serializer.dumps, lambda obj: serializer.dump(obj, tmp_path / "b.pseal")):
        with pytest.raises(errors.PackError, match="argparse:Namespace") as caught:
            write([obj.value, Namespace])
        assert caught.value.where == "$[1]"
