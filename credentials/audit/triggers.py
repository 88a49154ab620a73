"""The database itself refuses to change the audit trail: triggers, put back after every migration.

They stop mistakes, stray statements and a login of the application that is not the owner of the table. Whoever owns
the table can drop them, which the chain and its anchors bring to light.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Final

from django.db import connection, transaction

from credentials.audit.models import AuditEvent
from credentials.audit.trail import record

TABLE: Final = AuditEvent._meta.db_table
_REFUSAL: Final = "The audit trail is append-only: rows leave it by audit_prune alone."
_FUNCTION: Final = f"{TABLE}_refuse"
_BODY: Final = f" BEGIN RAISE EXCEPTION '{_REFUSAL}'; END; "

# A REPLACE deletes rows on SQLite without any trigger being asked, hence the third one.
_SQLITE: Final = {
    f"{TABLE}_no_update": f"BEFORE UPDATE ON {TABLE} BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END",
    f"{TABLE}_no_delete": f"BEFORE DELETE ON {TABLE} BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END",
    f"{TABLE}_no_replace": (
        f"BEFORE INSERT ON {TABLE} WHEN EXISTS (SELECT 1 FROM {TABLE} WHERE id = NEW.id) "  # noqa: S608
        f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
    ),
}
_POSTGRES: Final = f"{TABLE}_append_only"


@transaction.atomic
def restore() -> list[str]:
    """Put the triggers where they are missing or changed, and note it in a trail that has begun; their names.

    SQLite rebuilds a table that a migration changes, and loses its triggers without a word.
    """
    if not exists():
        return []
    found = missing()
    if found:
        _run(create_statements())
        if AuditEvent.objects.exists():
            record("audit.triggers_restored", triggers=found)
    return found


def exists() -> bool:
    """Whether the table is there: before the first migration it is not."""
    return TABLE in connection.introspection.table_names()


def missing() -> list[str]:
    """Names of triggers that are not there, are switched off, or do something else. Raises django.db.Error."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s", [TABLE])
            there = dict(cursor.fetchall())
            return [name for name, body in _SQLITE.items() if there.get(name) != f"CREATE TRIGGER {name} {body}"]
        cursor.execute(
            "SELECT t.tgenabled, t.tgtype, p.prosrc FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid "
            "WHERE t.tgrelid = to_regclass(%s) AND t.tgname = %s AND NOT t.tgisinternal",
            [TABLE, _POSTGRES],
        )
        rows = cursor.fetchall()
    return [] if [_plain(row) for row in rows] == [("A", _BEFORE_ALL, _BODY)] else [_POSTGRES]


# pg_trigger.tgtype: before 2, delete 8, update 16, truncate 32; for each statement, since 1 (each row) is not set.
_BEFORE_ALL: Final = 2 + 8 + 16 + 32


def create_statements() -> list[str]:
    """What makes them, whatever is there now."""
    if connection.vendor == "sqlite":
        made = [f"CREATE TRIGGER {name} {body}" for name, body in _SQLITE.items()]
        return [*drop_statements(), *made]
    return [
        f"CREATE OR REPLACE FUNCTION {_FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS $${_BODY}$$",
        *drop_statements(),
        f"CREATE TRIGGER {_POSTGRES} BEFORE UPDATE OR DELETE OR TRUNCATE ON {TABLE} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {_FUNCTION}()",
        # Also for sessions that replay a replication, which skip triggers otherwise.
        f"ALTER TABLE {TABLE} ENABLE ALWAYS TRIGGER {_POSTGRES}",
    ]


def drop_statements() -> list[str]:
    """What takes them away."""
    if connection.vendor == "sqlite":
        return [f"DROP TRIGGER IF EXISTS {name}" for name in _SQLITE]
    return [f"DROP TRIGGER IF EXISTS {_POSTGRES} ON {TABLE}"]


@contextlib.contextmanager
def lifted() -> Iterator[None]:
    """Rows may be deleted in here, by this transaction alone; it ends with the triggers in place again."""
    if not connection.in_atomic_block:
        raise RuntimeError("Triggers are lifted inside a transaction, or not at all.")
    if connection.vendor == "sqlite":
        _run(drop_statements())
    else:
        _run([f"ALTER TABLE {TABLE} DISABLE TRIGGER {_POSTGRES}"])
    # After an error the transaction is rolled back, and the lifting with it.
    yield
    if connection.vendor == "sqlite":
        _run(create_statements())
    else:
        _run([f"ALTER TABLE {TABLE} ENABLE ALWAYS TRIGGER {_POSTGRES}"])


def _run(statements: list[str]) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def _plain(row: tuple[Any, ...]) -> tuple[str, int, str]:
    enabled, kind, source = row
    return (enabled.decode() if isinstance(enabled, bytes) else str(enabled), int(kind), str(source))
