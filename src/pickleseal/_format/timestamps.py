"""Time stamps and durations as text: `created` in a header (spec section 6), and ages in messages.

Pure: the clock is the caller's. Everything in the package that writes or reads a time as text does it here.
"""

import re
from datetime import datetime, timedelta, timezone
from functools import lru_cache

FORM = "YYYY-MM-DDTHH:MM:SS.ffffffZ"
_FORM = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
_EPOCH = datetime(1970, 1, 1)


def timestamp(nanoseconds: int) -> str:
    """Return nanoseconds since 1970 as a time stamp, in UTC and to the microsecond.

    Raises:
        ValueError: the year is not one of 1 to 9999.
    """
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{text_of_second(seconds)}.{rest // 1000:06d}Z"


@lru_cache(16)  # most of a time stamp stays the same for a second
def text_of_second(seconds: int) -> str:
    try:
        return (_EPOCH + timedelta(seconds=seconds)).isoformat()
    except OverflowError:
        raise ValueError(f"{seconds} seconds since 1970 are out of the years 1 to 9999") from None


def timestamp_of_file(nanoseconds: int) -> str:
    """Return the time of a file as a time stamp. One that is beyond the last year is the last instant of it."""
    try:
        return timestamp(nanoseconds)
    except ValueError:
        return "9999-12-31T23:59:59.999999Z"


def timestamp_of(moment: datetime) -> str:
    """Return a datetime that has a time zone as a time stamp. Raises OverflowError where it has no UTC form."""
    return moment.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def parse_timestamp(text: str) -> datetime:
    """Return a valid time stamp as a datetime in UTC."""
    return datetime.fromisoformat(text[:-1]).replace(tzinfo=timezone.utc)


def is_timestamp(text: str) -> bool:
    """Return whether a string is a time stamp: exactly of the one form, and an instant that exists."""
    return _FORM.fullmatch(text) is not None and instant_exists(text[:19])


def check_timestamp(value: object) -> str | None:
    """Return None for a time stamp, and for any other value what was expected."""
    if type(value) is not str or _FORM.fullmatch(value) is None:
        return FORM
    return None if instant_exists(value[:19]) else "an instant that exists"


@lru_cache(2048)  # of strings of 19 characters: many artifacts are of one second
def instant_exists(value: str) -> bool:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def duration_text(span: timedelta) -> str:
    """Return a duration in words, in its largest unit: `90 seconds`, `12 hours`, `332 days`."""
    seconds = abs(span.total_seconds())
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= 2 * size or seconds == size:
            number = int(seconds // size)
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return f"{seconds:g} second{'' if seconds == 1 else 's'}"
