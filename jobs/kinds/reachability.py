"""Reachability: does the device answer, where, how fast, and what does it say first."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from devices.connector.core import CoreDeviceConnector
from devices.connector.outcomes import ConnectorError
from devices.connector.probe import probe
from devices.connector.target import Target
from jobs.kinds.base import KindContext, OnDevices, Parameter, Store, Stored


class Reachability(OnDevices):
    """Calls each device's port; no credential is touched unless a login is asked for."""

    name = "reachability"
    label = "Reachability"
    description = (
        "Call each device's port and note the address, the time it took and the first words. No login unless asked for."
    )
    parameters: tuple[Parameter, ...] = (
        Parameter(
            "login",
            "Log in as well",
            "Also check the host key and log in, with the device's candidates in their order.",
            type="flag",
            default=False,
        ),
    )

    def needs_login(self, parameters: Mapping[str, Any]) -> bool:
        """Only when asked for."""
        return bool(parameters.get("login"))

    def look(self, target: Target, context: KindContext) -> Store:
        """Call and listen."""
        seen = probe(target)
        said = f": {seen.banner}" if seen.banner else ""
        data = {**asdict(seen), "login": False}
        return lambda: Stored(data=data, detail=f"{seen.address} answered in {seen.connect_ms:.0f} ms{said}")

    def work(self, connector: CoreDeviceConnector, context: KindContext) -> Store:
        """The login was the question; the call beside it may fail where a device takes one session only."""
        key = connector.evidence.host_key
        data: dict[str, Any] = {"address": connector.evidence.address}
        with contextlib.suppress(ConnectorError):
            seen = asdict(probe(connector.target))
            # By now the device knows a password, and may greet with it.
            data |= seen | {"banner": connector.mask(seen["banner"])}
        data |= {"login": True, "host_key": key.fingerprint if key else None}
        return lambda: Stored(data=data, detail=f"{data['address']} answered and let us in.")
