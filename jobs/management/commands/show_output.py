"""`manage.py show_output`: what devices answered to the commands of a run."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.db.models import QuerySet

from credentials.management.output import ReportingCommand, failed, printable, wrong_use
from jobs.models import Run
from jobs.outputs import CommandOutput


class Command(ReportingCommand):
    """Print the answers that a run of the kind `command` has kept."""

    help = "Print what the devices of a run answered to its commands, secrets as placeholders."
    epilog = (
        "examples:\n"
        "  ./manage.py show_output 17\n"
        "  ./manage.py show_output 17 --device ams-core-01 --command 'show version' --json\n\n"
        "exit codes: 0 printed; 1 nothing is kept of that; 2 wrong use."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Of which run, which device, which command."""
        parser.add_argument("run", metavar="RUN", type=int, help="number of the run")
        parser.add_argument(
            "--device", action="append", default=[], metavar="D", help="this device alone; may be repeated"
        )
        parser.add_argument("--command", metavar="C", help="this command alone")
        parser.add_argument("--json", action="store_true", help="print a JSON list, with the rows of parsed answers")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print them by device, in the order of the commands."""
        run = Run.objects.filter(pk=options["run"]).first()
        if run is None:
            raise wrong_use(f"There is no run {options['run']}.")
        found = CommandOutput.objects.filter(result__run=run).select_related("result")
        if options["device"]:
            found = found.filter(result__device_name__in=options["device"])
        if options["command"]:
            found = found.filter(command=options["command"])
        found = found.order_by("result__device_name", "result", "number")
        if not found.exists():
            raise failed(
                f"Nothing is kept of that: run {run.pk} is a {run.kind}, and answers are kept for a while only."
            )
        if options["json"]:
            self.print_json([_as_json(output) for output in found.iterator(chunk_size=50)])
            return
        self._print(found)

    def _print(self, found: QuerySet[CommandOutput]) -> None:
        for output in found.iterator(chunk_size=50):
            self.stdout.write(self.style.HTTP_INFO(printable(f"=== {output.result.device_name}: {output.command}")))
            self.stdout.write(printable(output.text), ending="")
            if output.error:
                self.stdout.write(self.style.ERROR(printable(output.error)))


def _as_json(output: CommandOutput) -> dict[str, Any]:
    return {
        "device": output.result.device_name,
        "command": output.command,
        "error": output.error,
        "text": output.kept,
        "size": output.size,
        "is_cut": output.is_cut,
        "rows": output.rows,
    }
