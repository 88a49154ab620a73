"""Talk to a fleet in other processes: a JSON line to ask, one to answer, over sockets in its directory.

The directory belongs to the user who runs the fleet (mode 0700); that is the only protection, and enough on
one machine.
"""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devices.simulator.spec import Fault, Offer, SimLogin, SimulatorError, logins_from_json

if TYPE_CHECKING:
    # The one who asks needs no asyncssh.
    from devices.simulator.fleet import DeviceHandle, SimulatedFleet

FLEET_FILE = "fleet.json"
_LINE_LIMIT = 64 * 1024 * 1024
_TIMEOUT_S = 30.0


def socket_name(process: int) -> str:
    """The name of the socket of one process of the fleet."""
    return f"control-{process}.sock"


@contextlib.contextmanager
def _short_path(directory: Path, name: str) -> Iterator[str]:
    """A path to a socket that is short enough for the system, however deep the directory lies."""
    number = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{number}/{name}"
    finally:
        os.close(number)


# The side of the fleet
async def serve_control(fleet: "SimulatedFleet", directory: Path, process: int) -> asyncio.Server:
    """Answer on the socket of this process; runs on the fleet's loop."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    name = socket_name(process)
    (directory / name).unlink(missing_ok=True)
    with _short_path(directory, name) as path:
        sock.bind(path)
    (directory / name).chmod(0o600)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while line := await reader.readline():
                # The methods of a handle wait for the loop, so they are called beside it.
                reply = await asyncio.to_thread(_obey, fleet, line)
                writer.write(json.dumps(reply).encode() + b"\n")
                await writer.drain()
        writer.close()

    return await asyncio.start_unix_server(answer, sock=sock, limit=_LINE_LIMIT)


def _obey(fleet: "SimulatedFleet", line: bytes) -> dict[str, Any]:
    try:
        request = json.loads(line)
        return {"ok": True, "result": _act(fleet, request)}
    except (SimulatorError, ValueError, KeyError, TypeError) as error:
        return {"ok": False, "error": str(error) or type(error).__name__}


def _act(fleet: "SimulatedFleet", request: dict[str, Any]) -> Any:
    verb = request["verb"]
    if verb == "offers" and request.get("device") is None:
        return [offer.to_json() for offer in fleet.offers]
    device: DeviceHandle = fleet.device(request["device"])
    match verb:
        case "offers":
            return [offer.to_json() for offer in device.offers]
        case "status":
            return {
                "port": device.port,
                "started": device.is_started,
                "revision": device.revision,
                "connections": device.connections,
                "commands": device.commands,
                "fingerprint": device.host_key_fingerprint,
                "faults": sorted(device.spec.faults),
            }
        case "configuration":
            return device.configuration()
        case "change_config":
            return device.change_config()
        case "change_host_key":
            return device.change_host_key()
        case "set_faults":
            return device.set_faults(*request["faults"])
        case "set_logins":
            return device.set_logins(*logins_from_json(request["logins"]))
        case "stop":
            return device.stop()
        case "start":
            return device.start()
        case "clear":
            return device.clear()
    raise ValueError(f"unknown verb {verb!r}")


# The side of the one who asks
class SimulatorControl:
    """Asks the fleet that runs with a state directory. Every method raises SimulatorError when it cannot."""

    def __init__(self, directory: Path | str) -> None:
        self._directory = Path(directory)

    @property
    def devices(self) -> dict[str, dict[str, Any]]:
        """Name -> host, port, platform, transport and process of every device."""
        try:
            data: dict[str, dict[str, Any]] = json.loads((self._directory / FLEET_FILE).read_text())
        except FileNotFoundError:
            raise SimulatorError(f"no fleet runs with the state directory {self._directory}") from None
        return data

    def _ask(self, process: int, request: dict[str, Any]) -> Any:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(_TIMEOUT_S)
            try:
                with _short_path(self._directory, socket_name(process)) as path:
                    sock.connect(path)
                sock.sendall(json.dumps(request).encode() + b"\n")
                with sock.makefile("rb") as stream:
                    line = stream.readline()
            except OSError as error:
                raise SimulatorError(f"the fleet in {self._directory} does not answer: {error}") from error
        if not line:
            raise SimulatorError(f"the fleet in {self._directory} closed the connection")
        reply = json.loads(line)
        if not reply["ok"]:
            raise SimulatorError(reply["error"])
        return reply["result"]

    def _device(self, name: str, verb: str, **more: Any) -> Any:
        devices = self.devices
        if name not in devices:
            raise SimulatorError(f"no device is named {name!r}")
        return self._ask(devices[name]["process"], {"verb": verb, "device": name, **more})

    def offers(self, name: str | None = None) -> list[Offer]:
        """Every secret that was offered to one device, or to all of them in order of time."""
        if name is not None:
            return [Offer(**item) for item in self._device(name, "offers")]
        processes = sorted({device["process"] for device in self.devices.values()})
        found = [Offer(**item) for number in processes for item in self._ask(number, {"verb": "offers"})]
        return sorted(found, key=lambda offer: offer.at)

    def status(self, name: str) -> dict[str, Any]:
        """Port, started, revision, connections, commands, fingerprint and faults of a device."""
        status: dict[str, Any] = self._device(name, "status")
        return status

    def configuration(self, name: str) -> str:
        """The configuration as it would be shown now, with LF; it counts as a dump."""
        return str(self._device(name, "configuration"))

    def change_config(self, name: str) -> int:
        """A few real lines of the configuration change; returns the new revision."""
        return int(self._device(name, "change_config"))

    def change_host_key(self, name: str) -> str:
        """New host keys for new connections; returns the fingerprint."""
        return str(self._device(name, "change_host_key"))

    def set_faults(self, name: str, *faults: Fault | str) -> None:
        """Exactly these faults from now on; none: a device in order."""
        self._device(name, "set_faults", faults=[str(fault) for fault in faults])

    def set_logins(self, name: str, *logins: SimLogin) -> None:
        """Exactly these accounts from now on; no account is locked any more."""
        self._device(name, "set_logins", logins=[asdict(login) for login in logins])

    def stop(self, name: str) -> None:
        """Close the port of a device and its open connections."""
        self._device(name, "stop")

    def start(self, name: str) -> None:
        """Open the same port again."""
        self._device(name, "start")

    def clear(self, name: str) -> None:
        """Forget offers, commands and the count of connections of a device."""
        self._device(name, "clear")
