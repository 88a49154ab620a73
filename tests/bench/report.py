"""The table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from tests.bench.play import Round


@dataclass(frozen=True)
class Figures:
    """The rounds of one contestant in one scenario, and their medians."""

    scenario: str
    who: str
    rounds: Sequence[Round]

    def of(self, value: Callable[[Round], float]) -> float:
        """The median of a value."""
        return median(value(each) for each in self.rounds)

    @property
    def rate(self) -> float:
        """Devices a second."""
        return self.of(lambda each: each.rate)

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds a device."""
        return self.of(lambda each: each.cpu_ms)

    @property
    def peak_bytes(self) -> float:
        """Most memory at once."""
        return self.of(lambda each: each.peak_bytes)


HEADINGS = ("", "devices", "devices/s", "lowest–highest", "CPU ms/device", "fleet's", "memory", "passwords", "verified")


def row(figures: Figures) -> tuple[str, ...]:
    """One line of the table."""
    rates = [each.rate for each in figures.rounds]
    return (
        figures.who,
        f"{figures.rounds[0].devices:,}",
        f"{figures.rate:.1f}",
        f"{min(rates):.1f}–{max(rates):.1f}",
        f"{figures.cpu_ms:.1f}",
        f"{figures.of(lambda each: each.servers_cpu_ms):.1f}",
        f"{figures.peak_bytes / 1e6:.0f} MB",
        f"{figures.of(lambda each: each.passwords):,.0f}",
        f"{min(each.verified for each in figures.rounds):,}",
    )


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table that reads well as it is and as Markdown: text to the left, figures to the right."""
    widths = [max(len(line[n]) for line in (headings, *rows)) for n in range(len(headings))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if n == 0 else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = [("-" * widths[0]), *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(headings), line(rule), *(line(each) for each in rows)])
