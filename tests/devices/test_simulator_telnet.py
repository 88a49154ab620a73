"""Simulated devices over telnet."""

import contextlib
import socket

import pytest

from devices.simulator.spec import Fault, SimLogin
from tests.devices.simulator_clients import connect, offered, read_until, running

IAC, DO, WILL, WONT, SB, SE = 255, 253, 251, 252, 250, 240


@pytest.fixture
def one():
    """Start a single telnet device and give its handle."""
    with contextlib.ExitStack() as stack:
        yield lambda *faults, **spec: stack.enter_context(running(faults=faults, transport="telnet", **spec))


@pytest.fixture
def dial():
    """Open plain TCP connections that read past the opening negotiation."""
    with contextlib.ExitStack() as stack:

        def call(device):
            sock = stack.enter_context(socket.create_connection((device.host, device.port), 5))
            sock.settimeout(5)
            assert sock.recv(9) == bytes((IAC, WILL, 1, IAC, WILL, 3, IAC, DO, 31))
            return sock

        yield call


def rest(sock):
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := sock.recv(4096):
            data += chunk
    return data


@pytest.mark.parametrize(
    ("platform", "command", "last"),
    [
        ("cisco_ios", "show running-config", "end"),
        ("hp_comware", "display current-configuration", "return"),
        ("huawei", "display current-configuration", "return"),
        ("juniper_junos", "show configuration", "}"),
    ],
)
def test_netmiko_fetches_the_whole_configuration_over_telnet(one, platform, command, last):
    device = one(platform=platform)
    with connect(device) as session:
        shown = session.send_command(command, read_timeout=20)
    assert shown.strip().splitlines()[-1] == last
    assert len(shown.strip().splitlines()) == len(device.configuration().strip().splitlines())
    assert offered(device) == [("ops", "Right-1", "telnet", True)]


def test_a_wrong_password_is_asked_for_again_three_times_and_then_the_device_closes(one, dial):
    device = one()
    sock = dial(device)
    for number in range(3):
        read_until(sock, b"Username: ")
        sock.sendall(b"ops\r\n")
        read_until(sock, b"Password: ")
        sock.sendall(b"Wrong-%d\r\n" % number)
    assert rest(sock).endswith(b"% Login invalid\r\n\r\n")
    assert [offer.secret for offer in device.offers] == ["Wrong-0", "Wrong-1", "Wrong-2"]


def test_telnet_reprompts_for_as_long_as_the_client_answers(one, dial):
    device = one(Fault.TELNET_REPROMPTS)
    sock = dial(device)
    for _ in range(10):
        read_until(sock, b"Username: ")
        sock.sendall(b"ops\r\nWrong-1\r\n")
    read_until(sock, b"Username: ")
    sock.sendall(b"ops\r\nRight-1\r\n")
    read_until(sock, b"lab-1#")
    assert len(device.offers) == 11


def test_telnet_closes_after_the_first_wrong_password(one, dial):
    device = one(Fault.TELNET_CLOSES)
    sock = dial(device)
    sock.sendall(b"ops\r\nWrong-1\r\n")
    assert b"invalid" not in rest(sock)
    assert offered(device) == [("ops", "Wrong-1", "telnet", False)]


def test_telnet_drip_sends_one_character_at_a_time(one, dial):
    sock = dial(one(Fault.TELNET_DRIP, platform="arista_eos"))
    assert len(sock.recv(100)) < len("lab-1 login: ")


def test_a_console_may_ask_for_a_password_alone(one, dial):
    device = one(Fault.TELNET_PASSWORD_ONLY, logins=[SimLogin("", "Console-1")])
    sock = dial(device)
    assert b"Username" not in read_until(sock, b"Password: ")
    sock.sendall(b"Console-1\r")
    read_until(sock, b"lab-1#")
    assert offered(device) == [("", "Console-1", "telnet", True)]


def test_the_password_is_not_echoed_and_the_user_name_is(one, dial):
    sock = dial(one())
    sock.sendall(b"ops\r\nRight-1\r\n")
    heard = read_until(sock, b"lab-1#")
    assert b"ops" in heard
    assert b"Right-1" not in heard


def test_lockout_counts_over_telnet_too(one, dial):
    device = one(lockout_after=2)
    sock = dial(device)
    sock.sendall(b"ops\r\nWrong-1\r\nops\r\nWrong-2\r\nops\r\nRight-1\r\n")
    assert rest(sock).count(b"Login invalid") == 3
    assert [offer.accepted for offer in device.offers] == [False, False, False]


def test_an_expired_password_is_followed_by_a_demand_for_a_new_one(one, dial):
    device = one(Fault.PASSWORD_EXPIRED)
    sock = dial(device)
    sock.sendall(b"ops\r\nRight-1\r\n")
    read_until(sock, b"New password: ")
    assert offered(device) == [("ops", "Right-1", "telnet", False)]


@pytest.mark.parametrize("fault", [Fault.CLOSES_DURING_AUTH, Fault.CLOSES_AFTER_AUTH])
def test_closes_around_the_login(one, dial, fault):
    device = one(fault)
    sock = dial(device)
    sock.sendall(b"ops\r\nRight-1\r\n")
    assert b"lab-1#" not in rest(sock)
    assert [offer.secret for offer in device.offers] == ["Right-1"]


def test_auth_never_answered(one, dial):
    device = one(Fault.AUTH_NEVER_ANSWERED)
    sock = dial(device)
    sock.sendall(b"ops\r\nRight-1\r\n")
    read_until(sock, b"Password: \r\n")
    sock.settimeout(0.4)
    with pytest.raises(TimeoutError):
        sock.recv(100)
    assert [offer.accepted for offer in device.offers] == [False]


def test_negotiation_is_answered_and_never_typed(one, dial):
    device = one()
    sock = dial(device)
    read_until(sock, b"Username: ")
    # A terminal type is declined; a window size and a command in two pieces are no text.
    sock.sendall(bytes((IAC, DO, 24)) + bytes((IAC, SB, 31, 0, 80, 0, 24, IAC, SE)) + b"op" + bytes((IAC,)))
    sock.sendall(bytes((WONT, 5)) + b"s\r\n")
    assert bytes((IAC, WONT, 24)) in read_until(sock, b"Password: ")
    sock.sendall(b"Right-1\r\n")
    read_until(sock, b"lab-1#")
    assert offered(device) == [("ops", "Right-1", "telnet", True)]


def test_garbage_output_doubles_the_byte_that_begins_a_command(one, dial):
    device = one(Fault.GARBAGE_OUTPUT)
    sock = dial(device)
    sock.sendall(b"ops\r\nRight-1\r\n")
    read_until(sock, b"lab-1#")
    sock.sendall(b"terminal length 0\r\n")
    read_until(sock, b"length 0\r\nlab-1#")
    sock.sendall(b"show running-config\r\n")
    assert b"\xff\xff\xfe" in read_until(sock, b"\r\nend\r\nlab-1#")
