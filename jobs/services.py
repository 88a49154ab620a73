"""Starting, watching and stopping runs: what the pages, the API and the commands all call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Count
from django.utils import timezone
from taggit.models import Tag

from credentials.store import Candidate
from devices.connector.outcomes import Outcome
from devices.models import Device
from jobs.choices import RUN_FINISHED, ResultStatus, RunStatus, ShardStatus, Trigger
from jobs.engine.plan import candidates_of, devices_of
from jobs.engine.runs import enqueue, finish_run
from jobs.kinds import KINDS
from jobs.models import Job, Result, Run, Shard

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def clean_kind(kind: str, parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    """The parameters of a job of this kind, checked; ValidationError names what is wrong."""
    found = KINDS.get(kind)
    if found is None:
        raise ValidationError({"kind": f"There is no kind {kind}. There are: {', '.join(sorted(KINDS))}."})
    try:
        return found.clean(parameters or {})
    except ValidationError as error:
        raise ValidationError({"parameters": error.messages}) from error


def save_job(
    job: Job, *, tags: Iterable[Tag] | None = None, devices: Iterable[Device] | None = None, **plain: Any
) -> Job:
    """Make or change a job; None leaves tags or devices as they are. ValidationError names each wrong field."""
    for field, value in plain.items():
        setattr(job, field, value)
    job.parameters = clean_kind(job.kind, job.parameters)
    job.full_clean()
    with transaction.atomic():
        job.save()
        if tags is not None:
            job.tags.set(tags)
        if devices is not None:
            job.devices.set(devices)
    return job


def start_run(job: Job, *, trigger: Trigger, user: User | None = None) -> Run:
    """Start a job now. ValidationError when it is disabled or its parameters no longer hold."""
    if not job.enabled:
        raise ValidationError(f"The job {job.name} is disabled.")
    devices = devices_of(
        job.tags.values_list("pk", flat=True), job.devices.values_list("pk", flat=True), job.all_devices
    )
    return _start(job, job.name, job.kind, job.parameters, devices, trigger, user)


def start_adhoc(
    kind: str,
    *,
    tags: Sequence[str] = (),
    devices: Iterable[Device] = (),
    all_devices: bool = False,
    parameters: Mapping[str, Any] | None = None,
    trigger: Trigger,
    user: User | None = None,
) -> Run:
    """Start a run of a kind without a stored job; without tags and devices it means all enabled devices."""
    ids = [tag.pk for tag in _known_tags(tags)]
    chosen = [device.pk for device in devices]
    everything = all_devices or not (ids or chosen)
    label = KINDS[kind].label if kind in KINDS else kind
    return _start(None, label, kind, parameters, devices_of(ids, chosen, everything), trigger, user)


def _known_tags(names: Sequence[str]) -> list[Tag]:
    found = []
    for name in names:
        tag = Tag.objects.filter(name__iexact=name.strip()).first()
        if tag is None:
            raise ValidationError({"tags": f"There is no tag {name}."})
        found.append(tag)
    return found


def _start(
    job: Job | None,
    name: str,
    kind: str,
    parameters: Mapping[str, Any] | None,
    devices: Iterable[Device],
    trigger: Trigger,
    user: User | None,
) -> Run:
    cleaned = clean_kind(kind, parameters)
    chosen = sorted(devices, key=lambda device: device.name)
    now = timezone.now()
    with transaction.atomic():
        run = Run.objects.create(
            job=job,
            job_name=name,
            kind=kind,
            parameters=cleaned,
            trigger=trigger,
            requested_by=user,
            requested_by_name=user.get_username() if user else "",
            device_count=len(chosen),
            created_at=now,
        )
        if not chosen:
            # An explained outcome, never a silent success.
            run.status = RunStatus.FAILED
            run.finished_at = now
            run.message = (
                "No enabled device was chosen: its tags are on no enabled device. "
                "Add devices, or one of the job's tags to them."
            )
            run.save(update_fields=["status", "finished_at", "message"])
            return run
        size = settings.NETRAVEN_SHARD_SIZE
        for number, start in enumerate(range(0, len(chosen), size), start=1):
            shard = Shard.objects.create(run=run, number=number, enqueued_at=now)
            Result.objects.bulk_create(
                [
                    Result(run=run, shard=shard, device=device, device_name=device.name)
                    for device in chosen[start : start + size]
                ]
            )
            transaction.on_commit(partial(_enqueue, shard.pk))
    return run


def _enqueue(shard: int) -> None:
    # The stamp is taken back when the broker refuses, so that `recover` finds the shard.
    Shard.objects.filter(pk=shard).update(enqueued_at=None)
    enqueue(shard)


def candidates_for_device(device: Device) -> list[Candidate]:
    """Which credentials would be tried on a device, in which order and why; connects to nothing."""
    return candidates_of([device])[device.pk]


@dataclass(frozen=True)
class Progress:
    """How far a run is; seconds as floats, rate in devices a second."""

    status: str
    total: int
    done: int
    by_outcome: dict[str, int]
    elapsed_s: float
    rate: float
    eta_s: float | None
    message: str

    @property
    def is_finished(self) -> bool:
        """Whether nothing changes any more."""
        return self.status in RUN_FINISHED


def progress(run_id: int, now: datetime | None = None) -> Progress:
    """Read how far a run is; two queries."""
    now = now or timezone.now()
    run = Run.objects.get(pk=run_id)
    done = Result.objects.filter(run=run, status=ResultStatus.DONE)
    by_outcome = dict(done.order_by().values_list("outcome").annotate(n=Count("pk")))
    finished = sum(by_outcome.values())
    elapsed = ((run.finished_at or now) - run.created_at).total_seconds()
    rate = finished / elapsed if elapsed > 0 else 0.0
    left = run.device_count - finished
    eta = left / rate if rate and run.status not in RUN_FINISHED else None
    return Progress(run.status, run.device_count, finished, by_outcome, elapsed, rate, eta, run.message)


def cancel_run(run: Run) -> None:
    """Ask a run to stop: devices in hand finish, the others become `cancelled`."""
    with transaction.atomic():
        updated = Run.objects.filter(pk=run.pk).exclude(status__in=RUN_FINISHED).update(cancel_requested=True)
        if not updated:
            raise ValidationError("This run has already ended.")
        waiting = Shard.objects.filter(run=run, status=ShardStatus.QUEUED)
        Result.objects.filter(shard__in=waiting, status=ResultStatus.PENDING).update(
            status=ResultStatus.DONE,
            outcome=Outcome.CANCELLED,
            detail="The run was cancelled before its turn came.",
            finished_at=timezone.now(),
        )
        waiting.update(status=ShardStatus.DONE)
    finish_run(run.pk)
