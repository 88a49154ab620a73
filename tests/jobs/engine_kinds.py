"""Kinds of jobs for tests of the engine: what a device does is a function of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

from devices.models import Device
from devices.services import save_device
from jobs.kinds import KINDS
from jobs.kinds.base import Checked, Checkpoint, KindContext, OnDevices, Store, Stored


class Look(OnDevices):
    """Connects to nothing: calls `act` with the name of each device, in the device's thread."""

    name = "look"
    label = "Look"
    description = "For tests."

    def __init__(self, act: Callable[[str], Any], changes_devices: bool = False) -> None:
        self.act = act
        self.changes_devices = changes_devices

    def needs_login(self, parameters: Mapping[str, Any]) -> bool:
        return False

    def look(self, target: Any, context: KindContext) -> Store:
        said = self.act(target.name)
        return said if callable(said) else lambda: Stored(data={"said": said})

    def work(self, connector: Any, context: KindContext) -> Store:
        raise NotImplementedError


class Chore(Checked):
    """Works on no device: calls `act` with the checkpoint."""

    name = "chore"
    label = "Chore"
    description = "For tests."
    on_devices: Literal[False] = False

    def __init__(self, act: Callable[[Checkpoint], dict[str, Any]]) -> None:
        self.act = act

    def perform(self, parameters: Mapping[str, Any], checkpoint: Checkpoint) -> dict[str, Any]:
        return self.act(checkpoint)


@contextmanager
def registered(*kinds: Any) -> Iterator[None]:
    """The kinds are known for the time of a block."""
    KINDS.update({kind.name: kind for kind in kinds})
    try:
        yield
    finally:
        for kind in kinds:
            del KINDS[kind.name]


def named(*names: str, **more: Any) -> dict[str, Device]:
    """Devices that nobody connects to."""
    return {
        name: save_device(Device(), name=name, host="192.0.2.1", port=22, platform="cisco_ios", tags=["lab"], **more)
        for name in names
    }
