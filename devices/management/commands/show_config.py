"""`manage.py show_config DEVICE`: a configuration as it was stored."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from credentials.management.output import ReportingCommand, by_name, failed, operator
from devices.configs.revealing import restore_file, reveal
from devices.configs.store import by_number, latest, version_text
from devices.connector.platforms import RUNNING
from devices.models import ConfigVersion, Device


class Command(ReportingCommand):
    """Print the last good configuration of a device, or an earlier one, with secrets as placeholders."""

    help = (
        "Print a device's configuration on standard output exactly as it is stored, with each secret as a "
        "placeholder unless asked otherwise: the last good version, or the one of a number."
    )
    epilog = "exit codes: 0 printed; 1 there is no such version; 2 wrong use."

    def add_arguments(self, parser: CommandParser) -> None:
        """The device and the number."""
        parser.add_argument("device", metavar="DEVICE", help="name of the device")
        parser.add_argument(
            "--text",
            default=RUNNING,
            metavar="KIND",
            help="this text of the device, such as startup or inventory (default: running)",
        )
        parser.add_argument(
            "--version", dest="number", type=int, metavar="N", help="this version (default: the last good one)"
        )
        secret = parser.add_mutually_exclusive_group()
        secret.add_argument("--reveal", action="store_true", help="with its secrets; this is recorded")
        secret.add_argument(
            "--for-restore",
            action="store_true",
            help="with its secrets, without the lines that only describe the dump; this is recorded",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object with the text and its times")

    def handle(self, *args: Any, **options: Any) -> None:
        """Find it and print it."""
        device = by_name(Device.objects.all(), options["device"], "device")
        number, kind = options["number"], options["text"]
        newest = latest(device.pk, kind)
        if newest is None:
            raise failed(_missing(device, kind))
        version = newest if number is None else by_number(device.pk, number, kind)
        if version is None:
            raise failed(f"{device.name} has no version {number}; {_known(device, kind)}.")
        text = self._text(version, options)
        if not options["json"]:
            self.stdout.write(text, ending="")
            return
        self.print_json(
            {
                "device": device.name,
                "kind": version.kind,
                "version": version.number,
                "is_latest": version.number == newest.number,
                "first_seen": version.first_seen_at.isoformat(),
                "last_seen": version.last_seen_at.isoformat(),
                "summary": version.summary,
                "text": text,
            }
        )

    @staticmethod
    def _text(version: ConfigVersion, options: dict[str, Any]) -> str:
        if options["reveal"]:
            return reveal(version, actor=operator())
        return restore_file(version, actor=operator()) if options["for_restore"] else version_text(version)


def _missing(device: Device, kind: str) -> str:
    what, job = "configuration", f"./manage.py run_job --kind backup --device {device.name} --wait"
    if kind != RUNNING:
        what, job = f"text {kind}", f"{job} --set texts={kind}"
    texts = ConfigVersion.objects.filter(device=device).order_by("kind").values_list("kind", flat=True).distinct()
    kept = f", only {', '.join(texts)}" if texts else ""
    return f"There is no {what} of {device.name} yet{kept}: {job}"


def _known(device: Device, kind: str) -> str:
    numbers = list(
        ConfigVersion.objects.filter(device=device, kind=kind).order_by("number").values_list("number", flat=True)
    )
    if len(numbers) == 1:
        return f"there is version {numbers[0]} alone"
    return f"there are {len(numbers)}, {numbers[0]} to {numbers[-1]}"
