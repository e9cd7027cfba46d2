"""Durations and moments as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shellbot.context import Context
from shellbot.errors import ConfigError, UsageError
from shellbot.polls.when import after_gap, duration, moment, readings, shown
from shellbot.polls.zone import read_zone

PARIS = ZoneInfo("Europe/Paris")
ZONES = [UTC, PARIS, *map(ZoneInfo, ("America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca"))]
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=PARIS)  # a Friday


def moment_or_help(typed, now, zone):
    """The moment; None when help was given, in one line."""
    text = ""
    try:
        return moment(typed, now, zone)
    except UsageError as error:
        text = str(error)
    assert text
    assert "\n" not in text
    return None


@pytest.mark.parametrize(
    ("typed", "seconds"),
    [
        ("in 10m", 600),
        ("90s", 90),
        ("90 min", 5400),
        ("1h30m", 5400),
        ("1h30", 5400),
        ("in 2 hours", 7200),
        ("1.5 h", 5400),
        ("2 weeks", 1209600),
        ("for 10 minutes", 600),
        ("in an hour", 3600),
        ("in half an hour", 1800),
        ("for two hours", 7200),
        ("3 hrs", 10800),
    ],
)
def test_durations(typed, seconds):
    assert duration(typed) == seconds


@pytest.mark.parametrize("typed", ["", "10", "soon", "in 5 bananas", "-5m", "1m30", "h30"])
def test_what_is_no_duration_is_refused_with_an_example(typed):
    with pytest.raises(UsageError, match=r"e\.g\."):
        duration(typed)


@pytest.mark.parametrize(
    ("typed", "at"),
    [
        ("in 2h", "2026-11-20T14:00:00+01:00"),
        ("in 90 min", "2026-11-20T13:30:00+01:00"),
        ("In 1h30", "2026-11-20T13:30:00+01:00"),
        ("tomorrow 9:00", "2026-11-21T09:00:00+01:00"),
        ("Tomorrow at 9am", "2026-11-21T09:00:00+01:00"),
        ("tomorrow at 9", "2026-11-21T09:00:00+01:00"),
        ("this friday 17:00", "2026-11-20T17:00:00+01:00"),
        ("tonight at 8pm", "2026-11-20T20:00:00+01:00"),
        ("for 2h", "2026-11-20T14:00:00+01:00"),
        ("today 17:00", "2026-11-20T17:00:00+01:00"),
        ("friday 17:00", "2026-11-20T17:00:00+01:00"),
        ("friday 11:59", "2026-11-27T11:59:00+01:00"),
        ("friday noon", "2026-11-27T12:00:00+01:00"),
        ("next friday 17:00", "2026-11-27T17:00:00+01:00"),
        ("thu 8:15", "2026-11-26T08:15:00+01:00"),
        ("at 14:30", "2026-11-20T14:30:00+01:00"),
        ("14:30:15", "2026-11-20T14:30:15+01:00"),
        ("2:30 pm", "2026-11-20T14:30:00+01:00"),
        ("2026-12-01T09:00", "2026-12-01T09:00:00+01:00"),
        ("2026-12-01 9:00", "2026-12-01T09:00:00+01:00"),
        ("2026-12-01T09:00Z", "2026-12-01T10:00:00+01:00"),
        ("2026-12-01 09:00 -0500", "2026-12-01T15:00:00+01:00"),
        ("2026-12-01T09:00+05:30", "2026-12-01T04:30:00+01:00"),
        ("2027-07-01 9:00", "2027-07-01T09:00:00+02:00"),
    ],
)
def test_moments_are_read_in_the_zone_of_the_writer(typed, at):
    assert moment(typed, NOW, PARIS).astimezone(PARIS).isoformat() == at


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("at 11:00", "is past: it is 12:00:00 CET (+01:00) now. Write `tomorrow 11:00`?"),
        ("at 12:00", "is past"),
        ("today 9:00", "is past"),
        ("2026-11-19 9:00", "is past"),
        ("0001-01-01 00:00+14:00", "is past"),
        ("9999-12-31 23:59-12:00", "too far away"),
        ("2027-12-01 9:00", "too far away"),
        ("in 400d", "too far away"),
        ("2026-02-30 9:00", "no such day"),
        ("2026-12-01 9:00+99:00", "no such offset"),
        ("at 24:00", "no such time of day"),
        ("at 13pm", "no such time of day"),
        ("tomorrow", "At what time? Write e.g. `tomorrow 9:00`"),
        ("tonight", "At what time? Write e.g. `today 20:00`"),
        ("tonight 8:30", "write the hour of the evening, e.g. `today 20:30`"),
        ("2026-12-01", "At what time? Write e.g. `2026-12-01 9:00`"),
        ("frday 17:00", "no time that I can read"),
        ("", "no time that I can read"),
        ("`rm` **x**\nat 9", "no time that I can read"),
    ],
)
def test_what_is_no_time_ahead_gets_one_helpful_line(typed, told):
    with pytest.raises(UsageError) as caught:
        moment(typed, NOW, PARIS)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_d04_a_time_that_comes_twice_is_asked_back_with_both_readings():
    before = datetime(2026, 10, 24, 12, tzinfo=PARIS)
    with pytest.raises(UsageError) as caught:
        moment("tomorrow 2:30", before, PARIS)
    first, second = "2026-10-25T02:30+02:00", "2026-10-25T02:30+01:00"
    assert f"`{first}` or `{second}`" in str(caught.value)
    assert moment(second, before, PARIS) - moment(first, before, PARIS) == timedelta(hours=1)


def test_of_a_time_that_comes_twice_only_the_second_is_left_between_the_two():
    between = datetime.fromisoformat("2026-10-25T02:45+02:00")
    assert moment("at 2:30", between, PARIS).isoformat() == "2026-10-25T01:30:00+00:00"


def test_d04_a_time_that_is_left_out_is_asked_back_with_the_next_that_there_is():
    before = datetime(2027, 3, 27, 12, tzinfo=PARIS)
    with pytest.raises(UsageError, match=r"there is no 02:30. The next that there is: `2027-03-28T03:00\+02:00`"):
        moment("tomorrow 2:30", before, PARIS)
    assert moment("2027-03-28T03:00+02:00", before, PARIS).isoformat() == "2027-03-28T01:00:00+00:00"


def test_what_was_understood_is_shown_with_its_offset_and_with_the_date_where_it_is_not_today():
    assert shown(NOW + timedelta(hours=2), NOW, PARIS) == "14:00 CET (+01:00)"
    assert shown(NOW + timedelta(days=1), NOW, PARIS) == "Sat 21 Nov 12:00 CET (+01:00)"
    assert shown(NOW + timedelta(days=60), NOW, PARIS) == "Tue 19 Jan 2027 12:00 CET (+01:00)"
    assert shown(NOW + timedelta(minutes=2, seconds=59), NOW, PARIS) == "12:02 CET (+01:00)", "cut down, not rounded"
    assert shown(NOW + timedelta(seconds=119), NOW, PARIS) == "12:01:59 CET (+01:00)"
    assert shown(NOW, NOW, UTC) == "11:00:00 UTC"
    assert shown(NOW + timedelta(hours=2), NOW, ZoneInfo("Asia/Kathmandu")) == "18:45 +05:45"


moments = st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1)).map(lambda wall: wall.replace(tzinfo=UTC))


@given(st.text(max_size=60), moments, st.sampled_from(ZONES))
def test_any_text_is_a_moment_ahead_or_one_line_of_help(typed, now, zone):
    at = moment_or_help(typed, now, zone)
    if at is None:
        return
    assert now < at <= now + timedelta(days=366)


@given(
    st.sampled_from(["today", "tomorrow", "monday", "Fri", "next sunday", "at", "2027-03-28", "2026-10-25", "in"]),
    st.integers(0, 26),
    st.integers(0, 70),
    st.sampled_from(["", "Z", "+02:00", " -03:30", "am", "pm"]),
    moments,
    st.sampled_from(ZONES),
)
def test_what_looks_like_a_time_is_one_ahead_or_one_line_of_help(day, hour, minute, end, now, zone):
    at = moment_or_help(f"{day} {hour}:{minute:02}{end}", now, zone)
    if at is None:
        return
    assert now < at <= now + timedelta(days=366)
    assert at.tzinfo is UTC


@given(moments, st.sampled_from(ZONES), st.integers(2, 360 * 24 * 60))
def test_d04_a_moment_written_as_it_is_shown_on_the_wall_is_found_again_or_asked_back(now, zone, minutes):
    wanted = (now.replace(second=0, microsecond=0) + timedelta(minutes=minutes)).astimezone(zone)
    wall, same = wanted.replace(tzinfo=None, fold=0), wanted.astimezone(UTC)  # no time that comes twice equals another
    assert moment(wanted.isoformat(), now, zone) == same
    if len(readings(wall, zone)) == 1:
        assert moment(f"{wall:%Y-%m-%d %H:%M}", now, zone) == same
    else:
        with pytest.raises(UsageError, match="comes twice"):
            moment(f"{wall:%Y-%m-%d %H:%M}", now - timedelta(days=1), zone)


@given(st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1)), st.sampled_from(ZONES))
def test_a_time_on_the_wall_has_one_moment_two_or_a_next_one(wall, zone):
    wall = wall.replace(microsecond=0)
    found = readings(wall, zone)
    assert all(at.astimezone(zone).replace(tzinfo=None) == wall for at in found)
    if not found:
        valid = after_gap(wall, zone)
        assert valid.astimezone(zone).replace(tzinfo=None) > wall
        second = timedelta(seconds=1)
        assert (valid - second).astimezone(zone).utcoffset() != valid.astimezone(zone).utcoffset()


def test_the_zone_is_that_of_the_setting_or_of_the_machine(monkeypatch):
    assert read_zone(Context({"polls": {"timezone": "Europe/Paris"}})) == PARIS
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    assert read_zone(Context()) == ZoneInfo("Asia/Kathmandu")
    monkeypatch.delenv("TZ")
    assert NOW.astimezone(read_zone(Context())) == NOW


@pytest.mark.parametrize("name", ["Europe/Pariss", "../../etc/passwd", "", "\0"])
def test_a_zone_that_is_none_is_told_with_the_key(name):
    with pytest.raises(ConfigError, match=r"polls\.timezone"):
        read_zone(Context({"polls": {"timezone": name}}))
