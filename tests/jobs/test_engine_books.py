"""The books of a shard: host keys of many devices at once, and results of many kinds in one batch."""

from __future__ import annotations

import base64

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from devices.choices import HostKeyState
from devices.connector.target import HostKeyData
from devices.models import HostKey
from devices.services import admit_host_keys
from jobs.engine.books import store_all
from jobs.kinds import Stored
from tests.jobs.engine_kinds import named

pytestmark = pytest.mark.django_db(transaction=True)


def key(text: str) -> HostKeyData:
    return HostKeyData("ssh-ed25519", base64.b64encode(text.encode()).decode())


@transaction.atomic
def admit(*shown):
    return admit_host_keys([(device.pk, found) for device, found in shown])


def test_first_contacts_of_many_devices_are_pinned_in_a_few_statements():
    devices = list(named(*(f"d{n}" for n in range(20))).values())
    with CaptureQueriesContext(connection) as captured:
        assert admit(*((device, key(device.name)) for device in devices)) == [None] * 20
    assert len(captured) < 10
    assert HostKey.objects.filter(state=HostKeyState.PINNED).count() == 20
    assert admit(*((device, key(device.name)) for device in devices)) == [None] * 20


def test_among_many_a_changed_key_is_refused_and_waits():
    one, two = named("one", "two").values()
    admit((one, key("a")), (two, key("b")))
    verdicts = admit((one, key("a")), (two, key("c")))
    assert verdicts[0] is None
    assert verdicts[1].changed
    assert HostKey.objects.get(device=two, state=HostKeyState.PENDING).public_key == key("c").public_key


def test_of_two_keys_that_a_device_shows_at_its_first_contact_one_is_pinned():
    (one,) = named("one").values()
    verdicts = admit((one, key("a")), (one, key("b")))
    assert verdicts[0] is None
    assert verdicts[1].changed
    assert HostKey.objects.get(state=HostKeyState.PINNED).public_key == key("a").public_key


def test_with_the_policy_approve_no_first_contact_is_pinned(settings):
    settings.NETRAVEN_HOST_KEY_POLICY = "approve"
    (one,) = named("one").values()
    (verdict,) = admit((one, key("a")))
    assert not verdict.changed
    assert HostKey.objects.get().state == HostKeyState.PENDING


def test_stores_that_know_how_to_are_written_together_and_each_gets_its_own_answer():
    calls = []

    class Numbered:
        def __init__(self, number):
            self.number = number

        def __call__(self):
            raise AssertionError

        @staticmethod
        def together(stores):
            calls.append(len(stores))
            return [Stored(detail=str(store.number)) for store in stores]

    found = store_all([Numbered(1), lambda: Stored(detail="alone"), None, Numbered(2)])
    assert [stored.detail for stored in found] == ["1", "alone", "", "2"]
    assert calls == [2]
