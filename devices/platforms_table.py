"""The table of platforms of this instance: the shipped one, the files of the team, the changes in the database.

Files are read once, when a process starts (children share what their parent read). Changes in the database are
looked for by `refresh`: web processes call it for requests, a worker before it begins with devices and at no
other time, so that the rules never change under a device.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db import Error as DatabaseFailure

from devices.connector import platforms
from devices.connector.platforms import PlatformTableError, Source, Table, read_source, read_table

logger = logging.getLogger(__name__)

_LOOK_EVERY_S: Final = 2.0
_IN_DATABASE: Final = "database, platform "

_Stamp = tuple[tuple[int, int, datetime], ...]

_files: tuple[Source, ...] | None = None
_stamp: _Stamp | None = None
_looked_at = float("-inf")
_lock = threading.Lock()


def file_paths() -> list[Path]:
    """The files that NETRAVEN_PLATFORMS names, of folders their *.toml by name; PlatformTableError for a wrong one."""
    found: list[Path] = []
    for each in settings.NETRAVEN_PLATFORMS:
        path = Path(each).expanduser()
        if path.is_dir():
            found += sorted(path.glob("*.toml"))
        elif path.exists():
            found.append(path)
        else:
            raise PlatformTableError(f"{path}: does not exist; NETRAVEN_PLATFORMS names it")
    return found


def read_files() -> tuple[Source, ...]:
    """The files of the team as they are now; raises PlatformTableError."""
    return tuple(read_source(path) for path in file_paths())


def files() -> tuple[Source, ...]:
    """The files of the team as this process, or the one that it was forked from, found them at its start."""
    global _files
    if _files is None:
        _files = read_files()
    return _files


def source_of(name: str, text: str) -> Source:
    """What complaints call a platform of the database."""
    return Source(_IN_DATABASE + name, text)


def is_in_database(source: str) -> bool:
    """Whether a source of that name is a row, and no file."""
    return source.startswith(_IN_DATABASE)


def rows() -> list[Source]:
    """What counts of the database; django.db.Error when it cannot be read."""
    from devices.platforms_overrides import PlatformOverride

    enabled = PlatformOverride.objects.filter(enabled=True).order_by("name")
    return [source_of(name, text) for name, text in enabled.values_list("name", "text")]


def build() -> Table:
    """The table when it is first needed. PlatformTableError when the files cannot be used.

    Rows that do not fit any more are all left out, and the log says so: `up` and `worker` do not start with them.
    """
    global _stamp
    of_files = files()
    try:
        _stamp, of_rows = _seen(), rows()
    except DatabaseFailure as error:
        logger.debug("platforms of the database: %s", error)  # not set up yet, or away
        return read_table(*of_files)
    return _with_rows(of_files, of_rows) or read_table(*of_files)


def require() -> None:
    """Raise PlatformTableError unless files and database make a table as they are now."""
    read_table(*read_files(), *rows())


def refresh(*, at_once: bool = False) -> None:
    """Take over what was changed in the database; asks it at most every two seconds, unless `at_once`."""
    global _stamp, _looked_at
    now = time.monotonic()
    if not at_once and now - _looked_at < _LOOK_EVERY_S:
        return
    with _lock:
        _looked_at = now
        platforms.table()  # the first look is that of `build`
        seen = _seen()
        if seen == _stamp:
            return
        found = _with_rows(files(), rows())
        _stamp = seen
        if found is not None:
            platforms.use(found)


def _with_rows(of_files: Sequence[Source], of_rows: Sequence[Source]) -> Table | None:
    try:
        return read_table(*of_files, *of_rows)
    except PlatformTableError as error:
        if not of_rows:
            raise
        logger.error("The platforms changed in the portal are left out, since they do not fit: %s", error)
        return None


def _seen() -> _Stamp:
    from devices.platforms_overrides import PlatformOverride

    return tuple(
        PlatformOverride.objects.filter(enabled=True).order_by("pk").values_list("pk", "revision", "changed_at")
    )
