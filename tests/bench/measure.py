"""What a tree of processes takes of the machine: CPU, children that ended included, and memory."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Tree:
    """A process and everything below it; orphans of it are its own when it is a subreaper."""

    root: int

    def members(self) -> list[int]:
        """Every process of the tree that has not been waited for."""
        found, queue = [], [self.root]
        while queue:
            pid = queue.pop()
            found.append(pid)
            queue += _children(pid)
        return found


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        # One file a thread: a child belongs to the thread that made it.
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    except OSError:
        pass
    return found


def cpu_seconds(pids: list[int]) -> float:
    """User and system time of these processes and of the children that they have waited for."""
    return sum(_ticks(pid) for pid in pids) / _TICKS


def _ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(map(int, fields[11:15]))


def pss_bytes(pids: list[int]) -> int:
    """Memory of these processes, what they share counted once."""
    return sum(_pss(pid) for pid in pids)


def _pss(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


class Peak:
    """The most memory that these trees have had at once, looked at every so often."""

    def __init__(self, trees: Sequence[Tree], every_s: float = 0.25) -> None:
        self.bytes = 0
        self._trees = trees
        self._every_s = every_s
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._done.wait(self._every_s):
            self._look()

    def _look(self) -> None:
        self.bytes = max(self.bytes, sum(pss_bytes(tree.members()) for tree in self._trees))
