"""The one place of a shard that writes to the database: device threads hand their writes over, in batches."""

from __future__ import annotations

import logging
import queue
import random
import time
from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from typing import Any, TypeVar

from django.db import OperationalError, connection, transaction
from django.utils import timezone

from jobs.choices import ShardStatus
from jobs.models import Shard

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)
_RENEW_EVERY = timedelta(seconds=5)
_BATCH = 50
_TRIES = 6
_T = TypeVar("_T")
_Job = tuple[Callable[[], Any], "Future[Any]"]
_Answer = tuple["Future[Any]", Any, BaseException | None]


class LostLease(Exception):
    """Another worker holds this shard by now: nothing more may be written."""


class Writer:
    """Runs the writes of a shard's threads in the shard's main thread, several in one transaction."""

    def __init__(self, shard: int, fence: int) -> None:
        self._shard = shard
        self._fence = fence
        self._queue: queue.Queue[_Job] = queue.Queue()
        self._lost: LostLease | None = None
        self._renewed_at = timezone.now()

    def call(self, work: Callable[[], _T]) -> _T:
        """From a device thread: have it done, wait, and get its answer or its exception."""
        if self._lost is not None:
            raise self._lost
        future: Future[_T] = Future()
        self._queue.put((work, future))
        self._refuse_late(future)
        return future.result()

    def _refuse_late(self, future: Future[Any]) -> None:
        """Whoever put its work in after the last one was told must not wait for ever."""
        if self._lost is not None and not future.done():
            future.set_exception(self._lost)

    def serve(self, wait_s: float) -> None:
        """From the main thread: do what waits, waiting up to `wait_s` seconds for the first of it.

        Raises LostLease when another worker took the shard over.
        """
        batch: list[_Job] = []
        try:
            batch.append(self._queue.get(timeout=wait_s))
            while len(batch) < _BATCH:
                batch.append(self._queue.get_nowait())
        except queue.Empty:
            pass
        if not batch and timezone.now() - self._renewed_at < _RENEW_EVERY:
            return
        try:
            answers = self._commit(batch)
        except LostLease as lost:
            self.fail_all(lost, batch)
            raise
        except Exception as error:
            logger.exception("a batch of writes failed")
            for _, future in batch:
                future.set_exception(error)
            return
        for future, answer, problem in answers:
            if problem is None:
                future.set_result(answer)
            else:
                future.set_exception(problem)

    def _commit(self, batch: list[_Job]) -> list[_Answer]:
        """Do a batch in one transaction, again when the database says that it may work out next time.

        Such as a deadlock with another worker's batch, a lock held for too long, or a lost connection.
        """
        tries = 0
        while True:
            try:
                with transaction.atomic():
                    self._hold_lease()
                    return [_run(work, future) for work, future in batch]
            except OperationalError:
                tries += 1
                if tries >= _TRIES:
                    raise
                logger.warning("a batch of %s writes is done again (try %s)", len(batch), tries + 1)
                if not connection.in_atomic_block:
                    connection.close_if_unusable_or_obsolete()
                time.sleep(random.uniform(0.05, 0.3) * tries)

    def _hold_lease(self) -> None:
        """Within the transaction: make sure that the shard is still ours, and stay its holder."""
        now = timezone.now()
        if now - self._renewed_at >= _RENEW_EVERY:
            held = Shard.objects.filter(pk=self._shard, fence=self._fence, status=ShardStatus.RUNNING).update(
                lease_until=now + LEASE
            )
            self._renewed_at = now
        else:
            mine = Shard.objects.filter(pk=self._shard, fence=self._fence, status=ShardStatus.RUNNING)
            held = len(mine.select_for_update().values_list("pk"))
        if not held:
            raise LostLease("Another worker has taken this shard over.")

    def fail_all(self, error: LostLease, batch: list[_Job]) -> None:
        """Let no thread wait for ever."""
        self._lost = error
        while True:
            try:
                batch.append(self._queue.get_nowait())
            except queue.Empty:
                break
        for _, future in batch:
            if not future.done():
                future.set_exception(error)


def _run(work: Callable[[], Any], future: Future[Any]) -> _Answer:
    try:
        # A savepoint of its own: on PostgreSQL one failed statement would fail the whole batch.
        with transaction.atomic():
            answer = work()
            # Foreign keys are checked at the commit otherwise, where one deleted row would fail the whole batch.
            connection.check_constraints()
        return future, answer, None
    except OperationalError:
        raise  # the database's own trouble: the whole batch is done again
    except Exception as error:  # noqa: BLE001 - belongs to the thread that asked, and is handed to it
        return future, None, error
