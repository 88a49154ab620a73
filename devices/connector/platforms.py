"""The table of platforms: how to read, judge, compare and redact what each kind of device prints.

The table itself is data, in `platforms.toml` beside this file. What a team adds or changes is laid over it:
`build_with` says how the table of an instance comes about. Plain Python: no Django, no Netmiko.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from devices.connector.platform_reader import SHIPPED, is_anchored, read, read_source, read_table
from devices.connector.platform_types import (
    GENERIC,
    OTHER_NAMES,
    RUNNING,
    STRUCTURES,
    Collect,
    CommandRule,
    Platform,
    PlatformTableError,
    Said,
    SecretRule,
    Source,
    Table,
    UnknownPlatformError,
    near_names,
    split_transport,
)

__all__ = [
    "GENERIC",
    "RUNNING",
    "SHIPPED",
    "STRUCTURES",
    "Collect",
    "CommandRule",
    "Platform",
    "PlatformTableError",
    "Said",
    "SecretRule",
    "Source",
    "Table",
    "UnknownPlatformError",
    "build_with",
    "is_anchored",
    "known_device_type",
    "load",
    "platform",
    "platform_or_generic",
    "platforms",
    "read",
    "read_source",
    "read_table",
    "split_transport",
    "table",
    "use",
]

_current: Table | None = None
_build: Callable[[], Table] = read_table
_lock = threading.Lock()


def known_device_type(name: str) -> bool:
    """Whether the table has this platform name or Netmiko device_type."""
    known = platforms()
    return name in known or split_transport(name)[0] in known


def platform(name: str) -> Platform:
    """The platform of that name; raises UnknownPlatformError with near matches."""
    known = platforms()
    found = known.get(name)
    if found is None:
        raise UnknownPlatformError(name, near_names(name, known))
    return found


def platform_or_generic(name: str) -> Platform:
    """The platform of that name, of a device_type with its transport, or of a name that other tools have for it.

    The generic one for an unknown name.
    """
    known = platforms()
    found = known.get(name)
    if found is None:
        cleaned = split_transport(name)[0].replace("-", "_").replace(" ", "_")
        found = known.get(cleaned) or known.get(OTHER_NAMES.get(cleaned, GENERIC)) or known[GENERIC]
    return found


def platforms() -> dict[str, Platform]:
    """All platforms by name, sorted."""
    return table().platforms


def table() -> Table:
    """The table in use; made when it is first asked for. Raises PlatformTableError when that cannot be done."""
    global _current
    if _current is None:
        with _lock:
            if _current is None:
                _current = _build()
    return _current


def build_with(build: Callable[[], Table]) -> None:
    """Say how the table of this process is made when it is first asked for; without it, it is the shipped one."""
    global _build
    _build = build


def use(found: Table) -> None:
    """Go by this table from now on."""
    global _current
    with _lock:
        _current = found


def load(path: Path | str | None = None) -> dict[str, Platform]:
    """Lay a TOML file over the shipped table and use the result from now on.

    Raises PlatformTableError and leaves the table in use as it was. `None` goes back to the shipped table.
    """
    use(read_table() if path is None else read_table(Path(path)))
    return platforms()
