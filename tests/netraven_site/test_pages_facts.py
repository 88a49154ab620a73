"""The facts of a device on its page."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from devices.configs.retaining import STEPS, save_rule
from devices.configs.store import prepare, save_version
from devices.facts import save_facts
from devices.retention import RetentionRule
from tests.netraven_site.api_helpers import make_device
from tests.netraven_site.pages import administrator, body, list_of, page_of, staff_with

pytestmark = pytest.mark.django_db
FACTS = {"vendor": "Cisco", "model": "C9300-48P", "serial": "FOC1234X", "version": "17.9.4", "hostname": "sw1"}


def page(device) -> str:
    return body(administrator().get(page_of("devices_device", device.pk)))


def test_a_device_that_was_never_asked_says_which_job_asks():
    text = page(make_device())
    assert "a job of the kind Facts asks" in text
    assert 'value="facts">Ask now' in text


def test_the_facts_of_now_and_before_are_shown():
    device = make_device()
    save_facts(device.pk, {**FACTS, "uptime_s": 90_000})
    save_facts(device.pk, {**FACTS, "version": "17.12.1"})
    text = page(device)
    for word in ("C9300-48P", "FOC1234X", "17.9.4", "17.12.1"):
        assert word in text
    assert "It calls itself" not in text


def test_a_hostname_that_is_not_the_name_of_the_device_is_pointed_out():
    device = make_device(name="ams-core-01")
    save_facts(device.pk, FACTS)
    assert "It calls itself" in page(device)


def test_what_a_device_says_cannot_become_markup():
    device = make_device()
    save_facts(device.pk, {**FACTS, "model": "<script>alert(1)</script>"})
    assert "<script>alert(1)" not in page(device)


def test_whoever_may_start_nothing_has_no_button():
    device = make_device()
    text = body(staff_with("devices.view_device").get(page_of("devices_device", device.pk)))
    assert "Ask now" not in text


# --- in the list of devices ---
@pytest.fixture
def _fleet() -> None:
    for name, version, hostname in (("n1", "9.2(4)", "n1"), ("n2", "9.3(5)", "N2.example.net"), ("n3", "10.1(1)", "x")):
        device = make_device(name, platform="cisco_nxos")
        save_facts(device.pk, {**FACTS, "version": version, "hostname": hostname, "serial": f"SAL{name}"})
    save_facts(make_device("e1").pk, {"vendor": "Arista", "model": "DCS-7050", "version": "4.28.3M"})
    make_device("i1")


def listed(query: str) -> list[str]:
    answer = administrator().get(f"{list_of('devices_device')}?{query}")
    assert answer.status_code == 200
    return [row.name for row in answer.context["cl"].result_list]


@pytest.mark.usefixtures("_fleet")
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("version=%3C9.3&platform=cisco_nxos", ["n1"]),
        ("version=%3E%3D9.3(5)", ["n2", "n3"]),
        ("version=9.", ["n1", "n2"]),
        ("vendor=Arista", ["e1"]),
        ("model=C9300-48P", ["n1", "n2", "n3"]),
        ("hostname=other", ["n3"]),
        ("hostname=same", ["n1", "n2"]),
        ("q=SALn2", ["n2"]),
        ("", ["e1", "i1", "n1", "n2", "n3"]),
    ],
)
def test_devices_are_found_by_their_facts(query, found):
    assert listed(query) == found


@pytest.mark.usefixtures("_fleet")
def test_a_version_that_cannot_be_compared_is_said_and_finds_nothing():
    text = body(administrator().get(f"{list_of('devices_device')}?version=%3Cold"))
    assert text.count("There is no number in the version") == 1
    assert "Nothing matches" in text


@pytest.mark.usefixtures("_fleet")
def test_the_list_shows_what_a_device_runs_and_flags_another_name():
    text = body(administrator().get(list_of("devices_device")))
    assert "DCS-7050 4.28.3M" in text
    assert text.count("other name") == 1
    assert "It calls itself x" in text


# --- what retention would delete ---
def test_the_page_says_what_would_go_and_why_nothing_would():
    address = "/admin/devices/retentionrule/preview/"
    assert "There is no rule yet" in body(administrator().get(address))
    device = make_device("sw1")
    for age in (50, 40, 0):
        text = prepare(f"hostname sw1\nvlan {age + 1}\nend\n", "cisco_ios")
        save_version(device.pk, "running", text, timezone.now() - timedelta(days=age))
    save_rule(RetentionRule(), **dict.fromkeys(STEPS, 45))
    text = body(administrator("ruth").get(address))
    assert "1 version" in text
    assert "sw1" in text
    assert staff_with("devices.view_device").get(address).status_code == 403
