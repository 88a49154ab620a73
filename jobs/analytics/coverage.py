"""Who opens what: devices by credentials, each proven, rejected, only matched, or not matched."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

from django.core.paginator import Page, Paginator
from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, When

from credentials.models import Credential, CredentialTag
from credentials.store import Candidate
from devices.models import Device, DeviceTag
from jobs.analytics.facts import opens_expression
from jobs.engine.plan import candidates_of
from jobs.rollups import LoginPair

DEVICES_A_PAGE = 50
CREDENTIALS_A_PAGE = 12


class Cover(StrEnum):
    """What is known of a credential on a device."""

    PROVEN = "proven"
    REJECTED = "rejected"
    EARLIER = "earlier"
    MATCHED = "matched"
    UNMATCHED = "unmatched"


@dataclass(frozen=True)
class Cell:
    """A credential on a device.

    `at` is when it was last accepted or rejected; `order` its place among those that would be tried now, None
    when it would not be, and `reason` says why, or why not. EARLIER: only a former version was accepted.
    """

    cover: Cover
    at: datetime | None = None
    accepted: int = 0
    rejected: int = 0
    order: int | None = None
    reason: str = ""
    is_matched: bool = False


@dataclass(frozen=True)
class Row:
    """A device with a cell for each credential shown."""

    device: Device
    cells: list[Cell]


@dataclass(frozen=True)
class CoverageFilter:
    """Which devices: those with a tag, site or platform, and with what a credential is to them.

    With a credential and no cover: the devices that it matches or was tried on.
    """

    tag: str = ""
    site: str = ""
    platform: str = ""
    credential: str = ""
    cover: Cover | None = None


@dataclass(frozen=True)
class Coverage:
    """A page of devices; of the credentials that say anything about them, a page too."""

    page: Page[Device]
    rows: list[Row]
    credentials: list[tuple[int, str]]
    columns: int
    column_page: int

    @cached_property
    def column_pages(self) -> int:
        """How many pages of credentials there are for these devices."""
        return max(1, -(-self.columns // CREDENTIALS_A_PAGE))


def coverage(chosen: CoverageFilter, page: str | int = 1, column_page: str | int = 1) -> Coverage:
    """A page of who opens what; a fixed number of queries. Pages that do not exist become the nearest one."""
    credential = Credential.objects.filter(name=chosen.credential).first() if chosen.credential else None
    found = Paginator(_devices(chosen, credential).order_by("name"), DEVICES_A_PAGE).get_page(page)
    devices = list(found.object_list)
    candidates = candidates_of(devices)
    pairs = _pairs(devices)
    columns = _columns(candidates, pairs)
    if chosen.credential:
        columns = [(credential.pk, credential.name)] if credential else []
    shown = Paginator(columns, CREDENTIALS_A_PAGE).get_page(column_page)
    keys = [key for key, _ in shown.object_list]
    rows = [
        Row(device, [_cell(key, candidates[device.pk], pairs.get((device.pk, key), [])) for key in keys])
        for device in devices
    ]
    return Coverage(found, rows, list(shown.object_list), len(columns), shown.number)


# --- which devices --------------------------------------------------------------------------------
def _devices(chosen: CoverageFilter, credential: Credential | None) -> QuerySet[Device]:
    devices = Device.objects.filter(enabled=True)
    if chosen.tag:
        devices = devices.filter(Exists(DeviceTag.objects.filter(content_object=OuterRef("pk"), tag__name=chosen.tag)))
    if chosen.site:
        devices = devices.filter(site=chosen.site)
    if chosen.platform:
        devices = devices.filter(platform=chosen.platform)
    if not chosen.credential:
        return devices
    if credential is None:
        return devices.none()
    matched = _matching(credential)
    pairs = LoginPair.objects.filter(device=OuterRef("pk"), credential=credential)
    current = pairs.filter(version=credential.version).annotate(opens=opens_expression())
    proven, rejected = Exists(current.filter(opens=1)), Exists(current.filter(opens=0))
    earlier = ~proven & ~rejected & Exists(pairs.filter(accepted__gt=0).exclude(version=credential.version))
    match chosen.cover:
        case None:
            return devices.filter(matched | Exists(pairs))
        case Cover.PROVEN:
            return devices.filter(proven)
        case Cover.REJECTED:
            return devices.filter(rejected)
        case Cover.EARLIER:
            return devices.filter(earlier)
        case Cover.MATCHED:
            return devices.filter(matched & ~proven & ~rejected & ~earlier)
        case Cover.UNMATCHED:
            return devices.filter(~matched & ~proven & ~rejected & ~earlier)


def _matching(credential: Credential) -> Q:
    """Devices on whose list of candidates the credential stands."""
    if not credential.enabled:
        return Q(pk__in=[])
    if credential.is_fallback:
        return ~Q(pk__in=[])
    tags = CredentialTag.objects.filter(content_object=credential).values("tag")
    return Q(Exists(DeviceTag.objects.filter(content_object=OuterRef("pk"), tag__in=tags)))


# --- what is known of them ------------------------------------------------------------------------
class _Pair(NamedTuple):
    is_current: bool
    opens: bool | None
    accepted: int
    rejected: int
    accepted_at: datetime | None
    rejected_at: datetime | None
    name: str
    priority: int


def _pairs(devices: Sequence[Device]) -> dict[tuple[int, int], list[_Pair]]:
    """What was tried on these devices, oldest version first; also with credentials that do not match any more."""
    rows = (
        LoginPair.objects.filter(device__in=[device.pk for device in devices], credential__enabled=True)
        .annotate(opens=opens_expression(), name=F("credential__name"), priority=F("credential__priority"))
        .annotate(is_current=Case(When(version=F("credential__version"), then=True), default=False))
        .order_by("version")
    )
    found: dict[tuple[int, int], list[_Pair]] = defaultdict(list)
    for row in rows.values("device_id", "credential_id", *_Pair._fields):
        key = row.pop("device_id"), row.pop("credential_id")
        found[key].append(_Pair(**row))
    return found


def _columns(
    candidates: dict[int, list[Candidate]], pairs: dict[tuple[int, int], list[_Pair]]
) -> list[tuple[int, str]]:
    """The credentials that match or were tried on any of the devices, in the order of priority."""
    found = {(key, mine[0].name): mine[0].priority for (_, key), mine in pairs.items()}
    for each in _flat(candidates.values()):
        number = each.priority + 10**9 * each.is_fallback
        key = each.credential, each.name
        found[key] = min(number, found.get(key, number)) if key in found and not each.is_fallback else number
    return sorted(found, key=lambda key: (found[key], key))


def _flat(lists: Iterable[list[Candidate]]) -> Iterable[Candidate]:
    for each in lists:
        yield from each


def _cell(key: int, candidates: list[Candidate], pairs: list[_Pair]) -> Cell:
    usable = [each.credential for each in candidates if not each.skipped]
    mine = next((each for each in candidates if each.credential == key), None)
    order = usable.index(key) + 1 if key in usable else None
    reason = (mine.skipped or mine.reason) if mine else "shares no tag with this device"
    now = next((pair for pair in pairs if pair.is_current), None)
    before = next((pair for pair in reversed(pairs) if not pair.is_current and pair.accepted), None)
    if now is not None and now.opens is not None:
        cover = Cover.PROVEN if now.opens else Cover.REJECTED
        at = now.accepted_at if now.opens else now.rejected_at
        return Cell(cover, at, now.accepted, now.rejected, order, reason, mine is not None)
    if before is not None:
        return Cell(Cover.EARLIER, before.accepted_at, before.accepted, 0, order, reason, mine is not None)
    cover = Cover.MATCHED if mine else Cover.UNMATCHED
    return Cell(cover, None, 0, 0, order, reason, mine is not None)


# --- what may be chosen ---------------------------------------------------------------------------
@dataclass(frozen=True)
class Choices:
    """The values that the filters offer."""

    tags: list[str]
    sites: list[str]
    platforms: list[str]


def choices(most: int = 500) -> Choices:
    """Tags, sites and platforms of devices, at most so many of each; three queries."""
    devices = Device.objects.filter(enabled=True)
    tags = DeviceTag.objects.values_list("tag__name", flat=True).order_by("tag__name").distinct()
    return Choices(
        list(tags[:most]),
        list(devices.exclude(site="").order_by("site").values_list("site", flat=True).distinct()[:most]),
        list(devices.order_by("platform").values_list("platform", flat=True).distinct()[:most]),
    )
