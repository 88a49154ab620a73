"""Whether a database's error is trouble that passes, and what to tell people about it."""

from __future__ import annotations

import logging
import random
import sqlite3
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import Error, InterfaceError, OperationalError, connection

logger = logging.getLogger(__name__)

ERRORS = (OperationalError, InterfaceError)
"""What databases raise when they are in trouble; some also for a statement that can never be done."""

# SQLite: busy, locked, out of memory, cannot be read or written, full, cannot be opened.
_SQLITE = {5, 6, 7, 10, 13, 14}
_SQLITE_FULL = 13
# PostgreSQL, classes of SQLSTATE: connection, rollback, resources, not available, operator, system.
_POSTGRES = {"08", "40", "53", "55", "57", "58"}
_POSTGRES_FULL = "53100"

_T = TypeVar("_T")


def passes(error: Error) -> bool:
    """Whether the same statement may work out later; False when it is the statement's own fault."""
    cause = error.__cause__
    if isinstance(cause, sqlite3.Error):
        # The lowest byte is the kind, the others say more precisely what.
        return (getattr(cause, "sqlite_errorcode", 0) & 0xFF) in _SQLITE
    state = getattr(cause, "sqlstate", None)
    # Without a state the server was not there to give one.
    return isinstance(error, ERRORS) and (state is None or state[:2] in _POSTGRES)


def is_full(error: Error) -> bool:
    """Whether the database or its disk has no room left."""
    cause = error.__cause__
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    return code == _SQLITE_FULL or getattr(cause, "sqlstate", None) == _POSTGRES_FULL


def in_words(error: Error) -> str:
    """One sentence for the log and for people."""
    if is_full(error):
        return "The database is full: make room on its disk, and it goes on by itself."
    return f"The database cannot be written ({str(error).strip().splitlines()[0] if str(error) else error!r})."


def persist(work: Callable[[], _T], patience_s: float = 60.0) -> _T:
    """Do something outside a transaction, again while the database is in trouble, for so many seconds."""
    end, tries = time.monotonic() + patience_s, 0
    while True:
        try:
            return work()
        except ERRORS as error:
            if connection.in_atomic_block or not passes(error) or time.monotonic() > end:
                raise
            tries += 1
            if tries == 3:
                logger.warning("%s It is tried again.", in_words(error))
            connection.close_if_unusable_or_obsolete()
            time.sleep(min(0.1 * 2**tries, 2.0) * random.uniform(0.5, 1.0))
