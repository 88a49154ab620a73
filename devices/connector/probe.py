"""What a device shows to anybody who calls its port: that it answers, how fast, and its first words.

No login, no key exchange, and no credential anywhere near.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import Final

from devices.connector.channel import TelnetStream, printable
from devices.connector.outcomes import ConnectorError, Outcome
from devices.connector.target import Target
from devices.connector.watchdog import WATCHDOG
from devices.connector.wire import WireSocket, connect_tcp

_MOST: Final = 8 * 1024
_LINES_BEFORE_BANNER: Final = 50
_TELNET_SPEAKS_WITHIN_S: Final = 5.0
_TELNET_QUIET_S: Final = 0.4
# Servers that hear nothing log an attack; this says who called.
_GREETING: Final = b"SSH-2.0-NetRaven_reachability\r\n"


@dataclass(frozen=True)
class Seen:
    """Who answered and what it said; times in milliseconds from the call on."""

    address: str
    """Address and port that answered."""
    connect_ms: float
    """Until the connection stood, the name's resolution included."""
    answer_ms: float | None
    """Until the first word came; None: it said nothing, as a telnet console may."""
    banner: str
    """The SSH version line, or telnet's first words, made printable."""


def probe(target: Target) -> Seen:
    """Call the port of a device and listen.

    Raises ConnectorError: unresolved, unreachable, refused; busy (closed before a word); timeout (SSH, silent);
    protocol_error (something else than SSH answers).
    """
    started = time.monotonic()
    sock = connect_tcp(target.host, target.port, target.limits.connect_s, target.policy)
    connect_ms = _since(started)
    # Option talk without a word of text keeps telnet's reading busy for as long as the other side likes.
    watched = WATCHDOG.call_at(time.monotonic() + target.limits.banner_s + 1, sock.close)
    try:
        if target.transport == "telnet":
            said, answered = _telnet_words(sock, started, target.limits.banner_s)
        else:
            said, answered = _ssh_banner(sock, started, target.limits.banner_s)
    finally:
        WATCHDOG.call_off(watched)
        sock.close()
    return Seen(sock.address, connect_ms, answered, said)


def _since(started: float) -> float:
    return round((time.monotonic() - started) * 1000, 1)


def _ssh_banner(sock: WireSocket, started: float, patience_s: float) -> tuple[str, float]:
    until = time.monotonic() + patience_s
    heard = b""
    answered: float | None = None
    while len(heard) < _MOST:
        data = _receive(sock, until)
        if data is None:
            raise ConnectorError(
                Outcome.TIMEOUT, f"Connected, then no SSH banner within {patience_s:.0f} s.{_said(heard)}"
            )
        if not data:
            break
        answered = answered or _since(started)
        heard += data
        # RFC 4253 4.2: other lines may come first. Each is ended by a line feed.
        *lines, _ = heard.split(b"\n")
        banner = next((line for line in lines if line.startswith(b"SSH-")), None)
        if banner is not None:
            with contextlib.suppress(OSError):  # it has said what was to be heard
                sock.sendall(_GREETING)
            return printable(banner[:255].decode("utf-8", "replace"), 255), answered
        if len(lines) > _LINES_BEFORE_BANNER:
            break
    if not heard:
        raise ConnectorError(Outcome.BUSY, "The device closed the connection before its SSH banner.")
    raise ConnectorError(Outcome.PROTOCOL_ERROR, f"What answers on port {_port(sock)} is no SSH.{_said(heard)}")


def _telnet_words(sock: WireSocket, started: float, patience_s: float) -> tuple[str, float | None]:
    stream = TelnetStream(sock)
    until = time.monotonic() + min(patience_s, _TELNET_SPEAKS_WITHIN_S)
    heard = b""
    answered: float | None = None
    while len(heard) < _MOST:
        data = _receive(stream, until)
        if data is None:
            break
        if not data:
            if heard:
                break
            raise ConnectorError(Outcome.BUSY, "The device closed the connection before it said anything.")
        answered = answered or _since(started)
        heard += data
        until = min(until, time.monotonic() + _TELNET_QUIET_S) if heard.strip() else until
    return printable(heard.decode("utf-8", "replace").strip(), 255), answered


def _receive(stream: WireSocket | TelnetStream, until: float) -> bytes | None:
    """The next bytes; empty at the end of the connection, None when the time is up."""
    left = until - time.monotonic()
    if left <= 0:
        return None
    stream.settimeout(left)
    try:
        return stream.recv(1024)
    except TimeoutError:
        return None
    except OSError:
        return b""


def _said(heard: bytes) -> str:
    words = printable(heard[:400].decode("utf-8", "replace"), 120)
    return f" It says: {words}" if words else ""


def _port(sock: WireSocket) -> str:
    return sock.address.rpartition(":")[2]
