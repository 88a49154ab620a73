"""The kind `reachability`: what is found out without a credential, and with one when asked."""

from __future__ import annotations

import pytest

from credentials.models import GuardLogin
from devices.connector.probe import Seen
from devices.simulator.fleet import SimulatedFleet
from devices.simulator.spec import Fault, SimDevice, SimLogin
from jobs.models import Attempt
from tests.jobs.fleet import credential, register, run_now

pytestmark = pytest.mark.django_db(transaction=True)
LOGIN = (SimLogin("ops", "right"),)


@pytest.fixture(autouse=True)
def _quick(settings):
    settings.NETRAVEN_RETRIES = 0
    settings.NETRAVEN_CONNECT_TIMEOUT_S = 3
    settings.NETRAVEN_BANNER_TIMEOUT_S = 2


@pytest.fixture
def fleet():
    devices = [
        SimDevice("ssh", "cisco_ios", LOGIN),
        SimDevice("telnet", "cisco_ios", LOGIN, transport="telnet"),
        SimDevice("silent", "cisco_ios", LOGIN, faults=frozenset({Fault.SILENT_BANNER})),
        SimDevice("off", "cisco_ios", LOGIN),
    ]
    with SimulatedFleet(devices) as fleet:
        register(fleet)
        fleet.device("off").stop()
        yield fleet


def test_without_a_login_no_credential_is_touched(fleet):
    credential("right", "right", allow_telnet=True)
    run, results = run_now("reachability")
    assert run.status == "partial"
    assert {name: row.outcome for name, row in results.items()} == {
        "ssh": "success",
        "telnet": "success",
        "silent": "timeout",
        "off": "refused",
    }
    assert results["ssh"].data["banner"].startswith("SSH-2.0-")
    assert results["ssh"].data["address"].endswith(f":{fleet.device('ssh').port}")
    assert results["ssh"].data["connect_ms"] >= 0
    assert "answered in" in results["ssh"].detail
    assert "User Access Verification" in results["telnet"].data["banner"]
    assert not Attempt.objects.exists()
    assert not GuardLogin.objects.exists()
    assert [handle.offers for handle in fleet] == [[], [], [], []]


def test_no_credential_is_needed(fleet):
    _, results = run_now("reachability")
    assert results["ssh"].outcome == "success"


def test_with_a_login_it_logs_in_and_tells_the_host_key(fleet):
    credential("right", "right", allow_telnet=True)
    _, results = run_now("reachability", parameters={"login": "yes"})
    data = results["ssh"].data
    assert (results["ssh"].outcome, data["login"]) == ("success", True)
    assert data["host_key"].startswith("SHA256:")
    assert data["banner"].startswith("SSH-2.0-")
    assert len(fleet.device("ssh").offers) == 1
    assert results["off"].outcome == "refused"


def test_a_device_that_greets_with_the_password_it_was_just_told_gets_it_into_no_result(fleet, monkeypatch):
    credential("right", "right")
    seen = Seen("127.0.0.1:22", 1.0, 1.0, "SSH-2.0-right")
    monkeypatch.setattr("jobs.kinds.reachability.probe", lambda target: seen)
    _, results = run_now("reachability", parameters={"login": "yes"})
    assert results["ssh"].data["banner"] == "SSH-2.0-<secret>"


def test_with_a_login_a_device_that_nothing_opens_has_failed(fleet):
    credential("wrong", "wrong", scope="local", allow_telnet=True)
    _, results = run_now("reachability", parameters={"login": True})
    assert results["ssh"].outcome == "rejected"
