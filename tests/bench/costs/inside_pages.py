"""Inside an instance: how long its pages take with so many devices and results.

It runs in the instance's shell, takes the numbers of devices and of nights on standard input, and then reads all
pages once for each further line.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from taggit.models import Tag

from credentials.services import SecretsInput, create_credential
from devices.configs.store import prepare, save_version
from devices.models import ConfigVersion, Device, DeviceTag
from jobs.analytics.rollup import roll_up
from jobs.choices import ResultStatus, RunStatus
from jobs.models import Attempt, Result, Run
from tests.bench import texts

_DISTINCT_TEXTS = 50
_SITES = 50


def _fill(devices: int, nights: int) -> None:
    """Nightly runs with their logins and results, and a configuration of each device."""
    now = timezone.now()
    fleet = _devices(devices)
    credentials = [
        create_credential(
            name=name, username=name, secrets=SecretsInput(password=name), tags=["core"], priority=priority
        )
        for priority, name in enumerate(("tacacs-2025", "tacacs-2026"), start=1)
    ]
    _versions(fleet, now)
    run = _run(devices, now - timedelta(days=nights))
    Result.objects.bulk_create(
        [
            Result(
                run=run,
                device=device,
                device_name=device.name,
                status=ResultStatus.DONE,
                outcome="success" if number % 20 else "timeout",
                credential=credentials[1],
                credential_name=credentials[1].name,
                login_count=1,
                config_changed=False,
                started_at=now,
                finished_at=now,
                duration_s=2.5,
            )
            for number, device in enumerate(fleet)
        ],
        batch_size=2000,
    )
    Attempt.objects.bulk_create(
        [
            Attempt(
                run=run,
                device=device,
                device_name=device.name,
                credential=credentials[1],
                credential_name=credentials[1].name,
                credential_version=1,
                username=credentials[1].username,
                order=1,
                reason="shares tag core; worked here last",
                outcome="success" if number % 20 else "timeout",
                fate="accepted" if number % 20 else "unsent",
                address=f"{device.host}:22",
                host_key="SHA256:0123456789abcdef0123456789abcdef0123456789a",
                started_at=run.created_at,
                duration_s=2.5,
            )
            for number, device in enumerate(fleet)
        ],
        batch_size=2000,
    )
    for night in range(1, nights):
        at = now - timedelta(days=nights - night)
        again = _run(devices, at)
        _copy(Result, run, {"run_id": again.pk, "started_at": at, "finished_at": at})
        _copy(Attempt, run, {"run_id": again.pk, "started_at": at})
    Device.objects.update(
        last_outcome="success", last_outcome_at=now, last_success_at=now, last_good_credential=credentials[1]
    )
    roll_up(limit_s=3600)
    # As an instance's database has been analysed some time after it has filled.
    connection.cursor().execute("ANALYZE")


def _run(devices: int, at: datetime) -> Run:
    return Run.objects.create(
        job_name="nightly",
        kind="backup",
        device_count=devices,
        status=RunStatus.PARTIAL,
        created_at=at,
        started_at=at,
        finished_at=at + timedelta(minutes=3),
    )


def _devices(count: int) -> list[Device]:
    made = Device.objects.bulk_create(
        [
            Device(
                name=f"dev-{number:05}",
                host=f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}",
                platform="cisco_ios",
                site=f"site-{number % _SITES:02}",
            )
            for number in range(count)
        ],
        batch_size=2000,
    )
    tags = [Tag.objects.create(name=name, slug=name) for name in ("core", *(f"site-{n:02}" for n in range(_SITES)))]
    DeviceTag.objects.bulk_create(
        [
            DeviceTag(content_object=device, tag=tag)
            for number, device in enumerate(made)
            for tag in (tags[0], tags[1 + number % _SITES])
        ],
        batch_size=2000,
    )
    return made


def _versions(fleet: list[Device], now: datetime) -> None:
    stored = [
        save_version(device.pk, "running", prepare(texts.text(number), "cisco_ios")).version.text_id
        for number, device in enumerate(fleet[:_DISTINCT_TEXTS])
    ]
    ConfigVersion.objects.bulk_create(
        [
            ConfigVersion(
                device=device,
                kind="running",
                number=1,
                text_id=stored[number % len(stored)],
                compared=f"{number:064}",
                first_seen_at=now,
                last_seen_at=now,
            )
            for number, device in enumerate(fleet[_DISTINCT_TEXTS:])
        ],
        batch_size=2000,
    )


def _copy(model: type[Model], run: Run, changed: dict[str, Any]) -> None:
    """The rows of a run once more, with other values in some columns."""
    columns = [str(field.column) for field in model._meta.concrete_fields if not field.primary_key]
    quote = connection.ops.quote_name
    chosen = ", ".join("%s" if column in changed else quote(column) for column in columns)
    names = ", ".join(map(quote, columns))
    table = quote(model._meta.db_table)
    values = [changed[column] for column in columns if column in changed]
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({names}) SELECT {chosen} FROM {table} WHERE run_id = %s", [*values, run.pk]
        )


def _pages() -> dict[str, str]:
    """The addresses of what people open most, by what it is."""
    run = Run.objects.order_by("-pk").first()
    device = Device.objects.order_by("pk")[Device.objects.count() // 2]
    assert run is not None
    lists = {
        "Devices": "devices_device",
        "Configurations": "devices_configversion",
        "Credentials": "credentials_credential",
        "Runs": "jobs_run",
        "Attempts": "jobs_attempt",
    }
    addresses = {title: reverse(f"admin:{name}_changelist") for title, name in lists.items()}
    return {
        "Dashboard": reverse("admin:index"),
        **addresses,
        "Devices, the last page": f"{addresses['Devices']}?p={-(-Device.objects.count() // 100)}",
        "Devices, searched by name": f"{addresses['Devices']}?q={device.name}",
        "One device": reverse("admin:devices_device_page", args=[device.pk]),
        "One run": reverse("admin:jobs_run_page", args=[run.pk]),
        "Success rates": reverse("analytics:rates"),
        "API, devices": "/api/v1/devices/",
        "API, results of a run": f"/api/v1/runs/{run.pk}/results/",
    }


def _noting(queries: list[str]) -> Callable[..., Any]:
    def execute(call: Callable[..., Any], sql: str, *rest: Any) -> Any:
        queries.append(sql)
        return call(sql, *rest)

    return execute


def _read(client: Client) -> dict[str, dict[str, float]]:
    """Each page once: milliseconds, queries, size."""
    found = {}
    for title, address in _pages().items():
        queries: list[str] = []
        with connection.execute_wrapper(_noting(queries)):
            began = time.perf_counter()
            answer = client.get(address)
            taken = time.perf_counter() - began
        if answer.status_code != 200:
            raise SystemExit(f"{title}: {address} answered {answer.status_code}")
        found[title] = {"ms": taken * 1000, "queries": len(queries)}
    return found


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Fill, then read every page as often as asked."""
    devices, nights = map(int, sys.stdin.readline().split())
    _fill(devices, nights)
    client = Client(SERVER_NAME="localhost")
    client.force_login(User.objects.filter(is_superuser=True).get())
    _say({"filled": {"devices": Device.objects.count(), "results": Result.objects.count()}})
    for _ in sys.stdin:
        _say({"read": _read(client)})


if __name__ == "__main__":
    main()
