"""Who is worked on, and with what: the device tasks of a shard, in a fixed number of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from django.db.models import Max, Q, QuerySet

from credentials.models import Credential
from credentials.store import Candidate, get_store
from devices.choices import HostKeyState
from devices.models import ConfigVersion, Device, HostKey
from devices.services import limits_from_settings, places_of, target_of
from jobs.choices import ResultStatus
from jobs.connector import DeviceTask
from jobs.kinds import KindContext
from jobs.models import Result, Run, Shard


def devices_of(tags: Iterable[int], devices: Iterable[int], all_devices: bool = False) -> QuerySet[Device]:
    """The enabled devices with any of these tags, and these devices."""
    enabled = Device.objects.filter(enabled=True)
    if all_devices:
        return enabled
    return enabled.filter(Q(tag_links__tag__in=list(tags)) | Q(pk__in=list(devices))).distinct()


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
    sizes = _previous_sizes(ids) if run.kind == "backup" else {}
    limits = limits_from_settings()
    tasks = [
        DeviceTask(
            result=result.pk,
            device=device.pk,
            target=target_of(device, pinned[device.pk], limits),
            domain=device.aaa_domain,
            candidates=tuple(candidates[device.pk]),
            context=KindContext(device.pk, device.platform, run.parameters, sizes.get(device.pk)),
        )
        for result in results
        if (device := result.device) is not None
    ]
    return tasks, [result for result in results if result.device is None]


def _named_credential(run: Run) -> int | None:
    name = run.parameters.get("credential")
    if not name:
        return None
    return Credential.objects.filter(name=name).values_list("pk", flat=True).first() or 0


def _previous_sizes(devices: Sequence[int], kind: str = "running") -> dict[int, int]:
    """Characters of the last good text of each device, roughly: bytes of the complete text."""
    newest = ConfigVersion.objects.filter(device__in=devices, kind=kind).values("device").annotate(n=Max("number"))
    numbers = {row["device"]: row["n"] for row in newest}
    rows = ConfigVersion.objects.filter(device__in=devices, kind=kind).values_list("device_id", "number", "text__size")
    return {device: size for device, number, size in rows if numbers.get(device) == number}
