"""Searching configurations. The index says where to look; what it does not know is read, so answers are always true."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from django.db.models import QuerySet

from devices.configs import index
from devices.configs.query import BadQuery, Matcher, Query, Snippets, TooSlow
from devices.connector.platforms import RUNNING
from devices.models import ConfigText, ConfigVersion, Device
from devices.searches import IndexedText

_CHUNK: Final = 100
"""Texts that are read at once."""
_ONE_TEXT_S: Final = 1.0
"""What an expression may take on a single text."""
_COUNTING_S: Final = 0.3
"""What is spent on the number of all results once a page is full."""


class Unit(NamedTuple):
    """One version that is looked at."""

    pk: int
    device: int
    name: str
    kind: str
    number: int
    text: int


@dataclass(frozen=True)
class Hit:
    """One configuration of the result; without lines when the search was for what it lacks."""

    version: ConfigVersion
    snippets: Snippets = field(default_factory=Snippets)


@dataclass(frozen=True)
class Found:
    """A page of results in the order of the devices' names."""

    hits: list[Hit] = field(default_factory=list)
    count: int = 0
    """Results in all; at least so many unless `is_counted`."""
    is_counted: bool = True
    next: int | None = None
    """Where the next page begins: pass it as `after`."""
    is_stopped: bool = False
    """Whether the time was up before the page was full; the next page goes on from there."""
    looked_at: int = 0
    """Configurations that the search was over."""
    not_indexed: int = 0
    """How many of these the index does not know yet, so that they were read."""
    without: int = 0
    """Devices of which nothing is kept; counted when the search is for what is absent."""
    took_s: float = 0.0


def search(
    query: Query,
    *,
    within: QuerySet[Device] | None = None,
    after: int | None = None,
    limit: int = 25,
    context: int = 2,
    lines: int = 5,
    limit_s: float = 5.0,
    count: bool = True,
) -> Found:
    """The configurations that have (or lack) the term: `limit` of them, each with up to `lines` lines.

    `within` are the devices that may be looked at; `after` is the `next` of the page before; without `count` the
    results beyond the page are not counted. BadQuery when the term cannot be understood, or when a regular
    expression takes too long on one text.
    """
    began = time.monotonic()
    matcher = Matcher(query.term, query.mode, query.case)
    devices = _devices(query, within)
    units = _units(query, devices)
    texts = _Texts(matcher, units, began + limit_s)
    chosen: list[Unit] = []
    wanted = limit + 1
    last: Unit | None = None
    stopped = False
    for unit, has_it in texts.judged(units[_start(units, after) :]):
        if has_it is None:
            stopped = True
            break
        if has_it is not query.absent:
            chosen.append(unit)
            if len(chosen) == wanted:
                break
        last = unit
    more = len(chosen) == wanted
    shown = chosen[:limit]
    counted, is_counted = _count(texts, units, query.absent) if count else (0, False)
    following = shown[-1].pk if more else last.pk if stopped and last else None
    return Found(
        hits=_hits(shown, matcher, None if query.absent else (context, lines)),
        count=max(counted, len(chosen)),
        is_counted=is_counted,
        next=following,
        is_stopped=stopped,
        looked_at=len(units),
        not_indexed=texts.not_indexed,
        without=_without(devices, _kind(query)) if query.absent else 0,
        took_s=time.monotonic() - began,
    )


def _devices(query: Query, within: QuerySet[Device] | None) -> QuerySet[Device] | None:
    """The devices that the search is over, None for all."""
    if within is None and not (query.platform or query.site or query.tags):
        return None
    devices = Device.objects.all() if within is None else within
    if query.platform:
        devices = devices.filter(platform=query.platform)
    if query.site:
        devices = devices.filter(site=query.site)
    if query.tags:
        devices = devices.filter(pk__in=Device.objects.filter(tags__name__in=query.tags).values("pk"))
    return devices


def _units(query: Query, devices: QuerySet[Device] | None) -> list[Unit]:
    versions = ConfigVersion.objects.order_by()
    if not query.every_version:
        versions = versions.filter(index.is_latest())
    if kind := _kind(query):
        versions = versions.filter(kind=kind)
    if devices is not None:
        versions = versions.filter(device__in=devices.order_by().values("pk"))
    rows = versions.values_list("pk", "device", "device__name", "kind", "number", "text")
    # Sorted here, since databases differ in how they order letters and a page must go on where the last one ended.
    return sorted((Unit(*row) for row in rows), key=_place)


def _kind(query: Query) -> str:
    """Which texts are looked at, empty for all: what a configuration lacks no inventory is asked for."""
    return query.kind or (RUNNING if query.absent else "")


def _place(unit: Unit) -> tuple[str, str, int]:
    return unit.name, unit.kind, -unit.number


def _start(units: Sequence[Unit], after: int | None) -> int:
    """Where a page begins that follows the version `after`, though a newer one may have taken its place."""
    if after is None:
        return 0
    for at, unit in enumerate(units):
        if unit.pk == after:
            return at + 1
    row = ConfigVersion.objects.filter(pk=after).values_list("pk", "device", "device__name", "kind", "number", "text")
    gone = row.first()
    if gone is None:
        raise BadQuery("The page that this one followed is gone: search again.")
    place = _place(Unit(*gone))
    return next((at for at, unit in enumerate(units) if _place(unit)[:2] > place[:2]), len(units))


def _without(devices: QuerySet[Device] | None, kind: str) -> int:
    """How many of the devices have nothing kept."""
    devices = Device.objects.all() if devices is None else devices
    versions = ConfigVersion.objects.filter(kind=kind) if kind else ConfigVersion.objects.all()
    return devices.exclude(pk__in=versions.order_by().values("device")).count()


class _Texts:
    """Which texts have it: from the index at once, from the texts themselves when somebody wants to know."""

    def __init__(self, matcher: Matcher, units: Sequence[Unit], until: float) -> None:
        self._matcher = matcher
        self._until = until
        self._known: dict[int, bool] = {}
        self.not_indexed = 0
        self._ask_index({unit.text for unit in units})

    def _ask_index(self, texts: set[int]) -> None:
        found = index.current() if self._matcher.literals else None
        if found is None:
            self.not_indexed = len(texts)
            return
        # Known to the index before and after it was asked: texts come and go meanwhile.
        before = _indexed()
        having = found.find(self._matcher.literals)
        indexed = before & _indexed() & texts
        self.not_indexed = len(texts) - len(indexed)
        self._known = dict.fromkeys(indexed - having, False)
        if self._matcher.literals_suffice:
            self._known |= dict.fromkeys(indexed & having, True)

    def judged(self, units: Sequence[Unit]) -> Iterator[tuple[Unit, bool | None]]:
        """Each unit with whether its text has it; None once the time is up."""
        for start in range(0, len(units), _CHUNK):
            part = units[start : start + _CHUNK]
            late = self._read({unit.text for unit in part if unit.text not in self._known})
            for unit in part:
                yield unit, self._known.get(unit.text)
            if late:
                return

    def _read(self, texts: set[int]) -> bool:
        """Look into texts; whether the time was up before all were read."""
        if not texts:
            return False
        for pk, packed in ConfigText.objects.filter(pk__in=texts).values_list("pk", "packed"):
            left = self._until - time.monotonic()
            if left <= 0:
                return True
            text = zlib.decompress(packed).decode("utf-8")
            try:
                self._known[pk] = self._matcher.found_in(text, min(left, _ONE_TEXT_S))
            except TooSlow:
                if left >= _ONE_TEXT_S:
                    raise
                return True
        for gone in texts - self._known.keys():
            self._known[gone] = False
        return False

    def counting_until(self, until: float) -> None:
        """Go on for so long."""
        self._until = min(self._until, until)


def _indexed() -> set[int]:
    return set(IndexedText.objects.values_list("pk", flat=True))


def _count(texts: _Texts, units: Sequence[Unit], absent: bool) -> tuple[int, bool]:
    """The number of all results, exact when it could be found out in a moment."""
    texts.counting_until(time.monotonic() + _COUNTING_S)
    counted = 0
    for _, has_it in texts.judged(units):
        if has_it is None:
            return counted, False
        counted += has_it is not absent
    return counted, True


def _hits(units: Sequence[Unit], matcher: Matcher, shown: tuple[int, int] | None) -> list[Hit]:
    rows = ConfigVersion.objects.select_related("device", "text").defer("text__sealed")
    if shown is None:
        rows = rows.defer("text__packed", "text__sealed")
    versions = rows.in_bulk([unit.pk for unit in units])
    hits = []
    for unit in units:
        version = versions.get(unit.pk)
        if version is None:
            continue
        if shown is None:
            hits.append(Hit(version))
            continue
        text = zlib.decompress(version.text.packed).decode("utf-8")
        hits.append(Hit(version, matcher.snippets(text, *shown, _ONE_TEXT_S)))
    return hits
