"""Canonical JSON (spec section 5), encoded and decoded. The one module that imports orjson.

orjson writes RFC 8785's escapes and, with OPT_SORT_KEYS, orders keys by UTF-8 bytes. Decoding parses, serialises
again and compares bytes. `check_values` finds what orjson accepts and the spec does not: floats, integers beyond
2^53-1, too much depth. It is separate because a header that passes its schema can have such values only in `ext`.
"""

import _thread
from typing import Any

if not getattr(_thread, "_is_main_interpreter", lambda: True)():  # new in Python 3.12
    # orjson keeps pointers to objects of the interpreter that imports it first. When that one ends, the others crash.
    raise ImportError("pickleseal does not work in a subinterpreter, because orjson does not: use the main interpreter")

import orjson

from ..errors import HeaderEncodingError, ReadError
from .limits import ALIGNMENT, MAX_DEPTH, MAX_INTEGER


def encode(value: dict[str, Any]) -> bytes:
    """Encode an object as canonical JSON, padded with spaces to a multiple of 64 (spec 5).

    Raises:
        ValueError: a string holds a lone surrogate.
    """
    try:
        text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError as exc:
        raise ValueError(f"a string in the header has no UTF-8 form: {exc}") from None
    return text + b" " * (-len(text) % ALIGNMENT)


def decode(padded: bytes, error: type[ReadError] = HeaderEncodingError) -> dict[str, Any]:
    """Decode a canonical JSON object and its padding, or raise `error` (spec 5, points 1 to 3 and 6 to 8)."""
    text = padded.rstrip(b" ")
    padding = len(padded) - len(text)
    if padding >= ALIGNMENT:
        raise error("padding is not the least that reaches a multiple of 64", "0 to 63 spaces", padding)
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as exc:
        raise error(f"not JSON in UTF-8: {exc}") from None
    if type(value) is not dict:
        raise error("not a JSON object", "object", type(value).__name__)
    try:
        again = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # orjson reads deeper than it writes
        check_values(value, error)
        raise
    if again != text:
        check_values(value, error)  # 1e3 comes back as 1000.0: name the cause
        raise error(
            "JSON is not canonical (duplicate or unordered keys, white space, needless escapes, -0)",
            hint="headers are written by a program, not edited by hand",
        )
    return value


def check_values(value: Any, error: type[ReadError] = HeaderEncodingError, depth: int = 1) -> None:
    """Refuse floats, integers out of range, and nesting deeper than the limit (spec 5, points 4 and 5)."""
    if isinstance(value, dict | list):
        if depth > MAX_DEPTH:
            raise error("arrays and objects nest too deep", MAX_DEPTH, depth)
        for item in value.values() if isinstance(value, dict) else value:
            check_values(item, error, depth + 1)
    elif isinstance(value, float):
        raise error("a number with a fraction or an exponent", "integer", str(value))
    elif isinstance(value, int) and not -MAX_INTEGER <= value <= MAX_INTEGER:
        raise error("an integer out of range", f"at most {MAX_INTEGER} in size", value)
