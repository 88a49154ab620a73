"""A fleet of simulated devices in one process, on an event loop in a thread of its own."""

import asyncio
import errno
import socket
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from devices.simulator.device import RunningDevice
from devices.simulator.keys import HostKeys
from devices.simulator.spec import Fault, Offer, PortTakenError, SimDevice, SimLogin, SimulatorError
from devices.simulator.ssh import ssh_protocol
from devices.simulator.telnet import telnet_protocol

T = TypeVar("T")
_BACKLOG = 1024


class DeviceHandle:
    """One device of a running fleet. Every method works from any thread and has taken effect on return."""

    def __init__(self, fleet: "SimulatedFleet", running: RunningDevice, reserved: socket.socket) -> None:
        self._fleet = fleet
        self._running = running
        self._server: asyncio.Server | None = None
        # A socket that is bound and does not listen refuses connections and keeps the port for us.
        self._reserved: socket.socket | None = reserved
        self.name = running.spec.name
        self.host = running.spec.host
        self.port: int = reserved.getsockname()[1]

    def __repr__(self) -> str:
        """Name and address."""
        return f"<DeviceHandle {self.name} {self.host}:{self.port}>"

    # What can be seen
    @property
    def spec(self) -> SimDevice:
        """The device as it is now, with its real port, faults and logins."""
        return replace(self._running.spec, port=self.port, started=self.is_started)

    @property
    def is_started(self) -> bool:
        """Whether the port accepts connections."""
        return self._server is not None

    @property
    def offers(self) -> list[Offer]:
        """Every secret that was offered to this device, in order."""
        return list(self._running.offers)

    @property
    def commands(self) -> list[str]:
        """Every command line that was typed, in order, without empty ones and without passwords."""
        return list(self._running.commands)

    @property
    def connections(self) -> int:
        """TCP connections that were accepted since the start of the fleet."""
        return self._running.connections

    @property
    def open_connections(self) -> int:
        """TCP connections that are open now."""
        return self._running.open_connections

    @property
    def revision(self) -> int:
        """The number of the configuration, 1 for a new device."""
        return self._running.revision

    @property
    def host_key_fingerprint(self) -> str:
        """The fingerprint of the device's first host key, "SHA256:...", as OpenSSH writes it."""
        return self._fleet.call(self._running.keys.fingerprint)

    def host_key_line(self) -> str:
        """The public part of the device's first host key as in a known_hosts file: type and base64."""

        def export() -> str:
            key = self._running.keys.key(self._running.spec.host_key_types[0])
            return " ".join(key.export_public_key().decode().split()[:2])

        return self._fleet.call(export)

    def configuration(self) -> str:
        """The configuration as it would be shown now, with LF; it counts as a dump."""
        return self._fleet.call(self._running.dump_configuration).decode().replace("\r\n", "\n")

    # What can be changed
    def clear(self) -> None:
        """Forget offers, commands and the count of connections."""

        def forget() -> None:
            self._running.offers.clear()
            self._running.commands.clear()
            self._running.connections = 0

        self._fleet.call(forget)

    def change_config(self) -> int:
        """A few real lines of the configuration change; returns the new revision."""
        return self._fleet.call(self._running.change_config)

    def change_host_key(self) -> str:
        """New host keys for new connections; returns the fingerprint."""

        def change() -> str:
            self._running.keys.change()
            return self._running.keys.fingerprint()

        return self._fleet.call(change)

    def set_faults(self, *faults: Fault | str) -> None:
        """Exactly these faults from now on; none: a device in order."""
        self._fleet.call(lambda: self._running.set_faults(faults))

    def set_logins(self, *logins: SimLogin) -> None:
        """Exactly these accounts from now on; no account is locked any more."""
        self._fleet.call(lambda: self._running.set_logins(logins))

    def stop(self) -> None:
        """Close the port and every open connection; the port stays ours. No-op when stopped."""
        self._fleet.run(self._stop())

    def start(self) -> None:
        """Open the same port again. No-op when started."""
        self._fleet.run(self._start())

    async def _start(self) -> None:
        if self._server is not None:
            return
        sock, self._reserved = self._reserved, None
        assert sock is not None
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._fleet.protocol(self._running), sock=sock, backlog=_BACKLOG)

    async def _stop(self) -> None:
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for transport in list(self._running.transports):
            transport.abort()
        # Python 3.12 closes the listening socket a turn of the loop later.
        await asyncio.sleep(0)
        self._reserved = _bind(replace(self._running.spec, port=self.port))

    def close(self) -> None:
        """Give the port back. For the fleet, on its loop."""
        if self._server is not None:
            self._server.close()
        for transport in list(self._running.transports):
            transport.abort()
        if self._reserved is not None:
            self._reserved.close()


def _bind(spec: SimDevice) -> socket.socket:
    """A bound socket, or a PortTakenError."""
    family = socket.AF_INET6 if ":" in spec.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        if spec.port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((spec.host, spec.port))
        # Set late for a port of the system's choice, so that it chooses one that nobody else has bound.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    except OSError as error:
        sock.close()
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise PortTakenError(spec.name, spec.host, spec.port) from error
        raise SimulatorError(f"cannot listen on {spec.host}:{spec.port} for {spec.name}: {error}") from error
    return sock


class SimulatedFleet:
    """Devices that run for the time of a `with` block (or from `start` to `stop`).

    `state`: a directory that keeps host keys and revisions. `on_offer` is called for each secret that is
    offered, in the thread of the fleet's loop.
    """

    def __init__(
        self,
        devices: Iterable[SimDevice],
        state: Path | str | None = None,
        on_offer: Callable[[Offer], None] | None = None,
    ) -> None:
        self._specs = list(devices)
        names = [spec.name for spec in self._specs]
        twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
        if twice:
            raise SimulatorError(f"two devices are named {', '.join(twice)}")
        self._state = Path(state) / "devices" if state else None
        self._on_offer = on_offer or (lambda offer: None)
        self._handles: dict[str, DeviceHandle] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    # Life
    def start(self) -> None:
        """Start every device that is to be started; a PortTakenError leaves nothing running."""
        loop = asyncio.new_event_loop()
        self._loop = loop
        self._thread = threading.Thread(target=loop.run_forever, name="simulated-fleet", daemon=True)
        self._thread.start()
        try:
            self.run(self._start_devices())
        except BaseException:
            self.stop()
            raise

    async def _start_devices(self) -> None:
        for spec in self._specs:
            running = RunningDevice(spec, HostKeys(spec, self._state), self._on_offer)
            handle = DeviceHandle(self, running, _bind(spec))
            self._handles[spec.name] = handle
            if spec.transport == "ssh":
                for kind in spec.host_key_types:
                    running.keys.key(kind)
            if spec.started:
                await handle._start()

    def stop(self) -> None:
        """Close every port and connection. What was recorded can still be read."""
        if self._loop is None or self._thread is None:
            return
        self.run(self._stop_devices())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = self._thread = None

    async def _stop_devices(self) -> None:
        for handle in self._handles.values():
            handle.close()
        await asyncio.sleep(0)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def __enter__(self) -> "SimulatedFleet":
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    # Devices
    def device(self, name: str) -> DeviceHandle:
        """The device of this name, or a SimulatorError."""
        try:
            return self._handles[name]
        except KeyError:
            raise SimulatorError(f"no device is named {name!r}") from None

    def __iter__(self) -> Iterator[DeviceHandle]:
        """Every device, in the order in which they were given."""
        return iter(self._handles.values())

    def __len__(self) -> int:
        """How many devices there are."""
        return len(self._handles)

    @property
    def offers(self) -> list[Offer]:
        """Every secret that was offered to any device, in order of time."""
        return sorted((offer for handle in self for offer in handle.offers), key=lambda offer: offer.at)

    # Crossing to the loop's thread
    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the fleet's loop and wait for it; a SimulatorError when the fleet is stopped."""
        if self._loop is None:
            work.close()
            raise SimulatorError("the fleet is not running")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def call(self, action: Callable[[], T]) -> T:
        """Call a function in the thread of the fleet's loop and wait; after `stop`, call it here."""
        if self._loop is None or self._thread is threading.current_thread():
            return action()

        async def inside() -> T:
            return action()

        return self.run(inside())

    def protocol(self, running: RunningDevice) -> Callable[[], asyncio.Protocol]:
        """What makes the protocol for each connection to a device."""
        make = ssh_protocol if running.spec.transport == "ssh" else telnet_protocol
        return lambda: make(running)
