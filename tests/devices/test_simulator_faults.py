"""Each fault of a simulated device does on the wire what its name says."""

import asyncio
import contextlib
import socket

import asyncssh
import paramiko
import pytest

from devices.simulator.spec import Fault, SimLogin
from tests.devices.simulator_clients import (
    connect,
    offered,
    paramiko_login,
    paramiko_transport,
    read_until,
    running,
)

pytestmark = pytest.mark.filterwarnings("ignore:Diffie-Hellman over finite fields")
SILENCE_S = 0.4


@pytest.fixture
def one():
    """Start a single device with some faults and give its handle."""
    with contextlib.ExitStack() as stack:
        yield lambda *faults, **spec: stack.enter_context(running(faults=faults, **spec))


def raw(device):
    """A TCP connection that has heard nothing yet."""
    return socket.create_connection((device.host, device.port), 5)


def shell(device):
    client = paramiko_login(device)
    channel = client.invoke_shell(width=511)
    # The client closes its connection when nobody holds it any more.
    channel.client = client
    return channel


def is_silent(channel):
    channel.settimeout(SILENCE_S)
    with pytest.raises(TimeoutError):
        channel.recv(1)
    return True


# Before the login


def test_closes_before_banner(one):
    device = one(Fault.CLOSES_BEFORE_BANNER)
    with raw(device) as sock:
        assert sock.recv(100) == b""
    assert device.connections == 1


def test_silent_banner(one):
    with raw(one(Fault.SILENT_BANNER)) as sock:
        assert is_silent(sock)


def test_slow_banner(one):
    device = one(Fault.SLOW_BANNER, banner_delay_s=SILENCE_S + 0.3)
    with raw(device) as sock:
        assert is_silent(sock)
        sock.settimeout(5)
        assert sock.recv(100).startswith(b"SSH-2.0-")
    paramiko_login(device).close()


def test_garbage_banner(one):
    device = one(Fault.GARBAGE_BANNER)
    with raw(device) as sock:
        assert not sock.recv(100).startswith(b"SSH-")
    with pytest.raises(paramiko.SSHException):
        paramiko_login(device, timeout=1)


def test_more_connections_than_sessions_are_closed_before_the_banner(one):
    device = one(max_sessions=1)
    with raw(device) as first, raw(device) as second:
        assert first.recv(100).startswith(b"SSH-")
        assert second.recv(100) == b""


def kex_offer(device):
    """What a device offers in its key exchange: algorithms of the exchange, and of the host key."""
    with raw(device) as sock:
        sock.sendall(b"SSH-2.0-test\r\n")
        data = b""
        while b"\n" not in data or len(data) < data.index(b"\n") + 600:
            data += sock.recv(4096)
    message = paramiko.Message(data[data.index(b"\n") + 1 + 5 + 1 + 16 :])
    return message.get_list(), message.get_list()


def test_legacy_kex_only(one):
    device = one(Fault.LEGACY_KEX_ONLY)
    methods, _ = kex_offer(device)
    assert [name for name in methods if name.startswith("diffie")] == [
        "diffie-hellman-group14-sha1",
        "diffie-hellman-group1-sha1",
    ]
    assert not [name for name in methods if name.startswith(("curve", "ecdh"))]
    paramiko_login(device).close()
    with pytest.raises(paramiko.ssh_exception.IncompatiblePeer):
        paramiko_login(
            device,
            disabled_algorithms={"kex": ["diffie-hellman-group14-sha1", "diffie-hellman-group1-sha1"]},
        )


def test_legacy_host_key_only(one):
    device = one(Fault.LEGACY_HOST_KEY_ONLY)
    assert kex_offer(device)[1] == ["ssh-rsa"]
    paramiko_login(device).close()
    with pytest.raises(paramiko.ssh_exception.IncompatiblePeer):
        paramiko_login(device, disabled_algorithms={"keys": ["ssh-rsa"]})


def test_group14_only(one):
    device = one(Fault.GROUP14_ONLY)
    methods, _ = kex_offer(device)
    assert [name for name in methods if not name.startswith(("ext-info", "kex-strict"))] == [
        "diffie-hellman-group14-sha256"
    ]
    paramiko_login(device).close()


def test_closes_before_auth(one):
    device = one(Fault.CLOSES_BEFORE_AUTH)
    transport = paramiko_transport(device)
    with pytest.raises((paramiko.SSHException, EOFError)):
        transport.auth_password("ops", "Right-1")
    assert device.offers == []


# The login


def test_closes_during_auth(one):
    device = one(Fault.CLOSES_DURING_AUTH)
    with pytest.raises(paramiko.SSHException):
        paramiko_login(device)
    assert offered(device) == [("ops", "Right-1", "password", False)]


def test_auth_never_answered(one):
    device = one(Fault.AUTH_NEVER_ANSWERED)
    with pytest.raises(paramiko.AuthenticationException, match="timeout"):
        paramiko_login(device, timeout=SILENCE_S)
    assert offered(device) == [("ops", "Right-1", "password", False)]


def test_closes_after_auth(one):
    device = one(Fault.CLOSES_AFTER_AUTH)
    with pytest.raises((paramiko.SSHException, EOFError, ConnectionError)):
        paramiko_login(device).invoke_shell()
    assert offered(device) == [("ops", "Right-1", "password", True)]


def test_keyboard_interactive_only(one):
    device = one(Fault.KEYBOARD_INTERACTIVE_ONLY)
    transport = paramiko_transport(device)
    with pytest.raises(paramiko.BadAuthenticationType) as error:
        transport.auth_password("ops", "Right-1", fallback=False)
    assert error.value.allowed_types == ["keyboard-interactive"]
    asked = []

    def answer(title, instructions, prompts):
        asked.extend(prompts)
        return ["Wrong-1" if not device.offers else "Right-1"]

    with pytest.raises(paramiko.AuthenticationException):
        transport.auth_interactive("ops", answer)
    transport.auth_interactive("ops", answer)
    assert asked == [("Password: ", False)] * 2
    assert offered(device) == [
        ("ops", "Wrong-1", "keyboard-interactive", False),
        ("ops", "Right-1", "keyboard-interactive", True),
    ]
    transport.close()


def test_publickey_only(one):
    device = one(Fault.PUBLICKEY_ONLY)
    transport = paramiko_transport(device)
    with pytest.raises(paramiko.BadAuthenticationType) as error:
        transport.auth_password("ops", "Right-1")
    assert error.value.allowed_types == ["publickey"]
    assert device.offers == []
    transport.close()


async def _asyncssh_login(device, **more):
    options = {"username": "ops", "known_hosts": None, "config": None, "client_keys": None, **more}
    async with asyncssh.connect(device.host, device.port, **options):
        pass


class _AsksForNewPassword(asyncssh.SSHClient):
    def __init__(self, seen):
        self.seen = seen

    def password_auth_requested(self):
        return None if self.seen else "Right-1"

    def password_change_requested(self, prompt, lang):
        self.seen.append(prompt)
        return "Right-1", "New-1"


def test_an_expired_password_is_answered_with_a_demand_for_a_new_one(one):
    device = one(Fault.PASSWORD_EXPIRED)
    seen = []
    with pytest.raises(asyncssh.PermissionDenied):
        asyncio.run(_asyncssh_login(device, client_factory=lambda: _AsksForNewPassword(seen)))
    assert seen[0] == "Your password has expired, enter a new one"
    assert offered(device)[0] == ("ops", "Right-1", "password", False)
    assert not any(offer.accepted for offer in device.offers)


def test_a_wrong_password_is_rejected_even_when_the_right_one_has_expired(one):
    device = one(Fault.PASSWORD_EXPIRED)
    with pytest.raises(paramiko.AuthenticationException):
        paramiko_login(device, "Wrong-1")


def test_an_expired_password_in_keyboard_interactive_asks_for_a_new_one(one):
    device = one(Fault.PASSWORD_EXPIRED, Fault.KEYBOARD_INTERACTIVE_ONLY)
    transport = paramiko_transport(device)
    asked = []

    def answer(title, instructions, prompts):
        asked.append([prompt for prompt, _ in prompts])
        return ["Right-1"] if len(prompts) == 1 else ["New-1", "New-1"]

    with pytest.raises(paramiko.AuthenticationException):
        transport.auth_interactive("ops", answer)
    assert asked == [["Password: "], ["New password: ", "Retype new password: "]]
    assert [offer.secret for offer in device.offers] == ["Right-1", "New-1", "New-1"]
    transport.close()


# The session


def test_too_many_sessions(one):
    device = one(Fault.TOO_MANY_SESSIONS)
    client = paramiko_login(device)
    with pytest.raises(paramiko.ChannelException) as error:
        client.invoke_shell()
    assert error.value.code == 4  # resource shortage
    client.close()


def test_busy_message(one):
    channel = shell(one(Fault.BUSY_MESSAGE))
    channel.settimeout(5)
    text = b""
    while chunk := channel.recv(4096):
        text += chunk
    assert b"no more lines" in text


def test_prompt_never_comes(one):
    channel = shell(one(Fault.PROMPT_NEVER_COMES))
    channel.send(b"\n")
    assert is_silent(channel)


def test_prompt_echoes_password(one):
    assert read_until(shell(one(Fault.PROMPT_ECHOES_PASSWORD)), b"#") == b"Right-1#"


def test_long_banner_comes_before_and_after_the_login(one):
    device = one(Fault.LONG_BANNER)
    channel = shell(device)
    assert channel.client.get_transport().get_banner().count(b"\n") > 100
    assert read_until(channel, b"\r\nlab-1#").count(b"\n") > 250
    with connect(device) as session:
        assert session.send_command("show running-config").endswith("\nend")


def test_enable_refused(one):
    device = one(Fault.ENABLE_REFUSED, needs_enable=True)
    channel = shell(device)
    channel.send(b"enable\nEnable-1\n")
    assert b"% Error in authentication." in read_until(channel, b"in authentication.\r\nlab-1>")
    assert offered(device)[-1] == ("ops", "Enable-1", "enable", False)


# The answer


def ask(device, end):
    """Ask for the configuration with paging switched off, and read until `end` comes."""
    channel = shell(device)
    channel.send(b"terminal length 0\n")
    read_until(channel, b"terminal length 0\r\nlab-1#")
    channel.send(b"show running-config\n")
    return channel, read_until(channel, end)


def test_pager_ignores_the_command_that_switches_paging_off(one):
    channel, text = ask(one(Fault.PAGER), b" --More-- ")
    pages = [text]
    while not pages[-1].endswith(b"lab-1#"):
        channel.send(b" ")
        page = b""
        while not page.endswith((b" --More-- ", b"lab-1#")):
            page += channel.recv(65536)
        pages.append(page)
    assert len(pages) > 10
    assert all(page.count(b"\n") <= 25 for page in pages)
    assert pages[-1].endswith(b"\r\nend\r\nlab-1#")


def test_resets_mid_output(one):
    device = one(Fault.RESETS_MID_OUTPUT)
    transport = paramiko_transport(device)
    transport.auth_password("ops", "Right-1")
    channel = transport.open_session()
    channel.invoke_shell()
    channel.settimeout(5)
    channel.send(b"terminal length 0\nshow running-config\n")
    text = b""
    while chunk := channel.recv(65536):
        text += chunk
    assert b"hostname lab-1" in text
    assert b"\r\nend\r\n" not in text
    assert isinstance(transport.get_exception(), ConnectionResetError)


def test_truncates_output(one):
    _, text = ask(one(Fault.TRUNCATES_OUTPUT), b"\r\nlab-1#")
    read = text.partition(b"show running-config\r\n")[2]
    assert 5000 < len(read) < 10000
    assert b"\r\nend\r\n" not in read


def test_endless_output(one):
    channel = shell(one(Fault.ENDLESS_OUTPUT))
    channel.send(b"terminal length 0\nshow running-config\n")
    channel.settimeout(5)
    heard = 0
    while heard < 3_000_000:
        heard += len(channel.recv(65536))
    channel.client.close()


def test_endless_output_stops_when_nobody_reads(one):
    device = one(Fault.ENDLESS_OUTPUT)
    channel = shell(device)
    channel.send(b"terminal length 0\nshow running-config\n")
    channel.client.close()
    device.set_faults()
    paramiko_login(device).close()


def test_garbage_output(one):
    _, text = ask(one(Fault.GARBAGE_OUTPUT), b"\r\nend\r\nlab-1#")
    for hostile in (b"\x00", b"\x1b[2J", "\u202e".encode(), b"\xff\xfe", b"<script>"):
        assert hostile in text


def test_silent_command_is_echoed_and_never_answered(one):
    channel, _ = ask(one(Fault.SILENT_COMMAND), b"show running-config\r\n")
    assert is_silent(channel)


@pytest.mark.parametrize(
    ("platform", "command", "error"),
    [
        ("cisco_ios", b"show version\n", b"% Invalid input detected at '^' marker."),
        ("juniper_junos", b"show configuration\n", b"unknown command."),
        ("linux", b"for f in /etc/hostname; do cat $f; done\n", b"command not found"),
    ],
)
def test_unknown_command(one, platform, command, error):
    channel = shell(one(Fault.UNKNOWN_COMMAND, platform=platform))
    channel.send(command)
    text = b""
    while error not in text:
        text += channel.recv(65536)


def test_a_slow_device_sends_at_its_speed(one):
    device = one(bytes_per_s=40_000, config_kb=20)
    channel = shell(device)
    channel.send(b"terminal length 0\nshow running-config\n")
    chunks = []
    channel.settimeout(5)
    while not b"".join(chunks).endswith(b"\r\nend\r\nlab-1#"):
        chunks.append(channel.recv(65536))
    # A tenth of a second's worth at a time; without a limit it would be the echo and one piece.
    assert len(chunks) >= 4


def test_faults_can_be_set_and_cleared_while_the_device_runs(one):
    device = one(Fault.CLOSES_BEFORE_BANNER)
    device.set_faults()
    paramiko_login(device).close()
    device.set_faults(Fault.PUBLICKEY_ONLY, "slow-banner")
    assert device.spec.faults == {Fault.PUBLICKEY_ONLY, Fault.SLOW_BANNER}


def test_a_login_without_a_password_is_opened_by_no_password(one):
    device = one(logins=[SimLogin("ops", None, public_key="ssh-ed25519 AAAA")])
    with pytest.raises(paramiko.AuthenticationException):
        paramiko_login(device, "")
