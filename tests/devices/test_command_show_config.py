"""The command show_config: the stored text as it is, or a message."""

import json

import pytest

from devices.configs.store import prepare, save_version
from devices.models import Device
from devices.services import save_device
from tests.commands import run

pytestmark = pytest.mark.django_db

FIRST = "hostname r1\n!\ninterface Vlan1\n description Zürich\n!\nend\n"
SECOND = FIRST.replace("Zürich", "Oslo")


@pytest.fixture
def device() -> Device:
    return save_device(Device(), name="r1", host="10.0.0.1", platform="cisco_ios", tags=["lab"])


def store(device: Device, *texts: str) -> None:
    for text in texts:
        save_version(device.pk, "running", prepare(text, device.platform))


def test_the_last_good_version_is_printed_exactly(device):
    store(device, FIRST, SECOND)
    done = run("show_config", "r1")
    assert (done.code, done.out, done.err) == (0, SECOND, "")


def test_an_earlier_version_is_printed_by_its_number(device):
    store(device, FIRST, SECOND)
    assert run("show_config", "r1", "--version", "1").out == FIRST


def test_a_secret_stands_there_as_a_placeholder(device):
    store(device, "hostname r1\nsnmp-server community h1dden-word RO\nend\n")
    done = run("show_config", "r1")
    assert "h1dden-word" not in done.out
    assert "snmp-server community" in done.out


def test_json_holds_text_and_times(device):
    store(device, FIRST, SECOND)
    report = json.loads(run("show_config", "r1", "--version", "1", "--json").out)
    assert report["text"] == FIRST
    assert (report["device"], report["version"], report["is_latest"]) == ("r1", 1, False)
    assert report["first_seen"].endswith("+00:00")


def test_without_any_version_it_says_how_to_get_one(device):
    done = run("show_config", "r1")
    assert (done.code, done.out) == (1, "")
    assert "no configuration of r1 yet: ./manage.py run_job --kind backup --device r1 --wait" in done.err


def test_a_number_that_does_not_exist_is_answered_with_those_that_do(device):
    store(device, FIRST, SECOND)
    done = run("show_config", "r1", "--version", "7")
    assert (done.code, done.out) == (1, "")
    assert "no version 7; there are 2, 1 to 2" in done.err


def test_an_unknown_device_is_answered_with_one_like_it(device):
    done = run("show_config", "R1")
    assert (done.code, done.out) == (2, "")
    assert "There is no device named 'R1'. Did you mean r1?" in done.err
