"""Configuration versions of many devices in few statements; what takes time is done before the transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Max
from django.utils import timezone

from devices.configs.store import IN_TURN, LastVersion, PreparedText, new_text, save_version, summary_of
from devices.models import ConfigText, ConfigVersion


@dataclass(frozen=True)
class Keep:
    """A text that is to be kept. `row` and `summary` were made for a text that follows version `after`."""

    device: int
    kind: str
    text: PreparedText
    after: int
    row: ConfigText | None
    summary: str


@dataclass(frozen=True)
class Kept:
    """The version that a text became or already was, by its id."""

    version: int
    changed: bool


def last_versions(devices: Sequence[int], kind: str) -> dict[int, LastVersion]:
    """The last version of each device that has one; two queries."""
    rows = ConfigVersion.objects.filter(pk__in=list(_newest(devices, kind)))
    columns = ("device_id", "number", "compared", "text__size", "text__digest")
    return {device: LastVersion(*found) for device, *found in rows.values_list(*columns)}


def keep(device: int, kind: str, text: PreparedText, last: LastVersion | None, before: str | None) -> Keep:
    """Get a text ready: packed, sealed and compared with the text `before` unless the last version holds it.

    Outside the database, since it takes the time.
    """
    number = last.number if last else 0
    if last is not None and last.compared == text.compared:
        return Keep(device, kind, text, number, None, "")
    with IN_TURN:
        return Keep(device, kind, text, number, new_text(text), summary_of(before, text))


def save_all(keeps: Sequence[Keep], seen_at: datetime | None = None) -> list[Kept]:
    """Store texts as versions, or move `last seen` of the versions that hold them; within a transaction.

    A handful of statements for any number of devices, unless somebody else stored a version meanwhile.
    """
    seen_at = seen_at or timezone.now()
    found: dict[int, Kept] = {}
    for kind in {each.kind for each in keeps}:
        places = [place for place, each in enumerate(keeps) if each.kind == kind]
        rows = ConfigVersion.objects.filter(pk__in=list(_newest([keeps[place].device for place in places], kind)))
        last = {row[0]: row[1:] for row in rows.values_list("device_id", "pk", "number", "compared")}
        new: list[int] = []
        for place in places:
            each = keeps[place]
            pk, number, compared = last.get(each.device, (0, 0, ""))
            if compared == each.text.compared:
                found[place] = Kept(pk, changed=False)
            elif each.row is None or each.after != number:
                saved = save_version(each.device, kind, each.text, seen_at)
                found[place] = Kept(saved.version.pk, saved.changed)
            else:
                new.append(place)
        seen = [kept.version for place, kept in found.items() if place in places and not kept.changed]
        ConfigVersion.objects.filter(pk__in=seen).update(last_seen_at=seen_at)
        for place, version in zip(new, _add([keeps[place] for place in new], kind, seen_at), strict=True):
            found[place] = Kept(version.pk, changed=True)
    return [found[place] for place in range(len(keeps))]


def _newest(devices: Sequence[int], kind: str) -> list[int]:
    """The ids of the last versions of these devices."""
    of_kind = ConfigVersion.objects.filter(device__in=devices, kind=kind).order_by()
    # Numbers and ids of a device's versions rise together.
    return list(of_kind.values("device").annotate(newest=Max("pk")).values_list("newest", flat=True))


def _add(keeps: Sequence[Keep], kind: str, seen_at: datetime) -> list[ConfigVersion]:
    if not keeps:
        return []
    fresh = {each.text.digest: each.row for each in keeps if each.row is not None}
    # Locked, so that nobody takes a text away as unused before its new version is written.
    stored = ConfigText.objects.select_for_update().filter(digest__in=fresh).order_by("pk")
    texts = dict(stored.values_list("digest", "pk"))
    missing = [fresh[digest] for digest in sorted(fresh.keys() - texts.keys())]
    for row in missing:
        row.pk = None  # a batch may be done again after a rollback
    texts |= {row.digest: row.pk for row in ConfigText.objects.bulk_create(missing)}
    return ConfigVersion.objects.bulk_create(
        [
            ConfigVersion(
                device_id=each.device,
                kind=kind,
                number=each.after + 1,
                text_id=texts[each.text.digest],
                compared=each.text.compared,
                summary=each.summary,
                changed_by=each.text.change.who,
                changed_said=each.text.change.when,
                first_seen_at=seen_at,
                last_seen_at=seen_at,
            )
            for each in keeps
        ]
    )
