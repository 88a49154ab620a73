"""`manage.py create_token USER`: an API token, printed once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandParser
from django.utils import timezone

from credentials import audit
from credentials.management.output import ReportingCommand, operator, printable, wrong_use
from netraven_site.models import ApiToken, TokenScope

_LONGEST_NAME = ApiToken._meta.get_field("name").max_length or 0
_MOST_DAYS = 36_500


class Command(ReportingCommand):
    """Make a token with which a program acts as a user; only its hash is kept."""

    help = (
        "Create an API token and print it, once, alone on standard output. Who has it can do what the user "
        "can do, within its scope. Only a hash of it is kept."
    )
    epilog = (
        "example:\n"
        "  TOKEN=$(./manage.py create_token admin --name monitoring --expires-days 90)\n"
        '  curl -H "Authorization: Token $TOKEN" http://127.0.0.1:8000/api/v1/devices/\n\n'
        "exit codes: 0 created; 2 wrong use."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Whose token, and for how long."""
        parser.add_argument("user", metavar="USER", help="name of the user")
        parser.add_argument("--name", default="", help="what it is for")
        parser.add_argument(
            "--scope",
            choices=TokenScope.values,
            default=TokenScope.WRITE,
            help="read; write (default); secrets: also secrets of configurations",
        )
        parser.add_argument("--expires-days", type=int, metavar="D", help="ends after D days (default: never)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Create and print."""
        user = User.objects.filter(username=options["user"]).first()
        days = options["expires_days"]
        if user is None:
            raise wrong_use(f"There is no user named {options['user']!r}.")
        if not user.is_active:
            raise wrong_use(f"The user {user.username} is disabled.")
        if days is not None and not 1 <= days <= _MOST_DAYS:
            raise wrong_use(f"--expires-days is a number from 1 to {_MOST_DAYS}.")
        if len(options["name"]) > _LONGEST_NAME:
            raise wrong_use(f"--name has at most {_LONGEST_NAME} characters.")
        ends = timezone.now() + timedelta(days=days) if days is not None else None
        row, text = ApiToken.issue(user, options["name"], ends, options["scope"])
        audit.record("token.created", actor=operator(), token=row.pk, user_id=user.pk, scope=row.scope)
        self.stdout.write(text)
        until = f"until {ends:%Y-%m-%d %H:%M} UTC" if ends else "until it is deleted"
        scope = TokenScope(options["scope"]).label
        self.stderr.write(
            printable(f"Token of {user.username} ({scope}), valid {until}. It is shown this once; keep it secret.")
        )
