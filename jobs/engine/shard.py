"""One shard: claim it, talk to its devices from threads, write from one place, give it back or finish it."""

from __future__ import annotations

import logging
import queue
import threading
import time
import uuid
from collections import deque
from dataclasses import replace

from django.conf import settings
from django.db.models import F, Q
from django.utils import timezone

from credentials.guard import get_guard
from credentials.store import get_store
from devices.configs.store import last_text
from devices.connector.outcomes import Outcome, info
from devices.models import Device
from jobs.choices import ResultStatus, RunStatus, ShardStatus
from jobs.connector import DeviceReport, DeviceTask, JobDeviceConnector, RetryPolicy
from jobs.engine import beat, drain
from jobs.engine.ledger import RunFacts, ShardLedger
from jobs.engine.plan import tasks_of
from jobs.engine.runs import finish_run
from jobs.engine.writer import LEASE, LostLease, Writer
from jobs.kinds import KINDS, JobKind, Stored
from jobs.models import Result, Run, Shard

logger = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.5


def claim(shard_id: int) -> Shard | None:
    """Become the holder of a shard that waits or whose lease ran out; None when there is nothing to do."""
    now = timezone.now()
    claimed = (
        Shard.objects.filter(pk=shard_id)
        .filter(Q(status=ShardStatus.QUEUED) | Q(status=ShardStatus.RUNNING, lease_until__lt=now))
        .update(
            status=ShardStatus.RUNNING,
            fence=F("fence") + 1,
            holder=beat.holder(),
            lease_until=now + LEASE,
        )
    )
    if not claimed:
        return None
    shard = Shard.objects.select_related("run").get(pk=shard_id)
    Run.objects.filter(pk=shard.run_id, status=RunStatus.QUEUED).update(status=RunStatus.RUNNING, started_at=now)
    if shard.fence > 1:
        Result.objects.filter(shard=shard, status=ResultStatus.PENDING, started_at__isnull=False).update(
            tries=F("tries") + 1
        )
    return shard


def run_shard(shard_id: int) -> None:
    """Do what is left of a shard; a task that is delivered twice finds nothing to do."""
    shard = claim(shard_id)
    if shard is None:
        return
    try:
        _ShardRun(shard).run()
    except LostLease:
        logger.warning("shard %s of run %s was taken over by another worker", shard.number, shard.run_id)
        return
    finish_run(shard.run_id)


class _ShardRun:
    def __init__(self, shard: Shard) -> None:
        run = shard.run
        self._shard = shard
        self._run = run
        self._kind: JobKind = KINDS[run.kind]
        self._writer = Writer(shard.pk, shard.fence)
        self._ledger = ShardLedger(
            self._writer,
            get_guard(),
            get_store(),
            RunFacts(run.pk, run.requested_by_name, self._kind.is_test),
        )
        self._retry = RetryPolicy(settings.NETRAVEN_RETRIES, settings.NETRAVEN_RETRY_PAUSE_S)
        self._waiting: deque[DeviceTask] = deque()
        self._active = 0
        self._ended: queue.Queue[None] = queue.Queue()
        self._stopping = threading.Event()
        self._cancelled = False
        self._looked_at = 0.0

    def run(self) -> None:
        tasks, orphans = tasks_of(self._shard)
        self._waiting.extend(tasks)
        for result in orphans:
            self._close_result(result.pk, Outcome.CANCELLED, "The device was deleted while the run waited.")
        try:
            self._loop()
        finally:
            self._stopping.set()
            if self._active:
                # Nobody writes for them any more; the next holder of the shard does their devices again.
                self._writer.fail_all(LostLease("The shard has ended."), [])
        self._give_back()

    def _loop(self) -> None:
        limit = min(settings.NETRAVEN_THREADS, max(1, len(self._waiting)))
        while self._waiting or self._active:
            self._look_around()
            while self._waiting and self._active < limit:
                self._active += 1
                threading.Thread(target=self._work, args=(self._waiting.popleft(),), name="device", daemon=True).start()
            self._writer.serve(0.1)
            while True:
                try:
                    self._ended.get_nowait()
                except queue.Empty:
                    break
                self._active -= 1
        self._writer.serve(0.0)

    def _look_around(self) -> None:
        """Has a person cancelled the run, or is the cluster going down?"""
        if time.monotonic() - self._looked_at < _LOOK_EVERY_S:
            return
        self._looked_at = time.monotonic()
        if drain.is_draining():
            self._stopping.set()
            self._waiting.clear()
        elif not self._cancelled and Run.objects.filter(pk=self._run.pk, cancel_requested=True).exists():
            self._cancelled = True
            self._stopping.set()
            while self._waiting:
                task = self._waiting.popleft()
                self._close_result(task.result, Outcome.CANCELLED, "The run was cancelled before its turn came.")

    def _work(self, task: DeviceTask) -> None:
        """In a device thread: talk to the device, then have the result written."""
        try:
            self._writer.call(lambda: Result.objects.filter(pk=task.result).update(started_at=timezone.now()))
            context = replace(task.context, previous_text=lambda: self._writer.call(lambda: last_text(task.device)))
            report = JobDeviceConnector(
                replace(task, context=context), self._kind, self._ledger, self._retry, self._stopping.wait
            ).run()
            try:
                self._writer.call(lambda: self._finish(task, report))
            except LostLease:
                raise
            except Exception:
                reference = uuid.uuid4().hex[:12]
                logger.exception("result of device id %s not stored, reference %s", task.device, reference)
                report.outcome, report.store = Outcome.INTERNAL_ERROR, None
                report.detail = f"What was fetched could not be stored. Reference {reference} in the worker's log."
                report.advice = info(report.outcome).advice
                self._writer.call(lambda: self._finish(task, report))
        except LostLease:
            pass  # the new holder of the shard does this device again
        except Exception:
            logger.exception("device id %s was not finished", task.device)
        finally:
            self._ended.put(None)

    def _finish(self, task: DeviceTask, report: DeviceReport) -> None:
        stored = report.store() if report.store is not None else Stored()
        now = timezone.now()
        candidate = report.candidate
        Result.objects.filter(pk=task.result, status=ResultStatus.PENDING).update(
            status=ResultStatus.DONE,
            outcome=report.outcome,
            detail=(report.detail or stored.detail)[:500],
            advice=report.advice[:500],
            credential_id=candidate.credential if candidate else None,
            credential_name=candidate.name if candidate else "",
            login_count=F("login_count") + report.attempts,
            config_version_id=stored.config_version,
            config_changed=stored.config_changed,
            data=stored.data,
            started_at=report.started_at,
            finished_at=now,
            duration_s=round(report.duration_s, 3),
        )
        changes: dict[str, object] = {"last_outcome": report.outcome, "last_outcome_at": now}
        if report.outcome == Outcome.SUCCESS:
            changes["last_success_at"] = now
        Device.objects.filter(pk=task.device).update(**changes)

    @staticmethod
    def _close_result(result: int, outcome: Outcome, detail: str) -> None:
        Result.objects.filter(pk=result, status=ResultStatus.PENDING).update(
            status=ResultStatus.DONE,
            outcome=outcome,
            detail=detail,
            advice=info(outcome).advice,
            finished_at=timezone.now(),
        )

    def _give_back(self) -> None:
        """Done, or back into the queue with what the drain left over."""
        mine = Shard.objects.filter(pk=self._shard.pk, fence=self._shard.fence)
        left = Result.objects.filter(shard=self._shard, status=ResultStatus.PENDING).exists()
        if left:  # without the stamp `recover` hands it out again, on whichever host looks first
            mine.update(status=ShardStatus.QUEUED, lease_until=None, holder="", enqueued_at=None)
        else:
            mine.update(status=ShardStatus.DONE, lease_until=None, holder="")
