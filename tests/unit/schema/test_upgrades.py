"""Upgrades of artifacts whose classes changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from _helpers.evolving import MODULE, REGISTER, STEP, installed, pack_old, task

import pickleseal
from pickleseal import PackOptions, Policy, Registry

pytestmark = pytest.mark.usefixtures("engine")


def test_an_upgrade_with_two_registries_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one registry"):
        pickleseal.maintenance.upgrade(tmp_path / "x", policy=Policy(registry=Registry()), options=PackOptions())
    with pytest.raises(TypeError, match="expected a Policy"):
        pickleseal.maintenance.upgrade(tmp_path / "x", policy="strict")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="expected a PackOptions"):
        pickleseal.maintenance.upgrade(tmp_path / "x", options="x")  # type: ignore[arg-type]


def test_an_upgrade_takes_trust_from_a_generator(tmp_path: Path) -> None:
    path = tmp_path / "x.pseal"
    path.write_bytes(pack_old(task("a: int"), lambda m: m.Task(1)))
    with installed(MODULE, task("a: int; b: int = 2")) as module:
        assert pickleseal.maintenance.upgrade(path, trust=(cls for cls in [module.Task]), durable=False) is True
        assert pickleseal.load(path, trust=[module.Task]).b == 2


def test_an_upgrade_does_not_ignore_drift(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ignore"):
        pickleseal.maintenance.upgrade(tmp_path / "x", policy=Policy(drift="ignore"))


def test_an_upgrade_with_labels_is_done_once(tmp_path: Path) -> None:
    path = tmp_path / "x.pseal"
    path.write_bytes(pack_old(task("t: int"), lambda m: m.Task(1)))
    registry = Registry()
    text = task("t: int", "", REGISTER.format(1) + STEP.format(0, "state['t'] *= 1000"))
    with installed(MODULE, text, registry=registry):
        policy, writer = Policy(registry=registry), PackOptions(build={"app": "x"}, registry=registry)
        assert pickleseal.maintenance.upgrade(path, policy=policy, options=writer, durable=False) is True
        assert pickleseal.maintenance.upgrade(path, policy=policy, options=writer) is False
        assert pickleseal.load(path, policy=policy).t == 1000
