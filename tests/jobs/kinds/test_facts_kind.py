"""The kind `facts`, and the history that it keeps."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from devices.facts import DeviceFacts, hostname_differs, save_facts
from devices.models import Device
from devices.services import save_device
from devices.simulator.fleet import SimulatedFleet
from devices.simulator.spec import Fault, SimDevice, SimLogin
from tests.jobs.fleet import credential, register, run_now

LOGIN = (SimLogin("ops", "right"),)
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _quick(settings):
    settings.NETRAVEN_RETRIES = 0
    settings.NETRAVEN_CONNECT_TIMEOUT_S = 3


def facts_of(*devices: SimDevice):
    with SimulatedFleet(devices) as fleet:
        register(fleet)
        credential("right", "right", allow_telnet=True)
        return run_now("facts")[1]


@pytest.mark.parametrize(
    ("platform", "known"),
    [
        ("cisco_ios", {"vendor", "model", "serial", "version", "hostname", "uptime_s"}),
        ("cisco_xe", {"vendor", "model", "serial", "version", "hostname", "uptime_s"}),
        ("cisco_nxos", {"vendor", "model", "serial", "version", "hostname", "uptime_s"}),
        ("arista_eos", {"vendor", "model", "serial", "version", "uptime_s"}),
        ("juniper_junos", {"vendor", "model", "version", "hostname"}),
        ("huawei", {"vendor", "model", "version", "uptime_s"}),
        ("hp_comware", {"vendor", "model", "version", "uptime_s"}),
        ("fortinet", {"vendor", "model", "serial", "version", "hostname"}),
        ("mikrotik_routeros", {"vendor", "model", "version", "uptime_s"}),
    ],
)
def test_each_platform_tells_what_it_is(platform, known):
    result = facts_of(SimDevice("r1", platform, LOGIN))["r1"]
    assert result.outcome == "success", result.detail
    assert known <= set(result.data)
    assert not result.data["hostname_differs"], result.detail
    row = DeviceFacts.objects.get(device__name="r1")
    assert (row.vendor, row.model, row.version) == (
        result.data["vendor"],
        result.data["model"],
        result.data["version"],
    )


def test_over_telnet_it_is_the_same():
    result = facts_of(SimDevice("r1", "cisco_ios", LOGIN, transport="telnet"))["r1"]
    assert result.outcome == "success", result.detail
    assert result.data["hostname"] == "r1"


def test_a_device_that_calls_itself_otherwise_is_flagged():
    with SimulatedFleet([SimDevice("r1", "cisco_ios", LOGIN)]) as fleet:
        save_device(register(fleet)["r1"], name="ams-core-01")
        credential("right", "right")
        (result,) = run_now("facts")[1].values()
    assert result.outcome == "success"
    assert result.data["hostname_differs"]
    assert result.detail == "It calls itself r1, which is not its name here."


def test_a_device_that_refuses_the_question_leaves_what_was_known():
    with SimulatedFleet([SimDevice("r1", "cisco_ios", LOGIN)]) as fleet:
        register(fleet)
        credential("right", "right")
        run_now("facts")
        fleet.device("r1").set_faults(Fault.UNKNOWN_COMMAND)
        _, results = run_now("facts")
    assert results["r1"].outcome == "command_error"
    assert "% Invalid input" in results["r1"].detail
    assert DeviceFacts.objects.get().model


# --- the history ---


@pytest.fixture
def device():
    return save_device(Device(), name="r1", host="10.0.0.1", platform="cisco_ios", tags=[])


BASE = {"vendor": "Cisco", "model": "C9300", "serial": "FOC1", "version": "17.9.4", "hostname": "r1", "uptime_s": 10}


def test_the_same_facts_are_one_row_that_was_seen_later(device):
    start = timezone.now() - timedelta(days=3)
    save_facts(device.pk, BASE, start)
    save_facts(device.pk, {**BASE, "uptime_s": 99}, start + timedelta(days=1))
    row = DeviceFacts.objects.get()
    assert (row.first_seen_at, row.last_seen_at) == (start, start + timedelta(days=1))
    assert row.uptime_s == 99


def test_a_new_version_is_a_new_row_and_the_one_before_stays(device):
    save_facts(device.pk, BASE)
    save_facts(device.pk, {**BASE, "version": "17.12.1"})
    rows = list(DeviceFacts.objects.order_by("pk").values_list("version", "is_current"))
    assert rows == [("17.9.4", False), ("17.12.1", True)]


def test_going_back_to_an_earlier_version_is_a_row_of_its_own(device):
    for version in ("17.9.4", "17.12.1", "17.9.4"):
        save_facts(device.pk, {**BASE, "version": version})
    assert [row.version for row in DeviceFacts.objects.order_by("pk")] == ["17.9.4", "17.12.1", "17.9.4"]
    assert DeviceFacts.objects.get(is_current=True).version == "17.9.4"


def test_what_is_not_known_this_time_is_no_change(device):
    save_facts(device.pk, BASE)
    save_facts(device.pk, {"vendor": "Cisco", "model": "C9300"})
    row = DeviceFacts.objects.get()
    assert (row.serial, row.version) == ("FOC1", "17.9.4")


def test_what_becomes_known_is_filled_in(device):
    save_facts(device.pk, {"vendor": "Cisco", "model": "C9300"})
    save_facts(device.pk, BASE)
    assert DeviceFacts.objects.get().serial == "FOC1"


def test_doing_it_twice_changes_nothing(device):
    now = timezone.now()
    first = save_facts(device.pk, BASE, now)
    second = save_facts(device.pk, BASE, now)
    assert first == second
    assert DeviceFacts.objects.count() == 1


def test_nothing_is_kept_of_a_device_that_said_nothing_or_is_gone(device):
    assert save_facts(device.pk, {"uptime_s": 5}) is None
    assert save_facts(device.pk + 1, BASE) is None
    assert not DeviceFacts.objects.exists()


@pytest.mark.parametrize(
    ("name", "hostname", "differs"),
    [
        ("r1", "r1", False),
        ("r1", "R1", False),
        ("r1", "r1.example.net", False),
        ("r1.example.net", "r1", False),
        ("r1.example.net", "r1.example.org", True),
        ("r1", "r2", True),
        ("r1", "", False),
        ("r1", "r10", True),
    ],
)
def test_case_and_domain_make_no_other_name(name, hostname, differs):
    assert hostname_differs(name, hostname) is differs
