"""`manage.py candidates DEVICE`: which credentials would be tried, in which order, and why."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser

from credentials.management.output import FAILED, ReportingCommand, by_name, printable
from credentials.store import Candidate
from devices.choices import Transport
from devices.connector.outcomes import Outcome, info
from devices.models import Device
from jobs.explaining import Explained, Explanation, explain


class Command(ReportingCommand):
    """Answer from the database alone: nothing is connected to and no secret is opened."""

    help = (
        "Show which credentials would be tried on a device, in which order and why. "
        "Connects to nothing and opens no secret."
    )
    epilog = "exit codes: 0 there is one to try; 1 nothing would be tried; 2 wrong use."

    def add_arguments(self, parser: CommandParser) -> None:
        """The device."""
        parser.add_argument("device", metavar="DEVICE", help="name of the device")
        parser.add_argument("--json", action="store_true", help="report as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Report, and say by the exit code whether anything would be tried."""
        device = by_name(Device.objects.all(), options["device"], "device")
        found = explain(device)
        advice = "" if found.usable else _advice(device, [each.candidate for each in found.candidates])
        if options["json"]:
            self.print_json(
                {
                    "device": device.name,
                    "enabled": device.enabled,
                    "tags": sorted(device.tags.names()),
                    "blocked": found.blocked or None,
                    "advice": advice,
                    "candidates": [_as_json(each) for each in found.candidates],
                }
            )
        else:
            self._show(device, found)
            if advice:
                self.stderr.write(printable(f"Nothing would be tried on {device.name}. {advice}"))
        if not found.usable:
            sys.exit(FAILED)

    def _show(self, device: Device, found: Explanation) -> None:
        if found.blocked:
            self.stdout.write(printable(f"{device.name}: {found.blocked}"))
        if not found.candidates:
            return
        self.print_table(
            ["ORDER", "CREDENTIAL", "USER NAME", "PRIORITY", "FROM", "WHY"],
            [
                [
                    "-" if each.order is None else f"{each.order}.",
                    each.candidate.name,
                    each.candidate.username or "(none)",
                    each.candidate.priority,
                    each.candidate.priority_from,
                    _why(each),
                ]
                for each in found.candidates
            ],
        )
        if held := next((each for each in found.usable if each.held), None):
            self.stdout.write(
                printable(
                    f"{held.candidate.name}: {held.held} Until then no job goes further down this list. "
                    f"Correct the credential, then: ./manage.py release_credential {shlex.quote(held.candidate.name)}"
                )
            )


def _why(each: Explained) -> str:
    if each.order is None:
        return f"skipped: {each.candidate.skipped}"
    words = f"{each.candidate.reason}; held now" if each.held else each.candidate.reason
    return f"{words}. {each.candidate.enable_refused}" if each.candidate.enable_refused else words


def _as_json(each: Explained) -> dict[str, Any]:
    values = asdict(each.candidate)
    return {
        "order": each.order,
        "credential": each.candidate.name,
        "id": each.candidate.credential,
        **{
            key: values[key] for key in ("username", "scope", "priority", "priority_from", "reason", "kinds", "matched")
        },
        "fallback": each.candidate.is_fallback,
        "worked_last": each.candidate.is_preferred,
        "skipped": each.candidate.skipped or None,
        "enable_refused": each.candidate.enable_refused or None,
        "held": each.held or None,
        "held_until": each.held_until.isoformat() if each.held_until else None,
    }


def _advice(device: Device, candidates: list[Candidate]) -> str:
    if not candidates:
        tags = ", ".join(sorted(device.tags.names()))
        return f"{info(Outcome.NO_CREDENTIALS).advice} Its tags: {tags or 'none'}."
    if device.transport == Transport.TELNET and not any(candidate.allow_telnet for candidate in candidates):
        return "It is reached by telnet: allow telnet on the credential that is meant for it."
    return (
        "Every matching credential is skipped for the reason shown. Correct the credential, "
        "or let it be tried again with ./manage.py release_credential NAME."
    )
