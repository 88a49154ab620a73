"""What a login needs to know, and what it leaves behind, as plain data."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field

from devices.connector import targets
from devices.connector.outcomes import Fate


@dataclass(frozen=True)
class Limits:
    """Time-outs in seconds and the cap on what one device may answer, in bytes."""

    connect_s: float = 10.0
    banner_s: float = 15.0
    auth_s: float = 30.0
    prompt_s: float = 30.0
    read_s: float = 60.0
    deadline_s: float = 300.0
    max_output: int = 32 * 1024 * 1024


@dataclass(frozen=True)
class HostKeyData:
    """An SSH public key as it stands in known_hosts."""

    key_type: str
    public_key: str

    @property
    def fingerprint(self) -> str:
        """The fingerprint in OpenSSH's form, `SHA256:` and unpadded base64."""
        digest = hashlib.sha256(base64.b64decode(self.public_key)).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def address_of(host: str, port: int) -> str:
    """Where a device is reached, as one text."""
    return f"{host}:{port}"


@dataclass(frozen=True)
class Target:
    """A device as the connector sees it."""

    name: str
    host: str
    port: int
    platform: str
    transport: str = "ssh"
    legacy_ssh: bool = False
    pinned: tuple[HostKeyData, ...] = ()
    limits: Limits = field(default_factory=Limits)
    policy: targets.TargetPolicy = field(default_factory=lambda: targets.DEFAULT)


@dataclass(frozen=True, repr=False)
class LoginSecrets:
    """The opened secrets of one credential; lives in a worker for one login."""

    username: str
    password: str | None = None
    enable_secret: str | None = None
    private_key: str | None = None
    passphrase: str | None = None
    enable_refused: str = ""
    """Why the enable secret is left out, in words: it was proven wrong on this device before."""

    def __repr__(self) -> str:
        return "<login secrets>"

    def __reduce__(self) -> str:
        raise TypeError("Opened secrets are never pickled.")

    def values(self) -> list[str]:
        """Every secret text that must not show up in anything that is kept."""
        return [text for text in (self.password, self.enable_secret, self.passphrase) if text]


@dataclass
class Evidence:
    """What happened on the wire during one login."""

    address: str = ""
    host_key: HostKeyData | None = None
    fate: Fate = Fate.UNSENT
    offered_methods: tuple[str, ...] = ()
    secrets_sent: int = 0
    enable_refused: bool = False
    """Whether the device said no to the enable secret that was typed; silence proves nothing."""


class HostKeyVerdict(Exception):
    """Raised by a host-key check that refuses to go on."""

    def __init__(self, changed: bool, detail: str) -> None:
        super().__init__(detail)
        self.changed = changed
        self.detail = detail
