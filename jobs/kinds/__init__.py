"""The kinds of jobs. A new kind is one file here and one line below."""

from __future__ import annotations

from collections.abc import Callable

from jobs.kinds.backup import Backup
from jobs.kinds.base import DeviceKind, InstanceKind, JobKind, KindContext, Parameter, Store, Stored
from jobs.kinds.command import Command
from jobs.kinds.credential_test import CredentialTest
from jobs.kinds.facts import Facts
from jobs.kinds.git_export import GitExport
from jobs.kinds.key_rotation import KeyRotation
from jobs.kinds.prune import Prune
from jobs.kinds.reachability import Reachability

__all__ = [
    "KINDS",
    "DeviceKind",
    "InstanceKind",
    "JobKind",
    "KindContext",
    "Parameter",
    "Store",
    "Stored",
    "device_kind",
    "kind_choices",
    "missing_permission",
]

KINDS: dict[str, JobKind] = {
    kind.name: kind
    for kind in (
        Backup(),
        Command(),
        CredentialTest(),
        Facts(),
        Reachability(),
        GitExport(),
        KeyRotation(),
        Prune(),
    )
}


def kind_choices() -> list[tuple[str, str]]:
    """Name and label of each kind, for forms."""
    return [(kind.name, kind.label) for kind in KINDS.values()]


def missing_permission(name: str, may: Callable[[str], bool]) -> str:
    """Why somebody may not set up a job of this kind, in words; empty when they may. `may` answers for them."""
    kind = KINDS.get(name)
    missing = [each for each in kind.permissions if not may(each)] if kind else []
    return f"{kind.label} needs the permission {' and '.join(missing)} as well." if kind and missing else ""


def device_kind(name: str) -> DeviceKind:
    """The kind of this name, which must be one that works on devices; KeyError otherwise."""
    kind = KINDS[name]
    if not kind.on_devices:
        raise KeyError(name)
    return kind
