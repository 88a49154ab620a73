"""Secrets of configurations: seen and downloaded with rights of their own, and each time recorded."""

from __future__ import annotations

import pytest
from django.db import DatabaseError

from credentials.models import AuditEvent
from devices.configs.normalise import restorable
from devices.models import ConfigVersion
from tests.commands import run
from tests.netraven_site.api_helpers import client_with, make_device, make_version
from tests.netraven_site.pages import body, page_of, staff_with, text_of

pytestmark = pytest.mark.django_db

CANARY = "canaryOfTheConfig7"
TEXT = f"""Building configuration...

Current configuration : 99 bytes
!
! Last configuration change at 10:00:00 UTC Mon Mar 2 2026 by olga
!
hostname sw1
snmp-server community {CANARY} RO
interface Vlan1
 description uplink
!
end
"""
VIEW, REVEAL, RESTORE = "devices.view_configversion", "devices.reveal_configversion", "devices.restore_configversion"
VERSIONS = "devices_configversion"


@pytest.fixture
def version() -> ConfigVersion:
    return make_version(make_device(), TEXT)


def records() -> list[tuple[object, ...]]:
    rows = AuditEvent.objects.filter(event__startswith="config.").order_by("id")
    return [(row.event, row.outcome, row.actor, row.device, row.device_name, row.data["version"]) for row in rows]


def recorded(event: str, by: str, version: ConfigVersion) -> list[tuple[object, ...]]:
    """On record before the text was opened, and afterwards."""
    return [(event, outcome, by, version.device_id, "sw1", 1) for outcome in ("intent", "done")]


def test_the_page_shows_secrets_to_whoever_may_see_them_and_records_it(version) -> None:
    client = staff_with(VIEW, REVEAL)
    assert CANARY not in body(client.get(page_of(VERSIONS, version.pk)))
    assert records() == []
    answer = client.post(page_of(VERSIONS, version.pk, "reveal"))
    assert f"snmp-server community {CANARY} RO" in text_of(answer)
    assert "no-store" in answer["Cache-Control"]
    assert records() == recorded("config.revealed", "nils", version)


def test_the_restore_file_has_the_secrets_and_no_line_that_only_describes_the_dump(version) -> None:
    answer = staff_with(VIEW, RESTORE).post(page_of(VERSIONS, version.pk, "restore"))
    assert answer["Content-Disposition"] == 'attachment; filename="sw1-v1-restore.txt"'
    assert "no-store" in answer["Cache-Control"]
    assert CANARY in body(answer)
    assert "Building configuration" not in body(answer)
    assert "Current configuration :" not in body(answer)
    assert body(answer).endswith("!\nend\n")
    assert records() == recorded("config.restore_file", "nils", version)


@pytest.mark.parametrize(("page", "right"), [("reveal", RESTORE), ("restore", REVEAL)])
def test_each_needs_its_own_right(version, page, right) -> None:
    answer = staff_with(VIEW, right).post(page_of(VERSIONS, version.pk, page))
    assert answer.status_code == 403
    assert CANARY not in body(answer)
    assert records() == []


@pytest.mark.parametrize("page", ["reveal", "restore"])
def test_looking_at_the_address_alone_reveals_nothing(version, page) -> None:
    answer = staff_with(VIEW, REVEAL, RESTORE).get(page_of(VERSIONS, version.pk, page))
    assert answer.status_code == 302
    assert records() == []


def test_the_right_to_reveal_is_of_no_use_without_the_one_to_see(version) -> None:
    assert staff_with(REVEAL).post(page_of(VERSIONS, version.pk, "reveal")).status_code == 403


def test_the_buttons_are_there_for_whoever_may_use_them(version) -> None:
    page = page_of(VERSIONS, version.pk)
    assert "/reveal/" not in body(staff_with(VIEW, name="olga").get(page))
    assert "/restore/" not in body(staff_with(VIEW, REVEAL, name="piet").get(page))
    assert "/reveal/" in body(staff_with(VIEW, REVEAL).get(page))


@pytest.mark.parametrize(
    ("action", "right", "event"),
    [("reveal", REVEAL, "config.revealed"), ("restore-file", RESTORE, "config.restore_file")],
)
def test_the_api_needs_the_right_and_records_it(version, action, right, event) -> None:
    url = f"/api/v1/versions/{version.pk}/{action}/"
    refused = client_with(VIEW, name="piet").post(url)
    assert refused.status_code == 403
    assert right in refused.json()["detail"]
    client = client_with(VIEW, right)
    assert client.get(url).status_code == 405
    assert records() == []
    answer = client.post(url)
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["Cache-Control"] == "no-store"
    assert CANARY in answer.content.decode()
    assert records() == recorded(event, "olga", version)


@pytest.mark.parametrize(
    ("option", "event"), [("--reveal", "config.revealed"), ("--for-restore", "config.restore_file")]
)
def test_the_command_records_who_ran_it(version, monkeypatch, option, event) -> None:
    monkeypatch.setattr("devices.management.commands.show_config.operator", lambda: "root")
    assert CANARY not in run("show_config", "sw1").out
    assert CANARY in run("show_config", "sw1", option).out
    assert records() == recorded(event, "root", version)


def test_no_record_holds_a_secret(version) -> None:
    client = staff_with(VIEW, REVEAL, RESTORE)
    for page in ("reveal", "restore"):
        client.post(page_of(VERSIONS, version.pk, page))
    assert len(records()) == 4
    assert CANARY not in "".join(AuditEvent.objects.values_list("details", flat=True))


def test_what_is_not_on_record_is_not_revealed(version, monkeypatch) -> None:
    def refuse(*args: object) -> None:
        raise DatabaseError("the disk is full")

    client = staff_with(VIEW, REVEAL)
    monkeypatch.setattr("credentials.audit.trail._write", refuse)
    with pytest.raises(DatabaseError):
        client.post(page_of(VERSIONS, version.pk, "reveal"))


def test_what_is_restored_is_the_text_but_for_volatile_lines() -> None:
    text = "! NVRAM config last updated at 10:00:00\nntp clock-period 17179869\n\nhostname r1\n!\n\nend\n"
    assert restorable(text, "cisco_ios") == "hostname r1\n!\n\nend\n"
    assert restorable("set system host-name r1\n\nset x\n", "juniper_junos") == "set system host-name r1\n\nset x\n"
