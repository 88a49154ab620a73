"""Configurations with their secrets: each look leaves a record. Who may look is asked by whoever calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from credentials import audit
from devices.configs.normalise import restorable
from devices.configs.store import complete_text
from devices.models import ConfigVersion

if TYPE_CHECKING:
    from django.contrib.auth.models import User

REVEAL: Final = "devices.reveal_configversion"
RESTORE: Final = "devices.restore_configversion"


def reveal(version: ConfigVersion, *, user: User | None = None, actor: str = "") -> str:
    """The complete text, to be looked at."""
    text = complete_text(version)
    _record("config.revealed", version, user, actor)
    return text


def restore_file(version: ConfigVersion, *, user: User | None = None, actor: str = "") -> str:
    """The complete text, to be loaded into the device."""
    text = restorable(complete_text(version), version.device.platform)
    _record("config.restore_file", version, user, actor)
    return text


def _record(event: str, version: ConfigVersion, user: User | None, actor: str) -> None:
    audit.record(
        event,
        user=user,
        actor=actor,
        device=version.device_id,
        name=version.device.name,
        kind=version.kind,
        version=version.number,
    )
