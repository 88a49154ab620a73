"""Devices that mean harm: what they say to whoever calls, at each step of a login, for as long as anybody listens."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import asyncssh

from devices.configs.answers import redact_answer
from devices.configs.normalise import clean, normalise
from devices.connector.core import CoreDeviceConnector
from devices.connector.outcomes import ConnectorError
from devices.connector.probe import probe
from devices.connector.target import Limits, LoginSecrets, Target
from devices.connector.targets import policy_from
from tests.devices.shells import PASSWORD, USERNAME, _host_key, _Login

LIMITS = Limits(connect_s=2, banner_s=2, auth_s=2, prompt_s=2, read_s=2, deadline_s=4, max_output=8 * 1024 * 1024)
"""Short, so that the tests are; each wait below ends by one of these."""
_PAUSE_S = 0.02

Says = Callable[[], AsyncIterator[bytes]]


def for_ever(piece: bytes, pause_s: float = 0.0) -> Says:
    """The same again and again."""

    async def say() -> AsyncIterator[bytes]:
        while True:
            yield piece
            await asyncio.sleep(pause_s)

    return say


def once(*pieces: bytes) -> Says:
    """These, and then silence."""

    async def say() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece
        await asyncio.sleep(3600)

    return say


_FLOOD = b"x" * 65_536
_LINES = b"interface Vlan1\r\n description flood\r\n" * 1000
BEFORE_LOGIN: dict[str, Says] = {
    "silence": once(),
    "flood without a line end": for_ever(_FLOOD),
    "flood of lines": for_ever(_LINES),
    "drip": for_ever(b"x", _PAUSE_S),
    "drip of lines": for_ever(b"hello\r\n", _PAUSE_S),
    "nul": for_ever(b"\x00" * 65_536),
    "ansi": for_ever(b"\x1b[2J\x1b]0;owned\x07\x1b[31m" * 1000),
    "open escape": once(b"\x1b]0;" + b"a" * 200_000),
    "endless version line": once(b"SSH-2.0-", *[b"A" * 65_536] * 20),
    "strange version": once(b"SSH-2.0-\xff\xfe\x00\xe2\x80\xae\x1b[2Jevil\r\n" + b"\x00" * 1000),
    "huge packet": once(b"SSH-2.0-x\r\n", b"\x7f\xff\xff\xff" + b"\x00" * 100_000),
    "packets of nothing": once(b"SSH-2.0-x\r\n", b"\x00\x00\x00\x00" * 100_000),
    "garbage after the version": once(b"SSH-2.0-x\r\n", bytes(range(256)) * 1000),
}
TELNET: dict[str, Says] = {
    "options for ever": for_ever(b"\xff\xfb\x01\xff\xfd\x03\xff\xfd\x18" * 1000),
    "options drip": for_ever(b"\xff\xf1", _PAUSE_S),
    "subnegotiation without end": once(b"\xff\xfa\x18", *[b"z" * 65_536] * 8),
    "half an option": once(b"\xff"),
    "login for ever": for_ever(b"\r\nlogin: ", 0.01),
    "password for ever": for_ever(b"\r\nPassword: ", 0.01),
    "almost a prompt": for_ever(b"R1" * 1000 + b" ", 0.001),
}
_EVIL_PROMPT = "R1\x1b[2J\u202e\u2066<script>alert(1)</script>#"
PROMPTS: dict[str, str] = {
    "huge": "R" * 1_000_000 + "#",
    "ansi and bidi": _EVIL_PROMPT,
    "nul": "R\x001#",
    "regular expression": "R1(a+)+$[\\d*#",
    "blanks": " " * 100_000 + "#",
    "only line ends": "\r\n" * 50_000 + "#",
}
ANSWERS: dict[str, Says] = {
    "flood": for_ever(_LINES),
    "flood without a line end": for_ever(_FLOOD),
    "drip": for_ever(b"a", _PAUSE_S),
    "silence": once(),
    "nul": for_ever(b"\x00" * 65_536),
    "ansi": for_ever(b"\x1b[31m\x1b[0m" * 10_000),
    "open escapes": for_ever(b"\x1b]0;" * 10_000),
    "pager for ever": for_ever(b"\r\n --More-- ", 0.001),
    "prompts for ever": for_ever(b"\r\nR1#", 0.0005),
    "carriage returns": for_ever(b"\r" * 65_536),
    "backspaces": for_ever(b"ab\x08\x08" * 16_384),
    "broken utf-8": for_ever(b"\xf0\x9f\x98" * 20_000),
}
BOMBS: dict[str, str] = {
    "blanks": " " * 300_000,
    "one letter": "a" * 300_000,
    "digits": "1" * 300_000,
    "keywords": "password " * 30_000,
    "keywords and quotes": 'password "' * 30_000,
    "open quotes": "'" * 200_000,
    "backslashes": "\\" * 200_000,
    "braces": "{" * 200_000,
    "nested": "set a {\n" * 30_000,
    "key without end": "-----BEGIN RSA PRIVATE KEY-----\n" * 5_000,
    "banners without end": "banner motd ^C\n" * 10_000,
    "almost a clock": "ntp clock-period " * 20_000,
    "almost a date": "! Last configuration change at 10:00:00 " * 10_000,
    "colons": "aa:" * 100_000,
    "pipes and dashes": "|-" * 100_000,
    "mixed": "secret 5 $1$a$" * 20_000,
    "lines": "\n" * 300_000,
    "tabs": "\t" * 300_000,
    "unicode blanks": "\u3000\u2028\x85" * 50_000,
    "combining": "e" + "\u0301" * 200_000,
}


class Trap:
    """A TCP server that says something to everybody."""

    def __init__(self, says: Says) -> None:
        self._says = says

    async def open(self) -> int:
        """Listen; the port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        swallow = asyncio.ensure_future(_swallow(reader))
        with contextlib.suppress(OSError, asyncio.CancelledError):
            async for piece in self._says():
                writer.write(piece)
                await writer.drain()
        swallow.cancel()
        writer.close()


async def _swallow(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(OSError):
        while await reader.read(65_536):
            pass


async def ssh_trap(prompt: str, says: Says | None) -> int:
    """An SSH device with a prompt, and an answer to each command that is no setting; the port."""

    async def serve(process: Any) -> None:
        with contextlib.suppress(asyncssh.Error, OSError):
            process.stdout.write(prompt.encode())
            pending = b""
            while piece := await process.stdin.read(65_536):
                pending += piece.replace(b"\r", b"\n")
                while b"\n" in pending:
                    line, _, pending = pending.partition(b"\n")
                    process.stdout.write(line + b"\r\n")
                    if says is not None and line.startswith(b"show"):
                        async for part in says():
                            process.stdout.write(part)
                            await process.stdout.drain()
                    process.stdout.write(prompt.encode())

    server = await asyncssh.create_server(
        _Login,
        "127.0.0.1",
        0,
        server_host_keys=[_host_key()],
        process_factory=serve,
        line_editor=False,
        encoding=None,
    )
    return int(server.sockets[0].getsockname()[1])


# --- in a process of its own, whose memory is measured ----------------------------------------------------


def _peak_kib() -> int:
    words = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(words.split()[1])


def _visit(port: int, transport: str, platform: str, how: str) -> dict[str, Any]:
    """One device: the class and the words of what came of it, with time and growth of memory."""
    Path("/proc/self/clear_refs").write_text("5")
    before, started = _peak_kib(), time.monotonic()
    policy = policy_from(["127.0.0.0/8"])
    target = Target("evil", "127.0.0.1", port, platform, transport, limits=LIMITS, policy=policy)
    outcome, detail = "success", ""
    try:
        if how == "probe":
            detail = probe(target).banner
        else:
            connector = CoreDeviceConnector(
                target, USERNAME, lambda offered: LoginSecrets(USERNAME, PASSWORD), lambda presented: None
            )
            try:
                connector.open()
                text = clean(connector.send("show running-config"))
                detail = redact_answer(normalise(text, platform), platform)[-200:]
            finally:
                connector.close()
    except ConnectorError as error:
        outcome, detail = str(error.outcome), error.detail
    except Exception as error:  # noqa: BLE001 - the test says that there is none
        outcome, detail = "exception", f"{type(error).__name__}: {error}"
    return {
        "outcome": outcome,
        "detail": detail,
        "seconds": time.monotonic() - started,
        "grown_mib": (_peak_kib() - before) / 1024,
    }


def main() -> None:
    """Answer each line `PORT TRANSPORT PLATFORM HOW` with what came of it."""
    for line in itertools.takewhile(str.strip, sys.stdin):
        port, transport, platform, how = line.split()
        print(json.dumps(_visit(int(port), transport, platform, how)), flush=True)


if __name__ == "__main__":
    main()
