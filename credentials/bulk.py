"""Many rows in few statements: for the places where a run reads and writes ten thousand times a night.

There the ORM would cost more than the database. Names come from the models, values are always parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from django.db import connection
from django.db.models import DateTimeField, Field, JSONField, Model

_Prepare = Callable[[Any], Any]


def select_in(
    model: type[Model],
    fields: Sequence[str],
    where: Mapping[str, Collection[Any]],
    *,
    extra: str = "",
    values: Sequence[Any] = (),
) -> list[tuple[Any, ...]]:
    """Plain columns of the rows whose fields are among the given values; as the driver returns them.

    `extra` is one more expression to select, with `values` for its parameters.
    """
    if not all(where.values()):
        return []
    columns = [name for name, _ in _columns(model, fields)] + ([extra] if extra else [])
    tests = [
        f"{name} IN ({', '.join(['%s'] * len(among))})"
        for (name, _), among in zip(_columns(model, list(where)), where.values(), strict=True)
    ]
    statement = f"SELECT {', '.join(columns)} FROM {_table(model)} WHERE {' AND '.join(tests)}"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(statement, [*values, *(value for among in where.values() for value in among)])
        return list(cursor.fetchall())


def insert_many(model: type[Model], fields: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Add rows, each given as the values of `fields`; the ids are the database's affair."""
    columns = _columns(model, fields)
    names = ", ".join(name for name, _ in columns)
    marks = ", ".join(["%s"] * len(columns))
    _execute(f"INSERT INTO {_table(model)} ({names}) VALUES ({marks})", [_prepared(columns, row) for row in rows])  # noqa: S608


def update_many(
    model: type[Model],
    rows: Iterable[tuple[int, Sequence[Any]]],
    fields: Sequence[str],
    *,
    add: Sequence[str] = (),
    where: Mapping[str, Any] | None = None,
) -> None:
    """Set `fields` of many rows of a model, each given as its id and the values in the same order.

    A field that is also in `add` is raised by its value. `where` names what a row must hold to be touched.
    The rows are locked in the order of their ids, so that two writers never wait for each other.
    """
    columns, tests = _columns(model, fields), _columns(model, list(where or {}))
    raised = {name for name, _ in _columns(model, add)}
    sets = ", ".join(f"{name} = {f'{name} + ' if name in raised else ''}%s" for name, _ in columns)
    only = "".join(f" AND {name} = %s" for name, _ in tests)
    fixed = _prepared(tests, list((where or {}).values()))
    prepared = [[*_prepared(columns, values), pk, *fixed] for pk, values in sorted(rows, key=lambda row: row[0])]
    _execute(f"UPDATE {_table(model)} SET {sets} WHERE id = %s{only}", prepared)  # noqa: S608


def _execute(statement: str, rows: list[list[Any]]) -> None:
    if rows:
        with connection.cursor() as cursor:
            cursor.executemany(statement, rows)


def _table(model: type[Model]) -> str:
    return connection.ops.quote_name(model._meta.db_table)


def _columns(model: type[Model], fields: Sequence[str]) -> list[tuple[str, _Prepare | None]]:
    """The quoted name of each field's column, and how its values are got ready if they need it."""
    found = {field.name: field for field in model._meta.concrete_fields}
    return [(connection.ops.quote_name(str(found[name].column)), _preparation(found[name])) for name in fields]


def _preparation(field: Field[Any, Any]) -> _Prepare | None:
    # Of the rest the values are what drivers take; asking each field for each value costs more than the write.
    if isinstance(field, DateTimeField):
        return connection.ops.adapt_datetimefield_value
    if isinstance(field, JSONField):
        return lambda value: field.get_db_prep_save(value, connection)
    return None


def _prepared(columns: Sequence[tuple[str, _Prepare | None]], values: Sequence[Any]) -> list[Any]:
    return [
        prepare(value) if prepare is not None and value is not None else value
        for (_, prepare), value in zip(columns, values, strict=True)
    ]
