"""A whole instance for tests: its own folder, its own port, real processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from jobs.engine.linux import began_at

REPOSITORY = Path(__file__).resolve().parent.parent.parent
# What a developer's shell or the test settings may hold, and what an instance must find for itself.
_PRIVATE = ("NETRAVEN_", "DATABASE_URL", "DJANGO_SETTINGS_MODULE", "PYTHONUNBUFFERED")

_PLAIN_USER = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []


class Instance:
    """One NETRAVEN_HOME."""

    def __init__(self, home: Path, **variables: str) -> None:
        self.home = home
        self.port = free_port()
        self.env = {name: text for name, text in os.environ.items() if not name.startswith(_PRIVATE)}
        # Simulated devices listen on loopback, which has to be allowed by name.
        self.env |= {
            "NETRAVEN_HOME": str(home),
            "NETRAVEN_PORT": str(self.port),
            "NETRAVEN_TARGETS": "any,127.0.0.0/8,::1",
        }
        self.env |= variables

    def manage(self, *arguments: str, plain_user: bool = False, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a management command to its end, if asked without root's right to ignore file modes."""
        return subprocess.run(
            [*(_PLAIN_USER if plain_user else []), sys.executable, "manage.py", *arguments],
            cwd=REPOSITORY,
            env={**self.env, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def setup(self) -> None:
        """The first start."""
        done = self.manage("setup", "--no-input")
        assert done.returncode == 0, done.stderr

    def shell(self, code: str) -> str:
        """What a piece of Python prints inside this instance."""
        done = self.manage("shell", "--no-imports", "--command", code)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    @contextmanager
    def up(self, *arguments: str, program: Sequence[str] = ("manage.py", "up")) -> Iterator[Up]:
        """`up` (or a program that ends in it), ready; whatever is left of it afterwards is killed."""
        console = self.home / "console.txt"
        with open(console, "wb") as output:
            process = subprocess.Popen(
                [sys.executable, *program, *arguments],
                cwd=REPOSITORY,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        running = Up(process, console)
        try:
            running.wait_for_line("ready at")
            yield running
        finally:
            running.note_sessions()
            if process.poll() is None:
                process.kill()
            process.wait()
            for pid in running.living():
                os.kill(pid, signal.SIGKILL)


# A worker, who takes results, and who fetches tasks.
_OF_A_SENTINEL = 3


class Up:
    """A running `up` and everything below it."""

    def __init__(self, process: subprocess.Popen[bytes], console: Path) -> None:
        self.process = process
        self.console = console
        self._sessions = {process.pid}
        self._first: dict[int, tuple[int, ...]] = {}

    def note_sessions(self) -> None:
        """Remember the sessions of the present children: what they start stays in them, even orphaned."""
        self._sessions |= {pid for pid, parent, _ in processes() if parent == self.process.pid}

    def living(self) -> list[int]:
        """Every process that `up` or a child of it ever started, as far as noted, and that still lives."""
        return [pid for pid, _, session in processes() if session in self._sessions]

    def child(self, *words: str) -> int:
        """The child of `up` with these words in its command line."""
        self.note_sessions()
        found = [
            pid
            for pid, parent, _ in processes()
            if parent == self.process.pid and all(word in command(pid) for word in words)
        ]
        assert len(found) == 1, (found, self.console.read_text())
        return found[0]

    def sentinel(self) -> int:
        """The process of the task cluster that starts the workers."""
        (pid,) = children(self.child("worker"))
        return pid

    def idle_worker(self) -> int:
        """The only worker, when it waits for work: the first child of a new sentinel, later who was started last."""
        found: list[int] = []

        def at_rest() -> bool:
            now = sorted(children(self.sentinel()), key=lambda pid: int(began_at(pid) or 0))
            same = len(now) == _OF_A_SENTINEL and now == found
            found[:] = now
            if not same:
                time.sleep(1)
            return same

        wait_until(at_rest, 60, "a cluster at rest")
        is_new = self._first.setdefault(self.sentinel(), tuple(found)) == tuple(found)
        return found[0] if is_new else found[-1]

    def wait_for_line(self, text: str, count: int = 1, within_s: float = 90) -> None:
        """Wait until the console shows a text `count` times."""
        wait_until(
            lambda: self.console.read_text().count(text) >= count or self.process.poll() is not None,
            within_s,
            f"{text!r} on the console",
        )
        assert self.console.read_text().count(text) >= count, self.console.read_text()

    def wait_until_gone(self, within_s: float = 30) -> None:
        """Wait until nothing that was ever started is left."""
        wait_until(lambda: not self.living(), within_s, "all processes gone")


def free_port() -> int:
    """A TCP port that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool], within_s: float, what: str) -> None:
    """Wait for a condition; fails with `what` was awaited."""
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, f"not within {within_s} s: {what}"
        time.sleep(0.1)


def processes() -> list[tuple[int, int, int]]:
    """(pid, parent, session) of every process that is not a zombie."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                # The name in parentheses may hold anything; the fields after it are plain.
                state, parent, _, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if state != "Z":
                found.append((int(folder.name), int(parent), int(session)))
    return found


def children(pid: int) -> list[int]:
    """The living children of a process."""
    return [child for child, parent, _ in processes() if parent == pid]


def command(pid: int) -> list[str]:
    """The command line of a process; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []
