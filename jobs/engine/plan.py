"""Who is worked on, and with what: the device tasks of a shard, in a fixed number of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta
from math import ceil

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone

from credentials.models import Credential
from credentials.store import Candidate, get_store
from devices.choices import HostKeyState
from devices.configs.keeping import last_versions
from devices.configs.store import LastVersion
from devices.connector.platforms import platform_or_generic
from devices.models import Device, HostKey
from devices.services import limits_from_settings, places_of, target_of
from jobs.choices import ResultStatus
from jobs.connector import DeviceTask
from jobs.kinds import KindContext
from jobs.kinds.backup import Backup, texts_of
from jobs.models import Job, Result, Run, Shard, WorkerBeat

_LEAST_IN_A_SHARD = 10
_HOST_IS_UP = timedelta(seconds=60)


def shard_size(devices: int) -> int:
    """How many devices of a run each shard takes.

    A few are spread over all worker processes there are. Of many a shard takes so much more than a process has
    threads that the time in which its last devices leave threads idle is small, and no more than the setting
    says: a process ends after a shard, and what it knew of secrets with it.
    """
    hosts = WorkerBeat.objects.filter(answered_at__gt=timezone.now() - _HOST_IS_UP).count()
    workers = settings.NETRAVEN_WORKERS * max(1, hosts)
    shards = max(1, min(workers, ceil(devices / _LEAST_IN_A_SHARD)))
    if devices > settings.NETRAVEN_SHARD_SIZE * shards:
        # A whole number of rounds, so that the last one has work for every worker.
        shards = workers * ceil(devices / (settings.NETRAVEN_SHARD_SIZE * workers))
    return ceil(devices / shards)


def devices_of(tags: Iterable[int], devices: Iterable[int], all_devices: bool = False) -> QuerySet[Device]:
    """The enabled devices with any of these tags, and these devices."""
    enabled = Device.objects.filter(enabled=True)
    if all_devices:
        return enabled
    return enabled.filter(Q(tag_links__tag__in=list(tags)) | Q(pk__in=list(devices))).distinct()


def devices_of_job(job: Job) -> QuerySet[Device]:
    """The enabled devices that a job means now."""
    tags, devices = job.tags.values_list("pk", flat=True), job.devices.values_list("pk", flat=True)
    return devices_of(tags, devices, job.all_devices)


def candidates_of(devices: Sequence[Device], only: int | None = None) -> dict[int, list[Candidate]]:
    """The candidates of each device, by its id, in order and with their reasons."""
    return get_store().candidates(places_of(devices), only)


def tasks_of(shard: Shard) -> tuple[list[DeviceTask], list[Result]]:
    """What is left to do of a shard, and the results whose device is gone."""
    run = shard.run
    pending = Result.objects.filter(shard=shard, status=ResultStatus.PENDING).select_related("device")
    results = list(pending.order_by("pk"))
    devices = [result.device for result in results if result.device is not None]
    ids = [device.pk for device in devices]
    candidates = candidates_of(devices, _named_credential(run))
    pinned: dict[int, list[HostKey]] = defaultdict(list)
    for key in HostKey.objects.filter(device__in=ids, state=HostKeyState.PINNED):
        pinned[key.device_id].append(key)
    last = _last_versions(run, devices)
    limits = limits_from_settings()
    tasks = [
        DeviceTask(
            result=result.pk,
            device=device.pk,
            target=target_of(device, pinned[device.pk], limits),
            domain=device.aaa_domain,
            candidates=tuple(candidates[device.pk]),
            context=KindContext(
                device.pk,
                device.platform,
                run.parameters,
                previous={kind: found[device.pk] for kind, found in last.items() if device.pk in found},
                result=result.pk,
            ),
            tries=result.tries,
        )
        for result in results
        if (device := result.device) is not None
    ]
    return tasks, [result for result in results if result.device is None]


def _last_versions(run: Run, devices: Sequence[Device]) -> dict[str, dict[int, LastVersion]]:
    """For each kind of text that the run collects, the last versions of the devices."""
    if run.kind != Backup.name:
        return {}
    names = {device.platform for device in devices}
    kinds = {each.kind for name in names for each in texts_of(platform_or_generic(name), run.parameters)}
    ids = [device.pk for device in devices]
    return {kind: last_versions(ids, kind) for kind in sorted(kinds)}


def _named_credential(run: Run) -> int | None:
    name = run.parameters.get("credential")
    if not name:
        return None
    return Credential.objects.filter(name=name).values_list("pk", flat=True).first() or 0
