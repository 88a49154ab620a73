"""One thread that ends what has outlived its deadline, for all the sessions of a process."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
from collections.abc import Callable


class Watchdog:
    """Calls things at their time unless they are called off; its thread sleeps until the next one is due."""

    def __init__(self) -> None:
        self._reset()
        # A forked worker inherits the entries of its parent, and not the thread.
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._changed = threading.Condition()
        self._due: dict[int, tuple[float, Callable[[], None]]] = {}
        self._numbers = itertools.count()
        self._wakes_at = float("inf")
        self._thread: threading.Thread | None = None

    def call_at(self, when: float, action: Callable[[], None]) -> int:
        """Call `action` at this time of the monotonic clock; returns a number to call it off by."""
        with self._changed:
            number = next(self._numbers)
            self._due[number] = (when, action)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="session-watchdog", daemon=True)
                self._thread.start()
            elif when < self._wakes_at:
                self._changed.notify()
        return number

    def call_off(self, number: int) -> None:
        """Forget it; safe to call twice and after it was called."""
        with self._changed:
            self._due.pop(number, None)

    def _watch(self) -> None:
        while True:
            with self._changed:
                self._wakes_at = min((when for when, _ in self._due.values()), default=float("inf"))
                now = time.monotonic()
                if self._wakes_at > now:
                    self._changed.wait(None if self._wakes_at == float("inf") else self._wakes_at - now)
                    continue
                due = [number for number, (when, _) in self._due.items() if when <= now]
                actions = [self._due.pop(number)[1] for number in due]
            for action in actions:
                with contextlib.suppress(Exception):  # one session's trouble is not the others'
                    action()


WATCHDOG = Watchdog()
