"""`manage.py index_configs`: bring the search index over configurations up to date."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import CommandParser

from credentials.management.output import FAILED, ReportingCommand, printable
from devices.configs import index


class Command(ReportingCommand):
    """Index what waits, now instead of in the background."""

    help = (
        "Bring the search index over the latest configurations up to date. The workers do this by themselves; "
        "this command does it at once, and makes the index where the database could not have it before."
    )
    epilog = (
        "exit codes: 0 the index is complete; 1 this database cannot have one: searches read all texts; 2 wrong use."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """How much to do."""
        parser.add_argument("--rebuild", action="store_true", help="empty the index first")
        parser.add_argument("--status", action="store_true", help="change nothing, only report")
        parser.add_argument("--json", action="store_true", help="report as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Work until nothing waits, and report."""
        added = removed = 0
        if not options["status"]:
            if options["rebuild"]:
                index.rebuild()
            index.prepare()
            while index.current() is not None:
                step = index.index_latest(limit_s=10.0, rest=0.5)
                added, removed = added + step.added, removed + step.removed
                if step.is_complete:
                    break
        state = index.state()
        if options["json"]:
            self.print_json(
                {
                    "is_there": state.is_there,
                    "notice": state.notice or None,
                    "known": state.known,
                    "waiting": state.waiting,
                    "added": added,
                    "removed": removed,
                }
            )
        elif state.is_there:
            said = f"{state.known:,} texts are indexed, {state.waiting:,} wait"
            self.stdout.write(f"{said}." if options["status"] else f"{said}; {added:,} added, {removed:,} dropped.")
        else:
            self.stderr.write(printable(state.notice))
        if not state.is_there:
            sys.exit(FAILED)
