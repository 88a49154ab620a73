"""Writing the audit trail: one row after the other, whoever writes, in batches where many come at once."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import date, datetime
from math import isfinite
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from credentials.audit.chain import COLUMNS, STORED, Chain
from credentials.audit.models import AuditEvent
from credentials.bulk import insert_many

if TYPE_CHECKING:
    from django.contrib.auth.models import User

logger = logging.getLogger("netraven.audit")

SYSTEM: Final = "system"
_LOCK: Final = 0x6E_72_61_75_64_69_74
_LONGEST: Final = 500
_MOST_DETAILS: Final = 20_000
_MOST_ITEMS: Final = 200
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True)
class Acting:
    """Who is at work in this thread, and where they came in: `web 192.0.2.7`, `command`."""

    actor: str = ""
    source: str = ""


@dataclass
class Entry:
    """A row of the trail; `id` and `mac` are known once it is written, and hold once that is committed."""

    event: str
    outcome: str = ""
    actor: str = ""
    source: str = ""
    subject: str = ""
    device: int | None = None
    device_name: str = ""
    credential: int | None = None
    credential_name: str = ""
    run: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    id: int = 0
    mac: str = ""
    row: UUID | None = None
    """Of an intent: whose secrets are to be opened. Not written; the ids are."""


_acting: ContextVar[Callable[[], Acting]] = ContextVar("netraven_acting")
_waiting: ContextVar[list[Entry] | None] = ContextVar("netraven_audit_waiting", default=None)


@contextlib.contextmanager
def acting(who: Callable[[], Acting]) -> Iterator[None]:
    """Within, `record` knows who is at work without being told. `who` is asked only when something is recorded."""
    token = _acting.set(who)
    try:
        yield
    finally:
        _acting.reset(token)


def record(
    event: str,
    *,
    user: User | None = None,
    actor: str = "",
    outcome: str = "",
    subject: str = "",
    device: Any = None,
    credential: Any = None,
    run: Any = None,
    **details: Any,
) -> Entry:
    """Note that something was done: `config.revealed`, by a user or another actor, with ids, names and numbers.

    Call it in the transaction of what was done, and last: on PostgreSQL everybody else who records waits from here
    to the end of that transaction. Without user and actor it is whoever is at work (`acting`), or the system.
    `device`, `credential` and `run` are ids, or rows, whose names are kept as well. Never pass a secret or a text
    of a device: what is no text, number, date or list of these is refused with a TypeError.
    """
    entry = Entry(event, outcome, user.get_username() if user is not None else actor, subject=subject)
    entry.device, entry.device_name = _named(device, details, "device_name")
    entry.credential, entry.credential_name = _named(credential, details, "credential_name")
    entry.run = _named(run, details, "")[0]
    # Many callers say `name`, which is the device's where there is one, and otherwise what it is about.
    if name := details.pop("name", ""):
        if device is not None and not entry.device_name:
            entry.device_name = name
        else:
            entry.subject = entry.subject or name
    entry.details = details
    append([entry])
    line = {name: value for name in COLUMNS[3:-1] if (value := getattr(entry, name))}
    logger.info("%s %s %s", entry.event, entry.outcome, json.dumps({**line, **entry.details}, ensure_ascii=True))
    return entry


def append(entries: Sequence[Entry]) -> None:
    """Write rows, in this order; within `collected` they are written at its end. Raises django.db.Error."""
    for entry in entries:
        _clean(entry)
    waiting = _waiting.get()
    if waiting is not None:
        waiting.extend(entries)
    elif entries:
        with transaction.atomic(savepoint=False):
            _write(entries)


@contextlib.contextmanager
def collected() -> Iterator[None]:
    """Rows of everything in here are written together at its end; inside the transaction of what is done."""
    if _waiting.get() is not None:
        yield
        return
    waiting: list[Entry] = []
    token = _waiting.set(waiting)
    try:
        yield
    finally:
        _waiting.reset(token)
    append(waiting)


def lock() -> None:
    """Until this transaction ends nobody else writes to the trail.

    SQLite's transactions are IMMEDIATE, so whoever is in one is the only writer already.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def head() -> tuple[int, str]:
    """Number and mac of the last row; 0 and the chain's beginning where there is none."""
    found = AuditEvent.objects.order_by("-id").values_list("id", "mac").first()
    return found or (0, Chain().beginning)


def _write(entries: Sequence[Entry]) -> None:
    lock()
    chain, now = Chain(), timezone.now()
    number, before = head()
    rows = []
    for entry in entries:
        number += 1
        values = [number, now, *(getattr(entry, name) for name in COLUMNS[2:-1]), _as_text(entry.details)]
        before = chain.mac(values, before)
        entry.id, entry.mac = number, before
        rows.append([*values, before])
    insert_many(AuditEvent, STORED, rows)


# --- what may stand in a row ------------------------------------------------------------------------------


def _clean(entry: Entry) -> None:
    if not entry.actor or not entry.source:
        who = _who()
        entry.actor, entry.source = entry.actor or who.actor or SYSTEM, entry.source or who.source
    for name, most in AuditEvent.LENGTHS.items():
        if text := getattr(entry, name):
            setattr(entry, name, printable(str(text), most))
    entry.details = {printable(name, 60): _plain(value) for name, value in entry.details.items()}


def _who() -> Acting:
    ask = _acting.get(None)
    return ask() if ask is not None else Acting()


def printable(text: str, most: int = _LONGEST) -> str:
    """One line of at most `most` characters that no terminal, page or log reads as anything but text."""
    safe = text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:most])
    return safe if len(safe) <= most else safe[: most - 1] + "…"


def _plain(value: Any, depth: int = 0) -> Any:
    if isinstance(value, str):
        return printable(str(value))
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if isfinite(value) else str(value)
    if isinstance(value, datetime | date | UUID):
        return str(value)
    if depth < 3 and isinstance(value, Mapping):
        pairs = list(value.items())[:_MOST_ITEMS]
        return {printable(str(name), 60): _plain(each, depth + 1) for name, each in pairs}
    if depth < 3 and isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else list(value)
        shown = [_plain(each, depth + 1) for each in items[:_MOST_ITEMS]]
        return [*shown, f"… {len(items) - len(shown)} more"] if len(items) > len(shown) else shown
    raise TypeError(f"{type(value).__name__} does not belong in the audit trail: pass ids, names and numbers.")


def _as_text(details: Mapping[str, Any]) -> str:
    text = _ENCODER.encode(details)
    return text if len(text) <= _MOST_DETAILS else json.dumps({"cut": text[: _MOST_DETAILS // 2]}, ensure_ascii=False)


def _named(value: Any, details: dict[str, Any], key: str) -> tuple[int | None, str]:
    given = str(details.pop(key, "")) if key else ""
    if value is None or isinstance(value, int):
        return value, given
    return value.pk, given or str(value)
