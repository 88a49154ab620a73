"""Lines and keys as a device reads them from a terminal, with echo."""

import asyncio
from typing import Protocol


class Wire(Protocol):
    """Where a terminal writes."""

    def write(self, data: bytes) -> None:
        """Send bytes; nothing happens on a closed connection."""

    def reset(self) -> None:
        """End the TCP connection with a reset."""

    async def writable(self) -> None:
        """Wait until the peer takes more."""


class Lines:
    """One terminal: what was typed and is not read yet, what is written and not sent yet."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.out = bytearray()
        """Bytes that the next `flush` sends."""
        self.gone = False
        """The client has hung up."""
        self._typed = bytearray()
        self._more_typed = asyncio.Event()
        self._after_cr = False

    # What the carrier tells us
    def feed(self, data: bytes) -> None:
        """The client typed this."""
        self._typed += data
        self._more_typed.set()

    def hang_up(self) -> None:
        """The client is gone."""
        self.gone = True
        self._more_typed.set()

    # Writing
    def put(self, text: str) -> None:
        """Write a text with LF as CR and LF."""
        self.out += text.replace("\n", "\r\n").encode()

    def flush(self) -> None:
        """Send what was written."""
        if self.out:
            data, self.out = bytes(self.out), bytearray()
            self.wire.write(data)

    # Reading
    async def until_gone(self) -> None:
        """Wait, deaf and mute, until the client hangs up."""
        while not self.gone:
            self._more_typed.clear()
            await self._more_typed.wait()

    async def _wait(self) -> bool:
        """Whether there is input; False: the client is gone."""
        while not self._typed and not self.gone:
            self._more_typed.clear()
            await self._more_typed.wait()
        return bool(self._typed)

    async def read_key(self) -> bytes:
        """The next key; empty: the client is gone."""
        while await self._wait():
            key = bytes(self._typed[:1])
            del self._typed[:1]
            skipped = self._after_cr and key in (b"\n", b"\0")
            self._after_cr = key == b"\r"
            if not skipped and key != b"\0":
                return key
        return b""

    async def read_line(self, *, echo: bool) -> str | None:
        """The next line without its end; None: the client is gone. CR, LF and CR LF end a line."""
        line = bytearray()
        while True:
            if not self._typed:
                # What is typed so far is echoed before the rest is waited for.
                self.flush()
                if not await self._wait():
                    return None
            if self._after_cr and self._typed.startswith((b"\n", b"\0")):
                del self._typed[:1]
                self._after_cr = False
                continue
            self._after_cr = False
            ends = [found for found in (self._typed.find(b"\r"), self._typed.find(b"\n")) if found >= 0]
            end = min(ends) if ends else len(self._typed)
            part, last = bytes(self._typed[:end]), self._typed[end : end + 1]
            del self._typed[: end + 1]
            self._take(line, part, echo=echo)
            if last:
                self._after_cr = last == b"\r"
                self.out += b"\r\n"
                return line.decode("utf-8", "replace")

    def _take(self, line: bytearray, part: bytes, *, echo: bool) -> None:
        """Add typed characters to a line, with the few keys that edit it."""
        if part.isascii() and part.decode().isprintable():
            line += part
            if echo:
                self.out += part
            return
        for number in part:
            if number in (0x08, 0x7F):
                if line:
                    del line[-1:]
                    if echo:
                        self.out += b"\b \b"
            elif number in (0x03, 0x15):
                line.clear()
            elif number >= 0x20:
                line.append(number)
                if echo:
                    self.out.append(number)
