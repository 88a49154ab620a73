"""Is the trail whole? Reads it from its beginning, or from its last checkpoint, and compares it with its anchors."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from django.db import OperationalError, connection
from django.utils import timezone

from credentials.audit.anchors import Anchor, Line
from credentials.audit.chain import STORED, Chain, Unreadable, same
from credentials.audit.models import AuditEvent
from credentials.audit.trail import printable

CHECKPOINT: Final = "audit.pruned"
LOSS: Final = "audit.loss_accepted"
VERIFIED: Final = "audit.verified"

_BLOCK: Final = 5_000
_MOST_COMPARED: Final = 100_000
_Row = tuple[Any, ...]


@dataclass(frozen=True)
class Trouble:
    """The first thing that is wrong: at which row, what, and in words."""

    row: int
    what: str
    """edited, missing, swapped, forged, truncated, rewritten, or anchor."""
    detail: str


@dataclass(frozen=True)
class Verdict:
    """What was found, and what was looked at."""

    is_whole: bool
    rows: int
    first: int
    last: int
    mac: str
    anchors: int
    """Anchors that were compared with their rows."""
    newest_anchor: str
    """When the newest of them was written; what was cut off after that would not show."""
    trouble: Trouble | None
    notes: tuple[str, ...]
    took_s: float
    at: str

    def as_json(self) -> dict[str, Any]:
        """For commands and the API."""
        return asdict(self)


class _Found(Exception):
    def __init__(self, row: int, what: str, detail: str) -> None:
        self.trouble = Trouble(row, what, detail)


def verify(lines: Iterable[Line] = (), *, progress: Callable[[int], None] | None = None) -> Verdict:
    """Read every row, and compare the chain with the anchors in these lines. Changes nothing."""
    return survey(lines, progress)[0]


def survey(lines: Iterable[Line], progress: Callable[[int], None] | None = None) -> tuple[Verdict, tuple[Anchor, ...]]:
    """As `verify`, and the anchors that fit no row, of a chain that is whole in itself."""
    began, at = time.monotonic(), timezone.now().isoformat(timespec="seconds")
    look = _Look(Chain(), list(lines), progress)
    trouble = None
    try:
        look.through()
    except _Found as found:
        trouble = found.trouble
    verdict = Verdict(
        trouble is None,
        look.rows,
        look.first,
        look.last,
        look.mac,
        look.compared,
        look.newest_anchor,
        trouble,
        tuple(look.notes),
        round(time.monotonic() - began, 3),
        at,
    )
    return verdict, tuple(look.unfitting)


class _Look:
    """One reading of the trail."""

    def __init__(self, chain: Chain, lines: Sequence[Line], progress: Callable[[int], None] | None) -> None:
        self._chain = chain
        self._progress = progress
        self._lines = lines
        self._anchors: dict[int, list[Anchor]] = {}
        for line in lines:
            if line.anchor is not None:
                self._anchors.setdefault(line.anchor.id, []).append(line.anchor)
        self._losses: list[Mapping[str, Any]] = []
        self._wrong_anchors: list[Anchor] = []
        self.unfitting: list[Anchor] = []
        self._is_explained = True
        self.rows = self.first = self.last = self.compared = 0
        self.newest_anchor = ""
        self.mac = chain.beginning
        self.notes: list[str] = []

    def through(self) -> None:
        """Raises _Found at the first trouble."""
        for row in _read():
            if self.rows == 0:
                self._begin(row)
            self._next(row)
            if self._progress is not None and self.rows % _BLOCK == 0:
                self._progress(self.rows)
        if not self._is_explained:
            raise _Found(
                1,
                "missing",
                f"Rows 1 to {self.first - 1} are gone, and no checkpoint of a retention accounts for them.",
            )
        self._compare_anchors()

    def _begin(self, row: _Row) -> None:
        self.first = _number(row)
        self.last = self.first - 1
        if self.first != 1:
            # The checkpoint comes later in the chain that begins here, so it proves itself when it is reached.
            before = _checkpoint_for(self.first - 1)
            self._is_explained = False
            if before is None:
                raise _Found(1, "missing", f"Rows 1 to {self.first - 1} are gone, and no checkpoint accounts for them.")
            self.mac = before
            self._anchor_at(self.first - 1, before)

    def _next(self, row: _Row) -> None:
        number = _number(row)
        if number != self.last + 1:
            detail = f"Rows {self.last + 1} to {number - 1} are gone." if number > self.last + 2 else "It is gone."
            raise _Found(self.last + 1, "missing", detail)
        if not self._fits(row, self.mac):
            raise _Found(number, *self._diagnose(row))
        self.rows += 1
        self.last, self.mac = number, row[-1]
        self._anchor_at(number, self.mac)
        event = row[2]
        if event == CHECKPOINT:
            said = _details(row)
            self._is_explained |= said.get("up_to") == self.first - 1
        elif event == LOSS:
            self._losses.append(_details(row))

    def _fits(self, row: _Row, before: str) -> bool:
        try:
            return same(row[-1], self._chain.mac(row[:-1], str(before)))
        except Unreadable:
            return False

    def _anchor_at(self, number: int, mac: str) -> None:
        for anchor in self._anchors.pop(number, ()):
            if same(mac, anchor.mac):
                self.compared += 1
                self.newest_anchor = max(self.newest_anchor, anchor.at)
            else:
                self._wrong_anchors.append(anchor)

    def _compare_anchors(self) -> None:
        """Those that fit no row: of the time before a checkpoint, of an accepted loss, or proof of a falsification."""
        forged = [line.number for line in self._lines if line.anchor is None]
        if forged:
            named = ", ".join(map(str, forged[:5]))
            self.notes.append(f"Lines of the anchors that this instance did not write, or damaged: {named}.")
        left = [each for anchors in self._anchors.values() for each in anchors]
        before = [each for each in left if each.id < self.first]
        if before:
            self.notes.append(f"{len(before)} anchors are from before the last checkpoint.")
        wrong = [each for each in self._wrong_anchors if not self._is_accepted(each)]
        beyond = [each for each in left if each.id > self.last and not self._is_accepted(each)]
        self.unfitting = [*wrong, *beyond]
        if wrong:
            first = min(wrong, key=lambda each: each.id)
            raise _Found(
                first.id,
                "rewritten",
                f"The anchor of {first.at} UTC has another mac: the trail up to here was written anew by somebody "
                "with the audit key, or the database is an older one.",
            )
        if beyond:
            farthest = max(beyond, key=lambda each: each.id)
            raise _Found(
                self.last + 1,
                "truncated",
                f"The anchor of {farthest.at} UTC says that there were {farthest.id} rows: rows {self.last + 1} to "
                f"{farthest.id} were cut off, or the database is an older one.",
            )

    def _is_accepted(self, anchor: Anchor) -> bool:
        accepted = any(
            loss.get("after", anchor.id) < anchor.id <= loss.get("up_to", 0) and anchor.at <= str(loss.get("until", ""))
            for loss in self._losses
        )
        if accepted:
            self.notes.append(f"The anchor of {anchor.at} UTC belongs to rows whose loss was accepted.")
        return accepted

    # --- what is wrong with a row -----------------------------------------------------------------
    def _diagnose(self, row: _Row) -> tuple[str, str]:
        number = _number(row)
        own = self._place_of(row)
        if own is not None:
            return "swapped", f"What stands here is row {own}."
        after = next(_read(number), None)
        if after is not None and isinstance(row[-1], str) and self._fits(after, row[-1]):
            return "edited", "Something in it was changed after it was written."
        hint = ""
        if self.rows == 0:
            hint = " If every row is like that, this keyring is not the one that the trail was written with."
        if after is None:
            return "forged", f"It was not written by this instance, or changed.{hint}"
        return "edited", f"It was changed, or not written by this instance.{hint}"

    def _place_of(self, row: _Row) -> int | None:
        """Where this row has its place, if it was moved; looked for among so many rows on both sides."""
        number = _number(row)
        since = number - _MOST_COMPARED // 2 - 1
        before = self._chain.beginning
        for other in _read(since):
            place, mac = _number(other), other[-1]
            if place > number + _MOST_COMPARED // 2:
                break
            # Of two neighbours that were exchanged, the one before now stands in its place.
            if place != number and any(self._fits((place, *row[1:]), each) for each in (before, mac)):
                return place
            before = mac
        return None


def _read(after: int | None = None) -> Iterator[_Row]:
    """Rows by number, as the driver returns them: what is wrong in them must not make the reading fail."""
    if after is None:
        after = _lowest() - 1
    while True:
        rows = _block(after, _BLOCK)
        yield from rows
        if len(rows) < _BLOCK:
            return
        after = _number(rows[-1])


def _block(after: int, most: int) -> list[_Row]:
    quote = connection.ops.quote_name
    # Django reads what SQLite stores as a time, whatever it is; the text is what is compared.
    how = "CAST({} AS TEXT)" if connection.vendor == "sqlite" else "{}"
    names = ", ".join(how.format(quote(name)) if name == "at" else quote(name) for name in STORED)
    table = quote(AuditEvent._meta.db_table)
    statement = f"SELECT {names} FROM {table} WHERE id > %s ORDER BY id LIMIT {most}"  # noqa: S608 - names only
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement, [after])
            return list(cursor.fetchall())
    except OperationalError:
        # SQLite takes bytes for a text that are none.
        if connection.vendor != "sqlite":
            raise
    if most > 1:
        return [row for number in _numbers(after, most) for row in _block(number - 1, 1)]
    return [(_numbers(after, 1)[0], *[None] * (len(STORED) - 1))]


def _numbers(after: int, most: int) -> list[int]:
    rows = AuditEvent.objects.filter(pk__gt=after).order_by("pk")
    return list(rows.values_list("pk", flat=True)[:most])


def _lowest() -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT min(id) FROM {connection.ops.quote_name(AuditEvent._meta.db_table)}")  # noqa: S608
        found = cursor.fetchone()[0]
    return int(found) if found is not None else 1


def _number(row: _Row) -> int:
    return int(row[0])


def _details(row: _Row) -> Mapping[str, Any]:
    return AuditEvent(details=row[STORED.index("details")]).data


def _checkpoint_for(number: int) -> str | None:
    """The mac of the last row that was pruned, as the checkpoint says it."""
    for event in AuditEvent.objects.filter(event=CHECKPOINT).order_by("-id")[:50]:
        mac = event.data.get("mac")
        if event.data.get("up_to") == number and isinstance(mac, str):
            return mac
    return None


def in_words(verdict: Verdict) -> str:
    """One line."""
    if verdict.trouble is None:
        return f"Whole: {verdict.rows:,} rows, {verdict.first:,} to {verdict.last:,}."
    trouble = verdict.trouble
    return printable(f"Broken at row {trouble.row:,} ({trouble.what}): {trouble.detail}")
