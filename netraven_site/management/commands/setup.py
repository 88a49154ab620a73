"""The first start of an instance."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from netraven_site import setup

DEFAULT_USERNAME = "admin"


class Command(BaseCommand):
    """`setup`: make what an instance needs and does not have; change nothing else."""

    help = (
        "Prepare an instance in NETRAVEN_HOME: .env with a random secret key, keyring, database, "
        "administrator. What exists is left alone, so it may be run again at any time. "
        "Exit code 2: a step cannot be done."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """--no-input, --username and --json."""
        parser.add_argument("--no-input", action="store_true", help="ask nothing")
        parser.add_argument(
            "--username", help=f"name of the first administrator (default: {DEFAULT_USERNAME}, or asked for)"
        )
        parser.add_argument("--json", action="store_true", help="report as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do each step, then report."""
        # Database and logs are for the user who runs the instance alone.
        os.umask(0o077)
        try:
            report = setup.prepare_files(settings.NETRAVEN_HOME)
            setup.prepare_database(report)
            if setup.needs_administrator():
                setup.create_administrator(report, self._username(options))
        except setup.SetupError as error:
            raise CommandError(str(error), returncode=2) from None
        if options["json"]:
            self.stdout.write(json.dumps(as_json(report), indent=2))
        else:
            self._tell(report)

    def _username(self, options: dict[str, Any]) -> str:
        if options["username"] is not None:
            return str(options["username"])
        if options["no_input"] or options["json"] or not sys.stdin.isatty():
            return DEFAULT_USERNAME
        return input(f"Name of the administrator [{DEFAULT_USERNAME}]: ").strip() or DEFAULT_USERNAME

    def _tell(self, report: setup.Report) -> None:
        for item in report.created:
            self.stdout.write(f"created  {item}")
        for item in report.kept:
            self.stdout.write(f"kept     {item}")
        done = f"applied {report.migrations} migrations" if report.migrations else "nothing to migrate"
        self.stdout.write(f"database {done}")
        if report.password:
            self.stdout.write(f"\nUser name: {report.username}\nPassword:  {report.password}")
            self.stdout.write("The password is shown this once and kept nowhere: note it now.")


def as_json(report: setup.Report) -> dict[str, Any]:
    """The report as JSON types; `admin` is null unless one was created."""
    admin = {"username": report.username, "password": report.password} if report.password else None
    return {
        "home": str(report.home),
        "created": report.created,
        "kept": report.kept,
        "migrations": report.migrations,
        "admin": admin,
    }
