"""One Serializer: pickle's names and arguments, keys and levels, refusals. `tests/hosts` has it in its hosts."""

import argparse
import dataclasses
import io
import pickle
from typing import Any

import pytest
from _helpers.support import need

from pickleseal import Key, KeyRing, PackOptions, Policy, Serializer, errors

SERIALIZER = Serializer()
RING = KeyRing([Key.generate("k2026")])
VALUE = {"id": 7, "tags": ["a", "b"], "raw": b"\x00\xff"}


def test_it_is_called_as_pickle_is() -> None:
    file = io.BytesIO()
    SERIALIZER.dump(VALUE, file, 4)
    file.seek(0)
    assert SERIALIZER.load(file) == VALUE
    data = SERIALIZER.dumps(VALUE, pickle.HIGHEST_PROTOCOL, fix_imports=False, buffer_callback=None)
    assert SERIALIZER.loads(data, fix_imports=False, encoding="bytes", errors="strict", buffers=None) == VALUE
    assert SERIALIZER.decode(SERIALIZER.encode(VALUE)) == VALUE
    assert SERIALIZER.deserialize(SERIALIZER.serialize(VALUE)) == VALUE
    assert SERIALIZER.PickleError is pickle.PickleError
    assert SERIALIZER.PicklingError is pickle.PicklingError
    assert SERIALIZER.UnpicklingError is pickle.UnpicklingError


@pytest.mark.parametrize(
    "call",
    [
        lambda: SERIALIZER.dumps(1, fix_import=True),  # type: ignore[call-arg]
        lambda: SERIALIZER.dumps(1, buffer_callback=[].append),  # type: ignore[arg-type]
        lambda: SERIALIZER.loads(b"", buffers=[]),  # type: ignore[arg-type]
        lambda: SERIALIZER.loads(b"", encodings="x"),  # type: ignore[call-arg]
        lambda: SERIALIZER.load("x", expects=int),  # type: ignore[call-arg]
        lambda: SERIALIZER.dump(1, "x", mata={}),  # type: ignore[call-arg]
        lambda: SERIALIZER.Pickler(io.BytesIO(), fix=1),  # type: ignore[call-arg]
        lambda: Serializer(Policy(), level="strict"),
        lambda: Serializer(Policy(keys=RING), keys=RING),
        lambda: Serializer(None, PackOptions(keys=RING), keys=RING),
        lambda: Serializer(polcy=Policy()),  # type: ignore[call-arg]
        lambda: Serializer(default=0),
        lambda: Serializer(on_refuse=lambda data, error: None, default=0),
        lambda: Serializer(PackOptions()),  # type: ignore[call-overload]
        lambda: Serializer(None, Policy()),  # type: ignore[call-overload]
    ],
)
def test_misspelt_and_contradicting_arguments_are_type_errors(call: Any) -> None:
    with pytest.raises(TypeError):
        call()


def test_keys_sign_and_verify() -> None:
    signed = Serializer(keys=RING)
    assert signed.loads(signed.dumps(VALUE)) == VALUE
    assert signed.peek(signed.dumps(1)).type == "builtins:int"
    with pytest.raises(errors.ReadError, match=r"sign|seal"):
        signed.loads(SERIALIZER.dumps(VALUE))


def test_public_keys_are_for_policies() -> None:
    need("cryptography")
    key = Key.generate("release", "ed25519")
    public = KeyRing([key.public()])
    with pytest.raises(ValueError, match=r"none can sign; .*only reads: Policy\(keys="):
        Serializer(keys=public)
    reading = Serializer(Policy(keys=public))
    assert reading.loads(Serializer(keys=KeyRing([key])).dumps(VALUE)) == VALUE
    with pytest.raises(TypeError, match=r"keys: expected a KeyRing, found Key; write KeyRing\(\[key\]\)"):
        Serializer(keys=key)  # type: ignore[call-overload]


def test_levels_and_keys_are_those_of_a_policy() -> None:
    data = SERIALIZER.dumps(argparse.Namespace(id=7))
    with pytest.raises(errors.UntrustedGlobalError):
        SERIALIZER.loads(data)
    assert Serializer(level="unchecked").loads(data) == argparse.Namespace(id=7)
    signed = Serializer(keys=RING, level="signed", options=PackOptions(build={"app": "x"}))
    data = signed.dumps(argparse.Namespace(id=7))
    assert signed.loads(data) == argparse.Namespace(id=7)
    assert signed.peek(data).build["app"] == "x"
    with pytest.raises(errors.UntrustedGlobalError):  # keys alone allow no more
        Serializer(Policy(), keys=RING).loads(data)
    with pytest.raises(ValueError, match="signed needs keys"):
        Serializer(level="signed")


def test_a_refusal_is_raised_or_a_miss_or_the_result_of_a_function(tmp_path: Any) -> None:
    with pytest.raises(errors.NotAnArtifactError):
        SERIALIZER.loads(b"junk")
    assert Serializer(on_refuse="miss").loads(b"junk") is None
    assert Serializer(on_refuse="miss", default=3).load(io.BytesIO(b"junk")) == 3
    told: list[Any] = []
    asked = Serializer(
        on_refuse=lambda data, error: (data, error.code), quarantine=tmp_path / "refused", on_event=told.append
    )
    assert asked.loads(b"junk") == (b"junk", "not-an-artifact")
    assert len(list((tmp_path / "refused").glob("*.json"))) == 1
    assert [event.outcome for event in told] == ["rejected"]
    assert asked.loads(SERIALIZER.dumps(1)) == 1
    with pytest.raises(ValueError, match="on_refuse"):
        Serializer(on_refuse="ignore")


def test_a_call_may_expect_its_own_type(tmp_path: Any) -> None:
    for serializer in (SERIALIZER, Serializer(on_event=lambda event: None)):
        data = serializer.dumps(VALUE, type="job", meta={"a": "b"})
        assert serializer.loads(data, expect="job") == VALUE
        serializer.dump(1, tmp_path / "x")
        assert serializer.load(tmp_path / "x", expect=int) == 1
        for call in (
            lambda serializer=serializer, data=data: serializer.loads(data, expect=int),
            lambda serializer=serializer: serializer.load(tmp_path / "x", expect=str),
        ):
            with pytest.raises(errors.TypeMismatchError):
                call()


@pytest.mark.parametrize("serializer", [SERIALIZER, Serializer(on_event=lambda event: None)])
@pytest.mark.parametrize("data", ["text", 7, ["a"]])
def test_what_is_no_bytes_is_a_type_error(serializer: Serializer, data: Any) -> None:
    with pytest.raises(TypeError):
        serializer.loads(data)
    if data == 7:
        with pytest.raises(TypeError):
            serializer.load(data)


def test_it_can_be_pickled_and_replaced() -> None:
    given = Serializer(
        Policy(build={}), PackOptions(build={"app": "billing"}), trust=["argparse:Namespace"], check_writes=True
    )
    for made in (pickle.loads(pickle.dumps(given)), dataclasses.replace(given, on_refuse="miss")):
        assert made.trust == ("argparse:Namespace",)
        assert made.check_writes
        assert made.options.build == {"app": "billing"}
        assert made.loads(made.dumps(VALUE)) == VALUE
    keyed = dataclasses.replace(Serializer(keys=RING, level="signed"), on_refuse="miss")
    assert keyed.loads(SERIALIZER.dumps(1)) is None
    with pytest.raises(dataclasses.FrozenInstanceError):
        SERIALIZER.trust = ()  # type: ignore[misc]


def test_streams_and_files(tmp_path: Any) -> None:
    path = tmp_path / "x.pseal"
    SERIALIZER.append(path, 1)
    SERIALIZER.append(path, 2)
    assert list(SERIALIZER.iter_load(path)) == [1, 2]
    SERIALIZER.dump(VALUE, tmp_path / "y.pseal", meta={"a": "b"}, durable=False)
    assert SERIALIZER.load(tmp_path / "y.pseal") == VALUE
    assert dict(SERIALIZER.verify(tmp_path / "y.pseal").meta or {}) == {"a": "b"}
