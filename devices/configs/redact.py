"""Secrets in configurations: where they stand, and the text with placeholders in their place."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from devices.connector.platforms import Platform, SecretRule, platform_or_generic

PLACEHOLDER: Final = "<secret>"
_WINDOW: Final = 1000
"""Characters of a line that a rule looks at in one go: device output is hostile input."""
_OVERLAP: Final = 200
_ROUNDS: Final = 4
_PARENTS: Final = 400
"""Lines to look back for the header of a section."""

_PLACED: Final = re.compile(r"<secret(?::[0-9A-Za-z_-]{1,64})?>")
_STARS: Final = re.compile(r"[*•!]+|[\[\]{}(),|]+|<\*>|<removed>|<hidden>|<configuration removed>|\(null\)")
_PRIVATE_BEGIN: Final = re.compile(
    r"-----BEGIN ([A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?)-----|---- BEGIN (SSH2 ENCRYPTED PRIVATE KEY) ----"
)
_KEY_LINE: Final = re.compile(r"[\s\w+/=:,.*\\-]*")
_ASSIGNED: Final = re.compile(r"^\s*[\w.-]+\s*=\s*\S")
_FREE: Final = re.compile(
    r"""(?:^|[\s\[{])(?:description|descr|remark|comments?|alias|annotation|location|contact|syslocation|syscontact"""
    r"""|system-description|permissions|title)(?P<gap>[ \t]*=[ \t]*|[ \t]+)"""
    r"""(?P<free>"(?:[^"\\]|\\.)*(?:"|$)|'[^']*(?:'|$)|(?<==)\S+|(?<!=).*$)""",
    re.IGNORECASE,
)
_BANNER: Final = re.compile(
    r"^[ \t]*(?:set[ \t]+)?banner[ \t]+(?:[\w-]+[ \t]+)?(?P<mark>\^C|[^\w\s\"'\[{])", re.MULTILINE | re.IGNORECASE
)
_BANNER_EOF: Final = re.compile(r"^[ \t]*banner[ \t]+(?:login|motd|exec)[ \t]*$", re.MULTILINE | re.IGNORECASE)
_BANNER_LINES: Final = 200


@dataclass(frozen=True, slots=True, order=True)
class Span:
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
    return _find(text, platform_or_generic(platform))


def mask_salted(text: str, platform: Platform) -> str:
    """The text with a bare placeholder for each secret that the device encrypts anew for each dump."""
    rules = _salted(platform)
    if not rules and not platform.reencrypts:
        return text
    return _replace(text, _find(text, platform, rules, keys=platform.reencrypts), None)


@lru_cache(maxsize=512)
def _salted(platform: Platform) -> tuple[SecretRule, ...]:
    return tuple(rule for rule in platform.secrets if rule.salted)


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


def _find(text: str, platform: Platform, rules: tuple[SecretRule, ...] | None = None, keys: bool = True) -> list[Span]:
    rules = platform.secrets if rules is None else rules
    found = [Span(s.start, s.end, platform.reencrypts) for s in _private_keys(text)] if keys else []
    lines = _Lines(text)
    blocks = found[:]
    banners = _banners(text)
    for number in _candidates(text, lines, platform):
        start, end = lines.bounds(number)
        if any(b.start < end and start < b.end for b in blocks) and _inside(start, blocks):
            continue
        prose = _inside(start, banners) or _is_comment(text, start, end, platform)
        context = _Context(lines, number, rules, platform, prose)
        found += [Span(s.start + start, s.end + start, s.salted) for s in _in_line(text[start:end], context)]
    return _merged(found)


def _candidates(text: str, lines: _Lines, platform: Platform) -> list[int]:
    """The numbers of the lines that hold one of the platform's words."""
    lower = text.lower()
    # Lower case may be longer than the text it is of; then offsets would lie.
    if len(lower) != len(text):
        lower = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    numbers: set[int] = set()
    for word in platform.words:
        at = lower.find(word)
        while at >= 0:
            number = lines.number(at)
            numbers.add(number)
            at = lower.find(word, lines.bounds(number)[1])
    return sorted(numbers)


@dataclass(slots=True)
class _Context:
    """What the rules need to know of a line besides its text."""

    lines: _Lines
    number: int
    rules: tuple[SecretRule, ...]
    platform: Platform
    prose: bool
    _headers: str | None = None

    def headers(self) -> str:
        if self._headers is None:
            self._headers = self.lines.headers(self.number)
        return self._headers


def _in_line(line: str, context: _Context) -> list[Span]:
    """The secrets of one line.

    A placeholder may free a word that was part of a secret's match, so the line with its placeholders is
    looked at again, until nothing new is found: what is redacted once is then redacted for good.
    """
    spans = _merged(list(_look(line, context)))
    new = spans
    for _ in range(_ROUNDS):
        if not new:
            break
        masked = _replace(line, spans, None)
        new = [_before_masking(span, spans) for span in _look(masked, context)]
        spans = _merged(spans + new)
    return spans


def _before_masking(span: Span, masked: list[Span]) -> Span:
    """Where a part of a line with placeholders stood before they were put in."""
    shift = 0
    for each in masked:
        if each.start - shift >= span.start:
            break
        shift += (each.end - each.start) - len(PLACEHOLDER)
    return Span(span.start + shift, span.end + shift, span.salted)


def _look(line: str, context: _Context) -> Iterator[Span]:
    looked_at = _without_free_text(line)
    lower = line.lower()
    placed = [match.span() for match in _PLACED.finditer(line)] if "<secret" in line else []
    found: list[tuple[int, int]] = []
    for first in range(0, max(len(line), 1), _WINDOW - _OVERLAP):
        last = first + _WINDOW
        for rule in context.rules:
            if (context.prose and not rule.free) or (rule.on and not any(word in lower for word in rule.on)):
                continue
            if rule.under is not None and not rule.under.search(context.headers()):
                continue
            source = line if rule.free else looked_at
            window = source if first == 0 and len(source) <= _WINDOW else source[first:last]
            for match in _matches(rule, window, first):
                # A word like "pass" inside a secret is no keyword.
                if any(start < match.start() + first < end for start, end in found):
                    continue
                for group in rule.groups:
                    start, end = match.span(group)
                    if start < 0 or start == end:
                        continue
                    start, end = start + first, end + first
                    if end == last and last < len(line):
                        end = _token_end(line, start, end)
                    start, end = _unquoted(line, start, end)
                    if any(start < b and a < end for a, b in placed):
                        continue
                    if _is_secret(line[start:end], context.platform, free=rule.free):
                        found.append((start, end))
                        yield Span(start, end, rule.salted)
        if last >= len(line):
            break


def _matches(rule: SecretRule, window: str, first: int) -> Iterable[re.Match[str]]:
    if not rule.anchored:
        return rule.pattern.finditer(window)
    match = rule.pattern.match(window) if first == 0 else None
    return (match,) if match else ()


def _token_end(line: str, start: int, end: int) -> int:
    """Where a value ends that the window cut off."""
    quote = line[start] if line[start] in "\"'" else None
    if quote:
        close = line.find(quote, end)
        return len(line) if close < 0 else close + 1
    while end < len(line) and not line[end].isspace() and line[end] not in ";\"'":
        end += 1
    return end


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
    return free or value.lower() not in platform.plain_words


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
    at = 0
    while begin := _PRIVATE_BEGIN.search(text, at):
        name = begin[1] or begin[2]
        start = begin.end()
        dashes = "-----" if begin[1] else "----"
        closing = f"{dashes}END {name}{dashes}" if begin[1] else f"{dashes} END {name} {dashes}"
        end = text.find(closing, start)
        following = _PRIVATE_BEGIN.search(text, start)
        if end < 0 or (following and following.start() < end):
            end = start
            for line in text[start:].split("\n"):
                if not _KEY_LINE.fullmatch(line) or (end > start and not line.strip()):
                    break
                end += len(line) + 1
            end = min(end, len(text))
        body = text[start:end]
        inner = body.strip("\r\n\\nr\t ") if "\n" not in body else body.strip()
        if inner and not _PLACED.fullmatch(inner):
            lead = body.find(inner)
            yield Span(start + lead, start + lead + len(inner))
        at = max(end, start)


def _banners(text: str) -> list[Span]:
    """Where the texts of banners stand: prose, in which words like "password" mean nothing."""
    spans = []
    at = 0
    while mark := _BANNER.search(text, at):
        sign = mark["mark"]
        end = text.find(sign, mark.end())
        if end < 0 or text.count("\n", mark.end(), end) > _BANNER_LINES:
            end = mark.end()
        spans.append(Span(mark.start(), end))
        at = end + 1
    for mark in _BANNER_EOF.finditer(text):
        end = text.find("\nEOF", mark.end())
        if end >= 0 and text.count("\n", mark.end(), end) <= _BANNER_LINES:
            spans.append(Span(mark.start(), end))
    return spans


def _inside(offset: int, spans: list[Span]) -> bool:
    return any(span.start <= offset < span.end for span in spans)


def _merged(spans: list[Span]) -> list[Span]:
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.start < merged[-1].end:
            last = merged[-1]
            merged[-1] = Span(last.start, max(last.end, span.end), last.salted or span.salted)
        else:
            merged.append(span)
    return merged


class _Lines:
    """Line numbers and section headers of a text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.starts = [0]
        at = text.find("\n")
        while at >= 0:
            self.starts.append(at + 1)
            at = text.find("\n", at + 1)

    def number(self, offset: int) -> int:
        return bisect_right(self.starts, offset) - 1

    def bounds(self, number: int) -> tuple[int, int]:
        """Where a line begins and ends, its newline left out."""
        end = self.starts[number + 1] - 1 if number + 1 < len(self.starts) else len(self.text)
        return self.starts[number], end

    def headers(self, number: int) -> str:
        """The headers of the sections around a line, outermost first, joined with " / "."""
        start, end = self.bounds(number)
        indent = _indent(self.text[start:end])
        found: list[str] = []
        # RouterOS does not indent what stands under a menu.
        menu = indent == 0 and self.text.startswith(("add ", "set "), start)
        for before in range(number - 1, max(number - _PARENTS, -1), -1):
            if indent == 0 and not menu:
                break
            start, end = self.bounds(before)
            line = self.text[start : min(end, start + _WINDOW)]
            if menu:
                if line.startswith("/"):
                    found.append(line.strip())
                    break
                continue
            if not line.strip():
                continue
            depth = _indent(line)
            if depth < indent:
                found.append(line.strip())
                indent = depth
                menu = indent == 0 and line.startswith(("add ", "set "))
        return " / ".join(reversed(found))


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
