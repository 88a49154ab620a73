"""Sections of a configuration, named as a person would: `interface Gi0/3`, `router bgp 65001`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from devices.configs.redact import redact

_LONG: Final = 80
_BACK: Final = 2000
"""Lines to look back for a header."""
# Words after which the next one is a name: a line that is no section is called by what comes before values.
_LEAF_WORDS: Final = 2
# Headers that say little without the one below them.
_OUTER: Final = re.compile(
    r"^(?:interfaces|protocols|policy-options|firewall|system|security|routing-options|routing-instances|groups"
    r"|services|config|configure|service|network|policy|devices|entry|vsys|shared|rulebase)\b[^{]{0,40}\{?$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Section:
    """The section of one line: its name for people, and whether the line is its header."""

    name: str
    starts_here: bool


class Outline:
    """Finds the section of each line of a normalised configuration."""

    def __init__(self, lines: Sequence[str], platform: str) -> None:
        self.lines = lines
        self.platform = platform
        # RouterOS: commands stand under a menu, not indented.
        self.menus = any(line.startswith("/") for line in lines[:200])
        self._names: dict[tuple[int, ...], str] = {}

    def section(self, number: int) -> Section:
        """The section that line `number` (from 0) stands in."""
        line = self.lines[number]
        if self.menus and not line.startswith("/") and (menu := self._menu(number)):
            return Section(menu, False)
        if (line.startswith(("set ", "delete ", "add ", "configure ")) and len(line.split()) > 2) or line.startswith(
            "/"
        ):
            return Section(self._flat(line), True)
        headers = self._headers(number)
        if not headers:
            header = self._is_header(number)
            return Section(self._named((number,), leaf=not header), True)
        named = headers[:2] if len(headers) > 1 and _OUTER.match(self.lines[headers[0]].strip()) else headers[:1]
        if len(headers) == 1 and self._is_header(number) and _OUTER.match(self.lines[headers[0]].strip()):
            return Section(self._named((*headers, number), leaf=False), True)
        return Section(self._named(tuple(named), leaf=False), False)

    def _headers(self, number: int) -> list[int]:
        """Line numbers of the headers around a line, outermost first, by indentation."""
        indent = _indent(self.lines[number])
        found: list[int] = []
        before = number - 1
        while indent and before >= max(number - _BACK, 0):
            line = self.lines[before]
            if line.strip() and (depth := _indent(line)) < indent:
                found.append(before)
                indent = depth
            before -= 1
        return found[::-1]

    def _is_header(self, number: int) -> bool:
        following = self.lines[number + 1] if number + 1 < len(self.lines) else ""
        return _indent(following) > _indent(self.lines[number])

    def _menu(self, number: int) -> str | None:
        for before in range(number - 1, max(number - _BACK, -1), -1):
            if self.lines[before].startswith("/"):
                return self._flat(self.lines[before])
        return None

    def _flat(self, line: str) -> str:
        """`set interfaces ge-0/0/0 unit 0 ...`: the words that name the place."""
        if line.startswith("/"):
            return line.split(" add ")[0].split(" set ")[0][:_LONG]
        return " ".join(self._masked(line).split()[1:3])[:_LONG]

    def _named(self, numbers: tuple[int, ...], leaf: bool) -> str:
        known = self._names.get(numbers)
        if known is None:
            texts = [
                line.strip(" \t{;") for line in self._masked("\n".join(self.lines[n] for n in numbers)).split("\n")
            ]
            known = " ".join(t.strip('"') for t in texts if t)
            if leaf:
                known = _leaf(known)
            known = self._names[numbers] = known[:_LONG]
        return known

    def _masked(self, text: str) -> str:
        return redact(text, self.platform)


def _leaf(line: str) -> str:
    """A line that is no section is called by its first words: `ip route`, `snmp-server community`."""
    words = line.split()
    kept = words[:1] if words[0] == "hostname" else words[: _LEAF_WORDS + (words[0] == "no")]
    return " ".join(kept)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
