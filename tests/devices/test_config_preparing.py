"""What a text costs before it is stored: nothing that an unchanged one does not need."""

from __future__ import annotations

import zlib

import pytest

from devices.configs import store
from devices.configs.keeping import keep, last_versions, save_all
from devices.configs.store import PreparedText, complete_text, latest, prepare, save_version, version_text
from devices.models import ConfigText, Device
from devices.services import save_device
from tests.credentials.sealed import ANY

pytestmark = pytest.mark.django_db
TEXT = "Current configuration : 321 bytes\nhostname r1\nenable secret 5 $1$abcd$CanaryHashOfEnable0000.\nend\n"


@pytest.fixture
def device() -> Device:
    made = save_device(Device(), name="r1", host="192.0.2.1", platform="cisco_ios", tags=["lab"])
    save_version(made.pk, "running", prepare(TEXT, "cisco_ios"))
    return made


def forbid(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def called(*_: object) -> str:
        raise AssertionError(f"{name} was called")

    monkeypatch.setattr(store, name, called)


def keep_again(device: Device, text: PreparedText) -> bool:
    last = last_versions([device.pk], "running")[device.pk]
    return save_all([keep(device.pk, "running", text, last, TEXT)])[0].changed


def test_the_very_text_of_the_last_version_is_neither_normalised_nor_redacted(device, monkeypatch):
    forbid("normalise", monkeypatch)
    forbid("redact", monkeypatch)
    last = last_versions([device.pk], "running")[device.pk]
    assert not keep_again(device, prepare(TEXT, "cisco_ios", last))


def test_a_text_that_differs_in_volatile_lines_alone_is_not_redacted(device, monkeypatch):
    forbid("redact", monkeypatch)
    last = last_versions([device.pk], "running")[device.pk]
    assert not keep_again(device, prepare(TEXT.replace("321", "322"), "cisco_ios", last))


def test_a_changed_text_is_redacted_before_it_is_stored(device, monkeypatch):
    last = last_versions([device.pk], "running")[device.pk]
    ready = keep(device.pk, "running", prepare(TEXT + "vlan 7\n", "cisco_ios", last), last, TEXT)
    forbid("redact", monkeypatch)
    assert save_all([ready])[0].changed
    text = version_text(latest(device.pk))
    assert "vlan 7" in text
    assert "CanaryHash" not in text


def test_a_text_packed_at_another_level_is_read(device):
    row = ConfigText.objects.get()
    for level in (1, 6, 9):
        row.packed = zlib.compress(b"hostname old\n", level)
        row.save()
        assert version_text(latest(device.pk)) == "hostname old\n"


def test_the_complete_text_is_kept_to_the_byte(device):
    assert complete_text(latest(device.pk), ANY) == TEXT


def test_a_prepared_text_does_not_print_its_secrets():
    assert "CanaryHash" not in repr(prepare(TEXT, "cisco_ios"))
