"""`manage.py test_credential NAME`: log in with one credential and say what came of it."""

from __future__ import annotations

import random
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandParser
from taggit.models import Tag

from credentials.management.output import ReportingCommand, by_name, failed, words_of, wrong_use
from credentials.models import Credential
from devices.choices import Transport
from devices.connector.outcomes import info
from devices.models import Device
from jobs.choices import Trigger
from jobs.engine.plan import devices_of
from jobs.management import following
from jobs.management.commands.run_job import enabled_devices
from jobs.models import Run
from jobs.services import Progress, start_adhoc

_SAMPLE = 5


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
            f"(default: {_SAMPLE}, when no device and no tag is given)",
        )
        parser.add_argument(
            "--timeout", type=float, metavar="S", help="stop waiting after so many seconds; the test goes on"
        )
        parser.add_argument("--json", action="store_true", help="report as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Choose the devices, run, wait, report."""
        if options["sample"] is not None and options["sample"] < 1:
            raise wrong_use("--sample is a number of devices, at least 1.")
        if options["sample"] is not None and options["device"]:
            raise wrong_use("--sample chooses devices by chance and --device by name: give one of them.")
        if options["timeout"] is not None and not options["timeout"] > 0:
            raise wrong_use("--timeout is a number of seconds above 0.")
        credential = by_name(Credential.objects.all(), options["name"], "credential")
        if not credential.enabled:
            raise wrong_use(f"The credential {credential.name} is disabled: enable it before testing it.")
        run = self._start(credential, options)
        if not options["json"]:
            self.stdout.write(f"Run {run.pk} tests {credential.name} on {following.devices(run.device_count)}.")
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
        devices = enabled_devices(options["device"])
        tags = options["tag"]
        if options["sample"] is not None or not (devices or tags):
            devices = _sample(credential, tags, options["sample"] or _SAMPLE)
            if not devices:
                raise failed(
                    f"The credential {credential.name} matches no enabled device that it may be sent to: "
                    "name devices with --device, or give it a tag that they have."
                )
            tags = []
        try:
            return start_adhoc(
                "credential_test",
                tags=tags,
                devices=devices,
                parameters={"credential": credential.name},
                trigger=Trigger.COMMAND,
            )
        except ValidationError as error:
            raise wrong_use(words_of(error)) from None

    def _report(self, credential: Credential, run: Run, seen: Progress, as_json: bool) -> None:
        rows = following.logins_of(run)
        if as_json:
            self.print_json({"credential": credential.name, **following.as_json(run, seen), "results": rows})
            return
        following.summarise(self, run, seen)
        if rows:
            self.stdout.write("")
            self.print_table(
                ["DEVICE", "LOGIN", "ENABLE", "SECONDS", "OUTCOME", "DETAIL", "ADVICE"],
                [
                    [
                        row["device"],
                        _word(row["login"]),
                        _word(row["enable"]),
                        row["duration_s"],
                        info(row["outcome"]).label if row["outcome"] else "Not yet",
                        row["detail"],
                        row["advice"],
                    ]
                    for row in rows
                ],
            )


def _sample(credential: Credential, tags: list[str], size: int) -> list[Device]:
    """Devices by chance, of those with the tags, or else of those that the credential would be tried on."""
    if tags:
        found = devices_of([_tag(name) for name in tags], ())
    else:
        own = credential.tag_links.values_list("tag_id", flat=True)
        found = devices_of(own, (), all_devices=credential.is_fallback)
    if not credential.allow_telnet:
        found = found.exclude(transport=Transport.TELNET)
    ids = list(found.values_list("pk", flat=True))
    return list(Device.objects.filter(pk__in=random.sample(ids, min(size, len(ids)))))


def _tag(name: str) -> int:
    """The id of a tag, or a CommandError with exit code 2."""
    found = Tag.objects.filter(name__iexact=name.strip()).values_list("pk", flat=True).first()
    if found is None:
        raise wrong_use(f"There is no tag {name}.")
    return int(found)


def _word(value: bool | None) -> str:
    return "-" if value is None else "yes" if value else "no"
