"""How long the analytics take over a large ledger and a large store: `python -m jobs.analytics.benchmark`.

It fills a scratch instance on SQLite, counts its attempts, times what each page asks for, and removes the
instance. It needs a process of its own, since it chooses the instance before Django is set up.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from jobs.analytics.benchmark_ledger import Size, fill

Row = tuple[str, float, str]
"""What was measured, the value, its unit."""


def main() -> None:
    """Measure and print: a line for each row, or all of them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attempts", type=int, default=Size.attempts)
    parser.add_argument("--devices", type=int, default=Size.devices)
    parser.add_argument("--credentials", type=int, default=Size.credentials)
    parser.add_argument("--links", type=int, default=Size.links, help="tags on credentials")
    parser.add_argument("--home", type=Path, help="keep the scratch instance here, and use it again next time")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = rows(Size(given.attempts, given.devices, given.credentials, given.links), given.home)
    if given.json:
        sys.stdout.write(json.dumps([{"what": what, "value": value, "unit": unit} for what, value, unit in found]))
        return
    for what, value, unit in found:
        sys.stdout.write(f"{what:<64} {value:>12,.1f} {unit}\n")
        sys.stdout.flush()


def rows(size: Size | None = None, home: Path | None = None) -> Iterator[Row]:
    """Fill, count and measure; in a process in which Django is not set up yet."""
    used = home or Path(tempfile.mkdtemp(prefix="netraven-bench-"))
    try:
        _prepare(used)
        yield from _measure(size or Size())
    finally:
        if home is None:
            shutil.rmtree(used)


def _prepare(home: Path) -> None:
    (home / "var").mkdir(parents=True, exist_ok=True)
    os.environ |= {"NETRAVEN_HOME": str(home), "DJANGO_SETTINGS_MODULE": "netraven_site.settings"}
    os.environ.pop("DATABASE_URL", None)
    import django

    django.setup()
    from django.core.management import call_command

    from credentials import keyring

    if not (home / "keyring.json").exists():
        keyring.create(home / "keyring.json")
    call_command("migrate", verbosity=0)


def _measure(size: Size) -> Iterator[Row]:
    from credentials.models import Credential, CredentialTag
    from devices.models import Device
    from jobs.models import Attempt

    if not Attempt.objects.exists():
        took, _ = _timed(lambda: fill(size))
        yield "filling the scratch instance", took, "s"
    yield "login attempts", Attempt.objects.count(), "rows"
    yield "devices", Device.objects.count(), "rows"
    yield "credentials", Credential.objects.count(), "rows"
    yield "tags on credentials", CredentialTag.objects.count(), "rows"
    yield from _roll_up()
    for name, page in [*_store(), *_pages()]:
        took, queries = min(_timed(page) for _ in range(3))
        yield name, took * 1000, "ms"
        yield f"{name}: queries", queries, "queries"


def _roll_up() -> Iterator[Row]:
    from jobs.analytics import rollup

    longest = 0.0
    count = rollup._count

    def timed(mark: int, end: int) -> bool:
        nonlocal longest
        began = time.perf_counter()
        won = count(mark, end)
        longest = max(longest, time.perf_counter() - began)
        return won

    rollup._count = timed
    try:
        began = time.perf_counter()
        first = rollup.roll_up(limit_s=1.0).counted
        if first:
            yield "roll-up: a call that may take 1 s takes", (time.perf_counter() - began) * 1000, "ms"
        began = time.perf_counter()
        counted = rollup.roll_up(limit_s=3600).counted
        took = time.perf_counter() - began
    finally:
        rollup._count = count
    if counted:
        yield "roll-up of the whole ledger", took, "s"
        yield "roll-up: attempts a second", counted / took, "1/s"
        yield "roll-up: longest write", longest * 1000, "ms"
    took, queries = _timed(lambda: rollup.roll_up(limit_s=1))
    yield "roll-up with nothing to count", took * 1000, "ms"
    yield "roll-up with nothing to count: queries", queries, "queries"


def _store() -> list[tuple[str, Callable[[], Any]]]:
    """What jobs and pages ask of the store."""
    from devices.models import Device
    from jobs.engine.plan import candidates_of

    devices = list(Device.objects.all())
    return [
        ("candidates of one device", lambda: candidates_of(devices[:1])),
        ("candidates of 50 devices", lambda: candidates_of(devices[:50])),
        ("candidates of all devices at once", lambda: candidates_of(devices)),
    ]


def _pages() -> list[tuple[str, Callable[[], Any]]]:
    """What each page asks for."""
    from jobs.analytics import advice, coverage, rates, report
    from jobs.analytics.facts import load_facts
    from jobs.rollups import Dimension

    def loginless() -> None:
        advice.loginless_details(advice.loginless(load_facts()).found[:50])

    def advise_anew() -> None:
        report.forget()
        report.advise()

    rejected = coverage.CoverageFilter(credential="tacacs-2025", cover=coverage.Cover.REJECTED)
    return [
        ("rates of all logins, 30 days", lambda: (rates.rates(), rates.credential_uses())),
        ("rates of all logins, 365 days", lambda: (rates.rates(days=365), rates.credential_uses(365))),
        ("rates by tag, 365 days", lambda: rates.rates(Dimension.TAG, 365)),
        ("rates by platform, 365 days", lambda: rates.rates(Dimension.PLATFORM, 365)),
        ("rates by site, 365 days", lambda: rates.rates(Dimension.SITE, 365)),
        ("rates of one site, 365 days", lambda: rates.rates(Dimension.SITE, 365, value="site-01")),
        ("advice, replayed anew", advise_anew),
        ("advice, nothing changed since", report.advise),
        ("devices without a working login", loginless),
        ("coverage, first page", lambda: coverage.coverage(coverage.CoverageFilter())),
        ("coverage, last page", lambda: coverage.coverage(coverage.CoverageFilter(), 10**6)),
        ("coverage, what one credential does not open", lambda: coverage.coverage(rejected)),
        ("coverage, the filters", coverage.choices),
    ]


def _timed(work: Callable[[], Any]) -> tuple[float, int]:
    """Seconds and number of queries."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as queries:
        began = time.perf_counter()
        work()
        took = time.perf_counter() - began
    return took, len(queries)


if __name__ == "__main__":
    main()
