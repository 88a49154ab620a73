"""One round of one contestant: from the go to all configurations in hand, and what it took."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tests.bench import texts
from tests.bench.address import Address
from tests.bench.fleet import USERNAME, Fleet
from tests.bench.measure import Peak, Tree, cpu_seconds
from tests.netraven_site.instance import REPOSITORY, Instance


@dataclass(frozen=True)
class Round:
    """What one round showed."""

    devices: int
    seconds: float
    cpu_s: float
    servers_cpu_s: float
    peak_bytes: int
    passwords: int
    verified: int

    @property
    def rate(self) -> float:
        """Verified configurations a second."""
        return self.verified / self.seconds

    @property
    def cpu_ms(self) -> float:
        """CPU of the whole tree of processes, a device."""
        return self.cpu_s * 1000 / self.devices

    @property
    def servers_cpu_ms(self) -> float:
        """CPU of the simulated devices, a device."""
        return self.servers_cpu_s * 1000 / self.devices


class Contestant(Protocol):
    """Something that fetches all configurations of a fleet."""

    @property
    def label(self) -> str:
        """Its name in the table."""

    def missing(self) -> str:
        """What must be installed before it can play; empty when nothing is missing."""

    def play(self, fleet: Fleet, scratch: Path) -> list[Round]:
        """Fetch everything; one round, or one for each time that the same job ran."""


@dataclass
class Stopwatch:
    """What a contestant and the fleet used between `start` and `stop`."""

    fleet: Fleet
    trees: Sequence[Tree]
    memory_of: Sequence[Tree] = ()
    """Those whose memory counts; empty: all."""
    seconds: float = 0.0
    cpu_s: float = 0.0
    servers_cpu_s: float = 0.0
    peak_bytes: int = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Measure what happens inside."""
        self.fleet.counted()
        cpu, servers, begin = self._cpu(), self.fleet.cpu_seconds(), time.perf_counter()
        with Peak(self.memory_of or self.trees) as peak:
            yield
            self.seconds = time.perf_counter() - begin
            self.cpu_s, self.servers_cpu_s = self._cpu() - cpu, self.fleet.cpu_seconds() - servers
        self.peak_bytes = peak.bytes

    def _cpu(self) -> float:
        return sum(cpu_seconds(tree.members()) for tree in self.trees)

    def round(self, verified: int, devices: int) -> Round:
        """All of it, with what the devices counted."""
        passwords = sum(each["passwords"] for each in self.fleet.counted().values())
        return Round(
            devices=devices,
            seconds=self.seconds,
            cpu_s=self.cpu_s,
            servers_cpu_s=self.servers_cpu_s,
            peak_bytes=self.peak_bytes,
            passwords=passwords,
            verified=verified,
        )


@dataclass(frozen=True)
class Program:
    """A contestant that is a Python program in `contestants`, in one process or in several that share the devices."""

    label: str
    module: str
    sessions: int
    processes: int = 1
    first: int | None = None
    """Only so many devices, for those that would take too long."""
    same: Callable[[str, int], bool] = texts.same
    """Whether a text is what the device of this number said."""
    command: str = ""
    """A program that it starts."""

    def missing(self) -> str:
        """See Contestant."""
        return self.command if self.command and shutil.which(self.command) is None else ""

    def play(self, fleet: Fleet, scratch: Path) -> list[Round]:
        """See Contestant."""
        devices = list(fleet.addresses)[: self.first]
        with ExitStack() as stack:
            running = [
                stack.enter_context(self._process(fleet, devices[n :: self.processes], scratch / f"texts-{n}"))
                for n in range(self.processes)
            ]
            watch = Stopwatch(fleet, [Tree(each.pid) for each in running])
            with watch.running():
                for each in running:
                    each.say("go")
                for each in running:
                    each.hear("fetched")
            for each in running:
                each.say("write")
                each.hear("written")
        fetched = (pair for n in range(self.processes) for pair in _read(scratch / f"texts-{n}"))
        return [watch.round(sum(self.same(text, number) for number, text in fetched), len(devices))]

    @contextmanager
    def _process(self, fleet: Fleet, devices: Sequence[Address], out: Path) -> Iterator[Child]:
        order = {
            "devices": [[each.number, each.name, each.host, each.port] for each in devices],
            "username": USERNAME,
            "passwords": fleet.passwords,
            "sessions": self.sessions // self.processes,
            "out": str(out),
        }
        with child([sys.executable, "-m", f"tests.bench.contestants.{self.module}"]) as process:
            process.say(json.dumps(order))
            process.hear("ready")
            yield process


def _read(path: Path) -> Iterator[tuple[int, str]]:
    with path.open() as file:
        for line in file:
            number, text = json.loads(line)
            yield number, text
    path.unlink()


@dataclass(frozen=True)
class Child:
    """A process that is told and answers in lines."""

    pid: int
    say: Callable[[str], None]
    _answer: Callable[[], str]

    def hear(self, name: str) -> Any:
        """The value of this name in its next answer."""
        line = self._answer()
        if not line:
            raise RuntimeError(f"a process ended while it was to say {name!r}; its reason is above")
        return json.loads(line)[name]


@contextmanager
def child(command: Sequence[str], env: Mapping[str, str] | None = None, folder: Path = REPOSITORY) -> Iterator[Child]:
    """A process that ends with the block."""
    process = subprocess.Popen(command, cwd=folder, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    def say(line: str) -> None:
        stdin.write(line + "\n")
        stdin.flush()

    try:
        yield Child(process.pid, say, stdout.readline)
    finally:
        process.kill()
        process.communicate()


def in_shell(program: Path) -> list[str]:
    """The command that runs a file inside an instance, by the shell of the checkout in whose folder it is started."""
    code = f"import runpy; runpy.run_path({str(program)!r}, run_name='__main__')"
    return [sys.executable, "manage.py", "shell", "--no-imports", "--command", code]


def inside(instance: Instance, program: Path, order: str) -> str:
    """What a file prints that is run inside an instance, with an order on its standard input."""
    done = subprocess.run(
        in_shell(program),
        cwd=REPOSITORY,
        env=instance.env,
        input=order + "\n",
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout
