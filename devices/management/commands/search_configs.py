"""`manage.py search_configs TERM`: which configurations have it, or lack it."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import CommandParser
from taggit.models import Tag

from credentials.management.output import FAILED, ReportingCommand, by_name, printable, wrong_use
from devices.configs.query import MOST_CONTEXT, BadQuery, Mode, Query
from devices.configs.search import Found, Hit, search

_PAGE = 200


class Command(ReportingCommand):
    """Print what was found in the manner of grep, with the device's name before each line."""

    help = (
        "Search the latest configuration of every device. Secrets are placeholders there, so they are never found. "
        "The index speeds this up; what it does not know yet is read."
    )
    epilog = (
        "examples:\n"
        "  ./manage.py search_configs 'ntp server' --tag core\n"
        "  ./manage.py search_configs --regex '^ ip helper-address 10\\.(1|2)\\.' --context 1\n"
        "  ./manage.py search_configs --not 'service password-encryption' --platform cisco_ios\n\n"
        "exit codes: 0 something was found; 1 nothing was found; 2 wrong use."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The term, how it is read, and where."""
        parser.add_argument("term", metavar="TERM", help="what to look for, as it stands in the configuration")
        how = parser.add_mutually_exclusive_group()
        how.add_argument("--regex", action="store_true", help="TERM is a regular expression; ^ and $ are ends of lines")
        how.add_argument("--words", action="store_true", help="TERM is words; each of them, as a whole word, anywhere")
        parser.add_argument("--case", action="store_true", help="upper and lower case differ")
        parser.add_argument("--not", dest="absent", action="store_true", help="list configurations that lack it")
        parser.add_argument("--tag", dest="tags", action="append", metavar="TAG", help="devices with any of these tags")
        parser.add_argument("--platform", default="", help="devices of this platform")
        parser.add_argument("--site", default="", help="devices at this site")
        parser.add_argument("--kind", default="", help="this kind of text, such as running (default: every kind)")
        parser.add_argument("--all-versions", action="store_true", help="search every version, not the latest alone")
        parser.add_argument("--context", type=int, default=0, metavar="N", help="lines around each that was found")
        parser.add_argument("--lines", type=int, default=20, metavar="N", help="lines a configuration at most")
        parser.add_argument("--list", dest="names", action="store_true", help="print the names of the devices alone")
        parser.add_argument("--json", action="store_true", help="report as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Search page by page until there is no more."""
        if not 0 <= options["context"] <= MOST_CONTEXT:
            raise wrong_use(f"--context: choose from 0 to {MOST_CONTEXT}.")
        if options["lines"] < 1:
            raise wrong_use("--lines: at least 1.")
        for tag in options["tags"] or ():
            by_name(Tag.objects.all(), tag, "tag")
        query = Query(
            term=options["term"],
            mode=Mode.REGEX if options["regex"] else Mode.WORDS if options["words"] else Mode.TEXT,
            case=options["case"],
            absent=options["absent"],
            tags=tuple(options["tags"] or ()),
            platform=options["platform"],
            site=options["site"],
            kind=options["kind"],
            every_version=options["all_versions"],
        )
        hits, last = self._all(query, options)
        if options["json"]:
            self.print_json(
                {
                    "count": len(hits),
                    "looked_at": last.looked_at,
                    "not_indexed": last.not_indexed,
                    "devices_without_configuration": last.without if query.absent else None,
                    "results": [_as_json(hit) for hit in hits],
                }
            )
        else:
            self._show(hits, options["names"] or query.absent, query.every_version)
            if query.absent and last.without:
                self.stderr.write(f"Of {last.without:,} devices no configuration is kept: they are not listed.")
        if not hits:
            if not options["json"]:
                self.stderr.write(f"Nothing was found in {last.looked_at:,} configurations.")
            sys.exit(FAILED)

    def _all(self, query: Query, options: dict[str, Any]) -> tuple[list[Hit], Found]:
        hits: list[Hit] = []
        after: int | None = None
        while True:
            try:
                found = search(
                    query,
                    after=after,
                    limit=_PAGE,
                    context=options["context"],
                    lines=1 if options["names"] else options["lines"],
                    limit_s=60.0,
                    count=False,
                )
            except BadQuery as error:
                raise wrong_use(str(error)) from error
            hits += found.hits
            if found.next is None:
                return hits, found
            after = found.next

    def _show(self, hits: list[Hit], names: bool, every_version: bool) -> None:
        for hit in hits:
            name = hit.version.device.name + (f" v{hit.version.number}" if every_version else "")
            if hit.version.kind != "running":
                name += f" {hit.version.kind}"
            if names:
                self.stdout.write(printable(name))
                continue
            for at, group in enumerate(hit.snippets.groups):
                if at:
                    self.stdout.write("--")
                for line in group:
                    sign = ":" if line.is_hit else "-"
                    self.stdout.write(printable(f"{name}{sign}{line.number}{sign}{line.text}"))
            if (more := hit.snippets.found - hit.snippets.shown) > 0:
                self.stdout.write(f"{printable(name)}: and {more} more lines")


def _as_json(hit: Hit) -> dict[str, Any]:
    version = hit.version
    return {
        "device": version.device.name,
        "kind": version.kind,
        "version": version.number,
        "lines_found": hit.snippets.found,
        "lines": [
            {"number": line.number, "text": line.text, "is_hit": line.is_hit}
            for group in hit.snippets.groups
            for line in group
        ],
    }
