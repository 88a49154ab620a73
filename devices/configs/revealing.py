"""Configurations with their secrets: each look leaves a record. Who may look is asked by whoever calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from credentials.audit import intents
from devices.configs.normalise import restorable
from devices.configs.store import complete_text
from devices.models import ConfigVersion

if TYPE_CHECKING:
    from django.contrib.auth.models import User

REVEAL: Final = "devices.reveal_configversion"
RESTORE: Final = "devices.restore_configversion"


def reveal(version: ConfigVersion, *, user: User | None = None, actor: str = "") -> str:
    """The complete text, to be looked at."""
    return _opened("config.revealed", version, user, actor)


def restore_file(version: ConfigVersion, *, user: User | None = None, actor: str = "") -> str:
    """The complete text, to be loaded into the device."""
    return restorable(_opened("config.restore_file", version, user, actor), version.device.platform)


def _opened(event: str, version: ConfigVersion, user: User | None, actor: str) -> str:
    about = {"device": version.device, "kind": version.kind, "version": version.number}
    with intents.opening(event, version.text, user=user, actor=actor, **about) as grant:
        return complete_text(version, grant)
