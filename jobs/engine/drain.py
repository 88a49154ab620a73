"""One switch for all processes of a cluster: finish the devices in hand, start no others.

The switch is a byte of shared memory that forked processes inherit, so it is seen at once everywhere, by
processes that are forked later too, and needs no signal to arrive.
"""

from __future__ import annotations

import mmap
import time

_switch = mmap.mmap(-1, 1)
_LOOK_EVERY_S = 0.1


def begin() -> None:
    """Ask every process of this cluster to finish what it has in hand and put the rest back."""
    _switch[0] = 1


def clear() -> None:
    """Take the request back."""
    _switch[0] = 0


def is_draining() -> bool:
    """Whether no more devices may be started."""
    return bool(_switch[0])


def wait(seconds: float) -> bool:
    """Sleep `seconds`, or less when draining begins; returns `is_draining()`."""
    end = time.monotonic() + seconds
    while not is_draining() and (left := end - time.monotonic()) > 0:
        time.sleep(min(left, _LOOK_EVERY_S))
    return is_draining()
