"""What the programs beside NetRaven share: they wait ready for a go, and say when everything is in hand.

Each is a process of its own, so that its CPU and memory can be told from everybody else's.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.address import Address


@dataclass(frozen=True, repr=False)
class Order:
    """What a program is to fetch; passwords come on standard input and never on a command line."""

    devices: Sequence[Address]
    username: str
    passwords: Sequence[str]
    sessions: int
    out: Path


def receive() -> Order:
    """The order of the benchmark."""
    given = json.loads(sys.stdin.readline())
    devices = [Address(*each) for each in given["devices"]]
    return Order(devices, given["username"], given["passwords"], given["sessions"], Path(given["out"]))


def perform(order: Order, fetch: Callable[[], Mapping[int, str]]) -> None:
    """Wait for the go, fetch, report; then leave the texts where they are verified."""
    _say({"ready": True})
    if not sys.stdin.readline():
        return
    texts = fetch()
    _say({"fetched": len(texts)})
    sys.stdin.readline()
    with order.out.open("w") as file:
        for number, text in texts.items():
            file.write(json.dumps([number, text]) + "\n")
    _say({"written": len(texts)})
    sys.stdin.readline()


def note(number: int, error: BaseException) -> None:
    """Say why a device's configuration is missing."""
    sys.stderr.write(f"device {number}: {type(error).__name__}: {str(error).strip()[:200]}\n")


def _say(answer: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
