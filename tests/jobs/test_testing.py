"""Testing one credential: which devices it takes, and that it changes nothing about the devices."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError

from credentials.services import update_credential
from devices.models import Device
from devices.services import save_device
from devices.simulator.fleet import SimulatedFleet
from devices.simulator.spec import SimDevice, SimLogin
from jobs.choices import Trigger
from jobs.models import Run
from jobs.testing import SAMPLE, NothingToTest, start_test
from tests.jobs.fleet import credential, register, run_now

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _quick(settings):
    settings.NETRAVEN_RETRIES = 0


@pytest.fixture
def fleet():
    logins = (SimLogin("ops", "own"), SimLogin("rescue", "glass"))
    with SimulatedFleet([SimDevice("r1", "cisco_ios", logins, config_kb=5)]) as fleet:
        yield fleet


def devices(count: int) -> None:
    for number in range(count):
        save_device(Device(), name=f"sw{number}", host="192.0.2.1", platform="cisco_ios", tags=["lab"])


def started(tested, **more: object) -> list[str]:
    run = start_test(tested, trigger=Trigger.COMMAND, **more)
    return sorted(run.results.values_list("device_name", flat=True))


def test_without_a_word_on_devices_it_takes_a_sample_and_not_the_fleet():
    devices(SAMPLE + 3)
    assert len(started(credential("c", "p"))) == SAMPLE


def test_named_devices_are_taken_whether_it_matches_them_or_not():
    devices(2)
    assert started(credential("c", "p", tags=["other"]), devices=[Device.objects.get(name="sw1")]) == ["sw1"]


@pytest.mark.parametrize(
    ("prepare", "more", "words"),
    [
        (lambda tested: update_credential(tested, enabled=False), {}, "is disabled: enable it"),
        (lambda tested: None, {"sample": 0}, "at least 1"),
        (lambda tested: None, {"tags": ["nothing"]}, "There is no tag nothing"),
        (lambda tested: None, {"tags": ["nothing"], "sample": 2}, "There is no tag nothing"),
        (lambda tested: Device.objects.update(enabled=False), {}, "matches no enabled device"),
        (lambda tested: Device.objects.update(transport="telnet"), {}, "matches no enabled device"),
    ],
)
def test_what_cannot_be_tested_is_refused_and_starts_nothing(prepare, more, words):
    devices(1)
    tested = credential("c", "p")
    prepare(tested)
    with pytest.raises(ValidationError, match=words):
        start_test(tested, trigger=Trigger.COMMAND, **more)
    assert not Run.objects.exists()


def test_a_disabled_device_is_refused_by_name():
    devices(1)
    Device.objects.update(enabled=False)
    with pytest.raises(ValidationError, match="sw0 is disabled"):
        start_test(credential("c", "p"), devices=list(Device.objects.all()), trigger=Trigger.COMMAND)


def test_a_sample_of_devices_that_vanish_meanwhile_is_never_the_whole_fleet(monkeypatch):
    devices(3)
    tested = credential("c", "p")
    monkeypatch.setattr("jobs.testing.random.sample", lambda ids, size: [10_000])
    with pytest.raises(NothingToTest):
        start_test(tested, trigger=Trigger.COMMAND)


def test_a_refused_credential_leaves_what_is_known_of_the_device_alone(fleet):
    device = register(fleet)["r1"]
    credential("own", "own", scope="local")
    credential("wrong", "wrong", tags=["other"], scope="local")
    run_now()
    before = Device.objects.values("last_outcome", "last_good_credential", "last_success_at").get(pk=device.pk)

    _, results = run_now("credential_test", parameters={"credential": "wrong"})

    assert results["r1"].outcome == "rejected"
    assert Device.objects.values("last_outcome", "last_good_credential", "last_success_at").get() == before


def test_a_credential_that_works_in_its_test_is_the_last_that_worked(fleet):
    device = register(fleet)["r1"]
    credential("own", "own", scope="local")
    glass = credential("glass", "glass", username="rescue", priority=900, scope="local")
    run_now()
    before = Device.objects.values("last_outcome_at", "last_success_at").get(pk=device.pk)

    _, results = run_now("credential_test", parameters={"credential": "glass"})

    assert results["r1"].outcome == "success"
    device.refresh_from_db()
    assert device.last_good_credential == glass
    assert Device.objects.values("last_outcome_at", "last_success_at").get(pk=device.pk) == before


def test_an_open_port_makes_no_device_good_again(fleet):
    device = register(fleet)["r1"]
    Device.objects.filter(pk=device.pk).update(last_outcome="host_key_changed")
    _, results = run_now("reachability")
    assert results["r1"].outcome == "success"
    device.refresh_from_db()
    assert (device.last_outcome, device.last_success_at) == ("host_key_changed", None)


def test_a_test_of_the_candidates_in_order_keeps_what_it_learned(fleet):
    device = register(fleet)["r1"]
    own = credential("own", "own", scope="local")
    run_now("credential_test")
    device.refresh_from_db()
    assert (device.last_outcome, device.last_good_credential) == ("success", own)
