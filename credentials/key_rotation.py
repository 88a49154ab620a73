"""Key rotation: re-encrypt everything that is sealed under the active key, while everybody goes on working.

Values are read in batches by primary key, sealed anew in memory, and written back by one statement a batch that
changes a value only where it is still the one that was read. So it can be ended at any moment and begun again,
two can run at once, and a secret that somebody enters meanwhile is never overwritten.
"""
# ruff: noqa: S608 - built from the names of our own tables and columns; what varies is bound

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.db import connection, transaction

from credentials import keyring
from credentials.exceptions import CredentialsError
from credentials.fields import SealedColumn, sealed_fields

_BATCH: Final = {"text": 1_000, "binary": 100}
"""Values in one statement; configurations are a thousand times as long as passwords."""
_MOST_PASSES: Final = 10
_MOST_NAMED: Final = 20
Value = tuple[Any, Any]
"""Primary key, and the token as text or bytes."""


@dataclass(frozen=True)
class BadValue:
    """A sealed value that cannot be opened: where it stands and why, in words."""

    model: str
    field: str
    pk: Any
    reason: str

    def __str__(self) -> str:
        return f"{self.model} {self.pk} {self.field}: {self.reason}"


@dataclass
class Rotation:
    """How far a key rotation is."""

    active: str
    """Id of the key that everything goes to."""
    left: int
    """Values under another key when it began; more may come from processes that have not seen the new key yet."""
    done: int = 0
    bad: list[BadValue] = field(default_factory=list)
    is_complete: bool = False
    """Whether a last look found no value under another key."""


def rows_by_key() -> dict[str, int]:
    """How many sealed values there are under each key, by key id; under "" what is no sealed value at all."""
    counts: Counter[str] = Counter()
    for column in sealed_fields():
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {_key_of(column)}, COUNT(*) FROM {_table(column)} {_where(column)} GROUP BY 1")
            for key_id, count in cursor.fetchall():
                counts[_text(key_id)] += count
    return dict(sorted(counts.items()))


def rotate(checkpoint: Callable[[Rotation], bool] = lambda state: False) -> Rotation:
    """Re-encrypt what is not under the active key; returns how far it came.

    `checkpoint` is called after every batch and answers whether to stop. Values that cannot be opened are left
    as they are and named in `bad`. Raises a KeyringError when the keyring cannot be used.
    """
    ring = keyring.current()
    ring.refresh()
    began = time.monotonic()
    state = Rotation(ring.active_id, _left(ring.active_id))
    for _ in range(_MOST_PASSES):
        if _one_pass(ring, state, checkpoint):
            return state
        # Other processes may seal under the key before until they look at the keyring again.
        time.sleep(max(0.0, began + 2 * keyring.CHECK_INTERVAL_S - time.monotonic()))
        if ring.active_id != state.active:
            state = Rotation(ring.active_id, _left(ring.active_id), state.done)
        elif _left(state.active) <= len(state.bad):
            state.is_complete = not state.bad
            return state
    return state


def _one_pass(ring: keyring.Keyring, state: Rotation, checkpoint: Callable[[Rotation], bool]) -> bool:
    """Go through every column once; whether it was told to stop."""
    state.bad.clear()
    for column in sealed_fields():
        for batch in _batches(column, state.active):
            fresh = []
            for pk, token in batch:
                try:
                    fresh.append((pk, token, ring.rotate_token(token)))
                except CredentialsError as error:
                    state.bad.append(BadValue(column.model._meta.label, column.field, pk, str(error)))
            state.done += _replace(column, fresh)
            if checkpoint(state):
                return True
    return False


# --- statements -----------------------------------------------------------------------------------------------


def _batches(column: SealedColumn, active: str) -> Iterator[list[Value]]:
    """The values that are not under the active key, in the order of their primary keys; never a row twice."""
    pk = _pk(column)
    size = _BATCH[column.kind]
    last: Any = None
    while True:
        after = f"AND {pk} > %s" if last is not None else ""
        statement = (
            f"SELECT {pk}, {_value(column)} FROM {_table(column)} {_where(column)} AND {_is_other(column, active)} "
            f"{after} ORDER BY {pk} LIMIT {size}"
        )
        with connection.cursor() as cursor:
            cursor.execute(statement, [_start(column, active), *([last] if last is not None else [])])
            found = [(row[0], _plain(row[1])) for row in cursor.fetchall()]
        if found:
            yield found
        if len(found) < size:
            return
        last = found[-1][0]


def _replace(column: SealedColumn, values: Sequence[tuple[Any, Any, Any]]) -> int:
    """Write new values where the old ones still stand; how many rows changed."""
    if not values:
        return 0
    table, pk, name = _table(column), _pk(column), _value(column)
    rows = ", ".join(["(%s, %s, %s)"] * len(values))
    statement = (
        f"UPDATE {table} SET {name} = fresh.column3 FROM (VALUES {rows}) AS fresh "
        f"WHERE {table}.{pk} = fresh.column1 AND {table}.{name} = fresh.column2"
    )
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, [part for value in values for part in value])
        return int(cursor.rowcount)


def _left(active: str) -> int:
    total = 0
    for column in sealed_fields():
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT COUNT(*) FROM {_table(column)} {_where(column)} AND {_is_other(column, active)}",
                [_start(column, active)],
            )
            total += cursor.fetchone()[0]
    return total


def _table(column: SealedColumn) -> str:
    return _quoted(column.model._meta.db_table)


def _value(column: SealedColumn) -> str:
    return _quoted(getattr(column.model._meta.get_field(column.field), "column", None))


def _pk(column: SealedColumn) -> str:
    return _quoted(column.model._meta.pk.column)


def _where(column: SealedColumn) -> str:
    return f"WHERE {_value(column)} IS NOT NULL"


def _start(column: SealedColumn, active: str) -> str | bytes:
    start = f"nr1:{active}:"
    return start.encode("ascii") if column.kind == "binary" else start


def _is_other(column: SealedColumn, active: str) -> str:
    """A condition with one parameter, `_start`: sealed by another key than this one, or not at all."""
    return f"substr({_value(column)}, 1, {len(_start(column, active))}) <> %s"


def _key_of(column: SealedColumn) -> str:
    """The key id in the token `nr1:<key id>:...`, empty for what is none."""
    head = f"substr({_value(column)}, 1, 64)"
    if connection.vendor == "postgresql":
        text = f"encode({head}, 'escape')" if column.kind == "binary" else head
        return f"CASE WHEN {text} LIKE 'nr1:%:%' THEN split_part({text}, ':', 2) ELSE '' END"
    text = f"CAST({head} AS TEXT)"
    rest = f"substr({text}, 5)"
    return f"CASE WHEN {text} LIKE 'nr1:%:%' THEN substr({rest}, 1, instr({rest}, ':') - 1) ELSE '' END"


def _quoted(name: str | None) -> str:
    assert name is not None
    return connection.ops.quote_name(name)


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview | bytearray) else value


def _text(value: Any) -> str:
    return bytes(value).decode("ascii", "replace") if isinstance(value, bytes | memoryview) else str(value)
