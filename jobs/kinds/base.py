"""What a kind of job is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from devices.connector.core import CoreDeviceConnector


@dataclass(frozen=True)
class KindContext:
    """What a kind may know of the device it works on."""

    device: int
    platform: str
    parameters: Mapping[str, Any]
    previous_size: int | None = None
    previous_text: Callable[[], str | None] = lambda: None
    """The last good text of the device, secrets as placeholders; read only when it is needed."""


@dataclass(frozen=True)
class Stored:
    """What a kind wrote for a result."""

    config_version: int | None = None
    config_changed: bool | None = None
    data: dict[str, Any] = field(default_factory=dict)
    detail: str = ""


# What a kind leaves to be written: called in the one thread that writes, within its transaction.
Store = Callable[[], Stored]


class JobKind(Protocol):
    """One kind of job: one file, and one line in the registry."""

    name: str
    label: str
    description: str
    is_test: bool

    def clean(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters, checked and completed; ValidationError in words for the form, the API, the command."""

    def work(self, connector: CoreDeviceConnector, context: KindContext) -> Store:
        """Talk to a device that is logged in to; ConnectorError when it does not go well."""
