"""All advice at once, for the page and the command."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from jobs.analytics.advice import LoginlessDevices, Redundant, Verdicts, loginless, redundant, verdicts
from jobs.analytics.facts import Facts, load_facts
from jobs.analytics.ordering import SEARCH_FOR_S, Ordering, best_ordering
from jobs.analytics.replay import WINDOW_DAYS, read_ledger
from jobs.analytics.rollup import counted_up_to


@dataclass(frozen=True)
class Advice:
    """What the ledger advises."""

    ordering: Ordering
    verdicts: Verdicts
    redundant: list[Redundant]
    loginless: LoginlessDevices


def advise(days: int = WINDOW_DAYS, now: datetime | None = None, search_for_s: float = SEARCH_FOR_S) -> Advice:
    """Read what is counted and judge it; `days` are replayed for the order. A fixed number of queries."""
    facts = load_facts()
    ordering = _ordering(facts, days, now or timezone.now(), search_for_s)
    return Advice(ordering, verdicts(facts), redundant(facts), loginless(facts))


# New logins of some minutes change nothing in the advice of weeks; credentials and devices do at once.
_KEPT_FOR_S = 600.0
_kept: tuple[object, float, Ordering] | None = None


def _ordering(facts: Facts, days: int, now: datetime, search_for_s: float) -> Ordering:
    """The best order; for some minutes the last answer again, while credentials and devices stay as they are."""
    global _kept
    key = (facts.orders.state, hash(frozenset(facts.devices.items())), days, search_for_s, bool(counted_up_to()))
    kept = _kept
    if kept is None or kept[0] != key or time.monotonic() > kept[1]:
        found = best_ordering(facts, read_ledger(facts, days, now), search_for_s)
        kept = _kept = (key, time.monotonic() + _KEPT_FOR_S, found)
    return kept[2]


def forget() -> None:
    """Have the next answer made anew."""
    global _kept
    _kept = None
