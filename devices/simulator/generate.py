"""A made-up fleet of any size, with its inventory and credentials, for `simulate` and the benchmark."""

import csv
import io
import json
import os
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from devices.simulator.demo import DemoCredential
from devices.simulator.spec import Fault, SimDevice, SimLogin, SimulatorError

COLUMNS = ("name", "host", "port", "platform", "tags", "transport", "site", "description")
MIXED = ("cisco_ios", "cisco_ios", "arista_eos", "cisco_nxos", "juniper_junos", "cisco_xe", "linux")
"""The platforms of a fleet when none are named, in turn."""
_SITES = ("north", "south", "east", "west")
_ROLES = ("access", "access", "leaf", "core")
_FIRST, _SECOND = "simulated, first", "simulated, second"


@dataclass(frozen=True)
class Wishes:
    """What a made-up fleet is to be like. Times in seconds."""

    devices: int
    platforms: Sequence[str] = MIXED
    config_kb: int = 15
    latency_s: float = 0.0
    command_delay_s: float = 0.0
    reject_delay_s: float = 0.0
    second_percent: float = 0.0
    """So many devices in a hundred refuse the first credential and take the second."""
    steady: bool = False
    """Every dump of a device is the same to the byte."""
    faults: frozenset[Fault] = frozenset()


def make_credentials() -> list[DemoCredential]:
    """Two accounts with random passwords; both match every device, the first is tried first."""
    return [
        DemoCredential(
            name,
            username,
            secrets.token_urlsafe(18),
            secrets.token_urlsafe(18),
            ("simulated",),
            priority,
            "local",
        )
        for name, username, priority in ((_FIRST, "netops", 50), (_SECOND, "backup", 60))
    ]


def make_fleet(wishes: Wishes, credentials: Sequence[DemoCredential]) -> list[SimDevice]:
    """`sim-00001` and so on, the same for the same wishes."""
    logins = [SimLogin(item.username, item.password, item.enable_secret) for item in credentials]
    devices = []
    for number in range(wishes.devices):
        site, role = _SITES[number % len(_SITES)], _ROLES[number // len(_SITES) % len(_ROLES)]
        # Spread evenly over the fleet: the whole part of the running total steps up on a chosen device.
        share = wishes.second_percent / 100
        takes_second = int((number + 1) * share + 1e-9) > int(number * share + 1e-9)
        devices.append(
            SimDevice(
                name=f"sim-{number + 1:05d}",
                platform=wishes.platforms[number % len(wishes.platforms)],
                logins=(logins[1 if takes_second else 0],),
                latency_s=wishes.latency_s,
                command_delay_s=wishes.command_delay_s,
                reject_delay_s=wishes.reject_delay_s,
                config_kb=wishes.config_kb,
                steady=wishes.steady,
                faults=wishes.faults,
                tags=("simulated", site, role),
                site=site,
                description=f"simulated {role} device",
            )
        )
    return devices


def with_ports(devices: Iterable[SimDevice], base_port: int | None) -> list[SimDevice]:
    """The devices with ports from `base_port` upwards, in order; None: as they are."""
    if base_port is None:
        return list(devices)
    placed = [replace(device, port=base_port + number) for number, device in enumerate(devices)]
    if placed and not 1 <= base_port <= placed[-1].port <= 65535:
        raise SimulatorError(f"{len(placed)} ports from {base_port} upwards do not end before 65535")
    return placed


def _write(path: Path, text: str, mode: int) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as stream:
        stream.write(text)
    partial.replace(path)


def write_inventory(path: Path, devices: Iterable[SimDevice]) -> None:
    """The devices as a CSV file that `import_devices` takes."""
    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    table.writerow(COLUMNS)
    for device in devices:
        table.writerow(
            [
                device.name,
                device.host,
                device.port,
                device.platform,
                ";".join(device.tags),
                device.transport,
                device.site,
                device.description,
            ]
        )
    _write(path, buffer.getvalue(), 0o644)


def write_credentials(path: Path, credentials: Iterable[DemoCredential]) -> None:
    """The credentials as a JSON list, readable by their owner alone."""
    _write(path, json.dumps([asdict(item) for item in credentials], indent=1) + "\n", 0o600)


def read_credentials(path: Path) -> list[DemoCredential] | None:
    """The credentials of an earlier start, None where there are none; SimulatorError for another file."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return [DemoCredential(**{**item, "tags": tuple(item["tags"])}) for item in data]
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise SimulatorError(f"{path} is no file of credentials of the simulator") from error
