"""The search index over configurations: an aid that may lag behind or be missing, and never decides what is true.

Only texts with placeholders enter it, and only those that are the latest of some device. What it does not know
yet is read by the search itself. Texts never change, so an entry is right for as long as it exists.

SQLite: a contentless FTS5 table of trigrams. PostgreSQL: `IndexedText.body` under a GIN index of pg_trgm.
"""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.models import Exists, Max, OuterRef, QuerySet

from devices.configs.query import fold
from devices.models import ConfigText, ConfigVersion
from devices.searches import IndexedText, IndexMark

logger = logging.getLogger(__name__)

BATCH: Final = 20
"""Texts in one transaction: about 50 ms of writing on SQLite, which has one writer at a time."""
_MOST_PAUSE_S: Final = 0.5
_MARK: Final = "latest"
_LOCK: Final = 7_204_113_900_001
_FTS: Final = "devices_configsearch"
_GIN: Final = "indexed_text_trigrams"


class Index(Protocol):
    """What knows which texts hold a piece of text. The pieces are folded, of at least three characters."""

    def add(self, bodies: dict[int, str]) -> None:
        """Take in texts by id."""

    def remove(self, bodies: dict[int, str]) -> None:
        """Forget texts that were added."""

    def find(self, pieces: Sequence[str]) -> set[int]:
        """The ids of the texts that hold all pieces; perhaps of some that are gone by now."""


class Fts5:
    """SQLite's full-text table. Contentless: the packed text is the only copy."""

    def add(self, bodies: dict[int, str]) -> None:
        """See Index."""
        with connection.cursor() as cursor:
            cursor.executemany(f"INSERT INTO {_FTS}(rowid, body) VALUES (%s, %s)", list(bodies.items()))  # noqa: S608
        IndexedText.objects.bulk_create([IndexedText(text_id=pk) for pk in bodies])

    def remove(self, bodies: dict[int, str]) -> None:
        """See Index."""
        with connection.cursor() as cursor:
            cursor.executemany(
                f"INSERT INTO {_FTS}({_FTS}, rowid, body) VALUES ('delete', %s, %s)",  # noqa: S608
                list(bodies.items()),
            )
        IndexedText.objects.filter(pk__in=bodies).delete()

    def find(self, pieces: Sequence[str]) -> set[int]:
        """See Index."""
        phrases = " AND ".join('"' + piece.replace('"', '""') + '"' for piece in pieces)
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT rowid FROM {_FTS} WHERE {_FTS} MATCH %s", [phrases])  # noqa: S608
            return {row[0] for row in cursor.fetchall()}


class Trigrams:
    """PostgreSQL's pg_trgm."""

    def add(self, bodies: dict[int, str]) -> None:
        """See Index."""
        IndexedText.objects.bulk_create([IndexedText(text_id=pk, body=body) for pk, body in bodies.items()])

    def remove(self, bodies: dict[int, str]) -> None:
        """See Index."""
        IndexedText.objects.filter(pk__in=bodies).delete()

    def find(self, pieces: Sequence[str]) -> set[int]:
        """See Index."""
        found = IndexedText.objects.all()
        for piece in pieces:
            found = found.filter(body__contains=piece)
        return set(found.values_list("pk", flat=True))


@dataclass(frozen=True)
class IndexState:
    """How far the index is. `notice` says what is missing when there can be none."""

    is_there: bool
    notice: str = ""
    known: int = 0
    waiting: int = 0


@dataclass(frozen=True)
class Step:
    """What a call of `index_latest` did: texts taken in, texts dropped, and whether nothing is left to do."""

    added: int = 0
    removed: int = 0
    is_complete: bool = True


def current() -> Index | None:
    """The index of this database, None where there is none."""
    return _index() if _exists(connection) else None


def _index() -> Index:
    return Trigrams() if connection.vendor == "postgresql" else Fts5()


def _exists(db: Any) -> bool:
    with db.cursor() as cursor:
        if db.vendor == "postgresql":
            cursor.execute("SELECT 1 FROM pg_indexes WHERE indexname = %s", [_GIN])
        elif db.vendor == "sqlite":
            cursor.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = %s", [_FTS])
        else:
            return False
        return cursor.fetchone() is not None


def prepare(db: Any = connection) -> str:
    """Make the index where it is missing; what stands in the way in words, or nothing."""
    if _exists(db):
        return ""
    try:
        with transaction.atomic(using=db.alias), db.cursor() as cursor:
            if db.vendor == "postgresql":
                cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
                table = db.ops.quote_name(IndexedText._meta.db_table)
                cursor.execute(f"CREATE INDEX {_GIN} ON {table} USING gin (body gin_trgm_ops)")
            elif db.vendor == "sqlite":
                # Folded by us, so that index and search agree on what upper and lower case are.
                cursor.execute(
                    f"CREATE VIRTUAL TABLE {_FTS} USING fts5("
                    "body, content='', columnsize=0, tokenize='trigram case_sensitive 1')"
                )
    except DatabaseError as error:
        logger.warning("there is no search index: %s", error)
        return missing(db)
    return ""


def missing(db: Any = connection) -> str:
    """What to do about an index that is missing, in words."""
    if db.vendor == "postgresql":
        return (
            "PostgreSQL's extension pg_trgm is not there or may not be used, so every search reads all texts. "
            "Have a database administrator run CREATE EXTENSION pg_trgm, then run ./manage.py index_configs."
        )
    return "This SQLite has no trigram index (it came with 3.34), so every search reads all texts."


def drop(db: Any = connection) -> None:
    """Take the index away."""
    with db.cursor() as cursor:
        if db.vendor == "postgresql":
            cursor.execute(f"DROP INDEX IF EXISTS {_GIN}")
        elif db.vendor == "sqlite":
            cursor.execute(f"DROP TABLE IF EXISTS {_FTS}")


# --- bringing it up to date ------------------------------------------------------------------------
def is_latest() -> Exists:
    """The condition that no later version of the same device and kind exists."""
    return ~Exists(  # type: ignore[return-value]
        ConfigVersion.objects.filter(device=OuterRef("device"), kind=OuterRef("kind"), number__gt=OuterRef("number"))
    )


def index_latest(limit_s: float = 1.0, rest: float = 3.0, may_go_on: Callable[[], bool] = lambda: True) -> Step:
    """Bring the index up to date for about `limit_s` seconds, while it may; two queries when there is nothing to do.

    After each batch the others get `rest` times as long a turn as it took: a run must not wait for the index.
    """
    until = time.monotonic() + limit_s
    try:
        newest = ConfigVersion.objects.aggregate(top=Max("pk"))["top"] or 0
        if IndexMark.objects.filter(name=_MARK, version=newest).exists():
            return Step()
        index = current()
        if index is None:
            return Step(is_complete=False)
        step = _catch_up(index, until, rest, may_go_on)
        if step.is_complete:
            IndexMark.objects.update_or_create(name=_MARK, defaults={"version": newest})
        return step
    except OperationalError as error:
        # Somebody else holds a lock for too long; the next call goes on.
        logger.warning("configurations are indexed later: %s", error)
        return Step(is_complete=False)


def state() -> IndexState:
    """How far the index is, over the latest texts of all devices."""
    if not _exists(connection):
        return IndexState(False, missing())
    return IndexState(True, "", IndexedText.objects.count(), _to_add().count())


def rebuild() -> None:
    """Empty the index; `index_latest` fills it anew."""
    with transaction.atomic():
        if connection.vendor == "sqlite":
            drop()
        IndexedText.objects.all().delete()
        IndexMark.objects.filter(name=_MARK).delete()
    prepare()


def forget(texts: Iterable[int]) -> None:
    """Drop texts from the index before they are deleted; inside the caller's transaction."""
    known = list(IndexedText.objects.filter(pk__in=list(texts)).values_list("pk", flat=True))
    index = current()
    for start in range(0, len(known), BATCH):
        part = known[start : start + BATCH]
        if index is None:
            IndexedText.objects.filter(pk__in=part).delete()
        else:
            index.remove(_bodies(part))


def _to_add() -> QuerySet[ConfigText]:
    latest = ConfigVersion.objects.filter(is_latest(), text=OuterRef("pk"))
    return ConfigText.objects.filter(Exists(latest), indexed__isnull=True)


def _to_remove() -> QuerySet[IndexedText]:
    return IndexedText.objects.exclude(Exists(ConfigVersion.objects.filter(is_latest(), text=OuterRef("pk"))))


def _catch_up(index: Index, until: float, rest: float, may_go_on: Callable[[], bool]) -> Step:
    added = removed = 0
    for adding, waiting in ((False, _to_remove()), (True, _to_add())):
        ids = list(waiting.order_by("pk").values_list("pk", flat=True))
        for start in range(0, len(ids), BATCH):
            began = time.monotonic()
            if began >= until or not may_go_on():
                return Step(added, removed, is_complete=False)
            count = _batch(index, ids[start : start + BATCH], adding)
            if count is None:
                return Step(added, removed, is_complete=False)
            added, removed = added + count * adding, removed + count * (not adding)
            if start + BATCH < len(ids):
                time.sleep(min((time.monotonic() - began) * rest, _MOST_PAUSE_S))
    return Step(added, removed)


def _batch(index: Index, ids: Sequence[int], adding: bool) -> int | None:
    """Take in or drop some texts; how many, or None when another process is at it."""
    bodies = _bodies(ids)
    with transaction.atomic():
        if not _alone():
            return None
        known = set(IndexedText.objects.filter(pk__in=bodies).values_list("pk", flat=True))
        there = set(ConfigText.objects.filter(pk__in=bodies).values_list("pk", flat=True)) if adding else known
        chosen = {pk: body for pk, body in bodies.items() if pk in there and (pk in known) != adding}
        if chosen:
            (index.add if adding else index.remove)(chosen)
    return len(chosen)


def _alone() -> bool:
    """Whether this transaction is the only one at the index: on SQLite it is the only writer anyway."""
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        return bool(cursor.fetchone()[0])


def _bodies(ids: Sequence[int]) -> dict[int, str]:
    packed = ConfigText.objects.filter(pk__in=ids).values_list("pk", "packed")
    return {pk: fold(zlib.decompress(data).decode("utf-8")) for pk, data in packed}
