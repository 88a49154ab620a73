"""Where plaintext may be: which process may open a login, and whether this one has seen what somebody typed.

A login is opened by a worker, while it works on devices, and by nobody else: the web server, the scheduler and the
parents of all these have no way to it. What a person types passes through a web process once, which is replaced
soon afterwards (`netraven_site.processes.web`).
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator

from credentials.exceptions import NoWorker

_lock = threading.Lock()
_openers = 0
_sealed_at: float | None = None


@contextlib.contextmanager
def logins_may_be_opened() -> Iterator[None]:
    """For the time of a block, all threads of this process may open logins: a worker's, around its shard."""
    global _openers
    with _lock:
        _openers += 1
    try:
        yield
    finally:
        with _lock:
            _openers -= 1


def require_worker() -> None:
    """Raise NoWorker unless this process may open a login now."""
    if _openers == 0:
        raise NoWorker(
            "A login is opened by a worker alone, while it works on a device. To use this one, run a job; "
            "to look whether it can be opened, run ./manage.py keys doctor."
        )


def note_sealed() -> None:
    """Remember that a plaintext has just been sealed here: copies of it may be left in this process's memory."""
    global _sealed_at
    if _sealed_at is None:
        _sealed_at = time.monotonic()


def sealed_s_ago() -> float | None:
    """Seconds since this process first sealed what somebody typed; None when it never did."""
    return None if _sealed_at is None else time.monotonic() - _sealed_at


def _forget_after_fork() -> None:
    # A child of a process that may open logins is a process of its own and has to say so itself.
    global _lock, _openers
    _lock, _openers = threading.Lock(), 0


os.register_at_fork(after_in_child=_forget_after_fork)
