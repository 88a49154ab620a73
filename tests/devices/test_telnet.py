"""Telnet: only where a device says so, and never more than one password an attempt."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from devices.connector.outcomes import Fate, Outcome
from devices.connector.target import Target
from devices.simulator.fleet import SimulatedFleet
from devices.simulator.spec import Fault, SimDevice, SimLogin
from tests.devices.login import QUICK, attempt_logins, opened, target_for

PLATFORMS = ["cisco_ios", "hp_comware", "huawei", "juniper_junos"]
RIGHT = opened("ops", "right-password", enable_secret="right-enable")
WRONG = opened("ops", "wrong-password")
LOGIN = (SimLogin("ops", "right-password", "right-enable"),)
FAULTS = [Fault.TELNET_REPROMPTS, Fault.TELNET_CLOSES, Fault.TELNET_DRIP, Fault.TELNET_PASSWORD_ONLY]


@pytest.fixture(scope="module")
def fleet():
    devices = [SimDevice(f"t-{name}", name, LOGIN, transport="telnet") for name in PLATFORMS]
    devices += [
        SimDevice(f"t-{fault}", "cisco_ios", LOGIN, transport="telnet", faults=frozenset({fault})) for fault in FAULTS
    ]
    with SimulatedFleet(devices) as running:
        yield running


@pytest.fixture
def device(fleet):
    def get(name: str):
        handle = fleet.device(f"t-{name}")
        handle.clear()
        return handle

    return get


def passwords(handle) -> list[str]:
    return [offer.secret for offer in handle.offers if offer.method == "telnet"]


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_telnet_backup_works_and_submits_one_password(device, platform):
    handle = device(platform)
    report, _ = attempt_logins(target_for(handle), RIGHT, kind="backup")
    assert report.outcome == Outcome.SUCCESS, report.detail
    assert passwords(handle) == ["right-password"]


@pytest.mark.parametrize("platform", [*PLATFORMS, *FAULTS[:2], FAULTS[3]])
def test_a_wrong_telnet_password_is_submitted_exactly_once(device, platform):
    handle = device(platform)
    report, ledger = attempt_logins(target_for(handle), WRONG)
    assert passwords(handle) == ["wrong-password"]
    if platform == Fault.TELNET_CLOSES:
        # It hung up without a word: perhaps rejected, perhaps not, so nothing is proven.
        assert (report.outcome, ledger.settled) == (Outcome.UNANSWERED, [Fate.UNANSWERED])
    else:
        assert (report.outcome, ledger.settled) == (Outcome.REJECTED, [Fate.REJECTED]), report.detail


def test_after_a_rejection_the_next_credential_opens_the_device(device):
    handle = device("cisco_ios")
    report, _ = attempt_logins(target_for(handle), WRONG, RIGHT)
    assert report.outcome == Outcome.SUCCESS
    assert passwords(handle) == ["wrong-password", "right-password"]


def test_a_console_that_asks_for_a_password_alone_is_logged_in_to(device):
    handle = device(Fault.TELNET_PASSWORD_ONLY)
    report, _ = attempt_logins(target_for(handle), opened("", "right-password"))
    assert report.outcome == Outcome.SUCCESS, report.detail


def test_a_slow_console_is_waited_for(device):
    report, _ = attempt_logins(target_for(device(Fault.TELNET_DRIP)), RIGHT)
    assert report.outcome == Outcome.SUCCESS, report.detail


def test_half_a_refusal_is_no_prompt():
    # "% Login invalid" begins with a character that is a prompt elsewhere.
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"\r\nPassword: ")
                connection.recv(100)
                connection.sendall(b"\r\n%")
                time.sleep(0.7)
                connection.sendall(b" Login invalid\r\n\r\nPassword: ")
                connection.recv(100)

        threading.Thread(target=serve, daemon=True).start()
        target = Target("x", "127.0.0.1", server.getsockname()[1], "cisco_ios", "telnet", limits=QUICK)
        report, ledger = attempt_logins(target, WRONG)
    assert report.outcome == Outcome.REJECTED, report.detail
    assert ledger.settled == [Fate.REJECTED]
