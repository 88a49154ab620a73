"""`manage.py export_devices [FILE]`: the inventory as CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from credentials import audit
from credentials.management.output import operator
from devices.inventory.columns import FORMULAS
from devices.inventory.exporter import export_lines
from devices.models import Device


class Command(BaseCommand):
    """Write every device as CSV; import_devices finds all of it unchanged."""

    help = f"Write all devices as CSV (UTF-8), in the columns that import_devices reads. {FORMULAS}"

    def add_arguments(self, parser: CommandParser) -> None:
        """FILE."""
        parser.add_argument(
            "file", metavar="FILE", nargs="?", default="-", help="where to write; standard output by default"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the file, or standard output."""
        name = options["file"]
        rows, where = Device.objects.count(), "" if name == "-" else name
        audit.record("devices.exported", actor=operator(), devices=rows, file=where)
        if name == "-":
            for line in export_lines():
                self.stdout.write(line, ending="")
            return
        # All of it is read before the file is touched: what is there already outlives a database error.
        lines = list(export_lines())
        try:
            with Path(name).open("w", encoding="utf-8", newline="") as file:
                file.writelines(lines)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise CommandError(f"{name} cannot be written: {reason}.", returncode=2) from error
        self.stderr.write(f"{len(lines) - 1} devices written to {name}.")
