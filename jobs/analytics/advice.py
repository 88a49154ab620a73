"""What somebody should look at: credentials that never worked or are redundant, devices that nothing opens.

Everything is taken from proofs on single devices, not from rates: a login that was accepted or rejected, in
the present version of the credential. Each finding carries the number of cases that it rests on.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db.models import Count, F, Max, OuterRef, Q, QuerySet, Subquery, Sum

from devices.connector.outcomes import Outcome
from devices.models import Device
from jobs.analytics.facts import Facts
from jobs.choices import ResultStatus
from jobs.kinds.credential_test import CredentialTest
from jobs.models import Result
from jobs.rollups import LoginPair

LEAST_REJECTED = 2
"""Rejections before a credential is called one that never worked.

Not more: the guard stops a wrong password after two or three logins, and it is not sent again.
"""
LEAST_OPENED = 3
"""Devices that a credential opens before it is called redundant."""
LAST_RESULTS = 3
"""Results in a row without a login before a device is called one that nothing opens."""

_FAILED = [Outcome.REJECTED, Outcome.HELD, Outcome.NO_CREDENTIALS, Outcome.PASSWORD_EXPIRED]
# Results that say whether a login works; one that could not reach the device says nothing.
_TELLING = [*_FAILED, Outcome.SUCCESS, Outcome.ENABLE_REJECTED, Outcome.COMMAND_ERROR, Outcome.INCOMPLETE_OUTPUT]


@dataclass(frozen=True)
class NeverWorked:
    """A credential that was rejected wherever it was tried."""

    credential: int
    name: str
    rejected: int
    devices: int
    matched: int
    last_rejected_at: datetime


@dataclass(frozen=True)
class Redundant:
    """A credential whose devices are each opened by another one that is tried before it; names with devices."""

    credential: int
    name: str
    devices: int
    covered_by: tuple[tuple[str, int], ...]


class Trouble(StrEnum):
    """Why nothing opens a device."""

    UNMATCHED = "unmatched"
    REJECTED = "rejected"
    HELD = "held"


@dataclass(frozen=True)
class TroubleInfo:
    """What it is called, what is known, and what to do."""

    label: str
    known: str
    mend: str


TROUBLES: dict[Trouble, TroubleInfo] = {
    Trouble.UNMATCHED: TroubleInfo(
        "Nothing to try",
        "No enabled credential may be tried on it.",
        "Give it a tag of the credential that opens it; over telnet, allow telnet on that credential.",
    ),
    Trouble.REJECTED: TroubleInfo(
        "All rejected",
        "Every credential that may be tried is proven wrong here.",
        "Correct one, or add the one that opens it.",
    ),
    Trouble.HELD: TroubleInfo(
        "Not let in",
        f"The last {LAST_RESULTS} results ended without a login, though not every credential is proven wrong here.",
        "Look for held accounts, then run again.",
    ),
}


@dataclass(frozen=True)
class Loginless:
    """A device without a working credential: how many may be tried on it, and how many are proven wrong there."""

    device: int
    name: str
    trouble: Trouble
    usable: int
    rejected: int


@dataclass(frozen=True)
class LoginlessDevices:
    """Devices without a working credential, by name, and how many were not tried yet."""

    found: list[Loginless]
    untried: int

    @property
    def by_trouble(self) -> dict[Trouble, int]:
        """How many of each."""
        counted = Counter(each.trouble for each in self.found)
        return {trouble: counted[trouble] for trouble in Trouble}


@dataclass(frozen=True)
class Verdicts:
    """Credentials that never worked, with how many have too few logins for a verdict, or none at all."""

    never_worked: list[NeverWorked]
    too_few: int
    untried: int


def verdicts(facts: Facts) -> Verdicts:
    """Judge every enabled credential by the logins of its present version, tests included; one query."""
    rows = (
        LoginPair.objects.filter(version=F("credential__version"), credential__enabled=True)
        .order_by()
        .values("credential_id")
        .annotate(
            opened=Sum("accepted"),
            refused=Sum("rejected"),
            places=Count("pk", filter=Q(rejected__gt=0)),
            last=Max("rejected_at"),
        )
    )
    by_credential = {row["credential_id"]: row for row in rows}
    refused = [row for row in by_credential.values() if not row["opened"] and row["refused"]]
    names = facts.orders.credentials
    matched = _matched(facts) if refused else Counter()
    never = [
        NeverWorked(key, names[key].name, row["refused"], row["places"], matched[key], row["last"])
        for row in refused
        if row["refused"] >= LEAST_REJECTED and (key := row["credential_id"]) in names
    ]
    never.sort(key=lambda each: (-each.matched, each.name))
    return Verdicts(never, len(refused) - len(never), len(names.keys() - by_credential.keys()))


def _matched(facts: Facts) -> Counter[int]:
    """On how many devices each credential would be tried."""
    found: Counter[int] = Counter()
    for kin, count in facts.kins.items():
        for credential in facts.usable(kin):
            found[credential] += count
    return found


def redundant(facts: Facts) -> list[Redundant]:
    """Credentials that would not be missed, by what is proven.

    Not among them: fallback credentials, which are kept for the day when nothing else works, and those that
    match a device which nothing else is proven to open.
    """
    covered: dict[int, Counter[int]] = defaultdict(Counter)
    needed: set[int] = set()
    names = facts.orders.credentials
    for device, about in facts.devices.items():
        opening = [key for key in facts.opening(device) if not names[key].is_fallback]
        if opening:
            # Only the first one covers others: it is needed itself, so all that it covers may go at once.
            needed.add(opening[0])
            for later in opening[1:]:
                covered[later][opening[0]] += 1
        else:
            pairs = facts.pairs.get(device, {})
            needed.update(
                each for each in facts.usable(about.kin) if (pair := pairs.get(each)) is None or pair.opens is not False
            )
    found = [
        Redundant(
            key, names[key].name, by.total(), tuple((names[other].name, count) for other, count in by.most_common())
        )
        for key, by in covered.items()
        if key not in needed and by.total() >= LEAST_OPENED
    ]
    return sorted(found, key=lambda each: (-each.devices, each.name))


def loginless(facts: Facts) -> LoginlessDevices:
    """Devices that no credential is known to open: none matches, all are proven wrong, or the last results failed."""
    found: list[Loginless] = []
    open_question: dict[int, tuple[int, int]] = {}
    untried = 0
    for device, about in facts.devices.items():
        if facts.opening(device):
            continue
        usable = facts.usable(about.kin)
        pairs = facts.pairs.get(device, {})
        wrong = sum(1 for each in usable if (pair := pairs.get(each)) and pair.opens is False)
        if not usable or wrong == len(usable):
            trouble = Trouble.REJECTED if usable else Trouble.UNMATCHED
            found.append(Loginless(device, about.name, trouble, len(usable), wrong))
        else:
            open_question[device] = (len(usable), wrong)
    failing = _failing_lately(open_question)
    for device, (count, wrong) in open_question.items():
        if device in failing:
            found.append(Loginless(device, facts.devices[device].name, Trouble.HELD, count, wrong))
        else:
            untried += 1
    found.sort(key=lambda each: each.name)
    return LoginlessDevices(found, untried)


def _failing_lately(devices: Mapping[int, object]) -> set[int]:
    """Those of the devices whose last results all ended without a login; one query."""
    if not devices:
        return set()
    telling = _telling_outcomes()
    rows = Device.objects.filter(enabled=True).order_by()
    if len(devices) <= 500:
        rows = rows.filter(pk__in=list(devices))
    for number in range(LAST_RESULTS):
        rows = rows.annotate(**{f"result_{number}": Subquery(telling[number : number + 1])})
        rows = rows.filter(**{f"result_{number}__in": _FAILED})
    return set(rows.values_list("pk", flat=True)) & devices.keys()


def _telling_outcomes() -> QuerySet[Result, Any]:
    """Of the device of an outer query: how its results ended that say whether a login works, newest first.

    Without tests of credentials: one that is tried by itself may well be the wrong one.
    """
    results = Result.objects.filter(device=OuterRef("pk"), status=ResultStatus.DONE, outcome__in=_TELLING)
    return results.exclude(run__kind=CredentialTest.name).order_by("-pk").values("outcome")


@dataclass(frozen=True)
class LoginlessDetail:
    """A device of the list with what its page of the list shows."""

    device: Device
    about: Loginless
    opened_at: datetime | None
    opened_by: str
    outcomes: list[str]


def loginless_details(page: Sequence[Loginless]) -> list[LoginlessDetail]:
    """When and by what the devices of a page were last opened, and their last results, newest first; three queries."""
    ids = [each.device for each in page]
    devices = Device.objects.in_bulk(ids)
    opened: dict[int, tuple[datetime | None, str]] = {}
    pairs = LoginPair.objects.filter(device__in=ids, accepted_at__isnull=False).order_by("accepted_at")
    for device, at, name in pairs.values_list("device_id", "accepted_at", "credential__name"):
        opened[device] = (at, name)
    telling = _telling_outcomes()
    rows = Device.objects.filter(pk__in=ids).order_by()
    names = [f"result_{number}" for number in range(LAST_RESULTS)]
    for number, name in enumerate(names):
        rows = rows.annotate(**{name: Subquery(telling[number : number + 1])})
    outcomes = {row["pk"]: [row[name] for name in names if row[name]] for row in rows.values("pk", *names)}
    return [
        LoginlessDetail(
            devices[each.device],
            each,
            *opened.get(each.device, (None, "")),
            outcomes.get(each.device, []),
        )
        for each in page
        if each.device in devices
    ]
