"""Host keys: pinned, queued, decided; an impostor never gets further."""

from __future__ import annotations

import base64

import pytest

from credentials.models import AuditEvent
from devices.choices import HostKeyState
from devices.connector.target import HostKeyData
from devices.models import Device, HostKey
from devices.services import (
    StaleDecision,
    admit_host_key,
    admit_host_keys,
    approve_host_key,
    reject_host_key,
    save_device,
)

pytestmark = pytest.mark.django_db


def key(text: str, key_type: str = "ssh-ed25519") -> HostKeyData:
    return HostKeyData(key_type, base64.b64encode(text.encode()).decode())


@pytest.fixture
def device() -> Device:
    return save_device(Device(), name="r1", host="192.0.2.1", platform="cisco_ios", tags=["lab"])


def states(device: Device) -> list[tuple[str, str]]:
    return [(k.key_type, k.state) for k in HostKey.objects.filter(device=device).order_by("pk")]


def test_the_first_key_is_pinned(device):
    assert admit_host_key(device.pk, key("a")) is None
    assert states(device) == [("ssh-ed25519", HostKeyState.PINNED)]


def test_the_pinned_key_passes_again(device):
    admit_host_key(device.pk, key("a"))
    assert admit_host_key(device.pk, key("a")) is None


def test_another_key_is_refused_and_waits(device):
    admit_host_key(device.pk, key("a"))
    verdict = admit_host_key(device.pk, key("b"))
    assert verdict is not None
    assert verdict.changed
    assert key("b").fingerprint in verdict.detail
    assert key("a").fingerprint in verdict.detail


def test_a_key_of_another_type_is_no_second_first_contact(device):
    admit_host_key(device.pk, key("a"))
    verdict = admit_host_key(device.pk, key("b", "ssh-rsa"))
    assert verdict is not None
    assert verdict.changed


def test_under_the_policy_approve_the_first_key_waits(device, settings):
    settings.NETRAVEN_HOST_KEY_POLICY = "approve"
    verdict = admit_host_key(device.pk, key("a"))
    assert verdict is not None
    assert not verdict.changed


def test_a_waiting_key_does_not_pass_by_being_shown_again(device, settings):
    settings.NETRAVEN_HOST_KEY_POLICY = "approve"
    admit_host_key(device.pk, key("a"))
    settings.NETRAVEN_HOST_KEY_POLICY = "first-use"
    assert admit_host_key(device.pk, key("a")) is not None


def test_an_approved_key_passes_and_the_old_one_no_longer_does(device):
    admit_host_key(device.pk, key("a"))
    admit_host_key(device.pk, key("b"))
    approve_host_key(HostKey.objects.get(state=HostKeyState.PENDING), None)
    assert admit_host_key(device.pk, key("b")) is None
    assert admit_host_key(device.pk, key("a")) is not None


def test_a_rejected_key_waits_again_when_it_comes_back(device):
    admit_host_key(device.pk, key("a"))
    admit_host_key(device.pk, key("b"))
    reject_host_key(HostKey.objects.get(state=HostKeyState.PENDING), None)
    assert not HostKey.objects.filter(state=HostKeyState.PENDING).exists()
    assert admit_host_key(device.pk, key("b")) is not None
    assert HostKey.objects.filter(state=HostKeyState.PENDING).count() == 1


@pytest.mark.parametrize("admit", [admit_host_key, lambda *shown: admit_host_keys([shown])[0]], ids=["one", "many"])
def test_after_another_key_the_pinned_one_does_not_pass_either_until_a_person_decides(device, admit):
    admit(device.pk, key("a"))
    admit(device.pk, key("b"))
    verdict = admit(device.pk, key("a"))
    assert verdict is not None
    assert verdict.changed
    assert key("b").fingerprint in verdict.detail
    reject_host_key(HostKey.objects.get(state=HostKeyState.PENDING), None)
    assert admit(device.pk, key("a")) is None


def test_approving_what_a_person_did_not_see_is_refused(device):
    admit_host_key(device.pk, key("a"))
    admit_host_key(device.pk, key("b"))
    waiting = HostKey.objects.get(state=HostKeyState.PENDING)
    with pytest.raises(StaleDecision):
        approve_host_key(waiting, None, fingerprint=key("a").fingerprint)


def test_approving_a_key_after_yet_another_was_shown_is_refused(device):
    admit_host_key(device.pk, key("a"))
    admit_host_key(device.pk, key("b"))
    older = HostKey.objects.get(state=HostKeyState.PENDING)
    admit_host_key(device.pk, key("c"))
    with pytest.raises(StaleDecision):
        approve_host_key(older, None)


def test_approving_twice_is_refused(device):
    admit_host_key(device.pk, key("a"))
    admit_host_key(device.pk, key("b"))
    waiting = HostKey.objects.get(state=HostKeyState.PENDING)
    approve_host_key(waiting, None)
    with pytest.raises(StaleDecision):
        approve_host_key(waiting, None)


def test_a_fingerprint_is_written_as_openssh_writes_it():
    assert key("a").fingerprint.startswith("SHA256:")
    assert not key("a").fingerprint.endswith("=")


def test_decisions_are_recorded_with_fingerprints(device, django_user_model):
    alice = django_user_model.objects.create(username="alice")
    admit_host_key(device.pk, key("a"))
    admit_host_key(device.pk, key("b"))
    approve_host_key(HostKey.objects.get(state=HostKeyState.PENDING), alice)
    admit_host_key(device.pk, key("c"))
    reject_host_key(HostKey.objects.get(state=HostKeyState.PENDING), alice)
    approved, refused = AuditEvent.objects.filter(event__startswith="host_key.").order_by("id")
    assert (approved.event, approved.actor, approved.device_name) == ("host_key.approved", "alice", "r1")
    assert approved.data["fingerprint"] == key("b").fingerprint
    assert approved.data["retired"] == [key("a").fingerprint]
    assert (refused.event, refused.data["fingerprint"]) == ("host_key.refused", key("c").fingerprint)
