"""Two runs on one device at the same moment: allowed while both only read.

A kind of job that may change devices has each device for itself. Nothing is asked while no such kind is
registered.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.utils import timezone

from devices.models import Device
from jobs.choices import ResultStatus, ShardStatus
from jobs.kinds import KINDS
from jobs.models import Result


def writing_kinds() -> frozenset[str]:
    """The kinds of jobs that may change a device."""
    return frozenset(name for name, kind in KINDS.items() if kind.on_devices and kind.changes_devices)


def busy_elsewhere(run: int, kind: str, devices: Sequence[int]) -> dict[int, str]:
    """Devices that another run has in hand so that this one must wait, each with the name of that run.

    Within the transaction that takes devices in hand: their rows are locked, so of two runs one comes first.
    """
    writing = writing_kinds()
    if not writing:
        return {}
    list(Device.objects.select_for_update().filter(pk__in=devices).order_by("pk").values_list("pk"))
    in_hand = Result.objects.filter(
        device__in=devices,
        status=ResultStatus.PENDING,
        started_at__isnull=False,
        shard__status=ShardStatus.RUNNING,
        shard__lease_until__gt=timezone.now(),
    ).exclude(run=run)
    if kind not in writing:
        in_hand = in_hand.filter(run__kind__in=writing)
    rows = in_hand.values_list("device_id", "run__job_name", "run_id")
    return {device: f"{name} #{number}" for device, name, number in rows if device is not None}
