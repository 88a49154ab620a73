"""Platforms in words: what counts for each, and where it comes from. For pages, the API and the command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from devices import platforms_table
from devices.connector.platforms import SHIPPED, Platform, Said, Table

STATES: Final = {
    "shipped": "As it is shipped",
    "changed": "Shipped, and changed here",
    "own": "Added here",
}
RULES: Final = {
    "volatile": "Left out of comparisons",
    "secrets": "Secrets",
    "errors": "Error lines",
    "pager": "Pagers",
    "read_only": "Read-only commands",
    "never": "Never sent by a command job",
    "filters": "Filters behind a pipe",
    "words": "Words that a line with a secret holds",
    "plain_words": "Values that are no secret",
}
"""The keys whose rules add up, with what they are called for people."""
_SETTINGS: Final = (
    "like",
    "driver",
    "templates",
    "enable",
    "setup",
    "facts_command",
    "facts_more",
    "save_command",
    "closing",
    "comment",
    "reencrypts",
    "terminal_login",
    "shell",
    "pattern_to_end",
)


@dataclass(frozen=True)
class Line:
    """A platform in a list."""

    name: str
    label: str
    vendor: str
    texts: tuple[str, ...]
    devices: int
    state: str
    """A key of STATES."""

    def matches(self, words: Sequence[str]) -> bool:
        """Whether each of these words, in small letters, stands somewhere in the line."""
        line = f"{self.name} {self.label} {self.vendor} {' '.join(self.texts)}".lower()
        return all(word in line for word in words)


@dataclass(frozen=True)
class Setting:
    """One thing that a platform says, and where."""

    key: str
    value: str
    origin: str


@dataclass(frozen=True)
class Text:
    """One text that is collected."""

    kind: str
    command: str
    default: bool
    origin: str
    fallback: tuple[str, ...]
    end_marker: str
    structure: str
    requires: tuple[str, ...]
    min_bytes: int
    read_timeout_s: float


@dataclass(frozen=True)
class Description(Line):
    """All that counts for a platform."""

    telnet: bool
    settings: tuple[Setting, ...]
    collects: tuple[Text, ...]
    rules: Mapping[str, tuple[Setting, ...]]
    """By the keys of RULES, in the order in which they are tried."""


def overview(table: Table, devices: Mapping[str, int]) -> list[Line]:
    """All platforms by name; `devices` says how many devices each has."""
    return [_line(table, each, devices.get(each.name, 0)) for each in table.platforms.values()]


def described(table: Table, name: str, devices: int = 0) -> Description:
    """One platform; KeyError for an unknown name."""
    platform = table.platforms[name]
    said = table.said[name]
    line = _line(table, platform, devices)
    return Description(
        **{each: getattr(line, each) for each in Line.__dataclass_fields__},
        telnet=platform.telnet,
        settings=tuple(_settings(platform, said)),
        collects=tuple(_texts(platform, said)),
        rules={
            key: tuple(
                Setting(key, _spelled(value), _origin(each, name))
                for each in said
                if each.key == key
                for value in each.value
            )
            for key in RULES
        },
    )


def _line(table: Table, platform: Platform, devices: int) -> Line:
    name = platform.name
    own = any(each.platform == name and each.source != str(SHIPPED) for each in table.said[name])
    state = "own" if name not in table.shipped else "changed" if own else "shipped"
    texts = tuple(each.kind for each in platform.collects)
    return Line(name, platform.label, platform.vendor, texts, devices, state)


def _settings(platform: Platform, said: Sequence[Said]) -> list[Setting]:
    last = {each.key: each for each in said if each.platform}
    found = []
    for key in _SETTINGS:
        each = last.get(key)
        if each is not None and each.value not in ("", False, []):
            found.append(Setting(key, _spelled(each.value), _origin(each, platform.name)))
    return found


def _texts(platform: Platform, said: Sequence[Said]) -> list[Text]:
    origin: dict[str, str] = {}
    for each in said:
        if each.key == "collect":
            origin |= {text["kind"]: _origin(each, platform.name) for text in each.value}
    return [
        Text(
            kind=each.kind,
            command=each.command,
            default=each.default,
            origin=origin[each.kind],
            fallback=each.fallback,
            end_marker=each.end_marker.pattern if each.end_marker else "",
            structure=each.structure,
            requires=tuple(pattern.pattern for pattern in each.requires),
            min_bytes=each.min_bytes,
            read_timeout_s=each.read_timeout_s,
        )
        for each in platform.collects
    ]


def _origin(said: Said, name: str) -> str:
    if said.source == str(SHIPPED):
        source = "shipped"
    else:
        source = "portal" if platforms_table.is_in_database(said.source) else Path(said.source).name
    if not said.platform:
        return f"{source}, general"
    return source if said.platform == name else f"{source}, {said.platform}"


def _spelled(value: Any) -> str:
    """A value as somebody would write it on one line."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "; ".join(str(each) for each in value)
    if isinstance(value, dict):
        rest = {key: each for key, each in value.items() if key not in ("pattern", "on")}
        more = ", ".join(each if flag is True else f"{each} {flag}" for each, flag in rest.items())
        return f"{value.get('pattern', '')}" + (f"   ({more})" if more else "")
    return str(value)
