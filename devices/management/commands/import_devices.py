"""`manage.py import_devices FILE`: create and update devices from CSV."""

from __future__ import annotations

import json
import sys
from textwrap import fill
from typing import Any

from django.core.management.base import CommandParser

from credentials.management.output import ReportingCommand, read_input, wrong_use
from devices.inventory import importer
from devices.inventory.columns import COLUMN_HELP, EMPTY_CELLS, FORMULAS, REQUIRED
from devices.inventory.reader import MAX_BYTES
from devices.inventory.report import ImportReport

WRONG_ROWS = 1


def _epilog() -> str:
    columns = "\n".join(
        f"  {name:<12} {'' if name in REQUIRED else 'optional; '}{text}" for name, text in COLUMN_HELP.items()
    )
    return (
        f"columns:\n{columns}\n\n{fill(EMPTY_CELLS, 90)}\n{fill(FORMULAS, 90)}\n"
        "The file is UTF-8, with a header line; columns stand in any order, separated by commas\n"
        "(semicolons and tabs are understood when the header has them).\n\n"
        "exit codes: 0 all rows are right; 1 some rows are wrong (skipped or not); 2 wrong use:\n"
        "no such file, wrong header or encoding, or the database refuses."
    )


class Command(ReportingCommand):
    """Create and update devices from a CSV file, matched by name, all or nothing unless told otherwise."""

    help = (
        "Create and update devices from a CSV file. Devices are matched by name. "
        "Nothing is written when any row is wrong, unless --skip-errors is given."
    )

    epilog = _epilog()

    def add_arguments(self, parser: CommandParser) -> None:
        """FILE and three switches."""
        parser.add_argument("file", metavar="FILE", help="the CSV file; - reads standard input")
        parser.add_argument("--dry-run", action="store_true", help="report what would change; write nothing")
        parser.add_argument("--skip-errors", action="store_true", help="leave wrong rows out and write the others")
        parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")

    def handle(self, *args: Any, **options: Any) -> None:
        """Import, report, and say by the exit code whether all rows were right."""
        data = read_input(options["file"], MAX_BYTES)
        try:
            if options["dry_run"]:
                report = importer.preview(data)
            else:
                report = importer.apply(data, skip_errors=options["skip_errors"])
        except importer.InventoryError as error:
            raise wrong_use(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(report.as_dict()))
        else:
            self._table(report)
        if report.errors:
            sys.exit(WRONG_ROWS)

    def _table(self, report: ImportReport) -> None:
        styles = {
            importer.Action.CREATED: self.style.SUCCESS,
            importer.Action.UPDATED: self.style.WARNING,
            importer.Action.ERROR: self.style.ERROR,
        }
        name_width = min(40, max(4, *(len(row.name) for row in report.rows)))
        line_width = max(4, len(str(report.rows[-1].line)))
        self.stdout.write(f"{'LINE':>{line_width}}  {'ACTION':<9}  {'NAME':<{name_width}}  CHANGES")
        for row in report.rows:
            style = styles.get(row.action, str)
            # Each problem has a line of its own; changes share one.
            first, *more = row.words if row.errors else [", ".join(row.words)]
            action = style(f"{row.action.value:<9}")
            self.stdout.write(f"{row.line:>{line_width}}  {action}  {row.name:<{name_width}}  {first}".rstrip())
            for words in more:
                self.stdout.write(f"{'':>{line_width + name_width + 15}}{words}")
        self.stdout.write(report.summary)
