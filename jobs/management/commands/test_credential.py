"""`manage.py test_credential NAME`: log in with one credential and say what came of it."""

from __future__ import annotations

from textwrap import fill
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandParser

from credentials.management.output import ReportingCommand, by_name, failed, printable, words_of, wrong_use
from credentials.models import Credential
from jobs.choices import Trigger
from jobs.management import following
from jobs.management.commands.run_job import enabled_devices
from jobs.models import Result, Run
from jobs.services import Progress
from jobs.testing import SAMPLE, NothingToTest, Tested, start_test, tested

_NAMED = 8


class Command(ReportingCommand):
    """Test a credential where it matters: on devices, through the same guard as every login."""

    help = (
        "Log in with one credential, enter the privileged mode, and leave again: on chosen devices, or on a "
        "sample of those that it matches. Wrong passwords count against the account like any other login, "
        "and host keys are checked first."
    )
    epilog = (
        "exit codes: 0 it opened every device; 1 it did not, or there was none to try; 2 wrong use;\n"
        "130 Ctrl-C, the test goes on."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The credential and the devices."""
        parser.add_argument("name", metavar="NAME", help="the credential")
        parser.add_argument(
            "--device", action="append", default=[], metavar="D", help="on this device; may be repeated"
        )
        parser.add_argument(
            "--tag",
            action="append",
            default=[],
            metavar="T",
            help="on every device with this tag; may be repeated",
        )
        parser.add_argument(
            "--sample",
            type=int,
            metavar="N",
            help=f"on N devices by chance, of those with the tags or else of those that the credential matches "
            f"(default: {SAMPLE}, when no device and no tag is given)",
        )
        parser.add_argument(
            "--timeout", type=float, metavar="S", help="stop waiting after so many seconds; the test goes on"
        )
        parser.add_argument("--json", action="store_true", help="report as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Choose the devices, run, wait, report."""
        if options["timeout"] is not None and not options["timeout"] > 0:
            raise wrong_use("--timeout is a number of seconds above 0.")
        credential = by_name(Credential.objects.all(), options["name"], "credential")
        run = self._start(credential, options)
        if not options["json"]:
            self.stdout.write(
                printable(f"Run {run.pk} tests {credential.name} on {following.devices(run.device_count)}.")
            )
            self.stdout.flush()
        try:
            seen = following.follow(run, self.stderr, options["timeout"])
        except KeyboardInterrupt:
            following.leave(self, run)
        except following.StillRunning as still:
            self.stderr.write(f"Run {run.pk} has not ended within {options['timeout']:g} s; it goes on.")
            seen = still.progress
        self._report(credential, run, seen, options["json"])
        following.conclude(seen)

    @staticmethod
    def _start(credential: Credential, options: dict[str, Any]) -> Run:
        try:
            return start_test(
                credential,
                devices=enabled_devices(options["device"]),
                tags=options["tag"],
                sample=options["sample"],
                trigger=Trigger.COMMAND,
            )
        except NothingToTest as error:
            raise failed(words_of(error)) from None
        except ValidationError as error:
            raise wrong_use(words_of(error)) from None

    def _report(self, credential: Credential, run: Run, seen: Progress, as_json: bool) -> None:
        results = list(Result.objects.filter(run=run).order_by("device_name", "pk"))
        found = tested(run, results)
        if as_json:
            rows = [_as_json(row, found[row.pk]) for row in results]
            self.print_json({"credential": credential.name, **following.as_json(run, seen), "results": rows})
            return
        following.summarise(self, run, seen)
        if not results:
            return
        self.stdout.write("")
        self.print_table(
            ["DEVICE", "LOGIN", "ENABLE", "SECONDS", "OUTCOME"],
            [
                [
                    row.device_name,
                    _word(found[row.pk].login),
                    _word(found[row.pk].enable),
                    row.duration_s,
                    row.outcome_info.label if row.outcome else "Not yet",
                ]
                for row in results
            ],
        )
        self._explain(results)

    def _explain(self, results: list[Result]) -> None:
        """What went wrong and what to do, each once, with the devices that it is about."""
        about: dict[tuple[str, str, str], list[str]] = {}
        for row in results:
            if row.detail or row.advice:
                key = (row.outcome_info.label, row.detail, row.advice)
                about.setdefault(key, []).append(row.device_name)
        for (label, detail, advice), names in about.items():
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            self.stdout.write("")
            self.stdout.write(printable(f"{label}: {', '.join(names[:_NAMED])}{more}"))
            for text in (detail, advice):
                if text:
                    self.stdout.write(fill(printable(text), 100, initial_indent="  ", subsequent_indent="  "))


def _as_json(row: Result, found: Tested) -> dict[str, Any]:
    return {**following.result_as_json(row), "login": found.login, "enable": found.enable}


def _word(value: bool | None) -> str:
    return "-" if value is None else "yes" if value else "no"
