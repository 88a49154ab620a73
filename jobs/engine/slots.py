"""Concurrency limits: which devices a shard may start, over all workers and hosts.

A shard holds slots under each limit that concerns it, in rows that the others see (`LimitUse`). It asks for
more, and gives back what it cannot use, in one short transaction that locks the limits; a slot that a device
leaves is used for the next one without asking.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from django.db import transaction
from django.db.models import Count, Q, Sum
from django.utils import timezone

from devices.models import Device, DeviceTag
from jobs.choices import LimitScope, ShardStatus
from jobs.connector import DeviceTask
from jobs.engine import trouble
from jobs.engine.writer import must_hold
from jobs.limits import ConcurrencyLimit, LimitUse
from jobs.models import Run, Shard

logger = logging.getLogger(__name__)

# After an answer that let something start, and after one that did not.
_ASK_SOON_S = 0.1
_ASK_LATER_S = 0.5
_RELOAD_EVERY_S = 5.0


def key_of(limit: ConcurrencyLimit) -> str:
    """The key of a limit in LimitUse."""
    value = {LimitScope.SITE: limit.site, LimitScope.TAG: limit.tag_id, LimitScope.DOMAIN: limit.domain}
    scope = LimitScope(limit.scope)
    return scope.value if scope == LimitScope.SYSTEM else f"{scope.value}:{value[scope]}"


class Slots:
    """The slots of one shard; all methods in its main thread, outside transactions."""

    def __init__(self, shard: Shard, devices: Sequence[int]) -> None:
        self._shard = shard
        self._run = shard.run
        self._devices = devices
        self._limits: dict[str, int] = {}
        self._rows: list[int] = []
        self._keys: dict[int, tuple[str, ...]] = {}
        self._held: Counter[str] = Counter()
        self._shown: set[str] = set()
        self._used: Counter[str] = Counter()
        self._under: dict[int, tuple[str, ...]] = {}
        self._pause_s = _ASK_SOON_S
        self._asked_at = self._loaded_at = float("-inf")

    def refresh(self) -> None:
        """Learn now and then which limits there are: one small query, and two more when they change."""
        if time.monotonic() - self._loaded_at < _RELOAD_EVERY_S:
            return
        rows = list(ConcurrencyLimit.objects.order_by("pk"))
        limits = {key_of(row): row.devices for row in rows}
        if self._run.max_parallel:
            limits[f"run:{self._run.pk}"] = self._run.max_parallel
        if limits.keys() != self._limits.keys():
            self._keys = self._concerned(limits)
        self._limits, self._rows = limits, [row.pk for row in rows]
        self._loaded_at = time.monotonic()

    def _concerned(self, limits: Mapping[str, int]) -> dict[int, tuple[str, ...]]:
        """The limits of each device."""
        everywhere: list[str] = [key for key in limits if key == LimitScope.SYSTEM or key.startswith("run:")]
        found: dict[int, list[str]] = defaultdict(list)
        if any(key.startswith(("site:", "domain:")) for key in limits):
            columns = Device.objects.filter(pk__in=self._devices).values_list("pk", "site", "aaa_domain")
            for device, site, domain in columns:
                found[device] += [key for key in (f"site:{site}", f"domain:{domain}") if key in limits]
        tags = [int(key.removeprefix("tag:")) for key in limits if key.startswith("tag:")]
        if tags:
            links = DeviceTag.objects.filter(tag__in=tags, content_object__in=self._devices)
            for device, tag in links.values_list("content_object_id", "tag_id"):
                found[device].append(f"tag:{tag}")
        return {device: (*everywhere, *found[device]) for device in self._devices if everywhere or found[device]}

    def take(self, waiting: Iterable[DeviceTask], most: int) -> list[DeviceTask]:
        """The first devices of those that wait that may start now, `most` at most; each is then in use.

        A device that a limit keeps waiting is passed over for those behind it.
        """
        if not self._keys and not self._held:
            return [task for task, _ in zip(waiting, range(most), strict=False)]
        queue = list(waiting)
        taken = self._fitting(queue, most)
        short = len(taken) < min(most, len(queue))
        if (short or self._held != self._used) and time.monotonic() - self._asked_at >= self._pause_s:
            names = {task.device for task in taken}
            rest = [task for task in queue if task.device not in names]
            try:
                self._ask(rest, most - len(taken))
            except trouble.ERRORS as error:
                logger.warning("%s Slots are asked for again in a moment.", trouble.in_words(error))
            granted = self._fitting(rest, most - len(taken))
            self._pause_s = _ASK_SOON_S if granted else _ASK_LATER_S
            taken += granted
        return taken

    def done(self, device: int) -> None:
        """A device has ended: its slots are free for the next one."""
        self._used -= Counter(self._under.pop(device, ()))

    def _fitting(self, queue: Sequence[DeviceTask], most: int) -> list[DeviceTask]:
        found: list[DeviceTask] = []
        for task in queue:
            if len(found) >= most:
                break
            keys = self._keys.get(task.device, ())
            if all(self._used[key] < self._held[key] for key in keys):
                self._used.update(keys)
                self._under[task.device] = keys
                found.append(task)
        return found

    def _ask(self, queue: Sequence[DeviceTask], most: int) -> None:
        """Hold what is in use and what the next devices need, as far as the limits allow."""
        self._asked_at = time.monotonic()
        with transaction.atomic():
            must_hold(Shard.objects.filter(pk=self._shard.pk, fence=self._shard.fence, status=ShardStatus.RUNNING))
            # Locked in one order by all, so that nobody is granted what somebody else is being granted.
            rows = ConcurrencyLimit.objects.select_for_update().filter(pk__in=self._rows).order_by("pk")
            self._limits |= {key_of(row): row.devices for row in rows}
            if self._run.max_parallel:
                list(Run.objects.select_for_update().filter(pk=self._run.pk).values_list("pk"))
            room = self._room()
            planned = self._used.copy()
            started = 0
            for task in queue:
                keys = self._keys.get(task.device, ())
                if started < most and all(planned[key] < room[key] for key in keys):
                    planned.update(keys)
                    started += 1
            self._hold(planned, {key for task in queue for key in self._keys.get(task.device, ())})

    def _room(self) -> dict[str, int]:
        """How many slots this shard may hold under each limit."""
        others = LimitUse.objects.filter(
            key__in=self._limits, shard__status=ShardStatus.RUNNING, shard__lease_until__gt=timezone.now()
        ).exclude(shard=self._shard)
        sums = others.order_by().values("key").annotate(all=Sum("devices"), hungry=Count("pk", filter=Q(devices=0)))
        uses = {row["key"]: (row["all"], row["hungry"]) for row in sums}
        room = {}
        for key, limit in self._limits.items():
            held, hungry = uses.get(key, (0, 0))
            # Who holds some leaves one for each that waits with none; who holds none takes what there is.
            room[key] = limit - held - (hungry if self._held[key] else 0)
        return room

    def _hold(self, planned: Counter[str], wanted: set[str]) -> None:
        """Write what is held now; a row with none says that the shard waits."""
        self._held = +planned
        shown = wanted | set(self._held)
        if gone := self._shown - shown:
            LimitUse.objects.filter(shard=self._shard, key__in=gone).delete()
        LimitUse.objects.bulk_create(
            [LimitUse(shard=self._shard, key=key, devices=planned[key]) for key in sorted(shown)],
            update_conflicts=True,
            unique_fields=["shard", "key"],
            update_fields=["devices"],
        )
        self._shown = shown
