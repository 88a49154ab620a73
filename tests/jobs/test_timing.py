"""Cron lines, intervals and single times: when they start, also where the clock on the wall jumps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import ValidationError

from jobs.choices import Recurrence
from jobs.timing import Schedule, check_line, cron_starts, in_words, line_words, zone_of


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def schedule(recurrence: str = Recurrence.CRON, **fields: object) -> Schedule:
    values = {
        "recurrence": recurrence,
        "cron": "",
        "time_zone": "UTC",
        "interval_s": None,
        "jitter_s": 0,
        "run_at": None,
        "anchor": at("2026-01-01T00:17"),
        "seed": "nightly",
        **fields,
    }
    return Schedule(**values)  # type: ignore[arg-type]


def first(line: str, zone: str, after: str, count: int) -> list[str]:
    starts = islice(cron_starts(line, ZoneInfo(zone), at(after)), count)
    return [start.strftime("%m-%d %H:%M") for start in starts]


# --- the clock jumps ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("line", "zone", "after", "expected"),
    [
        # 02:00 to 03:00 is left out: once, at 03:00 summer time.
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", ["03-29 01:00", "03-30 00:30"]),
        ("30 2 * * *", "America/New_York", "2026-03-07T12:00", ["03-08 07:00", "03-09 06:30"]),
        # 02:00 to 02:30 is left out.
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00", ["10-03 15:30", "10-04 15:15"]),
        # Several starts in the hour that is left out are one.
        ("0,20,40 2 * * *", "Europe/Berlin", "2026-03-28T12:00", ["03-29 01:00", "03-30 00:00", "03-30 00:20"]),
        ("*/20 2 * * *", "Europe/Berlin", "2026-03-28T12:00", ["03-29 01:00", "03-30 00:00", "03-30 00:20"]),
        ("30 */2 * * *", "Europe/Berlin", "2026-03-28T23:00", ["03-28 23:30", "03-29 01:00", "03-29 02:30"]),
        ("0 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00", ["03-29 01:00", "03-30 00:00", "03-30 01:00"]),
    ],
)
def test_a_start_in_the_hour_that_is_left_out_happens_once(
    line: str, zone: str, after: str, expected: list[str]
) -> None:
    assert first(line, zone, after, len(expected)) == expected


@pytest.mark.parametrize(
    ("line", "zone", "after", "expected"),
    [
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", ["10-25 00:30", "10-26 01:30"]),
        ("30 1 * * *", "America/New_York", "2026-10-31T12:00", ["11-01 05:30", "11-02 06:30"]),
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00", ["04-04 14:45", "04-05 15:15"]),
        ("*/30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", ["10-25 00:00", "10-25 00:30", "10-26 01:00"]),
        ("30 */2 * * *", "Europe/Berlin", "2026-10-24T23:00", ["10-25 00:30", "10-25 03:30"]),
    ],
)
def test_a_start_in_the_hour_that_comes_twice_happens_once(
    line: str, zone: str, after: str, expected: list[str]
) -> None:
    assert first(line, zone, after, len(expected)) == expected


@pytest.mark.parametrize(
    ("line", "zone", "asked"),
    [
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:31"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T01:10"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T01:50"),
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T15:05"),
    ],
)
def test_asked_within_the_hour_that_comes_twice_it_answers_with_a_later_day(line: str, zone: str, asked: str) -> None:
    (start,) = islice(cron_starts(line, ZoneInfo(zone), at(asked)), 1)
    assert start - at(asked) > timedelta(hours=20)


def test_a_line_for_every_hour_leaves_no_hour_out_and_does_none_twice() -> None:
    for day in ("2026-03-28T20:00", "2026-10-24T20:00"):
        starts = list(islice(cron_starts("30 * * * *", ZoneInfo("Europe/Berlin"), at(day)), 10))
        assert {later - earlier for earlier, later in pairwise(starts)} == {timedelta(hours=1)}


def test_a_step_of_minutes_within_one_hour_survives_a_jump_by_half_an_hour() -> None:
    expected = ["10-03 18:00", "10-03 18:15", "10-03 18:30", "10-03 18:45"]
    assert first("*/15 5 * * *", "Australia/Lord_Howe", "2026-10-03T12:00", 4) == expected


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC", "Asia/Kathmandu"])
@pytest.mark.parametrize("line", ["15 2 * * *", "*/20 1-3 * * *", "0 */3 * * 1-5", "7 * * * *", "30 2 1 * 0"])
def test_whenever_one_asks_the_next_start_is_the_same(zone: str, line: str) -> None:
    for begin in ("2026-03-07T00:00", "2026-03-28T00:00", "2026-04-04T00:00", "2026-10-03T00:00", "2026-10-24T00:00"):
        asked, end = at(begin), at(begin) + timedelta(days=3)
        known = [start for start in islice(cron_starts(line, ZoneInfo(zone), asked), 250) if start <= end]
        while asked < end:
            expected = next((start for start in known if start > asked), None)
            if expected is not None:
                assert next(cron_starts(line, ZoneInfo(zone), asked)) == expected, (asked, line, zone)
            asked += timedelta(minutes=17)


# --- what is refused ------------------------------------------------------------------------------
@pytest.mark.parametrize("line", ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 31 2 *"])
def test_a_line_that_never_fires_is_refused_in_a_sentence(line: str) -> None:
    with pytest.raises(ValidationError, match="never fires: there is no such day"):
        check_line(line)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "has five fields"),
        ("@daily", "has five fields"),
        ("* * * * * *", "This one has 6"),
        ("61 * * * *", "The minute 61 is none: write 0 to 59"),
        ("0 25 * * *", "The hour 25"),
        ("0 0 0 * *", "The day 0"),
        ("0 0 * 13 *", "The month 13"),
        ("0 0 * * MO", "The weekday MO"),
        ("0 0 */0 * *", "The day [*]/0"),
        ("x y z * *", "The minute x"),
    ],
)
def test_what_is_no_cron_line_is_refused_by_its_field(line: str, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        check_line(line)


@pytest.mark.parametrize(
    "line", ["0 0 29 2 *", "0 0 L * *", "0 3 * * MON#1", "15 2 * * 7", "0 0 * 2 mon#5", "0 0 30 2 1"]
)
def test_a_line_that_fires_seldom_is_taken(line: str) -> None:
    check_line(line)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Europe/Berln", "did you mean Europe/Berlin"),
        ("berlin", "did you mean Europe/Berlin"),
        ("CET+1", "There is no time zone"),
        ("../etc/passwd", "There is no time zone"),
        ("Europe", "There is no time zone"),
    ],
)
def test_an_unknown_zone_is_refused(name: str, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        zone_of(name)


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"cron": "0 0 30 2 *"}, "cron", "never fires"),
        ({"cron": "0 0 * * *", "time_zone": "Mars"}, "time_zone", "no time zone"),
        ({"cron": "*/10 * * * *", "jitter_s": 601}, "jitter_s", "10 min"),
        ({"recurrence": "interval"}, "interval_s", "how long"),
        ({"recurrence": "interval", "interval_s": 59}, "interval_s", "60 seconds at least"),
        ({"recurrence": "interval", "interval_s": 3600, "jitter_s": 3601}, "jitter_s", "here 1 h"),
        ({"recurrence": "once"}, "run_at", "when"),
        ({"recurrence": "interval", "interval_s": 10**18}, "interval_s", "3650 days at most"),
        ({"recurrence": "once", "run_at": datetime(9999, 12, 31, 23, 59, tzinfo=UTC)}, "run_at", "year 9999"),
        ({"recurrence": "once", "run_at": datetime(1, 1, 1, tzinfo=UTC)}, "run_at", "year 1 "),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_at_its_field(fields: dict[str, object], field: str, says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        schedule(**fields).check()
    assert says in caught.value.message_dict[field][0]


# --- intervals and single times ---------------------------------------------------------------------
def test_an_interval_is_counted_from_its_beginning_and_does_not_drift() -> None:
    every = schedule(Recurrence.INTERVAL, interval_s=6 * 3600)
    assert [start.strftime("%d %H:%M") for start in islice(every.starts(at("2026-01-01T05:00")), 3)] == [
        "01 06:17",
        "01 12:17",
        "01 18:17",
    ]
    assert every.next(at("2026-01-01T06:17")) == at("2026-01-01T12:17")


def test_an_interval_is_elapsed_time_also_where_the_clock_jumps() -> None:
    every = schedule(Recurrence.INTERVAL, interval_s=7200, time_zone="Europe/Berlin", anchor=at("2026-03-28T23:00"))
    starts = list(islice(every.starts(at("2026-03-28T23:00")), 5))
    assert {later - earlier for earlier, later in pairwise(starts)} == {timedelta(hours=2)}


def test_a_jitter_puts_off_by_no_more_than_it_says_and_not_always_by_the_same() -> None:
    plain = schedule(Recurrence.INTERVAL, interval_s=3600)
    put_off = schedule(Recurrence.INTERVAL, interval_s=3600, jitter_s=600)
    slots = list(islice(plain.starts(at("2026-02-01T00:00")), 50))
    starts = list(islice(put_off.starts(slots[0] - timedelta(seconds=1)), 50))
    late = [(start - slot).total_seconds() for start, slot in zip(starts, slots, strict=True)]
    assert all(0 <= seconds <= 600 for seconds in late)
    assert len(set(late)) > 10


def test_a_jitter_is_the_same_whenever_one_asks_and_another_for_another_job() -> None:
    one = schedule(cron="0 2 * * *", jitter_s=3000)
    other = schedule(cron="0 2 * * *", jitter_s=3000, seed="another")
    start = one.next(at("2026-02-01T00:00"))
    assert start is not None
    assert one.next(start - timedelta(seconds=1)) == start
    assert one.next(start) > start + timedelta(hours=20)
    assert other.next(at("2026-02-01T00:00")) != start


def test_a_single_start_is_over_once_it_was() -> None:
    once = schedule(Recurrence.ONCE, run_at=at("2026-02-01T03:00"))
    assert once.next(at("2026-02-01T02:59")) == at("2026-02-01T03:00")
    assert once.next(at("2026-02-01T03:00")) is None


# --- words ----------------------------------------------------------------------------------------
def test_a_schedule_is_told_in_words_with_its_zone() -> None:
    assert schedule(cron="15 2 * * 1-5", time_zone="Europe/Berlin").words() == (
        "At 02:15 on Monday through Friday (Europe/Berlin)"
    )
    assert schedule(Recurrence.INTERVAL, interval_s=5400, jitter_s=300).words() == (
        "Every 1 h 30 min, put off by up to 5 min"
    )
    once = schedule(Recurrence.ONCE, run_at=at("2026-02-01T03:00"), time_zone="Europe/Berlin")
    assert once.words() == "Once, at 2026-02-01 04:00 CET"
    assert schedule(Recurrence.NONE).words() == "Only when somebody starts it"
    assert (in_words(86_400), in_words(172_860), in_words(0)) == ("1 day", "2 days 1 min", "0 s")
    assert line_words("*/20 * * * *")
