"""Single cells: lists of tags, switches, ports."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterable
from typing import Final

from credentials.spreadsheet import guarded, unguarded

MAX_TAG: Final = 100
"""Characters in the name of a tag."""
_TRUE: Final = frozenset({"yes", "true", "1", "on", "y"})
_FALSE: Final = frozenset({"no", "false", "0", "off", "n"})
# Two joiners that words of some languages cannot do without; the other invisible characters are accidents.
_JOINERS: Final = "\u200c\u200d"
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def join_tags(tags: Iterable[str]) -> str:
    """Tags as one cell, in alphabetical order; a tag with a semicolon in it stands in quotation marks."""
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=";", lineterminator="").writerow(
        [guarded(tag) for tag in sorted(tags, key=lambda tag: (tag.casefold(), tag))]
    )
    return buffer.getvalue()


def split_tags(cell: str) -> list[str]:
    """The tags of a cell, stripped, each once whatever its case; ValueError for an open quotation mark."""
    parts = cell.split(";")
    if '"' in cell:
        try:
            parts = next(csv.reader([cell], delimiter=";", skipinitialspace=True, strict=True))
        except csv.Error as error:
            raise ValueError(f"the quotation marks in {cell!r:.60} do not match") from error
    tags: dict[str, str] = {}
    for part in parts:
        tag = unguarded(part.strip()).strip()
        if tag:
            tags.setdefault(tag.casefold(), tag)
    return list(tags.values())


def invisible_character(text: str) -> str:
    """What the first control, direction or other invisible character is called; empty where there is none."""
    if text.isprintable():
        return ""
    for character in text:
        if unicodedata.category(character) in _INVISIBLE and character not in _JOINERS:
            if character in "\r\n":
                return "a line break"
            if character == "\x00":
                return "a NUL byte"
            return f"the invisible character U+{ord(character):04X}"
    return ""


def parse_switch(cell: str) -> bool | None:
    """Yes or no; None for anything else."""
    word = cell.lower()
    return True if word in _TRUE else False if word in _FALSE else None


def parse_port(cell: str) -> int | None:
    """A TCP port; None for anything that is no whole number from 1 to 65535."""
    if not (cell.isascii() and cell.isdigit() and len(cell.lstrip("0")) <= 5):
        return None
    port = int(cell)
    return port if 1 <= port <= 65535 else None
