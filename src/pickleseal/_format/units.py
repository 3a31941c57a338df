"""Durations and sizes with a unit (`"90d"`, `"10MB"`): the one parser for arguments and for policies in TOML."""

import re
from collections.abc import Mapping

DURATION = 'a duration such as "30d", "12h", "15m", "90s", or {} of seconds'
SIZE = 'a size such as "10MB" or "64KiB", or an integer of bytes'
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_BYTES = {"B": 1}
_BYTES |= {f"{letter}B": 1000**power for power, letter in enumerate("KMGT", 1)} | {"kB": 1000}
_BYTES |= {f"{letter}iB": 1024**power for power, letter in enumerate("KMGT", 1)}


def seconds_of(text: str, number: str = "an integer") -> int:
    """Return the seconds of a duration with a unit: `30d`, `12h`, `15m`, `90s`.

    Raises:
        ValueError: it is none. The message says that `number` is accepted, too.

    >>> seconds_of("12h")
    43200
    """
    return _parse(text, _SECONDS, DURATION.format(number))


def bytes_of(text: str) -> int:
    """Return the bytes of a size with a unit: `10MB` (of 1000), `64KiB` (of 1024).

    Raises:
        ValueError: it is none.

    >>> bytes_of("64KiB")
    65536
    """
    return _parse(text, _BYTES, SIZE)


def _parse(text: str, units: Mapping[str, int], expected: str) -> int:
    match = re.fullmatch(r"([0-9]{1,16}) ?([A-Za-z]+)", text, re.ASCII)
    if match is not None and match[2] in units:
        return int(match[1]) * units[match[2]]
    meant = [] if match is None else [match[1] + unit for unit in units if unit.lower() == match[2].lower()]
    hint = f"; did you mean {meant[0]!r}?" if meant else ""
    found = repr(text) if len(text) <= 120 else f"{text[:120]!r}... ({len(text)} characters)"
    raise ValueError(f"expected {expected}, found {found}{hint}")
