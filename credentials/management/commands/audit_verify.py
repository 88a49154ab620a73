"""`manage.py audit_verify`: is the audit trail whole?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from credentials import audit, keyring
from credentials.audit import anchors, retention, triggers
from credentials.audit.verify import VERIFIED, Verdict, in_words, verify
from credentials.management.output import FAILED, ReportingCommand, operator, printable, wrong_use


class Command(ReportingCommand):
    """Read every row, and compare the trail with its anchors."""

    help = (
        "Verify the audit trail: that no row was edited, moved, taken away or added, and that nothing was cut off up "
        "to the last anchor. Names the first bad row."
    )
    epilog = "exit codes: 0 the trail is whole; 1 it is broken; 2 wrong use, or the trail cannot be read."

    def add_arguments(self, parser: CommandParser) -> None:
        """--anchors, --json and what may be written."""
        parser.add_argument(
            "--anchors",
            action="append",
            default=[],
            metavar="FILE",
            help="compare with these anchors as well, such as a log in which syslog or a webhook has kept them; "
            "may be repeated",
        )
        parser.add_argument("--json", action="store_true", help="report as one JSON object")
        parser.add_argument(
            "--no-record",
            action="store_true",
            help="leave no row about this in the trail, e.g. of a copy to be examined",
        )
        parser.add_argument(
            "--accept-loss",
            metavar="REASON",
            help="after the restore of an older database: note that the rows which anchors still speak of are gone",
        )

    def check(self, *args: Any, **kwargs: Any) -> None:
        """Also where something is not in order: this is how one looks. Only the keyring is needed."""
        keyring.current()

    def handle(self, *args: Any, **options: Any) -> None:
        """Verify and report."""
        lines = self._lines(options["anchors"])
        if options["accept_loss"]:
            accepted = retention.accept_loss(lines, options["accept_loss"], actor=operator())
            if accepted is None:
                raise wrong_use("The trail is whole: there is no loss to accept.")
            self.stderr.write(f"Noted: rows {accepted[0]} to {accepted[1]} are known to be gone.")
            lines = self._lines(options["anchors"])
        shown = sys.stderr.isatty() and not options["json"]
        found = verify(lines, progress=self._progress if shown else None)
        if not options["no_record"]:
            audit.record(VERIFIED, outcome="whole" if found.is_whole else "broken", **found.as_json())
        missing = triggers.missing() if triggers.exists() else []
        if options["json"]:
            self.print_json({"whole": found.is_whole, **found.as_json(), "missing_triggers": missing})
        else:
            self._tell(found, missing)
        if not found.is_whole:
            sys.exit(FAILED)

    def _tell(self, found: Verdict, missing: list[str]) -> None:
        self.stdout.write(in_words(found))
        if found.anchors:
            self.stdout.write(f"Anchors that agree: {found.anchors:,}, the newest of {found.newest_anchor} UTC.")
        else:
            self.stdout.write("No anchor was compared: that nothing is missing at the end cannot be told.")
        for note in found.notes:
            self.stdout.write(printable(note))
        if missing:
            self.stdout.write(
                f"The database would let rows be changed ({', '.join(missing)}): run ./manage.py migrate."
            )

    def _progress(self, rows: int) -> None:
        self.stderr.write(f"\r{rows:,} rows", ending="")

    @staticmethod
    def _lines(names: list[str]) -> list[anchors.Line]:
        found = []
        own = Path(settings.NETRAVEN_AUDIT_ANCHOR_FILE)
        for path in [*([own] if own.exists() else []), *map(Path, names)]:
            try:
                found += anchors.read(path)
            except OSError as error:
                raise wrong_use(f"{path} cannot be read: {error.strerror}.") from None
        return found
