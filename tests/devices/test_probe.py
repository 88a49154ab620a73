"""What is seen of a device without a login."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress

import pytest

from devices.connector.outcomes import ConnectorError
from devices.connector.probe import probe
from devices.connector.target import Limits, Target
from devices.simulator.fleet import SimulatedFleet
from devices.simulator.spec import Fault, SimDevice, SimLogin
from tests.devices.login import target_for

QUICK = Limits(connect_s=2, banner_s=1)


@contextmanager
def device(**more):
    with SimulatedFleet([SimDevice("r1", "cisco_ios", (SimLogin("ops", "x"),), **more)]) as fleet:
        yield fleet.device("r1")


@contextmanager
def server(*words: bytes, hang_up: bool = True):
    """Says these words to whoever connects; yields its port and what it heard."""
    heard: list[bytes] = []
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            client, _ = listener.accept()
            with client:
                for word in words:
                    client.sendall(word)
                client.settimeout(1)
                with suppress(OSError):
                    heard.append(client.recv(1000) if words else b"")
                if not hang_up:
                    over.wait(5)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1], heard
        over.set()
        thread.join(5)


def at(port: int, transport: str = "ssh", host: str = "127.0.0.1") -> Target:
    return Target("r1", host, port, "cisco_ios", transport, limits=QUICK)


def test_an_ssh_device_tells_its_version_and_is_offered_no_secret():
    with device() as handle:
        seen = probe(target_for(handle, QUICK))
        assert seen.address == f"{handle.host}:{handle.port}"
        assert seen.banner.startswith("SSH-2.0-")
        assert 0 <= seen.connect_ms <= seen.answer_ms
        assert handle.offers == []


def test_a_telnet_device_tells_its_first_words():
    with device(transport="telnet") as handle:
        seen = probe(target_for(handle, QUICK))
        assert "User Access Verification" in seen.banner
        assert "Username:" in seen.banner
        assert handle.offers == []


def test_a_telnet_console_that_says_nothing_is_reachable_all_the_same():
    with server(hang_up=False) as (port, _):
        seen = probe(at(port, "telnet"))
    assert (seen.banner, seen.answer_ms) == ("", None)


def test_lines_before_the_version_are_passed_over():
    with server(b"Only for staff.\r\n", b"SSH-2.0-Some", b"thing_1.0\r\n") as (port, heard):
        assert probe(at(port)).banner == "SSH-2.0-Something_1.0"
    assert heard == [b"SSH-2.0-NetRaven_reachability\r\n"]


def test_control_characters_of_a_banner_are_taken_out():
    with server(b"SSH-2.0-x\x1b[31m\x00\x07y\r\n") as (port, _):
        assert probe(at(port)).banner == "SSH-2.0-xy"


@pytest.mark.parametrize(
    ("words", "outcome", "said"),
    [
        ((b"HTTP/1.1 400 Bad Request\r\n\r\n",), "protocol_error", "HTTP/1.1 400"),
        ((b"x" * 9000,), "protocol_error", "no SSH"),
        ((b"\n" * 200,), "protocol_error", "no SSH"),
        ((), "busy", "closed the connection before"),
    ],
)
def test_something_else_than_ssh_is_named(words, outcome, said):
    with server(*words) as (port, _), pytest.raises(ConnectorError) as caught:
        probe(at(port))
    assert caught.value.outcome == outcome
    assert said in caught.value.detail


def test_a_port_that_answers_and_then_says_nothing_is_a_timeout():
    with device(faults=frozenset({Fault.SILENT_BANNER})) as handle, pytest.raises(ConnectorError) as caught:
        probe(target_for(handle, QUICK))
    assert caught.value.outcome == "timeout"


def test_a_telnet_port_that_closes_at_once_is_busy():
    with server() as (port, _), pytest.raises(ConnectorError) as caught:
        probe(at(port, "telnet"))
    assert caught.value.outcome == "busy"


def test_a_closed_port_and_an_unknown_name_are_told_apart():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectorError) as refused:
            probe(at(unused.getsockname()[1]))
    with pytest.raises(ConnectorError) as unresolved:
        probe(at(22, host="no-such-host.invalid"))
    assert (refused.value.outcome, unresolved.value.outcome) == ("refused", "unresolved")
