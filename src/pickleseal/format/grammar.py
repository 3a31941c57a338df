"""The words of spec section 6: name, global, key, labels, integer; and the small typed checks that the fields are
made of.

Each check returns None where the value is right, else what it should have been. Results for strings are cached,
because the same few names stand in every header.
"""

import re
from datetime import datetime
from functools import lru_cache

from .limits import MAX_NAME

__all__ = ["check_created", "check_labels", "is_global", "is_key", "is_name"]

_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,255}", re.ASCII)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_CREATED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
_CACHED = 2048


def is_key(value: str) -> bool:
    """Tell whether a member name is a key."""
    return len(value) <= 256 and _is_key(value)


def is_name(value: str) -> bool:
    """Tell whether a string is a name: 1 to 1,023 bytes of UTF-8, no control characters, no lone surrogates."""
    return 0 < len(value) <= MAX_NAME and _is_name(value)


def is_global(value: str) -> bool:
    """Tell whether a string is a global, `module:qualname`."""
    module, colon, qualname = value.partition(":")
    return bool(module and colon and qualname) and ":" not in qualname and is_name(value)


# Only short strings reach the caches, so that a stranger's long ones are not kept.


@lru_cache(_CACHED)
def _is_key(value: str) -> bool:
    return _KEY.fullmatch(value) is not None


@lru_cache(_CACHED)
def _is_name(value: str) -> bool:
    if _CONTROL.search(value):
        return False
    try:
        return len(value.encode()) <= MAX_NAME
    except UnicodeEncodeError:
        return False


def check_labels(value: object) -> str | None:
    """Check an object of strings."""
    if type(value) is not dict:
        return "an object of strings"
    for key, item in value.items():
        if type(item) is not str or type(key) is not str or not is_key(key):
            return f"an object of strings under keys (letters, digits, _ . : -), not {key!r}: {item!r}"
    return None


def check_created(value: object) -> str | None:
    """Check a time stamp: exactly `YYYY-MM-DDTHH:MM:SS.ffffffZ`, an instant that exists."""
    if type(value) is not str or not _CREATED.fullmatch(value):
        return "YYYY-MM-DDTHH:MM:SS.ffffffZ"
    return None if _is_second(value[:19]) else "an instant that exists"


@lru_cache(_CACHED)
def _is_second(value: str) -> bool:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True
