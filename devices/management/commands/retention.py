"""`manage.py retention list|preview|prune`: how long versions of configurations are kept."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from credentials.management.output import ReportingCommand, operator
from devices.configs.pruning import Going, preview, prune_configs
from devices.configs.retaining import STEPS
from devices.retention import RetentionRule


class Command(ReportingCommand):
    """Show the rules, show what they would delete, delete it."""

    help = (
        "How long versions of configurations are kept: the rules, what they would delete now, and deleting it. The "
        "latest version of a device never goes, and without a rule nothing does."
    )
    epilog = "exit codes: 0 done; 2 wrong use."

    def add_arguments(self, parser: CommandParser) -> None:
        """One action each."""
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        for name, text in (
            ("list", "show the rules"),
            ("preview", "show by device what would be deleted now; nothing is"),
            ("prune", "delete the versions that no rule wants, and texts that no version has any more"),
        ):
            action = actions.add_parser(name, help=text)
            action.add_argument("--json", action="store_true", help="report as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do one of the three."""
        match options["action"]:
            case "list":
                self._list(options["json"])
            case "preview":
                self._preview(options["json"])
            case "prune":
                self._prune(options["json"])

    def _list(self, as_json: bool) -> None:
        rules = list(RetentionRule.objects.select_related("device", "tag"))
        if as_json:
            self.print_json([_as_json(rule) for rule in rules])
        elif not rules:
            self.stdout.write("There are no rules: every version is kept for ever.")
        else:
            self.print_table(
                ["FOR", "KEEP ALL", "ONE A DAY", "ONE A WEEK", "ONE A MONTH"],
                [[rule.scope, *(_days(days) for days in rule.steps)] for rule in rules],
            )

    def _preview(self, as_json: bool) -> None:
        rows = preview(timezone.now())
        if as_json:
            self.print_json([{**asdict(row), "until": row.until.isoformat()} for row in rows])
            return
        if rows:
            self.print_table(
                ["DEVICE", "TEXT", "WOULD GO", "OF", "LAST SEEN UNTIL"],
                [[row.device, row.kind, row.versions, row.of, f"{row.until:%Y-%m-%d %H:%M} UTC"] for row in rows],
            )
        self.stdout.write(_in_all(rows))

    def _prune(self, as_json: bool) -> None:
        deleted = prune_configs(timezone.now(), lambda _: False, actor=operator())
        if as_json:
            self.print_json(deleted)
        else:
            self.stdout.write(f"Deleted {deleted['versions']:,} versions and {deleted['texts']:,} texts.")


def _in_all(rows: list[Going]) -> str:
    if not rows:
        return "Nothing would be deleted."
    devices = len({row.device for row in rows})
    return f"In all {sum(row.versions for row in rows):,} versions of {devices:,} devices would be deleted."


def _days(days: int | None) -> str:
    return "for ever" if days is None else f"until {days} days"


def _as_json(rule: RetentionRule) -> dict[str, Any]:
    return {
        "device": rule.device.name if rule.device else None,
        "tag": rule.tag.name if rule.tag else None,
        **dict(zip(STEPS, rule.steps, strict=True)),
    }
