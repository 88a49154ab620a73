"""Jobs that start by themselves: planned in `Job.next_run_at`, the one truth, and started from the heartbeat."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from itertools import islice
from time import monotonic
from typing import Final

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from jobs.choices import RUN_FINISHED, Overlap, Recurrence, RunStatus, Trigger
from jobs.models import Job, Run
from jobs.timing import Schedule, clock, in_words

logger = logging.getLogger(__name__)

_PLANNED_BY: Final = ("recurrence", "cron", "time_zone", "interval_s", "jitter_s", "run_at", "enabled")
# A heartbeat must answer soon; what is left is started by the next one, the longest due first.
_LONGEST_S: Final = 5.0
# Later than this is said on the run; what is less is the pace of the heartbeat.
_LATE: Final = timedelta(minutes=2)
_COUNTED: Final = 1000
_CHECKED_S: Final = 3
_LONGEST_MESSAGE: Final = 250


def schedule_of(job: Job, now: datetime) -> Schedule:
    """The schedule of a job; one that is not saved yet counts its interval from `now`."""
    anchor = job.created_at or now
    return Schedule(
        recurrence=job.recurrence,
        cron=job.cron,
        time_zone=job.time_zone,
        interval_s=job.interval_s,
        jitter_s=job.jitter_s or 0,
        run_at=job.run_at,
        anchor=anchor.replace(microsecond=0),
        seed=job.name,
    )


def plan_next(job: Job, now: datetime) -> datetime | None:
    """The next start of a job as it is about to be saved; None when it has none.

    ValidationError by field: a line that never fires, an unknown zone, an interval below a minute, a jitter longer
    than the interval, a time that is past.
    """
    schedule = schedule_of(job, now)
    schedule.check()
    before = Job.objects.filter(pk=job.pk).values(*_PLANNED_BY, "next_run_at").first() if job.pk else None
    is_once = job.recurrence == Recurrence.ONCE
    same = before is not None and all(before[name] == getattr(job, name) for name in _PLANNED_BY)
    if before is not None and same and job.enabled:
        planned: datetime | None = before["next_run_at"]
        # A start that is due already is not lost because somebody edits the description meanwhile.
        if is_once or (planned is not None and planned <= now):
            return planned
    if is_once and job.run_at is not None and job.run_at <= now:
        spent = before is not None and before["recurrence"] == Recurrence.ONCE and before["run_at"] == job.run_at
        if not spent:
            raise ValidationError({"run_at": f"This time is past: it is {clock(now, schedule.zone)} now."})
        return None
    return schedule.next(now) if job.enabled else None


def upcoming(job: Job, now: datetime, count: int = 3) -> list[datetime]:
    """The next starts of a job, whether it is enabled or not; none when its schedule cannot be understood."""
    try:
        return list(islice(schedule_of(job, now).starts(now), count))
    except ValidationError:
        return []


def words_of(job: Job) -> str:
    """When a job starts, in words; what is wrong with a schedule that can no longer be understood."""
    try:
        return schedule_of(job, timezone.now()).words()
    except ValidationError as error:
        return " ".join(error.messages)


def start_due(now: datetime) -> int:
    """Start each job whose time has come, once over all hosts; returns how many runs were started.

    Where nothing is due this is one query of an index; about once a minute the plans themselves are looked over.
    """
    due = Job.objects.filter(enabled=True, next_run_at__lte=now).order_by("next_run_at")
    until = monotonic() + _LONGEST_S
    started = 0
    for job in list(due):
        try:
            started += _start(job, now)
        except Exception:
            logger.exception("the start of job %s at %s failed; it is tried again", job.pk, job.next_run_at)
        if monotonic() > until:
            break
    if now.second < _CHECKED_S:
        replan(now)
    return started


def replan(now: datetime) -> int:
    """Put right what is planned otherwise than the schedules say; returns how many jobs that were.

    The zone of the server, the rules of a zone, or a clock that went wrong and was set right may have changed since
    a start was planned.
    """
    ahead = Job.objects.filter(Q(next_run_at=None) | Q(next_run_at__gt=now), enabled=True)
    changed = 0
    for job in ahead.exclude(recurrence=Recurrence.NONE):
        try:
            planned = schedule_of(job, now).next(now)
        except ValidationError as error:
            logger.warning("job %s cannot be planned: %s", job.pk, " ".join(error.messages))
            continue
        if planned != job.next_run_at:
            changed += Job.objects.filter(pk=job.pk, next_run_at=job.next_run_at).update(next_run_at=planned)
    return changed


def _start(job: Job, now: datetime) -> int:
    planned = job.next_run_at
    assert planned is not None
    if job.overlap == Overlap.QUEUE and _going_on(job) is not None:
        # It stays due: the one start that waits, whatever else falls due meanwhile.
        return 0
    schedule = schedule_of(job, now)
    trouble = ""
    try:
        following = schedule.next(now)
        passed = _up_to(schedule, planned, now)
    except ValidationError as error:
        following, passed, trouble = None, [], " ".join(error.messages)
    with transaction.atomic():
        # Whoever moves the plan has the start; an edit of the schedule meanwhile has moved it too.
        if not Job.objects.filter(pk=job.pk, enabled=True, next_run_at=planned).update(next_run_at=following):
            return 0
        job.refresh_from_db()
        if Run.objects.filter(job=job, scheduled_for=planned).exists():
            return 0
        earlier = _going_on(job)
        if earlier is not None and job.overlap == Overlap.SKIP:
            _skip(job, schedule, earlier, planned, passed, now)
            return 0
        if trouble:
            _ended(job, RunStatus.FAILED, planned, now, trouble)
            return 0
        return _begin(job, planned, now, _note(job, schedule, planned, passed, now))


def _begin(job: Job, planned: datetime, now: datetime, note: str) -> int:
    # Imported late: the services plan the next start of what they save.
    from jobs.services import start_run

    try:
        with transaction.atomic():
            run = start_run(job, trigger=Trigger.SCHEDULE, scheduled_for=planned)
    except IntegrityError:
        if not Run.objects.filter(job=job, scheduled_for=planned).exists():
            raise
        return 0
    except ValidationError as error:
        # What a person would be told is told where one looks for the run.
        _ended(job, RunStatus.FAILED, planned, now, " ".join(error.messages))
        return 0
    if note and not run.message:
        Run.objects.filter(pk=run.pk).update(message=note[:_LONGEST_MESSAGE])
    return 1


def _going_on(job: Job) -> Run | None:
    return Run.objects.filter(job=job).exclude(status__in=RUN_FINISHED).order_by("-id").first()


def _up_to(schedule: Schedule, after: datetime, now: datetime) -> list[datetime]:
    found = []
    for start in islice(schedule.starts(after), _COUNTED):
        if start > now:
            break
        found.append(start)
    return found


def _note(job: Job, schedule: Schedule, planned: datetime, passed: list[datetime], now: datetime) -> str:
    """Why a run is not what the schedule alone would have made of it; empty when it is."""
    when = clock(planned, schedule.zone)
    before = Run.objects.filter(job=job, finished_at__gt=planned).exclude(status=RunStatus.SKIPPED).order_by("-id")
    waited = before.first() if job.overlap == Overlap.QUEUE else None
    if waited is not None:
        more = f" {_starts(len(passed))} in between fell away." if passed else ""
        return f"Waited from {when} until run #{waited.pk} had ended.{more}"
    if passed:
        return f"Makes up, once, for {_starts(len(passed) + 1)} that were missed from {when} on."
    if now - planned > _LATE:
        return f"Was to start at {when}; nothing could start it for {in_words(int((now - planned).total_seconds()))}."
    return ""


def _skip(job: Job, schedule: Schedule, earlier: Run, planned: datetime, passed: list[datetime], now: datetime) -> None:
    # One row for each run that is in the way, however many starts fall into it.
    skipped = Run.objects.filter(job=job, status=RunStatus.SKIPPED, device_count=0, pk__gt=earlier.pk)
    row = skipped.order_by("-id").first()
    count = len(passed) + 1 + (int(row.summary.get("starts", 1)) if row else 0)
    first = row.scheduled_for if row and row.scheduled_for else planned
    last = clock(passed[-1] if passed else planned, schedule.zone)
    reason = "was paused" if earlier.status == RunStatus.PAUSED else "had not ended"
    when = f"at {last}" if count == 1 else f"from {clock(first, schedule.zone)} to {last}"
    message = f"{_starts(count)} {when} skipped: run #{earlier.pk} of this job {reason}."
    if row is None:
        row = _ended(job, RunStatus.SKIPPED, planned, now, message)
    Run.objects.filter(pk=row.pk).update(
        message=message, finished_at=now, summary={"starts": count, "run_in_the_way": earlier.pk}
    )


def _ended(job: Job, status: RunStatus, planned: datetime, now: datetime, message: str) -> Run:
    return Run.objects.create(
        job=job,
        job_name=job.name,
        kind=job.kind,
        parameters=job.parameters,
        status=status,
        trigger=Trigger.SCHEDULE,
        scheduled_for=planned,
        message=message[:_LONGEST_MESSAGE],
        created_at=now,
        finished_at=now,
    )


def _starts(count: int) -> str:
    return "1 start" if count == 1 else f"{count:,} starts" if count < _COUNTED else f"more than {_COUNTED:,} starts"
