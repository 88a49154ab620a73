"""Trying rules on a text that somebody pastes: in a process of its own, under a time limit, and kept nowhere."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from devices.connector import platforms
from devices.connector.platform_trial import given, run_apart
from devices.connector.platforms import Source

MOST_CHARACTERS: Final = 1_000_000
_CPU_S: Final = 15.0
_MOST_LINES: Final = 500


class TryFailed(Exception):
    """The rules could not be tried; says why in words."""


@dataclass(frozen=True)
class Trial:
    """What the rules of a platform make of a text."""

    whole: bool
    reason: str
    evidence: str
    """The line that the judgement rests on, secrets as placeholders."""
    shown: str
    """The text as it would be kept for reading, secrets as placeholders."""
    secrets: int
    left_out: list[tuple[int, str]]
    """Lines that no comparison sees, with their numbers, secrets as placeholders; the first 500."""
    facts: dict[str, Any]
    facts_command: str


def attempt(sources: Sequence[Source], platform: str, kind: str, text: str, command: str = "") -> Trial:
    """Judge, compare, redact and read a text by the shipped table with these sources laid over it.

    Raises TryFailed when that takes too long, or cannot be done. `command` is the one that facts are read by.
    """
    if len(text) > MOST_CHARACTERS:
        raise TryFailed(f"At most {MOST_CHARACTERS:,} characters.")
    payload = [[[each.name, each.text] for each in sources], platform, kind, text, command]
    try:
        found = run_apart("devices.configs.trying", payload, _CPU_S)
    except TimeoutError:
        raise TryFailed(
            f"The rules needed more than {_CPU_S:g} s for this text: one of the patterns is slow."
        ) from None
    except RuntimeError:
        # Its words might quote the text.
        raise TryFailed("The rules could not be tried: check them, and the name of the platform.") from None
    found["left_out"] = [(number, line) for number, line in found["left_out"]]
    return Trial(**found)


def _try(sources: Any, platform: str, kind: str, text: str, command: str) -> Trial:
    from devices.configs import integrity
    from devices.configs.facts import facts
    from devices.configs.normalise import clean, normalise
    from devices.configs.redact import PLACEHOLDER, redact

    platforms.use(platforms.read_table(*(Source(*each) for each in sources)))
    rules = platforms.platform(platform)
    text = clean(text).strip("\n") + "\n"
    verdict = integrity.check(text, platform, kind, prompt_seen=True)
    shown = redact(text, platform)
    left_out = _left_out(shown, normalise(shown, platform))
    command = command or rules.facts_command or ""
    return Trial(
        whole=verdict.whole,
        reason=verdict.reason,
        evidence=redact(verdict.evidence, platform),
        shown=shown,
        secrets=shown.count(PLACEHOLDER),
        left_out=left_out[:_MOST_LINES],
        facts=dict(facts(text, platform, command)) if command else {},
        facts_command=command,
    )


def _left_out(text: str, compared: str) -> list[tuple[int, str]]:
    """The lines of a text that are not, or not as a whole, among those that are compared."""
    rest = compared.split("\n")
    at = 0
    found = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        if at < len(rest) and rest[at] == line.rstrip():
            at += 1
            continue
        found.append((number, line))
        # Of some lines only a part is left out: the rest of them is the next that is compared.
        if at < len(rest) and rest[at] and _is_rest_of(rest[at], line):
            at += 1
    return found


def _is_rest_of(rest: str, line: str) -> bool:
    head = 0
    while head < min(len(rest), len(line)) and rest[head] == line[head]:
        head += 1
    return head > 0 and line.rstrip().endswith(rest[head:])


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(_try(*given()))))
