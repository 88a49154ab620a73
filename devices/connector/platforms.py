"""The table of platforms: how to read, judge, compare and redact what each kind of device prints.

The table itself is data, in `platforms.toml` beside this file. A team adds or changes platforms with a TOML
file of its own, which `load` lays over the shipped one. Plain Python: no Django, no Netmiko.
"""

from __future__ import annotations

import threading
from pathlib import Path

from devices.connector.platform_reader import SHIPPED, is_anchored, read
from devices.connector.platform_types import (
    GENERIC,
    STRUCTURES,
    Collect,
    CommandRule,
    Platform,
    PlatformTableError,
    SecretRule,
    UnknownPlatformError,
    near_names,
    split_transport,
)

__all__ = [
    "GENERIC",
    "SHIPPED",
    "STRUCTURES",
    "Collect",
    "CommandRule",
    "Platform",
    "PlatformTableError",
    "SecretRule",
    "UnknownPlatformError",
    "is_anchored",
    "known_device_type",
    "load",
    "platform",
    "platform_or_generic",
    "platforms",
    "read",
    "split_transport",
]

_current: dict[str, Platform] | None = None
_lock = threading.Lock()


def known_device_type(name: str) -> bool:
    """Whether the table has this platform name or Netmiko device_type."""
    table = platforms()
    return name in table or split_transport(name)[0] in table


def platform(name: str) -> Platform:
    """The platform of that name; raises UnknownPlatformError with near matches."""
    table = platforms()
    found = table.get(name)
    if found is None:
        raise UnknownPlatformError(name, near_names(name, table))
    return found


def platform_or_generic(name: str) -> Platform:
    """The platform of that name, or of a device_type with its transport; the generic one for an unknown name."""
    table = platforms()
    return table.get(name) or table.get(split_transport(name)[0]) or table[GENERIC]


def platforms() -> dict[str, Platform]:
    """All platforms by name, sorted; read once, and again after `load`."""
    global _current
    if _current is None:
        with _lock:
            if _current is None:
                _current = read()
    return _current


def load(path: Path | str | None = None) -> dict[str, Platform]:
    """Lay a team's TOML file over the shipped table and use the result from now on.

    Raises PlatformTableError and leaves the table in use as it was. `None` goes back to the shipped table.
    """
    global _current
    table = read() if path is None else read(Path(path))
    with _lock:
        _current = table
    return table
