"""What is compared: a configuration without what differs between two dumps of the same configuration."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from devices.configs.redact import banners, mask_salted
from devices.connector.platforms import Platform, is_anchored, platform_or_generic

_LONG: Final = 1000
"""Characters of a line that volatile patterns look at: device output is hostile input."""

_SHORT: Final = 120
_MOST_PLAIN: Final = 5000
_REFERENCE: Final = re.compile(r"\\[1-9]|\(\?P=|\(\?\(")
_ANY_LINE: Final = re.compile("")

_ESCAPES: Final = re.compile(
    r"\x1b\[[0-9;?<=>!]{0,32}[ -/]{0,4}[@-~]"  # CSI: colours, cursor moves
    r"|\x1b[\]PX^_][^\x07\x1b\x9c]{0,4096}(?:\x07|\x1b\\|\x9c)"  # OSC, DCS, APC...: strings with an end
    r"|\x1b[ -/]{0,4}[0-~]"  # two-character escapes
    r"|\x9b[0-9;?]{0,32}[@-~]"
)
_CONTROLS: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]"
)
_NO_CONTROLS: Final = {code: None for code in range(128) if _CONTROLS.match(chr(code))}
# What pagers use to take their question back: erase the line, erase to its end, go back N places.
_ERASE_LINE: Final = "\x01"
_ERASE_END: Final = "\x02"
_CURSOR: Final = re.compile(r"\x1b\[(?:(?P<back>\d{0,3})D|(?P<erase>[012]?)K)")


def clean(text: str) -> str:
    """Device output fit for storage and display: no escapes, controls or bidi marks, lines end with a newline.

    Applies what a terminal would: backspaces of pagers rub out, a lone carriage return writes over the line.
    """
    if "\x1b" in text or "\x9b" in text:
        text = _CURSOR.sub(_moved, text.replace(_ERASE_LINE, "").replace(_ERASE_END, ""))
        text = _ESCAPES.sub("", text)
    text = text.replace("\r\r\n", "\n").replace("\r\n", "\n")
    if "\n" not in text:
        text = text.replace("\r", "\n")
    if any(control in text for control in _TYPED):
        text = "\n".join(_typed(line) for line in text.split("\n"))
    # Of plain ASCII a translation is many times quicker than a pattern.
    return text.translate(_NO_CONTROLS) if text.isascii() else _CONTROLS.sub("", text)


_TYPED: Final = ("\r", "\b", _ERASE_LINE, _ERASE_END)


def _moved(move: re.Match[str]) -> str:
    if move["erase"] is None:
        return "\b" * int(move["back"] or 1)
    return _ERASE_LINE if move["erase"] in ("1", "2") else _ERASE_END


def _typed(line: str) -> str:
    """What a terminal shows of a line in which the cursor moves."""
    line = line.rstrip("\r")
    if not any(control in line for control in _TYPED):
        return line
    shown: list[str] = []
    at = 0
    for run in re.split(r"([\b\r\x01\x02])", line):
        if run == "\r":
            at = 0
        elif run == "\b":
            at = max(at - 1, 0)
        elif run == _ERASE_LINE:
            shown = [" "] * at
        elif run == _ERASE_END:
            del shown[at:]
        else:
            shown[at : at + len(run)] = run
            at += len(run)
    # A pager rubs itself out with blanks, which stay behind a shorter line.
    return "".join(shown).rstrip()


def normalise(text: str, platform: str) -> str:
    """The configuration as it is compared: lines in their order, without what changes from dump to dump.

    Volatile lines and parts go, blank lines and blanks at line ends too; secrets that the platform encrypts
    anew for each dump become a placeholder, all others stay as they are.
    """
    rules = platform_or_generic(platform)
    text = mask_salted(clean(text), rules)
    lines = [line.rstrip() for line in text.split("\n")]
    compared = _compared_of(lines, rules)
    shown = [compared.get(line, line or None) for line in lines]
    for number in _prose(text):
        shown[number] = lines[number] or None
    kept = [line for line in shown if line is not None]
    return "\n".join(kept) + "\n" if kept else ""


def _prose(text: str) -> set[int]:
    """The numbers of the lines in banners: what a person wrote there is no noise, whatever it looks like."""
    numbers: set[int] = set()
    first = at = 0
    for span in banners(text):
        # Counted on from the banner before: a device can send ten thousand of them.
        first, at = first + text.count("\n", at, span.start), span.start
        numbers.update(range(first, first + text.count("\n", span.start, span.end) + 1))
    return numbers


def _compared_of(lines: Sequence[str], rules: Platform) -> dict[str, str | None]:
    """What is compared of those lines that have something volatile, as few have."""
    begins, holds = _noticed(rules)
    plain = _plain(rules)
    unknown = set(lines) - plain
    noticed = [
        line for line in unknown if begins.match(line, 0, _LONG) or (holds is not None and holds.search(line, 0, _LONG))
    ]
    if len(plain) > _MOST_PLAIN:
        plain.clear()
    plain.update(line for line in unknown.difference(noticed) if len(line) <= _SHORT)
    patterns = _volatile(rules)
    return {line: _compared(line, *patterns) for line in noticed}


def _compared(
    line: str, anchored: re.Pattern[str], anywhere: re.Pattern[str] | None, parts: tuple[Find, ...]
) -> str | None:
    """What is compared of a line; None for one that is left out."""
    stripped = line.rstrip()
    if not stripped:
        return None
    head = stripped[:_LONG]
    if anchored.match(head) or (anywhere is not None and anywhere.search(head)):
        return None
    for find in parts:
        found = find(head)
        if found:
            stripped = stripped[: found.start("volatile")] + stripped[found.end("volatile") :]
            head = stripped[:_LONG]
    return stripped.rstrip()


def restorable(text: str, platform: str) -> str:
    """A complete text fit to be loaded into a device again: without the lines that only describe the dump.

    Such as the byte count and the time of a dump, which no device takes as a command. All else stays as it is.
    """
    anchored, anywhere, _ = _volatile(platform_or_generic(platform))
    kept = []
    prose = _prose(text)
    for number, line in enumerate(text.split("\n")):
        head = line.rstrip()[:_LONG]
        is_noise = anchored.match(head) or (anywhere is not None and anywhere.search(head))
        if not head or number in prose or not is_noise:
            kept.append(line)
    return "\n".join(kept).lstrip("\n")


def changed(before: str, after: str, platform: str) -> bool:
    """Whether two dumps show different configurations, noise aside."""
    if before == after:
        return False
    return normalise(before, platform) != normalise(after, platform)


Find = Callable[[str], re.Match[str] | None]


@lru_cache(maxsize=8)
def _plain(platform: Platform) -> set[str]:
    """Lines that are known to have nothing volatile: they come again, in the text before and on other devices."""
    return set()


@lru_cache(maxsize=512)
def _noticed(platform: Platform) -> tuple[re.Pattern[str], re.Pattern[str] | None]:
    """One pattern for the beginning of a line and one for all of it: a line that neither finds has nothing volatile."""
    patterns = [p.pattern.replace("(?P<volatile>", "(?:") for p in platform.volatile]
    loose = [p for p in patterns if not is_anchored(p)]
    if not any(_REFERENCE.search(p) for p in patterns):
        with contextlib.suppress(re.error):
            return _either([p for p in patterns if is_anchored(p)]), _either(loose) if loose else None
    return _ANY_LINE, None  # they cannot stand side by side in one pattern


@lru_cache(maxsize=512)
def _volatile(
    platform: Platform,
) -> tuple[re.Pattern[str], re.Pattern[str] | None, tuple[Find, ...]]:
    """Patterns of whole lines, those that begin the line apart since they are quicker to try, and of parts."""
    whole = [p.pattern for p in platform.volatile if "volatile" not in p.groupindex]
    parts = tuple(
        (p.match if is_anchored(p.pattern) else p.search) for p in platform.volatile if "volatile" in p.groupindex
    )
    anywhere = [p for p in whole if not is_anchored(p)]
    return (
        _either([p for p in whole if is_anchored(p)]),
        _either(anywhere) if anywhere else None,
        parts,
    )


def _either(patterns: list[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{p})" for p in patterns) or r"(?!)", re.IGNORECASE)
