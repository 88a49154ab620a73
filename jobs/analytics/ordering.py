"""Which priorities would have saved failed logins: tried out by replaying the ledger under each of them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from jobs.analytics.facts import Facts, Kin, Orders, Slot
from jobs.analytics.replay import Course, Ledger, Walk, walk

LEAST_SAVED = 3
"""Failed logins that a change must have saved in the replayed time, and visits that must bear it out."""

_MOST_CHANGES = 6
_MOST_CLASHES = 8
# Beyond what the forms take.
_LIMIT = 1_000_000


@dataclass(frozen=True)
class Change:
    """One number that is to change: a credential's own priority, or the one that hangs on one of its tags."""

    credential: int
    name: str
    tag: int | None
    tag_name: str
    before: int | None
    after: int


@dataclass(frozen=True)
class Clash:
    """A credential that was rejected before another one opened the device, under the present order."""

    rejected: str
    opened: str
    visits: int


@dataclass(frozen=True)
class Ordering:
    """What the replay found; without `changes` no other order is known to be better."""

    changes: tuple[Change, ...]
    days: float
    visits: int
    undecided: int
    recorded: int
    failed_now: int
    failed_then: int
    clashes: tuple[Clash, ...]
    state: str
    """What was replayed under: priorities, tags and versions of all credentials, as a digest."""

    @property
    def saved(self) -> int:
        """Failed logins less in the replayed time."""
        return self.failed_now - self.failed_then

    @property
    def saved_a_week(self) -> float:
        """Failed logins less in seven days."""
        return self.saved * 7 / self.days


def state_of(orders: Orders) -> str:
    """A digest of everything that decides the order of credentials."""
    rows = [
        sorted((each.id, each.version, each.priority, each.is_fallback, each.allow_telnet) for each in orders.credentials.values()),
        sorted((link.credential, link.tag, link.priority is None, link.priority or 0) for link in orders.links()),
    ]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def best_ordering(facts: Facts, ledger: Ledger) -> Ordering:
    """The few changes of priorities that save most failed logins; greedy, each step replayed."""
    search = _Search(facts.orders, ledger)
    search.run()
    visits = sum(len(course.visits) * count for course, count in ledger.courses.items())
    return Ordering(
        changes=tuple(search.described()),
        days=ledger.days,
        visits=visits - search.undecided,
        undecided=search.undecided,
        recorded=ledger.recorded,
        failed_now=search.failed_now,
        failed_then=search.failed_then,
        clashes=tuple(search.clashes()),
        state=state_of(facts.orders),
    )


class _Effect(NamedTuple):
    slot: Slot
    number: int


@dataclass
class _Search:
    orders: Orders
    ledger: Ledger
    changes: dict[Slot, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.now: dict[Course, Walk] = {course: walk(course, self.orders) for course in self.ledger.courses}
        self.undecided = sum(
            count * went.failed.count(None) for course, count in self.ledger.courses.items() for went in [self.now[course]]
        )
        self.cost = {course: self._cost(course, went) for course, went in self.now.items()}
        self.failed_now = self.failed_then = sum(self.cost.values())
        # Only courses with a failure can gain; the others can only lose, and are asked last.
        self.by_cost = sorted(self.ledger.courses, key=lambda course: -self.cost[course])

    def _cost(self, course: Course, went: Walk) -> int:
        return self.ledger.courses[course] * sum(len(failed) for failed in went.failed if failed is not None)

    def run(self) -> None:
        """Take the best move again and again, then drop what turns out not to be needed."""
        while len(self.changes) < _MOST_CHANGES and self.failed_then:
            tried = [(self._failed(self.changes | move), move) for move in self._moves()]
            better = [(failed, move) for failed, move in tried if failed is not None]
            if not better:
                break
            failed, move = min(better, key=lambda each: (each[0], _effort(each[1])))
            self._take(self.changes | move, failed)
        for slot in list(self.changes):
            fewer = {key: number for key, number in self.changes.items() if key != slot}
            failed = self._total(fewer)
            if failed <= self.failed_then:
                self._take(fewer, failed)

    def _take(self, changes: dict[Slot, int], failed: int) -> None:
        self.changes, self.failed_then = changes, failed

    def _total(self, changes: Mapping[Slot, int]) -> int:
        orders = self.orders.with_priorities(changes)
        return sum(self._cost(course, walk(course, orders, self.now[course])) for course in self.by_cost)

    def _failed(self, changes: Mapping[Slot, int]) -> int | None:
        """Failed logins under these changes; None as soon as it cannot be enough of an improvement."""
        orders = self.orders.with_priorities(changes)
        total, left = 0, self.failed_now
        for course in self.by_cost:
            left -= self.cost[course]
            total += self._cost(course, walk(course, orders, self.now[course]))
            if total > self.failed_then - LEAST_SAVED:
                return None
        return total

    # --- what may be tried ------------------------------------------------------------------------
    def _clashing(self) -> Counter[tuple[int, int, Kin]]:
        """Who fails before whom on devices of which kin, in device visits, under the order reached so far."""
        orders = self.orders.with_priorities(self.changes)
        found: Counter[tuple[int, int, Kin]] = Counter()
        for course, count in self.ledger.courses.items():
            went = walk(course, orders, self.now[course])
            for failed, opened in zip(went.failed, went.opened, strict=True):
                if failed and opened is not None:
                    for each in failed:
                        found[each, opened, course.kin] += count
        return found
