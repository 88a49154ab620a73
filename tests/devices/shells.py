"""An SSH server with a command line whose habits a test chooses, and which remembers what was typed and when."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import asyncssh

from devices.connector.core import CoreDeviceConnector
from devices.connector.target import Limits, LoginSecrets, Target

USERNAME, PASSWORD = "ops", "right-4d1c"
PATIENT = Limits(connect_s=10, banner_s=15, auth_s=15, prompt_s=20, read_s=20, deadline_s=60)
PAUSE = "\0pause\0"
RESET = "\0reset\0"


@dataclass
class Habits:
    """How the command line behaves. `PAUSE` in a text is a short silence, `RESET` a TCP reset."""

    prompt: str | Callable[[int], str] = "R1#"
    """The prompt, or what makes it from the number of lines typed so far."""
    greeting: str = ""
    answers: Mapping[str, str] = field(default_factory=dict)
    """The answer to each command; the others are answered with nothing."""
    modes: Mapping[str, str] = field(default_factory=dict)
    """The prompt from this command on."""
    echoes: bool = True
    drops_typeahead: bool = False
    """Forgets what was typed while it was at work on the line before."""
    drip: int = 0
    """Sends so many characters at a time, with a moment between; 0: all at once."""
    kex: tuple[str, ...] = ()
    rekey_bytes: int = 0
    """Exchanges keys anew after so many bytes; 0: never."""


class Shell:
    """One device; use it as a context manager."""

    def __init__(self, habits: Habits) -> None:
        self.habits = habits
        self.typed: list[str] = []
        """What arrived, piece by piece as the client sent it."""
        self.lines: list[str] = []
        """The lines of it."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.port = 0

    def __enter__(self) -> Shell:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def connector(
        self, platform: str = "cisco_ios", limits: Limits = PATIENT, *, port: int = 0, **more: Any
    ) -> CoreDeviceConnector:
        """A connector that is about to log in here, or at the port of what stands in between."""
        target = Target("r1", "127.0.0.1", port or self.port, platform, limits=limits, **more)
        return CoreDeviceConnector(
            target, USERNAME, lambda offered: LoginSecrets(USERNAME, PASSWORD), lambda presented: None
        )

    async def _listen(self) -> Any:
        more: dict[str, Any] = {"kex_algs": self.habits.kex} if self.habits.kex else {}
        if self.habits.rekey_bytes:
            more["rekey_bytes"] = self.habits.rekey_bytes
        return await asyncssh.create_server(
            _Login,
            "127.0.0.1",
            0,
            server_host_keys=[_host_key()],
            process_factory=self._serve,
            line_editor=False,
            encoding=None,
            tcp_keepalive=False,
            **more,
        )

    async def _close(self) -> None:
        self._server.close()
        await asyncio.sleep(0)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, process: Any) -> None:
        habits = self.habits
        pending = bytearray()
        try:
            await self._say(process, habits.greeting)
            prompt = habits.prompt
            while True:
                await self._say(process, prompt if isinstance(prompt, str) else prompt(len(self.lines)))
                if habits.drops_typeahead:
                    pending.clear()
                while b"\n" not in pending and b"\r" not in pending:
                    piece = await process.stdin.read(65_536)
                    if not piece:
                        return
                    self.typed.append(piece.decode())
                    pending += piece
                line, _, rest = bytes(pending).replace(b"\r", b"\n").partition(b"\n")
                pending[:] = rest
                command = line.decode()
                self.lines.append(command)
                prompt = habits.modes.get(command, prompt)
                await self._say(process, (command if habits.echoes else "") + "\n" + habits.answers.get(command, ""))
        except (asyncssh.Error, OSError):
            return

    async def _say(self, process: Any, text: str) -> None:
        for number, part in enumerate(text.split(PAUSE)):
            if number:
                await asyncio.sleep(0.2)
            said, reset, _ = part.partition(RESET)
            data = said.replace("\n", "\r\n").encode()
            step = self.habits.drip or len(data) or 1
            for start in range(0, len(data), step):
                process.stdout.write(data[start : start + step])
                if self.habits.drip:
                    await asyncio.sleep(0.002)
            if reset:
                await asyncio.sleep(0.1)
                transport = process.channel.get_connection()._transport
                sock = transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                transport.abort()
                return


class _Login(asyncssh.SSHServer):  # type: ignore[misc]
    def password_auth_supported(self) -> bool:
        return True

    def begin_auth(self, username: str) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (USERNAME, PASSWORD)


_KEYS: list[Any] = []


def _host_key() -> Any:
    if not _KEYS:
        _KEYS.append(asyncssh.generate_private_key("ssh-ed25519"))
    return _KEYS[0]


class Wire:
    """A TCP proxy for one connection; use it as a context manager."""

    def __init__(self, port: int) -> None:
        self._behind = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.left: int | None = None
        """How many more bytes of the device are let through; None: all."""

    def __enter__(self) -> Wire:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()

    def _accept(self) -> None:
        client, _ = self._server.accept()
        server = socket.create_connection(("127.0.0.1", self._behind))
        for sock in (client, server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=self._carry, args=(client, server, False), daemon=True).start()
        self._carry(server, client, True)

    def _carry(self, source: socket.socket, sink: socket.socket, is_device: bool) -> None:
        try:
            while data := source.recv(65_536):
                if is_device and self.left is not None:
                    data = data[: self.left]
                    self.left -= len(data)
                sink.sendall(data)
        except OSError:
            pass
        finally:
            for sock in (source, sink):
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
