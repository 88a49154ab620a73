"""Whether the task cluster makes progress: a thread that asks for heartbeats and sees them answered."""

from __future__ import annotations

import logging
import threading
import time

from django.db import Error as DatabaseFailure
from django.db import connections
from redis.exceptions import RedisError

from jobs.engine import beat

logger = logging.getLogger(__name__)

INTERVAL_S = 3.0
_FIRST_INTERVAL_S = 0.5
STALLED_AFTER_S = 12.0
BUSY_STALLED_AFTER_S = 30.0
"""While every worker has devices in hand: leases are renewed every few seconds, but never on time to the second."""
BEGINS_WITHIN_S = 40.0
"""A start under load takes its time; doubled for each start in a row that brought no answer."""


class Pulse(threading.Thread):
    """Looks every INTERVAL_S seconds; a thread, since a busy database must not delay a Ctrl-C."""

    def __init__(self, workers: int) -> None:
        super().__init__(name="pulse", daemon=True)
        self._host = beat.this_host()
        self._workers = workers
        self._lock = threading.Lock()
        self._signs: beat.Signs | None = None
        self._alive_at = time.monotonic()
        self._patience_s = BEGINS_WITHIN_S
        self._starts_without_answer = 0
        self._has_begun = False
        self._has_answered = False
        self._can_look = True
        self._looking_since: float | None = None

    def cluster_started(self) -> None:
        """A new cluster starts now: allow for the time that it takes."""
        with self._lock:
            self._starts_without_answer = 0 if self._has_answered else self._starts_without_answer + 1
            self._patience_s = BEGINS_WITHIN_S * 2.0 ** min(max(self._starts_without_answer - 1, 0), 4)
            self._has_begun = False
            self._has_answered = False
            self._alive_at = time.monotonic()

    @property
    def has_stalled(self) -> bool:
        """Whether the cluster has shown no progress for too long, as far as could be seen."""
        with self._lock:
            now = time.monotonic()
            # While a busy database keeps the look waiting, it keeps the heartbeat waiting as well.
            is_blind = self._looking_since is not None and now - self._looking_since > INTERVAL_S
            return not is_blind and now - self._alive_at > self._patience_s

    @property
    def has_answered(self) -> bool:
        """Whether the present cluster has answered a heartbeat."""
        with self._lock:
            return self._has_answered

    @property
    def runs_devices(self) -> bool:
        """Whether a shard was running on this host at the last look."""
        with self._lock:
            return self._signs is not None and bool(self._signs.leases)

    def run(self) -> None:
        """Look for ever."""
        while True:
            self._look()
            time.sleep(INTERVAL_S if self.has_answered else _FIRST_INTERVAL_S)

    def _look(self) -> None:
        began = self._looking_since = time.monotonic()
        signs: beat.Signs | None = None
        try:
            beat.ask(self._host)
            signs = beat.signs(self._host)
            self._can_look = True
        except (DatabaseFailure, RedisError, OSError) as error:
            if self._can_look:
                logger.warning("Cannot see whether the task cluster makes progress: %s", error)
            self._can_look = False
        finally:
            connections.close_all()
        with self._lock:
            self._looking_since = None
            if signs is None or time.monotonic() - began > INTERVAL_S:
                # Unknown is not stalled: restarting workers mends no database.
                self._alive_at = time.monotonic()
            if signs is not None:
                before, self._signs = self._signs, signs
                if before is not None:
                    self._compare(before, signs)

    def _compare(self, before: beat.Signs, now: beat.Signs) -> None:
        # A change to None too: a new cluster has got as far as forgetting what the one before had answered.
        beaten = now.answered_at != before.answered_at
        self._has_answered |= beaten and now.answered_at is not None
        # With a worker to spare, a heartbeat must get through; without one, leases being renewed will do.
        busy = len(now.leases) >= self._workers
        if beaten or (busy and now.leases != before.leases):
            self._has_begun = True
            self._alive_at = time.monotonic()
        if self._has_begun:
            self._patience_s = BUSY_STALLED_AFTER_S if busy else STALLED_AFTER_S
