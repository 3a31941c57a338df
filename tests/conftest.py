"""Profiles for hypothesis, and rewriting of asserts in helper modules (so that they also hold under python -O)."""

import os

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("support", "independent_reader")

settings.register_profile("default", deadline=None, max_examples=100)
settings.register_profile("soak", deadline=None, max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
