"""`manage.py platforms`: what the table of platforms says, and whether a file of one's own fits it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandParser

from credentials.management.output import ReportingCommand, by_name, failed, operator, wrong_use
from devices import platforms_table
from devices.connector import platforms
from devices.connector.platform_trial import require_quick
from devices.connector.platforms import PlatformTableError, Table, UnknownPlatformError, read_source, read_table
from devices.platforms_described import RULES, STATES, Description, described, overview
from devices.platforms_overrides import PlatformOverride
from devices.platforms_services import devices_of, disable


class Command(ReportingCommand):
    """List, show and check platforms."""

    help = (
        "The platforms that devices can have: how each is read, judged and compared, with what is shipped, what the "
        "files of NETRAVEN_PLATFORMS say, and what was changed in the portal."
    )
    epilog = "exit codes: 0 done; 1 there is no such platform, or what was checked does not fit; 2 wrong use."
    # A file that does not fit is what `check` is to explain.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """One action each."""
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        listing = actions.add_parser("list", help="all platforms")
        listing.add_argument("--used", action="store_true", help="only those that devices have")
        listing.add_argument("--own", action="store_true", help="only those that were changed or added here")
        showing = actions.add_parser("show", help="all that counts for a platform, and where it comes from")
        showing.add_argument("name", metavar="NAME", help="such as cisco_ios")
        checking = actions.add_parser("check", help="whether the platforms of this instance, and files, fit")
        checking.add_argument("files", metavar="FILE", nargs="*", help="TOML files that are not in use yet")
        disabling = actions.add_parser("disable", help="leave out what the portal says of a platform")
        disabling.add_argument("name", metavar="NAME", help="such as cisco_ios")
        for each in (listing, showing, checking, disabling):
            each.add_argument("--json", action="store_true", help="report as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do one of them."""
        try:
            match options["action"]:
                case "list":
                    self._list(options)
                case "show":
                    self._show(options["name"], options["json"])
                case "check":
                    self._check(options["files"], options["json"])
                case "disable":
                    self._disable(options["name"], options["json"])
        except PlatformTableError as error:
            if options["json"]:
                self.print_json({"fits": False, "problem": str(error)})
            raise failed(f"{error}.") from None

    def _list(self, options: dict[str, Any]) -> None:
        lines = [
            each
            for each in overview(platforms.table(), devices_of())
            if (each.devices or not options["used"]) and (each.state != "shipped" or not options["own"])
        ]
        if options["json"]:
            self.print_json([asdict(each) for each in lines])
            return
        rows = [(each.name, each.vendor, ", ".join(each.texts), each.devices, each.state) for each in lines]
        self.print_table(["PLATFORM", "VENDOR", "TEXTS", "DEVICES", "STATE"], rows)

    def _show(self, name: str, as_json: bool) -> None:
        try:
            platforms.platform(name)
        except UnknownPlatformError as error:
            raise failed(f"{str(error)[:1].upper()}{str(error)[1:]}.") from None
        found = described(platforms.table(), name, devices_of([name]).get(name, 0))
        if as_json:
            self.print_json(asdict(found))
        else:
            self._print(found)

    def _print(self, found: Description) -> None:
        self.stdout.write(f"{found.name}: {found.label}. {STATES[found.state]}. {found.devices:,} devices.\n\n")
        rows = [
            (each.kind, each.command, each.end_marker, "yes" if each.default else "no", each.origin)
            for each in found.collects
        ]
        self.print_table(["TEXT", "COMMAND", "END", "BY DEFAULT", "FROM"], rows)
        self.stdout.write("\n")
        self.print_table(["SETTING", "VALUE", "FROM"], [(each.key, each.value, each.origin) for each in found.settings])
        for key, label in RULES.items():
            # The general rules hold for all platforms and would fill pages.
            own = [each for each in found.rules[key] if not each.origin.endswith(", general")]
            if own:
                self.stdout.write(f"\n{label}\n")
                self.print_table(["RULE", "FROM"], [(each.value, each.origin) for each in own])

    def _check(self, files: list[str], as_json: bool) -> None:
        sources = [*platforms_table.read_files(), *(read_source(Path(each)) for each in files)]
        table: Table = read_table(*sources, *platforms_table.rows())
        try:
            require_quick(table.own_patterns)
        except TimeoutError:
            raise failed("The patterns could not be tried in time.") from None
        states = [each.state for each in overview(table, {})]
        if as_json:
            numbers = {"platforms": len(states), "changed": states.count("changed"), "own": states.count("own")}
            self.print_json({"fits": True, "problem": None, "files": [each.name for each in sources], **numbers})
            return
        self.stdout.write(
            f"All fits: {len(states)} platforms, {states.count('changed')} changed and {states.count('own')} added "
            f"here; {len(sources)} files; {len(table.own_patterns)} patterns were tried for time."
        )

    def _disable(self, name: str, as_json: bool) -> None:
        row = by_name(PlatformOverride.objects.all(), name, "platform of the portal")
        try:
            disable(row, actor=operator())
        except ValidationError as error:
            raise wrong_use(" ".join(error.messages)) from None
        if as_json:
            self.print_json({"platform": name, "enabled": False})
        else:
            self.stdout.write(f"What the portal says of {name} does not count any more.")
