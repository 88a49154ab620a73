"""Credential test: log in, enter the privileged mode, and go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError

from credentials.models import Credential
from devices.connector.core import CoreDeviceConnector
from jobs.kinds.base import KindContext, Store, Stored


class CredentialTest:
    """Proves which credential opens a device."""

    name = "credential_test"
    label = "Credential test"
    description = "Log in to each device and leave again: with one credential, or with its candidates in order."
    is_test = True

    def clean(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """`credential`: the name of one credential; without it a device's candidates are tried in order."""
        if extra := set(parameters) - {"credential"}:
            raise ValidationError(f"A credential test has no parameter {sorted(extra)[0]}.")
        name = parameters.get("credential")
        if not name:
            return {}
        found = Credential.objects.filter(name=name).values("enabled").first()
        if found is None:
            raise ValidationError(f"There is no credential named {name}.")
        if not found["enabled"]:
            raise ValidationError(f"The credential {name} is disabled: enable it before testing it.")
        return {"credential": name}

    def work(self, connector: CoreDeviceConnector, context: KindContext) -> Store:
        """Enter the privileged mode where the platform has one."""
        privileged = connector.enable()
        return lambda: Stored(data={"login": True, "enable": privileged})
