"""`manage.py run_job`: start a job, or a kind of job on chosen devices, and wait for it if asked to."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandParser

from credentials.management.output import FAILED, ReportingCommand, by_name, words_of, wrong_use
from devices.connector.outcomes import Outcome, info
from devices.models import Device
from jobs.choices import Trigger
from jobs.kinds import KINDS
from jobs.management import following
from jobs.models import Job, Run
from jobs.services import Progress, progress, start_adhoc, start_run

_MOST_SHOWN = 20


class Command(ReportingCommand):
    """Start a run; it is the workers of `up` that do it."""

    help = (
        "Start a stored job by its name, or a kind of job on devices chosen by tag and name (without either: "
        "on every enabled device)."
    )
    epilog = (
        "examples:\n"
        "  ./manage.py run_job 'Nightly backup' --wait\n"
        "  ./manage.py run_job --kind backup --tag core --tag edge --wait --json --results\n\n"
        f"kinds: {', '.join(sorted(KINDS))}\n\n"
        "exit codes: 0 every device succeeded (without --wait: the run was started); 1 some failed, there was\n"
        "no device, the run was cancelled, or --timeout is over; 2 wrong use; 130 Ctrl-C, the run goes on."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """What to run, and how to report."""
        parser.add_argument("name", metavar="NAME", nargs="?", help="a stored job")
        parser.add_argument("--kind", metavar="KIND", help="a kind of job, in place of a stored one")
        parser.add_argument(
            "--tag", action="append", default=[], metavar="T", help="devices with this tag; may be repeated"
        )
        parser.add_argument(
            "--device", action="append", default=[], metavar="D", help="and this device; may be repeated"
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
        try:
            run = _start(options)
        except ValidationError as error:
            raise wrong_use(words_of(error)) from None
        if not options["wait"]:
            self._started(run, options)
            return
        if not options["json"]:
            self.stdout.write(f"Run {run.pk} started: {following.devices(run.device_count)}.")
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

    def _started(self, run: Run, options: dict[str, Any]) -> None:
        seen = progress(run.pk)
        if options["json"]:
            self.print_json(following.as_json(run, seen))
        elif not seen.is_finished:
            self.stdout.write(f"Run {run.pk} started: {following.devices(run.device_count)}.")
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


def _check_use(options: dict[str, Any]) -> None:
    if bool(options["name"]) == bool(options["kind"]):
        raise wrong_use("Give the name of a job, or --kind.")
    if options["name"] and (options["tag"] or options["device"] or options["credential"]):
        raise wrong_use(
            f"The job {options['name']} has its own devices and parameters: "
            "--tag, --device and --credential go with --kind."
        )
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
    return start_adhoc(
        options["kind"],
        tags=options["tag"],
        devices=enabled_devices(options["device"]),
        parameters={"credential": options["credential"]} if options["credential"] else None,
        trigger=Trigger.COMMAND,
    )


def enabled_devices(names: list[str]) -> list[Device]:
    """The devices of these names; a CommandError where one is unknown or disabled."""
    devices = [by_name(Device.objects.all(), name, "device") for name in names]
    if disabled := [device.name for device in devices if not device.enabled]:
        raise wrong_use(f"{disabled[0]} is disabled, and left alone by every job: enable it, or leave it out.")
    return devices
