"""System checks of the keyring: nothing starts with keys that are missing, exposed or doubtful."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps.config import AppConfig
from django.core.checks import CheckMessage, Error, Tags, register

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
    """credentials.E001 to E006, and E000 for what else a keyring can suffer."""
    try:
        keyring.current()
    except exceptions.KeyringError as error:
        return [Error(str(error), id=_IDS.get(type(error), "credentials.E000"))]
    return []
