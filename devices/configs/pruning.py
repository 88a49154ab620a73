"""Which versions of configurations may go, and letting them go. The latest of each device and kind never does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from django.db import transaction
from django.db.models import Count, F, Max, Min
from django.utils import timezone

from credentials import audit
from devices.configs.asides import drop_overtaken
from devices.configs.store import forget_unused_texts
from devices.models import ConfigVersion, Device, DeviceTag
from devices.retention import RetentionRule

Steps = tuple[int | None, int | None, int | None, int | None]
"""Up to which age in days all versions, one a day, one a week and one a month are kept; None: for ever."""

_DEVICES: Final = 200
_BATCH: Final = 300
"""Versions in one transaction."""


class Row(NamedTuple):
    """What of a version decides whether it stays."""

    pk: int
    device: int
    kind: str
    number: int
    text: int
    first_seen: datetime
    last_seen: datetime


@dataclass(frozen=True)
class Rules:
    """All rules. A device's own goes before those of its tags, these go before the general one."""

    general: Steps | None
    by_device: Mapping[int, Steps]
    by_tag: Mapping[int, Steps]

    def __bool__(self) -> bool:
        return self.general is not None or bool(self.by_device) or bool(self.by_tag)

    def of(self, device: int, tags: Iterable[int]) -> list[Steps]:
        """The rules that apply to a device; a version stays as long as any of them wants it."""
        if (own := self.by_device.get(device)) is not None:
            return [own]
        found = [self.by_tag[tag] for tag in tags if tag in self.by_tag]
        return found or ([self.general] if self.general is not None else [])


def load_rules() -> Rules:
    """The rules as they are now."""
    rows = list(RetentionRule.objects.all())
    return Rules(
        general=next((row.steps for row in rows if row.device_id is None and row.tag_id is None), None),
        by_device={row.device_id: row.steps for row in rows if row.device_id is not None},
        by_tag={row.tag_id: row.steps for row in rows if row.tag_id is not None},
    )


def may_go(versions: Sequence[Row], rules: Sequence[Steps], now: datetime) -> list[Row]:
    """The versions of one device and kind that no rule wants; nothing without a rule."""
    if not rules or len(versions) < 2:
        return []
    ordered = sorted(versions, key=lambda version: version.number)
    kept = {ordered[-1].pk}
    for steps in rules:
        kept |= _wanted(ordered, steps, now)
    return [version for version in ordered if version.pk not in kept]


def _wanted(ordered: Sequence[Row], steps: Steps, now: datetime) -> set[int]:
    """What one rule keeps: of each day, week or month the version that was the last one to begin in it."""
    wanted: set[int] = set()
    last_of: dict[tuple[Any, ...], int] = {}
    for version in ordered:
        step = _step(now - version.last_seen, steps)
        if step == 0:
            wanted.add(version.pk)
        elif step is not None:
            last_of[step, *_PERIODS[step](timezone.localtime(version.first_seen))] = version.pk
    return wanted | set(last_of.values())


def _step(age: timedelta, steps: Steps) -> int | None:
    """Which step a version of this age falls under, None when it is past the last one."""
    for number, days in enumerate(steps):
        if days is None or age < timedelta(days=days):
            return number
    return None


_PERIODS: Final[Mapping[int, Callable[[datetime], tuple[int, ...]]]] = {
    1: lambda moment: (moment.year, moment.month, moment.day),
    2: lambda moment: tuple(moment.isocalendar()[:2]),
    3: lambda moment: (moment.year, moment.month),
}


@dataclass(frozen=True)
class Going:
    """What of one device and kind would be deleted."""

    device: str
    kind: str
    versions: int
    of: int
    """How many versions there are."""
    until: datetime
    """When the last of those that would go was seen last."""


def preview(now: datetime) -> list[Going]:
    """What `prune_configs` would delete at this time, by the names of devices; nothing is written."""
    rules = load_rules()
    found: list[Going] = []
    if not rules:
        return found
    for devices in _devices():
        going: dict[tuple[int, str], list[Row]] = defaultdict(list)
        for row in _going(devices, rules, now):
            going[row.device, row.kind].append(row)
        names = dict(Device.objects.filter(pk__in={device for device, _ in going}).values_list("pk", "name"))
        counted = ConfigVersion.objects.filter(device__in=names).order_by().values_list("device", "kind")
        total = {(device, kind): n for device, kind, n in counted.annotate(n=Count("pk"))}
        found += [
            Going(names[device], kind, len(rows), total[device, kind], max(row.last_seen for row in rows))
            for (device, kind), rows in going.items()
            if device in names
        ]
    return sorted(found, key=lambda each: (each.device, each.kind))


def prune_configs(now: datetime, checkpoint: Callable[[Mapping[str, Any]], bool], actor: str = "") -> dict[str, Any]:
    """Delete the versions that no rule wants, with texts that nobody has any more, in short transactions.

    `checkpoint` gets what was deleted so far and answers whether to stop. Ended at any moment, it goes on where it
    was when it is called again. `actor` is for the audit trail.
    """
    deleted = {"versions": 0, "texts": 0}
    while drop_overtaken():
        if checkpoint(deleted):
            return deleted
    rules = load_rules()
    if not rules:
        return deleted
    for devices in _devices():
        going = _going(devices, rules, now)
        for start in range(0, len(going), _BATCH):
            batch = going[start : start + _BATCH]
            deleted["versions"] += len(batch)
            deleted["texts"] += _delete(batch, actor)
            if checkpoint(deleted):
                return deleted
    return deleted


def _devices() -> Iterator[list[int]]:
    """Devices with more than one version of a kind, some at a time."""
    several = (
        ConfigVersion.objects.order_by()
        .values("device", "kind")
        .annotate(newest=Max("number"), oldest=Min("number"))
        .filter(newest__gt=F("oldest"))
    )
    ids = sorted(set(several.values_list("device", flat=True)))
    for start in range(0, len(ids), _DEVICES):
        yield ids[start : start + _DEVICES]


def _going(devices: Sequence[int], rules: Rules, now: datetime) -> list[Row]:
    tags: dict[int, list[int]] = defaultdict(list)
    for device, tag in DeviceTag.objects.filter(content_object__in=devices).values_list("content_object", "tag"):
        tags[device].append(tag)
    versions: dict[tuple[int, str], list[Row]] = defaultdict(list)
    columns = ("pk", "device", "kind", "number", "text", "first_seen_at", "last_seen_at")
    for values in ConfigVersion.objects.filter(device__in=devices).order_by().values_list(*columns):
        row = Row(*values)
        versions[row.device, row.kind].append(row)
    return [row for (device, _), rows in versions.items() for row in may_go(rows, rules.of(device, tags[device]), now)]


@transaction.atomic
def _delete(batch: Sequence[Row], actor: str) -> int:
    """Delete versions; how many texts went with them."""
    ConfigVersion.objects.filter(pk__in=[row.pk for row in batch]).delete()
    numbers: dict[tuple[int, str], list[int]] = defaultdict(list)
    for row in batch:
        numbers[row.device, row.kind].append(row.number)
    with audit.collected():
        for (device, kind), gone in numbers.items():
            audit.record("config.pruned", actor=actor, device=device, kind=kind, versions=gone)
    return forget_unused_texts({row.text for row in batch})
