"""The wire below a login: one TCP connection, and a log of what SSH said about the secret."""

from __future__ import annotations

import contextlib
import errno
import hmac
import socket
import time
from dataclasses import dataclass
from typing import Any

from paramiko import Message, packet, util
from paramiko.packet import Packetizer
from paramiko.ssh_exception import SSHException

from devices.connector.outcomes import ConnectorError, Fate, Outcome
from devices.connector.targets import TargetPolicy, TargetRefused

# RFC 4252, 4250 and 4256
MSG_DISCONNECT = 1
MSG_USERAUTH_REQUEST = 50
MSG_USERAUTH_FAILURE = 51
MSG_USERAUTH_SUCCESS = 52
MSG_USERAUTH_BANNER = 53
MSG_USERAUTH_60 = 60  # a prompt, a demand for a new password, or "this key would do"
MSG_USERAUTH_INFO_RESPONSE = 61
DISCONNECT_NO_MORE_AUTH_METHODS = 14

_MOST_BEFORE_LOGIN = 2 * 1024 * 1024
_MOST_EVENTS = 200
# paramiko reads each packet in two or three pieces; each read of a socket hands the interpreter lock around.
_READ_AHEAD = 16_384
_STALL_S = 60.0
_LONGEST_WAIT_S = 3600.0
_UNREACHABLE = {
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
    errno.EHOSTDOWN,
    errno.ENETDOWN,
    errno.ETIMEDOUT,
    errno.EADDRNOTAVAIL,
    errno.EACCES,
    errno.EPERM,
}


# What paramiko does for every packet in Python, done from C: comparing its check sum, and computing it.
util.constant_time_bytes_eq = hmac.compare_digest
packet.compute_hmac = hmac.digest


class WireSocket:
    """A connected TCP socket that remembers how the other side behaved."""

    def __init__(self, sock: socket.socket, address: str) -> None:
        self._sock = sock
        self.address = address
        self.bytes_in = 0
        self.head = b""
        self.closed_by_peer = False
        self.capped = True  # until the login is over: whatever comes before it comes from a stranger
        self.by_line = False  # no more than a line at a time, so that nobody above reads ahead
        self.carries_packets = False  # once SSH has said who it is: then a pause in the middle of one is the end
        self._ahead = b""
        self._ended = False

    @property
    def _closed(self) -> bool:
        """paramiko asks a socket for this when it ends its thread."""
        return self._sock.fileno() < 0

    def recv(self, size: int) -> bytes:
        """Receive up to `size` bytes; `b""` when the other side has closed."""
        if not self._ahead:
            if self.carries_packets:
                self._sock.settimeout(_STALL_S)
            try:
                self._ahead = self._receive()
            except TimeoutError:
                if self.carries_packets:
                    raise ConnectionAbortedError("the device stopped in the middle of a message") from None
                raise
        if self.by_line:
            size = min(size, self._ahead.find(b"\n") + 1 or size)
        data, self._ahead = self._ahead[:size], self._ahead[size:]
        return data

    def await_data(self, wait_s: float) -> bool:
        """Whether something can be received within so many seconds, be it the end."""
        if not self._ahead:
            self._sock.settimeout(min(wait_s, _LONGEST_WAIT_S))
            try:
                self._ahead = self._receive()
            except (TimeoutError, BlockingIOError):
                return False
        return True

    def _receive(self) -> bytes:
        try:
            data = self._sock.recv(_READ_AHEAD)
        except ConnectionError:
            self.closed_by_peer = not self._ended
            raise
        if not data:
            self.closed_by_peer = not self._ended
        if self.bytes_in < 256:
            self.head = (self.head + data)[:256]
        self.bytes_in += len(data)
        if self.capped and self.bytes_in > _MOST_BEFORE_LOGIN:
            raise ConnectionAbortedError("the device sent more than a login takes")
        return data

    def send(self, data: bytes) -> int:
        """Send some of the bytes; returns how many."""
        if self.carries_packets:
            self._sock.settimeout(_STALL_S)
        try:
            return self._sock.send(data)
        except ConnectionError:
            self.closed_by_peer = True
            raise

    def sendall(self, data: bytes) -> None:
        """Send all bytes."""
        try:
            self._sock.sendall(data)
        except ConnectionError:
            self.closed_by_peer = True
            raise

    def settimeout(self, seconds: float | None) -> None:
        """Time-out of each call, in seconds."""
        self._sock.settimeout(seconds)

    def fileno(self) -> int:
        """The descriptor, for `select`."""
        return self._sock.fileno()

    def getpeername(self) -> Any:
        """The other side's address."""
        return self._sock.getpeername()

    def close(self) -> None:
        """Close both directions, so that a thread that waits on it wakes."""
        self._ended = True
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()


def connect_tcp(host: str, port: int, timeout_s: float, policy: TargetPolicy) -> WireSocket:
    """Resolve once and connect, within `timeout_s` seconds, to an address that the policy allows.

    Raises ConnectorError: unresolved, unreachable (also no answer) or refused (TargetRefused: by the policy).
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else "not a valid host name"
        raise ConnectorError(Outcome.UNRESOLVED, f"{host}: {reason}") from None
    deadline = time.monotonic() + timeout_s
    failure = ConnectorError(Outcome.UNREACHABLE, f"{host} port {port}: no address to try")
    allowed, refusal = [], None
    for each in found:
        try:
            policy.check(str(each[4][0]), port)
            allowed.append(each)
        except TargetRefused as error:
            refusal = refusal or error
    if refusal is not None and not allowed:
        raise refusal
    for family, kind, proto, _, address in allowed:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        shown = f"{address[0]} port {port}"
        sock = socket.socket(family, kind, proto)
        try:
            sock.settimeout(left)
            sock.connect(address)
            # Netmiko sends many small writes; Nagle and delayed ACK would cost 80 ms a login.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return WireSocket(sock, f"{address[0]}:{port}")
        except TimeoutError:
            failure = ConnectorError(Outcome.UNREACHABLE, f"{shown}: no answer within {timeout_s:.0f} s")
        except ConnectionRefusedError:
            failure = ConnectorError(Outcome.REFUSED, f"{shown}: connection refused")
        except ConnectionError as error:
            failure = ConnectorError(Outcome.REFUSED, f"{shown}: {error.strerror or 'connection reset'}")
        except OSError as error:
            if error.errno not in _UNREACHABLE:
                sock.close()
                raise
            failure = ConnectorError(Outcome.UNREACHABLE, f"{shown}: {error.strerror}")
        sock.close()
    raise failure


@dataclass(frozen=True)
class _Event:
    sent: bool
    kind: int
    secret: bool = False
    partial: bool = False
    method: str = ""
    text: str = ""
    reason: int = 0


class AuthLog:
    """The authentication messages of one SSH connection, in order; never a secret itself."""

    def __init__(self) -> None:
        self._events: list[_Event] = []

    def sent(self, raw: bytes) -> None:
        """Note a message that we sent."""
        kind = raw[0]
        if kind == MSG_USERAUTH_REQUEST:
            message = Message(raw[1:])
            message.get_binary()  # user name
            message.get_binary()  # service
            method = message.get_text()
            signed = method == "publickey" and message.get_boolean()
            self._events.append(_Event(True, kind, secret=signed or method == "password", method=method))
        elif kind == MSG_USERAUTH_INFO_RESPONSE:
            answers = Message(raw[1:]).get_int()
            self._events.append(_Event(True, kind, secret=answers > 0, method="keyboard-interactive"))

    def received(self, kind: int, message: Message) -> None:
        """Note a message that the server sent."""
        if kind != MSG_DISCONNECT and not MSG_USERAUTH_FAILURE <= kind <= MSG_USERAUTH_60:
            return
        if len(self._events) > _MOST_EVENTS:
            raise SSHException("the login never ends")
        body = Message(message.asbytes())  # a copy: reading it must not move the original
        if kind == MSG_USERAUTH_FAILURE:
            body.get_list()
            self._events.append(_Event(False, kind, partial=body.get_boolean()))
        elif kind in {MSG_USERAUTH_SUCCESS, MSG_USERAUTH_60}:
            self._events.append(_Event(False, kind))
        elif kind == MSG_USERAUTH_BANNER:
            self._events.append(_Event(False, kind, text=_text(body.get_binary()[:4096])))
        elif kind == MSG_DISCONNECT:
            reason = body.get_int()
            self._events.append(_Event(False, kind, reason=reason, text=_text(body.get_binary()[:4096])))

    @property
    def secrets_sent(self) -> int:
        """How many messages carried a secret (or a signature made with one)."""
        return sum(1 for event in self._events if event.sent and event.secret)

    @property
    def disconnect_text(self) -> str:
        """What the server said when it hung up, if it said anything."""
        return next((e.text for e in reversed(self._events) if e.kind == MSG_DISCONNECT), "")

    @property
    def banner(self) -> str:
        """The text that the server shows before a login."""
        return "\n".join(e.text for e in self._events if e.kind == MSG_USERAUTH_BANNER)

    @property
    def _after_secret(self) -> list[_Event]:
        last = max((i for i, e in enumerate(self._events) if e.sent and e.secret), default=None)
        return [] if last is None else [e for e in self._events[last + 1 :] if not e.sent]

    @property
    def wants_new_password(self) -> bool:
        """Whether the password was answered with a demand for a new one (RFC 4252 section 8)."""
        secret = next((e for e in reversed(self._events) if e.sent and e.secret), None)
        return (
            secret is not None
            and secret.method == "password"
            and any(e.kind == MSG_USERAUTH_60 for e in self._after_secret)
        )

    @property
    def was_partial(self) -> bool:
        """Whether the server took the secret and asks for one more factor."""
        return any(e.kind == MSG_USERAUTH_FAILURE and e.partial for e in self._after_secret)

    @property
    def fate(self) -> Fate:
        """What became of the last secret, proven by the server's own messages."""
        if not self.secrets_sent:
            return Fate.UNSENT
        for event in self._after_secret:
            if event.kind == MSG_USERAUTH_SUCCESS:
                return Fate.ACCEPTED
            if event.kind == MSG_USERAUTH_FAILURE:
                return Fate.ACCEPTED if event.partial else Fate.REJECTED
            if event.kind == MSG_DISCONNECT and (
                event.reason == DISCONNECT_NO_MORE_AUTH_METHODS
                or "authentication fail" in event.text.lower()
                or "auth fail" in event.text.lower()
            ):
                # A server at its last try says so in the disconnect instead of in a failure message.
                return Fate.REJECTED
        if self.wants_new_password:
            return Fate.ACCEPTED
        return Fate.UNANSWERED


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def recording_packetizer(log: AuthLog) -> type[Packetizer]:
    """A packetizer class for `paramiko.Transport` that writes to `log`."""

    class RecordingPacketizer(Packetizer):  # type: ignore[misc]  # paramiko is untyped
        def send_message(self, data: Any) -> None:
            log.sent(data.asbytes())
            super().send_message(data)

        def read_message(self) -> tuple[int, Message]:
            kind, message = super().read_message()
            log.received(kind, message)
            return kind, message

    return RecordingPacketizer
