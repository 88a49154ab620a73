"""Host keys of simulated devices, kept in a directory when one is given."""

import json
import os
from pathlib import Path
from typing import Any

import asyncssh

from devices.simulator.spec import Fault, SimDevice


class HostKeys:
    """The host keys of one device, and its revision, so that a restart changes nothing."""

    def __init__(self, device: SimDevice, directory: Path | None) -> None:
        self._device = device
        self._file = directory / f"{device.name}.json" if directory else None
        self._state: dict[str, Any] = {}
        if self._file and self._file.exists():
            self._state = json.loads(self._file.read_text())
        self._keys: dict[str, Any] = {}

    def _save(self) -> None:
        if self._file is None:
            return
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = self._file.with_suffix(".partial")
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
            json.dump(self._state, stream)
        partial.replace(self._file)

    @property
    def saved_revision(self) -> int:
        """The revision of the configuration at the last stop; 1 for a new device."""
        return int(self._state.get("revision", 1))

    def save_revision(self, revision: int) -> None:
        """Keep the revision for the next start."""
        self._state["revision"] = revision
        self._save()

    def key(self, kind: str) -> Any:
        """The private key of this type, made when it is asked for first."""
        if kind not in self._keys:
            kept = self._state.get("keys", {}).get(kind)
            if kept:
                self._keys[kind] = asyncssh.import_private_key(kept)
            else:
                made = asyncssh.generate_private_key(kind)
                self._keys[kind] = made
                if self._file is not None:
                    self._state.setdefault("keys", {})[kind] = made.export_private_key().decode()
                    self._save()
        return self._keys[kind]

    def change(self) -> None:
        """New keys of every type from now on."""
        self._keys.clear()
        self._state.pop("keys", None)
        for kind in self._device.host_key_types:
            self.key(kind)
        self._save()

    def fingerprint(self, kind: str | None = None) -> str:
        """ "SHA256:..." as OpenSSH writes it; default: of the device's first type."""
        return str(self.key(kind or self._device.host_key_types[0]).get_fingerprint())

    def offered(self, faults: frozenset[Fault]) -> list[Any]:
        """The key pairs that the device presents with these faults."""
        if Fault.LEGACY_HOST_KEY_ONLY not in faults:
            return list(asyncssh.load_keypairs([self.key(kind) for kind in self._device.host_key_types]))
        pairs = list(asyncssh.load_keypairs([self.key("ssh-rsa")]))
        for pair in pairs:
            pair.host_key_algorithms = (b"ssh-rsa",)
        return pairs
