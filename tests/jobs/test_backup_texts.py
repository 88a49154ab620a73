"""A backup of several texts of a device, over real SSH: each has its own history and its own judgement."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError

from devices import platforms_table
from devices.asides import KeptAside
from devices.configs.store import latest, version_text
from devices.models import ConfigVersion, Device
from devices.platforms_overrides import PlatformOverride
from devices.platforms_services import save_override
from devices.services import save_device
from devices.simulator.fleet import SimulatedFleet
from devices.simulator.spec import SimDevice, SimLogin
from jobs.kinds import KINDS
from tests.jobs.fleet import credential, register, run_now

pytestmark = pytest.mark.django_db(transaction=True)

REFUSED = """
[platforms.cisco_ios]
collect = [{ kind = "licences", command = "show no-such-thing" }]
"""
CUT = """
[platforms.cisco_ios]
collect = [{ kind = "inventory", command = "show inventory", end_marker = '^never printed$' }]
"""


@pytest.fixture
def one(settings):
    settings.NETRAVEN_RETRIES = 0
    device = SimDevice("r1", "cisco_ios", (SimLogin("ops", "word-of-the-test"),), config_kb=6)
    with SimulatedFleet([device]) as fleet:
        credential("team", "word-of-the-test")
        yield fleet.device("r1"), register(fleet)["r1"]
    PlatformOverride.objects.all().delete()
    platforms_table.refresh(at_once=True)


def kinds_of(device) -> list[str]:
    return sorted(ConfigVersion.objects.filter(device=device).values_list("kind", flat=True))


def test_a_backup_that_names_no_texts_keeps_the_running_configuration_alone(one):
    _, device = one
    _, results = run_now()
    assert results["r1"].outcome == "success"
    assert kinds_of(device) == ["running"]
    assert results["r1"].data == {}


def test_each_text_that_a_job_names_has_a_history_of_its_own(one):
    handle, device = one
    _, results = run_now(parameters={"texts": ["running", "startup", "inventory"]})
    assert results["r1"].outcome == "success"
    assert kinds_of(device) == ["inventory", "running", "startup"]
    assert "NAME:" in version_text(latest(device.pk, "inventory"))
    assert results["r1"].detail == "Running changed, startup changed, inventory changed."
    handle.change_config()
    _, results = run_now(parameters={"texts": ["all"]})
    states = {each["text"]: each["state"] for each in results["r1"].data["texts"]}
    assert states["running"] == "changed"
    assert states["inventory"] == "unchanged"
    assert latest(device.pk, "running").number == 2
    assert latest(device.pk, "inventory").number == 1


def test_a_refused_text_loses_none_of_the_others_and_the_result_is_not_green(one):
    _, device = one
    save_override(PlatformOverride(), text=REFUSED, user=None)
    _, results = run_now(parameters={"texts": ["all"]})
    result = results["r1"]
    assert result.outcome == "command_error"
    assert "licences" in result.detail
    assert result.detail.endswith("Kept: running, startup, inventory.")
    assert kinds_of(device) == ["inventory", "running", "startup"]
    assert result.config_version.kind == "running"
    device.refresh_from_db()
    assert device.last_outcome == "command_error"
    assert device.last_success_at is None


def test_a_text_that_is_not_whole_is_kept_aside_under_its_own_kind(one):
    _, device = one
    save_override(PlatformOverride(), text=CUT, user=None)
    _, results = run_now(parameters={"texts": ["running", "inventory"]})
    assert results["r1"].outcome == "incomplete_output"
    assert kinds_of(device) == ["running"]
    assert KeptAside.objects.get().kind == "inventory"
    states = {each["text"]: each["state"] for each in results["r1"].data["texts"]}
    assert states == {"running": "changed", "inventory": "kept aside"}


def test_a_text_that_a_platform_does_not_have_is_no_failure_unless_it_has_none(one):
    save_override(PlatformOverride(), text=REFUSED.replace("cisco_ios", "arista_eos"), user=None)
    _, results = run_now(parameters={"texts": ["running", "licences"]})
    assert results["r1"].outcome == "success"
    save_device(Device(), name="e1", host="127.0.0.1", port=1, platform="arista_eos", tags=["lab"])
    _, results = run_now(parameters={"texts": ["licences"]})
    assert results["r1"].outcome == "command_error"
    assert "has no text licences" in results["r1"].detail


def test_a_text_that_a_platform_marks_is_collected_by_default(one):
    _, device = one
    text = '[platforms.cisco_ios]\ncollect = [{ kind = "inventory", command = "show inventory", default = true }]\n'
    save_override(PlatformOverride(), text=text, user=User.objects.create_user("rosa"))
    run_now()
    assert kinds_of(device) == ["inventory", "running"]


def test_a_text_that_no_platform_has_is_refused_when_the_job_is_written():
    with pytest.raises(ValidationError, match=r"No platform has a text runing. There are: .*running"):
        KINDS["backup"].clean({"texts": ["runing"]})
    assert KINDS["backup"].clean({"texts": "running, startup\nall"}) == {"texts": ["running", "startup", "all"]}


def test_a_job_for_platforms_without_any_of_its_texts_is_refused():
    with pytest.raises(ValidationError, match="juniper_junos has a text startup"):
        KINDS["backup"].clean_for({"texts": ["startup"]}, ["juniper_junos"])
    KINDS["backup"].clean_for({"texts": ["startup"]}, ["juniper_junos", "cisco_ios"])
