"""The commands `retention` and `kept_aside`."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from credentials.audit.models import AuditEvent
from devices.configs.asides import set_aside
from devices.configs.integrity import ReasonCode, Verdict
from devices.configs.retaining import save_rule
from devices.configs.store import latest, prepare, save_version
from devices.models import ConfigVersion, Device
from devices.retention import RetentionRule
from devices.services import save_device
from tests.commands import run

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def device() -> Device:
    made = save_device(Device(), name="sw1", host="192.0.2.1", platform="cisco_ios", tags=["core"])
    for age in (50, 40, 0):
        save_version(made.pk, "running", text(f"vlan {age}"), timezone.now() - age * DAY)
    return made


def text(*lines: str):
    return prepare("\n".join(["hostname sw1", *lines, "end", ""]), "cisco_ios")


def rule(days: int) -> None:
    save_rule(RetentionRule(), all_days=days, daily_days=days, weekly_days=days, monthly_days=days)


def test_rules_are_listed(device):
    assert "every version is kept for ever" in run("retention", "list").out
    rule(30)
    assert "all devices" in run("retention", "list").out
    assert json.loads(run("retention", "list", "--json").out)[0]["all_days"] == 30


def test_the_preview_deletes_nothing_and_pruning_deletes_that(device):
    rule(45)
    done = run("retention", "preview")
    assert "In all 1 versions of 1 devices would be deleted." in done.out
    assert ConfigVersion.objects.count() == 3
    assert json.loads(run("retention", "prune", "--json").out) == {"versions": 1, "texts": 1}
    assert list(ConfigVersion.objects.order_by("number").values_list("number", flat=True)) == [2, 3]
    assert AuditEvent.objects.filter(event="config.pruned").exclude(actor="system").count() == 1
    assert "Nothing would be deleted." in run("retention", "preview").out


@pytest.fixture
def _aside(device) -> None:
    verdict = Verdict(False, "much smaller than the last good version", "", ReasonCode.SIZE_DROP)
    set_aside(device.pk, "running", text("vlan 2"), verdict, "3 of 900 lines")


def test_nothing_waits(device):
    assert "Nothing waits" in run("kept_aside", "list").out
    assert run("kept_aside", "show", "sw1").code == 1


@pytest.mark.usefixtures("_aside")
def test_what_waits_is_listed_and_shown():
    assert "much smaller" in run("kept_aside", "list").out
    shown = run("kept_aside", "show", "sw1")
    assert shown.out == "hostname sw1\nvlan 2\nend\n"
    assert "3 of 900 lines" in shown.err


@pytest.mark.usefixtures("_aside")
def test_accepting_makes_it_the_latest_and_names_who_did(device):
    assert "v4 is the latest" in run("kept_aside", "accept", "sw1").out
    assert latest(device.pk).number == 4
    assert AuditEvent.objects.get(event="config.incomplete_accepted").actor not in {"", "system"}
    assert run("kept_aside", "accept", "sw1").code == 1


@pytest.mark.usefixtures("_aside")
def test_discarding_leaves_the_last_good_version(device):
    assert run("kept_aside", "discard", "sw1").code == 0
    assert latest(device.pk).number == 3
    assert "Nothing waits" in run("kept_aside", "list").out
    assert json.loads(run("kept_aside", "list", "--all", "--json").out)[0]["state"] == "declined"


def test_what_was_cut_off_for_certain_cannot_be_accepted(device):
    set_aside(device.pk, "running", text("vlan 2"), Verdict(False, "a pager", "", ReasonCode.PAGER), "--More--")
    done = run("kept_aside", "accept", "sw1")
    assert (done.code, "cannot become a version" in done.err) == (1, True)
