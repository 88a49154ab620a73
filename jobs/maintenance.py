"""Maintenance windows: which devices are left alone now, until when, and the one service that writes windows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from taggit.models import Tag

from devices.models import Device, DeviceTag
from jobs.models import Job
from jobs.timing import check_line, check_year, clock, cron_starts, in_words, line_words, zone_of
from jobs.windows import MaintenanceWindow

LONGEST_MIN: Final = 28 * 24 * 60
# Beyond so many ids in one query they are compared here, since a database takes only so many parameters.
_MOST_IDS: Final = 5000
# Windows that follow on each other are one; no line of a saved window goes on for ever.
_MOST_JOINED: Final = 500
_MINUTES_OF_DAY: Final = 1440


@dataclass(frozen=True)
class Closed:
    """A device that is to be left alone: by which window, and until when on the clock of its zone."""

    window: str
    until: datetime


@dataclass(frozen=True)
class WindowState:
    """A window as people are shown it."""

    window: MaintenanceWindow
    words: str
    until: datetime | None
    """Until when it is open; None when it is not."""
    next_start: datetime | None

    @property
    def is_open(self) -> bool:
        """Whether its devices are left alone now."""
        return self.until is not None


def closed_devices(devices: Sequence[int], now: datetime) -> dict[int, Closed]:
    """Which of these devices (by id) must be left alone now, and by the window that ends last; three queries."""
    open_until = {
        window: until
        for window in MaintenanceWindow.objects.filter(enabled=True).prefetch_related("tags")
        if (until := open_till(window, now)) is not None
    }
    if not open_until:
        return {}
    by_tag: dict[int, Closed] = {}
    for window, until in open_until.items():
        for tag in window.tags.all():
            _latest(by_tag, tag.pk, Closed(window.name, until))
    links = DeviceTag.objects.filter(tag__in=by_tag)
    wanted = set(devices)
    if len(wanted) <= _MOST_IDS:
        links = links.filter(content_object__in=wanted)
    found: dict[int, Closed] = {}
    for device, tag in links.values_list("content_object_id", "tag_id"):
        if device in wanted:
            _latest(found, device, by_tag[tag])
    return found


def _latest(found: dict[int, Closed], key: int, closed: Closed) -> None:
    if key not in found or found[key].until < closed.until:
        found[key] = closed


def open_till(window: MaintenanceWindow, now: datetime) -> datetime | None:
    """The end of a window that is open now, on the clock of its zone; None when it is not, or cannot be understood."""
    length = timedelta(minutes=window.duration_min)
    try:
        zone = zone_of(window.time_zone)
        until: datetime | None = None
        for start in islice(_begins(window, now - length), _MOST_JOINED):
            if start > (until or now):
                break
            until = start + length
    except ValidationError:
        return None
    return until.astimezone(zone) if until is not None else None


def state_of(window: MaintenanceWindow, now: datetime) -> WindowState:
    """A window with its words, whether it is open, and when it begins next."""
    try:
        words, following = words_of(window), next(_begins(window, now), None)
    except ValidationError as error:
        return WindowState(window, " ".join(error.messages), None, None)
    if not window.enabled:
        return WindowState(window, words, None, None)
    return WindowState(window, words, open_till(window, now), following)


def begins(window: MaintenanceWindow, after: datetime, count: int = 3) -> list[datetime]:
    """The next times at which a window begins; none when it cannot be understood."""
    try:
        return list(islice(_begins(window, after), count))
    except ValidationError:
        return []


def words_of(window: MaintenanceWindow) -> str:
    """When a window is open, in words; ValidationError when it cannot be understood."""
    zone = zone_of(window.time_zone)
    length = in_words(window.duration_min * 60)
    if window.cron:
        return f"{line_words(window.cron)} ({window.time_zone or zone}), for {length}"
    if window.starts_at is None:
        raise ValidationError("This window has neither a cron line nor a time.")
    return f"Once, at {clock(window.starts_at, zone)}, for {length}"


def windows_of(device: Device, now: datetime | None = None) -> list[WindowState]:
    """The enabled windows in which this device is left alone, those that are open first; two queries."""
    tagged = MaintenanceWindow.objects.filter(enabled=True, tags__device_tags__content_object=device)
    return _states(tagged, now)


def windows_of_job(job: Job, devices: QuerySet[Device], now: datetime | None = None) -> list[WindowState]:
    """The enabled windows that concern any of a job's devices."""
    tags = DeviceTag.objects.filter(content_object__in=devices.order_by().values("pk")).values("tag")
    return _states(MaintenanceWindow.objects.filter(enabled=True, tags__in=tags), now)


def save_window(window: MaintenanceWindow, *, tags: Iterable[Tag] | None = None, **plain: Any) -> MaintenanceWindow:
    """Make or change a window; None leaves the tags as they are. ValidationError names each wrong field."""
    for name, value in plain.items():
        setattr(window, name, value)
    window.cron = " ".join(window.cron.split())
    chosen = list(tags) if tags is not None else (list(window.tags.all()) if window.pk else [])
    wrong = _wrong(window, chosen)
    try:
        window.full_clean(exclude=wrong)
    except ValidationError as error:
        raise ValidationError({**error.message_dict, **wrong}) from error
    if wrong:
        raise ValidationError(wrong)
    with transaction.atomic():
        window.save()
        if tags is not None:
            window.tags.set(chosen)
    return window


def _wrong(window: MaintenanceWindow, tags: Sequence[Tag]) -> dict[str, str | list[str]]:
    wrong: dict[str, str | list[str]] = {}
    if not tags:
        wrong["tags"] = "Choose a tag: devices that have it are left alone."
    try:
        zone_of(window.time_zone)
    except ValidationError as error:
        return {**wrong, "time_zone": error.messages}
    length = window.duration_min
    if length is None or length < 1:
        wrong["duration_min"] = "A window is a minute long at least."
    elif length > LONGEST_MIN:
        wrong["duration_min"] = (
            f"A window is at most {in_words(LONGEST_MIN * 60)} long; to rest longer, disable the job."
        )
    if window.cron and window.starts_at:
        wrong["starts_at"] = "Give either a cron line or the time of a single window, not both."
    elif window.cron:
        try:
            check_line(window.cron)
        except ValidationError as error:
            return {**wrong, "cron": error.messages}
        if "duration_min" not in wrong and _never_ends(window.cron, timedelta(minutes=length)):
            wrong["duration_min"] = "It would begin again before it ends, and so never end."
    elif window.starts_at is not None:
        try:
            check_year(window.starts_at)
        except ValidationError as error:
            wrong["starts_at"] = error.messages
    else:
        wrong["cron"] = "Say when it begins: by a cron line, again and again, or at one time."
    return wrong


def _never_ends(line: str, length: timedelta) -> bool:
    if line.split()[2:] != ["*", "*", "*"]:
        return False  # between its days there is a time in which it is over
    a_day = islice(cron_starts(line, UTC, timezone.now()), _MINUTES_OF_DAY + 1)
    return all(later - earlier <= length for earlier, later in pairwise(a_day))


def _states(windows: QuerySet[MaintenanceWindow], now: datetime | None) -> list[WindowState]:
    moment = now or timezone.now()
    found = [state_of(window, moment) for window in windows.distinct().order_by("name")]
    # One that was once and is over concerns nobody any more.
    found = [state for state in found if state.is_open or state.next_start is not None]
    return sorted(found, key=lambda state: not state.is_open)


def _begins(window: MaintenanceWindow, after: datetime) -> Iterator[datetime]:
    if window.cron:
        yield from cron_starts(window.cron, zone_of(window.time_zone), after)
    elif window.starts_at is not None and window.starts_at > after:
        yield window.starts_at
