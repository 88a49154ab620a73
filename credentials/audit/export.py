"""The trail for other programs: JSON lines with all that is authenticated, or a table."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from credentials.audit.chain import STORED, instant
from credentials.audit.models import AuditEvent
from credentials.spreadsheet import guarded


def chosen(
    event: str | None = None, since: datetime | None = None, until: datetime | None = None
) -> QuerySet[AuditEvent]:
    """Rows of an event, and of a time."""
    rows = AuditEvent.objects.order_by("id")
    wanted: dict[str, Any] = {"event": event, "at__gte": since, "at__lt": until}
    return rows.filter(**{name: value for name, value in wanted.items() if value is not None})


def as_json_lines(rows: QuerySet[AuditEvent]) -> Iterator[str]:
    """One object a line, with the mac; `details` is the text that it was computed over."""
    for values in rows.values_list(*STORED).iterator(chunk_size=2000):
        yield json.dumps(dict(zip(STORED, [values[0], instant(values[1]), *values[2:]], strict=True))) + "\n"


def as_csv(rows: QuerySet[AuditEvent]) -> Iterator[str]:
    """A table with a heading; cells that a spreadsheet would compute begin with an apostrophe."""
    yield _line(STORED)
    for values in rows.values_list(*STORED).iterator(chunk_size=2000):
        yield _line([values[0], instant(values[1]), *values[2:]])


def _line(values: Any) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow([_harmless(value) for value in values])
    return text.getvalue()


def _harmless(value: Any) -> Any:
    return guarded(value) if isinstance(value, str) else "" if value is None else value
