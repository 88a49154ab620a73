"""One child process of `up`: started bound to its parent, with a log file of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jobs.engine import linux

LOG_LIMIT_BYTES = 10 * 1024 * 1024
LOG_KEPT = 3
_STEADY_AFTER_S = 60.0
_LONGEST_PAUSE_S = 30.0


@dataclass(frozen=True)
class Spec:
    """What to run: a name for people, the program with its arguments, and the log file for its output."""

    name: str
    argv: Sequence[str]
    log: Path
    env: Mapping[str, str] = field(default_factory=dict)
    """Variables besides those of this process."""
    keep_fds: Sequence[int] = ()
    """File descriptors that the child inherits."""


class Child:
    """A process in a session of its own, which receives SIGTERM when this process dies."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.started_at = time.monotonic()
        rotate(spec.log)
        # Opened for appending and handed over: the child never waits for this process to read a pipe.
        with open(spec.log, "ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the arguments come from this program
                [sys.executable, linux.__file__, str(os.getpid()), *spec.argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **spec.env},
                pass_fds=spec.keep_fds,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process id, and the id of its process group."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether the process itself is gone; what it forked may not be."""
        # Left unreaped, so that its group cannot become somebody else's before `kill`.
        done = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) if self._is_ours else True
        return done is not None

    @property
    def _is_ours(self) -> bool:
        return self._process.returncode is None

    def terminate(self) -> None:
        """Ask the process, not its group, to stop."""
        if self._is_ours:
            os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> str:
        """Kill what is left of the whole group and reap the process; returns how it ended, in words."""
        if self._is_ours:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
        code = self._process.returncode
        return f"signal {-code}" if code < 0 else f"exit code {code}"


class Pauses:
    """How long to wait before the next start: longer each time, from the beginning after a steady minute."""

    def __init__(self) -> None:
        self._failures = 0

    def next(self, ran_s: float) -> float:
        """Seconds to wait after a process that ran for `ran_s` seconds."""
        self._failures = 0 if ran_s >= _STEADY_AFTER_S else self._failures + 1
        return min(2.0 ** max(self._failures - 1, 0), _LONGEST_PAUSE_S)


def rotate(log: Path) -> None:
    """Copy a log above LOG_LIMIT_BYTES to `<name>.1` (and so on, LOG_KEPT of them) and empty it in place."""
    # A full disk must not end the process that watches over all others: the next look tries again.
    with contextlib.suppress(OSError):
        if not log.exists() or log.stat().st_size <= LOG_LIMIT_BYTES:
            return
        for number in range(LOG_KEPT, 1, -1):
            older = log.with_name(f"{log.name}.{number - 1}")
            if older.exists():
                older.replace(log.with_name(f"{log.name}.{number}"))
        # The process keeps its open file; what it writes between these two lines is lost.
        shutil.copyfile(log, log.with_name(f"{log.name}.1"))
        os.truncate(log, 0)
