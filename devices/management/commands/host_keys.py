"""`manage.py host_keys`: the approval queue for host keys, and pins from a known_hosts file."""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import Any

from django.core.management.base import CommandParser

from credentials.management.output import FAILED, ReportingCommand, by_name, failed, printable, read_input, wrong_use
from devices.choices import HostKeyState
from devices.host_keys import MAX_BYTES, Action, KnownHostsError, KnownHostsReport, import_known_hosts
from devices.models import Device, HostKey
from devices.services import StaleDecision, approve_host_key

_MOST_SHOWN = 20


class Command(ReportingCommand):
    """List, approve and import host keys."""

    help = (
        "Host keys of devices: list those that wait for a decision, approve one after comparing its "
        "fingerprint, or pin the keys of a known_hosts file."
    )
    epilog = (
        "exit codes: 0 done; 1 nothing waits, another key waits by now, or an import found conflicts;\n2 wrong use."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """One action each."""
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        listing = actions.add_parser("list", help="show host keys")
        listing.add_argument(
            "--state",
            choices=["pending", "pinned", "all"],
            default="pending",
            help="those that wait for approval (the default), the pinned ones, or all with the retired ones",
        )
        listing.add_argument("--json", action="store_true", help="report as a JSON list")
        approving = actions.add_parser("approve", help="pin the key that waits, and retire the one before it")
        approving.add_argument("device", metavar="DEVICE", help="name of the device")
        approving.add_argument("--fingerprint", metavar="F", help="only if this is the key that waits (SHA256:...)")
        approving.add_argument("--json", action="store_true", help="report as one JSON object")
        importing = actions.add_parser("import", help="pin the keys of a known_hosts file")
        importing.add_argument("file", metavar="FILE", help="a known_hosts file; - reads standard input")
        importing.add_argument("--dry-run", action="store_true", help="report what would be pinned; write nothing")
        importing.add_argument("--json", action="store_true", help="report as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do one of the three."""
        match options["action"]:
            case "list":
                self._list(options["state"], options["json"])
            case "approve":
                self._approve(options["device"], options["fingerprint"], options["json"])
            case "import":
                self._import(options["file"], options["dry_run"], options["json"])

    def _list(self, state: str, as_json: bool) -> None:
        keys = HostKey.objects.select_related("device", "decided_by").order_by("device__name", "key_type", "pk")
        if state != "all":
            keys = keys.filter(state=state)
        pinned: dict[int, list[HostKey]] = defaultdict(list)
        if state == "pending":
            for key in HostKey.objects.filter(state=HostKeyState.PINNED, device__in=keys.values("device")):
                pinned[key.device_id].append(key)
        if as_json:
            self.print_json([_as_json(key, pinned[key.device_id]) for key in keys])
            return
        found = list(keys)
        if not found:
            words = {"pending": "No host key waits for approval.", "pinned": "No host key is pinned."}
            self.stdout.write(words.get(state, "There are no host keys."))
            return
        last = "PINNED NOW" if state == "pending" else "STATE"
        self.print_table(
            ["DEVICE", "ADDRESS", "TYPE", "FINGERPRINT", "LAST SEEN", last],
            [
                [
                    key.device.name,
                    f"{key.device.host} port {key.device.port}",
                    key.key_type,
                    key.fingerprint,
                    f"{key.last_seen_at:%Y-%m-%d %H:%M} UTC",
                    (", ".join(old.fingerprint for old in pinned[key.device_id]) or "none")
                    if state == "pending"
                    else HostKeyState(key.state).label,
                ]
                for key in found
            ],
        )

    def _approve(self, name: str, fingerprint: str | None, as_json: bool) -> None:
        device = by_name(Device.objects.all(), name, "device")
        waiting = list(
            HostKey.objects.filter(device=device, state=HostKeyState.PENDING).order_by("-last_seen_at", "-pk")
        )
        shown = " and ".join(key.fingerprint for key in waiting)
        if not waiting:
            raise failed(f"No host key of {device.name} waits for approval.")
        if fingerprint is None and len(waiting) > 1:
            raise failed(
                f"{len(waiting)} host keys of {device.name} wait: {shown}. "
                "Compare them with the device and name the right one with --fingerprint."
            )
        chosen = next((key for key in waiting if fingerprint in (None, key.fingerprint)), None)
        if chosen is None:
            raise failed(f"The key that waits is {shown}, not {fingerprint}: look at the device again.")
        retired = list(
            HostKey.objects.filter(device=device, state=HostKeyState.PINNED).values_list("fingerprint", flat=True)
        )
        try:
            approve_host_key(chosen, None, fingerprint=chosen.fingerprint)
        except StaleDecision as error:
            raise failed(str(error)) from None
        chosen.refresh_from_db()
        if as_json:
            self.print_json({**_as_json(chosen, []), "retired": retired})
            return
        before = f" Retired: {', '.join(retired)}." if retired else ""
        self.stdout.write(printable(f"Pinned for {device.name}: {chosen.key_type} {chosen.fingerprint}.{before}"))

    def _import(self, name: str, dry_run: bool, as_json: bool) -> None:
        try:
            report = import_known_hosts(read_input(name, MAX_BYTES), None, dry_run=dry_run)
        except KnownHostsError as error:
            raise wrong_use(f"{name}: {error}") from None
        if as_json:
            self.print_json({"dry_run": dry_run, **_report_as_json(report)})
        else:
            self._tell(report, dry_run)
        if report.count(Action.CONFLICT):
            sys.exit(FAILED)

    def _tell(self, report: KnownHostsReport, dry_run: bool) -> None:
        rows = [key for key in report.keys if key.action != Action.UNCHANGED]
        if rows:
            self.print_table(
                ["LINE", "ACTION", "DEVICE", "TYPE", "FINGERPRINT", ""],
                [[key.line, key.action.value, key.device, key.key_type, key.fingerprint, key.detail] for key in rows],
            )
        for what, lines in (("no device has this address", report.unmatched), ("ignored", report.ignored)):
            for line in lines[:_MOST_SHOWN]:
                self.stdout.write(printable(f"Line {line.line}: {what}: {line.detail}"))
            if len(lines) > _MOST_SHOWN:
                self.stdout.write(f"... and {len(lines) - _MOST_SHOWN} more lines: {what}")
        pinned = "would be pinned" if dry_run else "pinned"
        self.stdout.write(
            f"{report.count(Action.PINNED)} {pinned}, {report.count(Action.UNCHANGED)} unchanged, "
            f"{report.count(Action.CONFLICT)} in conflict; {len(report.unmatched)} lines match no device, "
            f"{len(report.ignored)} lines were ignored."
        )


def _as_json(key: HostKey, pinned: list[HostKey]) -> dict[str, Any]:
    return {
        "device": key.device.name,
        "host": key.device.host,
        "port": key.device.port,
        "key_type": key.key_type,
        "fingerprint": key.fingerprint,
        "state": key.state,
        "first_seen": key.first_seen_at.isoformat(),
        "last_seen": key.last_seen_at.isoformat(),
        "pinned": [old.fingerprint for old in pinned],
    }


def _report_as_json(report: KnownHostsReport) -> dict[str, Any]:
    return {
        "pinned": report.count(Action.PINNED),
        "unchanged": report.count(Action.UNCHANGED),
        "conflicts": report.count(Action.CONFLICT),
        "keys": [
            {
                "line": key.line,
                "device": key.device,
                "key_type": key.key_type,
                "fingerprint": key.fingerprint,
                "action": key.action.value,
                "detail": key.detail,
            }
            for key in report.keys
        ],
        "unmatched": [{"line": line.line, "hosts": line.detail} for line in report.unmatched],
        "ignored": [{"line": line.line, "reason": line.detail} for line in report.ignored],
    }
