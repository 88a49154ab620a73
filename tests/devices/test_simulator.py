"""Simulated devices as Netmiko's own drivers see them."""

import asyncio
import contextlib
import time

import asyncssh
import paramiko
import pytest
from netmiko.exceptions import NetmikoAuthenticationException, NetmikoTimeoutException
from ntc_templates.parse import parse_output

from devices.simulator.fleet import SimulatedFleet
from devices.simulator.spec import (
    PLATFORMS,
    Fault,
    PortTakenError,
    SimDevice,
    SimLogin,
    SimulatorError,
)
from devices.simulator.texts import configuration
from tests.devices.simulator_clients import OPS, connect, offered, paramiko_login, read_until, running

LINUX_COMMAND = 'for f in /etc/hostname; do echo "### $f"; cat "$f"; done; printf "### end of %s\\n" configuration'
SHOW = {
    "juniper_junos": "show configuration",
    "linux": LINUX_COMMAND,
    "huawei": "display current-configuration",
    "hp_comware": "display current-configuration",
    "mikrotik_routeros": "/export",
    "fortinet": "show full-configuration",
}
LAST_LINE = {
    "cisco_ios": "end",
    "cisco_xe": "end",
    "arista_eos": "end",
    "juniper_junos": "}",
    "linux": "### end of configuration",
    "huawei": "return",
    "hp_comware": "return",
    "fortinet": "end",
}
pytestmark = pytest.mark.filterwarnings("ignore:Diffie-Hellman over finite fields")
VOLATILE_LINES = {
    "cisco_ios": ("! Last configuration change", "! NVRAM config last updated", "ntp clock-period"),
    "cisco_xe": ("! Last configuration change", "! NVRAM config last updated", "ntp clock-period"),
    "cisco_nxos": ("!Running configuration last done at", "!Time:"),
    "arista_eos": ("! Time:",),
    "juniper_junos": ("## Last commit",),
    "linux": (),
    "huawei": ("!Last configuration was",),
    "hp_comware": (),
    "mikrotik_routeros": ("# ",),
    "fortinet": ("#conf_file_ver",),
}


@pytest.fixture(scope="module")
def fleet():
    devices = [SimDevice(f"{platform}-1", platform, [OPS], config_kb=20) for platform in PLATFORMS]
    with SimulatedFleet(devices) as running:
        yield running


@pytest.fixture(scope="module")
def session_of(fleet):
    """A session of Netmiko with the device of a platform; one for all tests of this file."""
    with contextlib.ExitStack() as stack:
        known = {}

        def session(platform):
            if platform not in known:
                known[platform] = stack.enter_context(connect(fleet.device(f"{platform}-1")))
            return known[platform]

        yield session


@pytest.fixture
def one():
    """Start a single device and give its handle."""
    with contextlib.ExitStack() as stack:
        yield lambda **spec: stack.enter_context(running(**spec))


@pytest.mark.parametrize("platform", PLATFORMS)
def test_netmiko_fetches_the_whole_configuration(fleet, session_of, platform):
    device = fleet.device(f"{platform}-1")
    shown = session_of(platform).send_command(SHOW.get(platform, "show running-config"), read_timeout=20)
    again = session_of(platform).send_command(SHOW.get(platform, "show running-config"), read_timeout=20)

    lines, later = shown.strip().splitlines(), again.strip().splitlines()
    assert 18_000 < len(shown) < 24_000
    assert lines[-1] == LAST_LINE.get(platform, lines[-1])
    assert len(lines) == len(later) == len(device.configuration().strip().splitlines())
    changed = [line for line, other in zip(lines, later, strict=True) if line != other]
    assert len(changed) >= len(VOLATILE_LINES[platform])
    assert all(line.startswith(VOLATILE_LINES[platform]) for line in changed)
    assert ("ops", "Right-1", "password", True) in offered(device)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_new_revision_changes_a_few_lines_that_are_not_volatile(platform):
    device = SimDevice("lab-1", platform, [OPS])
    before = configuration(device, 1).dump(count=1).decode().splitlines()
    after = configuration(device, 2).dump(count=1).decode().splitlines()

    assert len(before) == len(after)
    changed = [line for line, other in zip(before, after, strict=True) if line != other]
    real = [line for line in changed if not line.startswith(("Current configuration", "!", "#"))]
    assert 3 <= len(real) <= 5


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_same_seed_makes_the_same_configuration_and_another_seed_another(platform):
    def dump(seed):
        return configuration(SimDevice("lab-1", platform, [OPS], seed=seed)).dump(now=None, count=1, seed=1)

    assert len(set(dump(1).splitlines()) ^ set(dump(1).splitlines())) < 10
    assert len(set(dump(1).splitlines()) ^ set(dump(2).splitlines())) > 40


def test_every_dump_of_a_steady_device_is_the_same_to_the_byte(one):
    device = one(steady=True)
    assert device.configuration() == device.configuration()
    before = device.configuration()
    device.change_config()
    assert device.configuration() != before


def test_a_changed_configuration_is_what_the_next_session_sees(one):
    device = one()
    with connect(device) as session:
        before = session.send_command("show running-config")
    assert device.change_config() == 2
    with connect(device) as session:
        after = session.send_command("show running-config")

    assert " description uplink to provider\n" in before
    assert " description uplink to provider, change 4202\n" in after


@pytest.mark.parametrize(
    ("platform", "command", "field", "value"),
    [
        ("cisco_ios", "show version", "version", "15.2(4)E10"),
        ("cisco_xe", "show version", "hostname", "cisco_xe-1"),
        ("cisco_ios", "show inventory", "pid", "WS-C3750X-48P-S"),
        ("cisco_nxos", "show version", "hostname", "cisco_nxos-1"),
        ("cisco_nxos", "show inventory", "pid", "N9K-C93180YC-EX"),
        ("arista_eos", "show version", "model", "DCS-7050SX3-48YC8-F"),
        ("arista_eos", "show inventory", "pid", "DCS-7050SX3-48YC8"),
        ("juniper_junos", "show version", "model", "ex4300-48t"),
        ("huawei", "display version", "model", "S5735-L48T4X-A"),
        ("mikrotik_routeros", "/system resource print", "version", "6.49.10 (long-term)"),
        ("fortinet", "get system status", "hostname", "fortinet-1"),
    ],
)
def test_short_answers_parse_with_the_public_templates(session_of, platform, command, field, value):
    text = session_of(platform).send_command(command, read_timeout=20)
    template = {"huawei": "huawei_vrp", "cisco_xe": "cisco_ios"}.get(platform, platform)
    parsed = parse_output(template, command.lstrip("/"), text)
    assert parsed[0][field].startswith(value)


@pytest.mark.parametrize(
    ("platform", "error"),
    [
        ("cisco_ios", "% Invalid input detected at '^' marker."),
        ("cisco_nxos", "% Invalid command at '^' marker."),
        ("arista_eos", "% Invalid input"),
        ("juniper_junos", "unknown command."),
        ("linux", "bash: frobnicate: command not found"),
        ("huawei", "Error: Unrecognized command found at '^' position."),
        ("hp_comware", " % Unrecognized command found at '^' position."),
        ("mikrotik_routeros", "bad command name frobnicate (line 1 column 1)"),
        ("fortinet", "Command fail. Return code -61"),
    ],
)
def test_an_unknown_command_gets_the_error_line_of_the_platform(session_of, platform, error):
    assert error in session_of(platform).send_command("frobnicate").splitlines()


def test_junos_shows_the_same_configuration_as_set_commands(session_of):
    text = session_of("juniper_junos").send_command("show configuration | display set | no-more", read_timeout=20)
    lines = text.strip().splitlines()
    assert "set system host-name juniper_junos-1" in lines
    assert "set system authentication-order tacplus" in lines
    assert "set system authentication-order password" in lines
    assert all(line.startswith("set ") and not line.endswith((";", "{", "}")) for line in lines if "master" not in line)


def test_several_short_commands_on_one_line_of_a_linux_shell_are_all_answered(session_of):
    text = session_of("linux").send_command("uname -a; cat /etc/os-release; hostname; cat /proc/uptime")
    lines = text.splitlines()
    assert lines[0].startswith("Linux linux-1 6.1")
    assert 'VERSION_ID="12"' in lines
    assert lines[-2] == "linux-1"
    assert float(lines[-1].split()[0]) > 86400


def test_a_linux_shell_stops_echoing_when_it_is_told_to(one):
    channel = paramiko_login(one(platform="linux")).invoke_shell()
    read_until(channel, b"$ ")
    channel.send(b"stty -echo\n")
    read_until(channel, b"$ ")
    channel.send(b"echo hello\n")
    assert read_until(channel, b"$ ") == b"\r\nhello\r\nops@lab-1:~$ "


def test_a_wrong_password_is_rejected_and_recorded(one):
    device = one()
    with pytest.raises(NetmikoAuthenticationException):
        connect(device, "Wrong-1")
    assert offered(device) == [("ops", "Wrong-1", "password", False)]
    assert device.commands == []


def test_an_unknown_user_is_rejected(one):
    device = one()
    with pytest.raises(NetmikoAuthenticationException):
        connect(device, username="nobody")
    assert offered(device) == [("nobody", "Right-1", "password", False)]


def test_too_many_wrong_passwords_lock_the_account_on_this_device(one):
    device = one(lockout_after=2)
    for password in ("Wrong-1", "Wrong-2", "Right-1"):
        with pytest.raises(paramiko.AuthenticationException):
            paramiko_login(device, password)
    assert [offer.accepted for offer in device.offers] == [False, False, False]


def test_a_right_password_before_the_limit_clears_the_count(one):
    device = one(lockout_after=2)
    for password in ("Wrong-1", "Right-1", "Wrong-2", "Right-1"):
        if password == "Right-1":
            paramiko_login(device, password).close()
        else:
            with pytest.raises(paramiko.AuthenticationException):
                paramiko_login(device, password)
    assert [offer.accepted for offer in device.offers] == [False, True, False, True]


def test_new_logins_replace_the_old_ones_and_unlock(one):
    device = one(lockout_after=1)
    with pytest.raises(paramiko.AuthenticationException):
        paramiko_login(device, "New-1")
    device.set_logins(SimLogin("ops", "New-1"))
    paramiko_login(device, "New-1").close()
    with pytest.raises(paramiko.AuthenticationException):
        paramiko_login(device, "Right-1")


def test_an_enable_secret_opens_the_privileged_mode_and_is_recorded(one):
    device = one(needs_enable=True)
    with connect(device, secret="Enable-1") as session:
        assert session.find_prompt() == "lab-1>"
        assert "Invalid input" in session.send_command("show running-config")
        session.enable()
        assert session.send_command("show running-config").endswith("\nend")
    assert ("ops", "Enable-1", "enable", True) in offered(device)


def test_a_wrong_enable_secret_is_asked_for_again_and_recorded(one):
    device = one(needs_enable=True)
    channel = paramiko_login(device).invoke_shell()
    read_until(channel, b"lab-1>")
    channel.send(b"enable\nWrong-2\nWrong-3\nEnable-1\n")
    read_until(channel, b"Password: \r\nlab-1#")
    assert [(offer.secret, offer.accepted) for offer in device.offers[1:]] == [
        ("Wrong-2", False),
        ("Wrong-3", False),
        ("Enable-1", True),
    ]


def test_a_public_key_is_accepted_and_recorded_by_its_fingerprint(one, tmp_path):
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(tmp_path / "id")
    device = one(logins=[SimLogin("ops", None, public_key=key.export_public_key().decode())])
    with connect(device, None, use_keys=True, key_file=str(tmp_path / "id")) as session:
        assert session.send_command("show running-config").endswith("\nend")
    assert offered(device) == [("ops", key.get_fingerprint(), "publickey", True)]


def test_configuration_mode_can_be_entered_and_left(one):
    device = one()
    with connect(device) as session:
        session.send_config_set(["interface Loopback0", " description changed"])
        assert session.find_prompt() == "lab-1#"


def test_one_command_can_be_run_without_a_shell(one):
    client = paramiko_login(one())
    _, stdout, _ = client.exec_command("show running-config")
    text = stdout.read().decode()
    assert stdout.channel.recv_exit_status() == 0
    assert text.endswith("\nend\n")
    assert "\r" not in text
    client.close()


def test_two_commands_sent_in_one_piece_are_both_answered(one):
    client = paramiko_login(one())
    channel = client.invoke_shell(width=511)
    channel.send(b"terminal length 0\r\nterminal width 511\r\nshow running-config\r\n")
    text = read_until(channel, b"\r\nend\r\nlab-1#")
    assert text.startswith(b"lab-1#terminal length 0\r\nlab-1#terminal width 511\r\nlab-1#show running-config\r\n")
    client.close()


def test_output_is_paged_until_paging_is_switched_off(one):
    client = paramiko_login(one())
    channel = client.invoke_shell()
    channel.send(b"show running-config\n")
    assert read_until(channel, b" --More-- ").count(b"\n") == 24
    channel.send(b"q")
    read_until(channel, b"lab-1#")
    client.close()


def test_a_stopped_device_refuses_connections_and_comes_back_on_its_port(one):
    device = one()
    port = device.port
    client = paramiko_login(device)
    channel = client.invoke_shell()
    read_until(channel, b"lab-1#")
    device.stop()
    assert channel.recv(1) == b""
    with pytest.raises(paramiko.ssh_exception.NoValidConnectionsError):
        paramiko_login(device)
    device.start()
    assert device.port == port
    paramiko_login(device).close()


def test_a_device_that_is_not_to_be_started_refuses_connections(one):
    device = one(started=False)
    with pytest.raises(NetmikoTimeoutException):
        connect(device, conn_timeout=5)
    assert device.connections == 0


def test_a_changed_host_key_is_what_new_connections_see(one):
    device = one()

    def seen():
        client = paramiko_login(device)
        key = client.get_transport().get_remote_server_key()
        client.close()
        return key.fingerprint, f"{key.get_name()} {key.get_base64()}"

    first = seen()
    assert first == (device.host_key_fingerprint, device.host_key_line())
    assert device.change_host_key() != first[0]
    assert seen() == (device.host_key_fingerprint, device.host_key_line())
    assert seen() != first


def test_host_keys_and_revision_survive_a_restart_when_a_directory_is_given(tmp_path):
    devices = [SimDevice("lab-1", "cisco_ios", [OPS])]
    with SimulatedFleet(devices, state=tmp_path) as fleet:
        fleet.device("lab-1").change_config()
        fingerprint = fleet.device("lab-1").host_key_fingerprint
    with SimulatedFleet(devices, state=tmp_path) as fleet:
        assert fleet.device("lab-1").host_key_fingerprint == fingerprint
        assert fleet.device("lab-1").revision == 2
    assert [file.stat().st_mode & 0o077 for file in (tmp_path / "devices").iterdir()] == [0]


def test_a_device_may_offer_several_types_of_host_key(one):
    device = one(host_key_types=("ssh-rsa", "ssh-ed25519", "ecdsa-sha2-nistp256"))
    names = set()
    for key_type in ("ssh-ed25519", "rsa-sha2-512", "ecdsa-sha2-nistp256"):
        transport = paramiko.Transport((device.host, device.port))
        transport.get_security_options().key_types = (key_type,)
        transport.start_client(timeout=5)
        names.add(transport.get_remote_server_key().get_name())
        transport.close()
    assert names == {"ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256"}


def test_a_taken_port_is_named_with_its_device(one):
    taken = one().port
    with pytest.raises(PortTakenError, match=f"port {taken} .*lab-2"):
        SimulatedFleet([SimDevice("lab-2", "cisco_ios", [OPS], port=taken)]).start()


def test_two_devices_of_one_name_are_refused():
    with pytest.raises(SimulatorError, match="lab-1"):
        SimulatedFleet([SimDevice("lab-1", "cisco_ios"), SimDevice("lab-1", "linux")])


def test_a_device_survives_the_way_through_json():
    device = SimDevice("lab-1", "linux", [OPS], faults=[Fault.PAGER], tags=["dc"], lockout_after=3)
    assert SimDevice.from_json(device.to_json()) == device


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"name": "lab-1"}, "platform"),
        ({"name": "lab-1", "platform": "toaster"}, "toaster"),
        ({"name": "lab-1", "platform": "linux", "colour": "red"}, "colour"),
        ({"name": "lab-1", "platform": "linux", "transport": "carrier pigeon"}, "transport"),
        ({"name": "lab-1", "platform": "linux", "faults": ["sleepy"]}, "sleepy"),
    ],
)
def test_what_no_device_can_be_is_refused_with_its_name(data, message):
    with pytest.raises(ValueError, match=message):
        SimDevice.from_json(data)


def test_passwords_are_in_no_repr(one):
    device = one()
    paramiko_login(device).close()
    assert "Right-1" not in repr(device.offers)
    assert "Right-1" not in repr(device.spec)


def test_latency_is_added_to_each_exchange(one):
    device = one(latency_s=0.05)
    began = time.monotonic()
    paramiko_login(device).close()
    # Version, key exchange, service, password: at least four round trips.
    assert time.monotonic() - began >= 0.2


def test_two_hundred_sessions_are_served_at_once():
    login = SimLogin("ops", "Right-1")
    devices = [SimDevice(f"lab-{number}", "cisco_ios", [login], command_delay_s=0.5) for number in range(200)]

    async def fetch(device):
        async with asyncssh.connect(
            device.host, device.port, username="ops", password="Right-1", known_hosts=None, config=None
        ) as connection:
            return (await connection.run("show running-config")).stdout

    async def fetch_all(fleet):
        return await asyncio.gather(*(fetch(device) for device in fleet))

    with SimulatedFleet(devices) as fleet:
        texts = asyncio.run(fetch_all(fleet))
        assert len(fleet.offers) == 200
    assert all(text.endswith("\nend\n") for text in texts)
    assert len(set(texts)) == 200
