"""When things begin: cron lines, intervals and single times, each in its time zone. Nothing here reads the database.

A cron line is read by the clock on the wall of its zone. When that clock jumps forward, a start in the hour that is
left out happens once, as soon as the hour is over; when it goes back, a start in the hour that comes twice happens
the first time. A line for every hour goes on by elapsed time instead, so that no hour is left out.
"""

from __future__ import annotations

import difflib
import random
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import islice, pairwise
from typing import Final

from cronsim import CronSim, CronSimError
from django.core.exceptions import ValidationError
from django.utils import timezone

from jobs.choices import Recurrence

LEAST_INTERVAL_S: Final = 60
LONGEST_INTERVAL_S: Final = 3650 * 86_400
_YEARS: Final = range(2000, 2200)
_FIELDS: Final = (
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day", "1 to 31, or L for the last"),
    ("month", "1 to 12, or JAN to DEC"),
    ("weekday", "0 to 7, where 0 and 7 are Sunday, or SUN to SAT"),
)
_HOURS_OF_DAY: Final = 24
# Where a line is only read, and asked for no start.
_ANY_DAY: Final = datetime(2024, 1, 1)
# How many starts are looked at to learn how close together a line's starts are.
_LOOKED_AT: Final = 60
_UNITS: Final = ((86_400, "day"), (3600, "h"), (60, "min"), (1, "s"))


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """Every time zone that can be named."""
    return frozenset(zoneinfo.available_timezones())


def zone_of(name: str) -> tzinfo:
    """The zone of this name, that of the server when it is empty; ValidationError for an unknown one."""
    if not name:
        return timezone.get_default_timezone()
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        # Whoever writes `berlin` or `europe/berlin` means the one that ends so.
        known = {each.casefold(): each for each in zone_names()} | {
            each.rpartition("/")[2].casefold(): each for each in sorted(zone_names())
        }
        near = difflib.get_close_matches(name.strip().casefold(), known, n=1, cutoff=0.7)
        hint = f"did you mean {known[near[0]]}?" if near else "write one such as UTC or Europe/Berlin."
        raise ValidationError(f"There is no time zone {name[:64]}: {hint}") from None


def check_year(when: datetime) -> None:
    """ValidationError for a time so far away that it is a slip of the pen; near the calendar's ends no zone can be
    reckoned with."""
    if when.year not in _YEARS:
        raise ValidationError(f"The year {when.year} is too far away: write one from {_YEARS[0]} to {_YEARS[-1]}.")


def check_line(line: str) -> None:
    """ValidationError, in a sentence, for a cron line that is none or that never fires."""
    fields = line.split()
    if len(fields) != len(_FIELDS):
        raise ValidationError(
            "A cron line has five fields, minute, hour, day, month and weekday, such as 15 2 * * 1-5. "
            f"This one has {len(fields)}."
        )
    for number, (name, possible) in enumerate(_FIELDS):
        alone = ["*"] * len(_FIELDS)
        alone[number] = fields[number]
        try:
            CronSim(" ".join(alone), _ANY_DAY)
        except CronSimError:
            raise ValidationError(f"The {name} {fields[number][:30]} is none: write {possible}.") from None
    try:
        fires = next(CronSim(line, _ANY_DAY), None) is not None
    except CronSimError:
        fires = False
    if not fires:
        raise ValidationError("This cron line never fires: there is no such day in any year.")


def cron_starts(line: str, zone: tzinfo, after: datetime) -> Iterator[datetime]:
    """The starts of a cron line later than a time, in order, in UTC; ValidationError for a line that is none."""
    last = after.astimezone(UTC)
    try:
        found_by = CronSim(_plain(line), after.astimezone(zone))
    except CronSimError:
        check_line(line)
        raise
    for found in found_by:
        start = found.astimezone(UTC)
        # Within the hour that comes twice the library also answers with the first of the two, which is past.
        if start > last:
            last = start
            yield start


@lru_cache(maxsize=500)
def _plain(line: str) -> str:
    # Stars and steps in minute and hour written out, since the library takes them for a wish to go by elapsed time:
    # then a start in the hour that is left out would be lost, and one in the hour that comes twice would double.
    read = CronSim(line, _ANY_DAY)
    minutes = ",".join(map(str, sorted(read.minutes)))
    hours = "*" if len(read.hours) == _HOURS_OF_DAY else ",".join(map(str, sorted(read.hours)))
    return " ".join([minutes, hours, *line.split()[2:]])


def line_words(line: str) -> str:
    """A cron line in words: `At 02:15 on Monday through Friday`; ValidationError for a line that is none."""
    check_line(line)
    return str(CronSim(line, _ANY_DAY).explain())


def in_words(seconds: int) -> str:
    """A whole number of seconds in words: `90 s` is `1 min 30 s`, `86400` is `1 day`."""
    parts = []
    for unit, word in _UNITS:
        count, seconds = divmod(seconds, unit)
        if count:
            parts.append(f"{count} {word}{'s' if word == 'day' and count > 1 else ''}")
    return " ".join(parts) or "0 s"


def clock(when: datetime, zone: tzinfo) -> str:
    """A time on the clock of a zone, with the zone: `2026-11-24 02:15 CET`."""
    return f"{when.astimezone(zone):%Y-%m-%d %H:%M %Z}"


@dataclass(frozen=True)
class Schedule:
    """When a job starts by itself; pure, so the same question always has the same answer."""

    recurrence: str
    cron: str
    time_zone: str
    interval_s: int | None
    jitter_s: int
    run_at: datetime | None
    anchor: datetime
    """Where an interval is counted from."""
    seed: str
    """Whom a jitter belongs to: two jobs with the same line start at different times."""

    @property
    def zone(self) -> tzinfo:
        """The zone of the cron line; ValidationError when it is unknown."""
        return zone_of(self.time_zone)

    def check(self) -> None:
        """ValidationError, by field, for what can never start or contradicts itself."""
        wrong: dict[str, str] = {}
        try:
            zone = self.zone
        except ValidationError as error:
            raise ValidationError({"time_zone": error.messages}) from error
        if self.recurrence == Recurrence.CRON:
            try:
                check_line(self.cron)
            except ValidationError as error:
                raise ValidationError({"cron": error.messages}) from error
            between = shortest_gap(cron_starts(self.cron, zone, self.anchor))
            if self.jitter_s > between:
                wrong["jitter_s"] = f"A jitter is no longer than the time between two starts, here {in_words(between)}."
        elif self.recurrence == Recurrence.INTERVAL:
            if self.interval_s is None:
                wrong["interval_s"] = "Say how long the interval is."
            elif self.interval_s < LEAST_INTERVAL_S:
                wrong["interval_s"] = f"An interval has {LEAST_INTERVAL_S} seconds at least."
            elif self.interval_s > LONGEST_INTERVAL_S:
                wrong["interval_s"] = f"An interval is {in_words(LONGEST_INTERVAL_S)} at most."
            elif self.jitter_s > self.interval_s:
                wrong["jitter_s"] = f"A jitter is no longer than the interval, here {in_words(self.interval_s)}."
        elif self.recurrence == Recurrence.ONCE and self.run_at is None:
            wrong["run_at"] = "Say when it is to start."
        if self.run_at is not None:
            try:
                check_year(self.run_at)
            except ValidationError as error:
                raise ValidationError({"run_at": error.messages}) from error
        if wrong:
            raise ValidationError(wrong)

    def starts(self, after: datetime) -> Iterator[datetime]:
        """The starts later than a time, in order, in UTC."""
        if self.recurrence == Recurrence.ONCE:
            if self.run_at is not None and self.run_at > after:
                yield self.run_at.astimezone(UTC)
            return
        last = after
        for slot in self._slots(after - timedelta(seconds=self.jitter_s)):
            start = slot + self._jitter(slot)
            if start > last:
                last = start
                yield start

    def next(self, after: datetime) -> datetime | None:
        """The first start later than a time."""
        return next(self.starts(after), None)

    def words(self) -> str:
        """When, in words, with the zone."""
        if self.recurrence == Recurrence.CRON:
            found = f"{line_words(self.cron)} ({self.time_zone or self.zone})"
        elif self.recurrence == Recurrence.INTERVAL and self.interval_s:
            found = f"Every {in_words(self.interval_s)}"
        elif self.recurrence == Recurrence.ONCE and self.run_at:
            return f"Once, at {clock(self.run_at, self.zone)}"
        else:
            return str(Recurrence.NONE.label)
        return found + (f", put off by up to {in_words(self.jitter_s)}" if self.jitter_s else "")

    def _slots(self, after: datetime) -> Iterator[datetime]:
        if self.recurrence == Recurrence.CRON:
            yield from cron_starts(self.cron, self.zone, after)
        elif self.recurrence == Recurrence.INTERVAL and self.interval_s:
            interval = timedelta(seconds=self.interval_s)
            number = max(1, (after - self.anchor) // interval + 1)
            while True:
                yield (self.anchor + number * interval).astimezone(UTC)
                number += 1

    def _jitter(self, slot: datetime) -> timedelta:
        if not self.jitter_s:
            return timedelta()
        drawn = random.Random(f"{self.seed} {slot.isoformat()}")
        return timedelta(seconds=drawn.randint(0, self.jitter_s))


def shortest_gap(starts: Iterator[datetime]) -> int:
    """Seconds between the two of the next starts that are closest together; a year where there is but one."""
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(islice(starts, _LOOKED_AT))]
    return int(min(gaps)) if gaps else 366 * 86_400
