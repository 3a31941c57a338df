"""Fixtures of the tests of streams."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "events.pseal")


@pytest.fixture(autouse=True, scope="module")
def old_objects_are_left_alone() -> Iterator[None]:
    """Collecting garbage after each test takes long where thousands of tests ran before."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def no_descriptor_leaks() -> Iterator[None]:
    """Whatever a test does, no descriptor of a stream stays open."""
    if not os.path.isdir("/proc/self/fd"):
        yield
        return
    before = _open_streams()
    yield
    gc.collect()
    assert _open_streams() <= before


def _open_streams() -> set[str]:
    names = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if ".pseal" in target:
            names.add(target)
    return names
