"""Profiles for hypothesis, and rewriting of asserts in helper modules (so that they also hold under python -O)."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# In memory, where there is such a place: a sync costs nothing there.
if os.access("/dev/shm", os.W_OK | os.X_OK):
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", "/dev/shm")

pytest.register_assert_rewrite("_helpers", "independent_reader")

settings.register_profile("default", deadline=None, max_examples=100)
settings.register_profile("soak", deadline=None, max_examples=5000)
settings.register_profile(
    "mutation",
    deadline=None,
    max_examples=30,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow],  # the suite runs several times
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(scope="module", params=["exact", "stand-ins"])
def engine(request: pytest.FixtureRequest) -> Iterator[None]:
    """Take both ways to load objects of changed classes in turn."""
    from pickleseal._payload import standin

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(standin, "SMALLEST", 0 if request.param == "stand-ins" else 2**60)
        yield
