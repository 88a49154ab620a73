"""Kinds of jobs that work on NetRaven's own data: performed in a worker's main thread, under a kept lease."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connections, transaction
from django.utils import timezone

from jobs.choices import RunStatus, ShardStatus
from jobs.engine import drain, trouble
from jobs.engine.runs import LEASE, close_run, enqueue, is_paused
from jobs.engine.writer import LostLease, must_hold
from jobs.kinds import InstanceKind
from jobs.kinds.base import KindFailed
from jobs.models import Run, Shard

logger = logging.getLogger(__name__)

_RENEW_EVERY_S = 5.0
_LEAVE_S = 60.0


class _Performance:
    """One go at it: renews the lease from a thread of its own, since a kind may be silent for minutes."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self._mine = Shard.objects.filter(pk=shard.pk, fence=shard.fence, status=ShardStatus.RUNNING)
        self._is_over = threading.Event()
        self._is_lost = False
        self._ends_at = time.monotonic() + max(settings.NETRAVEN_SHARD_TIMEOUT_S - _LEAVE_S, _LEAVE_S / 2)
        self.was_stopped = False
        self._keeper = threading.Thread(target=self._keep, name="lease", daemon=True)

    def __enter__(self) -> _Performance:
        self._keeper.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._is_over.set()
        self._keeper.join()

    def _keep(self) -> None:
        try:
            while not self._is_over.wait(_RENEW_EVERY_S):
                try:
                    self._is_lost = not self._mine.update(lease_until=timezone.now() + LEASE, suspected_at=None)
                except trouble.ERRORS as error:
                    logger.warning("%s The lease is renewed in a moment.", trouble.in_words(error))
        finally:
            connections.close_all()

    def checkpoint(self, summary: Mapping[str, Any]) -> bool:
        """Keep the summary; whether to stop now. Raises LostLease when another worker has taken over."""
        if self._is_lost:
            raise LostLease("Another worker has taken this shard over.")
        run = trouble.persist(lambda: self._save(dict(summary)))
        stop = (
            run.cancel_requested
            or run.status == RunStatus.PAUSED
            or drain.is_draining()
            or time.monotonic() > self._ends_at
        )
        self.was_stopped |= stop
        return stop

    @transaction.atomic
    def _save(self, summary: dict[str, Any]) -> Run:
        must_hold(self._mine)
        Run.objects.filter(pk=self._shard.run_id).update(summary=summary)
        return Run.objects.only("status", "cancel_requested").get(pk=self._shard.run_id)

    @transaction.atomic
    def end(self, status: RunStatus | None, message: str = "", summary: Mapping[str, Any] | None = None) -> bool:
        """Close the run, or without a status give the shard back; whether it was given back."""
        must_hold(self._mine)
        if summary is not None:
            Run.objects.filter(pk=self._shard.run_id).update(summary=dict(summary))
        if status is None:
            if not Run.objects.filter(pk=self._shard.run_id, cancel_requested=True).exists():
                self._mine.update(status=ShardStatus.QUEUED, lease_until=None, holder="", enqueued_at=None)
                return True
            status = RunStatus.CANCELLED
        self._mine.update(status=ShardStatus.DONE, lease_until=None, holder="")
        close_run(self._shard.run_id, status, message)
        return False


def perform(shard: Shard, kind: InstanceKind) -> None:
    """Perform a run without devices from its start; what an earlier go has done stays done."""
    status: RunStatus | None
    summary: Mapping[str, Any] | None = None
    message = ""
    with _Performance(shard) as performance:
        try:
            if performance.checkpoint(shard.run.summary):
                status = None
            else:
                summary = kind.perform(shard.run.parameters, performance.checkpoint)
                status = None if performance.was_stopped else RunStatus.SUCCEEDED
        except LostLease:
            raise
        except KindFailed as error:
            status, message = RunStatus.FAILED, str(error)
        except ValidationError as error:
            status, message = RunStatus.FAILED, " ".join(error.messages)
        except trouble.ERRORS:
            raise
        except Exception:
            reference = uuid.uuid4().hex[:12]
            logger.exception("run %s failed, reference %s", shard.run_id, reference)
            status, message = RunStatus.FAILED, f"Internal error. Reference {reference} in the worker's log."
        given_back = trouble.persist(lambda: performance.end(status, message, summary))
    if given_back and not drain.is_draining() and not is_paused(shard.run_id):
        enqueue(shard.pk)
