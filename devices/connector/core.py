"""CoreDeviceConnector: one Netmiko session to one device with one login. The only importer of Netmiko."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from netmiko.base_connection import BaseConnection
from netmiko.exceptions import NetmikoBaseException
from netmiko.ssh_dispatcher import CLASS_MAPPER
from paramiko.ssh_exception import SSHException

from devices.connector.channel import ANSI, DeviceChannel
from devices.connector.outcomes import ConnectorError, Outcome
from devices.connector.platforms import Platform, platform
from devices.connector.ssh import BUSY_WORDS, HostKeyCheck, SshSession
from devices.connector.target import Evidence, LoginSecrets, Target
from devices.connector.terminal import (
    EXPIRED,
    PASSWORD_PROMPT,
    REFUSED,
    TelnetSession,
    terminal_login,
)

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
_ECHO_LENGTH = 24


class _Attached(BaseConnection):  # type: ignore[misc]  # Netmiko is not typed for subclassing
    """Stands between a driver and Netmiko's base class: the connection is ours, the dialogue the driver's."""

    def __init__(self, *, session: SshSession | TelnetSession, **kwargs: Any) -> None:
        self._session = session
        super().__init__(**kwargs)

    def establish_connection(self, width: int = 511, height: int = 1000) -> None:
        session = self._session
        channel = session.log_in(self.username, width, height)
        self.channel = channel
        self.remote_conn = channel.remote_conn
        self.remote_conn_pre = session
        if isinstance(session, SshSession):
            greeting = channel.recv_text(3.0)
            channel.unread(greeting)
            plain = ANSI.sub("", greeting).replace("\r", "")
            if EXPIRED.search(plain):
                raise ConnectorError(Outcome.PASSWORD_EXPIRED, f"The device says: {channel.show(plain, 160)}")
            if session.noauth:
                secrets = session.secrets
                assert secrets is not None
                terminal_login(channel, session.target, secrets.username, lambda: secrets, session.evidence)
                return
            self.special_login_handler()


def _attached(driver: type[BaseConnection]) -> type[BaseConnection]:
    # After the driver's own classes and before Netmiko's base: overrides of the drivers still apply.
    # The polite goodbye of the drivers costs several round trips; closing the SSH channel says the same.
    return type(f"Attached{driver.__name__}", (driver, _Attached), {"cleanup": lambda self, command="": None})


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
        self._watchdog: threading.Timer | None = None

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
        left = self._deadline - time.monotonic()
        self._watchdog = threading.Timer(max(0.1, left + 1.0), self._session.abort)
        self._watchdog.daemon = True
        self._watchdog.start()
        self._session.connect()
        telnet = self.target.transport == "telnet"
        name = f"{self.platform.driver}_telnet" if telnet else self.platform.driver
        driver = CLASS_MAPPER.get(name)
        if driver is None:
            raise ConnectorError(Outcome.PROTOCOL_ERROR, f"There is no {self.target.transport} driver for {name}.")
        try:
            self._conn = _attached(driver)(
                session=self._session,
                host=self.target.host,
                port=self.target.port,
                username=self._username,
                password="",  # the driver never holds it
                device_type=name,
                fast_cli=True,
                read_timeout_override=self.target.limits.prompt_s,
                allow_agent=False,
                use_keys=False,
            )
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

        Raises ConnectorError `enable_rejected` when the secret is refused. Without an enable secret
        nothing is sent: the command itself will show whether the rights suffice.
        """
        conn, secrets = self._conn, self._session.secrets
        assert conn is not None
        assert secrets is not None
        try:
            if not self.platform.enable or conn.check_enable_mode():
                return True
            if not secrets.enable_secret:
                return False
            conn.secret = secrets.enable_secret
            self._channel.watch = self._refuse_second_prompt()
            try:
                conn.enable()
            finally:
                conn.secret = ""
                self._channel.watch = None
        except ConnectorError:
            raise
        except NotImplementedError:
            return True  # a platform without a privileged mode
        except _DRIVER_ERRORS:
            raise self._enable_failed() from None
        return True

    def _refuse_second_prompt(self) -> Callable[[str], None]:
        """Notices a refused enable secret at once, where Netmiko would wait for a prompt in vain."""
        heard = ""
        prompts = 0

        def watch(text: str) -> None:
            nonlocal heard, prompts
            heard = (heard + ANSI.sub("", text).replace("\r", ""))[-4096:]
            prompts += bool(PASSWORD_PROMPT.search(heard)) and bool(text.strip())
            if prompts > 1 or (prompts and REFUSED.search(heard)):
                raise ConnectorError(Outcome.ENABLE_REJECTED, f"The device said: {self._channel.show(heard, 120)}")

        return watch

    def _enable_failed(self) -> ConnectorError:
        channel = self._channel
        heard = ANSI.sub("", channel.tail).replace("\r", "")[-400:]
        said = channel.show(heard, 120)
        if channel.closed and not REFUSED.search(heard):
            return ConnectorError(Outcome.TIMEOUT, f"The device closed while the enable secret was checked. {said}")
        return ConnectorError(Outcome.ENABLE_REJECTED, f"The device did not grant it; it says: {said}")

    # --- commands -------------------------------------------------------------------------------
    def send(self, command: str, *, timeout_s: float | None = None, confirm: bool = False) -> str:
        """Send one command and return its whole answer, without echo and prompt.

        `confirm` sends an empty line after it and expects the prompt alone: a line of the answer that only
        looks like the prompt is found out so. For answers that have no end mark of their own.
        `timeout_s` is the longest silence, never above the limit of the target. Raises ConnectorError:
        `timeout` when nothing came, `incomplete_output` when the answer broke off or was too large.
        """
        conn, channel = self._conn, self._channel
        assert conn is not None
        quiet_limit = min(timeout_s or self.target.limits.read_s, self.target.limits.read_s)
        while channel.recv_text(0.0):
            pass  # a late prompt of the command before must not end this one
        channel.send_text(command + conn.RETURN)
        reader = _Answer(command, conn.base_prompt, self.platform.pager)
        last_data = time.monotonic()
        confirmations = 5
        while True:
            chunk = channel.recv_text(reader.patience)
            now = time.monotonic()
            if chunk:
                reader.add(chunk)
                last_data = now
                continue
            if channel.closed:
                raise ConnectorError(
                    Outcome.INCOMPLETE_OUTPUT if reader.text.strip() else Outcome.PROTOCOL_ERROR,
                    f"The device closed the session in the middle of the answer to {command[:60]!r}.",
                )
            if reader.is_complete(now - last_data):
                if not confirm or self._prompt_answers(reader):
                    return reader.answer()
                confirmations -= 1
                if not confirmations:
                    raise ConnectorError(
                        Outcome.INCOMPLETE_OUTPUT, f"The answer to {command[:60]!r} does not come to an end."
                    )
                last_data = time.monotonic()
                continue
            if reader.at_pager():
                channel.send_text(" ")
                last_data = now
            elif now - last_data > quiet_limit:
                if reader.answer().strip() or (reader.text.strip() and not reader.echo_seen):
                    raise ConnectorError(
                        Outcome.INCOMPLETE_OUTPUT,
                        f"The answer to {command[:60]!r} stopped: {quiet_limit:.0f} s of silence and no prompt.",
                    )
                raise ConnectorError(Outcome.TIMEOUT, f"No answer to {command[:60]!r} within {quiet_limit:.0f} s.")

    def _prompt_answers(self, reader: _Answer) -> bool:
        """Whether an empty line brings back the prompt alone; anything else belongs to the answer."""
        conn, channel = self._conn, self._channel
        assert conn is not None
        channel.send_text(conn.RETURN)
        heard = channel.recv_text(5.0)
        while more := channel.recv_text(0.1):
            heard += more
        if reader.is_prompt_only(heard):
            return True
        reader.add(heard)
        return False

    def mask(self, text: str) -> str:
        """The text with this login's own secrets taken out."""
        secrets = self._session.secrets
        for value in secrets.values() if secrets else []:
            if len(value) >= 4:
                text = text.replace(value, "<secret>")
        return text

    def close(self) -> None:
        """End the session; safe to call at any time and twice."""
        if self._watchdog is not None:
            self._watchdog.cancel()
        conn, self._conn = self._conn, None
        if conn is not None:
            conn.disconnect()
        self._session.close()


class _Answer:
    """Collects the answer to one command and knows when it is whole."""

    def __init__(self, command: str, base_prompt: str, pager: tuple[re.Pattern[str], ...]) -> None:
        self._parts: list[str] = []
        self._prompt = base_prompt.strip()
        self._pager = pager
        self._squeezed_echo = re.sub(r"\s+", "", command)[-_ECHO_LENGTH:]
        self._head = ""
        self._tail = ""
        self._pages = 0
        self.echo_seen = False

    @property
    def text(self) -> str:
        return "".join(self._parts)

    @property
    def patience(self) -> float:
        """Seconds to wait for more: a moment when the prompt stands there, longer otherwise."""
        return 0.05 if self._at_prompt() or self.at_pager() else 0.5

    def add(self, chunk: str) -> None:
        self._parts.append(chunk)
        self._tail = (self._tail + chunk)[-2048:]
        if not self.echo_seen:
            self._head = (self._head + chunk)[:8192]
            squeezed = re.sub(r"\s+", "", ANSI.sub("", self._head).replace("\x08", ""))
            self.echo_seen = self._squeezed_echo in squeezed

    @property
    def _last_line(self) -> str:
        tail = ANSI.sub("", self._tail).replace("\x00", "")
        return re.split(r"[\r\n]", tail.rstrip(" "))[-1].strip()

    def _at_prompt(self) -> bool:
        line, prompt = self._last_line, self._prompt
        if not prompt or prompt not in line or len(line) > len(prompt) + 80:
            return False
        if not prompt.isalnum() and len(prompt) < 3:
            return line == prompt  # a bare "#" or "$": nothing but the whole line proves it
        if len(prompt) < 3 and not line.lstrip("<[(*").startswith(prompt):
            return False  # so short a name may stand anywhere in a configuration
        return line.endswith(prompt) or line[-1] in "#>$%])~:"

    def is_complete(self, quiet_s: float) -> bool:
        """Whether the prompt is back. A device that echoes nothing gets two quiet seconds first."""
        return self._at_prompt() and (self.echo_seen or quiet_s >= 2.0)

    def is_prompt_only(self, text: str) -> bool:
        """Whether this text is nothing but the prompt, once or more."""
        standing = _lines(self._tail)[-3:]  # a prompt may take two lines, as on Junos
        lines = _lines(text)
        return bool(lines) and lines[-1] == standing[-1] and set(lines) <= set(standing)

    def at_pager(self) -> bool:
        line = self._last_line
        return bool(line) and any(pattern.search(line) for pattern in self._pager)

    def answer(self) -> str:
        text = self.text
        if self.echo_seen:
            # The echo may be wrapped, so look for the end of the line on which its last characters stand.
            seen = ""
            for match in re.finditer(r"\n", text[:16_384]):
                seen = re.sub(r"\s+", "", ANSI.sub("", text[: match.end()]).replace("\x08", ""))
                if self._squeezed_echo in seen:
                    text = text[match.end() :]
                    break
            else:
                text = ""  # the echo and nothing else
        if not self._at_prompt():
            return text
        head, newline, _ = text.rpartition("\n")
        return head + newline


def _lines(text: str) -> list[str]:
    return [line.strip() for line in re.split(r"[\r\n]", ANSI.sub("", text)) if line.strip()]
