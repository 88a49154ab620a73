"""The natural order of versions, and what is found by it."""

from __future__ import annotations

import json
import random

import pytest
from django.utils import timezone

from devices.facts import DeviceFacts, hostname_differs, save_facts
from devices.models import Device
from devices.services import save_device
from devices.versions import version_key
from tests.commands import run

ORDERED = [
    ["5.0(3)U5(1f)", "6.0(2)U6(10)", "7.0(3)I7(8)", "9.2(4)", "9.3", "9.3(5)", "9.3(13)", "10.1(1)"],
    ["12.2(55)SE9", "12.2(55)SE10", "15.2(4)", "15.2(4)E7", "15.2(4)E10", "15.2(7)E", "16.3.9", "17.09.04a", "17.12.1"],
    ["18.4R2", "21.4", "21.4R3.15", "21.4R3-S2", "21.4R3-S2.3", "21.4R3-S10", "22.1R1"],
    ["6.4.9", "7.0.13", "v7.2.5", "7.2.10", "7.10.1"],
    ["6.48.6", "6.49.9", "6.49.10", "7.1beta6", "7.1rc4", "7.1", "7.1.1", "7.14rc1", "7.14"],
    ["4.28.3M", "4.29.2F", "4.29.2.1F", "4.30.0F", "4.30.1F"],
    ["9.8(2)", "9.12(4)", "9.16(4)19", "9.16(4)27"],
    ["10.0.9-h1", "10.1.6", "10.1.6-h6", "10.1.9-h3", "10.1.10", "10.2.0"],
    ["V200R005C00SPC500", "V200R019C10SPC500", "V200R019C10SPC600"],
    ["TiMOS-B-16.0.R9", "TiMOS-C-20.10.R4", "TiMOS-C-20.10.R12", "TiMOS-C-22.2.R1"],
    ["R77.30", "R80.40", "R81", "R81.20"],
    ["WC.16.10.0009", "WC.16.11.0002", "YA.16.11.0010"],
]


@pytest.mark.parametrize("versions", ORDERED, ids=lambda versions: versions[0])
def test_versions_are_ordered_as_their_makers_number_them(versions):
    shuffled = versions[:]
    random.Random(1).shuffle(shuffled)
    assert sorted(shuffled, key=version_key) == versions
    assert len({version_key(each) for each in versions}) == len(versions)


@pytest.mark.parametrize(
    ("one", "same"), [("17.9.4", "17.09.04"), ("9.3", "9.3.0"), ("v7.2", "7.2"), ("9.3(5)", "9.3.5")]
)
def test_the_same_version_written_in_two_ways_is_the_same(one, same):
    assert version_key(one) == version_key(same)


@pytest.mark.parametrize("version", ["", "unknown", "-", "rolling"])
def test_what_has_no_number_cannot_be_compared(version):
    assert version_key(version) == ""


def test_a_key_is_digits_alone_and_of_bounded_length():
    key = version_key("1.a" * 400)
    assert key.isdigit()
    assert len(key) <= 255


# --- in the database ------------------------------------------------------------------------------------
def known(name: str, version: str, platform: str = "cisco_nxos", **facts: str) -> Device:
    device = save_device(Device(), name=name, host="192.0.2.1", platform=platform, tags=["core"])
    save_facts(device.pk, {"vendor": "Cisco", "hostname": name, "version": version, **facts})
    return device


@pytest.fixture
def _fleet(db) -> None:
    known("n1", "9.2(4)", model="N9K")
    known("n2", "9.3(5)", model="N9K")
    known("n3", "10.1(1)")
    known("n4", "7.0(3)I7(8)", serial="SAL1")
    known("i1", "8.0", "cisco_ios", hostname="elsewhere.example.net")
    save_device(Device(), name="n5", host="192.0.2.1", platform="cisco_nxos", tags=[])


@pytest.mark.usefixtures("_fleet")
@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("<9.3", ["i1", "n1", "n4"]),
        ("<=9.3(5)", ["i1", "n1", "n2", "n4"]),
        (" > 9.3 ", ["n2", "n3"]),
        (">=9.3(5)", ["n2", "n3"]),
        ("9.", ["n1", "n2"]),
        ("", ["i1", "n1", "n2", "n3", "n4"]),
    ],
)
def test_facts_are_found_by_version(wanted, found):
    rows = DeviceFacts.objects.current().of_version(wanted).order_by("device__name")
    assert [row.device.name for row in rows] == found


@pytest.mark.usefixtures("_fleet")
@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--platform", "cisco_nxos", "--older-than", "9.3"], ["n1", "n4"]),
        (["--older-than", "9.3", "--at-least", "8.0"], ["i1", "n1"]),
        (["--newer-than", "9.3(5)"], ["n3"]),
        (["--other-name"], ["i1"]),
        (["--serial", "sal1"], ["n4"]),
        (["--vendor", "cisco", "--model", "n9k", "--tag", "core"], ["n1", "n2"]),
    ],
)
def test_the_command_finds_devices_by_their_facts(arguments, found):
    done = run("show_facts", *arguments, "--json")
    assert done.code == 0, done.err
    assert [row["device"] for row in json.loads(done.out)] == found


@pytest.mark.usefixtures("_fleet")
def test_the_command_shows_what_a_device_said_before():
    save_facts(Device.objects.get(name="n1").pk, {"version": "9.3(9)"})
    rows = json.loads(run("show_facts", "n1", "--json").out)
    assert [(row["version"], row["is_current"]) for row in rows] == [("9.3(9)", True), ("9.2(4)", False)]
    assert "not its name here" in run("show_facts", "i1").out


@pytest.mark.usefixtures("_fleet")
def test_the_command_says_what_it_cannot_do():
    assert "There is no number in the version" in run("show_facts", "--older-than", "old").err
    assert run("show_facts", "--older-than", "1.0").code == 1
    assert "was not asked yet" in run("show_facts", "n5").err


@pytest.mark.parametrize(
    ("name", "hostname"),
    [
        ("core1", "core1"), ("core1", "CORE1.example.net"), ("core1.example.net", "core1"), ("core1", "core2"),
        ("core1.a.example", "core1.b.example"), ("core1.a.example", "Core1.A.example"), ("core1", ""),
        ("10.0.0.1", "core1"), ("core1.", "core1"), (".core1", "core1"), ("core1", "."),
    ],
)  # fmt: skip
@pytest.mark.django_db
def test_the_database_flags_the_same_hostnames_as_the_page_does(name, hostname):
    device = save_device(Device(), name=name, host="192.0.2.1", platform="cisco_ios", tags=[])
    save_facts(device.pk, {"vendor": "Cisco", "hostname": hostname})
    for differs in (True, False):
        rows = DeviceFacts.objects.current().with_other_hostname(differs)
        assert rows.exists() is (hostname_differs(name, hostname) is differs)


# --- what is kept -----------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_a_new_version_keeps_what_this_answer_did_not_say():
    device = known("n1", "9.2(4)", model="N9K", serial="SAL1")
    save_facts(device.pk, {"version": "9.3(5)"})
    row = DeviceFacts.objects.current().get()
    assert (row.version, row.model, row.serial) == ("9.3(5)", "N9K", "SAL1")


@pytest.mark.django_db
def test_another_serial_number_is_another_device_of_which_nothing_is_kept():
    device = known("n1", "9.2(4)", model="N9K", serial="SAL1")
    save_facts(device.pk, {"version": "9.2(4)", "serial": "SAL2"}, timezone.now())
    row = DeviceFacts.objects.current().get()
    assert (row.serial, row.model) == ("SAL2", "")


@pytest.mark.django_db
def test_the_key_follows_a_version_that_becomes_known_later():
    device = save_device(Device(), name="n1", host="192.0.2.1", platform="cisco_nxos", tags=[])
    save_facts(device.pk, {"model": "N9K"})
    save_facts(device.pk, {"model": "N9K", "version": "9.2(4)"})
    assert DeviceFacts.objects.current().of_version("<9.3").count() == 1
