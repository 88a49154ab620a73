"""The command test_credential: which devices it takes, and what it says of each."""

from __future__ import annotations

import json

import pytest

from credentials.services import SecretsInput, update_credential
from devices.models import Device
from devices.services import save_device
from devices.simulator.fleet import SimulatedFleet
from devices.simulator.spec import Fault, SimDevice, SimLogin
from jobs.engine.shard import run_shard
from jobs.management import following
from jobs.models import Attempt, Run
from tests.commands import run
from tests.jobs.fleet import credential, register

pytestmark = pytest.mark.django_db(transaction=True)
LOGIN = (SimLogin("ops", "right", "enable-right"),)


@pytest.fixture(autouse=True)
def _worker(settings, monkeypatch):
    settings.NETRAVEN_RETRIES = 0
    monkeypatch.setattr(following, "_LOOK_EVERY_S", 0.01)
    monkeypatch.setattr("jobs.engine.runs.async_task", lambda name, shard, **options: run_shard(shard))


@pytest.fixture
def lab():
    """Good, wrong password, wrong enable secret, down."""
    devices = [
        SimDevice("good", "cisco_ios", LOGIN, config_kb=5, needs_enable=True),
        SimDevice("rejects", "cisco_ios", (SimLogin("ops", "other"),), config_kb=5),
        SimDevice("refuses-enable", "cisco_ios", LOGIN, config_kb=5, needs_enable=True, faults={Fault.ENABLE_REFUSED}),
        SimDevice("down", "cisco_ios", LOGIN, config_kb=5, started=False),
    ]
    with SimulatedFleet(devices) as fleet:
        register(fleet)
        yield fleet


@pytest.fixture
def tested(lab):
    return credential("tested", "right", enable_secret="enable-right", scope="local")


def rows(*arguments: str) -> dict[str, dict]:
    report = json.loads(run("test_credential", "tested", "--json", *arguments).out)
    return {row["device"]: row for row in report["results"]}


def test_each_device_answers_login_and_enable(tested):
    found = rows("--tag", "lab")
    assert {name: (row["login"], row["enable"], row["outcome"]) for name, row in found.items()} == {
        "good": (True, True, "success"),
        "rejects": (False, None, "rejected"),
        "refuses-enable": (True, False, "enable_rejected"),
        "down": (None, None, "refused"),
    }


def test_a_credential_that_opens_every_device_exits_with_0(tested):
    done = run("test_credential", "tested", "--device", "good")
    assert done.code == 0
    assert done.out.splitlines()[-1].split()[:3] == ["good", "yes", "yes"]


def test_a_credential_that_does_not_exits_with_1_and_gives_advice(tested):
    done = run("test_credential", "tested", "--device", "good", "--device", "rejects")
    assert done.code == 1
    assert "The device refused this credential." in done.out


def test_what_went_wrong_alike_on_several_devices_is_said_once(tested):
    Device.objects.filter(name="good").update(enabled=False)
    update_credential(tested, secrets=SecretsInput(password="wrong"))
    done = run("test_credential", "tested", "--tag", "lab")
    assert "Rejected: refuses-enable, rejects" in " ".join(done.out.split())
    assert done.out.count("Correct the password or the user name") == 1


def test_only_the_named_credential_is_sent_whatever_else_matches(tested, lab):
    credential("first", "other", scope="local", priority=1)
    rows("--device", "rejects")
    assert [offer.secret for offer in lab.device("rejects").offers] == ["right"]


def test_its_logins_are_kept_as_tests(tested):
    rows("--device", "good")
    assert list(Attempt.objects.values_list("is_test", flat=True)) == [True]


def test_without_devices_it_takes_a_sample_of_those_that_the_credential_matches(tested):
    save_device(Device(), name="elsewhere", host="127.0.0.1", port=1, platform="cisco_ios", tags=["other"])
    found = rows("--sample", "3")
    assert len(found) == 3
    assert "elsewhere" not in found


def test_a_sample_leaves_out_what_may_not_be_tried(tested):
    Device.objects.exclude(name="good").update(enabled=False)
    save_device(Device.objects.get(name="down"), enabled=True, transport="telnet")
    assert list(rows()) == ["good"]


def test_a_sample_can_be_taken_of_a_tag(tested):
    save_device(Device.objects.get(name="good"), tags=["lab", "special"])
    assert list(rows("--tag", "special", "--sample", "2")) == ["good"]


def test_a_credential_that_matches_nothing_exits_with_1_and_starts_nothing():
    credential("lonely", "p", tags=["nowhere"])
    done = run("test_credential", "lonely")
    assert done.code == 1
    assert "matches no enabled device" in done.err
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nobody"], "There is no credential named 'nobody'"),
        (["tested", "--device", "nothing"], "There is no device named 'nothing'"),
        (["tested", "--tag", "nothing"], "There is no tag nothing"),
        (["tested", "--tag", "nothing", "--sample", "1"], "There is no tag nothing"),
        (["tested", "--sample", "0"], "at least 1"),
        (["tested", "--sample", "1", "--device", "good"], "give one of them"),
        (["tested", "--timeout", "-1"], "above 0"),
    ],
)
def test_wrong_use_exits_with_2_and_starts_nothing(tested, arguments, words):
    done = run("test_credential", *arguments)
    assert (done.code, done.out) == (2, "")
    assert words in done.err
    assert not Run.objects.exists()


def test_a_disabled_credential_is_refused(tested):
    update_credential(tested, enabled=False)
    done = run("test_credential", "tested")
    assert done.code == 2
    assert "disabled: enable it before testing it" in done.err
