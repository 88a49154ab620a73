"""Far devices, slow lines, long banners and pagers: it takes its time, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from devices.connector.core import CoreDeviceConnector
from devices.connector.platforms import platform
from devices.connector.target import Limits, LoginSecrets, Target
from devices.simulator.fleet import DeviceHandle, SimulatedFleet
from devices.simulator.spec import PLATFORMS, Fault, SimDevice, SimLogin
from tests.devices.shells import PAUSE, Habits, Shell

LIMITS = Limits(connect_s=10, banner_s=20, auth_s=20, prompt_s=30, read_s=30, deadline_s=120)
SECRETS = LoginSecrets("ops", "right-password", "right-enable")
LOGIN = (SimLogin("ops", "right-password", "right-enable"),)
PAGED = [name for name in PLATFORMS if name not in ("linux", "mikrotik_routeros")]
SHOW = "show running-config"
CONFIG = "".join(f"interface Vlan{n}\n description # link > {n}\n" for n in range(60)) + "end\n"


def backup(handle: DeviceHandle) -> str:
    """The running configuration as a backup would fetch it."""
    spec = handle.spec
    target = Target(spec.name, handle.host, handle.port, spec.platform, spec.transport, limits=LIMITS)
    collect = platform(spec.platform).collect("running")
    with CoreDeviceConnector(target, "ops", lambda offered: SECRETS, lambda presented: None) as connector:
        connector.open()
        connector.enable()
        for command in connector.platform.setup:
            connector.send(command)
        return connector.send(collect.command, timeout_s=60, confirm=collect.end_marker is None, end=collect.end_marker)


@pytest.fixture(scope="module")
def fetched() -> Iterator[Callable[[str, str], tuple[str, str]]]:
    """What was fetched from a device and what it has, all devices at the same time."""
    kinds: dict[str, dict[str, object]] = {
        "far": {"latency_s": 0.25},
        "thin": {"latency_s": 0.25, "bytes_per_s": 4000},
        "thinking": {"command_delay_s": 3.0},
        "talkative": {"latency_s": 0.1, "faults": {Fault.LONG_BANNER}},
        "paging": {"latency_s": 0.05, "faults": {Fault.PAGER}},
        "unprivileged": {"latency_s": 0.25, "needs_enable": True},
        "console": {"transport": "telnet", "latency_s": 0.1, "bytes_per_s": 4000},
    }
    devices = [
        SimDevice(f"{kind}-{name}", name, LOGIN, config_kb=5, steady=True, **how)
        for kind, how in kinds.items()
        for name in PLATFORMS
        if kind != "console" or platform(name).telnet
    ]
    with SimulatedFleet(devices) as fleet, ThreadPoolExecutor(len(devices)) as pool:
        known: dict[str, Future[str]] = {each.name: pool.submit(backup, fleet.device(each.name)) for each in devices}
        yield lambda kind, name: (
            known[f"{kind}-{name}"].result(),
            fleet.device(f"{kind}-{name}").configuration(),
        )


def same(answer: str, configuration: str) -> bool:
    """Whether the answer holds every line of the configuration in order, and little besides."""
    got, wanted = answer.replace("\r", "").strip("\n"), configuration.strip("\n")
    return wanted in got and len(got) - len(wanted) < 200


@pytest.mark.parametrize("name", PLATFORMS)
@pytest.mark.parametrize("kind", ["far", "thin", "thinking", "talkative", "unprivileged"])
def test_a_slow_device_is_backed_up_whole(fetched, kind, name):
    answer, configuration = fetched(kind, name)
    assert same(answer, configuration)


@pytest.mark.parametrize("name", [name for name in PLATFORMS if platform(name).telnet])
def test_a_slow_console_is_backed_up_whole(fetched, name):
    answer, configuration = fetched("console", name)
    assert same(answer, configuration)


@pytest.mark.parametrize("name", PAGED)
def test_a_pager_that_cannot_be_switched_off_is_paged_through(fetched, name):
    answer, configuration = fetched("paging", name)
    for line in configuration.splitlines():
        assert line in answer


@pytest.mark.parametrize("platform_name", ["cisco_ios", "cisco_nxos", "cisco_asa", "ruckus_fastiron"])
def test_a_line_that_carries_a_few_characters_at_a_time_is_read_to_the_end(platform_name):
    greeting = "".join(f"## notice {n} of user@host> for all #\n" for n in range(40))
    habits = Habits(greeting=greeting, answers={SHOW: CONFIG}, drip=7)
    with Shell(habits) as shell, shell.connector(platform_name, LIMITS) as connector:
        connector.open()
        assert connector._conn.base_prompt == "R1"
        end = platform("cisco_ios").collect("running").end_marker
        assert connector.send(SHOW, end=end).replace("\r", "") == CONFIG
        assert connector.send(SHOW, confirm=True).replace("\r", "") == CONFIG


def test_a_prompt_that_takes_its_time_is_waited_for():
    habits = Habits(greeting="Welcome\n" + PAUSE * 25, answers={SHOW: CONFIG})
    with Shell(habits) as shell, shell.connector(limits=LIMITS) as connector:
        connector.open()
        assert connector.send(SHOW, confirm=True).replace("\r", "") == CONFIG


def test_a_long_silence_within_an_answer_does_not_end_it():
    end = platform("cisco_ios").collect("running").end_marker
    answer = CONFIG.replace("interface Vlan9\n", f"interface Vlan9\n{PAUSE * 15}")
    with Shell(Habits(answers={SHOW: answer})) as shell, shell.connector(limits=LIMITS) as connector:
        connector.open()
        assert connector.send(SHOW, end=end).replace("\r", "") == CONFIG
