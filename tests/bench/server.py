"""One process of simulated devices: `python -m tests.bench.server`, started by `fleet.Fleet`.

It does what a device must do to be backed up and nothing else, so that it takes as little of the machine as it
can. It takes a JSON line on standard input, answers with one, and answers each further line with what was counted.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import socket
import sys
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

import asyncssh

from devices.simulator.worker import die_with
from tests.bench import texts

_GROUP14 = ["diffie-hellman-group14-sha256"]
# What Cisco's IOS XE 17 offers: every client then uses what it likes best of it.
_KEX = [
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    *_GROUP14,
    "diffie-hellman-group16-sha512",
]
_CIPHERS = [
    "chacha20-poly1305@openssh.com",
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
]
_MACS = ["hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512"]


@dataclass(frozen=True)
class Conditions:
    """What the devices of a process are like; times in seconds."""

    username: str
    round_trip_s: float
    answer_s: float
    """How long `show running-config` takes before its text comes."""
    reject_s: float
    group14_only: bool


@dataclass
class Device:
    """One simulated device."""

    number: int
    host: str
    passwords: frozenset[str]
    conditions: Conditions
    prompt: bytes = b""
    counted: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.prompt = texts.device_name(self.number).encode() + b"#"


class Distance(asyncio.Protocol):
    """A protocol behind a round trip.

    What the client sends arrives one round trip late, and the server's first word comes after two, as it
    would over a real distance where the connection itself takes the first of them.
    """

    def __init__(self, device: Device, ssh: Ssh) -> None:
        self._device = device
        self._ssh = ssh
        self._round_trip = device.conditions.round_trip_s
        self._inner: Any = None
        self._pending: deque[bytes] = deque()
        self._loop = asyncio.get_running_loop()
        self._not_before = 0.0
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin two round trips later."""
        self._device.counted["connections"] += 1
        self._transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        now = self._loop.time()
        self._not_before = now + 2 * self._round_trip
        self._loop.call_at(self._not_before, self._begin)

    def _begin(self) -> None:
        # Timers of the same moment fire in any order: what was sent early may be due before this.
        if self._inner is None and not self._transport.is_closing():
            self._inner = self._ssh.connection(self._device, Gathering(self._loop, self._transport))

    def data_received(self, data: bytes) -> None:
        """Pass it on, a round trip later."""
        self._pending.append(data)
        # What is sent before the connection would stand at this distance is no earlier than what comes then.
        self._loop.call_at(max(self._loop.time() + self._round_trip, self._not_before), self._deliver)

    def _deliver(self) -> None:
        data = self._pending.popleft()
        self._begin()
        if self._inner is not None and not self._transport.is_closing():
            self._inner.data_received(data)

    def pause_writing(self) -> None:
        """30 KB are never too much to keep."""

    def resume_writing(self) -> None:
        """See above."""

    def eof_received(self) -> bool | None:
        """The peer will send no more: close."""
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the protocol proper."""
        if self._inner is not None:
            self._inner.connection_lost(exc)


class Gathering(asyncio.Transport):
    """Sends what is written in one turn of the loop in one piece."""

    def __init__(self, loop: asyncio.AbstractEventLoop, real: Any) -> None:
        super().__init__()
        self._loop = loop
        self._real = real
        self._parts: list[bytes] = []

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """The socket's."""
        return self._real.get_extra_info(name, default)

    def is_closing(self) -> bool:
        """Whether nothing more will be sent."""
        return bool(self._real.is_closing())

    def write(self, data: Any) -> None:
        """Keep it for the end of this turn."""
        if not self._parts:
            self._loop.call_soon(self._send)
        self._parts.append(bytes(data))

    def _send(self) -> None:
        data, self._parts = b"".join(self._parts), []
        if data and not self._real.is_closing():
            self._real.write(data)

    def close(self) -> None:
        """Send what is left and close."""
        self._send()
        self._real.close()

    abort = close


class _Server(asyncssh.SSHServer):  # type: ignore[misc]
    def __init__(self, device: Device) -> None:
        self._device = device

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return False

    def kbdint_auth_supported(self) -> bool:
        return False

    async def validate_password(self, username: str, password: str) -> bool:
        device = self._device
        device.counted["passwords"] += 1
        if username == device.conditions.username and password in device.passwords:
            return True
        device.counted["rejected"] += 1
        await asyncio.sleep(device.conditions.reject_s)
        return False

    def session_requested(self) -> Any:
        return _Session(self._device)


class _Session(asyncssh.SSHServerSession):  # type: ignore[misc]
    def __init__(self, device: Device) -> None:
        self._device = device
        self._line = b""
        self._channel: Any = None

    def connection_made(self, chan: Any) -> None:
        self._channel = chan

    def pty_requested(self, *_: Any) -> bool:
        return True

    def shell_requested(self) -> bool:
        return True

    def session_started(self) -> None:
        self._channel.write(b"\r\n" + self._device.prompt)

    def data_received(self, data: bytes, datatype: Any) -> None:
        *lines, self._line = (self._line + data).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            self._do(line)

    def _do(self, line: bytes) -> None:
        write, prompt = self._channel.write, self._device.prompt
        words = line.decode("ascii", "replace").split()
        echo = line + b"\r\n"
        if not words or words[0] == "terminal":
            write(echo + prompt)
        elif words[:2] in (["show", "running-config"], ["show", "run"]) and len(words) == 2:
            write(echo)
            asyncio.get_running_loop().call_later(self._device.conditions.answer_s, self._show)
        elif words[0] in ("exit", "quit", "logout"):
            write(echo)
            self._channel.exit(0)
        else:
            write(echo + b"            ^\r\n% Invalid input detected at '^' marker.\r\n\r\n" + prompt)

    def _show(self) -> None:
        if not self._channel.is_closing():
            self._device.counted["configurations"] += 1
            self._channel.write(texts.dump(self._device.number) + self._device.prompt)


class Ssh:
    """What all devices of a process share: keys, algorithms and limits."""

    def __init__(self, group14_only: bool) -> None:
        self._next: Device
        self._options = asyncssh.SSHServerConnectionOptions(
            server_factory=lambda: _Server(self._next),
            server_version="Cisco-1.25",
            server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
            kex_algs=_GROUP14 if group14_only else _KEX,
            encryption_algs=_CIPHERS,
            mac_algs=_MACS,
            gss_host=None,
            line_editor=False,
            encoding=None,
            compression_algs=["none"],
            login_timeout=120,
            keepalive_interval=0,
            agent_forwarding=False,
            allow_scp=False,
            x11_forwarding=False,
        )

    def connection(self, device: Device, transport: asyncio.Transport) -> Any:
        """A server's side of SSH on this transport."""
        connection = asyncssh.SSHServerConnection(asyncio.get_running_loop(), self._options)
        self._next = device
        connection.connection_made(transport)  # asks for the _Server at once
        return connection


async def _serve(order: dict[str, Any]) -> None:
    conditions = Conditions(**order["conditions"])
    ssh = Ssh(conditions.group14_only)
    devices = [
        Device(each["number"], each["host"], frozenset(each["passwords"]), conditions) for each in order["devices"]
    ]
    loop = asyncio.get_running_loop()
    for device in devices:

        def protocol(device: Device = device) -> Distance:
            return Distance(device, ssh)

        await loop.create_server(protocol, device.host, order["port"], backlog=16)
    gc.collect()
    gc.freeze()
    _answer({"ready": len(devices)})
    lines: asyncio.Queue[str] = asyncio.Queue()
    loop.add_reader(sys.stdin, lambda: lines.put_nowait(sys.stdin.readline()))
    while await lines.get():
        _answer({"counted": {device.number: device.counted for device in devices if device.counted}})
        for device in devices:
            device.counted = Counter()


def _answer(data: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(data) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Serve until standard input ends."""
    order = json.loads(sys.stdin.readline())
    die_with(order["parent"])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(_serve(order))


if __name__ == "__main__":
    main()
