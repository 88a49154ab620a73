"""Running a management command inside a test, as from the command line."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TextIO
from unittest import mock

from django.core.management import CommandError, call_command


@dataclass
class Done:
    """Exit code, and everything that was printed."""

    code: int
    out: str
    err: str


def run(name: str, *arguments: str, stdin: bytes | TextIO = b"") -> Done:
    """Run a command with its arguments; `stdin` is what stands on standard input, or a terminal."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    stream = io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8") if isinstance(stdin, bytes) else stdin
    with mock.patch("sys.stdin", stream):
        try:
            call_command(name, *arguments, stdout=out, stderr=err, no_color=True)
        except SystemExit as stop:
            code = int(stop.code or 0)
        except CommandError as error:
            code = error.returncode
            err.write(f"{error}\n")
    return Done(code, out.getvalue(), err.getvalue())
