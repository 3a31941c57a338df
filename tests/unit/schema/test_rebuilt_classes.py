"""Recorded classes that are not among the globals of the header: a function of the payload finds them (spec 6.3)."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from _helpers.evolving import installed

import pickleseal
from pickleseal import Policy, Registry
from pickleseal.errors import SchemaDriftError, SchemaVersionError

NOW = "class Point:\n    x: int\n"
ENTRY = {
    "fields": [["x", "int"]],
    "global": "geo:Point",
    "kind": "plain",
    "shape": "dict",
    "state": "default",
    "version": 0,
}


def artifact(name: str = "geo:Point", **entry: Any) -> bytes:
    from frames import Frame

    return Frame(types={name: {**ENTRY, "fields": [["x", "int"]], **entry}}).data


CHANGED = artifact(fields=[["y", "int"]])


def test_an_entry_is_compared_if_its_class_is_imported() -> None:
    with installed("geo", NOW):
        assert pickleseal.unpack(artifact())["id"] == 7
        with pytest.raises(SchemaDriftError, match="'y' was removed or renamed"):
            pickleseal.unpack(CHANGED)
        assert pickleseal.unpack(CHANGED, policy=Policy(drift="ignore"))["id"] == 7
        assert pickleseal.unpack(CHANGED, policy=Policy(drift={"geo": "ignore"}))["id"] == 7


def test_nothing_is_imported_for_it(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "geo.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert pickleseal.unpack(CHANGED)["id"] == 7
    assert "geo" not in sys.modules
    with installed("geo", "Point = 3\n"):  # no class
        assert pickleseal.unpack(CHANGED)["id"] == 7


def test_a_later_import_or_change_of_the_class_is_seen() -> None:
    data = artifact()
    for _ in range(2):
        assert pickleseal.unpack(data)["id"] == 7
        with installed("geo", NOW):
            assert pickleseal.unpack(data)["id"] == 7
        with installed("geo", "class Point:\n    z: int\n"), pytest.raises(SchemaDriftError):
            pickleseal.unpack(data)


def test_it_is_found_by_its_registered_name_and_by_renames() -> None:
    with installed("place", NOW) as module:
        with pytest.raises(SchemaDriftError):
            pickleseal.unpack(CHANGED, policy=Policy(renames={"geo": "place"}))
        assert pickleseal.unpack(CHANGED, policy=Policy(renames={"geo": "elsewhere"}))["id"] == 7
        registry = Registry()
        registry.register(module.Point, "geo.Point", formerly=["geo:Point"], version=1)
        for data in (artifact(), artifact("geo.Point"), artifact("geo.Point", version=2)):
            with pytest.raises(SchemaVersionError):
                pickleseal.unpack(data, policy=Policy(registry=registry))
