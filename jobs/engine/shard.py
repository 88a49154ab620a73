"""One shard of devices: talk to them from threads, write from one place, give it back or finish it."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from django.conf import settings

from credentials import audit
from credentials.guard import get_guard
from credentials.plaintext import logins_may_be_opened
from credentials.store import get_store
from devices import platforms_table
from devices.configs.store import last_text
from devices.connector.outcomes import Outcome, info
from jobs.choices import RunStatus
from jobs.connector import DeviceReport, DeviceTask, JobDeviceConnector, RetryPolicy
from jobs.engine import claims, drain, trouble
from jobs.engine.books import Books, Ending
from jobs.engine.ledger import DeviceLedger
from jobs.engine.performing import perform
from jobs.engine.plan import tasks_of
from jobs.engine.queueing import Waiting
from jobs.engine.runs import cancel_pending, enqueue, finish_run, is_paused
from jobs.engine.writer import LostLease, Writer
from jobs.kinds import KINDS, DeviceKind
from jobs.models import Result, Run, Shard

logger = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.5
_TICK_S = 0.1
HANGS_AFTER_S = 30.0
"""So long after its deadline a device is given up, and its thread left to the end of the process."""


def run_shard(shard_id: int) -> None:
    """Do what is left of a shard; a task that is delivered twice finds nothing to do."""
    shard = trouble.persist(lambda: claims.claim(shard_id))
    if shard is None:
        return
    try:
        who = audit.Acting(shard.run.requested_by_name, "worker")
        with logins_may_be_opened(), audit.acting(lambda: who):
            _work_on(shard)
    except LostLease:
        logger.warning("shard %s of run %s was taken over by another worker", shard.number, shard.run_id)
        return
    trouble.persist(lambda: finish_run(shard.run_id))


def rehearse() -> None:
    """Make the queries of a shard without one: what Django learns of its models by them is there for later ones."""
    claims.claim(0)
    tasks_of(Shard(pk=0, run=Run(pk=0)))


def _work_on(shard: Shard) -> None:
    kind = KINDS.get(shard.run.kind)
    try:
        if kind is None:
            claims.fail(shard, f"There is no kind {shard.run.kind} any more.", "Choose another kind for the job.")
        elif kind.on_devices:
            _DeviceShard(shard, kind).run()
        else:
            perform(shard, kind)
    except (LostLease, *trouble.ERRORS):
        raise  # somebody else does it, or it is done again when the database is back
    except Exception:
        reference = uuid.uuid4().hex[:12]
        logger.exception("shard %s ended, reference %s", shard.pk, reference)
        detail = f"The worker failed. Reference {reference} in the worker's log."
        trouble.persist(lambda: claims.fail(shard, detail, info(Outcome.INTERNAL_ERROR).advice))


@dataclass
class _Working:
    """A device that a thread works on; times as of time.monotonic()."""

    task: DeviceTask
    gives_up_at: float


class _DeviceShard:
    def __init__(self, shard: Shard, kind: DeviceKind) -> None:
        self._shard = shard
        self._run = shard.run
        self._kind = kind
        self._writer = Writer(shard.pk, shard.fence)
        self._books = Books(get_guard(), get_store(), claims.facts_of(shard.run))
        self._retry = RetryPolicy(settings.NETRAVEN_RETRIES, settings.NETRAVEN_RETRY_PAUSE_S)
        self._working: dict[int, _Working] = {}
        self._over: deque[DeviceTask] = deque()
        self._stopping = threading.Event()
        self._starts_no_more = False
        self._looked_at = float("-inf")
        # Well before the task queue would kill the process: the next one goes on with what is left.
        whole, device = settings.NETRAVEN_SHARD_TIMEOUT_S, settings.NETRAVEN_DEVICE_DEADLINE_S + 2 * HANGS_AFTER_S
        self._ends_at = time.monotonic() + max(whole - device, whole / 2)

    def run(self) -> None:
        # Now, and not while a device is worked on: rules never change under it.
        trouble.persist(lambda: platforms_table.refresh(at_once=True))
        tasks, orphans = trouble.persist(lambda: tasks_of(self._shard))
        if orphans:
            gone = Result.objects.filter(pk__in=[result.pk for result in orphans])
            trouble.persist(lambda: cancel_pending(gone, "The device was deleted while the run waited."))
        trouble.persist(lambda: self._books.uses.plan(tasks, self._kind))
        self._waiting = Waiting(self._shard, tasks, settings.NETRAVEN_THREADS)
        try:
            self._loop()
        finally:
            self._stopping.set()
            # Nobody writes for the threads any more; the next holder of the shard does their devices again.
            self._writer.fail_all(LostLease("The shard has ended."))
        is_left = trouble.persist(lambda: claims.give_back(self._shard))
        if is_left and not drain.is_draining() and not is_paused(self._run.pk):
            trouble.persist(lambda: enqueue(self._shard.pk))

    def _loop(self) -> None:
        while True:
            self._look_around()
            self._count_the_ended()
            if self._starts_no_more:
                self._writer.serve()
            else:
                self._start(trouble.persist(lambda: self._waiting.next(len(self._working))))
                self._close(self._waiting.closed())
            if not self._working and (self._starts_no_more or not self._waiting):
                break
            self._writer.wait(_TICK_S)
            self._give_up_the_hung()
        self._writer.drain()

    def _look_around(self) -> None:
        """Has a person stopped the run, is the cluster going down, or is it time to let the process end?"""
        if drain.is_draining():
            self._stopping.set()
            self._starts_no_more = True
        if self._starts_no_more or time.monotonic() - self._looked_at < _LOOK_EVERY_S:
            return
        self._looked_at = time.monotonic()
        try:
            status, cancelled = Run.objects.values_list("status", "cancel_requested").get(pk=self._run.pk)
        except trouble.ERRORS as error:
            logger.warning("%s The run is looked at again in a moment.", trouble.in_words(error))
            return
        if cancelled:
            self._stopping.set()
            untouched = Result.objects.filter(shard=self._shard, started_at=None)
            trouble.persist(lambda: cancel_pending(untouched))
        self._starts_no_more = cancelled or status == RunStatus.PAUSED or time.monotonic() > self._ends_at

    # --- devices ----------------------------------------------------------------------------------
    def _start(self, tasks: Sequence[DeviceTask]) -> None:
        if not tasks:
            self._writer.serve()
            return
        if any(task.tries > 1 for task in tasks):
            # One of these may end this process: what others have brought back must not end with it.
            self._writer.drain()
        busy = self._writer.write(self._books.begin, [(task.result, task.device) for task in tasks])
        for task in tasks:
            if task.device in busy:
                self._waiting.put_off(task, busy[task.device])
                continue
            deadline = time.monotonic() + task.target.limits.deadline_s + HANGS_AFTER_S
            self._working[task.result] = _Working(task, deadline - self._writer.waited_s)
            threading.Thread(target=self._work, args=(task,), name="device", daemon=True).start()

    def _work(self, task: DeviceTask) -> None:
        """In a device thread: talk to the device, and hand over what came of it."""
        try:
            ledger = DeviceLedger(self._writer, self._books, task)
            context = replace(
                task.context,
                previous_text=lambda kind: self._writer.call(lambda: last_text(task.device, kind)),
            )
            work = replace(task, context=context)
            report = JobDeviceConnector(work, self._kind, ledger, self._retry, self._stopping.wait).run()
            attempts, unused = tuple(ledger.attempts), ledger.unused()
            self._hand_over(Ending(task.result, task.device, report, attempts, unused, task.target.name))
        finally:
            self._over.append(task)
            self._writer.nudge()

    def _count_the_ended(self) -> None:
        while self._over:
            task = self._over.popleft()
            if self._working.pop(task.result, None) is not None:
                self._waiting.done(task)

    def _hand_over(self, ending: Ending) -> None:
        self._writer.put(
            self._books.end, ending, lambda answer: None, lambda problem: self._not_stored(ending, problem)
        )

    def _not_stored(self, ending: Ending, problem: BaseException) -> None:
        if isinstance(problem, LostLease):
            return  # the new holder of the shard does this device again
        reference = uuid.uuid4().hex[:12]
        logger.error("result of device id %s not stored, reference %s", ending.device, reference, exc_info=problem)
        if ending.is_bare:
            return  # left pending: it is done again by the next holder of the shard
        detail = f"What was fetched could not be stored. Reference {reference} in the worker's log."
        report = _internal_error(detail, ending.report)
        self._hand_over(replace(ending, report=report, is_bare=True))

    def _give_up_the_hung(self) -> None:
        """Close devices whose thread did not end by itself; with too many of them the process is let go."""
        now = time.monotonic() - self._writer.waited_s
        for found in [each for each in self._working.values() if now > each.gives_up_at]:
            task = found.task
            logger.error("the thread of device id %s hangs and is given up", task.device)
            limit = task.target.limits.deadline_s
            detail = f"It did not end {HANGS_AFTER_S:.0f} s after its deadline of {limit:.0f} s."
            self._hand_over(Ending(task.result, task.device, _internal_error(detail)))
            del self._working[task.result]
            self._waiting.done(task)
            self._starts_no_more |= self._waiting.lose_a_thread()

    def _close(self, closed: Sequence[tuple[int, str]]) -> None:
        for result, detail in closed:
            trouble.persist(lambda pk=result, why=detail: cancel_pending(Result.objects.filter(pk=pk), why))  # type: ignore[misc]


def _internal_error(detail: str, before: DeviceReport | None = None) -> DeviceReport:
    report = DeviceReport(Outcome.INTERNAL_ERROR, detail, info(Outcome.INTERNAL_ERROR).advice)
    if before is not None:
        report.attempts, report.started_at, report.duration_s = before.attempts, before.started_at, before.duration_s
    return report
