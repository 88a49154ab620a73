"""Devices that ask for user name and password in the terminal, after the SSH login or instead of it."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
from collections.abc import Iterator
from typing import Any

import asyncssh
import pytest

from devices.connector.outcomes import Fate, Outcome
from devices.connector.platforms import platforms
from devices.connector.target import Limits, Target
from tests.devices.console import Console, Tongue, tongue_of
from tests.devices.login import attempt_logins, opened

LIMITS = Limits(connect_s=2, banner_s=6, auth_s=4, prompt_s=4, read_s=4, deadline_s=40)
WLC = Tongue(prompt="(Cisco Controller) >", ask=("User: ", "Password:"), wrong="Login incorrect")
RIGHT = opened("ops", "right-70cc")


class Front:
    """An SSH server before a console: its shell is the console's terminal."""

    def __init__(self) -> None:
        self.passwords: list[str] = []
        self.needs_password = True
        self.console_port = 0
        self.port = 0


class _Server(asyncssh.SSHServer):  # type: ignore[misc]
    def __init__(self, front: Front) -> None:
        self._front = front

    def begin_auth(self, username: str) -> bool:
        return self._front.needs_password

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        self._front.passwords.append(password)
        return password == "right-70cc"


@pytest.fixture(scope="module")
def running_front() -> Iterator[Front]:
    front = Front()
    loop = asyncio.new_event_loop()
    ready = threading.Event()

    async def bridge(process: Any) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", front.console_port)

        async def type_on() -> None:
            with contextlib.suppress(OSError, asyncssh.Error):
                while data := await process.stdin.read(4096):
                    writer.write(data)
            writer.close()

        typing = asyncio.ensure_future(type_on())
        with contextlib.suppress(OSError, asyncssh.Error):
            while data := await reader.read(4096):
                process.stdout.write(data)
            process.exit(0)
        await typing

    async def serve() -> None:
        server = await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=lambda: _Server(front),
            server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
            process_factory=bridge,
            encoding=None,
            line_editor=False,
        )
        front.port = server.sockets[0].getsockname()[1]
        ready.set()

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(serve(), loop).result(10)
    assert ready.wait(10)
    yield front

    async def end() -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    asyncio.run_coroutine_threadsafe(end(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)


@pytest.fixture
def front(running_front):
    running_front.passwords.clear()
    running_front.needs_password = True
    return running_front


def attempt(front: Front, device: Console, platform: str = "cisco_wlc", *secrets: object):
    front.console_port = device.port
    target = Target("wlc", "127.0.0.1", front.port, platform, limits=LIMITS)
    return attempt_logins(target, *(secrets or (RIGHT,)))


def test_a_declared_platform_is_logged_in_to_a_second_time_in_the_terminal(front):
    with Console(WLC, password="right-70cc", negotiates=False) as device:
        report, ledger = attempt(front, device)
    assert report.outcome == Outcome.SUCCESS, report.detail
    assert (front.passwords, device.typed.passwords) == (["right-70cc"], ["right-70cc"])
    assert (device.typed.usernames, ledger.settled) == (["ops"], [Fate.ACCEPTED])


def test_what_the_terminal_refuses_is_rejected_after_one_submission_there(front):
    with Console(WLC, password="another", negotiates=False) as device:
        report, ledger = attempt(front, device)
    assert report.outcome == Outcome.REJECTED
    assert device.typed.passwords == ["right-70cc"]
    assert ledger.settled == [Fate.REJECTED]


def test_a_password_that_ssh_refused_never_reaches_the_terminal(front):
    with Console(WLC, password="right-70cc", negotiates=False) as device:
        report, _ = attempt(front, device, "cisco_wlc", opened("ops", "wrong-1"))
    assert report.outcome == Outcome.REJECTED
    assert (front.passwords, device.typed.passwords) == (["wrong-1"], [])


def test_a_server_that_lets_everybody_in_and_asks_in_the_terminal_gets_the_password_once(front):
    front.needs_password = False
    with Console(WLC, password="right-70cc", negotiates=False) as device:
        report, ledger = attempt(front, device)
    assert report.outcome == Outcome.SUCCESS, report.detail
    assert (front.passwords, device.typed.passwords) == ([], ["right-70cc"])
    assert ledger.settled == [Fate.ACCEPTED]


def test_a_declared_platform_that_asks_for_nothing_more_is_fine(front):
    with Console(WLC, password="right-70cc", negotiates=False, is_open=True) as device:
        report, _ = attempt(front, device)
    assert report.outcome == Outcome.SUCCESS, report.detail
    assert (front.passwords, device.typed.passwords) == (["right-70cc"], [])


@pytest.mark.parametrize("platform", ["cisco_ios", "cisco_nxos", "huawei", "hp_procurve", "extreme_ers"])
def test_any_other_platform_gets_no_second_submission(front, platform):
    with Console(tongue_of(platform), password="right-70cc", negotiates=False) as device:
        report, ledger = attempt(front, device, platform)
    assert report.outcome == Outcome.PROTOCOL_ERROR, report.detail
    assert (front.passwords, device.typed.passwords) == (["right-70cc"], [])
    assert ledger.settled == [Fate.ACCEPTED]


@pytest.mark.parametrize("enable_secret", ["enable-3f", None])
def test_an_asa_is_not_logged_in_to_a_second_time(front, enable_secret):
    tongue = Tongue(answers=(("show curpriv", "Current privilege level : 1\n"),))
    with Console(tongue, password="right-70cc", enable_secret="enable-3f", negotiates=False, is_open=True) as device:
        report, ledger = attempt(front, device, "cisco_asa", opened("ops", "right-70cc", enable_secret=enable_secret))
    assert report.outcome == Outcome.SUCCESS, report.detail
    assert "login" not in device.typed.commands
    assert device.typed.enables == ([enable_secret] if enable_secret else [])
    assert ledger.settled == [Fate.ACCEPTED]


def test_every_platform_whose_driver_would_log_in_a_second_time_is_declared():
    from netmiko.ssh_dispatcher import CLASS_MAPPER

    # These want a control character before anything else, which only their drivers know how to give.
    not_offered = {"extreme_ers", "extreme_vsp", "avaya_ers", "avaya_vsp"}
    # Their SSH asks for nothing, so the terminal is the only place where the password goes.
    once = {"ericsson_mltn63", "ericsson_mltn66"}
    found = set()
    for each in platforms().values():
        driver = CLASS_MAPPER.get(each.driver)
        if driver is not None and "self.password +" in inspect.getsource(driver.special_login_handler):
            found.add(each.name)
    assert {name for name, each in platforms().items() if each.terminal_login} == found - not_offered - once
