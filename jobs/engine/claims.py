"""Taking a shard, and giving it back: by compare-and-set, so that of several workers one has it."""

from __future__ import annotations

import logging

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from credentials.guard import get_guard
from credentials.store import get_store
from devices.connector.outcomes import Outcome
from jobs.choices import ResultStatus, RunStatus, ShardStatus
from jobs.engine import beat
from jobs.engine.books import RunFacts, close_open_logins
from jobs.engine.runs import LEASE, cancel_pending
from jobs.engine.writer import must_hold
from jobs.kinds import KINDS
from jobs.limits import LimitUse
from jobs.models import Result, Run, Shard

logger = logging.getLogger(__name__)

MOST_TRIES = 3
"""A device that was in hand each time when a worker died so often is not tried again."""
POISON_DETAIL = f"The worker process died {MOST_TRIES} times while it worked on this device."
POISON_ADVICE = (
    "Something that this device sends, or its size, ends the process. Look into the worker's log, leave the "
    "device out of the job, and report it; other devices are not held up by it."
)


@transaction.atomic
def claim(shard_id: int) -> Shard | None:
    """Become the holder of a waiting shard; None when there is nothing to do, or the run is paused."""
    now = timezone.now()
    waiting = Shard.objects.filter(pk=shard_id, status=ShardStatus.QUEUED).exclude(run__status=RunStatus.PAUSED)
    claimed = waiting.update(
        status=ShardStatus.RUNNING,
        fence=F("fence") + 1,
        holder=beat.holder(),
        lease_until=now + LEASE,
        suspected_at=None,
        written=0,
    )
    if not claimed:
        return None
    shard = Shard.objects.select_related("run").get(pk=shard_id)
    Run.objects.filter(pk=shard.run_id, status=RunStatus.QUEUED).update(status=RunStatus.RUNNING, started_at=now)
    if shard.fence > 1:
        LimitUse.objects.filter(shard=shard).delete()
        _take_over(shard)
    return shard


def facts_of(run: Run) -> RunFacts:
    """What every attempt of the run has in common."""
    kind = KINDS.get(run.kind)
    is_test = kind is not None and kind.on_devices and kind.is_test
    names_one = is_test and bool(run.parameters.get("credential"))
    return RunFacts(run.pk, run.kind, run.requested_by_name, is_test, names_one, run.job_name)


def _take_over(shard: Shard) -> None:
    """Put the books right for devices that the holder before had in hand when it was lost."""
    in_hand = Result.objects.filter(shard=shard, status=ResultStatus.PENDING, started_at__isnull=False)
    lost = list(in_hand.only("pk", "open_login", "tries"))
    if not lost:
        return
    close_open_logins(lost, facts_of(shard.run), get_guard(), get_store())
    counted = [result.pk for result in lost if result.open_login is not None]
    Result.objects.filter(pk__in=counted).update(login_count=F("login_count") + 1, open_login=None)
    poison = in_hand.filter(tries__gte=MOST_TRIES)
    for device in poison.values_list("device_name", flat=True):
        logger.error("%s: a worker was lost while it worked on this device, for the last time", device)
    poison.update(
        status=ResultStatus.DONE,
        outcome=Outcome.INTERNAL_ERROR,
        detail=POISON_DETAIL,
        advice=POISON_ADVICE,
        finished_at=timezone.now(),
    )
    in_hand.update(tries=F("tries") + 1, started_at=None)


@transaction.atomic
def give_back(shard: Shard) -> bool:
    """Done, or back into the queue with what is left; returns whether something is left for another worker.

    Raises LostLease when the shard is not ours any more.
    """
    mine = Shard.objects.filter(pk=shard.pk, fence=shard.fence, status=ShardStatus.RUNNING)
    must_hold(mine)
    left = Result.objects.filter(shard=shard, status=ResultStatus.PENDING)
    if Run.objects.filter(pk=shard.run_id, cancel_requested=True).exists():
        # Asked while we were pausing or going down.
        cancel_pending(left)
    LimitUse.objects.filter(shard=shard).delete()
    if left.exists():
        # Without the stamp `recover` hands it out again, on whichever host looks first.
        mine.update(status=ShardStatus.QUEUED, lease_until=None, holder="", enqueued_at=None)
        return True
    mine.update(status=ShardStatus.DONE, lease_until=None, holder="")
    return False


@transaction.atomic
def fail(shard: Shard, detail: str, advice: str) -> None:
    """End a shard that cannot be worked on: each device that is left gets an internal error."""
    mine = Shard.objects.filter(pk=shard.pk, fence=shard.fence, status=ShardStatus.RUNNING)
    must_hold(mine)
    Result.objects.filter(Q(shard=shard), status=ResultStatus.PENDING).update(
        status=ResultStatus.DONE,
        outcome=Outcome.INTERNAL_ERROR,
        detail=detail[:500],
        advice=advice[:500],
        finished_at=timezone.now(),
    )
    mine.update(status=ShardStatus.DONE, lease_until=None, holder="")
