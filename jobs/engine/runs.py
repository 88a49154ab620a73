"""Runs as a whole: hand their shards out, find lost ones again, and close them."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.tasks import async_task

from devices.connector.outcomes import Outcome, info
from jobs.choices import RUN_FINISHED, ResultStatus, RunStatus, ShardStatus
from jobs.engine import beat, trouble
from jobs.models import Result, Run, Shard

logger = logging.getLogger(__name__)

RUN_SHARD = "jobs.tasks.run_shard"
LEASE = timedelta(seconds=60)
"""How long a shard belongs to its holder without a further sign; renewed every few seconds."""
SUSPECTED_FOR = timedelta(seconds=15)
"""How long a lease must look wrong: a living holder puts it right within a third of that."""
_CLOCKS_DIFFER_BY = timedelta(seconds=10)
_TASK_IS_LOST_AFTER = timedelta(seconds=20)

LEFT_ALONE_DETAIL = "Left alone: "
LEFT_ALONE = Q(outcome=Outcome.CANCELLED, detail__startswith=LEFT_ALONE_DETAIL)
"""Results of devices that a maintenance window kept a run from: no failures."""


def enqueue(shard: int) -> None:
    """Hand a shard to the task queue; a broker that is down only delays it, since the shard waits in its row."""
    try:
        async_task(RUN_SHARD, shard, ack_failure=True, save=False)
    except Exception:
        logger.exception("shard %s could not be enqueued; it waits and is enqueued again", shard)
        return
    Shard.objects.filter(pk=shard, status=ShardStatus.QUEUED).update(enqueued_at=timezone.now())


def recover() -> int:
    """Put shards whose worker or whose task was lost back into the queue; returns how many.

    Cheap, and safe to call often and by several at once.
    """
    now = timezone.now()
    for shard in _lost(now):
        _take_back(shard)
    found = {*handed_out().filter(enqueued_at=None).values_list("pk", flat=True), *_without_task(now)}
    for waiting in sorted(found):
        enqueue(waiting)
    for run in _not_closed():
        finish_run(run)
    return len(found)


def _not_closed() -> list[int]:
    """Runs whose last worker was lost after its work and before it could close them."""
    shards = Shard.objects.filter(run=OuterRef("pk"))
    open_runs = Run.objects.exclude(status__in=RUN_FINISHED).filter(
        Exists(shards), ~Exists(shards.exclude(status=ShardStatus.DONE))
    )
    return list(open_runs.values_list("pk", flat=True))


def is_paused(run_id: int) -> bool:
    """Whether a run is to be left where it is."""
    return trouble.persist(Run.objects.filter(pk=run_id, status=RunStatus.PAUSED).exists)


def handed_out() -> QuerySet[Shard]:
    """Shards that wait for a worker, those of paused runs excepted, oldest first."""
    return Shard.objects.filter(status=ShardStatus.QUEUED).exclude(run__status=RunStatus.PAUSED).order_by("pk")


def _lost(now: datetime) -> list[Shard]:
    """Running shards whose holder is gone.

    A holder on this host is gone when its process is. Any other is when its lease looks wrong for a while: a
    clock that jumped makes living holders look lost too, but these put their leases right.
    """
    lost = []
    running = Shard.objects.filter(status=ShardStatus.RUNNING)
    for shard in running.only("pk", "fence", "holder", "lease_until", "suspected_at").order_by("pk"):
        until = shard.lease_until
        if beat.is_gone(shard.holder):
            lost.append(shard)
        elif until is not None and now <= until <= now + LEASE + _CLOCKS_DIFFER_BY:
            continue
        elif shard.suspected_at is None:
            running.filter(pk=shard.pk, fence=shard.fence, lease_until=until).update(suspected_at=now)
        elif abs(now - shard.suspected_at) >= SUSPECTED_FOR:
            lost.append(shard)
    return lost


def _take_back(lost: Shard) -> None:
    # Only from the state that was seen: its holder may have given a sign of life, or it may be handed out by now.
    seen = Shard.objects.filter(
        pk=lost.pk, status=ShardStatus.RUNNING, fence=lost.fence, suspected_at=lost.suspected_at
    )
    taken = seen.update(status=ShardStatus.QUEUED, lease_until=None, suspected_at=None, holder="", enqueued_at=None)
    if taken:
        logger.warning("shard %s lost its worker (%s) and is handed out again", lost.pk, lost.holder)


def _without_task(now: datetime) -> list[int]:
    """Waiting shards whose task the broker seems to have lost, as a Redis that was started empty has.

    A shard that is in the queue twice does no harm: the second task finds nothing to do.
    """
    waiting = list(handed_out().exclude(enqueued_at=None).values_list("pk", "enqueued_at"))
    stale = [shard for shard, at in waiting if at and abs(now - at) > _TASK_IS_LOST_AFTER]
    if not stale:
        return []
    try:
        queued = get_broker().queue_size()
    except Exception as error:  # noqa: BLE001 - brokers raise what their libraries raise; it is asked again soon
        logger.warning("the broker does not answer: %s", error)
        return []
    return stale if queued < len(waiting) else []


# --- the end of a run -------------------------------------------------------------------------------------


def cancel_pending(results: QuerySet[Result], detail: str = "The run was cancelled before its turn came.") -> int:
    """Close what has no result yet as cancelled; returns how many."""
    return results.filter(status=ResultStatus.PENDING).update(
        status=ResultStatus.DONE,
        outcome=Outcome.CANCELLED,
        detail=detail[:500],
        advice=info(Outcome.CANCELLED).advice,
        finished_at=timezone.now(),
    )


@transaction.atomic
def finish_run(run_id: int) -> bool:
    """Close a run whose devices all have a result and whose shards are done; returns whether it is closed."""
    run = Run.objects.select_for_update().get(pk=run_id)
    if run.status in RUN_FINISHED:
        return True
    if Shard.objects.filter(run=run).exclude(status=ShardStatus.DONE).exists():
        return False
    counts = Result.objects.filter(run=run).aggregate(
        total=Count("pk"),
        pending=Count("pk", filter=Q(status=ResultStatus.PENDING)),
        good=Count("pk", filter=Q(outcome=Outcome.SUCCESS)),
        cancelled=Count("pk", filter=Q(outcome=Outcome.CANCELLED)),
        left_alone=Count("pk", filter=LEFT_ALONE),
    )
    if counts["pending"]:
        return False
    tried = counts["total"] - counts["left_alone"]
    if run.cancel_requested and (counts["cancelled"] > counts["left_alone"] or not counts["total"]):
        status = RunStatus.CANCELLED
    elif not tried and counts["total"]:
        status = RunStatus.SKIPPED  # every device was left alone: nothing was done that could be green
    elif counts["good"] == tried:
        status = RunStatus.SUCCEEDED
    else:
        status = RunStatus.PARTIAL if counts["good"] else RunStatus.FAILED
    if counts["left_alone"]:
        alone = f"{counts['left_alone']} of {counts['total']} devices were left alone: maintenance window."
        run.message = f"{run.message} {alone}".strip()[:250]
    run.status = status
    run.finished_at = timezone.now()
    run.save(update_fields=["status", "finished_at", "message"])
    return True


def close_run(run_id: int, status: RunStatus, message: str = "") -> None:
    """End a run that has no results of devices, unless it has ended."""
    Run.objects.filter(pk=run_id).exclude(status__in=RUN_FINISHED).update(
        status=status, message=message[:250], finished_at=timezone.now()
    )
