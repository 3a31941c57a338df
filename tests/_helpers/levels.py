"""Pack an object and read it back at one of the levels, each with a policy of its own."""

import os
import warnings
from typing import Any

import pytest

import pickleseal
from pickleseal import Key, KeyRing, PackOptions, Policy
from pickleseal._trust.allow_list import is_listed

RING = KeyRing([Key.hmac("test", b"k" * 32)])
POLICIES = {
    "guarded": Policy(),
    "strict": Policy(level="strict"),
    "signed": Policy(level="signed", keys=RING),
    "guarded-with-keys": Policy(keys=RING),
    "unchecked": Policy(level="unchecked"),
}
if os.name == "posix":
    POLICIES["isolated"] = Policy(isolated=True)
    POLICIES["strict-isolated"] = Policy(level="strict", isolated=True)
levels = pytest.mark.parametrize("level", POLICIES)


def round_trip(obj: Any, level: str) -> Any:
    """Pack, sign, and read at a level, with what the header names and the built-in list lacks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pickleseal.errors.PackWarning)  # paths are of one kind of platform
        data = pickleseal.pack(obj, options=PackOptions(keys=RING))
    trust = [name for name in pickleseal.peek(data).globals if not is_listed(name)]
    return pickleseal.unpack(data, trust=trust, policy=POLICIES[level])
