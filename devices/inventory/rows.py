"""From the cells of a row to values of a device, with everything that is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from devices.connector.platforms import UnknownPlatformError, platform, platforms, split_transport
from devices.inventory.cells import MAX_TAG, invisible_character, parse_port, parse_switch, split_tags
from devices.inventory.columns import COLUMNS, shown
from devices.inventory.reader import CsvRow
from devices.inventory.report import Value

_TRANSPORTS: Final = ("ssh", "telnet")
# What an empty cell of these columns means; the model has the same defaults for what is not in the file.
_EMPTY: Final[dict[str, Value]] = {
    "site": "",
    "aaa_domain": "default",
    "description": "",
    "legacy_ssh": False,
    "enabled": True,
}
_SWITCHES: Final = ("legacy_ssh", "enabled")
_MAX_TAGS: Final = 200


@dataclass(slots=True)
class RowValues:
    """One row: its values by column, its tags, and its problems by column."""

    line: int
    name: str = ""
    whole: bool = True
    """The row has as many cells as the header, so its cells can be judged."""
    values: dict[str, Value] = field(default_factory=dict)
    tags: list[str] | None = None
    """All tags of the device; None where the cell cannot be split."""
    port_follows: bool = False
    """The port is empty: it follows the transport."""
    row_problems: list[str] = field(default_factory=list)
    problems: dict[str, list[str]] = field(default_factory=dict)

    @property
    def wrong(self) -> bool:
        """Whether anything is wrong with the row."""
        return bool(self.row_problems or self.problems)

    def problem(self, column: str, message: str) -> None:
        """Note what is wrong with a cell."""
        self.problems.setdefault(column, []).append(message)

    def messages(self) -> list[str]:
        """All problems in words, each with its column, in the order of the columns."""
        order = [*COLUMNS, *(self.problems.keys() - set(COLUMNS))]
        return self.row_problems + [f"{c}: {m}" for c in order for m in self.problems.get(c, ())]


class RowParser:
    """Parses the rows of one file; remembers each platform, since the search for near names is slow."""

    def __init__(self, columns: Sequence[str], tag_exists: Callable[[str], bool]) -> None:
        self._columns = columns
        self._tag_exists = tag_exists
        self._platforms: dict[str, str] = {}

    def parse(self, row: CsvRow) -> RowValues:
        """The values of a row, whether or not its device exists."""
        parsed = RowValues(row.line, whole=row.whole, row_problems=list(row.problems))
        cells = dict(zip(self._columns, row.cells, strict=row.whole))
        parsed.name = cells.get("name", "")
        if not row.whole:
            return parsed
        for column, cell in cells.items():
            if found := invisible_character(cell):
                parsed.problem(column, f"{shown(cell)} holds {found}{row.span}")
        for column in ("name", "host", "platform"):
            if not cells[column]:
                parsed.problem(column, "must not be empty")
        if cells["host"]:
            parsed.values["host"] = cells["host"]
        said = self._platform(parsed, cells["platform"])
        self._transport(parsed, cells, said)
        self._port(parsed, cells["port"])
        self._tags(parsed, cells["tags"])
        for column, empty in _EMPTY.items():
            if column not in cells:
                continue
            cell = cells[column]
            if not cell:
                parsed.values[column] = empty
            elif column not in _SWITCHES:
                parsed.values[column] = cell
            elif (switch := parse_switch(cell)) is not None:
                parsed.values[column] = switch
            else:
                parsed.problem(column, f"{shown(cell)} is neither yes nor no")
        return parsed

    def _platform(self, parsed: RowValues, cell: str) -> str:
        """Note the platform; returns the transport that its suffix says, or nothing."""
        if not cell:
            return ""
        name, said = (cell, "") if cell in platforms() else split_transport(cell)
        if name == cell.lower():
            said = ""
        parsed.values["platform"] = name
        if name not in self._platforms:
            try:
                platform(name)
                self._platforms[name] = ""
            except UnknownPlatformError as error:
                self._platforms[name] = str(error) if len(name) <= 60 else f"unknown platform {shown(name)}"
        if problem := self._platforms[name]:
            parsed.problem("platform", problem)
        return said

    def _transport(self, parsed: RowValues, cells: dict[str, str], said: str) -> None:
        cell = cells.get("transport", "")
        transport = cell.lower()
        if transport and transport not in _TRANSPORTS:
            parsed.problem("transport", f"{shown(cell)} is neither ssh nor telnet")
        elif transport and said and transport != said:
            parsed.problem("transport", f"says {transport}, but the platform {shown(cells['platform'])} says {said}")
        elif transport or said or "transport" in cells:
            parsed.values["transport"] = transport or said or "ssh"

    def _port(self, parsed: RowValues, cell: str) -> None:
        if not cell:
            parsed.port_follows = True
        elif (port := parse_port(cell)) is not None:
            parsed.values["port"] = port
        else:
            parsed.problem("port", f"{shown(cell)} is no whole number from 1 to 65535")

    def _tags(self, parsed: RowValues, cell: str) -> None:
        try:
            tags = parsed.tags = split_tags(cell)
        except ValueError as error:
            parsed.problem("tags", str(error))
            return
        if len(tags) > _MAX_TAGS:
            parsed.problem("tags", f"{len(tags)} tags; a device has {_MAX_TAGS} at most")
        for tag in tags:
            if len(tag) > MAX_TAG:
                parsed.problem("tags", f"{shown(tag)} has {len(tag)} characters; a tag has {MAX_TAG} at most")
            elif "," in tag and not self._tag_exists(tag):
                parsed.problem("tags", f"{shown(tag)} has a comma in it; tags are separated by semicolons")
