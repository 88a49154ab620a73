"""`manage.py run_job`: start a job, or a kind of job on chosen devices, and wait for it if asked to."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandParser

from credentials.management.output import FAILED, ReportingCommand, by_name, failed, words_of, wrong_use
from devices.connector.outcomes import Outcome, info
from devices.models import Device
from jobs.choices import Trigger
from jobs.kinds import KINDS
from jobs.kinds.base import Parameter, as_text
from jobs.management import following
from jobs.models import Job, Run
from jobs.services import (
    Progress,
    cancel_run,
    on_devices,
    pause_run,
    progress,
    resume_run,
    retry_failed,
    start_adhoc,
    start_run,
)

_MOST_SHOWN = 20
_DIRECTIONS = {"pause": (pause_run, "pauses"), "resume": (resume_run, "goes on"), "cancel": (cancel_run, "stops")}


class Command(ReportingCommand):
    """Start a run; it is the workers of `up` that do it."""

    help = (
        "Start a stored job by its name, or a kind of job on devices chosen by tag and name (without either: "
        "on every enabled device), or direct one that was started."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.epilog = (
            "examples:\n"
            "  ./manage.py run_job 'Nightly backup' --wait\n"
            "  ./manage.py run_job --kind backup --tag core --tag edge --wait --json --results\n"
            "  ./manage.py run_job --kind command --tag core --set commands='show version' --wait\n"
            "  ./manage.py run_job --retry 17 --wait\n\n"
            f"kinds, and what --set takes:\n{_kinds_in_words()}\n\n"
            "exit codes: 0 every device succeeded (without --wait: the run was started); 1 some failed, there was\n"
            "no device, the run was cancelled, or --timeout is over; 2 wrong use; 130 Ctrl-C, the run goes on."
        )

    def add_arguments(self, parser: CommandParser) -> None:
        """What to run, and how to report."""
        parser.add_argument("name", metavar="NAME", nargs="?", help="a stored job")
        parser.add_argument("--kind", metavar="KIND", help="a kind of job, in place of a stored one")
        parser.add_argument("--retry", type=int, metavar="RUN", help="those devices of a run that did not succeed")
        for name, words in (
            ("pause", "start no more devices of a run; those in hand finish"),
            ("resume", "go on with a paused run"),
            ("cancel", "stop a run; devices in hand finish, the others are cancelled"),
        ):
            parser.add_argument(f"--{name}", type=int, metavar="RUN", help=words)
        parser.add_argument(
            "--tag", action="append", default=[], metavar="T", help="devices with this tag; may be repeated"
        )
        parser.add_argument(
            "--device", action="append", default=[], metavar="D", help="and this device; may be repeated"
        )
        parser.add_argument(
            "--set",
            action="append",
            default=[],
            dest="parameters",
            metavar="NAME=VALUE",
            help="a parameter of the kind; may be repeated, also for one more line of the same parameter",
        )
        parser.add_argument(
            "--credential", metavar="NAME", help="log in with this credential alone (kind credential_test)"
        )
        parser.add_argument("--wait", action="store_true", help="wait for the end and report")
        parser.add_argument("--results", action="store_true", help="with --wait: report each device")
        parser.add_argument("--json", action="store_true", help="report as one JSON object")
        parser.add_argument(
            "--timeout", type=float, metavar="S", help="with --wait: stop waiting after so many seconds"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Start, wait, report; the exit code says whether every device succeeded."""
        _check_use(options)
        if direction := next((name for name in _DIRECTIONS if options[name] is not None), None):
            self._direct(direction, options)
            return
        try:
            run = _start(options)
        except ValidationError as error:
            raise wrong_use(words_of(error)) from None
        if not options["wait"]:
            self._started(run, options)
            return
        if not options["json"]:
            self.stdout.write(f"Run {run.pk} started: {_size(run)}.")
            self.stdout.flush()
        try:
            seen = following.follow(run, self.stderr, options["timeout"])
        except KeyboardInterrupt:
            following.leave(self, run)
        except following.StillRunning as still:
            self.stderr.write(f"Run {run.pk} has not ended within {options['timeout']:g} s; it goes on.")
            seen = still.progress
        self._report(run, seen, options)
        following.conclude(seen)

    def _direct(self, direction: str, options: dict[str, Any]) -> None:
        """Pause, resume or cancel a run."""
        run = _run(options[direction])
        do, words = _DIRECTIONS[direction]
        try:
            do(run)
        except ValidationError as error:
            raise failed(words_of(error)) from None
        if options["json"]:
            self.print_json(following.as_json(run, progress(run.pk)))
        else:
            self.stdout.write(f"Run {run.pk} {words}.")

    def _started(self, run: Run, options: dict[str, Any]) -> None:
        seen = progress(run.pk)
        if options["json"]:
            self.print_json(following.as_json(run, seen))
        elif not seen.is_finished:
            self.stdout.write(f"Run {run.pk} started: {_size(run)}.")
            self.stdout.write(following.where_to_watch(run))
        if seen.is_finished:
            # Nothing to wait for: it ended for want of devices.
            self.stderr.write(seen.message)
            raise SystemExit(FAILED)

    def _report(self, run: Run, seen: Progress, options: dict[str, Any]) -> None:
        if options["json"]:
            report = following.as_json(run, seen)
            if options["results"]:
                report["results"] = following.results_of(run)
            self.print_json(report)
            return
        following.summarise(self, run, seen)
        results = following.results_of(run)
        if not options["results"]:
            results = [row for row in results if row["outcome"] != Outcome.SUCCESS]
        shown = results if options["results"] else results[:_MOST_SHOWN]
        if not shown:
            return
        self.stdout.write("")
        self.print_table(
            ["DEVICE", "OUTCOME", "CREDENTIAL", "LOGINS", "SECONDS", "DETAIL"],
            [
                [
                    row["device"],
                    info(row["outcome"]).label if row["outcome"] else "Not yet",
                    row["credential"],
                    row["attempts"],
                    row["duration_s"],
                    row["detail"],
                ]
                for row in shown
            ],
        )
        if len(shown) < len(results):
            self.stdout.write(f"... and {len(results) - len(shown)} more; --results shows all.")
        self._advise(shown)

    def _advise(self, rows: list[dict[str, Any]]) -> None:
        """Each advice once, with the devices that it is for."""
        by_advice: dict[str, list[str]] = {}
        for row in rows:
            if row["advice"]:
                by_advice.setdefault(row["advice"], []).append(row["device"])
        if by_advice:
            self.stdout.write("")
        for advice, devices in by_advice.items():
            more = f" and {len(devices) - 5} more" if len(devices) > 5 else ""
            self.stdout.write(f"{', '.join(devices[:5])}{more}: {advice}")


def _kinds_in_words() -> str:
    lines = []
    for kind in KINDS.values():
        lines.append(f"  {kind.name:<16} {kind.description}")
        for each in kind.parameters:
            lines += textwrap.wrap(
                _in_words(each), 104, initial_indent=f"    {each.name:<14} ", subsequent_indent=" " * 19
            )
    return "\n".join(lines)


def _in_words(parameter: Parameter) -> str:
    what = " or ".join(value for value, _ in parameter.choices) or parameter.type
    more = ", required" if parameter.required else ""
    if parameter.default is not None:
        more = f", {as_text(parameter.default)} unless given"
    return f"{what}{more}. {parameter.help_text}".strip()


def _size(run: Run) -> str:
    return following.devices(run.device_count) if on_devices(run.kind) else "it works on no device"


def _check_use(options: dict[str, Any]) -> None:
    ways = ["name", "kind", "retry", *_DIRECTIONS]
    given = [way for way in ways if options[way] not in (None, "")]
    if not given:
        raise wrong_use("Give the name of a job, or --kind.")
    if len(given) > 1:
        named = [way if way != "name" else "the name of a job" for way in given]
        raise wrong_use(f"Give the name of a job, or --kind: {' and '.join(named)} do not go together.")
    if options["kind"] is None and (
        options["tag"] or options["device"] or options["credential"] or options["parameters"]
    ):
        what = f"The job {options['name']}" if options["name"] else "A run"
        raise wrong_use(
            f"{what} has its own devices and parameters: --tag, --device, --set and --credential go with --kind."
        )
    if given[0] in _DIRECTIONS and (options["wait"] or options["results"] or options["timeout"] is not None):
        raise wrong_use(f"--{given[0]} only says so to the run: --wait, --results and --timeout do not go with it.")
    if options["results"] and not options["wait"]:
        raise wrong_use("--results goes with --wait: there are no results before the end.")
    if options["timeout"] is not None and not options["wait"]:
        raise wrong_use("--timeout goes with --wait.")
    if options["timeout"] is not None and not options["timeout"] > 0:
        raise wrong_use("--timeout is a number of seconds above 0.")


def _start(options: dict[str, Any]) -> Run:
    if options["name"]:
        job = by_name(Job.objects.all(), options["name"], "job")
        return start_run(job, trigger=Trigger.COMMAND)
    if options["retry"] is not None:
        return retry_failed(_run(options["retry"]), trigger=Trigger.COMMAND)
    return start_adhoc(
        options["kind"],
        tags=options["tag"],
        devices=enabled_devices(options["device"]),
        parameters=dict(_parameters(options)),
        trigger=Trigger.COMMAND,
    )


def _run(number: int) -> Run:
    found = Run.objects.filter(pk=number).first()
    if found is None:
        raise wrong_use(f"There is no run {number}.")
    return found


def _parameters(options: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """What --set and --credential give; a parameter of lines takes each --set as one more."""
    kind = KINDS.get(options["kind"])
    of_lines = {each.name for each in kind.parameters if each.type == "lines"} if kind else set()
    given: dict[str, list[str]] = {}
    for word in options["parameters"]:
        name, separator, value = word.partition("=")
        if not separator or not name.strip():
            raise wrong_use(f"--set takes NAME=VALUE, not {word!r}.")
        given.setdefault(name.strip(), []).append(value)
    if options["credential"]:
        given.setdefault("credential", []).append(options["credential"])
    for name, values in given.items():
        if name in of_lines:
            yield name, [line for value in values for line in value.splitlines()]
        elif len(values) > 1:
            raise wrong_use(f"{name} is given more than once.")
        else:
            yield name, values[0]


def enabled_devices(names: list[str]) -> list[Device]:
    """The devices of these names; a CommandError where one is unknown or disabled."""
    devices = [by_name(Device.objects.all(), name, "device") for name in names]
    if disabled := [device.name for device in devices if not device.enabled]:
        raise wrong_use(f"{disabled[0]} is disabled, and left alone by every job: enable it, or leave it out.")
    return devices
