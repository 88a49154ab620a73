"""Each list of the API needs the same number of queries for 5 rows and for 50."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from taggit.models import Tag

from credentials.models import Credential, CredentialTag
from devices.choices import HostKeyState
from devices.configs.store import prepare, save_version
from devices.models import ConfigVersion, Device, DeviceTag, HostKey
from jobs.limits import ConcurrencyLimit
from jobs.models import Attempt, Job, Result, Run
from jobs.windows import MaintenanceWindow
from tests.netraven_site.api_helpers import admin_client, config, make_credential, make_device

pytestmark = pytest.mark.django_db


@pytest.fixture
def world():
    """Rows that everything hangs on, and a way to add more of everything."""
    now = timezone.now()
    tags = [Tag.objects.create(name=name, slug=name) for name in ("core", "edge")]
    device = make_device("first", ("core", "edge"))
    credential = make_credential("first", ("core", "edge"))
    run = Run.objects.create(job_name="Backup", kind="backup", created_at=now)
    save_version(device.pk, "running", prepare(config(), device.platform))
    text = ConfigVersion.objects.get().text

    def grow(start: int, end: int) -> None:
        numbers = range(start, end)
        devices = Device.objects.bulk_create(
            [Device(name=f"d{n:03}", host="10.0.0.1", platform="cisco_ios") for n in numbers]
        )
        DeviceTag.objects.bulk_create([DeviceTag(tag=tag, content_object=each) for each in devices for tag in tags])
        for n in numbers:
            made = Credential.objects.create(name=f"c{n:03}", username="u", password="some-secret")
            CredentialTag.objects.bulk_create([CredentialTag(tag=tag, content_object=made, priority=n) for tag in tags])
            job = Job.objects.create(name=f"j{n:03}", kind="backup")
            job.tags.set(tags)
            job.devices.set(devices[:3])
            window = MaintenanceWindow.objects.create(name=f"w{n:03}", cron="0 22 * * 6", duration_min=60)
            window.tags.set(tags)
            ConcurrencyLimit.objects.create(scope="site", site=f"s{n:03}", devices=1)
        Run.objects.bulk_create([Run(job_name="r", kind="backup", created_at=now) for _ in numbers])
        HostKey.objects.bulk_create(
            [
                HostKey(
                    device=each,
                    key_type=f"type-{number}",
                    public_key="AAAA",
                    fingerprint="SHA256:x",
                    state=HostKeyState.PINNED,
                    first_seen_at=now,
                    last_seen_at=now,
                )
                for number, each in [(n, device) for n in numbers] + list(zip(numbers, devices, strict=True))
            ]
        )
        versions = ConfigVersion.objects.bulk_create(
            [
                ConfigVersion(device=device, number=n + 2, text=text, compared="x", first_seen_at=now, last_seen_at=now)
                for n in numbers
            ]
        )
        Result.objects.bulk_create(
            [
                Result(run=run, device=each, device_name=each.name, outcome="success", config_version=versions[0])
                for each in devices
            ]
        )
        Attempt.objects.bulk_create(
            [
                Attempt(
                    run=run,
                    device=device,
                    device_name="first",
                    credential=credential,
                    order=1,
                    outcome="success",
                    fate="accepted",
                    started_at=now,
                    duration_s=1.0,
                )
                for _ in numbers
            ]
        )

    grow.device, grow.credential, grow.run = device.pk, credential.pk, run.pk
    return grow


@pytest.mark.parametrize(
    "where",
    [
        "devices/",
        "devices/?tag=core&search=d&ordering=site",
        "devices/{device}/candidates/",
        "devices/{device}/versions/",
        "devices/{device}/attempts/",
        "devices/{device}/host-keys/",
        "credentials/",
        "credentials/{credential}/devices/",
        "host-keys/",
        "held-accounts/",
        "jobs/",
        "runs/",
        "runs/{run}/results/",
        "versions/",
        "attempts/",
        "maintenance-windows/",
        "concurrency-limits/",
    ],
)
def test_a_list_needs_as_many_queries_for_many_rows_as_for_few(world, where):
    address = "/api/v1/" + where.format(device=world.device, credential=world.credential, run=world.run)
    address += "&page_size=200" if "?" in address else "?page_size=200"
    client = admin_client()
    client.get(address)
    counts = []
    for start, end in ((0, 5), (5, 50)):
        world(start, end)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            answer = client.get(address)
        assert answer.status_code == 200
        counts.append((len(queries), len(answer.json()["results"])))
    (few, few_rows), (many, many_rows) = counts
    assert few == many
    assert many <= 12
    assert where == "held-accounts/" or (few_rows >= 5 and many_rows >= 50)


def test_the_texts_stay_in_the_database_until_one_is_asked_for(world):
    world(0, 5)
    client = admin_client()
    with CaptureQueriesContext(connection) as queries:
        client.get("/api/v1/versions/")
    assert not any("packed" in query["sql"] or "sealed" in query["sql"] for query in queries)
