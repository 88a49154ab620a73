"""Lines of the log that nobody else can write: a message is one line, whatever stands in it."""

from __future__ import annotations

import logging
import re
from typing import Any, Final

# Line ends of every kind, control and escape characters, and what turns the direction of text.
_UNSAFE: Final = re.compile(
    r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)
_INDENT: Final = "    "


def one_line(text: str) -> str:
    """The text with such characters written as escapes."""
    return _UNSAFE.sub(lambda found: repr(found[0])[1:-1], text)


class OneLine(logging.Formatter):
    """A line a message; a traceback follows indented, so that none of its lines looks like a message."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name of the base class
        """The line."""
        return one_line(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name of the base class
        """The traceback, indented."""
        return _indented(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802 - the name of the base class
        """The stack, indented."""
        return _indented(super().formatStack(stack_info))


def _indented(text: str) -> str:
    return "\n".join(_INDENT + one_line(line) for line in text.split("\n"))
