"""Answers that were no whole configuration: kept aside, accepted by a word, declined, overtaken."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User

from credentials.audit.models import AuditEvent
from devices.asides import KeptAside
from devices.choices import AsideState
from devices.configs.asides import CannotDecide, accept, aside_text, decline, drop_overtaken, set_aside, waiting
from devices.configs.integrity import ReasonCode, Verdict
from devices.configs.store import complete_text, forget_unused_texts, latest, prepare, save_version
from devices.models import ConfigText, ConfigVersion, Device
from devices.services import save_device
from tests.credentials.sealed import ANY

pytestmark = pytest.mark.django_db
WHEN = datetime(2026, 3, 1, tzinfo=UTC)
SMALL = """! Last configuration change at 10:00:00 UTC Mon Mar 2 2026 by olga
hostname r1
snmp-server community Canary77community RO
end
"""


@pytest.fixture
def device() -> Device:
    made = save_device(Device(), name="r1", host="192.0.2.1", platform="cisco_ios", tags=["lab"])
    whole = "hostname r1\n" + "\n".join(f"vlan {n}" for n in range(99)) + "\nend\n"
    save_version(made.pk, "running", prepare(whole, "cisco_ios"), WHEN)
    return made


def aside(device: Device, text: str = SMALL, code: str = ReasonCode.SIZE_DROP, days: int = 1) -> KeptAside:
    verdict = Verdict(False, "less than half of the last good text", "end", ReasonCode(code))
    return set_aside(device.pk, "running", prepare(text, "cisco_ios"), verdict, "end", WHEN + timedelta(days=days))


def test_an_answer_waits_with_its_reason_and_without_its_secrets(device):
    row = aside(device)
    assert list(waiting()) == [row]
    assert (row.reason_code, row.reason, row.evidence) == ("size_drop", "less than half of the last good text", "end")
    assert "Canary77community" not in aside_text(row)
    assert "snmp-server community <secret:" in aside_text(row)
    assert latest(device.pk).number == 1


def test_the_same_answer_again_is_counted(device):
    aside(device)
    row = aside(device, days=2)
    assert (row.times, KeptAside.objects.count()) == (2, 1)
    assert (row.first_seen_at, row.last_seen_at) == (WHEN + timedelta(days=1), WHEN + timedelta(days=2))


def test_another_answer_takes_its_place_and_its_text_goes(device):
    aside(device)
    row = aside(device, SMALL.replace("r1", "r2"), ReasonCode.NO_END_MARKER, 2)
    assert (KeptAside.objects.count(), row.times, row.reason_code) == (1, 1, "no_end_marker")
    assert ConfigText.objects.count() == 2


def test_an_accepted_one_is_the_latest_version_complete_and_with_its_summary(device):
    user = User.objects.create_user("olga")
    version = accept(aside(device), user)
    assert latest(device.pk) == version
    assert (version.number, version.changed_by) == (2, "olga")
    assert "vlan" in version.summary
    assert complete_text(version, ANY) == SMALL
    row = KeptAside.objects.get()
    assert (row.state, row.decided_by, row.version) == (AsideState.ACCEPTED, user, version)
    assert not waiting().exists()


def test_after_that_the_same_answer_is_the_version_it_became(device):
    accept(aside(device), None)
    saved = save_version(device.pk, "running", prepare(SMALL, "cisco_ios"), WHEN + timedelta(days=3))
    assert (saved.changed, saved.version.number) == (False, 2)


@pytest.mark.parametrize("code", [code for code in ReasonCode if code not in ("whole", "size_drop", "tail_missing")])
def test_what_was_cut_for_certain_is_accepted_by_nobody(device, code):
    row = aside(device, code=code)
    with pytest.raises(CannotDecide, match="cannot become a version"):
        accept(row, None)
    assert ConfigVersion.objects.count() == 1


def test_a_declined_one_is_thrown_away(device):
    decline(aside(device), None)
    row = KeptAside.objects.get()
    assert (row.state, aside_text(row)) == (AsideState.DECLINED, None)
    assert ConfigText.objects.count() == 1
    assert latest(device.pk).number == 1


@pytest.mark.parametrize("decide", [accept, decline])
def test_one_decides_once(device, decide):
    row = aside(device)
    decline(row, None)
    with pytest.raises(CannotDecide, match="no longer waits"):
        decide(row, None)


@pytest.mark.parametrize("decide", [accept, decline])
def test_a_whole_configuration_that_came_later_overtakes_it(device, decide):
    row = aside(device)
    save_version(device.pk, "running", prepare("hostname r1\nvlan 7\nend\n", "cisco_ios"), WHEN + timedelta(days=2))
    assert not waiting().exists()
    with pytest.raises(CannotDecide, match="came meanwhile"):
        decide(row, None)
    assert drop_overtaken() == 1
    row.refresh_from_db()
    assert (row.state, aside_text(row)) == (AsideState.OUTDATED, None)
    assert drop_overtaken() == 0


def test_its_text_stays_while_it_waits(device):
    row = aside(device)
    assert forget_unused_texts([row.text_id]) == 0


def test_decisions_are_recorded_without_any_text(device):
    accept(aside(device), User.objects.create_user("olga"))
    accepted = AuditEvent.objects.get(event="config.incomplete_accepted")
    assert (accepted.actor, accepted.device, accepted.device_name) == ("olga", device.pk, "r1")
    assert json.loads(accepted.details) == {"kind": "running", "reason": "size_drop", "version": 2}
    decline(aside(device, SMALL.replace("r1", "r2"), days=3), None)
    assert AuditEvent.objects.get(event="config.incomplete_declined").actor == "system"
