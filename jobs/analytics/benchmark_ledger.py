"""A scratch instance for the benchmark: credentials, devices, and a ledger as nightly runs would leave it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taggit.models import Tag

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


@dataclass(frozen=True)
class Size:
    """How much there is of everything."""

    attempts: int = 2_000_000
    devices: int = 10_000
    credentials: int = 10_000
    links: int = 100_000
    """Tags on credentials."""


def fill(size: Size) -> None:
    """Write devices, credentials and about so many login attempts of nightly runs that end now."""
    from django.db import connection, transaction
    from django.utils import timezone

    from jobs.models import Run

    chance = random.Random(20261123)
    devices, attempts = size.devices, size.attempts
    fleet = _fleet(devices, chance)
    _store(size, chance)
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


def _store(size: Size, chance: random.Random) -> None:
    """Credentials beyond those that the ledger knows: a large store, of which each device matches some dozens."""
    from taggit.models import Tag

    from credentials.models import Credential, CredentialTag
    from devices.models import Device, DeviceTag

    count = size.credentials - Credential.objects.count()
    if count <= 0:
        return
    names = [f"group-{n:05}" for n in range(max(10, size.credentials // 2))]
    tags: list[Tag] = Tag.objects.bulk_create([Tag(name=name, slug=name) for name in names], batch_size=1000)
    credentials = Credential.objects.bulk_create(
        [
            Credential(
                name=f"store-{n:05}",
                username=f"user-{n % 997}",
                scope=chance.choice(("central", "local")),
                priority=chance.randint(100, 500),
            )
            for n in range(count)
        ],
        batch_size=500,
    )
    left = size.links - CredentialTag.objects.count()
    links = [
        CredentialTag(content_object=each, tag=tag, priority=chance.choice((None, None, None, 90)))
        for n, each in enumerate(credentials)
        for tag in chance.sample(tags, max(1, left * (n + 1) // count - left * n // count))
    ]
    CredentialTag.objects.bulk_create(links, batch_size=2000)
    chosen = [
        DeviceTag(content_object_id=device, tag=tag)
        for device in Device.objects.values_list("pk", flat=True)
        for tag in chance.sample(tags, 3)
    ]
    DeviceTag.objects.bulk_create(chosen, batch_size=2000)


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
