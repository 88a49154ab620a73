"""Starting, watching and stopping runs: what the pages, the API and the commands all call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.utils import timezone
from taggit.models import Tag

from credentials import audit
from credentials.querysets import known_tags
from credentials.store import Candidate
from devices.connector.outcomes import Outcome
from devices.models import Device
from jobs.choices import RUN_FINISHED, ResultStatus, RunStatus, ShardStatus, Trigger
from jobs.engine.plan import candidates_of, devices_of, devices_of_job, shard_size
from jobs.engine.runs import LEFT_ALONE, cancel_pending, enqueue, finish_run
from jobs.kinds import KINDS
from jobs.models import Job, Result, Run, Shard
from jobs.schedules import plan_next

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def clean_kind(
    kind: str, parameters: Mapping[str, Any] | None, *, user: User | None = None, kept: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The parameters of a job of this kind, checked; ValidationError names what is wrong.

    A `user` who may not see credentials names none, whether there is one of that name or not; `kept` is what a
    stored job holds already.
    """
    found = KINDS.get(kind)
    if found is None:
        raise ValidationError({"kind": f"There is no kind {kind}. There are: {', '.join(sorted(KINDS))}."})
    if user is not None and not user.has_perm("credentials.view_credential"):
        for each in found.parameters:
            named = (parameters or {}).get(each.name)
            if each.type == "credential" and named and named != (kept or {}).get(each.name):
                words = f"{each.label} ({each.name}): naming one needs the permission credentials.view_credential."
                raise ValidationError({"parameters": [f"{words} Leave it out."]})
    try:
        return found.clean(parameters or {})
    except ValidationError as error:
        raise ValidationError({"parameters": error.messages}) from error


def clean_kind_for(kind: str, parameters: Mapping[str, Any], platforms: Iterable[str]) -> None:
    """Refuse cleaned parameters that cannot go well on the platforms of the devices: ValidationError.

    Asked when a job is saved or a run is started by hand. A stored job is not stopped by one device that came later:
    that device's result says what was refused.
    """
    found = KINDS.get(kind)
    if found is not None and found.on_devices:
        try:
            found.clean_for(parameters, platforms)
        except ValidationError as error:
            raise ValidationError({"parameters": error.messages}) from error


def save_job(
    job: Job,
    *,
    tags: Iterable[Tag] | None = None,
    devices: Iterable[Device] | None = None,
    user: User | None = None,
    **plain: Any,
) -> Job:
    """Make or change a job; None leaves tags or devices as they are. ValidationError names each wrong field.

    `user` is whoever asks for it, as in `clean_kind`.
    """
    kept = dict(job.parameters) if job.pk and plain.get("kind", job.kind) == job.kind else {}
    for name, value in plain.items():
        setattr(job, name, value)
    job.parameters = clean_kind(job.kind, job.parameters, user=user, kept=kept)
    job.full_clean()
    job.next_run_at = plan_next(job, timezone.now())
    with transaction.atomic():
        job.save()
        if tags is not None:
            job.tags.set(tags)
        if devices is not None:
            job.devices.set(devices)
        _refuse_devices(job.kind, _has_devices(job))
        platforms = devices_of_job(job).order_by().values_list("platform", flat=True).distinct()
        clean_kind_for(job.kind, job.parameters, platforms)
    return job


def start_run(
    job: Job,
    *,
    trigger: Trigger,
    user: User | None = None,
    scheduled_for: datetime | None = None,
    ignores_windows: bool = False,
) -> Run:
    """Start a job now. ValidationError when it is disabled or its parameters no longer hold.

    `scheduled_for` is the start of its schedule that this is; IntegrityError when that start has a run already.
    """
    if not job.enabled:
        raise ValidationError(f"The job {job.name} is disabled.")
    _refuse_devices(job.kind, _has_devices(job))
    run = Run(
        job=job,
        job_name=job.name,
        kind=job.kind,
        parameters=clean_kind(job.kind, job.parameters),
        max_parallel=job.max_parallel,
        ignores_windows=ignores_windows,
        scheduled_for=scheduled_for,
    )
    return _start(run, list(devices_of_job(job)) if on_devices(job.kind) else None, trigger, user)


def start_adhoc(
    kind: str,
    *,
    tags: Sequence[str] = (),
    devices: Iterable[Device] = (),
    all_devices: bool = False,
    parameters: Mapping[str, Any] | None = None,
    trigger: Trigger,
    user: User | None = None,
    ignores_windows: bool = False,
    max_parallel: int | None = None,
) -> Run:
    """Start a run of a kind without a stored job; without tags and devices it means all enabled devices."""
    cleaned = clean_kind(kind, parameters, user=user)
    ids = [tag.pk for tag in _known_tags(tags)]
    chosen = [device.pk for device in devices]
    _refuse_devices(kind, bool(ids or chosen or all_devices))
    if max_parallel is not None and max_parallel < 1:
        raise ValidationError({"max_parallel": "A limit is 1 or more; leave it out for no limit."})
    run = Run(
        job_name=KINDS[kind].label,
        kind=kind,
        parameters=cleaned,
        max_parallel=max_parallel,
        ignores_windows=ignores_windows,
    )
    everything = all_devices or not (ids or chosen)
    found = list(devices_of(ids, chosen, everything)) if on_devices(kind) else None
    clean_kind_for(kind, cleaned, {device.platform for device in found or ()})
    return _start(run, found, trigger, user)


def retry_failed(run: Run, *, trigger: Trigger, user: User | None = None) -> Run:
    """A new run of the same kind over the devices of `run` that did not succeed, those left alone excepted.

    ValidationError while the run goes on, and when there is no such device.
    """
    if run.status not in RUN_FINISHED:
        raise ValidationError("This run has not ended yet: what failed can be retried when it has.")
    if not on_devices(run.kind):
        raise ValidationError("This run worked on no device: start its job again instead.")
    devices = list(Device.objects.filter(pk__in=retryable(run).values("device")))
    if not devices:
        raise ValidationError("There is nothing to retry: no device of this run failed that is still enabled.")
    again = Run(
        job=run.job,
        job_name=run.job_name,
        kind=run.kind,
        parameters=clean_kind(run.kind, run.parameters),
        max_parallel=run.max_parallel,
        ignores_windows=run.ignores_windows,
        retry_of=run,
    )
    return _start(again, devices, trigger, user)


def retryable(run: Run) -> QuerySet[Result]:
    """The results of a run whose devices a retry would work on again."""
    failed = Result.objects.filter(run=run, status=ResultStatus.DONE, device__enabled=True)
    return failed.exclude(outcome=Outcome.SUCCESS).exclude(LEFT_ALONE)


def on_devices(kind: str) -> bool:
    """Whether a kind of job works on devices; a kind that is gone did."""
    return kind not in KINDS or KINDS[kind].on_devices


def _refuse_devices(kind: str, any_chosen: bool) -> None:
    if any_chosen and not on_devices(kind):
        raise ValidationError(f"{KINDS[kind].label} works on no device: leave tags and devices empty.")


def _has_devices(job: Job) -> bool:
    return job.all_devices or job.tags.exists() or job.devices.exists()


def _known_tags(names: Sequence[str]) -> list[Tag]:
    found, missing = known_tags(names)
    if missing:
        raise ValidationError({"tags": f"There is no tag {missing[0]}."})
    return found


def _start(run: Run, devices: list[Device] | None, trigger: Trigger, user: User | None) -> Run:
    now = timezone.now()
    chosen = sorted(devices or (), key=lambda device: device.name)
    run.trigger = trigger
    run.requested_by, run.requested_by_name = user, user.get_username() if user else ""
    run.device_count, run.created_at = len(chosen), now
    if devices is not None and not chosen:
        # An explained outcome, never a silent success.
        run.status, run.finished_at = RunStatus.FAILED, now
        run.message = (
            "No enabled device was chosen: its tags are on no enabled device. "
            "Add devices, or one of the job's tags to them."
        )
    with transaction.atomic():
        run.save()
        if devices is None:
            _add_shard(run, 1, ())
        elif chosen:
            size = shard_size(len(chosen))
            for number, start in enumerate(range(0, len(chosen), size), start=1):
                _add_shard(run, number, chosen[start : start + size])
        about: dict[str, Any] = {"kind": run.kind, "trigger": str(trigger), "devices": run.device_count}
        audit.record("run.started", user=user, run=run.pk, subject=run.job_name, **about)
    return run


def _add_shard(run: Run, number: int, devices: Sequence[Device]) -> None:
    shard = Shard.objects.create(run=run, number=number, enqueued_at=run.created_at)
    Result.objects.bulk_create(
        Result(run=run, shard=shard, device=device, device_name=device.name) for device in devices
    )
    transaction.on_commit(partial(_enqueue, shard.pk))


def _enqueue(shard: int) -> None:
    # The stamp is taken back when the broker refuses, so that `recover` finds the shard.
    Shard.objects.filter(pk=shard).update(enqueued_at=None)
    enqueue(shard)


def candidates_for_device(device: Device) -> list[Candidate]:
    """Which credentials would be tried on a device, in which order and why; connects to nothing."""
    return candidates_of([device])[device.pk]


@dataclass(frozen=True)
class Progress:
    """How far a run is; seconds as floats, rate in devices a second over the last minute of work."""

    status: str
    total: int
    done: int
    by_outcome: dict[str, int]
    elapsed_s: float
    rate: float
    eta_s: float | None
    message: str
    left_alone: int = 0
    """Devices that a maintenance window kept the run from; part of `done` and of `cancelled`."""
    summary: dict[str, Any] = field(default_factory=dict)
    """What a kind that works on no device has done so far."""

    @property
    def is_finished(self) -> bool:
        """Whether nothing changes any more."""
        return self.status in RUN_FINISHED

    @property
    def succeeded(self) -> int:
        """Devices on which everything was done."""
        return self.by_outcome.get(Outcome.SUCCESS, 0)

    @property
    def failed(self) -> int:
        """Devices on which it was not; those that were cancelled or left alone were never tried."""
        return self.done - self.succeeded - self.by_outcome.get(Outcome.CANCELLED, 0)


_RATE_OVER = timedelta(seconds=60)


def progress(run_id: int, now: datetime | None = None) -> Progress:
    """Read how far a run is; two queries."""
    now = now or timezone.now()
    run = Run.objects.get(pk=run_id)
    over = run.status in RUN_FINISHED
    done = Result.objects.filter(run=run, status=ResultStatus.DONE).order_by().values_list("outcome")
    lately = Q() if over else Q(finished_at__gt=now - _RATE_OVER)
    by_outcome: dict[str, int] = {}
    finished = recent = left_alone = 0
    for outcome, count, new, alone in done.annotate(
        n=Count("pk"), new=Count("pk", filter=lately), alone=Count("pk", filter=LEFT_ALONE)
    ):
        by_outcome[outcome] = count
        finished, recent, left_alone = finished + count, recent + new, left_alone + alone
    until = run.finished_at or now
    working = (until - (run.started_at or until)).total_seconds()
    if not over:
        working = min(working, _RATE_OVER.total_seconds())
    rate = recent / working if working > 0 else 0.0
    eta = (run.device_count - finished) / rate if rate and run.status == RunStatus.RUNNING else None
    return Progress(
        status=run.status,
        total=run.device_count,
        done=finished,
        by_outcome=by_outcome,
        elapsed_s=(until - run.created_at).total_seconds(),
        rate=rate,
        eta_s=eta,
        message=run.message,
        left_alone=left_alone,
        summary=run.summary,
    )


# --- stopping ---------------------------------------------------------------------------------------------


def cancel_run(run: Run) -> None:
    """Ask a run to stop: devices in hand finish, the others become `cancelled`; also while it is paused."""
    with transaction.atomic():
        found = _locked(run)
        waiting = list(_waiting_shards(found))
        Run.objects.filter(pk=found.pk).update(
            cancel_requested=True, status=RunStatus.RUNNING if found.started_at else RunStatus.QUEUED
        )
        cancel_pending(Result.objects.filter(shard__in=waiting))
        Shard.objects.filter(pk__in=waiting).update(status=ShardStatus.DONE, enqueued_at=None)
    finish_run(run.pk)


def pause_run(run: Run) -> None:
    """Start no more devices of a run until it is resumed; devices in hand finish."""
    with transaction.atomic():
        found = _locked(run)
        if found.status == RunStatus.PAUSED:
            raise ValidationError("This run is paused already.")
        if found.cancel_requested:
            raise ValidationError("This run is being cancelled.")
        Run.objects.filter(pk=found.pk).update(status=RunStatus.PAUSED)


def resume_run(run: Run) -> None:
    """Go on with a paused run."""
    with transaction.atomic():
        found = _locked(run)
        if found.status != RunStatus.PAUSED:
            raise ValidationError("This run is not paused.")
        status = RunStatus.RUNNING if found.started_at else RunStatus.QUEUED
        Run.objects.filter(pk=found.pk).update(status=status)
        for shard in _waiting_shards(found):
            transaction.on_commit(partial(_enqueue, shard))


def _locked(run: Run) -> Run:
    """The row of a run that has not ended, locked; ValidationError otherwise."""
    found = Run.objects.select_for_update().get(pk=run.pk)
    if found.status in RUN_FINISHED:
        raise ValidationError("This run has already ended.")
    return found


def _waiting_shards(run: Run) -> Iterable[int]:
    waiting = Shard.objects.select_for_update().filter(run=run, status=ShardStatus.QUEUED)
    return waiting.order_by("pk").values_list("pk", flat=True)
