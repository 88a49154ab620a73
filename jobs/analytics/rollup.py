"""Counting new login attempts into the roll-ups, in small batches that are counted once or not at all.

A mark says up to which attempt everything is counted. Batch and mark move in one transaction, and the mark
only from the value that was read before: of several workers one wins a batch, and a worker that is killed
leaves nothing half-counted.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from django.db import OperationalError, connection, transaction
from django.db.models import Max

from jobs.analytics.statements import statements, table
from jobs.models import Attempt
from jobs.rollups import RollUpMark

logger = logging.getLogger(__name__)

# About 50 ms of writing on SQLite, which has one writer at a time.
BATCH = 2_000
_MARK = "logins"
_LOCK_WAIT_MS = 200
# After each batch the others get as long a turn as the batch took, but not longer than this.
_MOST_PAUSE_S = 0.1


@dataclass(frozen=True)
class RollUp:
    """What a call did: attempts counted, and whether nothing is left to count."""

    counted: int
    is_complete: bool


def roll_up(limit_s: float = 5.0) -> RollUp:
    """Count the attempts that are not counted yet, for about `limit_s` seconds; two queries when there are none."""
    until = time.monotonic() + limit_s
    counted = 0
    try:
        mark, top = _mark(), _newest()
        while mark < top:
            began = time.monotonic()
            end, count = _batch_end(mark, top)
            if _count(mark, end):
                counted += count
            mark = _mark()
            now = time.monotonic()
            if now >= until:
                break
            if mark < top:
                time.sleep(min(now - began, _MOST_PAUSE_S))
    except OperationalError as error:
        # Somebody else holds a lock for too long; what is not counted now is counted by the next call.
        logger.warning("login attempts are counted later: %s", error)
        return RollUp(counted, False)
    return RollUp(counted, mark >= top)


def counted_up_to() -> int:
    """The id of the attempt up to which everything is counted."""
    return _mark()


def not_counted() -> int:
    """How many attempts are not counted yet; no more than 100,000 are looked for."""
    return Attempt.objects.filter(pk__gt=_mark())[:100_000].count()


def _mark() -> int:
    found = RollUpMark.objects.filter(name=_MARK).values_list("attempt", flat=True).first()
    return RollUpMark.objects.get_or_create(name=_MARK)[0].attempt if found is None else found


def _newest() -> int:
    """The newest attempt below which no other can appear any more."""
    if connection.vendor != "postgresql":
        # One writer at a time: attempts are committed in the order of their ids.
        return _greatest()
    if _greatest() <= _mark():
        return 0
    with transaction.atomic(), connection.cursor() as cursor:
        # A transaction that has drawn a lower id may not have committed yet. Each holds the table's writer
        # lock before it draws one, so when we get this lock there is none.
        cursor.execute(f"SET LOCAL lock_timeout = {_LOCK_WAIT_MS}")
        cursor.execute(f"LOCK TABLE {table(Attempt)} IN SHARE MODE")
        return _greatest()


def _greatest() -> int:
    return Attempt.objects.aggregate(top=Max("pk"))["top"] or 0


def _batch_end(mark: int, top: int) -> tuple[int, int]:
    """The last attempt of the batch after `mark`, and how many there are in it."""
    ids = Attempt.objects.filter(pk__gt=mark, pk__lte=top).order_by("pk").values_list("pk", flat=True)
    last = ids[BATCH - 1 : BATCH].first()
    return (last, BATCH) if last is not None else (top, ids.count())


@transaction.atomic
def _count(mark: int, end: int) -> bool:
    """Count the attempts after `mark` up to `end`; False when another worker has counted them meanwhile."""
    if not RollUpMark.objects.filter(name=_MARK, attempt=mark).update(attempt=end):
        return False
    with connection.cursor() as cursor:
        for statement in statements():
            cursor.execute(statement, {"mark": mark, "end": end})
    return True
