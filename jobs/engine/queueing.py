"""Which devices of a shard come next: in their order, as limits, windows and other runs let them."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence

from django.conf import settings
from django.utils import timezone

from jobs.connector import DeviceTask
from jobs.engine.claims import MOST_TRIES
from jobs.engine.runs import LEFT_ALONE_DETAIL
from jobs.engine.slots import Slots
from jobs.maintenance import Closed, closed_devices
from jobs.models import Shard

logger = logging.getLogger(__name__)

SUSPECTS_AT_ONCE = 10
"""Devices that were in hand when a worker died, the second time; the third time each is alone."""
_WINDOWS_EVERY_S = 5.0
_BUSY_AGAIN_S = 1.0


class Waiting:
    """The devices of a shard that were not started yet. Used in the shard's main thread, outside transactions."""

    def __init__(self, shard: Shard, tasks: Sequence[DeviceTask], threads: int) -> None:
        self._run = shard.run
        self._threads = threads
        self._slots = Slots(shard, [task.device for task in tasks])
        self._tasks = deque(task for task in tasks if task.tries == 1)
        # One of these may have killed the process that had it: last, in small company, then alone.
        self._suspects = deque(sorted((task for task in tasks if task.tries > 1), key=lambda task: task.tries))
        self._put_off: dict[int, tuple[DeviceTask, float]] = {}
        self._busy_since: dict[int, float] = {}
        self._closed: list[tuple[int, str]] = []
        self._windows_at = float("-inf")

    def __bool__(self) -> bool:
        return bool(self._tasks or self._suspects or self._put_off)

    def next(self, in_hand: int) -> list[DeviceTask]:
        """The devices to start now, while so many are in hand."""
        if not self:
            self._slots.take((), 0)  # what the last devices leave is for others
            return []
        self._bring_back()
        self._look_at_windows()
        self._slots.refresh()
        if self._tasks:
            queue, among, most = self._tasks, self._tasks, self._threads
        else:
            queue, among, most = self._suspects, deque(self._next_suspects()), self._company()
        free = max(0, most - in_hand)
        taken = self._slots.take(among, free) if free and among else self._slots.take((), 0)
        if taken:
            names = {task.result for task in taken}
            left = [task for task in queue if task.result not in names]
            queue.clear()
            queue.extend(left)
        return taken

    def _next_suspects(self) -> list[DeviceTask]:
        """Those that were tried equally often, after all that are not suspected."""
        return [] if self._put_off else [task for task in self._suspects if task.tries == self._suspects[0].tries]

    def _company(self) -> int:
        return SUSPECTS_AT_ONCE if self._suspects and self._suspects[0].tries < MOST_TRIES else 1

    def done(self, task: DeviceTask) -> None:
        """A device has ended."""
        self._slots.done(task.device)
        self._busy_since.pop(task.result, None)

    def lose_a_thread(self) -> bool:
        """A thread hangs for good; True when so many do that this process should take no more devices."""
        self._threads -= 1
        return self._threads <= settings.NETRAVEN_THREADS // 2

    # --- another run has it -----------------------------------------------------------------------
    def put_off(self, task: DeviceTask, by: str) -> None:
        """Another run has this device in hand: again in a moment, and closed when that takes too long."""
        self._slots.done(task.device)
        now = time.monotonic()
        since = self._busy_since.setdefault(task.result, now)
        if now - since > settings.NETRAVEN_DEVICE_WAIT_S:
            wait = settings.NETRAVEN_DEVICE_WAIT_S
            self._closed.append((task.result, f"{by} was working on this device for more than {wait} s. Run it again."))
        else:
            self._put_off[task.result] = (task, now + _BUSY_AGAIN_S)

    def _bring_back(self) -> None:
        now = time.monotonic()
        for result, (task, at) in list(self._put_off.items()):
            if at <= now:
                del self._put_off[result]
                (self._tasks if task.tries == 1 else self._suspects).appendleft(task)

    # --- maintenance windows ----------------------------------------------------------------------
    def _look_at_windows(self) -> None:
        if self._run.ignores_windows or time.monotonic() - self._windows_at < _WINDOWS_EVERY_S:
            return
        self._windows_at = time.monotonic()
        waiting = [*self._tasks, *self._suspects, *(task for task, _ in self._put_off.values())]
        closed = closed_devices([task.device for task in waiting], timezone.now())
        if not closed:
            return
        for task in waiting:
            if task.device in closed:
                self._closed.append((task.result, _left_alone(closed[task.device])))
                self._put_off.pop(task.result, None)
        self._tasks = deque(task for task in self._tasks if task.device not in closed)
        self._suspects = deque(task for task in self._suspects if task.device not in closed)

    def closed(self) -> list[tuple[int, str]]:
        """(result, why) of devices that are not to be worked on after all, each told once."""
        found, self._closed = self._closed, []
        return found


def _left_alone(closed: Closed) -> str:
    return f"{LEFT_ALONE_DETAIL}maintenance window {closed.window} until {closed.until:%H:%M %Z}."
