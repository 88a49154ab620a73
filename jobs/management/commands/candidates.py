"""`manage.py candidates DEVICE`: which credentials would be tried, in which order, and why."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser

from credentials.management.output import FAILED, ReportingCommand, by_name, printable
from credentials.store import Candidate
from devices.choices import Transport
from devices.connector.outcomes import Outcome, info
from devices.models import Device
from jobs.services import candidates_for_device


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
        candidates = candidates_for_device(device)
        usable = [candidate for candidate in candidates if not candidate.skipped]
        advice = "" if usable else _advice(device, candidates)
        if options["json"]:
            self.print_json(
                {
                    "device": device.name,
                    "enabled": device.enabled,
                    "tags": sorted(device.tags.names()),
                    "advice": advice,
                    "candidates": _as_json(candidates),
                }
            )
        else:
            self._show(device, candidates)
            if advice:
                self.stderr.write(printable(f"Nothing would be tried on {device.name}. {advice}"))
        if not usable:
            sys.exit(FAILED)

    def _show(self, device: Device, candidates: list[Candidate]) -> None:
        if not device.enabled:
            self.stdout.write(f"{printable(device.name)} is disabled: no job logs in to it.")
        if not candidates:
            return
        rows = []
        order = 0
        for candidate in candidates:
            order += not candidate.skipped
            rows.append(
                [
                    "-" if candidate.skipped else f"{order}.",
                    candidate.name,
                    candidate.username or "(none)",
                    candidate.priority,
                    candidate.priority_from,
                    f"skipped: {candidate.skipped}" if candidate.skipped else candidate.reason,
                ]
            )
        self.print_table(["ORDER", "CREDENTIAL", "USER NAME", "PRIORITY", "FROM", "WHY"], rows)


def _as_json(candidates: list[Candidate]) -> list[dict[str, Any]]:
    found = []
    order = 0
    for candidate in candidates:
        order += not candidate.skipped
        values = asdict(candidate)
        found.append(
            {
                "order": None if candidate.skipped else order,
                "credential": candidate.name,
                "id": candidate.credential,
                **{
                    key: values[key]
                    for key in ("username", "scope", "priority", "priority_from", "reason", "kinds", "matched")
                },
                "fallback": candidate.is_fallback,
                "worked_last": candidate.is_preferred,
                "skipped": candidate.skipped or None,
            }
        )
    return found


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
