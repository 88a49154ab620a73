"""A refused enable secret: typed on a device once, then remembered there until somebody changes or releases it."""

from __future__ import annotations

import pytest
from django.utils import timezone

from credentials.guard import get_guard, release_credential
from credentials.models import RememberedRejection
from credentials.services import SecretsInput, update_credential
from devices.connector.outcomes import Outcome
from devices.connector.target import Target
from devices.simulator.fleet import SimulatedFleet
from devices.simulator.spec import SimDevice, SimLogin
from jobs.models import Attempt
from jobs.services import candidates_for_device
from tests.devices.login import attempt_logins, opened
from tests.devices.shells import PASSWORD, PATIENT, RESET, USERNAME, Habits, Shell
from tests.jobs.fleet import credential, register, run_now

pytestmark = pytest.mark.django_db(transaction=True)
LOGIN = (SimLogin("ops", "pw", "right-enable"),)


@pytest.fixture(autouse=True)
def _quick(settings):
    settings.NETRAVEN_RETRIES = 0


@pytest.fixture
def fleet():
    devices = [SimDevice(name, "cisco_ios", LOGIN, needs_enable=True, config_kb=5) for name in ("r1", "r2")]
    with SimulatedFleet(devices) as fleet:
        yield fleet


def enables(fleet: SimulatedFleet, name: str) -> list[str]:
    return [offer.secret for offer in fleet.device(name).offers if offer.method == "enable"]


def test_a_refused_enable_secret_is_typed_on_a_device_once(fleet):
    register(fleet)
    credential("c", "pw", enable_secret="wrong-enable")
    for _ in range(2):
        _, results = run_now("backup")
        assert {row.outcome for row in results.values()} == {Outcome.ENABLE_REJECTED}
    assert enables(fleet, "r1") == enables(fleet, "r2") == ["wrong-enable"]
    assert "was refused here" in results["r1"].detail
    assert "release the credential" in results["r1"].advice


def test_a_test_of_the_credential_does_not_type_it_again_and_stays_red(fleet):
    register(fleet)
    credential("c", "pw", enable_secret="wrong-enable")
    run_now("backup")
    _, results = run_now("credential_test", parameters={"credential": "c"})
    assert results["r1"].outcome == Outcome.ENABLE_REJECTED
    assert enables(fleet, "r1") == ["wrong-enable"]


def test_the_login_itself_goes_on_and_no_account_is_held(fleet):
    devices = register(fleet)
    credential("c", "pw", enable_secret="wrong-enable")
    for _ in range(3):
        run_now("backup")
    assert set(Attempt.objects.values_list("fate", flat=True)) == {"accepted"}
    assert get_guard().held_accounts() == []
    (found,) = candidates_for_device(devices["r1"])
    assert not found.skipped
    assert "enable secret was refused here" in found.enable_refused


def test_a_corrected_enable_secret_is_typed_and_opens_the_device(fleet):
    register(fleet)
    mine = credential("c", "pw", enable_secret="wrong-enable")
    run_now("backup")
    update_credential(mine, secrets=SecretsInput(enable_secret="right-enable"))
    _, results = run_now("backup")
    assert {row.outcome for row in results.values()} == {Outcome.SUCCESS}


def test_a_release_lets_it_be_typed_again(fleet):
    register(fleet)
    mine = credential("c", "pw", enable_secret="wrong-enable")
    run_now("backup")
    assert sorted(release_credential(mine, "jo").forgotten) == ["enable secret on r1", "enable secret on r2"]
    run_now("backup")
    assert enables(fleet, "r1") == ["wrong-enable"] * 2


def test_a_credential_that_was_deleted_meanwhile_leaves_no_memory():
    get_guard().remember_enable(4711, 1, 1, "r1", now=timezone.now())
    assert not RememberedRejection.objects.exists()


@pytest.mark.parametrize(
    ("answer", "refused"),
    [("% Error in authentication.\n", True), ("% Access denied\n", True), (RESET, False)],
    ids=["accounts server", "local", "connection lost"],
)
def test_only_an_answer_of_the_device_counts_as_a_refusal(answer, refused):
    habits = Habits(
        prompt="R1>",
        modes={"enable": "Password: ", "s3cr-9a": "R1>"},
        answers={"s3cr-9a": answer},
    )
    with Shell(habits) as shell:
        target = Target("r1", "127.0.0.1", shell.port, "cisco_ios", limits=PATIENT)
        _, ledger = attempt_logins(target, opened(USERNAME, PASSWORD, enable_secret="s3cr-9a"))
    assert shell.lines.count("s3cr-9a") == 1
    assert [attempt.enable_refused for attempt in ledger.attempts] == [refused]
