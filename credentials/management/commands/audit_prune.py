"""`manage.py audit_prune`: the one way in which rows leave the audit trail."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.utils import timezone

from credentials.audit.retention import prune
from credentials.exceptions import TrailBroken
from credentials.management.output import ReportingCommand, failed, operator, wrong_use


class Command(ReportingCommand):
    """Delete what is older than it has to be kept, behind a checkpoint."""

    help = (
        "Delete the rows of the audit trail that are older than so many days. A checkpoint with the chain's state is "
        "written first, so that the rest can still be verified. Refuses when the trail is not whole."
    )
    epilog = "exit codes: 0 done; 1 the trail is broken, nothing was deleted; 2 wrong use."

    def add_arguments(self, parser: CommandParser) -> None:
        """--keep-days."""
        parser.add_argument(
            "--keep-days", type=int, metavar="N", help="default: NETRAVEN_AUDIT_KEEP_DAYS, without which it is needed"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Prune and say how much."""
        days = options["keep_days"] if options["keep_days"] is not None else settings.NETRAVEN_AUDIT_KEEP_DAYS
        if days < 1:
            raise wrong_use("Say how many days to keep, at least 1: --keep-days N.")
        try:
            gone = prune(timezone.now() - timedelta(days=days), actor=operator())
        except TrailBroken as error:
            raise failed(str(error)) from None
        self.stdout.write(f"{gone:,} rows deleted.")
