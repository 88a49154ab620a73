"""Whether an answer is a whole configuration: nothing else becomes a version."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from devices.configs.normalise import normalise
from devices.connector.platforms import Collect, Platform, platform_or_generic

_HEAD: Final = 5
_TAIL: Final = 3
_REFUSAL: Final = 6
"""The most lines, blank ones aside, with which a device refuses a command."""
_LONG: Final = 400
"""Characters of a line that are looked at: device output is hostile input."""
_DROP: Final = 0.5
_EVIDENCE: Final = 200


class ReasonCode(StrEnum):
    """Why an answer is no whole configuration; `whole` where it is."""

    WHOLE = "whole"
    EMPTY = "empty"
    ECHO_ONLY = "echo_only"
    ERROR_LINE = "error_line"
    PAGER = "pager"
    NO_END_MARKER = "no_end_marker"
    UNBALANCED = "unbalanced"
    TOO_SHORT = "too_short"
    MISSING_PART = "missing_part"
    NO_PROMPT = "no_prompt"
    SIZE_DROP = "size_drop"
    TAIL_MISSING = "tail_missing"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement on one answer, in words for the operator, and the line it rests on."""

    whole: bool
    reason: str
    evidence: str
    reason_code: ReasonCode

    @property
    def may_be_confirmed(self) -> bool:
        """A second identical dump, or an operator's word, makes this a version all the same."""
        return self.reason_code in (ReasonCode.SIZE_DROP, ReasonCode.TAIL_MISSING)


def check(
    text: str,
    platform: str,
    kind: str = "running",
    previous_size: int | None = None,
    prompt_seen: bool | None = None,
    previous: str | None = None,
) -> Verdict:
    """Judge the answer to the command that collects `kind`.

    `previous_size` is the length in characters of the last good text of that kind, and `previous` that text: it
    shows a cut where the platform prints no end marker. `prompt_seen` says whether the device's prompt followed
    the answer; None where that is not known.
    """
    rules = platform_or_generic(platform)
    collect = _collect(rules, kind)
    lines = [line.rstrip() for line in text.replace("\r", "\n").split("\n")]
    lines = [line for line in lines if line.strip()]
    if not lines:
        return _no(ReasonCode.EMPTY, "the device printed nothing", "")
    errors, pager = _patterns(rules)
    ended = collect.end_marker is not None and collect.end_marker.search(lines[-1][:_LONG]) is not None
    refused = _telling(errors, [*lines[:_HEAD], *([] if ended else lines[-_TAIL:])])
    if refused is not None:
        return _no(ReasonCode.ERROR_LINE, "the device refused the command", refused)
    if _is_echo(lines, collect):
        return _no(ReasonCode.ECHO_ONLY, "the answer is only the command and a prompt", lines[-1])
    for line in lines[-_TAIL:]:
        if pager.search(line[:_LONG]):
            return _no(ReasonCode.PAGER, "a pager was left standing", line)
    if collect.end_marker is not None and not any(collect.end_marker.search(line[:_LONG]) for line in lines[-_TAIL:]):
        return _no(ReasonCode.NO_END_MARKER, "the end of the configuration is missing", lines[-1])
    broken = _STRUCTURES[collect.structure](lines) if collect.structure else None
    if broken is not None:
        return _no(ReasonCode.UNBALANCED, "a section is not closed, so the end is missing", broken)
    if len(text) < collect.min_bytes:
        return _no(
            ReasonCode.TOO_SHORT,
            f"{len(text)} characters are fewer than the {collect.min_bytes} that the smallest configuration has",
            lines[-1],
        )
    for part in collect.requires:
        if not any(part.search(line[:_LONG]) for line in lines):
            return _no(ReasonCode.MISSING_PART, "a part that every configuration has is missing", lines[-1])
    if prompt_seen is False:
        return _no(ReasonCode.NO_PROMPT, "the device's prompt did not follow", lines[-1])
    if previous_size is not None and len(text) < previous_size * _DROP:
        return _no(
            ReasonCode.SIZE_DROP,
            f"{len(text)} characters are less than half of the {previous_size} of the last good text",
            lines[-1],
        )
    if previous and collect.end_marker is None and _is_head(text, previous, platform):
        return _no(ReasonCode.TAIL_MISSING, "it is the last good text with its end missing, perhaps cut off", lines[-1])
    return Verdict(True, "whole", lines[-1][:_EVIDENCE], ReasonCode.WHOLE)


def refusal(text: str, platform: str) -> str | None:
    """The line by which a device refused a command, when that is all that it answered; otherwise None.

    For commands whose answers may hold anything: a longer answer is one, whatever words stand in it.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > _REFUSAL:
        return None
    errors, _ = _patterns(platform_or_generic(platform))
    found = _telling(errors, lines[:_HEAD])
    return None if found is None else found[:_EVIDENCE]


def _telling(errors: re.Pattern[str], lines: Iterable[str]) -> str | None:
    """The first error line that says something, if there is any: a lone caret only points at a word."""
    found = [line for line in lines if errors.search(line[:_LONG])]
    return next((line for line in found if line.strip() != "^"), found[0] if found else None)


def _is_head(text: str, previous: str, platform: str) -> bool:
    """Whether the text is the beginning of the last good one, noise aside."""
    now, before = normalise(text, platform).rstrip(), normalise(previous, platform).rstrip()
    return len(now) < len(before) and before.startswith(now)


def _no(code: ReasonCode, reason: str, evidence: str) -> Verdict:
    return Verdict(False, reason, evidence.strip()[:_EVIDENCE], code)


def _collect(platform: Platform, kind: str) -> Collect:
    try:
        return platform.collect(kind)
    except KeyError:
        return Collect(kind=kind, command="", min_bytes=1)


@lru_cache(maxsize=512)
def _patterns(platform: Platform) -> tuple[re.Pattern[str], re.Pattern[str]]:
    def either(patterns: tuple[re.Pattern[str], ...]) -> re.Pattern[str]:
        return re.compile("|".join(f"(?:{p.pattern})" for p in patterns) or r"(?!)", re.IGNORECASE)

    return either(platform.errors), either(platform.pager)


def _is_echo(lines: list[str], collect: Collect) -> bool:
    """Nothing but the command that was sent and a prompt."""
    commands = (collect.command, *collect.fallback)
    prompt = re.compile(r"[\w.@:/~()\[\]<> *-]{1,100}[#>$%\]]")
    return len(lines) <= 3 and all(
        any(c and line.strip().endswith(c) for c in commands) or prompt.fullmatch(line.strip()) for line in lines
    )


def _braces(lines: list[str]) -> str | None:
    """The innermost header that is still open at the end; quoted text and comments aside."""
    open_at: list[str] = []
    in_comment = in_quote = False
    for line in lines:
        at, length = 0, len(line)
        if not in_quote and not in_comment and line.lstrip().startswith(("#", "//")):
            continue
        while at < length:
            sign = line[at]
            if in_comment:
                end = line.find("*/", at)
                if end < 0:
                    break
                in_comment, at = False, end + 2
                continue
            if in_quote:
                if sign == "\\":
                    at += 1
                elif sign == '"':
                    in_quote = False
            elif sign == '"':
                in_quote = True
            elif sign == "/" and line.startswith("/*", at):
                in_comment, at = True, at + 1
            elif sign == "{":
                open_at.append(line)
            elif sign == "}":
                if not open_at:
                    return line
                open_at.pop()
            at += 1
    if open_at:
        return open_at[-1]
    return lines[-1] if in_quote or in_comment else None


def _fortinet(lines: list[str]) -> str | None:
    """The innermost `config` or `edit` that is still open at the end."""
    open_at: list[str] = []
    quoted = False
    for line in lines:
        if quoted:
            quoted = (line.count('"') - line.count('\\"')) % 2 == 0
            continue
        words = line.split(None, 1)
        if words[0] in {"config", "edit"} and len(words) == 2:
            open_at.append(line)
        elif words[0] in {"end", "next"} and len(words) == 1:
            if not open_at:
                return line
            closed = open_at.pop()
            if words[0] == "end" and closed.split()[0] == "edit" and open_at:
                open_at.pop()
        elif words[0] == "set":
            quoted = (line.count('"') - line.count('\\"')) % 2 == 1
    if open_at:
        return open_at[-1]
    return lines[-1] if quoted else None


def _sections(lines: list[str]) -> str | None:
    """The innermost `!<name>` without its `!</name>`."""
    open_at: list[str] = []
    for line in lines:
        found = re.match(r"!<(/?)([\w-]{1,60})>\s*$", line.strip()[:_LONG])
        if not found:
            continue
        if not found[1]:
            open_at.append(found[2])
        elif open_at and open_at[-1] == found[2]:
            open_at.pop()
    return f"!<{open_at[-1]}>" if open_at else None


_STRUCTURES: Final = {"braces": _braces, "fortinet": _fortinet, "sections": _sections}
