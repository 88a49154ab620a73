"""Charts of the analytics as plain numbers, which a template draws as SVG; no script is needed to read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from devices.connector.outcomes import Tone
from jobs.analytics.rates import Day

WIDTH, HEIGHT = 640, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 8, 26, 28
_MOST_LABELS = 8

SERIES: tuple[tuple[str, str, Tone], ...] = (
    ("accepted", "Accepted", Tone.GOOD),
    ("rejected", "Rejected", Tone.FAILED),
    ("unanswered", "Unanswered", Tone.PASSING),
    ("other", "Other", Tone.UNKNOWN),
)


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: where, in units of the drawing, and what it says."""

    at: float
    text: str


@dataclass(frozen=True)
class Bar:
    """A bar, in units of the drawing; the title is what it says when pointed at."""

    x: float
    y: float
    width: float
    height: float
    tone: str
    title: str


@dataclass(frozen=True)
class Chart:
    """A bar for each day, with axes, unit and legend."""

    title: str
    unit: str
    bars: list[Bar]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    legend: list[tuple[str, str]]
    left: float = _LEFT
    right: float = WIDTH - _RIGHT
    top: float = _TOP
    bottom: float = HEIGHT - _BOTTOM
    width: int = WIDTH
    height: int = HEIGHT


def logins_chart(days: Sequence[Day]) -> Chart:
    """Logins a day, stacked by what became of them; what never occurs is left out of the legend."""
    used = [each for each in SERIES if any(getattr(day.counts, each[0]) for day in days)] or [SERIES[0]]
    parts = [
        [(getattr(day.counts, name), tone, f"{day.day}: {getattr(day.counts, name):,} {label.lower()}")
         for name, label, tone in used]
        for day in days
    ]  # fmt: skip
    legend = [(label, tone.value) for _, label, tone in used]
    return _chart("Logins a day", "logins", days, parts, legend, least_step=1)


def rejections_chart(days: Sequence[Day]) -> Chart:
    """Rejected in percent of the answered, for days with enough of them."""

    def said(day: Day, rate: float) -> str:
        return f"{day.day}: {rate:.1f} % of {day.counts.answered:,} answered logins were rejected"

    parts = [
        [] if (rate := day.counts.rejection_rate) is None else [(rate, Tone.FAILED, said(day, rate))] for day in days
    ]
    return _chart("Rejected logins", "% of answered", days, parts, [("Rejected", Tone.FAILED.value)])


def _chart(
    title: str,
    unit: str,
    days: Sequence[Day],
    parts: Sequence[Sequence[tuple[float, Tone, str]]],
    legend: list[tuple[str, str]],
    least_step: float = 0.01,
) -> Chart:
    steps = _steps(max((sum(part[0] for part in stack) for stack in parts), default=0), least_step)
    most = steps[-1]
    height, width = HEIGHT - _TOP - _BOTTOM, WIDTH - _LEFT - _RIGHT
    slot = width / max(1, len(days))
    bars = []
    for number, stack in enumerate(parts):
        below = 0.0
        for value, tone, said in stack:
            if value:
                top = _TOP + height * (1 - (below + value) / most)
                x = _LEFT + slot * (number + 0.1)
                bars.append(_bar(x, top, slot * 0.8, height * value / most, tone, said))
            below += value
    every = max(1, ceil(len(days) / _MOST_LABELS))
    return Chart(
        title,
        unit,
        bars,
        [
            Tick(round(_LEFT + slot * (number + 0.5), 1), f"{day.day:%d %b}")
            for number, day in enumerate(days)
            if number % every == 0
        ],
        [Tick(round(_TOP + height * (1 - step / most), 1), _number(step)) for step in steps],
        legend,
    )


def _bar(x: float, y: float, width: float, height: float, tone: Tone, title: str) -> Bar:
    # One rejection beside ten thousand successes is still to be seen.
    seen = max(height, 0.8)
    return Bar(round(x, 2), round(y - (seen - height), 2), round(width, 2), round(seen, 2), tone.value, title)


def _steps(most: float, least: float) -> list[float]:
    """Round numbers from 0 to at least `most`, about four of them, `least` or more apart."""
    if most <= 0:
        return [0.0, 1.0]
    rough = max(most / 4, least)
    power = 10.0 ** floor(log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    return [step * number for number in range(ceil(most / step) + 1)]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"
