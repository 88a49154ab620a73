"""Versions of operating systems in their natural order: 9.3 < 9.3(5) < 10.1, 21.4R3-S2 < 21.4R3-S10. Plain Python."""

from __future__ import annotations

import re
from typing import Final

_LONGEST: Final = 250
_TOKEN: Final = re.compile(r"[0-9]+|-?[a-z]+", re.IGNORECASE | re.ASCII)
_BEFORE: Final = frozenset({"alpha", "beta", "dev", "pre", "preview", "rc"})
"""What comes before the release that it is named after."""
# Kinds of pieces, in their order. All is digits, so that every database orders keys as Python does.
_EARLIER, _END, _LETTERS, _NUMBER, _AFTER = "12345"


def version_key(version: str) -> str:
    """A text whose order is that of the versions; empty where there is no number in it.

    Numbers count as numbers, what stands before the first one (`v`, `C-`, `TiMOS-B-`) does not count, and neither
    does a zero at the end: 17.9 is 17.09.0. Letters come after the end (9.3 < 9.3a) and before a further number;
    behind a hyphen they come after it (21.4R3.15 < 21.4R3-S2), and alpha, beta and rc before the end (7.1rc4 < 7.1).
    """
    tokens = _TOKEN.findall(version.lower())
    start = next((at for at, token in enumerate(tokens) if token.isdigit()), None)
    if start is None:
        return ""
    pieces: list[str] = []
    zeros: list[str] = []
    for token in tokens[start:]:
        if token.isdigit():
            piece = _number(token)
            if piece == _ZERO:
                # Only a zero with another number behind it makes a difference.
                zeros.append(piece)
                continue
            pieces += [*zeros, piece]
        else:
            pieces.append(_word(token))
        zeros = []
    return "".join([*pieces, _END])[:_LONGEST] if pieces else _ZERO + _END


def _number(digits: str) -> str:
    digits = digits.lstrip("0")
    return f"{_NUMBER}{len(digits):02d}{digits}"


_ZERO: Final = _number("0")


def _word(token: str) -> str:
    word = token.lstrip("-")
    kind = _EARLIER if word in _BEFORE else _AFTER if token[0] == "-" else _LETTERS
    return kind + "".join(str(ord(letter) - ord("a") + 11) for letter in word) + "10"
