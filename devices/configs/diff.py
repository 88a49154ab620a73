"""What changed between two texts: as data that faces render, and in one line of words."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum
from itertools import zip_longest
from typing import Final

from devices.configs.lines import lines_of
from devices.configs.normalise import normalise
from devices.configs.sections import Outline, Section

_SMALL: Final = 200_000
"""Products of line counts up to which the exact but quadratic matcher is used."""
_MARKED_LINES: Final = 2000
"""Pairs of lines that get word highlights; beyond that nobody reads them."""
_MARKED_LENGTH: Final = 600
_MASKED: Final = 40
"""Sections whose names are masked to see whether they are one; masking one takes about a millisecond."""
_NAMED: Final = 4
"""Sections that a summary names."""

_WORDS: Final = re.compile(r"\w+|\s+|[^\w\s]")


class LineKind(StrEnum):
    """What a line of a diff is; a gap stands for lines that were folded away."""

    SAME = "same"
    ADDED = "added"
    REMOVED = "removed"
    GAP = "gap"


@dataclass(frozen=True, slots=True)
class DiffLine:
    """One line of a diff. Line numbers count from 1; `marks` are the (start, end) of changed words in `text`."""

    kind: LineKind
    text: str
    before: int | None = None
    after: int | None = None
    marks: tuple[tuple[int, int], ...] = ()
    folded: int = 0
    """Lines that a gap stands for."""


@dataclass(frozen=True, slots=True)
class SideRow:
    """One row of a side-by-side diff: the line before, the line after, or both."""

    left: DiffLine | None
    right: DiffLine | None

    @property
    def changed(self) -> bool:
        """Whether the two sides differ."""
        return self.left is None or self.right is None or self.left.kind is LineKind.REMOVED


@dataclass(frozen=True, slots=True)
class Block:
    """Lines [a0, a1) before became lines [b0, b1) after; `same` when they are equal."""

    same: bool
    a0: int
    a1: int
    b0: int
    b1: int


def unified(before: str, after: str, context: int | None = 3) -> list[DiffLine]:
    """The changed lines with `context` lines around them; the rest folded into gaps. None folds nothing."""
    a, b = lines_of(before), lines_of(after)
    found = blocks(a, b)
    if all(block.same for block in found):
        return []
    lines: list[DiffLine] = []
    budget = _MARKED_LINES
    for position, block in enumerate(found):
        if block.same:
            lines += _context(a, block, context, position == 0, position == len(found) - 1)
            continue
        marks = _marks(a[block.a0 : block.a1], b[block.b0 : block.b1]) if budget > 0 else {}
        budget -= min(block.a1 - block.a0, block.b1 - block.b0)
        for i in range(block.a0, block.a1):
            left = marks.get((0, i - block.a0), ())
            lines.append(DiffLine(LineKind.REMOVED, a[i], before=i + 1, marks=left))
        for j in range(block.b0, block.b1):
            right = marks.get((1, j - block.b0), ())
            lines.append(DiffLine(LineKind.ADDED, b[j], after=j + 1, marks=right))
    return lines


def paired(lines: Iterable[DiffLine]) -> list[SideRow]:
    """The lines of a diff as rows: what went beside what came in its place; a gap stands on both sides."""
    rows: list[SideRow] = []
    removed: list[DiffLine] = []
    added: list[DiffLine] = []

    def flush() -> None:
        rows.extend(SideRow(left, right) for left, right in zip_longest(removed, added))
        removed.clear()
        added.clear()

    for line in lines:
        if line.kind is LineKind.REMOVED:
            if added:
                flush()
            removed.append(line)
        elif line.kind is LineKind.ADDED:
            added.append(line)
        else:
            if removed or added:
                flush()
            rows.append(SideRow(line, line))
    flush()
    return rows


def summary(before: str, after: str, platform: str) -> str:
    """The change in one line: `interface Gi0/3, router bgp 65001 changed; vlan 30 added`. Secrets are masked.

    Noise is left out, so `no change` may stand for texts that differ.
    """
    a, b = normalise(before, platform).split("\n"), normalise(after, platform).split("\n")
    found = [block for block in blocks(a, b) if not block.same]
    if not found:
        return "no change"
    old, new = Outline(a, platform), Outline(b, platform)
    touched: dict[str, _Change] = {}
    for block in found:
        for j in range(block.b0, block.b1):
            if b[j]:
                _note(touched, new, new.section(j), came=True)
    for block in found:
        for i in range(block.a0, block.a1):
            if a[i]:
                _note(touched, old, old.section(i), came=False)
    changes = [change for change in touched.values() if re.search(r"\w", change.section.key)]
    said: dict[str, list[_Change]] = {"changed": [], "added": [], "removed": []}
    for change in _merged(changes or list(touched.values())):
        said[change.verb].append(change)
    return "; ".join(f"{_listed(names)} {what}" for what, names in said.items() if names)


@dataclass(slots=True)
class _Change:
    """What happened to one section: lines came, lines went, and whether its header was among them."""

    outline: Outline
    section: Section
    came: bool = False
    went: bool = False
    began: bool = False
    ended: bool = False

    @property
    def verb(self) -> str:
        if self.came and not self.went and self.began:
            return "added"
        return "removed" if self.went and not self.came and self.ended else "changed"

    @property
    def name(self) -> str:
        return self.outline.name(self.section)


def _note(touched: dict[str, _Change], outline: Outline, section: Section, *, came: bool) -> None:
    change = touched.get(section.key)
    if change is None:
        change = touched[section.key] = _Change(outline, section)
    if came:
        change.came, change.began = True, change.began or section.starts_here
    else:
        change.went, change.ended = True, change.ended or section.starts_here


def _merged(changes: list[_Change]) -> list[_Change]:
    """Sections that differ in a secret alone are one. Of very many nobody reads the names, so those stay apart."""
    merged: dict[str, _Change] = {}
    for change in changes[:_MASKED]:
        other = merged.setdefault(change.name, change)
        other.came, other.went = other.came or change.came, other.went or change.went
        other.began, other.ended = other.began or change.began, other.ended or change.ended
    return [*merged.values(), *changes[_MASKED:]]


def _listed(changes: list[_Change]) -> str:
    more = len(changes) - _NAMED
    return ", ".join(change.name for change in changes[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _context(a: list[str], block: Block, context: int | None, first: bool, last: bool) -> Iterator[DiffLine]:
    size = block.a1 - block.a0
    shift = block.b0 - block.a0
    head = 0 if first else context
    tail = 0 if last else context
    if context is None or size <= (head or 0) + (tail or 0) + 1:
        shown_head, shown_tail = size, 0
    else:
        shown_head, shown_tail = head or 0, tail or 0
    for i in range(block.a0, block.a0 + shown_head):
        yield DiffLine(LineKind.SAME, a[i], before=i + 1, after=i + 1 + shift)
    if folded := size - shown_head - shown_tail:
        start = block.a0 + shown_head
        yield DiffLine(LineKind.GAP, "", before=start + 1, after=start + 1 + shift, folded=folded)
    for i in range(block.a1 - shown_tail, block.a1):
        yield DiffLine(LineKind.SAME, a[i], before=i + 1, after=i + 1 + shift)


def _marks(a: list[str], b: list[str]) -> dict[tuple[int, int], tuple[tuple[int, int], ...]]:
    """Highlights by (side, line): for lines that stand opposite each other and have words in common."""
    marks: dict[tuple[int, int], tuple[tuple[int, int], ...]] = {}
    for i, (old, new) in enumerate(zip(a, b, strict=False)):
        if i >= _MARKED_LINES:
            break
        left, right = words(old, new)
        if left or right:
            marks[0, i], marks[1, i] = left, right
    return marks


def words(old: str, new: str) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
    """The (start, end) of the words that differ, in each line; empty where the lines have little in common."""
    if max(len(old), len(new)) > _MARKED_LENGTH:
        return (), ()
    a, b = _WORDS.findall(old), _WORDS.findall(new)
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    common = sum(len(a[i]) for m in matcher.get_matching_blocks() for i in range(m.a, m.a + m.size) if a[i].strip())
    if common * 3 < max(len(old.strip()), len(new.strip())):
        return (), ()
    starts_a, starts_b = _starts(a), _starts(b)
    left, right = [], []
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            continue
        if i2 > i1:
            left.append((starts_a[i1], starts_a[i2]))
        if j2 > j1:
            right.append((starts_b[j1], starts_b[j2]))
    return tuple(left), tuple(right)


def _starts(tokens: list[str]) -> list[int]:
    starts = [0]
    for token in tokens:
        starts.append(starts[-1] + len(token))
    return starts


def blocks(a: Sequence[str], b: Sequence[str]) -> list[Block]:
    """How `a` became `b`, as alternating equal and different blocks that cover both.

    Lines that are as often in both are anchors (the k-th with the k-th), the longest ordered run of them is
    kept, and what lies between is matched in the same way, so that megabytes take a fraction of a second.
    """
    pairs: list[tuple[int, int, int]] = []
    todo = [(0, len(a), 0, len(b))]
    while todo:
        a0, a1, b0, b1 = todo.pop()
        start = a0
        while a0 < a1 and b0 < b1 and a[a0] == b[b0]:
            a0, b0 = a0 + 1, b0 + 1
        if a0 > start:
            pairs.append((start, b0 - (a0 - start), a0 - start))
        end = a1
        while a0 < a1 and b0 < b1 and a[a1 - 1] == b[b1 - 1]:
            a1, b1 = a1 - 1, b1 - 1
        if end > a1:
            pairs.append((a1, b1, end - a1))
        if a0 == a1 or b0 == b1:
            continue
        anchors = _anchors(a, b, a0, a1, b0, b1)
        if anchors:
            for i, j in [*anchors, (a1, b1)]:
                if i > a0 or j > b0:
                    todo.append((a0, i, b0, j))
                if i < a1:
                    pairs.append((i, j, 1))
                a0, b0 = i + 1, j + 1
        elif (a1 - a0) * (b1 - b0) <= _SMALL:
            matcher = SequenceMatcher(None, a[a0:a1], b[b0:b1], autojunk=False)
            pairs += [(m.a + a0, m.b + b0, m.size) for m in matcher.get_matching_blocks() if m.size]
    return _covering(sorted(pairs), len(a), len(b))


def _anchors(a: Sequence[str], b: Sequence[str], a0: int, a1: int, b0: int, b1: int) -> list[tuple[int, int]]:
    """Pairs of equal lines in ascending order on both sides: first of unique lines, else of equally frequent ones."""
    counts_a, counts_b = Counter(a[a0:a1]), Counter(b[b0:b1])
    for limit in (1, 8):
        wanted = {line for line, n in counts_a.items() if n <= limit and counts_b.get(line) == n}
        if not wanted:
            continue
        places: dict[tuple[str, int], int] = {}
        seen: Counter[str] = Counter()
        for j in range(b0, b1):
            if b[j] in wanted:
                places[b[j], seen[b[j]]] = j
                seen[b[j]] += 1
        seen.clear()
        pairs = []
        for i in range(a0, a1):
            if a[i] in wanted:
                pairs.append((i, places[a[i], seen[a[i]]]))
                seen[a[i]] += 1
        return _ascending(pairs)
    return []


def _ascending(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest run of pairs whose second numbers ascend too (the first ones do)."""
    tails: list[int] = []
    at: list[int] = []
    previous: list[int] = []
    for k, (_, j) in enumerate(pairs):
        place = bisect_left(tails, j)
        previous.append(at[place - 1] if place else -1)
        if place == len(tails):
            tails.append(j)
            at.append(k)
        else:
            tails[place], at[place] = j, k
    run = []
    k = at[-1] if at else -1
    while k >= 0:
        run.append(pairs[k])
        k = previous[k]
    return run[::-1]


def _covering(pairs: list[tuple[int, int, int]], length_a: int, length_b: int) -> list[Block]:
    found: list[Block] = []
    i = j = 0
    for a, b, size in [*pairs, (length_a, length_b, 0)]:
        if a > i or b > j:
            found.append(Block(False, i, a, j, b))
        if size:
            if found and found[-1].same and found[-1].a1 == a and found[-1].b1 == b:
                last = found.pop()
                found.append(Block(True, last.a0, a + size, last.b0, b + size))
            else:
                found.append(Block(True, a, a + size, b, b + size))
        i, j = a + size, b + size
    return found
