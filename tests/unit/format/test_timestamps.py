"""Time stamps and durations as text."""

import time
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickleseal._format.timestamps import (
    FORM,
    check_timestamp,
    duration_text,
    instant_exists,
    is_timestamp,
    parse_timestamp,
    timestamp,
    timestamp_of,
    timestamp_of_file,
)

FIRST, LAST = "0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z"
FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799


@given(st.datetimes(timezones=st.just(timezone.utc)))
def test_an_instant_comes_back(moment: datetime) -> None:
    text = timestamp_of(moment)
    assert is_timestamp(text)
    assert parse_timestamp(text) == moment
    assert parse_timestamp(text).tzinfo is timezone.utc
    nanoseconds = (moment - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1) * 1000
    assert timestamp(nanoseconds) == timestamp(nanoseconds + 999) == timestamp_of_file(nanoseconds) == text


def test_another_time_zone_becomes_utc() -> None:
    zone = timezone(timedelta(hours=5, minutes=30))
    assert timestamp_of(datetime(2026, 1, 2, 3, 4, 5, tzinfo=zone)) == "2026-01-01T21:34:05.000000Z"
    with pytest.raises(OverflowError):
        timestamp_of(datetime(1, 1, 1, tzinfo=zone))


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="no tzset here")
def test_the_time_zone_of_the_machine_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        with monkeypatch.context() as patch:
            patch.setenv("TZ", "XYZ-9")
            time.tzset()
            assert timestamp_of(datetime(2026, 1, 2, tzinfo=timezone.utc)) == "2026-01-02T00:00:00.000000Z"
            assert timestamp(0) == "1970-01-01T00:00:00.000000Z"
    finally:
        time.tzset()


def test_the_years_1_to_9999_have_time_stamps() -> None:
    assert timestamp(FIRST_SECOND * 10**9) == FIRST
    assert timestamp(LAST_SECOND * 10**9 + 999_999_999) == LAST == timestamp_of_file(2**70)
    for seconds in (FIRST_SECOND - 1, LAST_SECOND + 1):
        with pytest.raises(ValueError, match=f"{seconds} seconds since 1970"):
            timestamp(seconds * 10**9)


@pytest.mark.parametrize(
    "text",
    [
        *("", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.12345Z", "2026-01-02T03:04:05.1234567Z"),
        *("2026-01-02 03:04:05.123456Z", "2026-01-02T03:04:05.123456", "2026-01-02T03:04:05.123456+00:00"),
        *("2026-01-02T03:04:05.123456z", " 2026-01-02T03:04:05.123456Z", "2026-01-02T03:04:05.123456Z\n"),
        *("\u0662026-01-02T03:04:05.123456Z", "26-01-02T03:04:05.123456Z"),
    ],
)
def test_there_is_one_form(text: str) -> None:
    assert not is_timestamp(text)
    assert check_timestamp(text) == FORM


@pytest.mark.parametrize(
    "text",
    [
        *("2026-02-29T00:00:00.000000Z", "2026-13-01T00:00:00.000000Z", "2026-00-01T00:00:00.000000Z"),
        *("2026-01-01T24:00:00.000000Z", "2026-01-01T00:60:00.000000Z", "2026-01-01T00:00:60.000000Z"),
        "0000-01-01T00:00:00.000000Z",
    ],
)
def test_the_instant_must_exist(text: str) -> None:
    assert not is_timestamp(text)
    assert not instant_exists(text[:19])
    assert check_timestamp(text) == "an instant that exists"


def test_only_a_string_is_a_time_stamp() -> None:
    assert check_timestamp(FIRST) is check_timestamp(LAST) is None
    for value in (None, 5, [], LAST.encode()):
        assert check_timestamp(value) == FORM


@pytest.mark.parametrize(
    ("span", "text"),
    [
        ({"seconds": 0}, "0 seconds"),
        ({"seconds": 1}, "1 second"),
        ({"seconds": 1.5}, "1.5 seconds"),
        ({"seconds": 59}, "59 seconds"),
        ({"seconds": 60}, "1 minute"),
        ({"seconds": 90}, "90 seconds"),
        ({"seconds": 119}, "119 seconds"),
        ({"seconds": 120}, "2 minutes"),
        ({"seconds": 179}, "2 minutes"),
        ({"minutes": 60}, "1 hour"),
        ({"minutes": 61}, "61 minutes"),
        ({"minutes": 120}, "2 hours"),
        ({"hours": 24}, "1 day"),
        ({"hours": 25}, "25 hours"),
        ({"hours": 48}, "2 days"),
        ({"days": 332, "hours": 17}, "332 days"),
        ({"days": -2}, "2 days"),
    ],
)
def test_a_duration_is_in_its_largest_unit(span: dict[str, float], text: str) -> None:
    assert duration_text(timedelta(**span)) == text
