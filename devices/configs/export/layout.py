"""Where each text lies in an export: folders by a template, safe and distinct names. Plain Python."""

from __future__ import annotations

import re
import string
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

DEFAULT: Final = "{site}/{name}"
FIELDS: Final = ("name", "site", "platform", "aaa_domain", "kind")
"""What a template may name."""
RUNNING: Final = "running"
_MOST_PARTS: Final = 6
_LONGEST: Final = 180
"""Bytes of one name: file systems take 255, and a suffix may follow."""
_NONE: Final = "none"
_UNSAFE: Final = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]')
# What Windows keeps for devices, and the short name under which it would find `.git`.
_RESERVED: Final = re.compile(r"^(?:con|prn|aux|nul|com\d|lpt\d|git~\d+)(?:\..*)?$", re.IGNORECASE)


class BadTemplate(Exception):
    """The template of an export cannot be used; says why in words."""


class Entry(NamedTuple):
    """One text that is exported."""

    device: int
    name: str
    site: str
    platform: str
    aaa_domain: str
    kind: str
    version: int
    text: int
    digest: str


def check_template(template: str) -> str:
    """The template as it is used; BadTemplate says what is wrong with it."""
    parts = template.strip().strip("/").split("/")
    if len(parts) > _MOST_PARTS or not all(part.strip() for part in parts):
        raise BadTemplate(f"A template has one to {_MOST_PARTS} parts between slashes, such as {DEFAULT}.")
    try:
        used = [found for part in parts for found in string.Formatter().parse(part)]
    except ValueError as error:
        raise BadTemplate(f"The template cannot be read: {error}.") from None
    names = [name for _, name, _, _ in used if name is not None]
    if wrong := [name for name in names if name not in FIELDS]:
        raise BadTemplate(f"A template knows {_braced(FIELDS)}, not {{{wrong[0][:40]}}}.")
    if any(spec or conversion for _, _, spec, conversion in used):
        raise BadTemplate("A template has plain names between braces, without : and !.")
    if "name" not in names:
        raise BadTemplate(f"A template needs {{name}}, else all devices would share a file: {DEFAULT}.")
    return "/".join(part.strip() for part in parts)


def paths(entries: Iterable[Entry], template: str) -> dict[str, Entry]:
    """The path of each text, below the folder and with slashes.

    The running configuration has the plain name, any other text that of its kind behind it, unless the template
    names the kind. Paths that are the same but for upper and lower case get the device's number behind them, all
    but the one of the oldest device.
    """
    parts = check_template(template).split("/")
    same: dict[str, list[tuple[str, Entry]]] = defaultdict(list)
    for entry in entries:
        path = "/".join(safe_name(part.format_map(_values(entry))) for part in parts)
        if entry.kind != RUNNING and "{kind}" not in template:
            path += "." + safe_name(entry.kind)
        same[_folded(path)].append((path, entry))
    found: dict[str, Entry] = {}
    later: list[tuple[str, Entry]] = []
    for group in same.values():
        group.sort(key=lambda each: (each[1].device, each[1].kind != RUNNING, each[1].kind))
        found[group[0][0]] = group[0][1]
        later += group[1:]
    taken = set(same)
    for path, entry in later:
        distinct = f"{path}~{entry.device}"
        while _folded(distinct) in taken:
            distinct += "~"
        taken.add(_folded(distinct))
        found[distinct] = entry
    return {path: found[path] for path in sorted(found)}


def safe_name(text: str) -> str:
    """A name that every file system takes and that git has no other meaning for; never empty."""
    name = _UNSAFE.sub("_", unicodedata.normalize("NFC", text)).strip().rstrip(". ")
    name = name.encode("utf-8", "replace")[:_LONGEST].decode("utf-8", "ignore")
    if not name:
        return _NONE
    if name[0] in ".-" or _RESERVED.match(name):
        return f"_{name}"
    return name


def is_safe(path: str) -> bool:
    """Whether a path is one that `paths` can have made: it stays within the folder and off git's own files."""
    parts = path.split("/")
    return all(part and part[0] != "." and not _UNSAFE.search(part) and not _RESERVED.match(part) for part in parts)


def _values(entry: Entry) -> Mapping[str, str]:
    # Slashes would make folders that the template does not have.
    return {field: safe_name(getattr(entry, field)) for field in FIELDS}


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", path.casefold())


def _braced(names: Iterable[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in names)
