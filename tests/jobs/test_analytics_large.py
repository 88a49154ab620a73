"""Large stores: the number of queries stays, and the quick ways of the analytics give the store's own answers."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from credentials.models import Credential, CredentialTag, RememberedRejection
from credentials.querysets import tags_named
from credentials.store import Link, StoredCredential
from devices.models import Device, DeviceTag
from jobs.analytics import advice, coverage, report
from jobs.analytics.facts import Kin, Orders, load_facts
from jobs.engine.plan import candidates_of

WHEN = datetime(2026, 1, 2, tzinfo=UTC)


def grow(credentials: int, devices: int, tags: int = 20) -> None:
    """Add credentials and devices that share tags at random."""
    chance = random.Random(credentials)
    known = tags_named([f"t{n}" for n in range(tags)])
    start = Credential.objects.count()
    made = Credential.objects.bulk_create(
        [
            Credential(
                name=f"c{start + n}",
                username=f"u{n % 7}",
                priority=chance.randint(1, 9),
                scope=chance.choice(["central", "local"]),
                is_fallback=n % 50 == 0,
                allow_telnet=n % 3 == 0,
            )
            for n in range(credentials)
        ]
    )
    CredentialTag.objects.bulk_create(
        [
            CredentialTag(content_object=each, tag=tag, priority=chance.choice([None, None, 5]))
            for each in made
            for tag in chance.sample(known, 3)
        ]
    )
    first = Device.objects.count()
    fleet = Device.objects.bulk_create(
        [
            Device(
                name=f"d{first + n}",
                host="192.0.2.1",
                platform="cisco_ios",
                aaa_domain=chance.choice(["default", "lab"]),
                transport="telnet" if n % 9 == 0 else "ssh",
            )
            for n in range(devices)
        ]
    )
    DeviceTag.objects.bulk_create(
        [DeviceTag(content_object=each, tag=tag) for each in fleet for tag in chance.sample(known, 2)]
    )


def queries(work) -> int:
    with CaptureQueriesContext(connection) as captured:
        work()
    return len(captured)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "work",
    [
        lambda: candidates_of(list(Device.objects.all())),
        lambda: coverage.coverage(coverage.CoverageFilter()),
        lambda: coverage.coverage(coverage.CoverageFilter(credential="c1", cover=coverage.Cover.MATCHED)),
        lambda: (report.forget(), report.advise()),
        lambda: advice.loginless_details(advice.loginless(load_facts()).found[:50]),
    ],
    ids=["candidates", "coverage", "coverage of one", "advice", "no working login"],
)
def test_the_number_of_queries_is_the_same_for_a_few_devices_and_for_many(work):
    grow(credentials=10, devices=5)
    work()  # the first one of all makes the mark of the roll-up
    few = queries(work)
    grow(credentials=700, devices=400)
    assert queries(work) == few


@pytest.mark.django_db
def test_devices_that_get_the_same_candidates_get_them_each_with_its_own_rejections():
    grow(credentials=40, devices=60, tags=4)
    devices = list(Device.objects.order_by("pk"))
    chance = random.Random(1)
    for each in chance.sample(list(Credential.objects.all()), 12):
        device = chance.choice(devices)
        place = device.place if each.scope == "local" else f"domain:{device.aaa_domain}"
        RememberedRejection.objects.create(credential=each, credential_version=1, place=place, place_label="x", at=WHEN)
    together = candidates_of(devices)
    assert any(each.skipped.startswith("Rejected") for found in together.values() for each in found)
    for device in devices:
        assert candidates_of([device]) == {device.pk: together[device.pk]}


@pytest.mark.parametrize("seed", range(20))
def test_the_analytics_try_what_the_store_would_try(seed):
    chance = random.Random(seed)
    credentials = {
        key: StoredCredential(
            id=key,
            version=1,
            name=f"c{key}",
            username="ops",
            scope="local",
            priority=chance.randint(1, 4),
            is_fallback=chance.random() < 0.2,
            allow_telnet=chance.random() < 0.6,
            kinds=("password",),
        )
        for key in range(1, 13)
    }
    links: dict[int, list[Link]] = {}
    for key in credentials:
        for tag in chance.sample(range(1, 6), 2):
            links.setdefault(tag, []).append(Link(key, tag, f"t{tag}", chance.choice([None, None, 1, 9])))
    orders = Orders(credentials, links)
    kin = Kin(frozenset(chance.sample(range(1, 8), 3)), chance.random() < 0.4)
    preferred = chance.choice([None, *credentials])
    rejected = frozenset(chance.sample(sorted(credentials), 3))
    candidates = orders.candidates(kin, preferred, rejected)
    assert list(orders.tried(kin, preferred, rejected)) == [each.credential for each in candidates if not each.skipped]
    allowed = {each.credential for each in orders.candidates(kin) if "telnet" not in each.skipped}
    assert orders.usable(kin) == allowed
    some = chance.sample(sorted(credentials), 5)
    standing = [each.credential for each in orders.candidates(kin) if each.credential in allowed & set(some)]
    assert orders.order(kin, some) == standing
