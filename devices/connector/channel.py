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
# C0 and C1 (0x9b begins an escape sequence on some terminals), and what is invisible or turns the direction of text.
_CONTROL = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)
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


def plain(text: str) -> str:
    """The text without escape sequences."""
    return ANSI.sub("", text) if "\x1b" in text else text


def last_line(text: str) -> str:
    """The line on which the cursor stands, without escapes and blanks around it."""
    line = text[max(text.rfind("\n"), text.rfind("\r")) + 1 :]
    return plain(line[-2048:]).replace("\x00", "").strip()


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
        self.awaiting = True
        """Nothing has come since the last write."""
        self.patience_s: float | None = None
        """How long `read_channel` waits for the first word; None: a second after a write, otherwise not at all."""
        self._unread = ""
        self.watch: Callable[[str], None] | None = None
        self.guard: Callable[[str], str] | None = None
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
    @property
    def last_line(self) -> str:
        """The line on which the device's cursor stands, read or not."""
        return last_line(self.tail)

    @property
    def has_unread(self) -> bool:
        """Whether some text was put back or taken in, and is not read yet."""
        return bool(self._unread)

    def take_unread(self) -> str:
        """That text; it is not read again."""
        text, self._unread = self._unread, ""
        return text

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
        self._stream.settimeout(max(0.0, min(wait_s, left)))
        try:
            data = self._stream.recv(262_144)
        except (TimeoutError, BlockingIOError):
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
        self.awaiting = False
        self.tail = text[-TAIL:] if len(text) >= TAIL else (self.tail + text)[-TAIL:]
        return text

    def recv_more(self) -> bool:
        """Whether more has come within a moment; it is kept for the next read."""
        more = self.recv_text(0.05)
        self.unread(more)
        return bool(more)

    def take_in(self, wait_s: float = 0.0) -> None:
        """Take in what has come, or comes within so many seconds; it is kept for the next read."""
        held, self._unread = self._unread, ""
        self._unread = held + self.recv_text(wait_s)

    def end_within(self, seconds: float) -> None:
        """Shorten the deadline to so many seconds from now."""
        self._deadline = min(self._deadline, time.monotonic() + seconds)

    def unread(self, text: str) -> None:
        """Put text back in front of what is read next."""
        self._unread = text + self._unread

    def send_text(self, text: str) -> None:
        """Write text to the device; the guard, if any, may change or refuse it."""
        if self.guard is not None:
            text = self.guard(text)
        left = self._deadline - time.monotonic()
        self._stream.settimeout(max(0.001, min(left, 30.0)))
        self.awaiting = True
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
        wait = (1.0 if self.awaiting else 0.0) if self.patience_s is None else self.patience_s
        while chunk := self.recv_text(wait):
            parts.append(chunk)
            # The rest of a line end comes at once; Netmiko would sleep for it.
            wait = 0.01 if chunk.endswith("\r") else 0.0
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
