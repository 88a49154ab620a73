"""What stands between a socket and a protocol: the distance, and the faults before the first word."""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Any

from devices.simulator.device import RunningDevice
from devices.simulator.spec import Fault

_GARBAGE_BANNER = b"\x00\x01\x02\xff\xfe HTTP/1.0 400 Bad Request\r\n\x1b[31m\xe2\x80\xae\r\n"


class Delayed(asyncio.Protocol):
    """A protocol behind a distance: what the peer sends arrives one round trip later.

    It stands between the socket and the protocol proper, and gives that one a transport which sends what is
    written in one turn of the loop in one piece.
    """

    def __init__(self, device: RunningDevice, make_inner: Callable[[], asyncio.Protocol]) -> None:
        self._device = device
        self._make_inner = make_inner
        self._inner: asyncio.Protocol | None = None
        self._pending: deque[Callable[[], None]] = deque()
        # What a client says before a slow device has said its first word.
        self._early = bytearray()
        self._loop = asyncio.get_running_loop()
        self.transport: SimTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection, and begin, unless a fault forbids it."""
        assert isinstance(transport, asyncio.Transport)
        device = self._device
        device.connections += 1
        device.open_connections += 1
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.transport = SimTransport(self._loop, transport)
        device.transports.add(self.transport)
        limit = device.spec.max_sessions
        if device.has(Fault.CLOSES_BEFORE_BANNER) or (limit is not None and device.open_connections > limit):
            transport.close()
        elif device.has(Fault.SILENT_BANNER):
            return
        elif device.has(Fault.GARBAGE_BANNER):
            transport.write(_GARBAGE_BANNER * 3)
        elif device.has(Fault.SLOW_BANNER):
            self._loop.call_later(device.spec.banner_delay_s, self._later, self._begin)
        else:
            self._later(self._begin)

    def _begin(self) -> None:
        if not self.transport.is_closing():
            self._inner = self._make_inner()
            self._inner.connection_made(self.transport)
            if self._early:
                self._inner.data_received(bytes(self._early))
                self._early.clear()

    def _later(self, action: Callable[[], None]) -> None:
        latency = self._device.spec.latency_s
        if not latency and not self._pending:
            action()
            return
        # The queue keeps the order: timers of the same moment may fire in any.
        self._pending.append(action)
        self._loop.call_later(latency, self._next)

    def _next(self) -> None:
        self._pending.popleft()()

    def data_received(self, data: bytes) -> None:
        """Pass it on, a round trip later."""

        def deliver() -> None:
            if self._inner is None:
                self._early += data
            elif not self.transport.is_closing():
                self._inner.data_received(data)

        self._later(deliver)

    def eof_received(self) -> bool | None:
        """The peer will send no more: close."""
        return None

    def pause_writing(self) -> None:
        """The socket takes no more for now."""
        self.transport.can_write.clear()

    def resume_writing(self) -> None:
        """The socket takes more again."""
        self.transport.can_write.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the protocol proper."""
        self._device.open_connections -= 1
        self._device.transports.discard(self.transport)
        self.transport.can_write.set()
        if self._inner is not None:
            self._inner.connection_lost(exc)


class SimTransport(asyncio.Transport):
    """Gathers what is written in one turn of the loop; can end the connection with a TCP reset."""

    def __init__(self, loop: asyncio.AbstractEventLoop, real: asyncio.Transport) -> None:
        super().__init__()
        self._loop = loop
        self._real = real
        self._gathered: list[bytes] = []
        self.can_write = asyncio.Event()
        self.can_write.set()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._real.get_extra_info(name, default)

    def is_closing(self) -> bool:
        return self._real.is_closing()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._gathered:
            self._loop.call_soon(self._send)
        self._gathered.append(bytes(data))

    def _send(self) -> None:
        if self._gathered:
            data = b"".join(self._gathered)
            self._gathered.clear()
            if not self._real.is_closing():
                self._real.write(data)

    def close(self) -> None:
        self._send()
        self._real.close()

    def abort(self) -> None:
        # asyncssh says good-bye and aborts: the good-bye is to arrive.
        self._send()
        self._real.abort()

    def reset(self) -> None:
        """End the connection at once with a TCP reset."""
        self._gathered.clear()
        sock = self._real.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._real.abort()
