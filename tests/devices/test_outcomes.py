"""Each behaviour of a server gives its outcome class; only a proven rejection goes on to the next credential."""

from __future__ import annotations

import socket
import threading

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from devices.connector.outcomes import INFO, Fate, Outcome
from devices.connector.target import HostKeyVerdict, Target
from devices.simulator.fleet import SimulatedFleet
from devices.simulator.spec import Fault, SimDevice, SimLogin
from tests.devices.login import QUICK, attempt_logins, opened, target_for

GOOD = opened("ops", "right-password", enable_secret="right-enable")
OTHER = opened("ops", "other-password")
LOGIN = (SimLogin("ops", "right-password", "right-enable"),)

# fault, outcome, passwords that the server received with the right credential first
BEHAVIOURS = [
    (None, Outcome.SUCCESS, 1),
    (Fault.CLOSES_BEFORE_BANNER, Outcome.BUSY, 0),
    (Fault.SILENT_BANNER, Outcome.TIMEOUT, 0),
    (Fault.SLOW_BANNER, Outcome.SUCCESS, 1),
    (Fault.GARBAGE_BANNER, Outcome.PROTOCOL_ERROR, 0),
    (Fault.LEGACY_KEX_ONLY, Outcome.ALGORITHM_MISMATCH, 0),
    (Fault.LEGACY_HOST_KEY_ONLY, Outcome.ALGORITHM_MISMATCH, 0),
    (Fault.CLOSES_BEFORE_AUTH, Outcome.BUSY, 0),
    (Fault.CLOSES_DURING_AUTH, Outcome.UNANSWERED, 1),
    (Fault.CLOSES_AFTER_AUTH, Outcome.BUSY, 1),
    (Fault.AUTH_NEVER_ANSWERED, Outcome.UNANSWERED, 1),
    (Fault.KEYBOARD_INTERACTIVE_ONLY, Outcome.SUCCESS, 1),
    (Fault.PUBLICKEY_ONLY, Outcome.PROTOCOL_ERROR, 0),
    (Fault.PASSWORD_EXPIRED, Outcome.PASSWORD_EXPIRED, 1),
    (Fault.TOO_MANY_SESSIONS, Outcome.BUSY, 1),
    (Fault.BUSY_MESSAGE, Outcome.BUSY, 1),
    (Fault.PROMPT_NEVER_COMES, Outcome.PROTOCOL_ERROR, 1),
    (Fault.PROMPT_ECHOES_PASSWORD, Outcome.SUCCESS, 1),
    (Fault.LONG_BANNER, Outcome.SUCCESS, 1),
    (Fault.GROUP14_ONLY, Outcome.SUCCESS, 1),
]
BACKUPS = [
    (None, Outcome.SUCCESS),
    (Fault.RESETS_MID_OUTPUT, Outcome.INCOMPLETE_OUTPUT),
    (Fault.TRUNCATES_OUTPUT, Outcome.INCOMPLETE_OUTPUT),
    (Fault.SILENT_COMMAND, Outcome.TIMEOUT),
    (Fault.UNKNOWN_COMMAND, Outcome.COMMAND_ERROR),
    (Fault.PAGER, Outcome.SUCCESS),
]


def name_of(fault: Fault | None) -> str:
    return fault.value if fault else "well"


@pytest.fixture(scope="module")
def fleet():
    devices = [
        SimDevice(
            f"d-{name_of(fault)}", "cisco_ios", LOGIN, faults=frozenset({fault} if fault else ()), banner_delay_s=1.0
        )
        for fault in {fault for fault, *_ in BEHAVIOURS} | {fault for fault, _ in BACKUPS}
    ]
    devices.append(SimDevice("enable", "cisco_ios", LOGIN, needs_enable=True))
    devices.append(SimDevice("endless", "cisco_ios", LOGIN, faults=frozenset({Fault.ENDLESS_OUTPUT}), config_kb=5))
    with SimulatedFleet(devices) as running:
        yield running


@pytest.fixture
def device(fleet):
    def get(fault: Fault | str | None):
        plain_name = isinstance(fault, str) and not isinstance(fault, Fault)
        handle = fleet.device(fault if plain_name else f"d-{name_of(fault)}")
        handle.clear()
        return handle

    return get


@pytest.mark.parametrize(("fault", "outcome", "passwords"), BEHAVIOURS, ids=lambda v: str(v))
def test_a_behaviour_has_its_class_its_advice_and_its_number_of_passwords(device, fault, outcome, passwords):
    handle = device(fault)
    report, ledger = attempt_logins(target_for(handle), GOOD, OTHER)
    received = [offer.secret for offer in handle.offers if offer.method != "enable"]
    assert report.outcome == outcome, report.detail
    assert report.advice == INFO[outcome].advice
    assert received == ["right-password"] * passwords
    assert ledger.opened == [1] * len(ledger.opened), "the second credential was touched"


def test_a_proven_rejection_goes_on_to_the_next_credential(device):
    handle = device(None)
    report, ledger = attempt_logins(target_for(handle), OTHER, GOOD)
    assert report.outcome == Outcome.SUCCESS
    assert [attempt.outcome for attempt in ledger.attempts] == [Outcome.REJECTED, Outcome.SUCCESS]
    assert [offer.secret for offer in handle.offers] == ["other-password", "right-password"]


def test_a_keyboard_interactive_rejection_goes_on_too(device):
    handle = device(Fault.KEYBOARD_INTERACTIVE_ONLY)
    report, ledger = attempt_logins(target_for(handle), OTHER, GOOD)
    assert report.outcome == Outcome.SUCCESS
    assert ledger.settled == [Fate.REJECTED, Fate.ACCEPTED]


def test_every_credential_refused_is_rejected_and_names_them(device):
    report, _ = attempt_logins(target_for(device(None)), OTHER, opened("ops", "third"))
    assert report.outcome == Outcome.REJECTED
    assert "login-1, login-2" in report.detail


def test_a_refused_enable_secret_is_told_from_a_refused_login(device):
    handle = device("enable")
    wrong = opened("ops", "right-password", enable_secret="wrong-enable")
    report, ledger = attempt_logins(target_for(handle), wrong, GOOD)
    assert report.outcome == Outcome.ENABLE_REJECTED
    assert [offer.secret for offer in handle.offers if offer.method == "enable"] == ["wrong-enable"]
    assert ledger.settled == [Fate.ACCEPTED]


def test_the_right_enable_secret_opens_the_privileged_mode(device):
    report, _ = attempt_logins(target_for(device("enable")), GOOD)
    assert report.outcome == Outcome.SUCCESS


@pytest.mark.parametrize(("fault", "outcome"), BACKUPS, ids=lambda v: str(v))
def test_a_backup_over_a_faulty_session_has_its_class(device, fault, outcome):
    report, _ = attempt_logins(target_for(device(fault)), GOOD, kind="backup")
    assert report.outcome == outcome, report.detail
    if outcome not in {Outcome.SUCCESS, Outcome.INCOMPLETE_OUTPUT}:  # the latter is kept aside, never as a version
        assert report.store is None or not (report.store.keeps or report.store.asides)


def test_endless_output_ends_at_the_cap(device):
    from dataclasses import replace

    limits = replace(QUICK, max_output=1_000_000)
    report, _ = attempt_logins(target_for(device("endless"), limits), GOOD, kind="backup")
    assert report.outcome == Outcome.INCOMPLETE_OUTPUT
    assert "sent more than" in report.detail


def test_a_password_in_the_prompt_shows_up_nowhere(device):
    report, ledger = attempt_logins(target_for(device(Fault.PROMPT_ECHOES_PASSWORD)), GOOD, kind="backup")
    assert "right-password" not in repr(report)
    assert "right-password" not in repr(ledger.attempts)


def test_legacy_algorithms_work_when_the_device_opts_in(device):
    for fault in (Fault.LEGACY_KEX_ONLY, Fault.LEGACY_HOST_KEY_ONLY):
        report, _ = attempt_logins(target_for(device(fault), legacy_ssh=True), GOOD)
        assert report.outcome == Outcome.SUCCESS, (fault, report.detail)


def test_a_refused_mismatch_says_that_legacy_is_switched_off(device):
    report, _ = attempt_logins(target_for(device(Fault.LEGACY_KEX_ONLY)), GOOD)
    assert "Legacy algorithms" in report.detail


@pytest.mark.parametrize("changed", [True, False])
def test_a_host_key_that_may_not_be_trusted_receives_no_password(device, changed):
    handle = device(None)
    verdict = HostKeyVerdict(changed, "not this one")
    report, ledger = attempt_logins(target_for(handle), GOOD, OTHER, verdict=verdict, retries=2)
    assert report.outcome == (Outcome.HOST_KEY_CHANGED if changed else Outcome.HOST_KEY_UNKNOWN)
    assert handle.offers == []
    assert ledger.opened == []


def test_a_credential_that_cannot_be_used_here_is_passed_over_for_one_that_fits(device):
    # This server takes no keys and says so; nothing was sent, so nothing was risked.
    handle = device(Fault.PUBLICKEY_ONLY)
    key = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    report, ledger = attempt_logins(
        target_for(handle), GOOD, opened("ops", "more"), opened("ops", private_key=key.decode())
    )
    assert ledger.opened == [3], "only the key fits what the server offers"
    assert report.outcome == Outcome.REJECTED
    assert "right-password" not in [offer.secret for offer in handle.offers]


def test_a_closed_port_is_refused_and_costs_no_credential():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    report, ledger = attempt_logins(Target("x", "127.0.0.1", port, "cisco_ios", limits=QUICK), GOOD, retries=1)
    assert report.outcome == Outcome.REFUSED
    assert ledger.opened == []
    assert report.attempts == 0


def test_a_port_that_never_answers_is_unreachable():
    # A listener whose queue is full drops further connections, as a filtering firewall does.
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
        report, ledger = attempt_logins(
            Target("x", "127.0.0.1", server.getsockname()[1], "cisco_ios", limits=QUICK), GOOD
        )
        for filler in fillers:
            filler.close()
    assert report.outcome == Outcome.UNREACHABLE
    assert ledger.opened == []


def test_a_name_that_is_not_in_the_dns_is_unresolved():
    report, _ = attempt_logins(Target("x", "no-such-host.invalid", 22, "cisco_ios", limits=QUICK), GOOD)
    assert report.outcome == Outcome.UNRESOLVED


def test_a_text_of_too_many_connections_instead_of_a_banner_is_busy():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            connection.sendall(b"Exceeded MaxStartups\r\n")
            connection.close()

        threading.Thread(target=serve, daemon=True).start()
        report, _ = attempt_logins(Target("x", "127.0.0.1", server.getsockname()[1], "cisco_ios", limits=QUICK), GOOD)
    assert report.outcome == Outcome.BUSY


def test_passing_failures_before_the_secret_are_retried(device):
    handle = device(Fault.CLOSES_BEFORE_AUTH)
    before = handle.connections
    report, _ = attempt_logins(target_for(handle), GOOD, retries=2)
    assert handle.connections - before == 3
    assert "tried 3 times" in report.detail


def test_an_unanswered_secret_is_not_sent_again(device):
    handle = device(Fault.CLOSES_DURING_AUTH)
    attempt_logins(target_for(handle), GOOD, retries=2)
    assert len(handle.offers) == 1


def test_no_candidate_at_all_is_no_credentials():
    report, _ = attempt_logins(Target("x", "127.0.0.1", 1, "cisco_ios", limits=QUICK))
    assert report.outcome == Outcome.NO_CREDENTIALS
    assert "tag" in report.advice
