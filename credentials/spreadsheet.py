"""Cells of CSV files: what a spreadsheet would run as a formula is kept from it. Every export goes through here."""

from __future__ import annotations

import re
from typing import Final

_FORMULA: Final = r"[=+\-@\t\r\n＝＋－＠]"
_NEEDS_GUARD: Final = re.compile(rf"'*{_FORMULA}")
_HAS_GUARD: Final = re.compile(rf"'+{_FORMULA}")


def guarded(text: str) -> str:
    """Text for a CSV cell: an apostrophe goes before what a spreadsheet would run as a formula.

    Text that already looks guarded gets one more, so that `unguarded` always gives back what was stored.
    """
    return f"'{text}" if _NEEDS_GUARD.match(text) else text


def unguarded(text: str) -> str:
    """The text behind a guard; what has none is returned as it is."""
    return text[1:] if _HAS_GUARD.match(text) else text
