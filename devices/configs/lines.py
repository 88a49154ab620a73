"""Lines of a text, counted in the same way everywhere: pages link to them by number."""

from __future__ import annotations


def lines_of(text: str) -> list[str]:
    """The lines without their ends; a newline at the very end begins no further line."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    return lines
