"""A backup that brings back no whole configuration: over real SSH, what is kept aside."""

from __future__ import annotations

import pytest

from devices.asides import KeptAside
from devices.choices import AsideState
from devices.configs.asides import aside_text, can_be_accepted, waiting
from devices.configs.store import latest
from devices.simulator.fleet import SimulatedFleet
from devices.simulator.spec import Fault, SimDevice, SimLogin
from tests.jobs.fleet import credential, register, run_now

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def one(settings):
    settings.NETRAVEN_RETRIES = 0
    device = SimDevice("r1", "cisco_ios", (SimLogin("ops", "word-of-the-test"),), config_kb=6)
    with SimulatedFleet([device]) as fleet:
        credential("team", "word-of-the-test")
        yield fleet.device("r1"), register(fleet)["r1"]


def test_a_cut_answer_is_kept_aside_and_a_whole_one_overtakes_it(one):
    handle, device = one
    run_now()
    handle.set_faults(Fault.TRUNCATES_OUTPUT)
    for _ in range(2):
        _, results = run_now()
        assert results["r1"].outcome == "incomplete_output"
    row = KeptAside.objects.get()
    assert (row.device, row.kind, row.state, row.times) == (device, "running", AsideState.WAITING, 2)
    assert not can_be_accepted(row)
    assert row.evidence in results["r1"].detail
    assert "hostname r1" in aside_text(row)
    assert latest(device.pk).number == 1
    handle.set_faults()
    run_now()
    assert not waiting().exists()
    assert latest(device.pk).number == 1


def test_a_refused_command_is_nothing_to_keep(one):
    handle, _ = one
    handle.set_faults(Fault.UNKNOWN_COMMAND)
    _, results = run_now()
    assert results["r1"].outcome == "command_error"
    assert not KeptAside.objects.exists()
