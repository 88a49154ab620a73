"""Credential test: log in, enter the privileged mode, and go."""

from __future__ import annotations

from devices.connector.core import CoreDeviceConnector
from jobs.kinds.base import KindContext, LoginKind, Parameter, Store, Stored


class CredentialTest(LoginKind):
    """Proves which credential opens a device."""

    name = "credential_test"
    label = "Credential test"
    description = "Log in to each device and leave again: with one credential, or with its candidates in order."
    is_test = True
    parameters: tuple[Parameter, ...] = (
        Parameter(
            "credential",
            "Credential",
            "Test this one alone. Empty: a device's candidates in their order, up to the first that works.",
            type="credential",
        ),
    )

    def work(self, connector: CoreDeviceConnector, context: KindContext) -> Store:
        """Enter the privileged mode where the platform has one."""
        privileged = connector.enable()
        return lambda: Stored(data={"login": True, "enable": privileged})
