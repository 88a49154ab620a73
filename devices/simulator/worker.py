"""One process of a fleet: `python -m devices.simulator.worker`, started by `processes.FleetProcesses`.

It takes one JSON line on standard input, answers with one on standard output (the ports, or why not), and
runs until SIGTERM or until its parent is gone.
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from devices.simulator.control import serve_control
from devices.simulator.fleet import SimulatedFleet
from devices.simulator.spec import Offer, PortTakenError, SimDevice, SimulatorError

_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Be killed when the thread that started this process is gone, in whatever way it went."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the parent is gone")


def _recorder(path: str | None) -> Callable[[Offer], None]:
    """Appends each offer as one JSON line; several processes may share the file."""
    if not path:
        return lambda offer: None
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def append(offer: Offer) -> None:
        os.write(file, json.dumps(offer.to_json()).encode() + b"\n")

    return append


def _answer(data: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(data) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run the devices of one order; the exit code is 0 after SIGTERM and 1 when they could not be started."""
    # The terminal's Ctrl-C reaches every process; the parent alone decides when the fleet ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stops = {signal.SIGTERM, signal.SIGHUP}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    line = sys.stdin.readline()
    if not line:
        return 1
    order = json.loads(line)
    die_with(order["parent"])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    state = Path(order["state"]) if order["state"] else None
    fleet = SimulatedFleet(
        (SimDevice.from_json(item) for item in order["devices"]),
        state=state,
        on_offer=_recorder(order["record"]),
    )
    try:
        fleet.start()
        if state is not None:
            fleet.run(serve_control(fleet, state, order["process"]))
    except (SimulatorError, OSError) as error:
        taken = [error.device, error.host, error.port] if isinstance(error, PortTakenError) else None
        _answer({"error": str(error), "taken": taken})
        return 1
    _answer({"ports": {device.name: device.port for device in fleet}})
    signal.sigwait(stops)
    fleet.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
