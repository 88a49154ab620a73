"""The simulated fleet as the benchmark sees it: addresses, logins, and what the devices counted."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import Any

from tests.bench import texts
from tests.bench.address import Address
from tests.bench.measure import Tree, cpu_seconds
from tests.bench.server import Conditions
from tests.netraven_site.instance import REPOSITORY, free_port

USERNAME = "netops"


@dataclass(frozen=True)
class Situation:
    """What a fleet is like; times in seconds."""

    devices: int = 200
    round_trip_s: float = 0.04
    answer_s: float = 2.0
    reject_s: float = 2.0
    refuse_first: float = 0.0
    """The part of the devices that know only the second password."""
    group14_only: bool = False


@dataclass
class Fleet:
    """Simulated devices in processes of their own; each on an address of its own below 127.0.0.0/8."""

    situation: Situation
    processes: int = 2
    passwords: tuple[str, str] = field(default_factory=lambda: (secrets.token_hex(12), secrets.token_hex(12)))
    addresses: Sequence[Address] = ()
    refusing: frozenset[int] = frozenset()
    """The devices that know only the second password."""
    _running: list[subprocess.Popen[str]] = field(default_factory=list)

    def __enter__(self) -> Fleet:
        port = free_port()
        situation = self.situation
        # Addresses are spread over three octets; .0 and .255 mean nothing special on the loopback.
        self.addresses = [
            Address(n, texts.device_name(n), f"127.{20 + (n >> 16)}.{n >> 8 & 255}.{n & 255}", port)
            for n in range(1, situation.devices + 1)
        ]
        refusing = round(situation.devices * situation.refuse_first)
        self.refusing = frozenset(round(n * situation.devices / refusing) for n in range(1, refusing + 1))
        conditions = Conditions(
            USERNAME, situation.round_trip_s, situation.answer_s, situation.reject_s, situation.group14_only
        )
        for process in range(self.processes):
            devices = [
                {
                    "number": each.number,
                    "host": each.host,
                    "passwords": [self.passwords[1]] if each.number in self.refusing else list(self.passwords),
                }
                for each in self.addresses[process :: self.processes]
            ]
            order = {"parent": os.getpid(), "port": port, "conditions": asdict(conditions), "devices": devices}
            running = subprocess.Popen(
                [sys.executable, "-m", "tests.bench.server"],
                cwd=REPOSITORY,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            self._running.append(running)
            self._say(running, json.dumps(order))
        for running in self._running:
            self._hear(running)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for running in self._running:
            running.kill()
            running.communicate()
        self._running.clear()

    def counted(self) -> dict[int, Counter[str]]:
        """What each device counted since it was asked last: connections, passwords, rejected, configurations."""
        found: dict[int, Counter[str]] = {}
        for running in self._running:
            self._say(running, "?")
            found |= {int(number): Counter(each) for number, each in self._hear(running)["counted"].items()}
        return found

    def cpu_seconds(self) -> float:
        """CPU that the devices have used so far."""
        return sum(cpu_seconds(Tree(running.pid).members()) for running in self._running)

    @staticmethod
    def _say(running: subprocess.Popen[str], line: str) -> None:
        assert running.stdin is not None
        running.stdin.write(line + "\n")
        running.stdin.flush()

    @staticmethod
    def _hear(running: subprocess.Popen[str]) -> dict[str, Any]:
        assert running.stdout is not None
        line = running.stdout.readline()
        if not line:
            raise RuntimeError("a process of simulated devices ended; its reason is above")
        answer: dict[str, Any] = json.loads(line)
        return answer
