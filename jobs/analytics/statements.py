"""The SQL that counts a batch of attempts into the roll-ups, in one form for SQLite and PostgreSQL.

Each statement takes `mark` and `end` and counts the attempts after `mark` up to `end`.
"""
# ruff: noqa: S608 - built from the names of our own tables and columns; what varies is bound

from __future__ import annotations

from typing import Any

from django.db import connection

from devices.connector.outcomes import Fate
from devices.models import Device, DeviceTag
from jobs.models import Attempt
from jobs.rollups import Dimension, LoginDay, LoginPair, LoginStep


def table(model: Any) -> str:
    """The quoted name of a model's table."""
    return connection.ops.quote_name(model._meta.db_table)


def statements() -> list[str]:
    """All that a batch needs, in the order in which they are executed."""
    return [
        _days(Dimension.ALL, "''", ""),
        _days(Dimension.PLATFORM, "d.platform", f"JOIN {table(Device)} d ON d.id = a.device_id"),
        _days(Dimension.SITE, "d.site", f"JOIN {table(Device)} d ON d.id = a.device_id"),
        _days(
            Dimension.TAG,
            "t.name",
            f"JOIN {table(DeviceTag)} l ON l.content_object_id = a.device_id "
            f"JOIN {table(DeviceTag._meta.get_field('tag').related_model)} t ON t.id = l.tag_id",
        ),
        _chains(),
        _first_openings(),
        _pairs(),
    ]


_RANGE = "a.id > %(mark)s AND a.id <= %(end)s"
_KNOWN = "a.device_id IS NOT NULL AND a.credential_id IS NOT NULL AND a.credential_version IS NOT NULL"


def _sum(condition: str) -> str:
    return f"SUM(CASE WHEN {condition} THEN 1 ELSE 0 END)"


_COUNTS = {
    "accepted": _sum(f"a.fate = '{Fate.ACCEPTED}'"),
    "rejected": _sum(f"a.fate = '{Fate.REJECTED}'"),
    "unanswered": _sum(f"a.fate = '{Fate.UNANSWERED}'"),
}
_OTHER = _sum(f"a.fate NOT IN ('{Fate.ACCEPTED}', '{Fate.REJECTED}', '{Fate.UNANSWERED}')")


def _days(dimension: Dimension, value: str, join: str) -> str:
    day = (
        "(a.started_at AT TIME ZONE 'UTC')::date"
        if connection.vendor == "postgresql"
        else "SUBSTR(a.started_at, 1, 10)"  # Django keeps times in UTC there, as text
    )
    days, counts = table(LoginDay), _COUNTS | {"other": _OTHER}
    return (
        f"INSERT INTO {days} (dimension, day, value, credential, is_test, {', '.join(counts)}) "
        f"SELECT '{dimension.value}', {day}, {value}, COALESCE(a.credential_id, 0), a.is_test, "
        f"{', '.join(counts.values())} FROM {table(Attempt)} a {join} "
        f"WHERE {_RANGE} GROUP BY 2, 3, 4, 5 "
        f"ON CONFLICT (dimension, day, value, credential, is_test) DO UPDATE SET "
        + ", ".join(f"{name} = {days}.{name} + EXCLUDED.{name}" for name in counts)
    )


def _pairs() -> str:
    pairs = table(LoginPair)
    times = {
        "accepted_at": f"MAX(CASE WHEN a.fate = '{Fate.ACCEPTED}' THEN a.started_at END)",
        "rejected_at": f"MAX(CASE WHEN a.fate = '{Fate.REJECTED}' THEN a.started_at END)",
        "first_rejected_at": f"MIN(CASE WHEN a.fate = '{Fate.REJECTED}' THEN a.started_at END)",
    }
    sums = [f"{name} = {pairs}.{name} + EXCLUDED.{name}" for name in _COUNTS]
    later = [
        f"{name} = CASE WHEN {pairs}.{name} IS NULL OR EXCLUDED.{name} {sign} {pairs}.{name} "
        f"THEN EXCLUDED.{name} ELSE {pairs}.{name} END"
        for name, sign in (("accepted_at", ">"), ("rejected_at", ">"), ("first_rejected_at", "<"))
    ]
    return (
        f"INSERT INTO {pairs} (device_id, credential_id, version, {', '.join(_COUNTS)}, {', '.join(times)}) "
        f"SELECT a.device_id, a.credential_id, a.credential_version, {', '.join(_COUNTS.values())}, "
        f"{', '.join(times.values())} FROM {table(Attempt)} a WHERE {_RANGE} AND {_KNOWN} GROUP BY 1, 2, 3 "
        f"ON CONFLICT (device_id, credential_id, version) DO UPDATE SET {', '.join(sums + later)}"
    )


def _steps(condition: str) -> str:
    order = connection.ops.quote_name("order")
    return (
        f"INSERT INTO {table(LoginStep)} (attempt, run, device_id, credential_id, version, {order}, fate, at) "
        f"SELECT a.id, a.run_id, a.device_id, a.credential_id, a.credential_version, a.{order}, a.fate, "
        f"a.started_at FROM {table(Attempt)} a WHERE {_RANGE} AND {_KNOWN} AND {condition} "
        f"ON CONFLICT (attempt) DO NOTHING"
    )


def _chains() -> str:
    order = connection.ops.quote_name("order")
    return _steps(f"NOT a.is_test AND (a.fate = '{Fate.REJECTED}' OR a.{order} > 1)")


def _first_openings() -> str:
    """The first login that a version of a credential opened a device with, unless `_chains` has one already."""
    return _steps(
        f"a.id IN (SELECT MIN(a.id) FROM {table(Attempt)} a WHERE {_RANGE} AND {_KNOWN} AND NOT a.is_test "
        f"AND a.fate = '{Fate.ACCEPTED}' GROUP BY a.device_id, a.credential_id, a.credential_version) "
        f"AND NOT EXISTS (SELECT 1 FROM {table(LoginStep)} s WHERE s.device_id = a.device_id "
        f"AND s.credential_id = a.credential_id AND s.version = a.credential_version "
        f"AND s.fate = '{Fate.ACCEPTED}')"
    )
