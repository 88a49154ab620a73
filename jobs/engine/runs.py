"""Runs as a whole: hand their shards out, find lost ones again, and close them."""

from __future__ import annotations

import logging

from django.db import transaction
from django.db.models import Count, Q
from django.utils import timezone
from django_q.tasks import async_task

from devices.connector.outcomes import Outcome
from jobs.choices import RUN_FINISHED, ResultStatus, RunStatus, ShardStatus
from jobs.models import Result, Run, Shard

logger = logging.getLogger(__name__)

RUN_SHARD = "jobs.tasks.run_shard"


def enqueue(shard: int) -> None:
    """Hand a shard to the task queue; a broker that is down only delays it, since the shard waits in its row."""
    try:
        async_task(RUN_SHARD, shard, ack_failure=True, save=False)
    except Exception:
        logger.exception("shard %s could not be enqueued; it waits and is enqueued again", shard)
        return
    Shard.objects.filter(pk=shard).update(enqueued_at=timezone.now())


def recover() -> int:
    """Put shards whose worker was lost back into the queue; returns how many. Cheap, and safe to call often."""
    now = timezone.now()
    lost = Shard.objects.filter(status=ShardStatus.RUNNING, lease_until__lt=now)
    never = Shard.objects.filter(status=ShardStatus.QUEUED, enqueued_at=None)
    found = 0
    for shard in lost.values_list("pk", flat=True):
        taken = Shard.objects.filter(pk=shard, status=ShardStatus.RUNNING, lease_until__lt=now).update(
            status=ShardStatus.QUEUED, lease_until=None, holder=""
        )
        if taken:
            logger.warning("shard %s lost its worker and is handed out again", shard)
            enqueue(shard)
            found += 1
    for shard in never.values_list("pk", flat=True):
        enqueue(shard)
        found += 1
    return found


@transaction.atomic
def finish_run(run_id: int) -> bool:
    """Close a run whose devices all have a result; returns whether it is closed."""
    run = Run.objects.select_for_update().get(pk=run_id)
    if run.status in RUN_FINISHED:
        return True
    counts = Result.objects.filter(run=run).aggregate(
        total=Count("pk"),
        pending=Count("pk", filter=Q(status=ResultStatus.PENDING)),
        good=Count("pk", filter=Q(outcome=Outcome.SUCCESS)),
        cancelled=Count("pk", filter=Q(outcome=Outcome.CANCELLED)),
    )
    if counts["pending"]:
        return False
    if run.cancel_requested and counts["cancelled"]:
        status = RunStatus.CANCELLED
    elif counts["good"] == counts["total"]:
        status = RunStatus.SUCCEEDED
    else:
        status = RunStatus.PARTIAL if counts["good"] else RunStatus.FAILED
    run.status = status
    run.finished_at = timezone.now()
    run.save(update_fields=["status", "finished_at"])
    return True
