"""Looks for secrets in what a portal leaves behind, also where they are packed or encoded."""

from __future__ import annotations

import base64
import binascii
import re
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{16,}={0,2}")
_DEPTH = 3


@dataclass(frozen=True)
class Hit:
    """A secret, and the place in which it stood."""

    where: str
    secret: str


def hits(where: str, data: bytes, secrets: Iterable[str]) -> list[Hit]:
    """The secrets that stand in some bytes: as they are, in base64 at any depth, compressed, or UTF-16."""
    wanted = {secret: secret.encode() for secret in secrets}
    found = set()
    for form in _forms(data, _DEPTH):
        found |= {secret for secret, raw in wanted.items() if raw in form}
    return [Hit(where, secret) for secret in sorted(found)]


def _forms(data: bytes, depth: int) -> Iterator[bytes]:
    yield data
    if b"\x00" in data:
        yield data.replace(b"\x00", b"")
    if not depth:
        return
    for unpacked in _unpacked(data):
        yield from _forms(unpacked, depth - 1)
    for match in _BASE64.finditer(data):
        run = match[0].rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
        # Where a run begins inside other text, the groups of four may begin at any of four places.
        for shift in range(4):
            part = run[shift:]
            part = part[: len(part) - (len(part) % 4 == 1)]
            try:
                decoded = base64.b64decode(part + b"=" * (-len(part) % 4))
            except binascii.Error:
                continue
            if len(decoded) >= 8:
                yield from _plain_forms(decoded, depth - 1)


def _plain_forms(data: bytes, depth: int) -> Iterator[bytes]:
    """What was decoded: itself, unpacked, and decoded once more when it is text of that kind."""
    yield data
    for unpacked in _unpacked(data):
        yield from _forms(unpacked, depth)
    if depth and _BASE64.fullmatch(data):
        yield from _forms(data, depth)


def _unpacked(data: bytes) -> Iterator[bytes]:
    if data[:1] in (b"\x78", b"\x1f"):
        try:
            yield zlib.decompressobj(wbits=47).decompress(data)
        except zlib.error:
            return


def database_hits(path: Path, secrets: Iterable[str]) -> list[Hit]:
    """The secrets in the file of a database, freed pages included, and in each of its cells."""
    wanted = list(secrets)
    found = []
    for file in sorted(path.parent.glob(f"{path.name}*")):
        found += hits(file.name, file.read_bytes(), wanted)
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as connection:
        # What a virtual table holds lies in ordinary tables beside it.
        real = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'"
        names = [row[0] for row in connection.execute(real)]
        for table in names:
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                for value in row:
                    if isinstance(value, str | bytes):
                        data = value.encode() if isinstance(value, str) else value
                        found += hits(f"table {table}", data, wanted)
    return found


def folder_hits(folder: Path, secrets: Iterable[str]) -> list[Hit]:
    """The secrets in every file below a folder."""
    wanted = list(secrets)
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return [hit for path in files for hit in hits(str(path.relative_to(folder)), path.read_bytes(), wanted)]
