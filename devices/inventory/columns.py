"""The columns of an inventory file, and how its header is read."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Final

COLUMN_HELP: Final = {
    "name": "unique, and no two differ in case alone; devices are matched by it, as it is spelled",
    "host": "IP address or DNS name",
    "port": "1 to 65535; empty: 22 for ssh, 23 for telnet",
    "platform": "Netmiko's device type, such as cisco_ios; cisco_ios_telnet also sets the transport",
    "tags": "the whole set, separated by semicolons; an empty cell removes every tag",
    "transport": "ssh or telnet; empty: ssh, or what the platform says",
    "site": "free text",
    "aaa_domain": "the accounts server behind the device; empty: default",
    "legacy_ssh": "yes or no; empty: no",
    "description": "free text",
    "enabled": "yes or no; empty: yes",
}
"""Each column and what it holds, in the order of an export."""

COLUMNS: Final = tuple(COLUMN_HELP)
REQUIRED: Final = ("name", "host", "port", "platform", "tags")

EMPTY_CELLS: Final = (
    "An optional column that is absent leaves existing devices as they are; an empty cell in a column "
    "that is there sets the default."
)
FORMULAS: Final = (
    "Cells that a spreadsheet would take for a formula are exported with an apostrophe before them, and an "
    "import takes that apostrophe away again."
)

# What people call these columns elsewhere, for the hint alone: guessing in silence would be worse.
_OTHER_NAMES: Final = {
    "address": "host",
    "ip": "host",
    "ip_address": "host",
    "hostname": "name",
    "device": "name",
    "device_type": "platform",
    "type": "platform",
    "os": "platform",
    "tag": "tags",
    "groups": "tags",
    "group": "tags",
    "protocol": "transport",
    "location": "site",
    "comment": "description",
}


class InventoryError(ValueError):
    """The file as a whole cannot be used, or the database refused it; the message is for the operator."""


def column_key(cell: str) -> str:
    """A header cell as a column name: ` AAA Domain ` is `aaa_domain`."""
    return "_".join(cell.strip().lower().replace("-", " ").split())


def known_columns(header: Iterable[str]) -> int:
    """How many cells of a header are columns of ours."""
    return sum(column_key(cell) in COLUMN_HELP for cell in header)


def check_header(header: Sequence[str], line: int) -> tuple[str, ...]:
    """The column names of a header; raises InventoryError with all that is wrong with it."""
    keys = [column_key(cell) for cell in header]
    problems = []
    if unnamed := [str(position) for position, key in enumerate(keys, start=1) if not key]:
        problems.append(f"column {_words(unnamed)} has no name")
    if unknown := [_hint(cell, key) for cell, key in zip(header, keys, strict=True) if key and key not in COLUMNS]:
        problems.append(f"unknown column {_words(unknown)}")
    if twice := [repr(key) for key in COLUMNS if keys.count(key) > 1]:
        problems.append(f"column {_words(twice)} stands there twice")
    if missing := [repr(key) for key in REQUIRED if key not in keys]:
        problems.append(f"missing column {_words(missing)}")
    if problems:
        optional = ", ".join(key for key in COLUMNS if key not in REQUIRED)
        raise InventoryError(
            f"The header in line {line} cannot be used: {'; '.join(problems)}. "
            f"Required: {', '.join(REQUIRED)}. Optional: {optional}."
        )
    return tuple(keys)


def _hint(cell: str, key: str) -> str:
    near = _OTHER_NAMES.get(key) or next(iter(difflib.get_close_matches(key, COLUMNS, n=1, cutoff=0.5)), "")
    return shown(cell.strip()) + (f" (did you mean {near!r}?)" if near else "")


def _words(items: Sequence[str], limit: int = 10) -> str:
    more = [f"{len(items) - limit} more"] if len(items) > limit else []
    return ", ".join([*items[:limit], *more])


def shown(text: str, limit: int = 60) -> str:
    """Text of a file in quotes for a message: cut, and with nothing in it that moves a cursor."""
    return repr(text if len(text) <= limit else text[:limit] + "…")


def printable(text: str) -> str:
    """Text as it is, with its control and direction characters escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
