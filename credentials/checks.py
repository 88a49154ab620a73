"""System checks of the keyring: nothing starts with keys that are missing, exposed or doubtful."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from django.apps.config import AppConfig
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as Doubt

from credentials import exceptions, keyring

_IDS: dict[type[exceptions.KeyringError], str] = {
    exceptions.KeyringMissing: "credentials.E001",
    exceptions.KeyringUnreadable: "credentials.E002",
    exceptions.KeyringExposed: "credentials.E003",
    exceptions.KeyringMalformed: "credentials.E004",
    exceptions.WeakKey: "credentials.E005",
    exceptions.DuplicateKey: "credentials.E006",
}


@register(Tags.security)
def check_keyring(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """credentials.E001 to E006, E000 for what else a keyring can suffer; W001 for one in the environment."""
    try:
        keyring.current()
    except exceptions.KeyringError as error:
        return [Error(str(error), id=_IDS.get(type(error), "credentials.E000"))]
    if os.environ.get(keyring.JSON_VARIABLE):
        return [
            Doubt(
                f"The keyring comes from {keyring.JSON_VARIABLE}: every process of this user, and every container's "
                "inspector, can read it in the environment.",
                hint="Put it into a file with mode 0400, a systemd credential or a mounted secret, and name that in "
                f"{keyring.PATH_VARIABLE}.",
                id="credentials.W001",
            )
        ]
    return []
