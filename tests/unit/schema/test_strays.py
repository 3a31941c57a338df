"""Attributes that other code sets: under `drift="strict"`, a reader warns of those that no definition knows."""

import warnings
from pathlib import Path
from typing import Any

import pytest
from _helpers.evolving import MODULE, installed

import pickleseal
from pickleseal import Policy
from pickleseal.errors import SchemaWarning

PLAIN = """
import abc, argparse, collections, functools, logging, types, typing

class C:
    kind = "x"
    def __init__(self, n=1):
        self.n = n
    def fit(self):
        self.fitted_ = 1
        return self
    @functools.cached_property
    def double(self):
        return 2 * self.n
    @property
    def size(self):
        self._size = 1
        return self._size

class Below(C):
    def __init__(self):
        super().__init__()
        self.below = 1

class Failed(ValueError):
    def __init__(self, text="no"):
        super().__init__(text)
        self.text = text

class Bag(collections.UserDict):
    def __init__(self):
        super().__init__({"a": 1})
        self.q = 1

class Box(typing.Generic[typing.TypeVar("T")], abc.ABC):
    def __init__(self):
        self.q = 1

class Unique(set):
    def __init__(self, items=()):
        super().__init__(items)
        self.q = 1

class Space(types.SimpleNamespace):
    pass

class Options(argparse.Namespace):
    def used(self):
        self.is_used = True
"""
CLASSES = ("C", "Below", "Failed", "Bag", "Box", "Unique")
TAKE_ANYTHING = ("Space", "Options")


def notes(data: bytes, text: str = PLAIN, drift: Any = "strict") -> list[str]:
    with installed(MODULE, text) as module, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        names = [name for name, value in vars(module).items() if getattr(value, "__module__", "") == MODULE]
        pickleseal.unpack(data, trust=[getattr(module, name) for name in names], policy=Policy(drift=drift))
    assert all(warning.category is SchemaWarning for warning in caught)
    return [str(warning.message) for warning in caught]


def pack(name: str, *attributes: str, text: str = PLAIN, more: Any = None) -> bytes:
    with installed(MODULE, text) as module:
        obj = getattr(module, name)()
        for attribute in attributes:
            setattr(obj, attribute, 1)
        return pickleseal.pack([{"deep": (obj, obj)}, more])


@pytest.mark.parametrize("name", CLASSES)
def test_strict_drift_warns_of_names_that_no_definition_knows(name: str) -> None:
    data = pack(name, "owner", "age")
    (text,) = notes(data)
    assert text.startswith(f"{MODULE}:{name}: its objects have 'age', 'owner', which neither the class as it was")
    assert notes(data, drift={"*": "resolve", MODULE: "strict"}) == [text]
    for drift in ("resolve", "ignore", {"*": "strict", MODULE: "resolve"}):
        assert notes(data, drift=drift) == []


@pytest.mark.parametrize("name", [*CLASSES, *TAKE_ANYTHING])
def test_what_the_class_and_its_bases_say_is_known(name: str) -> None:
    known = {"C": ["kind", "n", "_size", "fitted_"], "Below": ["n", "fitted_"], "Failed": ["__notes__"]}
    assert notes(pack(name, *known.get(name, ()))) == []
    assert notes(pack(name, "owner") if name in TAKE_ANYTHING else pack(name)) == []


def test_values_that_are_computed_are_known() -> None:
    with installed(MODULE, PLAIN) as module:
        obj = module.C().fit()
        assert (obj.double, obj.size) == (2, 1)
        data = pickleseal.pack(obj)
    assert notes(data) == []


def test_a_name_that_one_of_the_definitions_knows_is_no_stray() -> None:
    """An optional name may come and go: where it is new, its objects are loaded in silence."""
    with_owner = PLAIN.replace("self.fitted_ = 1", "self.fitted_ = self.owner = 1")
    assert notes(pack("C", "owner"), with_owner) == []
    assert notes(pack("C", "owner", text=with_owner), with_owner) == []


def test_many_objects_and_those_of_validated_classes() -> None:
    register = "\nimport pickleseal\nregistry.register(C, 'x.C', validate=lambda obj: True)\n"
    with installed(MODULE, PLAIN + register, registry=pickleseal.Registry()) as module:
        options = pickleseal.PackOptions(registry=module.registry)
        objects = [module.C(n) for n in range(2000)]
        objects[-1].owner = 1
        for packed in (objects, objects[-1:]):
            data = pickleseal.pack(packed, options=options)
            policy = Policy(drift="strict", registry=module.registry)
            with pytest.warns(SchemaWarning, match="x.C: its objects have 'owner'"):
                pickleseal.unpack(data, policy=policy)


def test_records_of_a_stream_are_looked_at(tmp_path: Path) -> None:
    with installed(MODULE, PLAIN) as module:
        objects = [module.C(), module.C()]
        objects[1].owner = 1
        with pickleseal.StreamWriter(tmp_path / "stream") as writer:
            for obj in objects:
                writer.append(obj)
        records = pickleseal.iter_load(tmp_path / "stream", trust=[module.C], policy=Policy(drift="strict"))
        assert next(records).n == 1
        with pytest.warns(SchemaWarning, match="'owner'"):
            next(records)


def test_no_class_is_looked_at_whose_bases_set_what_they_are_told() -> None:
    """A base that is not read may set anything: the estimators of scikit-learn do when they are fitted."""
    sklearn = pytest.importorskip("sklearn.base")
    text = "import sklearn.base\nclass C(sklearn.base.BaseEstimator):\n def __init__(self, n=1): self.n = n\n"
    assert issubclass(sklearn.BaseEstimator, object)
    assert notes(pack("C", "n_features_in_", text=text), text) == []
