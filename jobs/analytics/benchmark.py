"""How long the analytics take over a large ledger: `python -m jobs.analytics.benchmark [--attempts N]`.

It fills a scratch instance on SQLite with devices, credentials and attempts as nightly runs would leave
them, counts them, times what each page asks for, and removes the instance.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from credentials.models import Credential

_PLATFORMS = ("cisco_ios", "cisco_xe", "cisco_nxos", "juniper_junos", "arista_eos", "hp_comware", "huawei", "linux")
_SITES = 50
_COLUMNS = (
    "run_id",
    "device_id",
    "device_name",
    "credential_id",
    "credential_name",
    "credential_version",
    "username",
    "order",
    "reason",
    "outcome",
    "fate",
    "detail",
    "address",
    "host_key",
    "is_test",
    "requested_by_name",
    "started_at",
    "duration_s",
)


def main() -> None:
    """Fill, count, time, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attempts", type=int, default=2_000_000)
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--home", type=Path, help="keep the scratch instance here, and use it again next time")
    given = parser.parse_args()
    home = given.home or Path(tempfile.mkdtemp(prefix="netraven-bench-"))
    try:
        _prepare(home)
        _measure(given.attempts, given.devices)
    finally:
        if given.home is None:
            shutil.rmtree(home)


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


def _measure(attempts: int, devices: int) -> None:
    from jobs.models import Attempt

    if not Attempt.objects.exists():
        took, _ = _timed(lambda: fill(attempts, devices))
        _say(f"filled with {Attempt.objects.count():,} attempts", took)
    _roll_up()
    for name, page in _pages():
        took, queries = min(_timed(page) for _ in range(3))
        _say(name, took, queries)


def _roll_up() -> None:
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
    began = time.perf_counter()
    counted = rollup.roll_up(limit_s=3600).counted
    took = time.perf_counter() - began
    rollup._count = count
    if counted:
        _say(f"roll-up of {counted:,} attempts, {counted / took:,.0f} a second", took)
        _say("longest write of the roll-up", longest)
    _say("roll-up with nothing to count", *_timed(lambda: rollup.roll_up(limit_s=1)))


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


def _say(what: str, seconds: float, queries: int | None = None) -> None:
    counted = "" if queries is None else f"  {queries} queries"
    sys.stdout.write(f"{what:<60} {seconds * 1000:>10,.1f} ms{counted}\n")
    sys.stdout.flush()


# --- a ledger as nightly runs would leave it ---------------------------------------------------------
def fill(attempts: int, devices: int) -> None:
    """Write devices, credentials and about `attempts` login attempts of nightly runs that end now."""
    from django.db import connection, transaction
    from django.utils import timezone

    from jobs.models import Run

    chance = random.Random(20261123)
    fleet = _fleet(devices, chance)
    # In the course of time the devices grow from two thirds to all of them.
    nights = max(1, round(attempts / devices * 1.17))
    now = timezone.now().replace(microsecond=0)
    names = ", ".join(connection.ops.quote_name(name) for name in _COLUMNS)
    marks = ", ".join(["%s"] * len(_COLUMNS))
    for night in range(nights):
        at = now - timedelta(days=nights - night)
        run = Run.objects.create(job_name="nightly", kind="backup", device_count=devices, created_at=at)
        rows = list(_night(fleet, run.pk, night, nights, at, chance))
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.executemany(f"INSERT INTO jobs_attempt ({names}) VALUES ({marks})", rows)  # noqa: S608 - names
    _results(fleet, now)


class _Sim:
    """A device with what opens it."""

    def __init__(self, pk: int, name: str, order: list[Credential], opens: Credential, joins: float) -> None:
        self.pk, self.name, self.order, self.opens, self.joins = pk, name, order, opens, joins
        self.preferred: Credential | None = None


def _fleet(count: int, chance: random.Random) -> list[_Sim]:
    from taggit.models import Tag

    from credentials.services import SecretsInput, create_credential
    from devices.models import Device, DeviceTag

    sites = [f"site-{n:02}" for n in range(_SITES)]
    secrets = SecretsInput(password="not-used")  # noqa: S106 - opens nothing
    central = [
        create_credential(name=name, username="netops", secrets=secrets, tags=["core", "edge"], priority=priority)
        for name, priority in (("tacacs-2025", 10), ("tacacs-2026", 20))
    ]
    local = {
        site: create_credential(
            name=f"local-{site}", username="admin", secrets=secrets, tags=[site], priority=50, scope="local"
        )
        for site in sites[: _SITES // 2]
    }
    create_credential(name="break-glass", username="root", secrets=secrets, is_fallback=True, priority=900)
    devices = Device.objects.bulk_create(
        [
            Device(
                name=f"dev-{n:05}",
                host=f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}",
                platform=chance.choice(_PLATFORMS),
                site=chance.choice(sites),
            )
            for n in range(count)
        ],
        batch_size=2000,
    )
    tags = {name: Tag.objects.get_or_create(name=name)[0] for name in (*sites, "core", "edge", "lab")}
    links, fleet = [], []
    for device in devices:
        role = chance.choice(("core", "edge"))
        links += [DeviceTag(content_object=device, tag=tags[name]) for name in (device.site, role)]
        order = [*central, *([local[device.site]] if device.site in local else [])]
        opens = chance.choices(order, weights=[1, 6, 3][: len(order)])[0]
        fleet.append(_Sim(device.pk, device.name, order, opens, chance.uniform(-2, 1)))
    DeviceTag.objects.bulk_create(links, batch_size=2000)
    return fleet


def _night(
    fleet: list[_Sim], run: int, night: int, nights: int, at: datetime, chance: random.Random
) -> Iterator[list[Any]]:
    for device in fleet:
        if device.joins > night / nights:
            continue
        if device.preferred is not None and chance.random() < 0.01:
            device.preferred = None  # somebody released it, or took its credential away for a while
        if chance.random() < 0.0005:
            device.opens = chance.choice(device.order)
        order = sorted(device.order, key=lambda each: (each is not device.preferred, each.priority))
        for number, credential in enumerate(order, start=1):
            at += timedelta(milliseconds=300)
            works = credential is device.opens
            fate = "accepted" if works else "rejected"
            outcome = "success" if works else "rejected"
            if works and chance.random() < 0.002:
                fate = outcome = "unanswered"
            stamp = at.strftime("%Y-%m-%d %H:%M:%S.%f")
            why = "shares tag core; worked here last" if device.preferred else "shares tag core; priority 10"
            yield [run, device.pk, device.name, credential.pk, credential.name, 1, credential.username, number, why,
                   outcome, fate, "", "10.0.0.1", "SHA256:0123456789abcdef0123456789abcdef0123456789a",
                   False, "", stamp, 1.25]  # fmt: skip
            if fate == "accepted":
                device.preferred = credential
            if fate != "rejected":
                break


def _results(fleet: list[_Sim], now: datetime) -> None:
    from jobs.choices import ResultStatus
    from jobs.models import Result, Run

    for run in Run.objects.order_by("-pk")[:5]:
        Result.objects.bulk_create(
            [
                Result(
                    run=run,
                    device_id=device.pk,
                    device_name=device.name,
                    status=ResultStatus.DONE,
                    outcome="success" if device.preferred else "rejected",
                    finished_at=now,
                )
                for device in fleet
            ],
            batch_size=2000,
        )


if __name__ == "__main__":
    main()
