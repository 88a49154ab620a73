"""What an import did, or would do, row by row."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from devices.inventory.columns import printable

Value = str | int | bool | list[str] | None
"""A value of a device: tags are a sorted list, None stands for what was not there before."""

Changes = dict[str, tuple[Value, Value]]
"""Old and new value by column."""


class Action(StrEnum):
    """What happens to the device of a row."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    ERROR = "error"


@dataclass(slots=True)
class RowReport:
    """One row: its line in the file, its device, what changes (old and new by column), what is wrong."""

    line: int
    name: str
    action: Action
    changes: Changes = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    @property
    def words(self) -> list[str]:
        """The changes or the errors in words, one each, safe to print."""
        if self.errors:
            return [printable(error) for error in self.errors]
        if self.action == Action.CREATED:
            return [f"{column} {in_words(new)}" for column, (_, new) in self.changes.items()]
        return [f"{column} {in_words(old)} -> {in_words(new)}" for column, (old, new) in self.changes.items()]

    def as_dict(self) -> dict[str, Any]:
        """The row as plain data for JSON."""
        return {
            "line": self.line,
            "name": self.name,
            "action": self.action.value,
            "changes": {column: {"old": old, "new": new} for column, (old, new) in self.changes.items()},
            "errors": self.errors,
        }


@dataclass(slots=True)
class ImportReport:
    """All rows and their counts. Where `written` is false the counts say what would have been done."""

    rows: list[RowReport]
    dry_run: bool
    written: bool = False
    """At least one device was created or updated, and it is committed."""
    counts: dict[Action, int] = field(default_factory=lambda: dict.fromkeys(Action, 0))

    def add(self, row: RowReport) -> None:
        """Take in the next row and count it."""
        self.rows.append(row)
        self.counts[row.action] += 1

    @property
    def created(self) -> int:
        """Rows with a new device."""
        return self.counts[Action.CREATED]

    @property
    def updated(self) -> int:
        """Rows that change a device."""
        return self.counts[Action.UPDATED]

    @property
    def unchanged(self) -> int:
        """Rows whose device is already so."""
        return self.counts[Action.UNCHANGED]

    @property
    def errors(self) -> int:
        """Rows that are wrong."""
        return self.counts[Action.ERROR]

    @property
    def summary(self) -> str:
        """The counts and whether anything was written, in one line."""
        counts = f"{self.created} created, {self.updated} updated, {self.unchanged} unchanged, {self.errors} wrong"
        if self.dry_run:
            return f"Dry run: {counts}. Nothing was written."
        if self.written:
            return f"{counts}." + (" The wrong rows were skipped." if self.errors else "")
        if self.errors and (self.created or self.updated):
            return f"{counts}. Nothing was written, because a row is wrong."
        return f"{counts}. Nothing was written."

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data for JSON."""
        return {
            "created": self.created,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "errors": self.errors,
            "dry_run": self.dry_run,
            "written": self.written,
            "rows": [row.as_dict() for row in self.rows],
        }


def in_words(value: Value) -> str:
    """A value as it stands in a sentence."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        value = "; ".join(value)
    return printable(str(value)) if value not in ("", None) else "(empty)"
