"""Who changed a configuration last, where the device says so in the head of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from devices.configs.lines import lines_of

_HEAD: Final = 60
_LONG: Final = 200
_KEPT: Final = 80
_COMMENT: Final = re.compile(r"^\s{0,4}[!#:;/*]")
_WHO: Final = r"(?P<who>[\w.@\\-]{1,64})"
_WHEN: Final = r"(?P<when>\S.{0,78}?\S)"
# The change itself first; what says only who saved it last is better than nothing.
_PATTERNS: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\blast config(?:uration)?(?: was)? (?:change|update|modifie)d? at {_WHEN}(?: by {_WHO}.*)?$",
        rf"(?<!startup-config )\blast (?:commit|changed|modified|updated)(?::| at)? {_WHEN}(?: by {_WHO}.*)?$",
        rf"\bwritten by {_WHO} at {_WHEN}$",
        rf"\bstartup-config last (?:modified|updated) at {_WHEN}(?: by {_WHO}.*)?$",
    )
)


@dataclass(frozen=True, slots=True)
class LastChange:
    """Who, and when in the device's own words; empty where it does not say."""

    who: str = ""
    when: str = ""


def last_change(text: str) -> LastChange:
    """What the comments at the head of a configuration say of its last change."""
    head = [line[:_LONG].strip() for line in lines_of(text[: _HEAD * _LONG])[:_HEAD] if _COMMENT.match(line)]
    for pattern in _PATTERNS:
        for line in head:
            found = pattern.search(line)
            if found:
                return LastChange((found["who"] or "")[:_KEPT], found["when"][:_KEPT])
    return LastChange()
