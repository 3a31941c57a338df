"""The text of a value that is written on a class: the value of an enum's member, or a default (spec 6.2).

It calls no code of a value but the `repr` of a few types of the standard library.
"""

from typing import Any

from .._format.checksum import checksum_hex
from .names import global_name

_LONGEST = 1000  # characters of a text that is kept as it is
_DEEPEST = 8
_ITEMS = 100  # of a tuple or frozenset
# Types of the standard library whose repr says all of the value, on every Python version.
_WITH_FULL_REPR = frozenset(
    {
        *("datetime:date", "datetime:time", "datetime:timedelta", "datetime:timezone", "decimal:Decimal"),
        *("fractions:Fraction", "uuid:UUID", "builtins:complex", "builtins:range", "datetime:datetime"),
    }
)


def value_text(value: Any, depth: int = 0) -> str:
    """Return the text of a value, or "" if no text says all of it. The empty text takes no part in comparisons."""
    cls = type(value)
    if value is None or cls in (bool, int, float, str, bytes):
        try:
            return _short(ascii(value))  # repr differs with the Unicode tables of a Python
        except ValueError:  # an integer of thousands of digits
            return ""
    if cls in (tuple, frozenset):
        return _items(value, depth)
    if global_name(cls) in _WITH_FULL_REPR:
        zone = getattr(value, "tzinfo", None)
        if zone is None or global_name(type(zone)) == "datetime:timezone":
            return _short(repr(value))
    return ""


def _short(text: str) -> str:
    """Return a text, or its length and checksum if it is long."""
    if len(text) <= _LONGEST:
        return text
    return f"{len(text)} characters, {checksum_hex(text.encode('utf-8'))}"


def _items(value: Any, depth: int) -> str:
    if len(value) > _ITEMS or depth >= _DEEPEST:
        return ""
    texts: list[str] = []
    for item in value:
        texts.append(value_text(item, depth + 1))
        if not texts[-1] or sum(map(len, texts)) > _LONGEST:
            return ""
    if type(value) is frozenset:
        return f"frozenset({{{', '.join(sorted(texts))}}})" if texts else "frozenset()"
    return f"({', '.join(texts)}{',' if len(texts) == 1 else ''})"
