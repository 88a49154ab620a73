"""Facts and retention through the API, with the rights that each needs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from taggit.models import Tag

from devices.configs.store import prepare, save_version
from devices.facts import save_facts
from devices.models import ConfigVersion, Device
from devices.retention import RetentionRule
from tests.netraven_site.api_helpers import ROOT, admin_client, client_with, make_device

pytestmark = pytest.mark.django_db


@pytest.fixture
def _fleet() -> None:
    for name, version, hostname in (("n1", "9.2(4)", "n1"), ("n2", "9.3(5)", "N2.example.net"), ("n3", "10.1(1)", "x")):
        device = make_device(name, platform="cisco_nxos")
        save_facts(device.pk, {"vendor": "Cisco", "version": version, "hostname": hostname, "serial": f"SAL{name}"})
    save_facts(Device.objects.get(name="n2").pk, {"version": "9.3(9)"})
    make_device("n4")


def names(answer, field: str = "name") -> list[str]:
    assert answer.status_code == 200, answer.data
    return [row[field] for row in answer.json()["results"]]


@pytest.mark.usefixtures("_fleet")
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("platform=cisco_nxos&version__lt=9.3", ["n1"]),
        ("version__gte=9.3(9)", ["n2", "n3"]),
        ("version__gt=9.3&version__lt=10", ["n2"]),
        ("version=9.3(5)", []),
        ("vendor=cisco", ["n1", "n2", "n3"]),
        ("serial=saln3", ["n3"]),
        ("hostname_differs=true", ["n3"]),
        ("hostname_differs=false", ["n1", "n2"]),
        ("search=SALn1", ["n1"]),
        ("", ["n1", "n2", "n3", "n4"]),
    ],
)
def test_devices_are_found_by_their_facts(query, found):
    assert names(client_with("devices.view_device").get(f"{ROOT}devices/?{query}")) == found


@pytest.mark.usefixtures("_fleet")
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["n1", "n2", "n3"]),
        ("version__lt=9.3", ["n1"]),
        ("tag=core&hostname_differs=true", ["n3"]),
        ("history=true&version__gte=9.3&version__lt=10", ["n2", "n2"]),
        ("ordering=-version_key", ["n3", "n2", "n1"]),
    ],
)
def test_facts_are_listed(query, found):
    assert names(client_with("devices.view_device").get(f"{ROOT}facts/?{query}"), "device_name") == found


@pytest.mark.usefixtures("_fleet")
def test_a_device_has_its_facts_and_their_history():
    client = client_with("devices.view_device")
    device = Device.objects.get(name="n3")
    facts = client.get(f"{ROOT}devices/{device.pk}/").json()["facts"]
    assert (facts["version"], facts["hostname"], facts["hostname_differs"]) == ("10.1(1)", "x", True)
    assert client.get(f"{ROOT}devices/{Device.objects.get(name='n4').pk}/").json()["facts"] is None
    history = client.get(f"{ROOT}devices/{Device.objects.get(name='n2').pk}/facts/").json()["results"]
    assert [(row["version"], row["is_current"]) for row in history] == [("9.3(9)", True), ("9.3(5)", False)]


@pytest.mark.usefixtures("_fleet")
def test_a_list_of_devices_reads_all_facts_at_once(django_assert_max_num_queries):
    client = client_with("devices.view_device")
    client.get(f"{ROOT}devices/")
    with django_assert_max_num_queries(14):
        client.get(f"{ROOT}devices/")


def test_a_version_without_a_number_is_refused():
    answer = client_with("devices.view_device").get(f"{ROOT}devices/?version__lt=old")
    assert answer.status_code == 400
    assert "There is no number in it" in answer.json()["errors"]["version__lt"][0]


def test_facts_need_the_right_to_see_devices():
    assert client_with("devices.view_configversion").get(f"{ROOT}facts/").status_code == 403


# --- retention --------------------------------------------------------------------------------------------
def versions(name: str, *ages: int) -> Device:
    """A device with one version for each age in days, each seen once."""
    device = make_device(name)
    for number, age in enumerate(ages):
        text = prepare(f"hostname {name}\nvlan {number}\nend\n", "cisco_ios")
        save_version(device.pk, "running", text, timezone.now() - timedelta(days=age))
    return device


def test_a_rule_is_made_changed_and_deleted():
    client = admin_client()
    make_device("sw1")
    answer = client.post(f"{ROOT}retention-rules/", {"tag": "core", "all_days": 5, "monthly_days": 800}, format="json")
    assert answer.status_code == 201, answer.data
    rule = RetentionRule.objects.get()
    assert (rule.tag, rule.steps) == (Tag.objects.get(name="core"), (5, 365, 730, 800))
    assert client.patch(f"{ROOT}retention-rules/{rule.pk}/", {"all_days": 7}, format="json").json()["all_days"] == 7
    rule.refresh_from_db()
    assert (rule.steps, rule.tag) == ((7, 365, 730, 800), Tag.objects.get(name="core"))
    assert client.delete(f"{ROOT}retention-rules/{rule.pk}/").status_code == 204


def test_a_second_rule_for_all_and_one_for_both_are_refused():
    client = admin_client()
    make_device("sw1")
    assert client.post(f"{ROOT}retention-rules/", {}, format="json").status_code == 201
    assert "already" in str(client.post(f"{ROOT}retention-rules/", {}, format="json").json())
    both = client.post(f"{ROOT}retention-rules/", {"device": "sw1", "tag": "core"}, format="json")
    assert (both.status_code, "not for both" in str(both.json())) == (400, True)


def test_the_preview_says_what_pruning_then_deletes():
    versions("sw1", 50, 40, 30, 0)
    versions("sw2", 900)
    client = admin_client()
    steps = dict.fromkeys(("all_days", "daily_days", "weekly_days", "monthly_days"), 35)
    assert client.post(f"{ROOT}retention-rules/", steps, format="json").status_code == 201
    rows = client.get(f"{ROOT}retention-rules/preview/").json()["results"]
    assert [(row["device"], row["versions"], row["of"]) for row in rows] == [("sw1", 2, 4)]
    assert ConfigVersion.objects.count() == 5
    answer = client.post(f"{ROOT}retention-rules/prune/", {}, format="json")
    assert answer.json() == {"versions": 2, "texts": 2, "is_complete": True}
    assert sorted(ConfigVersion.objects.values_list("device__name", "number")) == [("sw1", 3), ("sw1", 4), ("sw2", 1)]
    assert client.get(f"{ROOT}retention-rules/preview/").json()["results"] == []


def test_pruning_needs_the_right_to_delete_versions():
    client = client_with("devices.view_retentionrule", "devices.change_retentionrule")
    assert client.get(f"{ROOT}retention-rules/preview/").status_code == 200
    assert client.post(f"{ROOT}retention-rules/prune/", {}, format="json").status_code == 403
