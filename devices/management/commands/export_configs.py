"""`manage.py export_configs DIR`: the latest configurations as files, in a folder or in a git repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from taggit.models import Tag

from credentials.management.output import ReportingCommand, by_name, failed, operator, printable, wrong_use
from devices.configs.export.layout import DEFAULT, FIELDS
from devices.configs.export.service import MESSAGE, Report, Wish, check, export, remote_of_settings
from devices.configs.export.target import ExportError

_SHOWN = 20


class Command(ReportingCommand):
    """Write what has changed since the last export into the same folder."""

    help = (
        "Write the latest configuration of every device to a file of its own, with a placeholder for each secret. "
        "The next export into the same folder writes what has changed since; a device that is gone or renamed is "
        "gone or renamed there too."
    )
    epilog = (
        "examples:\n"
        "  ./manage.py export_configs /srv/configs\n"
        "  ./manage.py export_configs /srv/configs.git --git --bare --template '{name}' --tag core\n\n"
        "exit codes: 0 written, or nothing had changed; 1 not written, or committed and not pushed; 2 wrong use."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Where to, which devices, and how."""
        parser.add_argument("folder", metavar="DIR", help="a folder of the export's own; made when it is not there")
        parser.add_argument("--git", action="store_true", help="a git repository, with one commit an export")
        parser.add_argument("--bare", action="store_true", help="a new repository without work tree")
        parser.add_argument(
            "--push", action="store_true", help="push to the remote of the settings (NETRAVEN_GIT_REMOTE)"
        )
        parser.add_argument(
            "--template",
            default=DEFAULT,
            metavar="T",
            help=f"folders and name of a file, of {', '.join(f'{{{name}}}' for name in FIELDS)} (default: {DEFAULT})",
        )
        parser.add_argument("--tag", dest="tags", action="append", metavar="TAG", help="devices with any of these tags")
        parser.add_argument("--author", metavar="A", help="such as 'Network <net@example.net>'")
        parser.add_argument(
            "--message", default=MESSAGE, metavar="M", help="first line of the commit, of {count} and {devices}"
        )
        parser.add_argument("--full", action="store_true", help="compare every text, whatever is known of the last one")
        parser.add_argument("--json", action="store_true", help="report as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Export, and say what was written."""
        if not options["git"] and (given := [name for name in ("bare", "push", "author") if options[name]]):
            raise wrong_use(f"--{given[0]} needs --git.")
        for tag in options["tags"] or ():
            by_name(Tag.objects.all(), tag, "tag")
        remote = remote_of_settings() if options["push"] else None
        if options["push"] and remote is None:
            raise wrong_use("--push: NETRAVEN_GIT_REMOTE names no remote.")
        wish = Wish(
            folder=Path(options["folder"]).expanduser().resolve(),
            template=options["template"],
            tags=tuple(options["tags"] or ()),
            git=options["git"],
            bare=True if options["bare"] else None,
            remote=remote,
            author=options["author"] or settings.NETRAVEN_GIT_AUTHOR,
            message=options["message"],
            full=options["full"],
        )
        try:
            check(wish)
        except ExportError as error:
            raise wrong_use(str(error)) from error
        try:
            report = export(wish, actor=operator())
        except ExportError as error:
            raise failed(str(error)) from error
        if options["json"]:
            self.print_json(report.as_dict())
        else:
            self._show(report)

    def _show(self, report: Report) -> None:
        for word in ("changed", "new", "renamed", "removed"):
            names = getattr(report, word)
            for name in names[:_SHOWN]:
                self.stdout.write(printable(f"{word:8}{name}"))
            if len(names) > _SHOWN:
                self.stdout.write(f"{word:8}and {len(names) - _SHOWN:,} more")
        said = f"{report.files:,} files in {printable(report.folder)}"
        said += f", commit {report.commit[:12]}" if report.commit else "" if report.touched else ", nothing has changed"
        if report.pushed is not None:
            said += ", pushed" if report.pushed else ", nothing to push"
        self.stdout.write(f"{said}.")
        if report.foreign:
            self.stdout.write(f"{report.foreign:,} other files are there that no export wrote; they were left alone.")
