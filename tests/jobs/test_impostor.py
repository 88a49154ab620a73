"""An impostor at a device's address is sent no secret: by any kind of job, over every retry, under either policy."""

from __future__ import annotations

from typing import Any

import pytest

from devices.choices import HostKeyState
from devices.host_keys import import_known_hosts
from devices.models import HostKey
from devices.simulator.fleet import SimulatedFleet
from devices.simulator.spec import SimDevice, SimLogin
from jobs.choices import Trigger
from jobs.engine.shard import run_shard
from jobs.kinds import KINDS, Parameter, device_kind
from jobs.models import Attempt
from jobs.services import retry_failed
from tests.jobs.fleet import credential, register, run_now

pytestmark = pytest.mark.django_db(transaction=True)

# Taken from the registry, so that a new kind is covered by itself.
ON_DEVICES = sorted(name for name, kind in KINDS.items() if kind.on_devices)
_LOGIN = (SimLogin("ops", "right-password", "right-enable"),)


@pytest.fixture(autouse=True)
def _quick(settings):
    settings.NETRAVEN_RETRIES = 2
    settings.NETRAVEN_RETRY_PAUSE_S = 0.01
    settings.NETRAVEN_CONNECT_TIMEOUT_S = 3


def value_for(parameter: Parameter) -> Any:
    """Something that the parameter takes."""
    match parameter.type:
        case "lines":
            return ["all"] if parameter.name == "texts" else ["show version"]
        case "number":
            return parameter.minimum or 1
        case "flag":
            return True
        case "choice":
            return parameter.choices[0][0]
        case "credential":
            return "first"
    return "show version"


def parameters_of(kind: str, *, all_of_them: bool) -> dict[str, Any]:
    """What the kind must be told, or everything that it can be told."""
    wanted = device_kind(kind).parameters
    return {each.name: value_for(each) for each in wanted if all_of_them or each.required}


@pytest.mark.parametrize("policy", ["first-use", "approve"])
@pytest.mark.parametrize("all_of_them", [False, True], ids=["least", "every-parameter"])
@pytest.mark.parametrize("kind", ON_DEVICES)
def test_an_impostor_receives_no_secret(kind, all_of_them, policy, settings):
    settings.NETRAVEN_HOST_KEY_POLICY = policy
    known = SimDevice("r1", "cisco_ios", _LOGIN, config_kb=5, needs_enable=True)
    with SimulatedFleet([known]) as fleet:
        register(fleet)
        port = fleet.device("r1").port
        import_known_hosts(f"[127.0.0.1]:{port} {fleet.device('r1').host_key_line()}".encode(), None)
        assert HostKey.objects.filter(state=HostKeyState.PINNED).count() == 1
    for name, password in (("first", "wrong-password"), ("second", "right-password"), ("third", "other-password")):
        credential(name, password, enable_secret="right-enable", scope="local")
    stranger = SimDevice("r1", "cisco_ios", _LOGIN, config_kb=5, needs_enable=True, port=port)
    parameters = parameters_of(kind, all_of_them=all_of_them)
    with SimulatedFleet([stranger]) as impostors:
        run, results = run_now(kind, parameters=parameters)
        _, again = run_now(kind, parameters=parameters)
        if results["r1"].outcome != "success":
            repeated = retry_failed(run, trigger=Trigger.PERSON)
            for shard in repeated.shards.all():
                run_shard(shard.pk)
        assert impostors.offers == []
    assert not Attempt.objects.exists()
    if device_kind(kind).needs_login(parameters):
        assert {results["r1"].outcome, again["r1"].outcome} == {"host_key_changed"}


def test_the_registry_has_kinds_that_log_in():
    assert {"backup", "credential_test"} <= set(ON_DEVICES)
