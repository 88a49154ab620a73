"""Replaying the ledger: which logins would have failed, had the credentials stood in another order.

Replayed are the visits to devices (the logins of one run on one device) in which the order mattered: those
with a rejection, and those in which a credential opened the device for the first time. In all others the
credential that had worked there before was tried first and worked, which it is under any order.

Whether a credential opens a device is taken from the visit itself, else from what is proven of the pair in
the credential's present version. What nothing is known of is never guessed in favour of a change.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import F, Min, Q, Sum
from django.utils import timezone

from credentials.choices import AccountScope
from devices.connector.outcomes import Fate
from jobs.analytics.facts import Facts, Kin, Orders
from jobs.rollups import Dimension, LoginDay, LoginPair, LoginStep

WINDOW_DAYS = 28
_LEAST_DAYS = 7.0


class Visit(NamedTuple):
    """The logins of one run on one device.

    `known` were remembered as rejected and not tried. Without precedence what had worked there last was not
    tried first: it was disabled then, or did not match.
    """

    tried: tuple[tuple[int, str], ...]
    known: frozenset[int]
    precedence: bool = True


class _Seen(NamedTuple):
    at: datetime
    first: int
    """Place in the order of the first login that is kept; the ones before it were with a former version."""
    tried: list[tuple[int, str]]


class Course(NamedTuple):
    """The visits of a device in their order, with what decides how they go; equal ones go alike."""

    kin: Kin
    preferred: int | None
    visits: tuple[Visit, ...]
    truth: tuple[tuple[int, bool], ...]


class Walk(NamedTuple):
    """How a course goes under an order, by visit: what fails (None: unknown), what opens, what had worked last."""

    failed: tuple[tuple[int, ...] | None, ...]
    opened: tuple[int | None, ...]
    preferred: tuple[int | None, ...]


@dataclass
class Ledger:
    """What is replayed: courses with the number of devices that had them, over so many days."""

    courses: Counter[Course]
    days: float
    recorded: int
    """Rejections in the ledger over these days, tests aside; also of what has been corrected since."""


def read_ledger(facts: Facts, days: int = WINDOW_DAYS, now: datetime | None = None) -> Ledger:
    """The courses of all devices over the last `days` days; five queries."""
    now = now or timezone.now()
    start = now - timedelta(days=days)
    in_window = LoginStep.objects.filter(at__gte=start)
    steps = _steps(facts, start)
    known = _known(facts, start, steps)
    domains = _domain_wide(facts)
    before = _opened_before(start)
    courses: Counter[Course] = Counter()
    for device, visits in steps.items():
        about = facts.devices[device]
        usable = facts.usable(about.kin)
        sent: set[int] = set()
        last = preferred = before.get(device)
        course = []
        for at, first, tried in visits:
            sent.update(credential for credential, _ in tried)
            remembered = {
                credential
                for credential in usable - sent
                if _earlier(known.get((device, credential)), at)
                or _earlier(domains.get((about.domain, credential)), at)
            }
            precedence = first > 1 or tried[0][0] == last
            course.append(Visit(tuple(tried), frozenset(remembered), precedence))
            last = next((credential for credential, fate in tried if fate == Fate.ACCEPTED), last)
        pairs = facts.pairs.get(device, {})
        truth = sorted((key, pair.opens) for key in usable if (pair := pairs.get(key)) and pair.opens is not None)
        courses[Course(about.kin, preferred, tuple(course), tuple(truth))] += 1
    oldest = LoginDay.objects.filter(dimension=Dimension.ALL).aggregate(oldest=Min("day"))["oldest"]
    covered = min(float(days), (now.date() - oldest).days + 1.0) if oldest else 0.0
    return Ledger(courses, max(covered, _LEAST_DAYS), in_window.filter(fate=Fate.REJECTED).count())


def _earlier(moment: datetime | None, than: datetime) -> bool:
    return moment is not None and moment < than


def _steps(facts: Facts, start: datetime) -> dict[int, list[_Seen]]:
    """The visits of each device since `start` that a present credential had a part in, in their order."""
    rows = (
        LoginStep.objects.filter(at__gte=start, version=F("credential__version"), credential__enabled=True)
        .order_by("attempt")
        .values_list("attempt", "run", "device_id", "credential_id", "order", "fate", "at")
    )
    visits: dict[int, dict[int, _Seen]] = defaultdict(dict)
    for attempt, run, device, credential, order, fate, at in rows.iterator(chunk_size=10_000):
        if device in facts.devices:
            key = -attempt if run is None else run
            visits[device].setdefault(key, _Seen(at, order, [])).tried.append((credential, fate))
    return {device: sorted(mine.values(), key=lambda seen: seen.at) for device, mine in visits.items()}


def _known(facts: Facts, start: datetime, steps: Mapping[int, list[_Seen]]) -> dict[tuple[int, int], datetime]:
    """Since when a rejection was remembered that is not among the steps: one of before, or of a test."""
    rejected_in_steps = {
        (device, credential)
        for device, visits in steps.items()
        for seen in visits
        for credential, fate in seen.tried
        if fate == Fate.REJECTED
    }
    rows = LoginPair.objects.filter(
        version=F("credential__version"), credential__enabled=True, first_rejected_at__isnull=False
    ).values_list("device_id", "credential_id", "first_rejected_at")
    return {
        (device, credential): at
        for device, credential, at in rows.iterator(chunk_size=10_000)
        if at is not None and device in steps and (at < start or (device, credential) not in rejected_in_steps)
    }


def _domain_wide(facts: Facts) -> dict[tuple[str, int], datetime]:
    """Since when a central credential that opens nothing in an AAA domain was remembered for all of it."""
    rows = (
        LoginPair.objects.filter(
            version=F("credential__version"), credential__enabled=True, credential__scope=AccountScope.CENTRAL
        )
        .values_list("device__aaa_domain", "credential_id")
        .annotate(opened=Sum("accepted"), since=Min("first_rejected_at"))
        .filter(opened=0, since__isnull=False)
        .order_by()
    )
    return {(domain, credential): since for domain, credential, _, since in rows}


def _opened_before(start: datetime) -> dict[int, int]:
    """The credential that had opened each device last before `start`, for devices with visits since."""
    visited = LoginStep.objects.filter(at__gte=start).values("device")
    rows = LoginStep.objects.filter(Q(at__lt=start), fate=Fate.ACCEPTED, device__in=visited).order_by("attempt")
    return dict(rows.values_list("device_id", "credential_id").iterator(chunk_size=10_000))


def walk(course: Course, orders: Orders, undecided: Walk | None = None) -> Walk:
    """How the visits of a course go under an order.

    Without `undecided`, a visit that comes to a credential nothing is known of is itself unknown. With the
    walk under the present order as `undecided`, its unknown visits stay so, and in the others what nothing
    is known of counts as a failure.
    """
    truth = dict(course.truth)
    preferred = course.preferred
    remembered: set[int] = set()
    failed: list[tuple[int, ...] | None] = []
    opened: list[int | None] = []
    before: list[int | None] = []
    for number, visit in enumerate(course.visits):
        if not visit.precedence:
            preferred = None
        before.append(preferred)
        tried = dict(visit.tried)
        # What was sent was not remembered any more: somebody had released it.
        remembered -= tried.keys()
        went = None
        if undecided is None or undecided.failed[number] is not None:
            went = _visit(course.kin, preferred, remembered | visit.known, visit, truth, orders, undecided is None)
        if went is None:
            failed.append(None)
            end = next((credential for credential, fate in visit.tried if fate == Fate.ACCEPTED), None)
        else:
            failed.append(went[0])
            remembered.update(went[0])
            end = went[1]
        opened.append(end)
        if end is not None:
            preferred = end
            remembered.discard(end)
    return Walk(tuple(failed), tuple(opened), tuple(before))


def _visit(
    kin: Kin,
    preferred: int | None,
    remembered: Iterable[int],
    visit: Visit,
    truth: Mapping[int, bool],
    orders: Orders,
    stops_at_unknown: bool,
) -> tuple[tuple[int, ...], int | None] | None:
    """What fails and what opens; None when that is not known."""
    tried = dict(visit.tried)
    failed: list[int] = []
    for credential in orders.tried(kin, preferred, frozenset(remembered)):
        fate = tried.get(credential)
        if fate == Fate.ACCEPTED or (fate is None and truth.get(credential)):
            return tuple(failed), credential
        if fate is not None and fate != Fate.REJECTED:
            return tuple(failed), None  # not answered: nothing is tried after it
        if fate is None and credential not in truth and stops_at_unknown:
            return None
        failed.append(credential)
    return tuple(failed), None
