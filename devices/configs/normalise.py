"""What is compared: a configuration without what differs between two dumps of the same configuration."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from devices.configs.redact import mask_salted
from devices.connector.platforms import Platform, platform_or_generic

_LONG: Final = 1000
"""Characters of a line that volatile patterns look at: device output is hostile input."""

_ESCAPES: Final = re.compile(
    r"\x1b\[[0-9;?<=>!]{0,32}[ -/]{0,4}[@-~]"  # CSI: colours, cursor moves
    r"|\x1b[\]PX^_][^\x07\x1b\x9c]{0,4096}(?:\x07|\x1b\\|\x9c)"  # OSC, DCS, APC...: strings with an end
    r"|\x1b[ -/]{0,4}[0-~]"  # two-character escapes
    r"|\x9b[0-9;?]{0,32}[@-~]"
)
_CONTROLS: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]")
_PAGER: Final = re.compile(
    r"(?:-{2,} ?\(?|<-+ ?|\(|--)more\b[^\n\b]{0,80}?(?:-{2,}|->|\)|--)[^\n\b\S]*\Z|\Alines \d+-\d+[^\n\b]{0,20}\Z", re.IGNORECASE
)
_MORE: Final = re.compile(r"(?:-{2,} ?\(?|<-+ ?|\()more\b", re.IGNORECASE)


def clean(text: str) -> str:
    """Device output fit for storage and display: no escapes, controls or bidi marks, lines end with a newline.

    Applies what a terminal would: backspaces of pagers rub out, a lone carriage return writes over the line.
    """
    if "\x1b" in text or "\x9b" in text:
        text = _ESCAPES.sub("", text)
    text = text.replace("\r\r\n", "\n").replace("\r\n", "\n")
    if "\r" in text or "\b" in text:
        text = "\n".join(_typed(line) if "\r" in line or "\b" in line else line for line in text.split("\n"))
    return _CONTROLS.sub("", text)


def _typed(line: str) -> str:
    """What a terminal shows of a line with backspaces and carriage returns in it."""
    shown: list[str] = []
    at = 0
    for run in re.split(r"([\b\r]+)", line):
        if run[:1] in ("\b", "\r"):
            for control in run:
                at = 0 if control == "\r" else max(at - 1, 0)
        else:
            shown[at : at + len(run)] = run
            at += len(run)
    text = "".join(shown)
    # A pager rubs itself out with blanks; what it wrote over a longer line leaves them at the end.
    return text.rstrip() if text != line else line


def normalise(text: str, platform: str) -> str:
    """The configuration as it is compared: lines in their order, without what changes from dump to dump.

    Volatile lines and parts go, blank lines and blanks at line ends too; secrets that the platform encrypts
    anew for each dump become a placeholder, all others stay as they are.
    """
    rules = platform_or_generic(platform)
    lines, parts = _volatile(rules)
    text = mask_salted(clean(text), rules)
    kept = []
    for line in text.split("\n"):
        stripped = line.rstrip()
        if not stripped:
            continue
        head = stripped[:_LONG]
        if lines is not None and lines.search(head):
            continue
        for part in parts:
            found = part.search(head)
            if found:
                stripped = stripped[: found.start("volatile")] + stripped[found.end("volatile") :]
                head = stripped[:_LONG]
        kept.append(stripped.rstrip())
    return "\n".join(kept) + "\n" if kept else ""


def changed(before: str, after: str, platform: str) -> bool:
    """Whether two dumps show different configurations, noise aside."""
    if before == after:
        return False
    return normalise(before, platform) != normalise(after, platform)


@lru_cache(maxsize=512)
def _volatile(platform: Platform) -> tuple[re.Pattern[str] | None, tuple[re.Pattern[str], ...]]:
    whole = [p.pattern for p in platform.volatile if "volatile" not in p.groupindex]
    parts = tuple(p for p in platform.volatile if "volatile" in p.groupindex)
    return (re.compile("|".join(f"(?:{p})" for p in whole), re.IGNORECASE) if whole else None), parts
