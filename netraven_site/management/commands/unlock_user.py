"""`manage.py unlock_user NAME`: open sign-in again after too many wrong passwords."""

from __future__ import annotations

import ipaddress
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandParser

from credentials.management.output import ReportingCommand, operator, printable, wrong_use
from netraven_site.security import lockout, sign_ins


class Command(ReportingCommand):
    """Release somebody whom the portal does not let in, for his own wrong passwords or a stranger's."""

    help = (
        "Open sign-in to the portal again for a user, or for everybody at an address, before the time is up. "
        "Look at the log first: whoever guesses may go on."
    )
    epilog = (
        "examples:\n  ./manage.py unlock_user olga\n  ./manage.py unlock_user --address 192.0.2.7\n"
        "  ./manage.py unlock_user olga --sign-out\n\nexit codes: 0 done; 2 wrong use."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Who, or where."""
        parser.add_argument("user", metavar="USER", nargs="?", help="name of the user")
        parser.add_argument("--address", metavar="IP", help="open it for everybody at this address")
        parser.add_argument("--sign-out", action="store_true", help="also sign the user out in every browser")

    def handle(self, *args: Any, **options: Any) -> None:
        """Open and report."""
        name, address = options["user"], options["address"]
        if not name and not address:
            raise wrong_use("Name a user, or an address with --address.")
        if options["sign_out"] and not name:
            raise wrong_use("--sign-out needs the name of a user.")
        if address:
            try:
                ipaddress.ip_address(address)
            except ValueError:
                raise wrong_use(f"{address!r} is no IP address.") from None
        user = User.objects.filter(username=name).first() if name else None
        if name and user is None:
            raise wrong_use(f"There is no user named {name!r}.")
        if user is not None:
            opened = lockout.unlock(user, actor=operator())
            self.stdout.write(printable(f"{user.username}: {_locks(opened)}."))
        if address:
            self.stdout.write(printable(f"{address}: {_locks(lockout.unlock_address(address, operator()))}."))
        if options["sign_out"] and user is not None:
            ended = sign_ins.end_of(user, actor=operator())
            self.stdout.write(printable(f"{user.username}: signed out in {ended} browsers."))


def _locks(count: int) -> str:
    return f"{count} {'lock' if count == 1 else 'locks'} opened" if count else "was not locked"
