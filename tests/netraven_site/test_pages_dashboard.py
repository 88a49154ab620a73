"""The first page: its numbers, what needs a person, what it costs; and the frame around all pages."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from devices.configs.store import prepare, save_version
from devices.models import Device
from jobs.models import Run, WorkerBeat
from tests.netraven_site.api_helpers import (
    config,
    hold_account,
    make_credential,
    make_device,
    make_job,
    make_key,
    make_run,
    make_version,
)
from tests.netraven_site.pages import administrator, body, signed_in, staff_with, text_of, user_with

pytestmark = pytest.mark.django_db

INDEX = "/admin/"


def _beat(seconds_ago: float) -> None:
    WorkerBeat.objects.create(host="w1", answered_at=timezone.now() - timedelta(seconds=seconds_ago))


def _outcomes(*outcomes: str) -> None:
    for number, outcome in enumerate(outcomes):
        device = make_device(f"sw{Device.objects.count()}-{number}")
        Device.objects.filter(pk=device.pk).update(last_outcome=outcome)


def _attention(client: Client) -> list[str]:
    return [f"{each.count or ''} {each.text}".strip() for each in client.get(INDEX).context["attention"]]


def test_the_fleet_is_shown_in_the_five_tones_that_lead_to_the_devices() -> None:
    _outcomes("success", "success", "unreachable", "rejected", "held", "")
    make_device("off", enabled=False)
    page = administrator().get(INDEX)
    assert {each["tone"]: each["count"] for each in page.context["fleet"].tones} == {
        "good": 2,
        "passing": 1,
        "failed": 1,
        "held": 1,
        "unknown": 1,
    }
    assert "6 enabled devices, 1 disabled" in text_of(page)
    client = administrator("other")
    for tone in page.context["fleet"].tones:
        assert tone["url"].replace("&", "&amp;") in body(page)
        assert client.get(tone["url"]).context["cl"].result_count == tone["count"]


def test_the_dashboard_costs_the_same_for_a_large_fleet() -> None:
    client = administrator()
    credential = make_credential()

    def grow(start: int, end: int) -> None:
        for number in range(start, end):
            device = make_device(f"sw{number:03}", tags=("core", f"t{number}"))
            make_version(device, config("vlan 1"))
            make_version(device, config(f"vlan {number + 2}"))
            make_key(device, f"SHA256:{number}")
            make_run(device, job=make_job(f"job{number}"), outcome="rejected")
            Device.objects.filter(pk=device.pk).update(last_outcome="rejected", last_good_credential=credential)

    grow(0, 10)
    client.get(INDEX)
    with CaptureQueriesContext(connection) as few:
        client.get(INDEX)
    grow(10, 60)
    with CaptureQueriesContext(connection) as many:
        client.get(INDEX)
    assert len(many) == len(few)
    assert len(many) <= 25


def test_what_fails_is_named_with_its_class_its_number_and_advice() -> None:
    _beat(5)
    _outcomes("unreachable", "rejected", "rejected")
    for device in Device.objects.all():
        make_version(device, config("vlan 1"))
    page = administrator().get(INDEX)
    assert [f"{each.count} {each.text}" for each in page.context["attention"]] == [
        "2 devices: rejected",
        "1 device: unreachable",
    ]
    assert "Every matching credential was refused." in text_of(page)


@pytest.mark.parametrize(("age_s", "warned"), [(5, False), (59, False), (61, True), (4000, True)])
def test_a_silent_worker_is_noticed_after_a_minute(age_s: float, warned: bool) -> None:
    _beat(age_s)
    assert any("No worker is alive" in each for each in _attention(administrator())) is warned


def test_an_instance_without_any_worker_says_so() -> None:
    assert _attention(administrator()) == ["No worker has answered yet"]


def test_host_keys_held_accounts_and_devices_without_a_backup_are_counted() -> None:
    _beat(5)
    device = make_device()
    make_key(device)
    hold_account(make_credential(), device)
    assert _attention(administrator()) == [
        "1 host key waits for approval",
        "1 account is held: netops in AAA domain default",
        "1 device was never backed up",
    ]


def test_a_quiet_night_says_that_nothing_needs_a_person() -> None:
    _beat(5)
    device = make_device()
    make_version(device, config("vlan 1"))
    Device.objects.update(last_outcome="success")
    assert "Nothing needs a person at the moment." in text_of(administrator().get(INDEX))


def test_the_last_runs_and_the_last_changes_lead_to_their_pages() -> None:
    device = make_device("sw1")
    run = make_run(device)
    first = make_version(device, config("vlan 1"))
    text = prepare(config("vlan 2"), "cisco_ios")
    second = save_version(device.pk, "running", text, timezone.now() + timedelta(seconds=1)).version
    page = body(administrator().get(INDEX))
    assert f'href="/admin/jobs/run/{run.pk}/"' in page
    assert f"/admin/devices/configversion/diff/?before={first.pk}&amp;after={second.pk}" in page
    assert "1 success" in text_of(administrator("again").get(INDEX))


def test_an_empty_instance_says_what_to_do_first_until_it_is_done() -> None:
    client = administrator()
    seen = text_of(client.get(INDEX))
    assert "What to do first" in seen
    for step in ("Add a credential", "Import devices", "Run a backup"):
        assert step in seen
    make_credential()
    assert [step["done"] for step in client.get(INDEX).context["steps"]] == [True, False, False]
    make_run(make_device())
    assert "What to do first" not in text_of(client.get(INDEX))


def test_people_see_only_the_parts_that_they_have_a_right_to() -> None:
    make_run(make_device("hidden-device"), job_name="hidden run")
    make_key(Device.objects.get())
    page = body(staff_with("credentials.view_credential").get(INDEX))
    for word in ("hidden-device", "hidden run", 'id="fleet"', 'id="runs"', "waits for approval"):
        assert word not in page
    assert Run.objects.count() == 1


# --- the frame -------------------------------------------------------------------------------------
def test_the_menu_is_in_the_order_of_the_day() -> None:
    page = administrator().get(INDEX)
    groups = page.context["sidebar_navigation"]
    assert [item["title"] for item in groups[0]["items"]] == [
        "Dashboard",
        "Devices",
        "Configurations",
        "Search",
        "Credentials",
        "Jobs",
        "Runs",
    ]
    assert [group.get("title", "") for group in groups] == ["", "Logins", "Administration"]


def test_the_menu_holds_only_what_one_may_see() -> None:
    seen = body(staff_with("devices.view_device").get(INDEX))
    assert 'href="/admin/devices/device/"' in seen
    for hidden in ("/admin/credentials/credential/", "/admin/jobs/job/", "/admin/auth/user/"):
        assert f'href="{hidden}"' not in seen


def test_one_item_of_the_menu_is_lit() -> None:
    page = administrator().get("/admin/devices/configversion/")
    items = [item for group in page.context["sidebar_navigation"] for item in group["items"]]
    assert [item["title"] for item in items if item["active"]] == ["Configurations"]


@pytest.mark.parametrize("term", ["SW-CORE", "10.7.7"])
def test_the_search_finds_devices_by_name_and_address(term: str) -> None:
    device = make_device("sw-core-1", host="10.7.7.7")
    page = body(administrator().get(reverse("admin:search"), {"s": term, "extended": "1"}))
    assert f'href="/admin/devices/device/{device.pk}/"' in page


def test_the_search_finds_only_what_one_may_see_and_escapes_it() -> None:
    make_device("<b>core</b>".replace("/", "|"))
    make_credential("core-team")
    page = body(staff_with("devices.view_device").get(reverse("admin:search"), {"s": "core", "extended": "1"}))
    assert "&lt;b&gt;core" in page
    assert "<b>core" not in page
    assert "core-team" not in page


def test_somebody_outside_the_staff_does_not_get_in() -> None:
    answer = signed_in(user_with("devices.view_device", name="olaf")).get(INDEX)
    assert answer.status_code == 302
    assert answer.url.startswith("/admin/login/")
