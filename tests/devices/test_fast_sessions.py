"""A session waits for the device's words alone, types no more than it must, and knows the end of an answer."""

from __future__ import annotations

import socket
import struct
import threading
import time

import pytest

from devices.connector import kex, wire
from devices.connector.core import CoreDeviceConnector
from devices.connector.dialogue import Answer
from devices.connector.outcomes import ConnectorError, Outcome
from devices.connector.platforms import platform
from devices.connector.target import Limits, LoginSecrets, Target
from devices.connector.watchdog import Watchdog
from devices.connector.wire import WireSocket
from tests.devices.shells import PASSWORD, PAUSE, RESET, Habits, Shell, Wire

CONFIG = "".join(f"interface Vlan{n}\n description link {n}\n" for n in range(200)) + "end\n"
SHOW = "show running-config"
END = platform("cisco_ios").collect("running").end_marker


def plain(answer: str) -> str:
    return answer.replace("\r\n", "\n")


def test_the_settings_are_typed_in_one_go_and_no_empty_line_before_the_command():
    with Shell(Habits(answers={SHOW: CONFIG})) as shell, shell.connector() as connector:
        connector.open()
        connector.enable()
        assert plain(connector.send(SHOW, end=END)) == CONFIG
        assert shell.typed == ["terminal width 511\nterminal length 0\n", f"{SHOW}\n"]


def test_a_whole_session_sends_no_more_messages_than_the_protocol_needs(monkeypatch):
    # Identification, key exchange (3), service, methods, password, channel, terminal, shell, settings, command.
    sent = []
    send = WireSocket.send
    monkeypatch.setattr(WireSocket, "send", lambda self, data: (sent.append(len(data)), send(self, data))[1])
    with Shell(Habits(answers={SHOW: CONFIG})) as shell, shell.connector() as connector:
        connector.open()
        connector.enable()
        connector.send(SHOW, end=END)
        assert len(sent) <= 12


def test_the_answer_without_an_end_mark_is_confirmed_by_an_empty_line():
    with Shell(Habits(answers={SHOW: CONFIG})) as shell, shell.connector() as connector:
        connector.open()
        assert plain(connector.send(SHOW, confirm=True)) == CONFIG
        assert shell.typed[-2:] == [f"{SHOW}\n", "\n"]


@pytest.mark.parametrize("how", [{"end": END}, {"confirm": True}], ids=["end mark", "confirmed"])
def test_a_line_of_the_answer_that_is_the_prompt_does_not_end_it(how):
    answer = f"banner motd\nR1#{PAUSE}\nR1#\n{CONFIG}"
    with Shell(Habits(answers={SHOW: answer})) as shell, shell.connector() as connector:
        connector.open()
        assert plain(connector.send(SHOW, **how)) == answer.replace(PAUSE, "")


def test_the_end_mark_alone_does_not_end_an_answer():
    answer = f"route-policy A\nend\n{PAUSE}hostname R1\nend\n"
    with Shell(Habits(answers={SHOW: answer})) as shell, shell.connector() as connector:
        connector.open()
        assert plain(connector.send(SHOW, end=END)) == answer.replace(PAUSE, "")


@pytest.mark.parametrize("line", ["append", " end", "end of it", "the end"])
def test_a_part_of_a_line_is_no_end_mark(line):
    # What is kept of a long answer may begin within a line.
    prompt, rest = "R1#", "x" * 1000
    for length in range(1020, 1060):
        reader = Answer(SHOW, "R1", (), END)
        reader.prompt = prompt
        reader.add(f"{SHOW}\r\n{line}\r\n{rest}\r\n{'y' * length}\r\n{prompt}")
        assert reader.at_proven_prompt
        assert not reader.has_ended


def test_an_echo_that_is_late_does_not_let_the_prompt_before_it_end_the_answer():
    with Shell(Habits(prompt=f"R1{PAUSE}#", answers={SHOW: CONFIG})) as shell, shell.connector() as connector:
        connector.open()
        assert plain(connector.send(SHOW, end=END)) == CONFIG
        assert plain(connector.send(SHOW, confirm=True)) == CONFIG


BANNERS = {
    "a frame of prompt characters": "#" * 60 + "\n" + "# keep out #\n" * 3 + "#" * 60 + "\n",
    "a frame that comes in pieces": ("#" * 60 + PAUSE + "\n") * 3,
    "lines that stop at a prompt character": f"welcome to R1#{PAUSE} of the lab\nall is logged >{PAUSE} for ever\n",
    "the same line twice": f"welcome to R1#{PAUSE}\nwelcome to R1#{PAUSE}\nand so on\n",
    "two hundred lines": "# user@host> is what it looks like, Password: never tell it #\n" * 200,
    "a line that looks like the prompt": f"R1>{PAUSE}\nis not the prompt\n",
}


@pytest.mark.parametrize("platform_name", ["cisco_ios", "cisco_nxos", "cisco_asa", "a10", "ruckus_fastiron"])
@pytest.mark.parametrize("banner", BANNERS)
def test_a_banner_is_not_taken_for_the_prompt(banner, platform_name):
    habits = Habits(greeting=BANNERS[banner], answers={SHOW: CONFIG})
    with Shell(habits) as shell, shell.connector(platform_name) as connector:
        connector.open()
        assert connector._conn.base_prompt == "R1"
        assert plain(connector.send(SHOW, end=END)) == CONFIG


def test_what_a_device_says_to_a_setting_is_not_its_prompt():
    answers = {"terminal length 0": f"note #{PAUSE} is given\n", SHOW: CONFIG}
    with Shell(Habits(answers=answers)) as shell, shell.connector() as connector:
        connector.open()
        assert connector._conn.base_prompt == "R1"
        assert plain(connector.send(SHOW, end=END)) == CONFIG


def test_a_line_that_ends_in_the_name_of_the_device_does_not_end_an_answer():
    answer = f"hostname core-sw1{PAUSE}\n{CONFIG}"
    with Shell(Habits(prompt="core-sw1#", answers={SHOW: answer})) as shell, shell.connector() as connector:
        connector.open()
        assert plain(connector.send(SHOW)) == answer.replace(PAUSE, "")


def test_a_driver_that_looks_for_a_word_in_vain_goes_on_after_its_own_time():
    # ProCurve's looks for its copyright notice first.
    limits = Limits(prompt_s=600, deadline_s=40)
    with Shell(Habits(prompt="R1# ")) as shell, shell.connector("hp_procurve", limits) as connector:
        connector.open()
        assert connector._conn.base_prompt == "R1"


@pytest.mark.parametrize("platform_name", ["cisco_ios", "juniper_junos", "linux"])
def test_a_device_that_echoes_nothing_is_read_to_the_end(platform_name):
    prompt = {"cisco_ios": "R1#", "juniper_junos": "\n{master:0}\nops@R1> ", "linux": "ops@R1:~$ "}[platform_name]
    habits = Habits(prompt=prompt, echoes=False, answers={SHOW: CONFIG})
    with Shell(habits) as shell, shell.connector(platform_name) as connector:
        connector.open()
        assert plain(connector.send(SHOW, confirm=True)).lstrip().startswith(CONFIG)


def test_settings_that_a_device_forgot_while_it_was_at_work_are_typed_again():
    with Shell(Habits(drops_typeahead=True, answers={SHOW: CONFIG})) as shell, shell.connector() as connector:
        connector.open()
        assert shell.lines == ["terminal width 511", "terminal length 0"]
        assert plain(connector.send(SHOW, end=END)) == CONFIG


def test_a_prompt_that_changes_its_end_is_still_found():
    # As on SR OS, where a star says that something is not saved.
    habits = Habits(prompt=lambda typed: "*A:R1# " if typed > 2 else "A:R1# ", answers={SHOW: CONFIG})
    with Shell(habits) as shell, shell.connector("cisco_ios") as connector:
        connector.open()
        assert plain(connector.send(SHOW, confirm=True)) == CONFIG
        assert plain(connector.send(SHOW, end=END)) == CONFIG


def test_a_reset_in_the_middle_of_an_answer_is_noticed_at_once():
    # Neither the limit of silence nor the deadline can have ended this wait: both would be a time-out.
    limits = Limits(prompt_s=20, read_s=600, deadline_s=40)
    with Shell(Habits(answers={SHOW: CONFIG[:2000] + RESET})) as shell, shell.connector(limits=limits) as connector:
        connector.open()
        with pytest.raises(ConnectorError) as caught:
            connector.send(SHOW, timeout_s=600, end=END)
    assert caught.value.outcome == Outcome.INCOMPLETE_OUTPUT
    assert "closed the session in the middle" in caught.value.detail


def test_a_connection_that_stalls_within_a_message_is_given_up(monkeypatch):
    monkeypatch.setattr(wire, "_STALL_S", 0.5)
    limits = Limits(read_s=600, deadline_s=40)
    with (
        Shell(Habits(answers={SHOW: CONFIG})) as shell,
        Wire(shell.port) as between,
        shell.connector(port=between.port, limits=limits) as connector,
    ):
        connector.open()
        between.left = 100
        with pytest.raises(ConnectorError) as caught:
            connector.send(SHOW, timeout_s=600, end=END)
        assert isinstance(connector._session._transport.saved_exception, ConnectionAbortedError)
    assert "closed the session in the middle" in caught.value.detail


@pytest.mark.parametrize("name", ["curve25519-sha256", "diffie-hellman-group14-sha256"])
def test_keys_that_are_exchanged_anew_within_an_answer_do_not_disturb_it(name):
    answer = CONFIG * 40
    habits = Habits(answers={SHOW: answer}, kex=(name,), rekey_bytes=50_000)
    with Shell(habits) as shell, shell.connector() as connector:
        connector.open()
        for _ in range(2):
            assert plain(connector.send(SHOW, confirm=True)) == answer


def test_what_is_typed_while_keys_are_exchanged_waits_for_them():
    with Shell(Habits(answers={"show clock": "12:00:00\n"})) as shell, shell.connector() as connector:
        connector.open()
        transport = connector._session._transport
        transport._send_kex_init()
        assert not transport.clear_to_send.is_set()
        assert plain(connector.send("show clock", confirm=True)) == "12:00:00\n"
        assert transport.clear_to_send.is_set()


def test_a_goodbye_right_behind_the_identification_is_read():
    words = b"Too many connections"
    payload = struct.pack(">BII", 1, 12, len(words)) + words + struct.pack(">I", 0)
    padding = 8 - (len(payload) + 5) % 8 + 8
    packet = struct.pack(">IB", len(payload) + padding + 1, padding) + payload + bytes(padding)
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = []

        def serve() -> None:
            connection, _ = server.accept()
            held.append(connection)  # it stays open, and silent
            connection.sendall(b"SSH-2.0-x\r\n" + packet)

        threading.Thread(target=serve, daemon=True).start()
        limits = Limits(banner_s=600, deadline_s=40)
        target = Target("x", "127.0.0.1", server.getsockname()[1], "cisco_ios", limits=limits)
        connector = CoreDeviceConnector(target, "ops", lambda offered: LoginSecrets("ops"), lambda presented: None)
        with connector, pytest.raises(ConnectorError) as caught:
            connector.open()
        held[0].close()
    assert caught.value.outcome == Outcome.BUSY
    assert "Too many connections" in caught.value.detail


def test_an_answer_larger_than_the_window_of_a_channel_comes_whole():
    answer = CONFIG * 400
    with Shell(Habits(answers={SHOW: answer})) as shell, shell.connector() as connector:
        connector.open()
        assert plain(connector.send(SHOW, end=END)) == answer


def test_a_reset_while_the_terminal_is_set_up_is_noticed_at_once():
    limits = Limits(prompt_s=600, deadline_s=40)
    answers = {"terminal width 511": RESET}
    with (
        Shell(Habits(answers=answers)) as shell,
        shell.connector(limits=limits) as connector,
        pytest.raises(ConnectorError) as caught,
    ):
        connector.open()
    assert caught.value.outcome == Outcome.PROTOCOL_ERROR
    assert "closed the session" in caught.value.detail


def test_a_device_that_thinks_is_waited_for_without_looking_ten_times_a_second(monkeypatch):
    looks = []
    recv = WireSocket.recv
    monkeypatch.setattr(WireSocket, "recv", lambda self, size: (looks.append(size), recv(self, size))[1])
    counts = []
    for pause in ("", PAUSE * 10):
        with Shell(Habits(answers={SHOW: pause + CONFIG})) as shell, shell.connector() as connector:
            connector.open()
            looks.clear()
            connector.send(SHOW, end=END)
            counts.append(len(looks))
    assert counts[1] - counts[0] <= 8


def test_sessions_have_no_threads_of_their_own_and_one_watchdog_together():
    with Shell(Habits()) as shell:
        with shell.connector() as connector:
            connector.open()
        before = set(threading.enumerate())
        connectors = [shell.connector() for _ in range(3)]
        for connector in connectors:
            connector.open()
        assert not [each.name for each in set(threading.enumerate()) - before if "asyncio" not in each.name]
        assert sum("watchdog" in thread.name for thread in threading.enumerate()) == 1
        for connector in connectors:
            connector.close()


def test_the_watchdog_calls_what_is_due_and_forgets_what_was_called_off():
    dog, called, done = Watchdog(), [], threading.Event()
    now = time.monotonic()
    dog.call_at(now + 3600, lambda: called.append("in an hour"))
    while dog._wakes_at == float("inf"):
        done.wait(0.01)
    off = dog.call_at(now + 0.05, lambda: called.append("called off"))
    dog.call_at(now + 0.05, lambda: 1 / 0)
    dog.call_at(now + 0.1, lambda: (called.append("due"), done.set()))
    dog.call_off(off)
    assert done.wait(10)
    assert called == ["due"]


@pytest.mark.parametrize("with_gmp", [True, False], ids=["GMP", "Python alone"])
@pytest.mark.parametrize("name", kex.FINITE_FIELD)
def test_a_device_that_offers_only_this_key_exchange_is_logged_in_to(name, with_gmp, monkeypatch):
    used = []
    power = kex.power if with_gmp else pow
    monkeypatch.setattr(kex, "power", lambda *numbers: (used.append(numbers[1].bit_length()), power(*numbers))[1])
    with Shell(Habits(kex=(name,))) as shell, shell.connector(legacy_ssh=True) as connector:
        connector.open()
        assert used == [512, 512]


@pytest.mark.skipif(kex.power is pow, reason="gmpy2 is not installed")
def test_gmp_and_python_agree():
    modulus = kex.KexGroup14.P
    assert kex.power(3, 2**511 + 12345, modulus) == pow(3, 2**511 + 12345, modulus)


def test_an_even_modulus_is_refused():
    exchange = kex.FINITE_FIELD["diffie-hellman-group-exchange-sha256"](None)
    exchange.p = 1 << 2047
    with pytest.raises(Exception, match="even modulus"):
        exchange._generate_x()


def test_the_password_is_not_typed_into_the_terminal():
    with Shell(Habits()) as shell, shell.connector() as connector:
        connector.open()
        assert PASSWORD not in "".join(shell.typed)
