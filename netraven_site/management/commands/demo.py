"""`manage.py demo`: a whole instance with a simulated fleet, in the foreground."""

from __future__ import annotations

import argparse
import importlib.util
import os
import shlex
import signal
import sys
import textwrap
import threading
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connections

from credentials.management.output import INTERRUPTED, WRONG_USE, printable
from devices.simulator.demo import DEMO_OLD_PASSWORD
from jobs.models import Run
from netraven_site import demo, setup
from netraven_site.management.commands.setup import DEFAULT_USERNAME
from netraven_site.processes import preflight, supervisor

_FAILED = 1


class Command(BaseCommand):
    """`demo`: what `make demo` starts."""

    help = (
        "Show NetRaven at work: prepare an instance in NETRAVEN_HOME, simulate 24 network devices on loopback "
        f"(ports from {demo.BASE_PORT_VARIABLE}, {demo.BASE_PORT} unless set), back them up twice, and keep "
        "the portal running on NETRAVEN_PORT until Ctrl-C. Exit code 1: the demo failed on its way; 2: it "
        "cannot start, the message says why."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """One for this command itself."""
        parser.add_argument("--after-setup", action="store_true", help=argparse.SUPPRESS)

    def handle(self, *args: Any, **options: Any) -> None:
        """Prepare, start everything, tell the story beside it, and stop on Ctrl-C."""
        # Secrets of the demo, database and logs are for this user alone.
        os.umask(0o077)
        if not settings.NETRAVEN_TARGETS:
            # Its devices listen on loopback, which no job calls unless it is allowed by name.
            settings.NETRAVEN_TARGETS = list(demo.TARGETS)
            os.environ["NETRAVEN_TARGETS"] = ",".join(demo.TARGETS)
        if importlib.util.find_spec("asyncssh") is None:
            raise CommandError("The simulator is not installed: run make demo.", returncode=WRONG_USE)
        say = supervisor.console(self.stdout)
        try:
            if not options["after_setup"]:
                _require_place()
                self._set_up()
            preflight.require_ready()
            fleet = demo.prepare_fleet()
            say(f"inventory: {demo.fill_instance(fleet)}")
            teller = _Teller(demo.Story(fleet, say, stopping := threading.Event()), fleet, self._farewell, say)

            def ready() -> None:
                say(f"NetRaven is ready at {_address()} and goes on with the demo")
                teller.start()

            code = supervisor.run_instance(
                host=settings.NETRAVEN_HOST,
                port=settings.NETRAVEN_PORT,
                workers=settings.NETRAVEN_WORKERS,
                extras=[fleet.simulator],
                say=say,
                ready=ready,
            )
        except (setup.SetupError, preflight.NotReady, demo.DemoError) as error:
            raise CommandError(printable(str(error)), returncode=WRONG_USE) from None
        except DatabaseError as error:
            raise CommandError(f"The database refused: {printable(str(error))}", returncode=WRONG_USE) from None
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
        stopping.set()
        sys.exit(_FAILED if teller.has_failed else code)

    def _set_up(self) -> None:
        had_key = settings.SECRET_KEY_IS_SET
        report = setup.prepare_files(settings.NETRAVEN_HOME)
        setup.prepare_database(report)
        if setup.needs_administrator():
            setup.create_administrator(report, DEFAULT_USERNAME)
        if report.password:
            self.stdout.write(
                f"\n  User name: {report.username}\n  Password:  {report.password}\n\n"
                "The password is shown this once and kept nowhere: note it now.\n"
            )
        else:
            self.stdout.write(
                f"The instance in {settings.NETRAVEN_HOME} is used again. Its password was shown when it was made; "
                f"./manage.py changepassword {_administrator()} sets another."
            )
        self.stdout.flush()
        if not had_key:
            # Tasks are signed with the key that this process was started with, which is not the one in `.env`.
            connections.close_all()
            os.execv(sys.executable, supervisor.manage("demo", "--after-setup"))  # noqa: S606 - arguments of our own

    def _farewell(self, fleet: demo.DemoFleet, runs: list[Run]) -> None:
        """The page that tells what there is to see."""
        lines = [
            "",
            f"NetRaven is at {_address()}",
            f"Sign in as {_administrator()}, with the password that was shown when the instance was made.",
            "",
        ]
        for sight in demo.sights(fleet, runs):
            lines.append(sight.headline)
            lines += textwrap.wrap(sight.text, 96, initial_indent="  ", subsequent_indent="  ")
            lines.append(f"  {_address(sight.page)}")
        lines += ["", "In a second terminal:"]
        if settings.NETRAVEN_HOME != settings.BASE_DIR:
            lines.append(f"  export NETRAVEN_HOME={shlex.quote(str(settings.NETRAVEN_HOME))}")
        lines += [
            f"  ./manage.py candidates {DEMO_OLD_PASSWORD[0]}",
            f"  ./manage.py show_config {fleet.devices[0].name}",
            "  ./manage.py run_job --kind backup --wait",
            "  ./manage.py host_keys list",
            "",
            "Ctrl-C here stops everything; make demo starts it again.",
        ]
        self.stdout.write(printable("\n".join(lines)))
        self.stdout.flush()


class _Teller:
    """Tells the story in a thread of its own: the main thread watches the processes."""

    def __init__(
        self,
        story: demo.Story,
        fleet: demo.DemoFleet,
        farewell: Callable[[demo.DemoFleet, list[Run]], None],
        say: Callable[[str], None],
    ) -> None:
        self._story = story
        self._fleet = fleet
        self._farewell = farewell
        self._say = say
        self.has_failed = False

    def start(self) -> None:
        threading.Thread(target=self._tell, name="demo", daemon=True).start()

    def _tell(self) -> None:
        try:
            self._farewell(self._fleet, self._story.tell())
        except (demo.DemoError, DatabaseError) as error:
            self.has_failed = True
            self._say(f"The demo failed: {printable(str(error))}")
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            connections.close_all()


def _require_place() -> None:
    """Refuse before anything is made: another instance in this folder, or a port in use."""
    if settings.NETRAVEN_VAR.is_dir():
        with preflight.only_one(settings.NETRAVEN_VAR):
            pass
    with preflight.listening(settings.NETRAVEN_HOST, settings.NETRAVEN_PORT):
        demo.require_free_ports()


def _administrator() -> str:
    """The user name to sign in with."""
    found = User.objects.filter(is_superuser=True, is_active=True).order_by("pk").first()
    return found.get_username() if found is not None else DEFAULT_USERNAME


def _address(path: str = "/") -> str:
    """The address of a page of the portal."""
    host = settings.NETRAVEN_HOST
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{settings.NETRAVEN_PORT}{path}"
