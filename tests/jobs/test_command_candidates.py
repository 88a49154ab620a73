"""The command candidates: order, reasons, and the advice when there is nothing to try."""

from __future__ import annotations

import json

import pytest
from django.utils import timezone

from credentials.models import RememberedRejection
from credentials.services import update_credential
from devices.models import Device
from devices.services import save_device
from tests.commands import run
from tests.jobs.fleet import credential
from tests.netraven_site.api_helpers import hold_account, make_key

pytestmark = pytest.mark.django_db


@pytest.fixture
def device() -> Device:
    return save_device(Device(), name="r1", host="10.0.0.1", platform="cisco_ios", tags=["dc", "core"])


def rows(*arguments: str):
    return json.loads(run("candidates", "r1", "--json", *arguments).out)["candidates"]


def test_they_stand_in_the_order_in_which_they_would_be_tried(device):
    credential("late", "p", priority=200, tags=["dc"])
    credential("early", "p", priority=10, tags=["core"])
    last = credential("fallback", "p", tags=[], is_fallback=True, priority=1)
    worked = credential("worked", "p", priority=900, tags=["dc"])
    Device.objects.update(last_good_credential=worked)
    assert [(row["order"], row["credential"]) for row in rows()] == [
        (1, "worked"),
        (2, "early"),
        (3, "late"),
        (4, last.name),
    ]


def test_each_has_its_reason_and_where_its_priority_comes_from(device):
    own = credential("own", "p", priority=50, tags=["core", "dc"])
    update_credential(own, tags=["core", "dc"], tag_priorities={"core": 5})
    done = run("candidates", "r1")
    assert done.code == 0
    line = " ".join(done.out.splitlines()[1].split())
    assert line == "1. own ops 5 tag core shares tags core, dc; priority 5 from tag core"


def test_one_that_would_be_skipped_says_why_and_has_no_place(device):
    wrong = credential("wrong", "p", tags=["dc"])
    credential("next", "p", tags=["dc"], priority=300)
    RememberedRejection.objects.create(
        credential=wrong, credential_version=1, place="domain:default", place_label="d", at=timezone.now()
    )
    found = {row["credential"]: row for row in rows()}
    assert found["wrong"]["order"] is None
    assert found["wrong"]["skipped"].startswith("Rejected in AAA domain default on")
    assert found["next"]["order"] == 1


def test_no_match_exits_with_1_and_names_the_tags_of_the_device(device):
    credential("elsewhere", "p", tags=["branch"])
    done = run("candidates", "r1")
    assert (done.code, done.out) == (1, "")
    assert "Nothing would be tried on r1." in done.err
    assert "Its tags: core, dc." in done.err


def test_when_all_are_skipped_the_advice_names_the_way_out(device):
    wrong = credential("wrong", "p", tags=["dc"])
    RememberedRejection.objects.create(
        credential=wrong, credential_version=1, place=device.place, place_label="r1", at=timezone.now()
    )
    done = run("candidates", "r1")
    assert done.code == 1
    assert "Rejected here" in done.out
    assert "release_credential" in done.err


def test_a_telnet_device_needs_a_credential_that_may_be_sent_over_telnet(device):
    save_device(device, transport="telnet")
    credential("ssh only", "p", tags=["dc"])
    done = run("candidates", "r1")
    assert done.code == 1
    assert "allow telnet on the credential" in done.err


def test_no_secret_is_shown(device):
    credential("c", "very-secret-word", tags=["dc"], enable_secret="another-word")
    done = run("candidates", "r1", "--json")
    assert "very-secret-word" not in done.out
    assert json.loads(done.out)["candidates"][0]["kinds"] == ["password", "enable secret"]


def test_an_unknown_device_is_wrong_use(device):
    done = run("candidates", "r11")
    assert done.code == 2
    assert "Did you mean r1?" in done.err


def test_an_account_without_rejections_left_is_said_to_be_held(device):
    held = credential("held", "p", tags=["dc"], priority=1)
    credential("next", "p", username="other", tags=["dc"])
    hold_account(held, device)
    RememberedRejection.objects.all().delete()
    first, second = rows()
    assert first["order"] == 1
    assert "3 of 3 rejections of ops in AAA domain default are used up" in first["held"]
    assert first["held_until"]
    assert second["held"] is None
    told = run("candidates", "r1").out
    assert "held now" in told
    assert "./manage.py release_credential held" in told


@pytest.mark.parametrize(
    ("states", "words"),
    [
        (["pending"], "waits for approval"),
        (["pinned", "pending"], "another host key than the pinned one"),
        (["pinned", "retired"], None),
    ],
)
def test_a_host_key_that_waits_is_said_to_stand_before_every_password(device, states, words):
    credential("one", "p", tags=["dc"])
    for state in states:
        make_key(device, f"SHA256:{state}", state)
    blocked = json.loads(run("candidates", "r1", "--json").out)["blocked"]
    assert (words in blocked) if words else blocked is None
