"""What is looked for in configurations: checked, matched within a time limit, and shown with its lines."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from itertools import accumulate, islice
from typing import Any, Final

import regex

from devices.configs.lines import lines_of

LONGEST_TERM: Final = 200
MOST_CONTEXT: Final = 20
MOST_TAGS: Final = 50
GRAM: Final = 3
"""Characters that the index knows texts by; what is shorter is found by reading the texts."""

_MOST_SPANS: Final = 1_000
_SPAN_LINES: Final = 40
_SHOWN_WIDTH: Final = 400
_BEFORE_MARK: Final = 60


class BadQuery(ValueError):
    """The search cannot be understood, or takes too long; says why in words for whoever typed it."""


class TooSlow(BadQuery):
    """A regular expression took longer than it may on one text."""


class Mode(StrEnum):
    """How the term is read."""

    TEXT = "text"
    WORDS = "words"
    REGEX = "regex"


@dataclass(frozen=True, slots=True)
class Query:
    """A search: what is looked for, and in which configurations."""

    term: str
    mode: Mode = Mode.TEXT
    case: bool = False
    """Whether upper and lower case differ."""
    absent: bool = False
    """Look for configurations that do not have it."""
    tags: tuple[str, ...] = ()
    """Devices with any of these."""
    platform: str = ""
    site: str = ""
    kind: str = ""
    every_version: bool = False
    """All versions, not the latest ones alone."""

    def as_dict(self) -> dict[str, Any]:
        """What differs from a plain search, for storing and for addresses."""
        found: dict[str, Any] = {"term": self.term, "mode": self.mode.value}
        for name in ("case", "absent", "platform", "site", "kind", "every_version"):
            if value := getattr(self, name):
                found[name] = value
        if self.tags:
            found["tags"] = list(self.tags)
        return found

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Query:
        """The search that `as_dict` described; BadQuery for anything else."""
        try:
            known = {**values, "mode": Mode(values.get("mode", Mode.TEXT)), "tags": tuple(values.get("tags", ()))}
            return cls(**known)
        except (TypeError, ValueError) as error:
            raise BadQuery("This is no search.") from error


@dataclass(frozen=True, slots=True)
class SnippetLine:
    """A line of a result; `number` counts from 1, `marks` are the (start, end) of what was found in `text`."""

    number: int
    text: str
    marks: tuple[tuple[int, int], ...] = ()
    is_hit: bool = False
    is_cut: bool = False
    """Whether the line is longer than what is shown of it."""


@dataclass(frozen=True, slots=True)
class Snippets:
    """What a text is shown by: groups of lines around what was found, and how many lines were found in all."""

    groups: tuple[tuple[SnippetLine, ...], ...] = ()
    found: int = 0
    shown: int = 0
    first: int = 0
    """The number of the first line that was found; 0 when none was."""


def fold(text: str) -> str:
    """Upper and lower case made equal; index and search must do it in the same way."""
    return text.lower()


class Matcher:
    """Finds a term in texts. A regular expression is applied to the whole text: `^` and `$` are ends of lines."""

    def __init__(self, term: str, mode: Mode = Mode.TEXT, case: bool = False) -> None:
        """BadQuery says what is wrong with the term."""
        term = term.strip() if mode is not Mode.REGEX else term
        if not term.strip():
            raise BadQuery("Type what to look for.")
        if len(term) > LONGEST_TERM:
            raise BadQuery(f"At most {LONGEST_TERM} characters can be looked for.")
        if "\x00" in term:
            raise BadQuery("A configuration has no NUL characters.")
        self.term, self.mode, self.case = term, mode, case
        self._patterns = [_compiled(part, case) for part in self._parts()]

    def _parts(self) -> list[str]:
        if self.mode is Mode.REGEX:
            refuse_monster(self.term)
            return [self.term]
        if self.mode is Mode.TEXT:
            return [regex.escape(self.term)]
        return [_whole(word) for word in dict.fromkeys(self.term.split())]

    @cached_property
    def literals(self) -> tuple[str, ...]:
        """Folded pieces that every text has in which this is found; empty when none is long enough for the index."""
        if self.mode is Mode.REGEX:
            pieces = required(self.term)
        else:
            pieces = [self.term] if self.mode is Mode.TEXT else self.term.split()
        return tuple(dict.fromkeys(fold(piece) for piece in pieces if len(fold(piece)) >= GRAM))

    @property
    def literals_suffice(self) -> bool:
        """Whether a text that has the pieces is always one in which this is found."""
        return self.mode is Mode.TEXT and not self.case and bool(self.literals)

    def found_in(self, text: str, limit_s: float) -> bool:
        """Whether the text has it; TooSlow when an expression takes longer than `limit_s` seconds on it."""
        if self.mode is Mode.TEXT:
            return self.term in text if self.case else fold(self.term) in fold(text)
        try:
            return all(pattern.search(text, timeout=max(limit_s, 0.01)) for pattern in self._patterns)
        except TimeoutError as error:
            raise self._too_slow() from error

    def snippets(self, text: str, context: int, most: int, limit_s: float) -> Snippets:
        """Up to `most` of the lines that have it, with `context` lines around each.

        Of several words, lines that have all of them are shown; where there are none, lines that have any.
        """
        try:
            found = [_spans(pattern, text, limit_s) for pattern in self._patterns]
        except TimeoutError as error:
            raise self._too_slow() from error
        return _shown(text, found, context, most)

    def _too_slow(self) -> TooSlow:
        return TooSlow(
            "This regular expression takes too long on a configuration: "
            "avoid a repetition within a repetition, such as (a+)+."
        )


def _compiled(pattern: str, case: bool) -> regex.Pattern[str]:
    try:
        return regex.compile(pattern, regex.MULTILINE | (0 if case else regex.IGNORECASE))
    except (regex.error, RecursionError, OverflowError, ValueError) as error:
        raise BadQuery(f"This is no regular expression: {str(error)[:120]}.") from error


# --- what would eat the memory before any time limit is asked --------------------------------------
_MOST_PLACES: Final = 20_000
_CALLS_ITSELF: Final = regex.compile(r"\(\?(?:R|&|P>|[+-]?\d)")
# With these, blanks, brackets and comments mean something else than what is counted here.
_READS_DIFFERENTLY: Final = regex.compile(r"\(\?(?:#|[A-Za-z0-9-]*(?:x|V1)[A-Za-z0-9-]*[:)])")
_BOUNDS: Final = regex.compile(r"\{(\d*)(,?)(\d*)\}")
_TOO_MUCH: Final = "This regular expression repeats too much: keep the product of its {numbers} below 20,000."


def refuse_monster(pattern: str) -> None:
    """Raise BadQuery for an expression that calls itself, or whose `{numbers}` multiply to a huge program.

    Both take memory by the gigabyte, the one while it is compiled, and no time limit ends that.
    """
    if _CALLS_ITSELF.search(pattern):
        raise BadQuery("A regular expression here cannot call itself or one of its groups.")
    if "{" not in pattern:
        return
    if _READS_DIFFERENTLY.search(pattern):
        raise BadQuery("A regular expression with {numbers} takes no comments and none of the flags x and V1.")
    sizes, last = [0], 0
    at = 0
    while at < len(pattern):
        sign, width = pattern[at], 1
        bounds = _BOUNDS.match(pattern, at)
        if bounds is not None:
            width = bounds.end() - at
            times = max(1, *(int(number or 1) for number in bounds.groups()[::2]))
            sizes[-1] += last * (times - 1)
            last *= times
        elif sign in "*+?":
            pass
        elif sign == "(":
            sizes.append(0)
        elif sign == ")" and len(sizes) > 1:
            last = sizes.pop() + 1
            sizes[-1] += last
        else:
            if sign == "[":
                width = _plain_class_end(pattern, at) - at
            elif sign == "\\":
                braced = pattern[at + 1 : at + 2] in ("p", "P", "N") and pattern[at + 2 : at + 3] == "{"
                width = max(pattern.find("}", at) + 1 - at, 2) if braced else 2
            last = 1
            sizes[-1] += 1
        if max(last, *sizes) > _MOST_PLACES:
            raise BadQuery(_TOO_MUCH)
        at += width


def _plain_class_end(pattern: str, at: int) -> int:
    """Where a class of characters ends; BadQuery where that depends on who reads it."""
    at += 2 if pattern[at + 1 : at + 2] == "^" else 1
    first = at
    while at < len(pattern) and (pattern[at] != "]" or at == first):
        if pattern[at] == "[":
            raise BadQuery("A regular expression with {numbers} takes no [ within [...]: write \\[ there.")
        at += 2 if pattern[at] == "\\" else 1
    return at + 1


def _whole(word: str) -> str:
    """The word with ends that no letter, digit or underscore goes on from."""
    before = r"(?<!\w)" if regex.match(r"\w", word) else ""
    after = r"(?!\w)" if regex.match(r"\w", word[-1]) else ""
    return f"{before}{regex.escape(word)}{after}"


# --- what an expression cannot do without ----------------------------------------------------------
_SPECIAL: Final = frozenset(".^$*+?[]|()")
_REPEATED: Final = regex.compile(r"\{\d+(?:,\d*)?\}|\{,\d+\}")
_CODED: Final = frozenset("xuUNpPgLkKQ0123456789")


def required(pattern: str) -> list[str]:
    """Pieces of plain text that every match of the expression holds: rather too few than a wrong one."""
    # Flags, look-arounds, fuzzy matches, alternatives: such expressions are tried on every text.
    if pattern.replace("(?:", "").count("(?"):
        return []
    pieces: list[str] = []
    run = ""
    at = depth = 0
    while at < len(pattern):
        sign, width, literal = pattern[at], 1, ""
        if sign == "\\":
            width, following = 2, pattern[at + 1 : at + 2]
            if following in _CODED:
                break
            # An escaped letter is a class or a place, anything else stands for itself.
            literal = "" if following.isalnum() else following
        elif sign == "[":
            width = _class_end(pattern, at) - at
        elif sign == "|" and depth == 0:
            return []
        elif sign == "{":
            repeated = _REPEATED.match(pattern, at)
            if repeated is None:
                return []
            width = repeated.end() - at
        elif sign not in _SPECIAL:
            literal = sign
        depth += (sign == "(") - (sign == ")")
        after = pattern[at + width : at + width + 1]
        if literal and depth == 0 and after not in ("*", "?", "{"):
            run += literal
        if not literal or depth or after in ("*", "?", "{", "+"):
            pieces.append(run)
            run = ""
        at += width
    return [piece for piece in [*pieces, run] if piece]


def _class_end(pattern: str, at: int) -> int:
    """Where a class of characters ends that begins at `at`; the end of the pattern when that is not plain."""
    at += 1
    if pattern[at : at + 1] == "^":
        at += 1
    if pattern[at : at + 1] == "]":
        at += 1
    while at < len(pattern) and pattern[at] != "]":
        if pattern[at] == "[":
            return len(pattern)
        at += 2 if pattern[at] == "\\" else 1
    return at + 1


# --- lines with context ------------------------------------------------------------------------------
@dataclass(slots=True)
class _Marked:
    marks: list[tuple[int, int]] = field(default_factory=list)
    by: set[int] = field(default_factory=set)


def _spans(pattern: regex.Pattern[str], text: str, limit_s: float) -> list[tuple[int, int]]:
    found = pattern.finditer(text, timeout=max(limit_s, 0.01))
    return [each.span() for each in islice(found, _MOST_SPANS)]


def _shown(text: str, found: Sequence[Sequence[tuple[int, int]]], context: int, most: int) -> Snippets:
    lines = lines_of(text)
    starts = list(accumulate((len(line) + 1 for line in lines), initial=0))
    marked: dict[int, _Marked] = {}
    for by, spans in enumerate(found):
        for start, end in spans:
            first = bisect_right(starts, start) - 1
            last = min(bisect_right(starts, max(end - 1, start)) - 1, first + _SPAN_LINES)
            for number in range(first, min(last, len(lines) - 1) + 1):
                one = marked.setdefault(number, _Marked())
                one.marks.append((max(start - starts[number], 0), min(end - starts[number], len(lines[number]))))
                one.by.add(by)
    together = [number for number, one in marked.items() if len(one.by) == len(found)]
    hits = sorted(together or marked)
    chosen = {number: marked[number] for number in hits[:most]}
    groups = tuple(
        tuple(_line(lines[number], number, chosen.get(number)) for number in group)
        for group in _groups(list(chosen), context, len(lines))
    )
    return Snippets(groups, len(hits), len(chosen), hits[0] + 1 if hits else 0)


def _groups(chosen: Sequence[int], context: int, count: int) -> Iterator[range]:
    """The ranges of lines around the chosen ones; those that touch are one."""
    start = end = -1
    for number in chosen:
        low, high = max(number - context, 0), min(number + context + 1, count)
        if low > end:
            if end > start >= 0:
                yield range(start, end)
            start = low
        end = high
    if end > start >= 0:
        yield range(start, end)


def _line(text: str, number: int, marked: _Marked | None) -> SnippetLine:
    marks = _joined(marked.marks) if marked else []
    offset = 0
    is_cut = len(text) > _SHOWN_WIDTH
    if is_cut:
        # A line of any length is shown by the part where something was found.
        offset = max(marks[0][0] - _BEFORE_MARK, 0) if marks else 0
        text = text[offset : offset + _SHOWN_WIDTH]
    within = tuple(
        (max(start - offset, 0), min(end - offset, len(text))) for start, end in marks if start - offset < len(text)
    )
    return SnippetLine(
        number + 1, text, tuple(mark for mark in within if mark[1] > mark[0]), marked is not None, is_cut
    )


def _joined(marks: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in sorted(marks):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined
