"""How often the API may be asked: per user, and per address by those who are not signed in.

Counted in the database for all web processes, and taken from there a handful at a time, so that most requests write
nothing. A handful that a process does not use up is lost with its window.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models import F
from django.utils.crypto import salted_hmac
from rest_framework.exceptions import Throttled

from netraven_site.models import ApiUse

WINDOW_S: Final = 60
_PARTS: Final = 20
_MOST_REMEMBERED: Final = 10_000


@dataclass
class _Handful:
    window: int
    left: int


class ApiLimit:
    """The limit; one object a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handfuls: dict[str, _Handful] = {}

    def user(self, user: int) -> None:
        """Count a request of a user, by session or by any token. Raises Throttled."""
        self._count(f"user:{user}", settings.NETRAVEN_API_PER_MINUTE)

    def stranger(self, address: str) -> None:
        """Count a request of nobody, also one with a wrong token. Raises Throttled."""
        self._count(f"address:{address}", settings.NETRAVEN_API_ANONYMOUS_PER_MINUTE)

    def forget(self) -> None:
        """Drop what is in hand."""
        with self._lock:
            self._handfuls.clear()

    def _count(self, name: str, limit: int) -> None:
        if not limit:
            return
        now = time.time()
        window = int(now // WINDOW_S)
        with self._lock:
            held = self._handfuls.get(name)
            if held is None or held.window != window:
                held = self._handfuls[name] = _Handful(window, 0)
                if len(self._handfuls) > _MOST_REMEMBERED:
                    self._handfuls = {key: each for key, each in self._handfuls.items() if each.window == window}
            if held.left == 0:
                held.left = _take(name, window, limit)
            if held.left > 0:
                held.left -= 1
                return
        raise Throttled(
            wait=WINDOW_S - now % WINDOW_S + 1,
            detail=f"More than {limit} requests a minute. An administrator sets the limit (NETRAVEN_API_PER_MINUTE, "
            "NETRAVEN_API_ANONYMOUS_PER_MINUTE).",
        )


def _take(name: str, window: int, limit: int) -> int:
    """As many as are left, a handful at most; none when the limit is reached."""
    key = salted_hmac("netraven.api_use", name, algorithm="sha256").hexdigest()
    wanted = max(1, limit // _PARTS)
    try:
        with transaction.atomic():
            ApiUse.objects.bulk_create([ApiUse(key=key, window=window, taken=0)], ignore_conflicts=True)
            ApiUse.objects.filter(key=key).exclude(window=window).update(window=window, taken=0)
            if window % 60 == 0:
                ApiUse.objects.filter(window__lt=window - 60).delete()
            while wanted:
                rows = ApiUse.objects.filter(key=key, window=window, taken__lte=limit - wanted)
                if rows.update(taken=F("taken") + wanted):
                    return wanted
                wanted //= 2
    except DatabaseError:
        # A database that cannot be written at the moment can still be read; the next request asks again.
        return 1
    return 0


API_LIMIT: Final = ApiLimit()
