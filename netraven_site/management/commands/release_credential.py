"""`manage.py release_credential NAME`: let a credential be tried again where it was refused."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from credentials.guard import release_credential
from credentials.management.output import ReportingCommand, by_name, operator, printable
from credentials.models import Credential

_MOST_SHOWN = 10


class Command(ReportingCommand):
    """Give a credential's accounts their budget back, after somebody has seen why they were refused."""

    help = (
        "Release the accounts that the lockout guard holds because this credential was refused, and forget "
        "where it was refused, so that the next job tries it again. Correct the credential first: each further "
        "wrong password counts on the accounts server too."
    )
    epilog = "exit codes: 0 done, also when there was nothing to release; 2 wrong use."

    def add_arguments(self, parser: CommandParser) -> None:
        """The credential."""
        parser.add_argument("name", metavar="NAME", help="the credential")
        parser.add_argument("--reason", default="", metavar="TEXT", help="why, for the record")
        parser.add_argument("--json", action="store_true", help="report as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Release and report."""
        credential = by_name(Credential.objects.all(), options["name"], "credential")
        released = release_credential(credential, operator(), reason=options["reason"])
        if options["json"]:
            self.print_json(
                {
                    "credential": credential.name,
                    "accounts": list(released.accounts),
                    "forgotten": list(released.forgotten),
                }
            )
            return
        if not released.accounts and not released.forgotten:
            self.stdout.write(f"{printable(credential.name)}: there was nothing to release.")
            return
        self._tell("Released account", released.accounts)
        self._tell("Forgot the rejection at", released.forgotten)

    def _tell(self, what: str, labels: tuple[str, ...]) -> None:
        for label in labels[:_MOST_SHOWN]:
            self.stdout.write(printable(f"{what} {label}"))
        if len(labels) > _MOST_SHOWN:
            self.stdout.write(f"... and {len(labels) - _MOST_SHOWN} more")
