"""Simulated devices over real SSH."""

import asyncio
import warnings
from collections.abc import Awaitable
from typing import Any

import asyncssh
from cryptography.utils import CryptographyDeprecationWarning

from devices.simulator.device import RunningDevice
from devices.simulator.lines import Lines
from devices.simulator.spec import Fault, SimLogin
from devices.simulator.terminal import Terminal, legal_notice
from devices.simulator.wire import Delayed, SimTransport

# asyncssh still offers the finite-field groups on purpose; old devices have nothing else.
warnings.filterwarnings("ignore", category=CryptographyDeprecationWarning, module=r"asyncssh\.")

asyncssh.set_log_level("WARNING")

_MSG_SERVICE_ACCEPT = 6
_MAX_AUTH_FAILURES = 6
_USABLE_KEX = (
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "diffie-hellman-group-exchange-sha256",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group14-sha256",
)


def _kex_algorithms(device: RunningDevice) -> tuple[str, ...]:
    if device.has(Fault.LEGACY_KEX_ONLY):
        return ("diffie-hellman-group14-sha1", "diffie-hellman-group1-sha1")
    if device.has(Fault.GROUP14_ONLY):
        return ("diffie-hellman-group14-sha256",)
    return _USABLE_KEX


class _Connection(asyncssh.SSHServerConnection):  # type: ignore[misc]
    """asyncssh's server side of a connection, with the places where a device needs its own way."""

    async def reload_config(self) -> None:
        """Nothing: the options do not depend on the user, and asking costs a thread for each login."""

    def send_packet(self, pkttype: int, *args: bytes, handler: Any = None) -> None:
        """Send a packet, unless the device closes just before it would admit authentication."""
        if pkttype == _MSG_SERVICE_ACCEPT and self.get_owner().closes_before_auth:
            self.get_owner().transport.close()
            return
        super().send_packet(pkttype, *args, handler=handler)

    def send_userauth_failure(self, partial_success: bool) -> None:
        """Reject, and take another service request: some clients send one before each try, as they may."""
        super().send_userauth_failure(partial_success)
        self._next_service = b"ssh-userauth"


def ssh_protocol(device: RunningDevice) -> asyncio.Protocol:
    """The protocol for one TCP connection to a device."""
    delayed: Delayed

    def make_inner() -> asyncio.Protocol:
        connection: asyncio.Protocol = _Connection(asyncio.get_running_loop(), _options(device, delayed))
        return connection

    delayed = Delayed(device, make_inner)
    return delayed


def _options(device: RunningDevice, delayed: Delayed) -> Any:
    """The algorithms and keys of a device as asyncssh wants them."""
    return asyncssh.SSHServerConnectionOptions(
        server_factory=lambda: _Server(device, delayed.transport),
        server_version="OpenSSH_9.2" if device.spec.platform == "linux" else "Cisco-1.25",
        server_host_keys=device.keys.offered(device.spec.faults),
        kex_algs=_kex_algorithms(device),
        gss_host=None,
        line_editor=False,
        encoding=None,
        compression_algs=["none"],
        login_timeout=120,
        keepalive_interval=0,
        agent_forwarding=False,
    )


class _Server(asyncssh.SSHServer):  # type: ignore[misc]
    """Authentication on one connection."""

    def __init__(self, device: RunningDevice, transport: SimTransport) -> None:
        self._device = device
        self.transport = transport
        self._connection: Any = None
        self._login: SimLogin | None = None
        self._username = ""
        self._failures = 0
        self._keys_seen: set[str] = set()
        self._expired: set[str] = set()

    @property
    def closes_before_auth(self) -> bool:
        """Whether the connection is to be closed when the client asks for authentication."""
        return self._device.has(Fault.CLOSES_BEFORE_AUTH)

    def connection_made(self, conn: Any) -> None:
        self._connection = conn

    def begin_auth(self, username: str) -> bool:
        if self._device.has(Fault.LONG_BANNER):
            self._connection.send_auth_banner(legal_notice(120).replace("\n", "\r\n"))
        return True

    def auth_completed(self) -> None:
        if self._device.has(Fault.CLOSES_AFTER_AUTH):
            self.transport.close()

    # Methods
    def password_auth_supported(self) -> bool:
        return not (self._device.has(Fault.KEYBOARD_INTERACTIVE_ONLY) or self._device.has(Fault.PUBLICKEY_ONLY))

    def kbdint_auth_supported(self) -> bool:
        return self._device.has(Fault.KEYBOARD_INTERACTIVE_ONLY) and not self._device.has(Fault.PUBLICKEY_ONLY)

    def public_key_auth_supported(self) -> bool:
        return self._device.has(Fault.PUBLICKEY_ONLY) or any(login.public_key for login in self._device.spec.logins)

    def validate_public_key(self, username: str, key: Any) -> bool:
        line = key.export_public_key().decode()
        fingerprint = key.get_fingerprint()
        # A client asks first and signs then: one offer.
        if fingerprint in self._keys_seen:
            return self._login is not None
        self._keys_seen.add(fingerprint)
        self._login = self._device.try_public_key(self._account(username), line, fingerprint)
        return self._login is not None

    async def validate_password(self, username: str, password: str) -> bool:
        if await self._try(username, password, "password"):
            if self._device.has(Fault.PASSWORD_EXPIRED):
                raise asyncssh.PasswordChangeRequired("Your password has expired, enter a new one")
            return True
        return False

    def change_password(self, username: str, old_password: str, new_password: str) -> bool:
        for secret in (old_password, new_password):
            self._device.try_password(self._account(username), secret, "password", answered=False)
        self._count_failure()
        return False

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:
        return "", "", "", [("Password: ", False)]

    async def validate_kbdint_response(self, username: str, responses: list[str]) -> Any:
        method = "keyboard-interactive"
        if username in self._expired or len(responses) != 1:
            for secret in responses:
                self._device.try_password(self._account(username), secret, method, answered=False)
            return False
        if not await self._try(username, responses[0], method):
            return False
        if self._device.has(Fault.PASSWORD_EXPIRED):
            self._expired.add(username)
            prompts = [("New password: ", False), ("Retype new password: ", False)]
            return "", "Your password has expired.", "", prompts
        return True

    def _account(self, username: str) -> str:
        # RouterOS takes terminal settings after a plus sign; they are no part of the name.
        return username.split("+")[0] if self._device.spec.platform == "mikrotik_routeros" else username

    async def _try(self, username: str, secret: str, method: str) -> bool:
        """Record a password, wait as the device would, and say whether it is right."""
        device = self._device
        silent = (Fault.CLOSES_DURING_AUTH, Fault.AUTH_NEVER_ANSWERED)
        answered = not any(map(device.has, (*silent, Fault.PASSWORD_EXPIRED)))
        self._username = self._account(username)
        self._login = device.try_password(self._username, secret, method, answered=answered)
        if device.has(Fault.CLOSES_DURING_AUTH):
            self.transport.close()
        if any(map(device.has, silent)):
            await asyncio.get_running_loop().create_future()
        if self._login is None:
            await asyncio.sleep(device.spec.reject_delay_s)
            self._count_failure()
        return self._login is not None

    def _count_failure(self) -> None:
        self._failures += 1
        if self._failures >= _MAX_AUTH_FAILURES:
            self._connection.disconnect(asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE, "Too many failures")

    def session_requested(self) -> Any:
        if self._device.has(Fault.TOO_MANY_SESSIONS):
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_RESOURCE_SHORTAGE, "no more sessions")
        if self._login is None:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "not logged in")
        username = self._account(self._connection.get_extra_info("username"))
        return _Session(self._device, self._login, username, self.transport)


class _Session(asyncssh.SSHServerSession):  # type: ignore[misc]
    """A shell or one command; the `Wire` of its terminal."""

    def __init__(self, device: RunningDevice, login: SimLogin, username: str, transport: SimTransport) -> None:
        self._transport = transport
        self._lines = Lines(self)
        self._terminal = Terminal(device, login, username, self._lines)
        self._channel: Any = None
        self._command: str | None = None
        self._has_pty = False
        self._task: asyncio.Task[None] | None = None
        self._can_write = asyncio.Event()
        self._can_write.set()

    def connection_made(self, chan: Any) -> None:
        self._channel = chan

    def pty_requested(self, term_type: str, term_size: Any, term_modes: Any) -> bool:
        self._has_pty = True
        return True

    def shell_requested(self) -> bool:
        return True

    def exec_requested(self, command: str) -> bool:
        self._command = command
        return True

    def session_started(self) -> None:
        work: Awaitable[None]
        if self._command is None:
            work = self._terminal.interact()
        else:
            work = self._terminal.execute(self._command, crlf=self._has_pty)
        self._task = asyncio.ensure_future(self._serve(work))

    async def _serve(self, work: Awaitable[None]) -> None:
        await work
        if not self._channel.is_closing():
            self._channel.exit(0)

    def data_received(self, data: bytes, datatype: Any) -> None:
        self._lines.feed(data)

    def eof_received(self) -> bool:
        # A command may still be at work when its client closes standard input.
        if self._command is None:
            self._lines.hang_up()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._lines.hang_up()
        self._can_write.set()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._can_write.clear()

    def resume_writing(self) -> None:
        self._can_write.set()

    # Wire
    def write(self, data: bytes) -> None:
        if not self._channel.is_closing():
            self._channel.write(data)

    def reset(self) -> None:
        self._transport.reset()

    async def writable(self) -> None:
        await self._can_write.wait()
        await self._transport.can_write.wait()
