"""`manage.py kept_aside list|show|accept|discard`: answers that were no whole configuration, and the word on them."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from credentials.management.output import ReportingCommand, by_name, failed, operator, printable
from devices.asides import KeptAside
from devices.choices import AsideState
from devices.configs.asides import CannotDecide, accept, aside_text, can_be_accepted, decline, waiting
from devices.models import Device


class Command(ReportingCommand):
    """List what waits, look at it, decide on it."""

    help = (
        "What devices answered instead of a whole configuration. The last good version stays the latest until "
        "somebody accepts the answer, because so much was really deleted, or a whole one comes."
    )
    epilog = "exit codes: 0 done; 1 nothing waits for that device, or it cannot be accepted; 2 wrong use."

    def add_arguments(self, parser: CommandParser) -> None:
        """One action each."""
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        listing = actions.add_parser("list", help="show what waits for a decision")
        listing.add_argument("--all", action="store_true", help="also what was decided or overtaken")
        listing.add_argument("--json", action="store_true", help="report as a JSON list")
        for name, text in (
            ("show", "print the answer that waits, with secrets as placeholders"),
            ("accept", "make it the latest version: so much was deleted; this is recorded"),
            ("discard", "throw it away; this is recorded"),
        ):
            action = actions.add_parser(name, help=text)
            action.add_argument("device", metavar="DEVICE", help="name of the device")
            action.add_argument("--kind", default="running", metavar="K", help="kind of text (default: running)")
            action.add_argument("--json", action="store_true", help="report as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do one of the four."""
        if options["action"] == "list":
            self._list(options["all"], options["json"])
            return
        row = _waiting(options["device"], options["kind"])
        match options["action"]:
            case "show":
                self._show(row, options["json"])
            case "accept":
                self._accept(row, options["json"])
            case "discard":
                self._discard(row, options["json"])

    def _list(self, everything: bool, as_json: bool) -> None:
        found = KeptAside.objects.all() if everything else waiting()
        rows = list(found.select_related("device", "version").order_by("-last_seen_at", "-pk"))
        if as_json:
            self.print_json([_as_json(row) for row in rows])
        elif not rows:
            self.stdout.write("Nothing waits for a decision.")
        else:
            self.print_table(
                ["DEVICE", "TEXT", "WHY", "TIMES", "LAST SEEN", "STATE", "CAN BE ACCEPTED"],
                [
                    [
                        row.device.name,
                        row.kind,
                        row.reason,
                        row.times,
                        f"{row.last_seen_at:%Y-%m-%d %H:%M} UTC",
                        AsideState(row.state).label,
                        "yes" if can_be_accepted(row) else "no",
                    ]
                    for row in rows
                ],
            )

    def _show(self, row: KeptAside, as_json: bool) -> None:
        text = aside_text(row) or ""
        if as_json:
            self.print_json({**_as_json(row), "text": text})
            return
        self.stderr.write(printable(f"{row.reason}: {row.evidence}"))
        self.stdout.write(text, ending="")

    def _accept(self, row: KeptAside, as_json: bool) -> None:
        try:
            version = accept(row, None, operator())
        except CannotDecide as error:
            raise failed(str(error)) from error
        if as_json:
            self.print_json({"device": row.device.name, "kind": row.kind, "version": version.number})
        else:
            self.stdout.write(printable(f"v{version.number} is the latest version of {row.device.name}."))

    def _discard(self, row: KeptAside, as_json: bool) -> None:
        try:
            decline(row, None, operator())
        except CannotDecide as error:
            raise failed(str(error)) from error
        if as_json:
            self.print_json({"device": row.device.name, "kind": row.kind, "discarded": True})
        else:
            self.stdout.write("The answer was thrown away; the last good version stays the latest.")


def _waiting(name: str, kind: str) -> KeptAside:
    device = by_name(Device.objects.all(), name, "device")
    row = waiting().filter(device=device, kind=kind).select_related("device", "text", "version").first()
    if row is None:
        raise failed(f"No {kind} text of {name} waits for a decision: ./manage.py kept_aside list")
    return row


def _as_json(row: KeptAside) -> dict[str, Any]:
    return {
        "device": row.device.name,
        "kind": row.kind,
        "reason_code": row.reason_code,
        "reason": row.reason,
        "evidence": row.evidence,
        "state": row.state,
        "can_be_accepted": can_be_accepted(row),
        "times": row.times,
        "first_seen": row.first_seen_at.isoformat(),
        "last_seen": row.last_seen_at.isoformat(),
        "version": row.version.number if row.version else None,
    }
