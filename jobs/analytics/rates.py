"""How logins ended over time: by credential, and by tag, platform and site of the devices."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import QuerySet, Sum
from django.utils import timezone

from credentials.models import Credential
from jobs.rollups import Dimension, LoginDay

LEAST_ANSWERED = 10
"""Accepted and rejected logins below which a rate says nothing and is not shown."""

_COUNTS = ("accepted", "rejected", "unanswered", "other")


class Counts(NamedTuple):
    """Logins by what became of the secret."""

    accepted: int = 0
    rejected: int = 0
    unanswered: int = 0
    other: int = 0

    @property
    def logins(self) -> int:
        """All of them."""
        return sum(self)

    @property
    def answered(self) -> int:
        """Those that prove something: the sample of the rates."""
        return self.accepted + self.rejected

    @property
    def is_enough(self) -> bool:
        """Whether the sample is large enough for a rate."""
        return self.answered >= LEAST_ANSWERED

    @property
    def success_rate(self) -> float | None:
        """Accepted in percent of the answered; None when there are too few."""
        return 100 * self.accepted / self.answered if self.is_enough else None

    @property
    def rejection_rate(self) -> float | None:
        """Rejected in percent of the answered; None when there are too few."""
        return 100 * self.rejected / self.answered if self.is_enough else None


@dataclass(frozen=True)
class Group:
    """The logins of one credential, tag, platform or site; `key` selects it."""

    key: str
    label: str
    counts: Counts
    exists: bool = True


@dataclass(frozen=True)
class CredentialUse:
    """A credential with its logins, and when it was last used and last worked, tests included."""

    id: int
    name: str
    enabled: bool
    priority: int
    counts: Counts
    last_used_at: datetime | None
    last_success_at: datetime | None


@dataclass(frozen=True)
class Day:
    """The logins of one day (UTC)."""

    day: date
    counts: Counts


@dataclass(frozen=True)
class Rates:
    """Logins of the last days: day by day, and by group; with a value chosen, that value's by credential."""

    by: Dimension
    days: int
    tests: bool
    value: str | None
    label: str
    total: Counts
    series: list[Day]
    groups: list[Group] = field(default_factory=list)


def rates(
    by: Dimension = Dimension.ALL,
    days: int = 30,
    *,
    value: str | None = None,
    tests: bool = False,
    now: datetime | None = None,
) -> Rates:
    """The logins of the last `days` days, today included; three queries.

    `value` chooses one credential (by its id as text), tag, platform or site. Tests are counted apart.
    """
    last = (now or timezone.now()).date()
    first = last - timedelta(days=days - 1)
    rows = LoginDay.objects.filter(dimension=by, day__range=(first, last), is_test=tests)
    if value is not None:
        rows = rows.filter(credential=_number(value)) if by == Dimension.ALL else rows.filter(value=value)
    # A device has several tags, so their logins do not add up to all logins; those have rows of their own.
    whole = rows if value is not None or by != Dimension.TAG else _whole(first, last, tests)
    by_day = {row["day"]: _counts(row) for row in _summed(whole, "day")}
    series = [Day(day, by_day.get(day, Counts())) for day in (first + timedelta(days=n) for n in range(days))]
    by_credential = by == Dimension.ALL or value is not None
    found = [
        (row["credential" if by_credential else "value"], _counts(row))
        for row in _summed(rows, "credential" if by_credential else "value")
    ]
    groups = (
        _named(found)
        if by_credential
        else [Group(str(key), str(key) or f"(no {by.label.lower()})", counts) for key, counts in found]
    )
    groups.sort(key=lambda group: (-group.counts.logins, group.label))
    return Rates(
        by, days, tests, value, _label(by, value, groups), _added(day.counts for day in series), series, groups
    )


def credential_uses(days: int = 30, now: datetime | None = None) -> list[CredentialUse]:
    """Every credential with its logins of the last `days` days, tests aside, in the order of priority; two queries."""
    last = (now or timezone.now()).date()
    rows = _summed(_whole(last - timedelta(days=days - 1), last, tests=False), "credential")
    counts = {row["credential"]: _counts(row) for row in rows}
    fields = ("id", "name", "enabled", "priority", "last_used_at", "last_success_at")
    return [
        CredentialUse(**row, counts=counts.get(row["id"], Counts()))
        for row in Credential.objects.order_by("-enabled", "priority", "id").values(*fields)
    ]


def _whole(first: date, last: date, tests: bool) -> QuerySet[LoginDay]:
    return LoginDay.objects.filter(dimension=Dimension.ALL, day__range=(first, last), is_test=tests)


def _summed(rows: QuerySet[LoginDay], key: str) -> Iterable[dict[str, Any]]:
    found: Iterable[dict[str, Any]] = (
        rows.order_by().values(key).annotate(**{f"{name}_": Sum(name) for name in _COUNTS})
    )
    return found


def _counts(row: dict[str, Any]) -> Counts:
    return Counts(*(row[f"{name}_"] for name in _COUNTS))


def _added(found: Iterable[Counts]) -> Counts:
    return Counts(*(sum(numbers) for numbers in zip(Counts(), *found, strict=True)))


def _named(found: list[tuple[int, Counts]]) -> list[Group]:
    names = dict(Credential.objects.filter(pk__in=[key for key, _ in found]).values_list("pk", "name"))
    return [
        Group(str(key), names.get(key) or (f"deleted, was #{key}" if key else "deleted"), counts, key in names)
        for key, counts in found
    ]


def _number(value: str) -> int:
    return int(value) if value.isdecimal() and len(value) < 19 else -1


def _label(by: Dimension, value: str | None, groups: list[Group]) -> str:
    if value is None:
        return ""
    if by == Dimension.ALL:
        return groups[0].label if groups else ""
    return value or f"(no {by.label.lower()})"
