"""Texts of configurations in the portal: where a line stands, what is marked in it, and texts as files."""

from __future__ import annotations

import re
from html import escape
from typing import Final

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe

from devices.configs.diff import DiffLine
from devices.configs.query import SnippetLine

MOST_LINES: Final = 20_000
"""Lines that one page shows of a text."""
_FILE_NAME: Final = re.compile(r"[^A-Za-z0-9._-]+")


def line_url(version: int, line: int) -> str:
    """The address of a line of a version, which may be far down in a very long text."""
    part = f"?line={line}" if line > MOST_LINES else ""
    return f"{reverse('admin:devices_configversion_page', args=[version])}{part}#L{line}"


def window(line: str, count: int) -> int:
    """Where the part of a text of `count` lines begins that is shown, so that a line of a link is in it."""
    wanted = int(line) if line.isdecimal() and len(line) < 9 else 0
    return 0 if wanted <= MOST_LINES else max(0, min(wanted - MOST_LINES // 2, count - MOST_LINES))


def marked(line: DiffLine | SnippetLine) -> SafeString:
    """The text of a line with its changed words, or what was found, marked."""
    parts: list[str] = []
    at = 0
    for start, end in line.marks:
        parts.append(
            f"{escape(line.text[at:start], quote=False)}<mark>{escape(line.text[start:end], quote=False)}</mark>"
        )
        at = end
    parts.append(escape(line.text[at:], quote=False))
    return mark_safe("".join(parts))  # noqa: S308 - every part was escaped above


def attachment(text: str, name: str) -> HttpResponse:
    """A text as a file that no browser takes for a page."""
    name = _FILE_NAME.sub("_", name)
    return HttpResponse(
        text,
        content_type="text/plain; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"},
    )


def user_of(request: HttpRequest) -> User:
    """The signed-in user; the portal lets nobody else in."""
    assert isinstance(request.user, User)
    return request.user
