"""Start the portal: web and worker, watched."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from netraven_site.processes import preflight, supervisor


class Command(BaseCommand):
    """`up`: everything that an instance needs, in the foreground."""

    help = (
        "Start the web server and the task cluster, and restart what dies or stalls. Ctrl-C or SIGTERM "
        "lets devices in hand finish (NETRAVEN_GRACE_S); a second one stops at once. "
        "Exit code 2: not ready to start."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Options that stand in for the variables of the same meaning."""
        parser.add_argument("--host", default=settings.NETRAVEN_HOST, help="address to listen on")
        parser.add_argument("--port", type=port_number, default=settings.NETRAVEN_PORT, help="web port")
        parser.add_argument("--workers", type=worker_count, default=settings.NETRAVEN_WORKERS, help="worker processes")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until stopped; exits with the supervisor's code."""
        # Logs, database and lock belong to the user who runs the instance alone.
        os.umask(0o077)
        say = supervisor.console(self.stdout)
        host, port = options["host"], options["port"]
        shown = f"[{host}]" if ":" in host else host

        def ready() -> None:
            say(f"NetRaven is ready at http://{shown}:{port}/ (Ctrl-C stops it)")

        try:
            code = supervisor.run_instance(host=host, port=port, workers=options["workers"], say=say, ready=ready)
        except preflight.NotReady as error:
            raise CommandError(str(error), returncode=2) from None
        except KeyboardInterrupt:
            code = 130
        sys.exit(code)


def port_number(text: str) -> int:
    """A TCP port for argparse."""
    return _between(text, 1, 65535)


def worker_count(text: str) -> int:
    """A number of worker processes for argparse."""
    return _between(text, 1, 64)


def _between(text: str, least: int, most: int) -> int:
    number = int(text)
    if not least <= number <= most:
        raise ValueError
    return number
