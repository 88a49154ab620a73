"""Configuration versions: one row a distinct text, complete only under seal."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from devices.configs.store import by_number, complete_text, latest, prepare, save_version, version_text
from devices.models import ConfigText, ConfigVersion, Device
from devices.services import save_device
from tests.credentials.sealed import ANY

pytestmark = pytest.mark.django_db
WHEN = datetime(2026, 3, 1, tzinfo=UTC)
CONFIG = """Building configuration...

Current configuration : 321 bytes
!
! Last configuration change at {when} UTC Mon Mar 2 2026 by ops
!
version 15.2
hostname r1
enable secret 5 $1$abcd$CanaryHashOfEnable0000.
snmp-server community CanaryCommunity77 RO
interface GigabitEthernet0/1
 description {description}
 ip address 192.0.2.1 255.255.255.0
!
end
"""


def config(when: str = "10:00:00", description: str = "uplink", secret: str = "CanaryCommunity77") -> str:
    return CONFIG.format(when=when, description=description).replace("CanaryCommunity77", secret)


@pytest.fixture
def devices() -> list[Device]:
    return [
        save_device(Device(), name=name, host="192.0.2.1", platform="cisco_ios", tags=["lab"]) for name in ("r1", "r2")
    ]


def save(device: Device, text: str, at: datetime = WHEN):
    return save_version(device.pk, "running", prepare(text, "cisco_ios"), at)


def test_the_first_text_is_version_one(devices):
    saved = save(devices[0], config())
    assert (saved.version.number, saved.changed) == (1, True)


def test_a_text_that_differs_in_volatile_lines_alone_is_no_new_version(devices):
    save(devices[0], config("10:00:00"))
    saved = save(devices[0], config("11:11:11"), WHEN + timedelta(days=1))
    assert (saved.version.number, saved.changed) == (1, False)
    assert latest(devices[0].pk).last_seen_at == WHEN + timedelta(days=1)
    assert ConfigText.objects.count() == 1


def test_a_real_change_is_a_new_version_with_a_summary(devices):
    save(devices[0], config())
    saved = save(devices[0], config(description="downlink"))
    assert (saved.version.number, saved.changed) == (2, True)
    assert "GigabitEthernet0/1" in saved.version.summary


def test_a_text_that_came_back_is_a_version_again(devices):
    for description in ("a", "b", "a"):
        save(devices[0], config(description=description))
    assert latest(devices[0].pk).number == 3
    assert ConfigText.objects.count() == 2


def test_the_same_text_on_two_devices_is_kept_once(devices):
    for device in devices:
        save(device, config())
    assert ConfigVersion.objects.count() == 2
    assert ConfigText.objects.count() == 1


def test_the_shown_text_has_placeholders_for_secrets(devices):
    shown = version_text(save(devices[0], config()).version)
    assert "CanaryCommunity77" not in shown
    assert "CanaryHashOfEnable" not in shown
    assert "hostname r1" in shown


def test_a_changed_secret_is_a_change_that_shows(devices):
    save(devices[0], config())
    saved = save(devices[0], config(secret="OtherCommunity"))
    assert saved.changed
    assert version_text(by_number(devices[0].pk, 1)) != version_text(by_number(devices[0].pk, 2))


def test_the_complete_text_comes_back_byte_for_byte(devices):
    text = config() + "! äöü\n"
    assert complete_text(save(devices[0], text).version, ANY) == text


def test_no_secret_stands_in_the_database(devices):
    save(devices[0], config())
    with connection.cursor() as cursor:
        cursor.execute("SELECT packed, sealed, digest FROM devices_configtext")
        row = b"".join(bytes(v) if isinstance(v, bytes | memoryview) else str(v).encode() for v in cursor.fetchone())
    assert b"Canary" not in row
    assert sqlite3.sqlite_version


def test_versions_go_on_when_a_device_is_renamed(devices):
    save(devices[0], config())
    save_device(devices[0], name="renamed")
    assert latest(devices[0].pk).number == 1
