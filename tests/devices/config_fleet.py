"""A fleet's configurations in the database, for measuring what searching and indexing them takes."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator, Sequence
from datetime import timedelta

from django.utils import timezone

from devices.configs.index import index_latest
from devices.configs.query import Query
from devices.configs.search import search
from devices.models import ConfigText, ConfigVersion, Device
from devices.simulator.generate import Wishes, make_credentials, make_fleet
from devices.simulator.spec import SimDevice
from devices.simulator.texts import configuration

PLATFORMS = ("cisco_ios", "cisco_ios", "arista_eos", "cisco_nxos", "juniper_junos", "cisco_xe")
_AT_ONCE = 500


def fill(devices: int, config_kb: int = 30) -> None:
    """So many devices with one configuration each, made up. The sealed texts are fillers of the usual size."""
    wishes = Wishes(devices=devices, platforms=PLATFORMS, config_kb=config_kb, steady=True)
    seen = timezone.now() - timedelta(days=1)
    for part in _parts(make_fleet(wishes, make_credentials())):
        rows = Device.objects.bulk_create(
            [Device(name=each.name, host="192.0.2.1", platform=each.platform, site=each.site) for each in part]
        )
        texts = []
        for each in part:
            text = configuration(each).dump().replace(b"\r\n", b"\n")
            packed = zlib.compress(text, 6)
            texts.append(
                ConfigText(
                    digest=f"{each.name:>064}",
                    packed=packed,
                    sealed=bytes(len(packed) * 4 // 3),
                    size=len(text),
                    lines=text.count(b"\n"),
                )
            )
        ConfigVersion.objects.bulk_create(
            [
                ConfigVersion(device=row, number=1, text=text, compared="", first_seen_at=seen, last_seen_at=seen)
                for row, text in zip(rows, ConfigText.objects.bulk_create(texts), strict=True)
            ]
        )


def index_all() -> float:
    """Bring the index up to date; how many seconds it took."""
    began = time.monotonic()
    while not index_latest(limit_s=60, rest=0.5).is_complete:
        pass
    return time.monotonic() - began


def time_search(query: Query, times: int = 3) -> float:
    """Seconds until the first page of a search is there; the best of some tries."""
    taken = []
    for _ in range(times):
        began = time.monotonic()
        search(query)
        taken.append(time.monotonic() - began)
    return min(taken)


def _parts(fleet: Sequence[SimDevice]) -> Iterator[Sequence[SimDevice]]:
    for start in range(0, len(fleet), _AT_ONCE):
        yield fleet[start : start + _AT_ONCE]
