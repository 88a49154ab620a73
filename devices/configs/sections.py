"""Sections of a configuration, named as a person would: `interface Gi0/3`, `router bgp 65001`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from devices.configs.redact import redact

_LONG: Final = 80
# Words after which the next one is a name: a line that is no section is called by what comes before values.
_LEAF_WORDS: Final = 2
# Headers that say little without the one below them.
_OUTER: Final = re.compile(
    r"^(?:interfaces|protocols|policy-options|firewall|system|security|routing-options|routing-instances|groups"
    r"|services|config|configure|service|network|policy|devices|entry|vsys|shared|rulebase)\b[^{]{0,40}\{?$",
    re.IGNORECASE,
)


class _Form(Enum):
    """How a section is named by its lines."""

    WHOLE = auto()
    """By its headers as they are."""
    LEAF = auto()
    """A line that is no section, by its first words."""
    FLAT = auto()
    """`set interfaces ge-0/0/0 unit 0 ...`, `/ip address`: by the words that name the place."""


@dataclass(frozen=True, slots=True)
class Section:
    """The section of one line. `key` is the same for the same section of another text; it may hold secrets."""

    key: str
    starts_here: bool
    """Whether the line is its header."""
    headers: tuple[int, ...]
    """The lines that it is named by."""
    form: _Form


class Outline:
    """Finds the section of each line of a normalised configuration."""

    def __init__(self, lines: Sequence[str], platform: str) -> None:
        self.lines = lines
        self.platform = platform
        # RouterOS: commands stand under a menu, not indented.
        self._menus = _menus(lines) if any(line.startswith("/") for line in lines[:200]) else None
        self._parents = _parents(lines)
        self._names: dict[tuple[tuple[int, ...], _Form], str] = {}

    def section(self, number: int) -> Section:
        """The section that line `number` (from 0) stands in."""
        line = self.lines[number]
        if self._menus is not None and not line.startswith("/") and (menu := self._menus[number]) >= 0:
            return self._section(False, (menu,), _Form.FLAT)
        if (line.startswith(("set ", "delete ", "add ", "configure ")) and len(line.split()) > 2) or line.startswith(
            "/"
        ):
            return self._section(True, (number,), _Form.FLAT)
        headers = self._headers(number)
        is_header = self._is_header(number)
        if not headers:
            return self._section(True, (number,), _Form.WHOLE if is_header else _Form.LEAF)
        is_outer = _OUTER.match(self.lines[headers[0]].strip()) is not None
        if len(headers) == 1 and is_header and is_outer:
            return self._section(True, (*headers, number), _Form.WHOLE)
        return self._section(False, tuple(headers[: 1 + is_outer]), _Form.WHOLE)

    def name(self, section: Section) -> str:
        """What a person calls it, secrets masked; this takes about a millisecond."""
        text = "\n".join(self.lines[number] for number in section.headers)
        return _named(redact(text, self.platform).split("\n"), section.form)

    def _section(self, starts_here: bool, headers: tuple[int, ...], form: _Form) -> Section:
        key = self._names.get((headers, form))
        if key is None:
            key = self._names[headers, form] = _named([self.lines[number] for number in headers], form)
        return Section(key, starts_here, headers, form)

    def _headers(self, number: int) -> list[int]:
        """Line numbers of the headers around a line, outermost first, by indentation."""
        found: list[int] = []
        while (number := self._parents[number]) >= 0:
            found.append(number)
        return found[::-1]

    def _is_header(self, number: int) -> bool:
        following = self.lines[number + 1] if number + 1 < len(self.lines) else ""
        return _indent(following) > _indent(self.lines[number])


def _parents(lines: Sequence[str]) -> list[int]:
    """For each line the nearest one before it that is indented less, -1 where there is none."""
    parents: list[int] = []
    around: list[tuple[int, int]] = []
    for number, line in enumerate(lines):
        indent = _indent(line)
        while around and around[-1][0] >= indent:
            around.pop()
        parents.append(around[-1][1] if around else -1)
        if line.strip():
            around.append((indent, number))
    return parents


def _menus(lines: Sequence[str]) -> list[int]:
    """For each line the last menu at or before it, -1 where there is none."""
    menu = -1
    found = []
    for number, line in enumerate(lines):
        if line.startswith("/"):
            menu = number
        found.append(menu)
    return found


def _named(headers: Sequence[str], form: _Form) -> str:
    if form is _Form.FLAT:
        line = headers[0]
        if line.startswith("/"):
            return line.split(" add ")[0].split(" set ")[0][:_LONG]
        return " ".join(line.split()[1:3])[:_LONG]
    texts = [line.strip(" \t{;") for line in headers]
    name = " ".join(text.strip('"') for text in texts if text)
    return (_leaf(name) if form is _Form.LEAF and name else name)[:_LONG]


def _leaf(line: str) -> str:
    """A line that is no section is called by its first words: `ip route`, `snmp-server community`."""
    words = line.split()
    kept = words[:1] if words[0] == "hostname" else words[: _LEAF_WORDS + (words[0] == "no")]
    return " ".join(kept)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
