"""The one place of a shard that writes to the database: device threads hand their writes over, in batches."""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from django.db import Error, connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from credentials import audit
from jobs.choices import ShardStatus
from jobs.engine import drain, trouble
from jobs.engine.runs import LEASE
from jobs.models import Run, Shard

logger = logging.getLogger(__name__)

_RENEW_EVERY_S = 5.0
_BATCH = 200
# How long a write that a thread waits for waits for others to share its transaction: a transaction costs about the
# same for one as for ten, so the more processor time they take, the more are gathered for the next.
_LEAST_GATHER_S = 0.01
_MOST_GATHER_S = 0.1
_GATHER_FACTOR = 5.0
# How long one that nobody waits for does.
_LINGER_S = 0.25
_TRIES_WHILE_DRAINING = 3
_LONGEST_PAUSE_S = 2.0
PATIENCE_S = 600.0
"""How long a shard waits for a database that is full, locked or away, with what its devices said in hand."""

Row = TypeVar("Row")
Answer = TypeVar("Answer")


class LostLease(Exception):
    """Another worker holds this shard by now: nothing more may be written."""


def must_hold(mine: QuerySet[Shard]) -> None:
    """Lock the shard that `mine` finds while it is ours; raises LostLease when it is not. Within a transaction."""
    if not mine.select_for_update().values_list("pk", flat=True):
        raise LostLease("Another worker has taken this shard over.")


@dataclass(frozen=True)
class Desk(Generic[Row, Answer]):
    """A kind of write that is done for all rows of a batch at once; the lower `order` is done first.

    `do` may be called again with the same rows, after a rollback, together or one by one.
    """

    order: int
    do: Callable[[list[Row]], Sequence[Answer]]


@dataclass
class _Item:
    desk: Desk[Any, Any]
    row: Any
    done: Callable[[Any], None]
    failed: Callable[[BaseException], None]
    urgent: bool
    flush: bool = False
    at: float = field(default_factory=time.monotonic)


_PLAIN: Desk[Callable[[], Any], Any] = Desk(0, lambda works: [work() for work in works])


class Writer:
    """Runs the writes of a shard's threads in the shard's main thread, several in one transaction."""

    def __init__(self, shard: int, fence: int) -> None:
        self._shard = shard
        self._fence = fence
        self._mine = Shard.objects.filter(pk=shard, fence=fence, status=ShardStatus.RUNNING)
        self._inbox: deque[_Item] = deque()
        self._changed = threading.Condition()
        self._lost: LostLease | None = None
        self._nudged = False
        self._renewed_at = time.monotonic()
        self._written = 0
        self._gather_s = _LEAST_GATHER_S
        self._is_shown = False
        self.waited_s = 0.0
        """Seconds that the database has kept everything waiting, all in all."""
        self._hold_sql = (
            f"UPDATE {connection.ops.quote_name(Shard._meta.db_table)} SET written = %s "  # noqa: S608
            f"WHERE id = %s AND fence = %s AND status = '{ShardStatus.RUNNING.value}'"
        )

    # --- from device threads ----------------------------------------------------------------------
    def ask(self, desk: Desk[Row, Answer], row: Row, *, flush: bool = False) -> Answer:
        """Have it written, wait, and get its answer or its exception; with `flush` after all that was put before."""
        told = threading.Event()
        answers: list[Answer] = []
        problems: list[BaseException] = []

        def done(answer: Answer) -> None:
            answers.append(answer)
            told.set()

        def failed(problem: BaseException) -> None:
            problems.append(problem)
            told.set()

        self._put(_Item(desk, row, done, failed, urgent=True, flush=flush))
        told.wait()
        if problems:
            raise problems[0]
        return answers[0]

    def call(self, work: Callable[[], Answer]) -> Answer:
        """Have a piece of work done that is like no other, wait, and get its answer or its exception."""
        plain: Desk[Callable[[], Answer], Answer] = _PLAIN
        return self.ask(plain, work)

    def put(
        self,
        desk: Desk[Row, Answer],
        row: Row,
        done: Callable[[Answer], None],
        failed: Callable[[BaseException], None],
        *,
        urgent: bool = False,
    ) -> None:
        """Have it written soon, and go on; one of the two is called in the main thread when it is known."""
        self._put(_Item(desk, row, done, failed, urgent))

    def nudge(self) -> None:
        """End a wait of the main thread."""
        with self._changed:
            self._nudged = True
            self._changed.notify()

    def _put(self, item: _Item) -> None:
        with self._changed:
            lost = self._lost
            if lost is None:
                self._inbox.append(item)
                if item.urgent or len(self._inbox) == 1:
                    self._changed.notify()
        # Whoever comes after the last one was told must not wait for ever.
        if lost is not None:
            item.failed(lost)

    # --- from the main thread ---------------------------------------------------------------------
    def wait(self, wait_s: float) -> None:
        """Wait until there is something to write or a nudge, and a moment longer: threads come in swarms."""
        end = time.monotonic() + wait_s
        with self._changed:
            while (left := min(end, self._due()) - time.monotonic()) > 0:
                if self._nudged or any(item.urgent for item in self._inbox):
                    break
                self._changed.wait(left)
            self._nudged = False
        if left > 0:
            time.sleep(self._gather_s)

    def _due(self) -> float:
        """When the oldest write that nobody waits for has waited for long enough."""
        return self._inbox[0].at + _LINGER_S if self._inbox else float("inf")

    def serve(self) -> None:
        """Write what is due.

        Raises LostLease when another worker took the shard over, and the database's own error when it kept
        everything waiting for too long.
        """
        batch = self._take()
        if batch or time.monotonic() - self._renewed_at >= _RENEW_EVERY_S:
            self._deliver(batch)

    def write(self, desk: Desk[Row, Answer], row: Row) -> Answer:
        """Write now, with whatever else is due; raises as `serve` does."""
        answers: list[Answer] = []
        problems: list[BaseException] = []
        self._deliver([_Item(desk, row, answers.append, problems.append, urgent=True), *self._take()])
        if problems:
            raise problems[0]
        return answers[0]

    def drain(self) -> None:
        """Write everything that was handed over."""
        while batch := self._take(everything=True):
            self._deliver(batch)

    def _take(self, everything: bool = False) -> list[_Item]:
        """The next batch: what threads wait for, and everything when the oldest has waited for long enough."""
        with self._changed:
            everything |= self._due() <= time.monotonic() or any(item.flush for item in self._inbox)
            batch = [item for item in self._inbox if everything or item.urgent][:_BATCH]
            chosen = {id(item) for item in batch}
            self._inbox = deque(item for item in self._inbox if id(item) not in chosen)
        return batch

    def _deliver(self, batch: list[_Item]) -> None:
        began = time.thread_time()  # waiting for others at the database is no reason to wait still longer
        try:
            answers = self._commit(batch)
        except BaseException as error:
            lost = error if isinstance(error, LostLease) else LostLease(f"The database did not answer: {error}")
            self.fail_all(lost, batch)
            raise
        taken = time.thread_time() - began
        self._gather_s = min(max(_GATHER_FACTOR * taken, _LEAST_GATHER_S), _MOST_GATHER_S)
        for item, (answer, problem) in zip(batch, answers, strict=True):
            if problem is None:
                item.done(answer)
            else:
                item.failed(problem)

    def _commit(self, batch: list[_Item]) -> list[tuple[Any, BaseException | None]]:
        """Do a batch in one transaction; again while the database is in trouble, and one by one if it is not.

        So a write that cannot be done, such as one for a device that was deleted meanwhile, fails alone.
        """
        number, tries, began = self._written + 1, 0, time.monotonic()
        while True:
            answers: list[tuple[Any, BaseException | None]] | None = None
            try:
                with transaction.atomic():
                    self._hold_lease(number)
                    with audit.collected():
                        answers = _do(batch)
                self._written = number
                if self._is_shown:
                    self._show("")
                return answers
            except LostLease:
                raise
            except Error as error:
                tries += 1
                if trouble.passes(error):
                    self._be_patient(error, tries, began, len(batch))
                    if answers is not None and self._is_written(number):
                        # The commit went through; only the answer was lost with the connection.
                        self._written = number
                        return answers
                    continue
                if len(batch) == 1:
                    return [(None, error)]
            except Exception as error:  # noqa: BLE001 - belongs to whoever asked, and is handed over
                if len(batch) == 1:
                    return [(None, error)]
            return [self._commit([item])[0] for item in batch]

    def _be_patient(self, error: Error, tries: int, began: float, count: int) -> None:
        """Wait before the next try; raises `error` when there have been enough."""
        waited = time.monotonic() - began
        if waited > PATIENCE_S or (drain.is_draining() and tries >= _TRIES_WHILE_DRAINING):
            raise error
        if tries == 3 or tries % 30 == 0:
            words = trouble.in_words(error)
            logger.error("%s %s writes of shard %s wait; nothing of them is lost.", words, count, self._shard)
            if trouble.is_full(error):
                self._show(words)
        pause = min(0.05 * 2 ** min(tries, 8), _LONGEST_PAUSE_S) * random.uniform(0.5, 1.0)
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
        time.sleep(pause)
        self.waited_s += pause
        if time.monotonic() - self._renewed_at >= _RENEW_EVERY_S:
            self._renew_alone()

    def _renew_alone(self) -> None:
        """Stay the holder while batches fail, if the database takes as little as that."""
        try:
            held = self._mine.update(lease_until=timezone.now() + LEASE, suspected_at=None)
        except Error:
            return
        self._renewed_at = time.monotonic()
        if not held:
            raise LostLease("Another worker has taken this shard over.")

    def _show(self, words: str) -> None:
        """Tell people what the run waits for, if the database takes as little as that; empty when it goes on."""
        with contextlib.suppress(Error):
            Run.objects.filter(shards=self._shard).update(message=words)
        self._is_shown = bool(words)

    def _is_written(self, number: int) -> bool:
        return trouble.persist(self._mine.filter(written=number).exists)

    def _hold_lease(self, number: int) -> None:
        """Within the transaction: make sure that the shard is still ours, stay its holder, and number the batch."""
        now = time.monotonic()
        if now - self._renewed_at >= _RENEW_EVERY_S:
            held = self._mine.update(lease_until=timezone.now() + LEASE, suspected_at=None, written=number)
            self._renewed_at = now
        else:
            with connection.cursor() as cursor:
                cursor.execute(self._hold_sql, [number, self._shard, self._fence])
                held = cursor.rowcount
        if not held:
            raise LostLease("Another worker has taken this shard over.")

    def fail_all(self, error: LostLease, batch: Sequence[_Item] = ()) -> None:
        """Let no thread wait for ever."""
        with self._changed:
            self._lost = error
            left = [*batch, *self._inbox]
            self._inbox.clear()
        for item in left:
            item.failed(error)


def _do(batch: Sequence[_Item]) -> list[tuple[Any, BaseException | None]]:
    """Each desk once, with all rows that are for it; the answers in the order of the batch."""
    desks: dict[int, tuple[Desk[Any, Any], list[int]]] = {}
    for place, item in enumerate(batch):
        desks.setdefault(id(item.desk), (item.desk, []))[1].append(place)
    answers: list[tuple[Any, BaseException | None]] = [(None, None)] * len(batch)
    for desk, places in sorted(desks.values(), key=lambda pair: pair[0].order):
        for place, answer in zip(places, desk.do([batch[place].row for place in places]), strict=True):
            answers[place] = (answer, None)
    return answers
