"""CoreDeviceConnector: one Netmiko session to one device with one login. The only importer of Netmiko."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from netmiko.base_connection import BaseConnection
from netmiko.exceptions import NetmikoBaseException, ReadTimeout
from netmiko.ssh_dispatcher import CLASS_MAPPER
from paramiko.ssh_exception import SSHException

from devices.connector.channel import ANSI, DeviceChannel, plain
from devices.connector.dialogue import Answer, Dialogue
from devices.connector.outcomes import ConnectorError, Outcome
from devices.connector.platforms import Platform, platform
from devices.connector.ssh import BUSY_WORDS, HostKeyCheck, SshSession
from devices.connector.target import Evidence, LoginSecrets, Target
from devices.connector.terminal import (
    EXPIRED,
    PASSWORD_PROMPT,
    REFUSED,
    SHELL_PROMPT,
    PromptGuard,
    TelnetSession,
    leave_console,
    terminal_login,
)
from devices.connector.watchdog import WATCHDOG

SecretsProvider = Callable[[tuple[str, ...]], LoginSecrets]
# What Netmiko's drivers raise when a terminal does not behave: all of it is read as "no prompt".
_DRIVER_ERRORS = (
    NetmikoBaseException,
    SSHException,
    ValueError,
    IndexError,
    AttributeError,
    OSError,
    EOFError,
)
# Times Netmiko's own pauses, which are fractions of a second: what they wait for is waited for by reading.
_DELAY_FACTOR = 0.02
_USUAL_TIMEOUT_S = 10.0


class _Attached(BaseConnection):  # type: ignore[misc]  # Netmiko is not typed for subclassing
    """Stands between a driver and Netmiko's base class: the connection is ours, the dialogue the driver's.

    Netmiko sleeps and looks whether something has come. Here its reading methods wait for the next word instead;
    commands that set the terminal up are typed in one go; and an empty line that only asks for the prompt is not
    typed at all where the device rests at its proven prompt: the answer is known.
    """

    def __init__(self, *, session: SshSession | TelnetSession, asks_again: bool, **kwargs: Any) -> None:
        self._session = session
        self._asks_again = asks_again
        self._settings: list[str] = []
        self._read_buffer = ""
        self.dialogue: Dialogue
        super().__init__(**kwargs)

    def establish_connection(self, width: int = 511, height: int = 1000) -> None:
        session = self._session
        channel = session.log_in(self.username, width, height)
        self.channel = channel
        self.dialogue = Dialogue(channel)
        self.remote_conn = channel.remote_conn
        self.remote_conn_pre = session
        secrets = session.secrets
        assert secrets is not None
        guard = PromptGuard(channel, secrets.username)
        if isinstance(session, SshSession):
            greeting = self.dialogue.greeting()
            channel.unread(greeting)
            said = plain(greeting).replace("\r", "")
            if EXPIRED.search(said):
                raise ConnectorError(Outcome.PASSWORD_EXPIRED, f"The device says: {channel.show(said, 160)}")
            if session.noauth or self._asks_again:
                terminal_login(
                    channel, session.target, secrets.username, lambda: secrets, session.evidence, is_ours=True
                )
            else:
                channel.guard = guard
                self.special_login_handler()
        channel.guard = guard

    def cleanup(self, command: str = "exit") -> None:
        """For drivers that have no goodbye of their own."""
        self.write_channel(command + self.RETURN)

    # --- what Netmiko does by sleeping ------------------------------------------------------------
    def _try_session_preparation(self, force_data: bool = True) -> None:
        try:
            if force_data and not (self._read_buffer or self.channel.has_unread):
                self.write_channel(self.RETURN)
            self.session_preparation()
            self._type_settings()
            if not self.dialogue.prompt and self.dialogue.may_ask:
                self.write_channel(self.RETURN)
            if self.base_prompt and not self.dialogue.may_be_part(self.base_prompt):
                self.set_base_prompt()  # what the driver took for it was still a banner
        except Exception:
            self.disconnect()
            raise
        self._read_buffer = ""
        self.channel.take_unread()

    def set_terminal_width(self, command: str = "", *args: Any, **kwargs: Any) -> str:
        """Kept until something is to be read, and then typed with the other settings."""
        if command:
            self._settings.append(command)
        return ""

    def disable_paging(self, command: str = "terminal length 0", *args: Any, **kwargs: Any) -> str:
        """Kept until something is to be read, and then typed with the other settings."""
        self._settings.append(command)
        return ""

    def _type_settings(self) -> None:
        if not self._settings:
            return
        settings, self._settings = self._settings, []
        self._read_buffer = ""
        # A console may drop what is typed ahead, or take it for a login when it has ended the session meanwhile.
        over_ssh = isinstance(self._session, SshSession)
        for batch in [settings] if over_ssh else [[each] for each in settings]:
            rest = self.dialogue.settle(batch, self.RETURN, self.read_timeout_override or 20.0)
            if rest is None:
                raise ReadTimeout("no answer to the commands that set the terminal up")
            self.channel.unread(rest)

    def write_channel(self, out_data: str) -> None:
        """Type; an empty line only where its answer is not known."""
        self._type_settings()
        channel, dialogue = self.channel, self.dialogue
        if out_data != self.RETURN:
            super().write_channel(out_data)
            return
        channel.take_in()
        if dialogue.at_rest:
            channel.unread(channel.take_unread() + self.RESPONSE_RETURN + dialogue.standing)
        elif dialogue.may_ask:
            channel.unread(dialogue.ask(self.RETURN, self.read_timeout_override or 10.0))
        else:
            super().write_channel(out_data)

    def read_channel(self) -> str:
        """What has come."""
        self._type_settings()
        text: str = super().read_channel()
        return text

    def _listen(self, wait_s: float) -> str:
        """What comes within so many seconds: the first of it ends the wait."""
        self.channel.patience_s = wait_s
        try:
            return self.read_channel()
        finally:
            self.channel.patience_s = None

    def read_until_pattern(
        self, pattern: str = "", read_timeout: float = 10.0, re_flags: int = 0, max_loops: int | None = None
    ) -> str:
        """All up to and with the first match of the pattern; the rest is read next. Raises ReadTimeout."""
        limit_s = self.read_timeout_override or read_timeout or float("inf")
        if 0 < read_timeout < _USUAL_TIMEOUT_S:
            limit_s = read_timeout  # the driver looks whether something is said, and goes on without it
        until = time.monotonic() + limit_s
        text = self._listen(0.0)
        while not (match := re.search(pattern, text, flags=re_flags)):
            left = until - time.monotonic()
            if left <= 0:
                raise ReadTimeout("the device did not say what its driver waits for")
            text += self._listen(min(left, 60.0))
        self._read_buffer = text[match.end() :] + self._read_buffer
        return text[: match.end()]

    def read_channel_timing(
        self,
        last_read: float = 2.0,
        read_timeout: float = 120.0,
        delay_factor: float | None = None,
        max_loops: int | None = None,
    ) -> str:
        """All that comes until the proven prompt is back, or nothing more for `last_read` seconds."""
        until = time.monotonic() + (self.read_timeout_override or read_timeout or float("inf"))
        text = self._listen(0.0)
        while not (text and self.dialogue.at_rest):
            left = until - time.monotonic()
            if left <= 0:
                raise ReadTimeout("the device does not stop talking, or never begins")
            more = self._listen(min(left, last_read if text else 60.0))
            if text and not more:
                break
            text += more
        return text

    def _test_channel_read(self, count: int = 40, pattern: str = "") -> str:
        if not pattern:
            self.write_channel(self.RETURN)
            if self.dialogue.at_rest:
                return self._listen(0.0)
        text: str = super()._test_channel_read(count=count, pattern=pattern)
        return text

    def command_echo_read(self, cmd: str, read_timeout: float) -> str:
        """The echo of a driver's own command, and the answer with it where the proven prompt ends that."""
        text: str = super().command_echo_read(cmd, read_timeout)
        text += self._listen(0.0)
        while self.dialogue.prompt and not self.dialogue.at_rest:
            more = self._listen(0.02 if self.dialogue.may_ask else 0.25)
            text += more
            if not more:
                break
        return text

    def clear_buffer(self, backoff: bool = True, backoff_max: float = 3.0, delay_factor: float | None = None) -> str:
        """What has come and is not read; at rest there is no more to wait for."""
        self._type_settings()
        wait = 0.0 if self.dialogue.at_rest else 0.02
        text = ""
        while more := self._listen(wait):
            text += more
            wait = 0.0 if self.dialogue.at_rest else min(wait * 2 or 0.02, 1.0)
        return plain(text)


class _Restrained:
    """Stands before a driver and does in its place what it does too freely."""

    def cleanup(self, command: str = "") -> None:
        """The goodbye of the drivers costs several round trips; closing an SSH channel says the same."""
        if isinstance(self._session, TelnetSession):  # type: ignore[attr-defined]
            # A console stays logged in when its connection closes, for whoever comes next.
            leave_console(self.channel, super().cleanup)  # type: ignore[attr-defined,misc]

    def asa_login(self) -> None:
        """In place of the ASA's driver, which logs in again and again with the password that it has not got."""
        if self._session.secrets.enable_secret:  # type: ignore[attr-defined]
            self.enable()  # where it was refused before, `CoreDeviceConnector.enable` says so

    def enable(self, *args: Any, **kwargs: Any) -> str:
        """Some drivers call it while they prepare the session, and all too freely with the secret."""
        channel: DeviceChannel = self.channel  # type: ignore[attr-defined]
        guard = channel.guard
        assert isinstance(guard, PromptGuard)
        session: SshSession | TelnetSession = self._session  # type: ignore[attr-defined]
        assert session.secrets is not None
        if guard.refusal is None and session.secrets.enable_refused:
            if self.check_enable_mode():  # type: ignore[attr-defined]
                return ""
            guard.refusal = ConnectorError(Outcome.ENABLE_REJECTED, session.secrets.enable_refused)
        if guard.refusal is not None:
            raise guard.refusal
        self.secret = session.secrets.enable_secret or ""
        guard.expect_enable(self.secret)
        channel.watch = _refuse_second_prompt(channel)
        try:
            said: str = super().enable(*args, **kwargs)  # type: ignore[misc]
        except ConnectorError as error:
            guard.refusal = error
            session.evidence.enable_refused = guard.typed_enable and error.outcome == Outcome.ENABLE_REJECTED
            raise
        except NotImplementedError:
            raise
        except _DRIVER_ERRORS:
            guard.refusal = _enable_failed(channel)
            # Back at its prompt the device has answered: that it did not grant it is all that some say.
            answered = REFUSED.search(channel.tail) or SHELL_PROMPT.search(plain(channel.tail).replace("\r", ""))
            session.evidence.enable_refused = guard.typed_enable and bool(answered)
            raise guard.refusal from None
        finally:
            self.secret = ""
            guard.expect_enable(None)
            channel.watch = None
        return said


def _refuse_second_prompt(channel: DeviceChannel) -> Callable[[str], None]:
    """Notices a refused enable secret at once, where Netmiko would wait for a prompt in vain."""
    heard = ""
    prompts = 0

    def watch(text: str) -> None:
        nonlocal heard, prompts
        heard = (heard + ANSI.sub("", text).replace("\r", ""))[-4096:]
        prompts += bool(PASSWORD_PROMPT.search(heard)) and bool(text.strip())
        if prompts > 1 or (prompts and REFUSED.search(heard)):
            raise ConnectorError(Outcome.ENABLE_REJECTED, f"The device said: {channel.show(heard, 120)}")

    return watch


def _enable_failed(channel: DeviceChannel) -> ConnectorError:
    heard = ANSI.sub("", channel.tail).replace("\r", "")[-400:]
    said = channel.show(heard, 120)
    if channel.closed and not REFUSED.search(heard):
        return ConnectorError(Outcome.TIMEOUT, f"The device closed while the enable secret was checked. {said}")
    return ConnectorError(Outcome.ENABLE_REJECTED, f"The device did not grant it; it says: {said}")


@functools.cache
def _attached(driver: type[BaseConnection]) -> type[BaseConnection]:
    # _Attached comes after the driver's own classes and before Netmiko's base: their overrides still apply.
    return type(f"Attached{driver.__name__}", (_Restrained, driver, _Attached), {})


class CoreDeviceConnector:
    """One session to one device: log in, send commands, close.

    `secrets` is called once, after the host key was verified and just before the login, with the methods
    that the server offers; `check_host_key` raises HostKeyVerdict to refuse. All failures are
    ConnectorError with an outcome class; `evidence` says what happened on the wire, also after a failure.
    """

    def __init__(
        self,
        target: Target,
        username: str,
        secrets: SecretsProvider,
        check_host_key: HostKeyCheck,
    ) -> None:
        self.target = target
        self.platform: Platform = platform(target.platform)
        self._username = username
        self._deadline = time.monotonic() + target.limits.deadline_s
        self._session: SshSession | TelnetSession
        if target.transport == "telnet":
            self._session = TelnetSession(target, secrets, self._deadline)
        else:
            self._session = SshSession(target, secrets, check_host_key, self._deadline)
        self._conn: BaseConnection | None = None
        self._watched: int | None = None

    @property
    def evidence(self) -> Evidence:
        """What happened on the wire so far."""
        return self._session.evidence

    @property
    def _channel(self) -> DeviceChannel:
        assert self._conn is not None
        channel = self._conn.channel
        assert isinstance(channel, DeviceChannel)
        return channel

    def __enter__(self) -> CoreDeviceConnector:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- login ----------------------------------------------------------------------------------
    def open(self) -> None:
        """Connect, check the host key, log in and find the prompt; raises ConnectorError."""
        # Some waits of paramiko have no time-out: past the deadline the socket is closed under them.
        self._watched = WATCHDOG.call_at(self._deadline + 1.0, self._session.abort)
        self._session.connect()
        telnet = self.target.transport == "telnet"
        name = f"{self.platform.driver}_telnet" if telnet else self.platform.driver
        driver = CLASS_MAPPER.get(name)
        if driver is None:
            raise ConnectorError(Outcome.PROTOCOL_ERROR, f"There is no {self.target.transport} driver for {name}.")
        try:
            self._conn = _attached(driver)(
                session=self._session,
                asks_again=self.platform.terminal_login,
                host=self.target.host,
                port=self.target.port,
                username=self._username,
                password="",  # the driver never holds it
                device_type=name,
                fast_cli=True,
                global_delay_factor=_DELAY_FACTOR,
                read_timeout_override=self.target.limits.prompt_s,
                allow_agent=False,
                use_keys=False,
            )
            if not self._conn.base_prompt:
                self._conn.set_base_prompt()  # the generic drivers leave it to others
        except ConnectorError:
            raise
        except _DRIVER_ERRORS as error:
            raise self._no_prompt(error) from None
        self._conn.read_timeout_override = None

    def _no_prompt(self, error: Exception) -> ConnectorError:
        """The login was accepted, and then the terminal did not behave."""
        channel = self._login_channel
        tail = ANSI.sub("", channel.tail if channel else "").replace("\r", "")
        said = channel.show(tail, 160) if channel else ""
        if EXPIRED.search(tail):
            return ConnectorError(Outcome.PASSWORD_EXPIRED, f"The device says: {said}")
        if channel is not None and channel.closed:
            if not tail.strip() or BUSY_WORDS.search(tail):
                return ConnectorError(
                    Outcome.BUSY, f"The device closed the session right after the login. {said}".strip()
                )
            return ConnectorError(Outcome.PROTOCOL_ERROR, f"The device closed the session and said: {said}")
        if not tail.strip():
            return ConnectorError(Outcome.PROTOCOL_ERROR, "Logged in, then no prompt came.")
        return ConnectorError(
            Outcome.PROTOCOL_ERROR,
            f"Logged in, but found no prompt of {self.platform.label}; it says: {said}",
        )

    @property
    def _login_channel(self) -> DeviceChannel | None:
        return self._session.channel

    # --- privileged mode ------------------------------------------------------------------------
    def enable(self) -> bool:
        """Enter the privileged mode where the platform needs it; returns whether the session has the rights.

        Raises ConnectorError `enable_rejected` when the secret is refused, or was refused here before. Without
        an enable secret nothing is sent: the command itself will show whether the rights suffice.
        """
        conn, secrets = self._conn, self._session.secrets
        assert conn is not None
        assert secrets is not None
        try:
            if not self.platform.enable or conn.check_enable_mode():
                return True
            if secrets.enable_refused:
                raise ConnectorError(Outcome.ENABLE_REJECTED, secrets.enable_refused)
            if not secrets.enable_secret:
                return False
            conn.enable()
        except NotImplementedError:
            return True  # a platform without a privileged mode
        except ConnectorError:
            raise
        except _DRIVER_ERRORS:
            raise _enable_failed(self._channel) from None
        return True

    # --- commands -------------------------------------------------------------------------------
    def send(
        self,
        command: str,
        *,
        timeout_s: float | None = None,
        confirm: bool = False,
        end: re.Pattern[str] | None = None,
    ) -> str:
        """Send one command and return its whole answer, without echo and prompt.

        `end` matches the last line of a whole answer: with it and the prompt behind it nothing more is waited for.
        `confirm` sends an empty line after the answer and expects the prompt alone: a line of the answer that only
        looks like the prompt is found out so. For answers that have no end mark of their own, and done too where
        the mark is missing. With neither, the prompt and a moment of silence end the answer.
        `timeout_s` is the longest silence, never above the limit of the target. Raises ConnectorError:
        `timeout` when nothing came, `incomplete_output` when the answer broke off or was too large.
        """
        conn = self._conn
        assert conn is not None
        quiet_limit = min(timeout_s or self.target.limits.read_s, self.target.limits.read_s)
        reader = Answer(command, conn.base_prompt, self.platform.pager, end, self.platform.closing)
        answer: str = conn.dialogue.run(command, conn.RETURN, reader, quiet_limit, confirm=confirm or end is not None)
        return answer

    def mask(self, text: str) -> str:
        """The text with this login's own secrets taken out."""
        secrets = self._session.secrets
        for value in secrets.values() if secrets else []:
            if len(value) >= 4:
                text = text.replace(value, "<secret>")
        return text

    def close(self) -> None:
        """End the session; safe to call at any time and twice."""
        if self._watched is not None:
            WATCHDOG.call_off(self._watched)
        conn, self._conn = self._conn, None
        if conn is not None:
            conn.disconnect()
        self._session.close()
