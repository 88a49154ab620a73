"""`manage.py show_facts [DEVICE]`: what devices say about themselves, and which run an old version."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import CommandParser
from taggit.models import Tag

from credentials.management.output import FAILED, ReportingCommand, by_name, failed, wrong_use
from devices.facts import COMPARISONS, DeviceFacts
from devices.models import Device

_OPTIONS = {"older_than": "<", "newer_than": ">", "at_least": ">="}


class Command(ReportingCommand):
    """Print the facts of one device with their history, or those of all that match."""

    help = (
        "Print vendor, model, serial number, version and hostname as the devices say themselves; a job of the kind "
        "facts asks them."
    )
    epilog = (
        "examples:\n"
        "  ./manage.py show_facts ams-core-01\n"
        "  ./manage.py show_facts --platform cisco_nxos --older-than 9.3\n"
        "  ./manage.py show_facts --other-name --json\n\n"
        "exit codes: 0 printed; 1 nothing is known of that; 2 wrong use."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """One device, or which."""
        parser.add_argument("device", metavar="DEVICE", nargs="?", help="this device, with what it said before")
        parser.add_argument("--platform", help="devices of this platform")
        parser.add_argument("--tag", dest="tags", action="append", metavar="TAG", help="devices with any of these tags")
        parser.add_argument("--site", help="devices at this site")
        parser.add_argument("--vendor", help="of this vendor")
        parser.add_argument("--model", help="of this model")
        parser.add_argument("--serial", help="with this serial number")
        parser.add_argument("--older-than", metavar="V", help="with an older version: 9.2(4) and 7.0(3)I7 than 9.3")
        parser.add_argument("--newer-than", metavar="V", help="with a newer version")
        parser.add_argument("--at-least", metavar="V", help="with this version or a newer one")
        parser.add_argument("--other-name", action="store_true", help="that call themselves otherwise than here")
        parser.add_argument("--json", action="store_true", help="report as a JSON list")

    def handle(self, *args: Any, **options: Any) -> None:
        """Find them and print them."""
        rows = self._of_device(options["device"]) if options["device"] else self._matching(options)
        if options["json"]:
            self.print_json([_as_json(row) for row in rows])
        elif rows:
            self.print_table(
                ["DEVICE", "VENDOR", "MODEL", "SERIAL", "VERSION", "HOSTNAME", "FIRST SEEN", "LAST SEEN"],
                [
                    [
                        row.device.name,
                        row.vendor,
                        row.model,
                        row.serial,
                        row.version,
                        row.hostname + (" (not its name here)" if row.hostname_differs else ""),
                        f"{row.first_seen_at:%Y-%m-%d %H:%M} UTC",
                        f"{row.last_seen_at:%Y-%m-%d %H:%M} UTC",
                    ]
                    for row in rows
                ],
            )
        if not rows:
            if not options["json"]:
                self.stderr.write("No device that was asked for its facts is like that.")
            sys.exit(FAILED)

    def _of_device(self, name: str) -> list[DeviceFacts]:
        device = by_name(Device.objects.all(), name, "device")
        rows = list(DeviceFacts.objects.filter(device=device).select_related("device").order_by("-pk"))
        if not rows:
            raise failed(f"{name} was not asked yet: ./manage.py run_job --kind facts --device {name} --wait")
        return rows

    def _matching(self, options: dict[str, Any]) -> list[DeviceFacts]:
        devices = Device.objects.all()
        for tag in options["tags"] or ():
            by_name(Tag.objects.all(), tag, "tag")
        if options["tags"]:
            devices = devices.filter(pk__in=Device.objects.filter(tags__name__in=options["tags"]).values("pk"))
        devices = devices.filter(**{name: options[name] for name in ("platform", "site") if options[name]})
        wanted = {name: options[name] for name in ("vendor", "model", "serial") if options[name]}
        for option, sign in _OPTIONS.items():
            if options[option]:
                wanted[f"version__{COMPARISONS[sign]}"] = options[option]
        if options["other_name"]:
            wanted["hostname_differs"] = True
        try:
            rows = DeviceFacts.objects.current().matching(**wanted)
        except ValueError as error:
            raise wrong_use(str(error)) from error
        return list(rows.filter(device__in=devices.order_by()).select_related("device").order_by("device__name"))


def _as_json(row: DeviceFacts) -> dict[str, Any]:
    return {
        "device": row.device.name,
        "platform": row.device.platform,
        "vendor": row.vendor,
        "model": row.model,
        "serial": row.serial,
        "version": row.version,
        "hostname": row.hostname,
        "hostname_differs": row.hostname_differs,
        "uptime_s": row.uptime_s,
        "is_current": row.is_current,
        "first_seen": row.first_seen_at.isoformat(),
        "last_seen": row.last_seen_at.isoformat(),
    }
