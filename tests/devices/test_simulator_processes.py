"""A fleet in processes of its own: the command `simulate`, the control channel, the demo's fleet."""

import collections
import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import paramiko
import pytest

from devices.simulator.control import SimulatorControl
from devices.simulator.demo import (
    DEMO_CONFIG_CHANGES,
    DEMO_DOWN,
    DEMO_HOST_KEY_CHANGES,
    DEMO_NO_CENTRAL_ACCOUNT,
    DEMO_OLD_PASSWORD,
    DemoSecrets,
    demo_fleet,
)
from devices.simulator.generate import Wishes, make_credentials, make_fleet, with_ports
from devices.simulator.processes import FleetProcesses
from devices.simulator.spec import Fault, PortTakenError, SimDevice, SimLogin, SimulatorError
from tests.devices.simulator_clients import OPS, paramiko_login

ROOT = Path(__file__).parents[2]
DEVICES = [SimDevice(f"lab-{number}", "cisco_ios", [OPS]) for number in (1, 2, 3)]


@pytest.fixture
def simulate(tmp_path):
    """Start the command and give its process; it is stopped at the end."""
    started = []

    def start(*words):
        environment = os.environ | {"NETRAVEN_HOME": str(tmp_path), "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(
            [sys.executable, "manage.py", "simulate", *map(str, words)],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()


def read_to(process, words):
    """What the process prints, up to the line that holds `words`."""
    text = ""
    while words not in text:
        line = process.stdout.readline()
        assert line, text
        text += line
    return text


def children(process):
    return [int(number) for number in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def is_gone(number):
    """Whether a process ends within a few seconds."""
    for _ in range(100):
        try:
            if Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


def answers(port):
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


# Processes and control


def test_a_fleet_in_two_processes_is_controlled_from_outside(tmp_path):
    with FleetProcesses(DEVICES, processes=2, state=tmp_path, record=tmp_path / "offers.jsonl") as fleet:
        control = SimulatorControl(tmp_path)
        assert {item["process"] for item in control.devices.values()} == {0, 1}
        for device in fleet.devices:
            paramiko_login(device).close()
        with pytest.raises(paramiko.AuthenticationException):
            paramiko_login(fleet.devices[0], "Wrong-1")

        assert [(offer.device, offer.secret, offer.accepted) for offer in control.offers()] == [
            ("lab-1", "Right-1", True),
            ("lab-2", "Right-1", True),
            ("lab-3", "Right-1", True),
            ("lab-1", "Wrong-1", False),
        ]
        assert [offer.secret for offer in control.offers("lab-2")] == ["Right-1"]
        recorded = [json.loads(line) for line in (tmp_path / "offers.jsonl").read_text().splitlines()]
        assert len(recorded) == 4
        assert (tmp_path / "offers.jsonl").stat().st_mode & 0o077 == 0

        before = control.configuration("lab-2")
        assert control.change_config("lab-2") == 2
        assert control.configuration("lab-2") != before
        old = control.status("lab-3")["fingerprint"]
        assert control.change_host_key("lab-3") == control.status("lab-3")["fingerprint"] != old
        control.stop("lab-1")
        assert not answers(fleet.devices[0].port)
        control.start("lab-1")
        assert answers(fleet.devices[0].port)
        control.set_faults("lab-1", Fault.PAGER)
        assert control.status("lab-1")["faults"] == ["pager"]
        control.set_logins("lab-1", SimLogin("ops", "New-1"))
        paramiko_login(fleet.devices[0], "New-1").close()
        control.clear("lab-1")
        assert control.offers("lab-1") == []
    with pytest.raises(SimulatorError, match="no fleet runs"):
        control.offers()


def test_the_control_channel_works_from_a_very_deep_directory(tmp_path):
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    with FleetProcesses(DEVICES[:1], state=deep):
        assert SimulatorControl(deep).status("lab-1")["revision"] == 1


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda control: control.stop("nobody"), "nobody"),
        (lambda control: control.set_faults("lab-1", "sleepy"), "sleepy"),
    ],
)
def test_what_cannot_be_done_is_said_to_the_one_who_asks(tmp_path, ask, message):
    with FleetProcesses(DEVICES[:1], state=tmp_path), pytest.raises(SimulatorError, match=message):
        ask(SimulatorControl(tmp_path))


def test_two_fleets_cannot_share_a_directory(tmp_path):
    with (
        FleetProcesses(DEVICES[:1], state=tmp_path),
        pytest.raises(SimulatorError, match="another fleet"),
        FleetProcesses(DEVICES[1:], state=tmp_path),
    ):
        pass
    with FleetProcesses(DEVICES[:1], state=tmp_path):
        pass


def test_a_taken_port_stops_every_process_of_the_fleet():
    with FleetProcesses(DEVICES[:1]) as fleet:
        taken = fleet.devices[0].port
        other = FleetProcesses([DEVICES[1], SimDevice("late", "linux", port=taken)], processes=2)
        with pytest.raises(PortTakenError, match=f"port {taken} .*late"):
            other.start()
        assert other.dead() is None
        assert not other._workers


# The command


def test_simulate_writes_inventory_and_credentials_and_stops_on_sigterm(simulate, tmp_path):
    process = simulate(
        "--devices",
        6,
        "--inventory",
        tmp_path / "lab.csv",
        "--processes",
        2,
        "--second-percent",
        50,
        "--config-kb",
        5,
    )
    said = read_to(process, "Ctrl-C")
    rows = list(csv.DictReader((tmp_path / "lab.csv").open()))
    assert list(rows[0]) == ["name", "host", "port", "platform", "tags", "transport", "site", "description"]
    assert [row["name"] for row in rows] == [f"sim-0000{number}" for number in range(1, 7)]
    file = tmp_path / "lab.credentials.json"
    credentials = json.loads(file.read_text())
    assert file.stat().st_mode & 0o777 == 0o600
    assert not [item for item in credentials if item["password"] in said or item["enable_secret"] in said]
    assert said.count("./manage.py add_credential") == 2
    assert "./manage.py import_devices" in said

    opened = []
    for row in rows:
        device = SimDevice(row["name"], row["platform"], host=row["host"], port=int(row["port"]))
        for number, item in enumerate(credentials):
            try:
                paramiko_login(device, item["password"], item["username"]).close()
            except paramiko.AuthenticationException:
                continue
            opened.append(number)
    assert opened == [0, 1, 0, 1, 0, 1]

    process.terminate()
    assert process.wait(10) == 0
    assert not answers(int(rows[0]["port"]))


def test_simulate_prints_a_way_to_read_each_credential_that_works(simulate, tmp_path):
    process = simulate("--devices", 1, "--inventory", tmp_path / "my lab.csv")
    lines = [line for line in read_to(process, "Ctrl-C").splitlines() if "add_credential" in line]
    credentials = json.loads((tmp_path / "my lab.credentials.json").read_text())
    for line, item in zip(lines, credentials, strict=True):
        read, _, add = line.partition(" | ")
        shown = subprocess.run(read, shell=True, capture_output=True, text=True, check=True).stdout
        assert shown.splitlines() == [item["password"], item["enable_secret"]]
        assert f"--username {item['username']} --password-stdin --enable-secret-stdin" in add


def test_simulate_uses_the_credentials_of_an_earlier_start_again(simulate, tmp_path):
    for _ in range(2):
        process = simulate("--devices", 1, "--credentials", tmp_path / "keys.json")
        read_to(process, "Ctrl-C")
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        kept = (tmp_path / "keys.json").read_text()
    assert (tmp_path / "keys.json").read_text() == kept


def test_nothing_is_left_running_when_simulate_is_killed(simulate, tmp_path):
    process = simulate("--devices", 4, "--processes", 2, "--inventory", tmp_path / "lab.csv")
    read_to(process, "Ctrl-C")
    workers = children(process)
    assert len(workers) == 2
    process.kill()
    process.wait()
    left = [worker for worker in workers if not is_gone(worker)]
    for worker in left:
        os.kill(worker, signal.SIGKILL)
    assert left == []


def test_simulate_ends_when_one_of_its_processes_dies(simulate, tmp_path):
    process = simulate("--devices", 4, "--processes", 2, "--inventory", tmp_path / "lab.csv")
    read_to(process, "Ctrl-C")
    workers = children(process)
    os.kill(workers[0], signal.SIGKILL)
    assert "ended by itself" in read_to(process, "ended by itself")
    assert process.wait(10) == 1
    assert all(is_gone(worker) for worker in workers)


def test_simulate_names_a_taken_port_and_the_option_that_moves_it(simulate):
    with FleetProcesses(DEVICES[:1]) as fleet:
        taken = fleet.devices[0].port
        process = simulate("--devices", 2, "--base-port", taken)
        said = read_to(process, "--base-port")
    assert f"port {taken} on 127.0.0.1 is taken" in said
    assert process.wait(10) == 1


def test_simulate_runs_the_devices_of_a_file(simulate, tmp_path):
    (tmp_path / "fleet.json").write_text(json.dumps([device.to_json() for device in DEVICES[:2]]))
    process = simulate("--fleet", tmp_path / "fleet.json", "--inventory", tmp_path / "lab.csv")
    read_to(process, "2 of 2 devices")
    read_to(process, "Ctrl-C")
    row = next(csv.DictReader((tmp_path / "lab.csv").open()))
    paramiko_login(SimDevice("lab-1", "cisco_ios", port=int(row["port"]))).close()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--devices", "0"), "--devices is at least 1"),
        (("--devices", "1", "--platforms", "toaster"), "--platforms"),
        (("--devices", "1", "--second-percent", "101"), "--second-percent"),
        (("--fleet", "nowhere.json"), "nowhere.json"),
        ((), "--devices"),
    ],
)
def test_simulate_says_what_is_wrong_with_its_options(simulate, words, message):
    process = simulate(*words)
    assert message in read_to(process, message)
    assert process.wait(10) == 2


def test_ports_beyond_the_last_are_refused():
    with pytest.raises(SimulatorError, match="65535"):
        with_ports(DEVICES, 65534)


def test_the_share_of_devices_that_take_the_second_credential_is_spread_evenly():
    credentials = make_credentials()
    fleet = make_fleet(Wishes(devices=100, second_percent=20), credentials)
    second = [number for number, device in enumerate(fleet) if device.logins[0].username == credentials[1].username]
    assert second == list(range(4, 100, 5))


# The demo's fleet


def test_the_demo_has_24_devices_at_four_sites_over_eight_platforms():
    fleet = demo_fleet(DemoSecrets())
    assert len({device.name for device in fleet}) == 24
    assert len({device.platform for device in fleet}) == 8
    assert collections.Counter(device.site for device in fleet) == {"ams": 8, "fra": 7, "lon": 6, "osl": 3}
    assert [device.name for device in fleet if not device.started] == [DEMO_DOWN]
    names = {device.name for device in fleet if device.started}
    assert names >= {DEMO_HOST_KEY_CHANGES, DEMO_NO_CENTRAL_ACCOUNT, *DEMO_CONFIG_CHANGES, *DEMO_OLD_PASSWORD}


def test_each_device_of_the_demo_is_opened_by_a_credential_whose_tags_match():
    demo = DemoSecrets()
    for device in demo_fleet(demo):
        matching = sorted(
            (item for item in demo.credentials if set(item.tags) & set(device.tags)),
            key=lambda item: item.priority,
        )
        accepted = {(login.username, login.password) for login in device.logins}
        opens = [(item.username, item.password) in accepted for item in matching]
        # A device is opened by the first credential, or by the second where the demo shows rotation.
        expected = 1 if device.name in (*DEMO_OLD_PASSWORD, DEMO_NO_CENTRAL_ACCOUNT) else 0
        assert opens.index(True) == expected, device.name
        if device.needs_enable:
            assert matching[expected].enable_secret in {login.enable_secret for login in device.logins}


def test_the_secrets_of_the_demo_are_random_and_can_be_kept():
    demo = DemoSecrets()
    values = list(demo.to_json().values())
    assert len({*values, *DemoSecrets().to_json().values()}) == 2 * len(values)
    assert DemoSecrets.from_json(demo.to_json()) == demo
    assert not [value for value in values if value in repr(demo) or value in repr(demo.credentials)]
