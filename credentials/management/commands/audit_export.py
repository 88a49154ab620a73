"""`manage.py audit_export`: the audit trail as JSON lines or CSV."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from credentials import audit
from credentials.audit import export
from credentials.management.output import ReportingCommand, wrong_use


class Command(ReportingCommand):
    """Every row with all that is authenticated, oldest first."""

    help = (
        "Export the audit trail, oldest row first. JSON lines have everything with which the chain can be checked "
        "elsewhere; in CSV, cells that a spreadsheet would take for a formula are made harmless. The export itself is "
        "on record."
    )
    epilog = "exit codes: 0 exported; 2 wrong use, or the file cannot be written."

    def add_arguments(self, parser: CommandParser) -> None:
        """FILE, format and what to choose."""
        parser.add_argument(
            "file", metavar="FILE", nargs="?", default="-", help="a new file; standard output by default"
        )
        parser.add_argument("--format", choices=("jsonl", "csv"), default="jsonl", help="default: jsonl")
        parser.add_argument("--event", metavar="E", help="this event, such as credential.used")
        parser.add_argument("--since", metavar="WHEN", help="from this day or time on, such as 2026-03-01")
        parser.add_argument("--until", metavar="WHEN", help="before this day or time")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write rows."""
        rows = export.chosen(event=options["event"], since=_time(options["since"]), until=_time(options["until"]))
        count = rows.count()
        lines = export.as_csv(rows) if options["format"] == "csv" else export.as_json_lines(rows)
        name = options["file"]
        chosen = {key: options[key] for key in ("since", "until") if options[key]}
        if options["event"]:
            chosen["of_event"] = options["event"]
        if name == "-":
            audit.record("audit.exported", rows=count, **chosen)
            for line in lines:
                self.stdout.write(line, ending="")
            return
        try:
            # Never over something else: an older export is evidence too.
            with Path(name).open("x", encoding="utf-8", newline="") as file:
                audit.record("audit.exported", rows=count, file=name, **chosen)
                file.writelines(lines)
        except FileExistsError:
            raise wrong_use(f"{name} exists: name a new file.") from None
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise wrong_use(f"{name} cannot be written: {reason}.") from None
        sys.stderr.write(f"{count:,} rows written to {name}.\n")


def _time(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        at, day = parse_datetime(text), parse_date(text)
    except ValueError:
        at = day = None
    if at is None and day is None:
        raise wrong_use(f"{text!r} is no day or time: write 2026-03-01, or 2026-03-01T12:00.")
    if at is None and day is not None:
        at = datetime.combine(day, datetime.min.time())
    assert at is not None
    return timezone.make_aware(at) if timezone.is_naive(at) else at
