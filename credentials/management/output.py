"""What the commands of every app share: exit codes, messages, tables, and how they find things by name."""

from __future__ import annotations

import difflib
import getpass
import json
import logging
import os
import sys
import textwrap
from argparse import RawDescriptionHelpFormatter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser, DjangoHelpFormatter
from django.db import DatabaseError, connection
from django.db.models import Model, QuerySet

from credentials import audit
from credentials.exceptions import CredentialsError
from credentials.readiness import serious_troubles

FAILED = 1
WRONG_USE = 2
INTERRUPTED = 130

_M = TypeVar("_M", bound=Model)


class _Formatter(DjangoHelpFormatter, RawDescriptionHelpFormatter):
    """Own options before Django's, and texts as they are typed."""


class ReportingCommand(BaseCommand):
    """A command that ends with a clear line and an exit code, whatever it is given and finds."""

    epilog = ""
    # What a developer of Django needs still works; the help is for people who run networks.
    suppressed_base_arguments = {"--version", "--verbosity", "--settings", "--pythonpath", "--traceback"}

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """The parser of Django's commands, with `epilog` kept as it is typed."""
        # "resolve" lets a command have a --version that is not Django's.
        kwargs = {"conflict_handler": "resolve", "formatter_class": _Formatter, **kwargs}
        parser = super().create_parser(prog_name, subcommand, epilog=self.epilog, **kwargs)
        parser.description = textwrap.fill(self.help, 100)
        return parser

    def check(self, *args: Any, **kwargs: Any) -> None:
        """Refuse to work on an instance that is not in order, as `up` would."""
        troubles = serious_troubles()
        if troubles:
            raise wrong_use("\n".join(f"{found.msg} {found.hint or ''}".rstrip() for found in troubles))

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run, and translate what goes wrong outside the command into one message."""
        _require_text(options)
        # What is done stands in the trail; the terminal is for the answer.
        logging.getLogger("netraven.audit").setLevel(logging.WARNING)
        try:
            with audit.acting(lambda: audit.Acting(operator(), "command")):
                return super().execute(*args, **options)
        except CredentialsError as error:
            raise wrong_use(str(error)) from error
        except DatabaseError as error:
            raise wrong_use(_database_words(error)) from error
        except BrokenPipeError:
            # Whoever read the output has seen enough. Nothing may be flushed into the closed pipe at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(FAILED)
        except KeyboardInterrupt:
            self.stderr.write("Interrupted.")
            sys.exit(INTERRUPTED)

    def print_json(self, value: Any) -> None:
        """Print one JSON value on standard output."""
        self.stdout.write(json.dumps(value, indent=2, ensure_ascii=False))

    def print_table(self, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print rows under headings; numbers stand at the right, nothing printed can move the cursor."""
        lines = list(rows)
        cells = [[_cell(value) for value in row] for row in lines]
        widths = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]
        right = [bool(lines) and all(_is_number(row[n]) for row in lines) for n in range(len(headings))]
        for row in ([*headings], *cells):
            padded = [
                cell.rjust(width) if to_right else cell.ljust(width)
                for cell, width, to_right in zip(row, widths, right, strict=True)
            ]
            self.stdout.write("  ".join(padded).rstrip())


def wrong_use(message: str) -> CommandError:
    """The error for a command that was called wrongly, or an instance that cannot serve it: exit code 2."""
    return CommandError(printable(message), returncode=WRONG_USE)


def failed(message: str) -> CommandError:
    """The error for something that was asked rightly and did not go well: exit code 1."""
    return CommandError(printable(message), returncode=FAILED)


def read_input(name: str, most: int) -> bytes:
    """The bytes of a file, or of standard input for `-`; one more than `most` shows that there are too many.

    CommandError with exit code 2 when it cannot be read.
    """
    if name == "-":
        return sys.stdin.buffer.read(most + 1)
    try:
        with Path(name).open("rb") as file:
            return file.read(most + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise wrong_use(f"{name} cannot be read: {reason}.") from None


def printable(text: str) -> str:
    """Text with its control and direction characters escaped, line ends aside."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def words_of(error: ValidationError) -> str:
    """A ValidationError as one line, each message with the option or field that it is about."""
    if not hasattr(error, "error_dict"):
        return " ".join(error.messages)
    found: list[str] = []
    for field, messages in error.message_dict.items():
        prefix = "" if field == "__all__" else f"{field.replace('_', ' ')}: "
        found.extend(f"{prefix}{message}" for message in messages)
    return " ".join(found)


def by_name(rows: QuerySet[_M], name: str, what: str) -> _M:
    """The row of that name, or a CommandError with exit code 2 that offers names like it."""
    found = rows.filter(name=name).first()
    if found is not None:
        return found
    names = list(rows.values_list("name", flat=True))
    folded = {other.casefold(): other for other in names}
    close = difflib.get_close_matches(name.casefold(), folded, n=3)
    hint = f" Did you mean {' or '.join(folded[other] for other in close)}?" if close else ""
    raise wrong_use(f"There is no {what} named {name!r}.{hint}")


def operator() -> str:
    """Who runs this command, for the record."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.1f}"
    return printable(str(value)).replace("\n", " ") if value is not None else ""


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _require_text(options: dict[str, Any]) -> None:
    for name, value in options.items():
        for text in value if isinstance(value, list | tuple) else [value]:
            if isinstance(text, str):
                try:
                    text.encode()
                except UnicodeEncodeError:
                    raise wrong_use(f"{name.replace('_', ' ')}: this is not valid UTF-8.") from None


def _database_words(error: DatabaseError) -> str:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    try:
        is_empty = "django_migrations" not in connection.introspection.table_names()
    except DatabaseError:
        is_empty = False
    if is_empty or "no such table" in reason or "does not exist" in reason:
        return f"The database is not prepared ({reason}): run ./manage.py setup."
    return f"The database refused ({reason}): nothing was written."
