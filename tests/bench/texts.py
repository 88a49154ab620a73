"""The configurations of the fleet that is measured: about 30 KB each, no two alike, known to whoever verifies."""

from __future__ import annotations

from datetime import UTC, datetime

from devices.simulator.spec import SimDevice
from devices.simulator.texts import configuration

KILOBYTES = 30
_WHEN = datetime(2026, 1, 1, tzinfo=UTC)


def device_name(number: int) -> str:
    """The host name of a device, which is its prompt as well."""
    return f"bench-{number:05}"


def dump(number: int) -> bytes:
    """What device `number` answers to `show running-config`, without echo and prompt, as it is on the wire."""
    device = SimDevice(device_name(number), "cisco_ios", config_kb=KILOBYTES, seed=number)
    return configuration(device).dump(_WHEN, seed=number)


def text(number: int) -> str:
    """The same as it must be in hand: lines ended by a newline alone."""
    return dump(number).decode().replace("\r\n", "\n")


def same(fetched: str, number: int) -> bool:
    """Whether this is device `number`'s configuration, whole and to the byte; blank lines around it aside."""
    return fetched.replace("\r\n", "\n").strip("\n") == text(number).strip("\n")


# What RANCID leaves out of a Cisco configuration, as it changes from dump to dump.
_LEFT_OUT = (
    "Building configuration",
    "Current configuration",
    "! Last configuration change",
    "! NVRAM config last updated",
    "ntp clock-period",
)


def same_lines(fetched: str, number: int) -> bool:
    """Whether every line of device `number`'s configuration is there, but for those that RANCID leaves out."""
    found = set(fetched.splitlines())
    return all(line in found for line in text(number).splitlines() if line and not line.startswith(_LEFT_OUT))
