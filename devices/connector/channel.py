"""The terminal of a device as text: waits instead of polling, capped, and never shows a secret."""

from __future__ import annotations

import codecs
import re
import time
from collections.abc import Callable
from typing import Protocol

from devices.connector.outcomes import ConnectorError, Outcome
from devices.connector.wire import WireSocket

ANSI = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[()][0-9A-Za-z]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[=>78cDEHMNOZ])")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
TAIL = 4096


def _latin1(error: UnicodeError) -> tuple[str, int]:
    """Read bytes that are not UTF-8 as Latin-1, as old devices with umlauts mean them."""
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error("netraven_latin1", _latin1)


class ByteStream(Protocol):
    """What a terminal needs below it: a paramiko channel or a telnet stream."""

    def recv(self, nbytes: int, /) -> bytes:
        """Some bytes; `b""` at the end; TimeoutError after the time-out."""

    def sendall(self, data: bytes, /) -> None:
        """Send all."""

    def settimeout(self, timeout: float | None, /) -> None:
        """Time-out in seconds."""


def printable(text: str, limit: int = 300) -> str:
    """Words of a device for a line of text: no escapes, no control characters, cut to `limit`."""
    plain = _CONTROL.sub("", ANSI.sub("", text).replace("\r", "").replace("\n", " ⏎ ")).strip()
    return plain if len(plain) <= limit else "…" + plain[-limit:]


class DeviceChannel:
    """Reads and writes one device's terminal; also serves Netmiko's drivers as their channel."""

    def __init__(self, stream: ByteStream, deadline: float, max_bytes: int) -> None:
        self.remote_conn = stream  # the name under which Netmiko's drivers look for it
        self.encoding = "utf-8"
        self.closed = False
        self.tail = ""
        self._stream = stream
        self._deadline = deadline
        self._max_bytes = max_bytes
        self._bytes = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("netraven_latin1")
        self._awaiting = True
        self._unread = ""
        self.watch: Callable[[str], None] | None = None
        self._masked: list[str] = []

    # --- secrets --------------------------------------------------------------------------------
    def mask(self, texts: list[str]) -> None:
        """Never let these texts through `show`."""
        self._masked.extend(text for text in texts if len(text) >= 3)

    def show(self, text: str, limit: int = 300) -> str:
        """The device's words for a message: printable, and without the login's secrets."""
        plain = printable(text, len(text) + 1)
        for secret in self._masked:
            plain = plain.replace(secret, "<secret>")
        return printable(plain, limit)

    # --- reading and writing --------------------------------------------------------------------
    def recv_text(self, wait_s: float) -> str:
        """What has come, waiting up to `wait_s` seconds for the first of it; `""` if nothing came.

        Raises ConnectorError past the device's deadline or its cap on bytes.
        """
        if self._unread:
            text, self._unread = self._unread, ""
            return text
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise ConnectorError(Outcome.TIMEOUT, "The device used up its deadline.")
        if self.closed:
            return ""
        self._stream.settimeout(max(0.001, min(wait_s, left)))
        try:
            data = self._stream.recv(262_144)
        except TimeoutError:
            return ""
        except (OSError, EOFError):
            data = b""
        if not data:
            self.closed = True
            return self._decoder.decode(b"", final=True)
        self._bytes += len(data)
        if self._bytes > self._max_bytes:
            raise ConnectorError(
                Outcome.INCOMPLETE_OUTPUT,
                f"The device sent more than {self._max_bytes // (1024 * 1024)} MiB; the session was ended.",
            )
        text = self._decoder.decode(data)
        self.tail = (self.tail + text)[-TAIL:]
        return text

    def recv_more(self) -> bool:
        """Whether more has come within a moment; it is kept for the next read."""
        more = self.recv_text(0.05)
        self.unread(more)
        return bool(more)

    def unread(self, text: str) -> None:
        """Put text back in front of what is read next."""
        self._unread = text + self._unread

    def send_text(self, text: str) -> None:
        """Write text to the device."""
        left = self._deadline - time.monotonic()
        self._stream.settimeout(max(0.001, min(left, 30.0)))
        self._awaiting = True
        try:
            self._stream.sendall(text.encode(self.encoding, "replace"))
        except (OSError, EOFError):
            self.closed = True

    # --- Netmiko's channel interface ------------------------------------------------------------
    def read_buffer(self) -> str:
        """For Netmiko: what has come, without a long wait."""
        return self.read_channel()

    def read_channel(self) -> str:
        """For Netmiko: all that has come; after a write, waits a moment for the answer to begin.

        Netmiko sleeps between reads; waiting here lets the answer end that sleep early.
        """
        parts = []
        wait = 0.25 if self._awaiting else 0.0
        while chunk := self.recv_text(wait):
            parts.append(chunk)
            wait = 0.0
            self._awaiting = False
        if self.closed and not parts:
            # Noticed at once, not at the end of a read time-out.
            raise ConnectionAbortedError("The device closed the session.")
        text = "".join(parts)
        if self.watch is not None and text:
            self.watch(text)
        return text

    def write_channel(self, out_data: str) -> None:
        """For Netmiko: write."""
        self.send_text(out_data)


class TelnetStream:
    """The bytes of a telnet connection with its option talk taken out (RFC 854, 857, 858)."""

    _IAC, _DONT, _DO, _WONT, _WILL, _SB, _SE = 255, 254, 253, 252, 251, 250, 240
    _ECHO, _SGA = 1, 3

    def __init__(self, sock: WireSocket) -> None:
        self._sock = sock
        self._pending = b""

    def settimeout(self, timeout: float | None, /) -> None:
        """Time-out in seconds."""
        self._sock.settimeout(timeout)

    def sendall(self, data: bytes, /) -> None:
        """Send all, with 0xFF doubled as telnet demands."""
        self._sock.sendall(data.replace(b"\xff", b"\xff\xff"))

    def recv(self, nbytes: int, /) -> bytes:
        """The next bytes of text; answers option requests on the way."""
        while True:
            raw = self._sock.recv(nbytes)
            if not raw:
                return b""
            text = self._take(self._pending + raw)
            if text:
                return text

    def _take(self, raw: bytes) -> bytes:
        out = bytearray()
        i = 0
        self._pending = b""
        while i < len(raw):
            if raw[i] != self._IAC:
                nxt = raw.find(b"\xff", i)
                nxt = len(raw) if nxt < 0 else nxt
                out += raw[i:nxt]
                i = nxt
                continue
            if i + 1 >= len(raw):
                break
            verb = raw[i + 1]
            if verb == self._IAC:
                out.append(self._IAC)
                i += 2
            elif verb in (self._DO, self._DONT, self._WILL, self._WONT):
                if i + 2 >= len(raw):
                    break
                self._answer(verb, raw[i + 2])
                i += 3
            elif verb == self._SB:
                end = raw.find(bytes([self._IAC, self._SE]), i)
                if end < 0:
                    break
                i = end + 2
            else:
                i += 2
        self._pending = bytes(raw[i:][:4096])
        return bytes(out).replace(b"\x00", b"")

    def _answer(self, verb: int, option: int) -> None:
        if verb == self._WILL:
            reply = self._DO if option in (self._ECHO, self._SGA) else self._DONT
        elif verb == self._DO:
            reply = self._WILL if option == self._SGA else self._WONT
        else:
            return
        self._sock.sendall(bytes([self._IAC, reply, option]))
