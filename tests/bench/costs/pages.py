"""How long pages take at one size and at ten times that."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.play import Child, child, in_shell
from tests.netraven_site.instance import Instance

_INSIDE = Path(__file__).with_name("inside_pages.py")
_READINGS = 5


@dataclass(frozen=True)
class _Filled:
    """An instance full of devices and results, and what its pages took."""

    process: Child
    devices: int
    results: int
    readings: list[dict[str, dict[str, float]]]

    def read(self) -> dict[str, Any]:
        """Every page once."""
        self.process.say("read")
        found: dict[str, Any] = self.process.hear("read")
        return found

    def ms(self, page: str) -> float:
        """The median of its readings."""
        return median(each[page]["ms"] for each in self.readings)


def measure(devices: int, say: Callable[[str], None], nights: int = 100) -> tuple[Sequence[str], list[Sequence[str]]]:
    """Headings and lines: each page at a tenth of the devices, at all of them, and how it grew."""
    with _filled(devices // 10, nights, say) as small, _filled(devices, nights, say) as large:
        for each in (small, large):
            each.read()  # what a process loads at its first pages is nobody's page time
        for _ in range(_READINGS):
            for each in (small, large):
                each.readings.append(each.read())
    headings = (
        "",
        *(f"{each.devices:,} devices, {each.results:,} results" for each in (small, large)),
        "growth",
        "queries",
    )
    lines: list[Sequence[str]] = [
        (
            page,
            f"{small.ms(page):.0f} ms",
            f"{large.ms(page):.0f} ms",
            f"{large.ms(page) / small.ms(page):.1f} ×",
            f"{last['queries']}",
        )
        for page, last in large.readings[-1].items()
    ]
    return headings, lines


@contextmanager
def _filled(devices: int, nights: int, say: Callable[[str], None]) -> Iterator[_Filled]:
    say(f"  an instance with {devices:,} devices and {nights} nightly runs")
    with tempfile.TemporaryDirectory(prefix="netraven-bench-") as folder:
        instance = Instance(Path(folder), NETRAVEN_LOG_LEVEL="WARNING")
        instance.setup()
        with child(in_shell(_INSIDE), instance.env) as process:
            process.say(f"{devices} {nights}")
            filled = process.hear("filled")
            yield _Filled(process, filled["devices"], filled["results"], [])
