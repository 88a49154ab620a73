"""What changed between two texts."""

from __future__ import annotations

import difflib
from dataclasses import dataclass


@dataclass(frozen=True)
class DiffLine:
    """One line of a diff."""

    kind: str
    text: str


def unified(before: str, after: str, context: int = 3) -> list[DiffLine]:
    """A unified diff."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=context)
    return [DiffLine(line[:1], line[1:]) for line in lines]


def summary(before: str, after: str, platform: str) -> str:
    """What changed in one line."""
    return f"{sum(line.kind in '+-' for line in unified(before, after, 0))} lines changed"
