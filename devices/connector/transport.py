"""paramiko's SSH without its thread: a session reads its own messages while it waits for them.

paramiko gives each connection a thread that reads the socket, looks up from it ten times a second, and wakes
whoever waits for what it read. With two hundred sessions that is four hundred threads after one interpreter lock,
and half of the time of a login goes into handing it around. One thread has each session in hand anyway, and
whenever it waits, it waits for a message: so it reads them itself. What paramiko does with a message is unchanged.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import paramiko
from paramiko import Message
from paramiko.auth_handler import AuthOnlyHandler
from paramiko.ssh_exception import SSHException
from paramiko.transport import ServiceRequestingTransport

from devices.connector.kex import FINITE_FIELD
from devices.connector.wire import MSG_DISCONNECT, MSG_USERAUTH_REQUEST, WireSocket

# RFC 4253 and 4254
_MSG_IGNORE = 2
_MSG_UNIMPLEMENTED = 3
_MSG_DEBUG = 4
_MSG_SERVICE_REQUEST = 5
_MSG_KEXINIT = 20
_KEX_MESSAGES = range(30, 42)
_MSG_CHANNEL_REQUEST = 98
_MOST_PROMPTS = 8
_CURVE = "curve25519-sha256"


class _AuthHandler(AuthOnlyHandler):  # type: ignore[misc]  # paramiko is untyped
    """paramiko 4.0 listens for the answer only after it has sent the request, and so can miss it."""

    def _parse_userauth_info_request(self, message: Message) -> None:
        look = Message(message.asbytes())
        for _ in range(3):
            look.get_binary()
        if look.get_int() > _MOST_PROMPTS:
            raise SSHException("the server asks too many questions at once")
        super()._parse_userauth_info_request(message)

    def send_auth_request(
        self, username: str, method: str, finish_message: Callable[[Message], None] | None = None
    ) -> list[str]:
        self.auth_method = method
        self.username = username
        request = Message()
        request.add_byte(bytes([MSG_USERAUTH_REQUEST]))
        request.add_string(username)
        request.add_string("ssh-connection")
        request.add_string(method)
        if finish_message is not None:
            finish_message(request)
        self.auth_event = threading.Event()
        self.transport._send_message(request)
        further: list[str] = self.wait_for_response(self.auth_event)
        return further

    def wait_for_response(self, event: threading.Event) -> list[str]:
        transport = self.transport
        if not transport.wait_for(event.is_set, transport.auth_timeout) and transport.is_active():
            raise paramiko.AuthenticationException("Authentication timeout.")
        further: list[str] = super().wait_for_response(event)
        return further


class SyncTransport(ServiceRequestingTransport):  # type: ignore[misc]  # paramiko is untyped
    """A connection that is worked by the one thread that uses it; `start` is never called.

    It also asks for the login service once, as RFC 4252 wants it: paramiko's plain Transport asks again before
    every method, which strict servers answer by hanging up.
    """

    # RFC 8731 gave libssh's method a plain name; some devices offer it under that one alone.
    _preferred_kex = (_CURVE, *ServiceRequestingTransport._preferred_kex)
    _kex_info = {
        **ServiceRequestingTransport._kex_info,
        **FINITE_FIELD,
        _CURVE: ServiceRequestingTransport._kex_info[f"{_CURVE}@libssh.org"],
    }

    def __init__(self, sock: WireSocket, **kwargs: Any) -> None:
        super().__init__(sock, **kwargs)
        self._wire = sock
        self._expected_packet: tuple[int, ...] = ()

    # --- reading --------------------------------------------------------------------------------
    def wait_for(self, done: Callable[[], bool], timeout_s: float | None) -> bool:
        """Read messages until `done`; False when the time is over or the connection has ended before."""
        until = float("inf") if timeout_s is None else time.monotonic() + timeout_s
        left = until
        while not done():
            if not self.active or left <= 0:
                return False
            left = max(0.0, until - time.monotonic())
            self._read_one(left)
        return True

    def _read_one(self, wait_s: float) -> None:
        """Read one message, if one comes in that time, and do what it asks for; never raises."""
        try:
            if self.packetizer.need_rekey() and not self.in_kex:
                self._send_kex_init()
            if self._wire.await_data(wait_s):
                self._dispatch(*self.packetizer.read_message())
        except Exception as error:  # noqa: BLE001 - a hostile server can make paramiko raise nearly anything
            self._end(error)

    def _dispatch(self, kind: int, message: Message) -> None:
        if kind in (_MSG_IGNORE, _MSG_DEBUG):
            self._enforce_strict_kex(kind)
            return
        if kind == MSG_DISCONNECT:
            self._end(None)
            return
        expected = self._expected_packet
        if expected:
            if kind not in expected:
                raise SSHException(f"expected message {expected}, got {kind}")
            self._expected_packet = ()
            if kind in _KEX_MESSAGES:
                self.kex_engine.parse_next(kind, message)
                return
        if kind in self._handler_table:
            self._handler_table[kind](message)
        elif kind in self._channel_handler_table:
            self._handle_for_channel(kind, message)
        elif self.auth_handler is not None and kind in self.auth_handler._handler_table:
            self.auth_handler._handler_table[kind](message)
        elif kind != _MSG_UNIMPLEMENTED:
            answer = Message()
            answer.add_byte(bytes([_MSG_UNIMPLEMENTED]))
            answer.add_int(message.seqno)
            self._send_message(answer)

    def _handle_for_channel(self, kind: int, message: Message) -> None:
        number = message.get_int()
        channel = self._channels.get(number)
        if channel is not None:
            self._channel_handler_table[kind](channel, message)
        elif number not in self.channels_seen:
            raise SSHException("a message for a channel that was never opened")

    def _end(self, error: Exception | None) -> None:
        """What paramiko's thread does when it ends."""
        self.saved_exception = error
        self.active = False
        for channel in list(self._channels.values()):
            channel._unlink()
        self.packetizer.close()
        if self.auth_handler is not None:
            self.auth_handler.abort()
        for event in self.channel_events.values():
            event.set()

    # --- steps ----------------------------------------------------------------------------------
    def negotiate(self, timeout_s: float) -> None:
        """Exchange identifications and keys; raises what went wrong, and returns when the time is over."""
        self.active = True
        try:
            self.packetizer.write_all(self.local_version.encode() + b"\r\n")
            self._wire.by_line = True
            self._check_banner()
            self._wire.by_line, self._wire.carries_packets = False, True
            self._send_kex_init()
            self._expect_packet(_MSG_KEXINIT)
        except Exception as error:  # noqa: BLE001 - as above
            self._end(error)
        self.wait_for(lambda: self.initial_kex_done, timeout_s)
        if not self.active:
            raise self.get_exception() or SSHException("the negotiation failed")

    def ensure_session(self) -> None:
        """Ask for the login service, unless it was granted already."""
        if self._service_userauth_accepted:
            return
        request = Message()
        request.add_byte(bytes([_MSG_SERVICE_REQUEST]))
        request.add_string("ssh-userauth")
        self._send_message(request)
        if not self.wait_for(lambda: self._service_userauth_accepted, self.auth_timeout or 30.0):
            if self.is_active():
                raise SSHException("the login service was not granted in time")
            raise SSHException("the connection was closed before the login")
        self.auth_handler = self.get_auth_handler()

    def get_auth_handler(self) -> _AuthHandler:
        return _AuthHandler(self)

    def _send_user_message(self, data: Message) -> None:
        # While keys are exchanged anew nothing else may be sent, and paramiko waits for an event that we must bring.
        self.wait_for(self.clear_to_send.is_set, self.clear_to_send_timeout)
        super()._send_user_message(data)
        # Where it opens a channel, it waits next for what its thread would have read.
        for opened in list(self.channel_events.values()):
            if not self.wait_for(opened.is_set, self.channel_timeout) and self.active:
                raise SSHException("timeout while a session was opened")

    def open_terminal(self, width: int, height: int, timeout_s: float) -> SshStream:
        """Open a channel with a shell in a terminal of this size; raises paramiko's errors."""
        self.channel_timeout = timeout_s
        channel = self.open_session(timeout=timeout_s)
        # Terminal and shell are asked for in one go, as OpenSSH does.
        terminal = Message()
        terminal.add_byte(bytes([_MSG_CHANNEL_REQUEST]))
        terminal.add_int(channel.remote_chanid)
        terminal.add_string("pty-req")
        terminal.add_boolean(True)
        terminal.add_string("vt100")
        for number in (width, height, 0, 0):
            terminal.add_int(number)
        terminal.add_string(b"")
        shell = Message()
        shell.add_byte(bytes([_MSG_CHANNEL_REQUEST]))
        shell.add_int(channel.remote_chanid)
        shell.add_string("shell")
        shell.add_boolean(True)
        self._send_user_message(terminal)
        self._send_user_message(shell)
        stream = SshStream(self, channel)
        answered = self.wait_for(lambda: channel.event_ready or channel.closed or stream.has_word(), timeout_s)
        if channel.closed or not self.active:
            raise self.get_exception() or SSHException("the device refused a terminal")
        if not answered:
            raise TimeoutError
        return stream


class SshStream:
    """The bytes of a shell; reading it is what keeps the connection going."""

    def __init__(self, transport: SyncTransport, channel: paramiko.Channel) -> None:
        self._transport = transport
        self._channel = channel
        self._timeout: float | None = None
        channel.settimeout(0.0)

    def settimeout(self, timeout: float | None, /) -> None:
        """Time-out in seconds."""
        self._timeout = timeout

    def has_word(self) -> bool:
        """Whether there is something to read, or no more will come."""
        channel = self._channel
        return bool(channel.recv_ready() or channel.eof_received or channel.closed)

    def recv(self, nbytes: int, /) -> bytes:
        """Some bytes; `b""` at the end; TimeoutError after the time-out."""
        if not self._transport.wait_for(self.has_word, self._timeout) and self._transport.is_active():
            raise TimeoutError
        data: bytes = self._channel.recv(nbytes)
        return data

    def sendall(self, data: bytes, /) -> None:
        """Send all; TimeoutError when the device does not take it in time."""
        channel = self._channel
        while data:
            if not self._transport.wait_for(lambda: channel.out_window_size > 0 or channel.closed, self._timeout):
                raise TimeoutError
            data = data[channel.send(data) :]
