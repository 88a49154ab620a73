"""A fleet spread over several processes, since one is busy with 100 to 150 logins a second."""

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from devices.simulator.control import FLEET_FILE, socket_name
from devices.simulator.spec import PortTakenError, SimDevice, SimulatorError

_ROOT = Path(__file__).resolve().parents[2]
_STOP_S = 5.0


class FleetProcesses:
    """Devices in `processes` processes, for the time of a `with` block (or from `start` to `stop`).

    `state`: a directory for host keys, revisions and the control channel. `record`: a file to which every
    offer is appended as a JSON line, passwords included (mode 0600). Start it in a thread that stays: the
    processes are killed by the system when that thread is gone.
    """

    def __init__(
        self,
        devices: Iterable[SimDevice],
        *,
        processes: int = 1,
        state: Path | str | None = None,
        record: Path | str | None = None,
    ) -> None:
        self._devices = list(devices)
        self._count = max(1, min(processes, len(self._devices)))
        self._state = Path(state).absolute() if state else None
        self._record = Path(record).absolute() if record else None
        self._workers: list[subprocess.Popen[str]] = []
        self._lock: IO[str] | None = None
        self.devices: list[SimDevice] = []
        """The devices with their real ports, once started."""

    def start(self) -> None:
        """Start everything. When a port is taken nothing is left running and a PortTakenError says which."""
        try:
            self._take_state()
            for number in range(self._count):
                self._workers.append(self._start_worker(number))
            ports: dict[str, int] = {}
            for worker in self._workers:
                ports |= self._await_ports(worker)
            self.devices = [replace(device, port=ports[device.name]) for device in self._devices]
            self._write_fleet()
        except BaseException:
            self.stop()
            raise

    def _take_state(self) -> None:
        if self._state is None:
            return
        self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = (self._state / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            self._lock = None
            raise SimulatorError(f"another fleet runs with the state directory {self._state}") from None

    def _start_worker(self, number: int) -> subprocess.Popen[str]:
        worker = subprocess.Popen(
            [sys.executable, "-m", "devices.simulator.worker"],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        order = {
            "parent": os.getpid(),
            "process": number,
            "state": str(self._state) if self._state else None,
            "record": str(self._record) if self._record else None,
            "devices": [device.to_json() for device in self._devices[number :: self._count]],
        }
        if worker.stdin is not None:
            worker.stdin.write(json.dumps(order) + "\n")
            worker.stdin.close()
        return worker

    @staticmethod
    def _await_ports(worker: subprocess.Popen[str]) -> dict[str, int]:
        line = worker.stdout.readline() if worker.stdout is not None else ""
        if not line:
            raise SimulatorError(f"a process of the fleet ended with exit code {worker.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            if answer["taken"]:
                raise PortTakenError(*answer["taken"])
            raise SimulatorError(answer["error"])
        ports: dict[str, int] = answer["ports"]
        return ports

    def _write_fleet(self) -> None:
        if self._state is None:
            return
        fleet = {
            device.name: {
                "host": device.host,
                "port": device.port,
                "platform": device.platform,
                "transport": device.transport,
                "process": number % self._count,
            }
            for number, device in enumerate(self.devices)
        }
        partial = self._state / f"{FLEET_FILE}.partial"
        partial.write_text(json.dumps(fleet, indent=1))
        partial.replace(self._state / FLEET_FILE)

    def dead(self) -> int | None:
        """The exit code of a process that ended by itself, if one did."""
        return next((worker.returncode for worker in self._workers if worker.poll() is not None), None)

    def stop(self) -> None:
        """End every process and wait for it."""
        for worker in self._workers:
            worker.terminate()
        deadline = time.monotonic() + _STOP_S
        for worker in self._workers:
            try:
                worker.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
            if worker.stdout is not None:
                worker.stdout.close()
        self._workers.clear()
        if self._state is not None and self._lock is not None:
            for name in (FLEET_FILE, *map(socket_name, range(self._count))):
                (self._state / name).unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def __enter__(self) -> "FleetProcesses":
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()
