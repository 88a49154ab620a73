"""Secrets in configurations: where they stand, and the text with placeholders in their place."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from typing import Final, NamedTuple

from devices.connector.platforms import Platform, SecretRule, platform_or_generic

PLACEHOLDER: Final = "<secret>"
_WINDOW: Final = 1000
"""Characters of a line that a rule looks at in one go: device output is hostile input."""
_OVERLAP: Final = 200
_ROUNDS: Final = 4
_PARENTS: Final = 400
"""Lines to look back for the header of a section."""

_PLACED: Final = re.compile(r"<secret(?::[0-9A-Za-z_-]{1,64})?>")
_STARS: Final = re.compile(r"[*•!]+|\.{4,}|[\[\]{}(),|]+|<\*>|<removed>|<hidden>|<configuration removed>|\(null\)")
_PRIVATE_BEGIN: Final = re.compile(
    r"-----BEGIN ([A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?)-----|---- BEGIN (SSH2 ENCRYPTED PRIVATE KEY) ----"
)
_NOT_OF_A_KEY: Final = re.compile(r"[^\s\w+/=:,.*\\-]")
_ASSIGNED: Final = re.compile(r"^\s*[\w.-]+\s*=\s*\S")
_FREE: Final = re.compile(
    r"""(?:^|[\s\[{])(?:description|descr|remark|comments?|alias|annotation|location|contact|syslocation|syscontact"""
    r"""|system-description|permissions|title|(?:(?:pre|post)-login-)?message(?=[ \t]+"))"""
    r"""(?P<gap>[ \t]*=[ \t]*|[ \t]+)"""
    r"""(?P<free>"(?:[^"\\]|\\.)*(?:"|$)|'[^']*(?:'|$)|(?<==)\S+|(?<!=).*$)""",
    re.IGNORECASE,
)
_FREE_WORDS: Final = (
    "descr",
    "remark",
    "comment",
    "alias",
    "annotation",
    "location",
    "contact",
    "permissions",
    "title",
    "message",
)
"""A line without any of these has nothing that `_FREE` matches."""
_TOKEN: Final = re.compile(r"[^\s;\"']*")
_BANNER: Final = re.compile(
    r"[ \t]*(?:(?:set[ \t]+)?banner[ \t]+(?:[\w-]+[ \t]+)?(?!\")|header[ \t]+[\w-]+[ \t]+(?:information[ \t]+|(?!\")))"
    r"(?P<mark>\^C|[^\w\s'\[{])",
    re.IGNORECASE,
)
_BANNER_EOF: Final = re.compile(r"[ \t]*banner[ \t]+(?:login|motd|exec)[ \t]*$", re.MULTILINE | re.IGNORECASE)
_SHORT: Final = 120
_CONTINUED: Final = 40
"""The most lines that one goes on for."""
_MOST_KNOWN: Final = 5000
_BANNER_LINES: Final = 200
_BANNER_LENGTH: Final = 20_000
"""Characters; what is longer is looked at like any other lines."""


class Span(NamedTuple):
    """One secret: offsets into the text, and whether the device encrypts it anew for each dump."""

    start: int
    end: int
    salted: bool = False


def redact(text: str, platform: str, fingerprint: Callable[[str], str] | None = None) -> str:
    """The text with a placeholder for each secret: `<secret>`, or `<secret:ab12>` with the caller's fingerprint.

    A fingerprint function must be keyed, and give 1 to 64 characters of `0-9A-Za-z_-`. Redacting twice changes
    nothing.
    """
    return _replace(text, find_secrets(text, platform), fingerprint)


def find_secrets(text: str, platform: str) -> list[Span]:
    """Where the secrets of a configuration stand, in order, none overlapping; quotes are outside."""
    return _find(text, _rules_of(platform_or_generic(platform)))


def mask_salted(text: str, platform: Platform) -> str:
    """The text with a bare placeholder for each secret that the device encrypts anew for each dump."""
    rules = _rules_of(platform, salted=True)
    if not rules.rules and not platform.reencrypts:
        return text
    return _replace(text, _find(text, rules, keys=platform.reencrypts), None)


@dataclass(frozen=True, slots=True, eq=False)
class _Rules:
    """The rules of a platform, and the words by which to find the few of them that a line can match."""

    platform: Platform
    rules: tuple[SecretRule, ...]
    words: tuple[tuple[str, str], ...]
    """The platform's words, each with a rare character of it, or an empty text."""
    on: tuple[str, ...]
    """All words that rules are `on`."""
    known: set[tuple[str, bool]] = field(default_factory=set)
    """Lines in which there is no secret, and whether they were prose."""


@lru_cache(maxsize=512)
def _rules_of(platform: Platform, salted: bool = False) -> _Rules:
    rules = tuple(rule for rule in platform.secrets if rule.salted or not salted)
    words = [word for word in platform.words if not any(other != word and other in word for other in platform.words)]
    rare = [next((c for c in word if not c.isalnum() and c not in " -"), "") for word in words]
    on = dict.fromkeys(word for rule in rules for word in rule.on)
    return _Rules(platform, rules, tuple(zip(rare, words, strict=True)), tuple(on))


@lru_cache(maxsize=4096)
def _applying(rules: _Rules, words: tuple[str, ...], prose: bool) -> tuple[SecretRule, ...]:
    """The rules for a line that holds these of the words that rules are on."""
    return tuple(
        rule
        for rule in rules.rules
        if (rule.free or not prose) and (not rule.on or any(word in words for word in rule.on))
    )


def _replace(text: str, spans: list[Span], fingerprint: Callable[[str], str] | None) -> str:
    if not spans:
        return text
    pieces = []
    at = 0
    for span in spans:
        pieces.append(text[at : span.start])
        # The fingerprint of a value that the device encrypts anew for each dump would only be noise.
        if fingerprint is None or span.salted:
            pieces.append(PLACEHOLDER)
        else:
            pieces.append(f"<secret:{fingerprint(text[span.start : span.end])}>")
        at = span.end
    pieces.append(text[at:])
    return "".join(pieces)


def _find(text: str, rules: _Rules, keys: bool = True) -> list[Span]:
    platform = rules.platform
    blocks = [Span(s.start, s.end, platform.reencrypts) for s in _private_keys(text)] if keys else []
    lower = _lower(text)
    lines = _lines_with([word for rare, word in rules.words if not rare or rare in lower], lower)
    if "\\\n" in text or "\\\r\n" in text:
        lines = _joined(text, lines)
    banners = _banners(text, lower)
    search = _Search(text, rules, "\n".join([lower[start:end] for start, end in lines]))
    found = blocks[:]
    for start, end in lines:
        if _inside(start, blocks):
            continue
        prose = _inside(start, banners) or _is_comment(text, start, end, platform)
        line = text[start:end]
        search.begin(start, prose)
        if search.is_known(line):
            continue
        spans = _in_line(line, search)
        if not spans:
            search.learn(line)
        found += [Span(s.start + start, s.end + start, s.salted) for s in spans]
    return _merged(found)


def _lower(text: str) -> str:
    lower = text.lower()
    # Lower case may be longer than the text it is of; then offsets would lie.
    if len(lower) != len(text):
        lower = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    return lower


def _lines_with(words: Iterable[str], lower: str) -> list[tuple[int, int]]:
    """Where the lines that hold one of the words begin and end."""
    lines: dict[int, int] = {}
    for word in words:
        at = lower.find(word)
        while at >= 0:
            end = lower.find("\n", at)
            end = len(lower) if end < 0 else end
            lines[lower.rfind("\n", 0, at) + 1] = end
            at = lower.find(word, end)
    return sorted(lines.items())


def _joined(text: str, lines: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The lines, each with those behind it that it goes on in, as a backslash at its end says."""
    joined: list[tuple[int, int]] = []
    past = -1
    for start, end in lines:
        if start < past:
            continue
        for _ in range(_CONTINUED):
            if end >= len(text) or not text.endswith(("\\", "\\\r"), start, end):
                break
            newline = text.find("\n", end + 1)
            end = len(text) if newline < 0 else newline
        joined.append((start, end))
        past = end
    return joined


class _Search:
    """What the rules need to know besides the text of a line: which of them are worth a try, and where it stands."""

    def __init__(self, text: str, rules: _Rules, lower: str) -> None:
        """`lower` holds at least all lines that are going to be looked at, in lower case."""
        self._text = text
        self._rules = rules
        self._on = tuple(word for word in rules.on if word in lower)
        self._free = tuple(word for word in _FREE_WORDS if word in lower)
        self._sections: _Sections | None = None
        self.platform = rules.platform

    def begin(self, start: int, prose: bool) -> None:
        """Turn to the line that begins there."""
        self._start = start
        self._prose = prose
        self.looked_up = False

    def is_known(self, line: str) -> bool:
        """Whether this line is known to hold no secret: most are there many times, and in other texts as well."""
        return (line, self._prose) in self._rules.known

    def learn(self, line: str) -> None:
        """Remember a line without a secret, unless that hung on where it stands."""
        if self.looked_up or len(line) > _SHORT:
            return
        known = self._rules.known
        if len(known) >= _MOST_KNOWN:
            known.clear()
        known.add((line, self._prose))

    def applying(self, lower: str) -> tuple[SecretRule, ...]:
        """The rules to try on the line."""
        return _applying(self._rules, tuple([word for word in self._on if word in lower]), self._prose)

    def may_be_free(self, line: str, lower: str) -> bool:
        """Whether the line may hold text that people wrote."""
        return not line.isascii() or any(word in lower for word in self._free)

    def is_under(self, headers: re.Pattern[str]) -> bool:
        """Whether the line stands in such a section."""
        self.looked_up = True
        if self._sections is None:
            self._sections = _Sections(self._text)
        return headers.search(self._sections.headers(self._start)) is not None


def _in_line(line: str, search: _Search) -> list[Span]:
    """The secrets of one line.

    A placeholder may free a word that was part of a secret's match, so the line with its placeholders is
    looked at again, until nothing new is found: what is redacted once is then redacted for good.
    """
    new = _look(line, search)
    spans = _merged(new)
    for _ in range(_ROUNDS):
        if not new:
            break
        new = _before_masking(_look(_replace(line, spans, None), search), spans)
        spans = _merged(spans + new)
    return spans


def _before_masking(found: list[Span], masked: list[Span]) -> list[Span]:
    """Where parts of a line with placeholders stood before they were put in."""
    if not found:
        return []
    shifts = [0, *accumulate(each.end - each.start - len(PLACEHOLDER) for each in masked)]
    starts = [each.start - shift for each, shift in zip(masked, shifts, strict=False)]
    moved = [(span, shifts[bisect_left(starts, span.start)]) for span in found]
    return [Span(span.start + shift, span.end + shift, span.salted) for span, shift in moved]


def _look(line: str, search: _Search) -> list[Span]:
    lower = line.lower()
    rules = search.applying(lower)
    looked_at = _without_free_text(line) if search.may_be_free(line, lower) else line
    placed = _marked(line, [match.span() for match in _PLACED.finditer(line)]) if "<secret" in lower else b""
    # One byte a character, so that what is asked of many matches on a very long line is answered at once.
    inner = bytearray(len(line) + 1)
    found: list[Span] = []
    tail = 0
    whole = len(line) <= _WINDOW
    for first in range(0, max(len(line), 1), _WINDOW - _OVERLAP):
        last = first + _WINDOW
        for rule in rules:
            source = line if rule.free else looked_at
            for match in _matches(rule, source if whole else source[first:last], first, search):
                # A word like "pass" inside a secret, or that is one, is no keyword.
                within = inner[match.start() + first]
                for group in rule.groups:
                    start, end = match.span(group)
                    if start < 0 or start == end or (within and start > match.start()):
                        continue
                    start, end = start + first, end + first
                    if end == last and last < len(line):
                        if line[start] in "\"'":
                            close = line.find(line[start], end)
                            end = len(line) if close < 0 else close + 1
                        else:
                            # Of a value that goes on for many windows the end is looked for once.
                            end = tail = tail if end < tail else _token_end(line, end)
                    start, end = _unquoted(line, start, end)
                    if placed and placed.find(1, start, end) >= 0:
                        continue
                    if _is_secret(line[start:end], search.platform, free=rule.free):
                        found.append(Span(start, end, rule.salted))
                        inner[start:end] = b"\1" * (end - start)
        if last >= len(line):
            break
    return found


def _matches(rule: SecretRule, window: str, first: int, search: _Search) -> Iterable[re.Match[str]]:
    if rule.anchored and first > 0:
        return ()
    match = rule.pattern.match(window) if rule.anchored else rule.pattern.search(window)
    if match is None or (rule.under is not None and not search.is_under(rule.under)):
        return ()
    # Most rules match nothing and all but a few once: iterating costs more than looking.
    if rule.anchored or rule.pattern.search(window, max(match.end(), match.start() + 1)) is None:
        return (match,)
    return rule.pattern.finditer(window)


def _marked(line: str, spans: list[tuple[int, int]]) -> bytearray:
    """One byte for each character of the line: 1 within the spans."""
    marks = bytearray(len(line))
    for start, end in spans:
        marks[start:end] = b"\1" * (end - start)
    return marks


def _token_end(line: str, at: int) -> int:
    """Where a value ends that the window cut off."""
    rest = _TOKEN.match(line, at)
    return rest.end() if rest else at


def _unquoted(line: str, start: int, end: int) -> tuple[int, int]:
    if end - start >= 2 and line[start] in "\"'" and line[end - 1] == line[start]:
        return start + 1, end - 1
    # A quote that opens and never closes, and what ends a value in one-line forms.
    while start < end and line[start] in "\"'":
        start += 1
    while start < end and line[end - 1] in "\"',;":
        end -= 1
    return start, end


def _is_secret(value: str, platform: Platform, free: bool) -> bool:
    if not value or _STARS.fullmatch(value) or value.startswith(("-----", "----")):
        return False
    return free or len(value) > _WINDOW or value.lower() not in platform.plain_words


def _without_free_text(line: str) -> str:
    """The line with blanks in place of what people wrote in descriptions and the like."""
    if not _FREE.search(line, 0, _WINDOW):
        return line
    return _FREE.sub(lambda m: m[0][: m.start("free") - m.start()] + " " * (m.end("free") - m.start("free")), line)


def _is_comment(text: str, start: int, end: int, platform: Platform) -> bool:
    """Whether a line is prose behind a comment sign; `#key=value` is not."""
    head = text[start : min(end, start + _WINDOW)].lstrip()
    mark = platform.comment
    if not mark or not head.startswith(mark):
        return False
    rest = head.lstrip(mark[0])
    return rest[:1] in (" ", "\t", "") and not _ASSIGNED.search(rest)


def _private_keys(text: str) -> Iterator[Span]:
    """Private key blocks: all between the BEGIN and END lines, or to the last line that looks like one of it."""
    if "PRIVATE KEY" not in text:
        return
    at = 0
    strange = -1
    while begin := _PRIVATE_BEGIN.search(text, at):
        name = begin[1] or begin[2]
        start = begin.end()
        dashes = "-----" if begin[1] else "----"
        closing = f"{dashes}END {name}{dashes}" if begin[1] else f"{dashes} END {name} {dashes}"
        following = _PRIVATE_BEGIN.search(text, start)
        end = text.find(closing, start, following.start() + len(closing) if following else len(text))
        if end < 0 or (following and following.start() < end):
            if strange < start:
                found = _NOT_OF_A_KEY.search(text, start)
                strange = found.start() if found else len(text)
            end = _key_end(text, start, strange)
        body = text[start:end]
        inner = body.strip("\r\n\\nr\t ") if "\n" not in body else body.strip()
        if inner and not _PLACED.fullmatch(inner):
            lead = body.find(inner)
            yield Span(start + lead, start + lead + len(inner))
        at = max(end, start)


def _key_end(text: str, start: int, strange: int) -> int:
    """Where a key without an end mark ends: before the line with the first strange character, or a blank line."""
    end = start
    while end < len(text):
        newline = text.find("\n", end)
        newline = len(text) if newline < 0 else newline
        if strange < newline or (end > start and not text[end:newline].strip()):
            break
        end = newline + 1
    return min(end, len(text))


def banners(text: str) -> list[Span]:
    """Where the texts of banners stand, in order: prose, in which words like "password" mean nothing."""
    return _banners(text, text.lower() if text.isascii() else _lower(text))


def _banners(text: str, lower: str) -> list[Span]:
    starts = [start for start, _ in _lines_with(("banner", "header "), lower)]

    def end_of(sign: str, at: int) -> int:
        end = text.find(sign, at, at + _BANNER_LENGTH)
        return end if text.count("\n", at, max(end, at)) <= _BANNER_LINES else -1

    spans = []
    past = 0
    for start in starts:
        mark = _BANNER.match(text, start)
        if mark and start >= past:
            end = end_of(mark["mark"], mark.end())
            end = mark.end() if end < 0 else end
            spans.append(Span(start, end))
            past = end + 1
        mark = _BANNER_EOF.match(text, start)
        if mark:
            end = end_of("\nEOF", mark.end())
            if end >= 0:
                spans.append(Span(start, end))
    return _merged(spans)


def _inside(offset: int, spans: list[Span]) -> bool:
    """Whether one of the spans holds this place; the spans are in order and do not overlap."""
    place = bisect_right(spans, offset, key=lambda span: span.start)
    return place > 0 and offset < spans[place - 1].end


def _merged(spans: list[Span]) -> list[Span]:
    if len(spans) < 2:
        return spans
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.start < merged[-1].end:
            last = merged[-1]
            merged[-1] = Span(last.start, max(last.end, span.end), last.salted or span.salted)
        else:
            merged.append(span)
    return merged


class _Sections:
    """The headers of the sections of a text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lines = text.split("\n")
        self._known: dict[int, int] = {}
        self._line = 0
        self._at = 0

    def headers(self, start: int) -> str:
        """The headers of the sections around the line that begins there, outermost first, joined with " / ".

        To be asked of lines in their order.
        """
        self._line += self._text.count("\n", self._at, start)
        self._at = start
        found: list[str] = []
        line = self._line
        while (line := self._above(line)) > max(self._line - _PARENTS, -1):
            found.append(self._lines[line][:_WINDOW].strip())
        return " / ".join(reversed(found))

    def _above(self, number: int) -> int:
        """The number of the header right above a line; -1 if there is none near enough."""
        if number in self._known:
            return self._known[number]
        line = self._lines[number]
        indent = _indent(line)
        # RouterOS does not indent what stands under a menu.
        menu = indent == 0 and line.startswith(("add ", "set "))
        if indent == 0 and not menu:
            return -1
        before = number - 1
        while before > max(number - _PARENTS, -1):
            line = self._lines[before][:_WINDOW]
            if line.startswith("/") if menu else line.strip() and _indent(line) < indent:
                break
            # Between a line and its own header stands nothing that could be a header of this one.
            before = self._known.get(before, before - 1)
        else:
            before = -1
        self._known[number] = before
        return before


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
