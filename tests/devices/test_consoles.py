"""Serial consoles behind a TCP port: they sleep, talk late, and may be somebody else's session."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from devices.connector.outcomes import Fate, Outcome
from devices.connector.target import Limits, Target
from tests.devices.console import Console, tongue_of
from tests.devices.login import attempt_logins, opened

LIMITS = Limits(connect_s=2, banner_s=8, auth_s=3, prompt_s=4, read_s=4, deadline_s=40)
RIGHT = opened("ops", "right-2f61")


def console(**more: object) -> Console:
    return Console(tongue_of("cisco_ios"), password="right-2f61", **more)


def target_of(port: int) -> Target:
    return Target("console", "127.0.0.1", port, "cisco_ios", "telnet", limits=LIMITS)


@pytest.mark.parametrize("negotiates", [False, True], ids=["raw port", "telnet"])
def test_a_sleeping_console_is_woken_by_enter_and_logged_in_to(negotiates):
    with console(asleep=True, negotiates=negotiates) as device:
        report, _ = attempt_logins(target_of(device.port), RIGHT)
    assert report.outcome == Outcome.SUCCESS, report.detail
    assert (device.typed.usernames, device.typed.passwords) == (["ops"], ["right-2f61"])


def test_what_a_console_server_says_of_itself_is_no_prompt():
    with console(asleep=True, greeting="Connected to port 7, 9600 8N1.\nEscape is ^]\n") as device:
        report, _ = attempt_logins(target_of(device.port), RIGHT)
    assert report.outcome == Outcome.SUCCESS, report.detail


def test_a_console_that_says_press_return_gets_it():
    greeting = "\n\nsw1 con0 is now available\n\nPress RETURN to get started.\n\n"
    with socket.create_server(("127.0.0.1", 0)) as server, console() as device:

        def serve() -> None:
            sock, _ = server.accept()
            with sock, socket.create_connection(("127.0.0.1", device.port)) as behind:
                sock.sendall(greeting.encode())
                sock.recv(10)
                threading.Thread(target=_pump, args=(sock, behind), daemon=True).start()
                _pump(behind, sock)

        threading.Thread(target=serve, daemon=True).start()
        report, _ = attempt_logins(target_of(server.getsockname()[1]), RIGHT)
    assert report.outcome == Outcome.SUCCESS, report.detail


def _pump(one: socket.socket, other: socket.socket) -> None:
    try:
        while data := one.recv(4096):
            other.sendall(data)
    except OSError:
        return


@pytest.mark.parametrize("asleep", [False, True])
def test_somebodys_open_session_is_never_taken_over(asleep):
    with console(is_open=True, asleep=asleep, negotiates=False) as device:
        report, ledger = attempt_logins(target_of(device.port), RIGHT)
    assert report.outcome == Outcome.BUSY
    assert "Somebody is logged in" in report.detail
    assert "sessions" in report.advice
    assert set(device.typed.commands) <= {""}
    assert (ledger.opened, ledger.settled) == ([], [])


def test_a_banner_that_ends_like_a_prompt_is_no_open_session():
    with socket.create_server(("127.0.0.1", 0)) as server, console() as device:

        def serve() -> None:
            sock, _ = server.accept()
            with sock:
                sock.sendall(b"\r\n" + b"#" * 40 + b"\r\n# keep out #\r\n" + b"#" * 40)
                time.sleep(2.5)
                with socket.create_connection(("127.0.0.1", device.port)) as behind:
                    sock.sendall(b"\r\n")
                    threading.Thread(target=_pump, args=(sock, behind), daemon=True).start()
                    _pump(behind, sock)

        threading.Thread(target=serve, daemon=True).start()
        report, _ = attempt_logins(target_of(server.getsockname()[1]), RIGHT)
    assert report.outcome == Outcome.SUCCESS, report.detail
    assert device.typed.passwords == ["right-2f61"]


def test_an_offer_to_change_the_password_is_declined_and_the_login_holds():
    with socket.create_server(("127.0.0.1", 0)) as server:
        answers: list[bytes] = []

        def serve() -> None:
            sock, _ = server.accept()
            with sock:
                for said in (
                    b"\r\nUsername:",
                    b"\r\nPassword:",
                    b"\r\nWarning: The initial password poses security risks.\r\n"
                    b"The password needs to be changed. Change now? [Y/N]:",
                    b"\r\n<sw1>",
                ):
                    sock.sendall(said)
                    answers.append(sock.recv(100))
                while data := sock.recv(100):
                    sock.sendall(data.replace(b"\r", b"\r\n") + b"<sw1>" * (b"\r" in data or b"\n" in data))

        threading.Thread(target=serve, daemon=True).start()
        target = Target("x", "127.0.0.1", server.getsockname()[1], "huawei", "telnet", limits=LIMITS)
        report, ledger = attempt_logins(target, RIGHT)
    assert answers[1:3] == [b"right-2f61\r", b"n\r"]
    assert ledger.settled == [Fate.ACCEPTED], report.detail
