"""What is measured: fleets, who meets them, and how often; contestants take turns."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.fleet import Fleet, Situation
from tests.bench.play import Contestant, Round
from tests.bench.report import Figures


@dataclass(frozen=True)
class Scenario:
    """A fleet and who meets it."""

    title: str
    situation: Situation
    contestants: Sequence[Contestant]

    def play(self, rounds: int, say: Callable[[str], None]) -> list[Figures]:
        """Every contestant `rounds` times, taking turns; a line for each run of the same job."""
        contestants = []
        for each in self.contestants:
            if missing := each.missing():
                say(f"  {each.label} does not play: {missing} is not installed")
            else:
                contestants.append(each)
        played: dict[str, list[list[Round]]] = {each.label: [] for each in contestants}
        with tempfile.TemporaryDirectory(prefix="netraven-bench-") as scratch, Fleet(self.situation) as fleet:
            for turn in range(rounds):
                for each in contestants:
                    began = time.perf_counter()
                    try:
                        found = each.play(fleet, Path(scratch))
                    except (RuntimeError, subprocess.SubprocessError) as error:
                        # What the others have shown so far is not lost by it.
                        say(f"  {turn + 1}/{rounds} {each.label} fell out: {error}")
                        continue
                    played[each.label].append(found)
                    took = time.perf_counter() - began
                    rates = ", ".join(f"{one.rate:.1f}/s" for one in found)
                    say(f"  {turn + 1}/{rounds} {each.label}: {rates} ({took:.0f} s with all preparations)")
        return [
            Figures(self.title, label if not number else f"{label}, again", list(runs))
            for label, turns in played.items()
            for number, runs in enumerate(zip(*turns, strict=True))
        ]


def say(text: str) -> None:
    """A line about how far it is, beside the table."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
