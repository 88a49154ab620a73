"""Which priorities would have saved failed logins: tried out by replaying the ledger under each of them."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from credentials.models import LEAST_PRIORITY, MOST_PRIORITY
from jobs.analytics.facts import Facts, Kin, Orders, Slot
from jobs.analytics.replay import Course, Ledger, Walk, walk

LEAST_SAVED = 3
"""Failed logins that a change must have saved in the replayed time, and visits that must bear it out."""

SEARCH_FOR_S = 0.5
"""How long a page may look for a better order; the command looks longer."""
_MOST_CHANGES = 6
_MOST_CLASHES = 8
_MOST_KINS = 3


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
    avoided: tuple[Clash, ...]
    is_complete: bool
    """Whether the search ended by itself; else there may be a still better order."""
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


def best_ordering(facts: Facts, ledger: Ledger, limit_s: float = SEARCH_FOR_S) -> Ordering:
    """The few changes of priorities that save most failed logins; greedy, each step replayed.

    It stops looking for better ones after `limit_s` seconds and says so; what it found till then holds.
    """
    search = _Search(facts.orders, ledger, limit_s)
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
        avoided=tuple(search.avoided()),
        is_complete=search.is_complete,
        state=facts.orders.state,
    )


class _Replayed:
    """A course with the number of devices that had it, and how it goes now and under the order reached so far."""

    def __init__(self, course: Course, count: int, orders: Orders) -> None:
        self.course = course
        self.count = count
        self.now = self.went = walk(course, orders)

    @property
    def reached(self) -> int:
        """Failed logins under the order reached so far."""
        return self.cost(self.went)

    def under(self, orders: Orders) -> Walk:
        """How it would go under other orders."""
        return walk(self.course, orders, self.now)

    def cost(self, went: Walk) -> int:
        """Failed logins."""
        return self.count * sum(len(failed) for failed in went.failed if failed is not None)


class _Search:
    def __init__(self, orders: Orders, ledger: Ledger, limit_s: float) -> None:
        self.orders = orders
        self.changes: dict[Slot, int] = {}
        self.is_complete = True
        self.replayed = [_Replayed(course, count, orders) for course, count in ledger.courses.items()]
        self.undecided = sum(each.count * each.now.failed.count(None) for each in self.replayed)
        self.failed_now = self.failed_then = sum(each.reached for each in self.replayed)
        self._clashes_now = _clashes(self.replayed)
        self._until = time.monotonic() + limit_s
        self._tags: dict[int, set[int]] = defaultdict(set)
        for link in orders.links():
            self._tags[link.credential].add(link.tag)

    def is_over(self) -> bool:
        """Whether the time is up; the search is not complete then."""
        if time.monotonic() > self._until:
            self.is_complete = False
        return not self.is_complete

    def run(self) -> None:
        """Take the best move again and again, then drop what turns out not to be needed."""
        while len(self.changes) < _MOST_CHANGES and self.failed_then and not self.is_over():
            best: tuple[int, tuple[int, ...], dict[Slot, int]] | None = None
            for most, move in self._moves():
                if most < (self.failed_then - best[0] if best else LEAST_SAVED):
                    break
                failed = self._failed(move, best[0] if best else self.failed_then - LEAST_SAVED)
                if failed is not None and (best is None or (failed, _effort(move)) < best[:2]):
                    best = (failed, _effort(move), move)
            if best is None:
                break
            self._take(self.changes | best[2])
        for slot in () if self.is_over() else list(self.changes):
            fewer = {key: number for key, number in self.changes.items() if key != slot}
            orders = self.orders.with_priorities(fewer)
            if sum(each.cost(each.under(orders)) for each in self.replayed) <= self.failed_then:
                self._take(fewer)

    def _take(self, changes: dict[Slot, int]) -> None:
        self.changes = changes
        orders = self.orders.with_priorities(changes)
        for each in self.replayed:
            each.went = each.under(orders)
        self.failed_then = sum(each.reached for each in self.replayed)

    def _failed(self, move: dict[Slot, int], most: int) -> int | None:
        """Failed logins after a further move; None as soon as they are more than `most`."""
        orders = self.orders.with_priorities(self.changes | move)
        tags = frozenset().union(*(self._tags[credential] for credential, _ in move))
        touched = [each for each in self.replayed if not tags.isdisjoint(each.course.kin.tags)]
        total = self.failed_then - sum(each.reached for each in touched)
        for each in touched:
            if total > most or self.is_over():
                return None
            total += each.cost(each.under(orders))
        return total if total <= most else None

    def _moves(self) -> list[tuple[int, dict[Slot, int]]]:
        """Numbers that would take a credential that opens before one that fails, where they clash most.

        Each with the most that it can save: whatever fails with, or before, a credential that it moves.
        """
        orders = self.orders.with_priorities(self.changes)
        weights: Counter[tuple[int, int]] = Counter()
        where: dict[tuple[int, int], Counter[Kin]] = defaultdict(Counter)
        for (failing, opening, kin), count in _clashes(self.replayed).items():
            if orders.credentials[opening].is_fallback:
                continue  # stays last, whatever its number
            weights[failing, opening] += count
            where[failing, opening][kin] += count
        found: dict[tuple[tuple[Slot, int], ...], dict[Slot, int]] = {}
        for pair, _ in weights.most_common(_MOST_CLASHES):
            for kin, _ in where[pair].most_common(_MOST_KINS):
                for move in _moves_for(orders, kin, *pair):
                    if all(LEAST_PRIORITY <= number <= MOST_PRIORITY for number in move.values()):
                        found[tuple(sorted(move.items(), key=str))] = move
        concerned: Counter[int] = Counter()
        for (failing, opening), count in weights.items():
            concerned[failing] += count
            concerned[opening] += count
        rated = [(sum(concerned[credential] for credential, _ in move), move) for move in found.values()]
        return sorted(rated, key=lambda each: (-each[0], _effort(each[1])))

    def described(self) -> Iterator[Change]:
        """The changes with their names and the numbers of before."""
        own = {(key, None): each.priority for key, each in self.orders.credentials.items()}
        links = {(link.credential, link.tag): link for link in self.orders.links()}
        for slot, number in sorted(self.changes.items(), key=lambda each: (each[1], str(each[0]))):
            credential, tag = slot
            link = links.get((credential, tag)) if tag is not None else None
            before = link.priority if link else own[credential, None]
            yield Change(
                credential,
                self.orders.credentials[credential].name,
                tag,
                link.tag_name if link else "",
                before,
                number,
            )

    def avoided(self) -> Iterator[Clash]:
        """What fails before what under the present order, and not under the new one."""
        fewer: Counter[tuple[int, int]] = Counter()
        for (failing, opening, _), count in self._clashes_now.items():
            fewer[failing, opening] += count
        for (failing, opening, _), count in _clashes(self.replayed).items():
            fewer[failing, opening] -= count
        name = {key: each.name for key, each in self.orders.credentials.items()}
        for (failing, opening), count in fewer.most_common():
            if count > 0:
                yield Clash(name[failing], name[opening], count)


def _clashes(replayed: Iterable[_Replayed]) -> Counter[tuple[int, int, Kin]]:
    """Which credential fails before which one opens, on devices of which kin, in visits, under the order reached.

    One that had worked there last and fails now is tried first under any order, so it is left out.
    """
    found: Counter[tuple[int, int, Kin]] = Counter()
    for each in replayed:
        went = each.went
        for failed, opened, preferred in zip(went.failed, went.opened, went.preferred, strict=True):
            if failed and opened is not None:
                for failing in failed:
                    if failing != preferred:
                        found[failing, opened, each.course.kin] += each.count
    return found


def _moves_for(orders: Orders, kin: Kin, failing: int, opening: int) -> Iterator[dict[Slot, int]]:
    """Ways to have `opening` tried before `failing` on devices of this kin."""
    both = frozenset([failing, opening])
    standing = {each.credential: each for each in orders.candidates(kin, among=both)}
    if failing not in standing or opening not in standing:
        return
    first, later = standing[failing].priority, standing[opening].priority
    # Where the number of a tag rules, changing the credential's own one saves nothing, and the replay says so.
    yield {(opening, None): first - 1}
    yield {(failing, None): later + 1}
    for link in orders.shared(kin, opening):
        yield {(opening, link.tag): first - 1}
    for link in orders.shared(kin, failing):
        yield {(failing, link.tag): later + 1}


def _effort(move: Mapping[Slot, int]) -> tuple[int, ...]:
    """Of two moves that save as much, the one with fewer numbers, fewer of tags, none below zero, older credentials."""
    tags = sum(tag is not None for _, tag in move)
    below = sum(number < 0 for number in move.values())
    return (len(move), tags, below, *sorted(number for slot in move for number in (slot[0], slot[1] or 0)))
