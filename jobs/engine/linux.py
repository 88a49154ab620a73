"""What the processes of an instance ask of the Linux kernel. Standard library only: children start with it.

Run as a script, `linux.py PARENT_PID PROGRAM [ARGUMENT...]` becomes the program, bound to its parent: when
the parent dies, even by SIGKILL, the program receives SIGTERM.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from functools import cache
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
# glibc's, from malloc.h
_M_ARENA_MAX = -8
_ARENAS = 2

_libc = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def die_with_parent(parent: int, signum: int) -> None:
    """Receive `signum` when the thread that started this process ends; exit if `parent` is already gone."""
    _prctl(_PR_SET_PDEATHSIG, signum)
    # The parent may have died before the kernel knew about us: then nobody would ever tell.
    if os.getppid() != parent:
        os._exit(1)


def keep_memory_private() -> None:
    """Deny core dumps and reading by other processes of the same user; forks inherit it, exec resets it."""
    _prctl(_PR_SET_DUMPABLE, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def keep_heap_small() -> None:
    """Give back what is free, and let threads share their heaps: each of eight a core keeps pages of its own."""
    if hasattr(_libc, "mallopt") and hasattr(_libc, "malloc_trim"):  # not in musl
        _libc.mallopt(_M_ARENA_MAX, _ARENAS)
        _libc.malloc_trim(0)


def kill_forks_with_parent() -> None:
    """From now on each process forked by this one, and by those, is killed as soon as its parent is gone."""
    parent = os.getpid()

    def remember() -> None:
        nonlocal parent
        parent = os.getpid()

    os.register_at_fork(before=remember, after_in_child=lambda: die_with_parent(parent, signal.SIGKILL))


@cache
def pid_space() -> str:
    """Where a process id of this process means the same: this boot of this machine, and this container of it."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot[:8]}-{Path('/proc/self/ns/pid').stat().st_ino}"


def began_at(pid: int) -> str | None:
    """When a living process began, in ticks since the boot; None when there is no such process.

    With it a process is told from another one that was given its number later, whatever the clock does.
    """
    try:
        # The name in parentheses may hold anything; the fields after it are plain.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]


if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]), signal.SIGTERM)
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - the arguments come from this program
