"""Objects of the public classes go through pickle, and name only public modules: these survive moves of the code."""

import pickle
import pickletools
from typing import Any

import pytest
from frames import Frame

import pickleseal
from pickleseal import Key, KeyRing, PackOptions, Policy, Registry, errors

HEADER = pickleseal.peek(Frame().data)
ERROR = errors.PolicyError("too old", 5, 3)
VALUES: dict[str, Any] = {
    "ReadResult": pickleseal.ReadResult(HEADER, [1]),
    "Change": pickleseal.Change("m:C", "removed", "a", "int", None, "warn", None),
    "ClassSchema": pickleseal.ClassSchema((("a", "int"),), "m:C", "plain", "default", 0),
    "Event": pickleseal.Event("loaded", None, "builtins:dict", 0, 5, 0.1, None, None),
    "Frame": pickleseal.Frame(0, 448, 0, 0, 0, 1, HEADER),
    "Header": HEADER,
    "catalog.HeaderEntry": pickleseal.catalog.HeaderEntry("a.pseal", 0, 0, None, ERROR),
    "Limits": pickleseal.Limits(max_frame=1000),
    "SkippedRange": pickleseal.SkippedRange(0, 64, errors.TornTailError("torn"), 1, 1),
    "Policy": Policy(level="strict", max_age=5, trust=["m:C"], meta={"a": "b"}),
    "Quarantine": pickleseal.Quarantine("folder", max_count=3),
    "Reader": pickleseal.Reader(Policy(), expect="m:C", trust=["m:C"]),
    "Section": HEADER.sections[0],
    "Serializer": pickleseal.Serializer(trust=["m:C"], on_refuse="miss", default=0),
    "PackOptions": PackOptions(compress=None, build={"a": "b"}),
}
# These hold secrets, open files, or classes of this process.
REFUSED: dict[str, Any] = {
    "Key": Key.hmac("k", b"s" * 32),
    "KeyRing": KeyRing([Key.hmac("k", b"s" * 32)]),
    "Registry": Registry(),
}
REPRESENTED = (pickleseal.Quarantine, pickleseal.Reader, pickleseal.Serializer, pickleseal.PackOptions)
OPEN = {"IncrementalReader", "Mapped", "StreamReader", "StreamWriter"}
CLASSES = {name for name in pickleseal.__all__ if isinstance(getattr(pickleseal, name), type)} | {"catalog.HeaderEntry"}


def shown(value: Any) -> Any:
    """Return what two objects are compared by."""
    if isinstance(value, pickleseal.catalog.HeaderEntry | pickleseal.SkippedRange):
        return [str(part) if isinstance(part, Exception) else part for part in value]
    return repr(value) if isinstance(value, REPRESENTED) else value


def named(data: bytes) -> set[str]:
    """Return the modules of this package that a pickle names."""
    strings = [arg.split(" ")[0] for _, arg, _ in pickletools.genops(data) if isinstance(arg, str)]
    return {text for text in strings if text.partition(".")[0] == "pickleseal"}


def test_every_public_class_is_tried() -> None:
    assert {*VALUES, *REFUSED, *OPEN} == CLASSES


@pytest.mark.parametrize("name", VALUES)
def test_an_object_comes_back_and_names_public_modules(name: str) -> None:
    value = VALUES[name]
    assert type(value).__name__ == name.rpartition(".")[2]
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        data = pickle.dumps(value, protocol)
        assert type(pickle.loads(data)) is type(value)
        assert shown(pickle.loads(data)) == shown(value)
        module = "pickleseal.catalog" if name.startswith("catalog.") else "pickleseal"
        assert module in named(data)
        assert named(data) <= {module, "pickleseal", "pickleseal.errors"}


@pytest.mark.parametrize("name", sorted(errors.__all__))
def test_an_error_names_the_module_of_errors(name: str) -> None:
    is_tuple = name == "PackageDifference"
    value = getattr(errors, name)(*(("polars", "0.20.31", None, "polars") if is_tuple else ("reason",)))
    assert named(pickle.dumps(value)) == {"pickleseal.errors"}


@pytest.mark.parametrize("name", REFUSED)
def test_an_object_with_secrets_or_classes_is_not_pickled(name: str) -> None:
    with pytest.raises((TypeError, pickle.PicklingError)):
        pickle.dumps(REFUSED[name])
