"""Answers that are text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rest_framework.renderers import BaseRenderer

from devices.configs.diff import DiffLine, LineKind
from devices.models import ConfigVersion

_SIGNS = {LineKind.SAME: " ", LineKind.REMOVED: "-", LineKind.ADDED: "+"}


class PlainText(BaseRenderer):
    """`text/plain`, as it is."""

    media_type = "text/plain"
    format = "text"
    charset = "utf-8"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        """The text as bytes."""
        return str(data).encode("utf-8")


def unified_text(before: ConfigVersion, after: ConfigVersion, lines: Iterable[DiffLine]) -> str:
    """A diff in the form that `patch` and every viewer of diffs reads; empty when nothing changed."""
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
    text = [f"--- {_heading(before)}", f"+++ {_heading(after)}"]
    for start, hunk in hunks:
        old = sum(line.kind is not LineKind.ADDED for line in hunk)
        new = sum(line.kind is not LineKind.REMOVED for line in hunk)
        text.append(f"@@ -{_span(start[0], old)} +{_span(start[1], new)} @@")
        text += [_SIGNS[line.kind] + line.text for line in hunk]
    return "\n".join(text) + "\n"


def _span(consumed: int, count: int) -> str:
    # A side without lines names the line after which the others stand.
    return f"{consumed + (count > 0)},{count}"


def _heading(version: ConfigVersion) -> str:
    return f"{version.device.name}/{version.kind}/{version.number}\t{version.first_seen_at:%Y-%m-%d %H:%M:%S %z}"
