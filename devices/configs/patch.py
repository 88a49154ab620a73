"""A diff as text, in the form that `patch` and every viewer of diffs reads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from devices.configs.diff import DiffLine, LineKind

SIGNS: Final = {LineKind.ADDED: "+", LineKind.REMOVED: "-", LineKind.SAME: " "}


def patch_text(before: str, after: str, lines: Iterable[DiffLine]) -> str:
    """The lines of a diff under the headings of the two texts; empty when nothing changed."""
    hunks: list[tuple[tuple[int, int], list[DiffLine]]] = []
    at = (0, 0)
    fresh = True
    for line in lines:
        if line.kind is LineKind.GAP:
            at = (at[0] + line.folded, at[1] + line.folded)
            fresh = True
            continue
        if fresh:
            hunks.append((at, []))
            fresh = False
        hunks[-1][1].append(line)
        at = (at[0] + (line.kind is not LineKind.ADDED), at[1] + (line.kind is not LineKind.REMOVED))
    if not hunks:
        return ""
    text = [f"--- {before}", f"+++ {after}"]
    for start, hunk in hunks:
        old = sum(line.kind is not LineKind.ADDED for line in hunk)
        new = sum(line.kind is not LineKind.REMOVED for line in hunk)
        text.append(f"@@ -{_span(start[0], old)} +{_span(start[1], new)} @@")
        text += [SIGNS[line.kind] + line.text for line in hunk]
    return "\n".join(text) + "\n"


def _span(consumed: int, count: int) -> str:
    # A side without lines names the line after which the others stand.
    return f"{consumed + (count > 0)},{count}"
