"""What a simulated device is: its logins, its speed, its faults. Data only."""

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

PLATFORMS = (
    "cisco_ios",
    "cisco_xe",
    "cisco_nxos",
    "arista_eos",
    "juniper_junos",
    "linux",
    "huawei",
    "hp_comware",
    "mikrotik_routeros",
    "fortinet",
)
TRANSPORTS = ("ssh", "telnet")
HOST_KEY_TYPES = ("ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256")


class Fault(StrEnum):
    """One way in which a device misbehaves; a device may have several."""

    # Before the login
    CLOSES_BEFORE_BANNER = "closes-before-banner"
    """The connection is accepted and closed at once."""
    SILENT_BANNER = "silent-banner"
    """The connection is accepted, then nothing is ever said."""
    SLOW_BANNER = "slow-banner"
    """The first word comes after `SimDevice.banner_delay_s`."""
    GARBAGE_BANNER = "garbage-banner"
    """The first words are no SSH (no telnet)."""
    LEGACY_KEX_ONLY = "legacy-kex-only"
    """Only diffie-hellman-group14-sha1 and -group1-sha1 are offered."""
    LEGACY_HOST_KEY_ONLY = "legacy-host-key-only"
    """Only ssh-rsa, signed with SHA-1, is offered."""
    GROUP14_ONLY = "group14-only"
    """Only diffie-hellman-group14-sha256 is offered."""
    CLOSES_BEFORE_AUTH = "closes-before-auth"
    """Closed after the key exchange, when the client asks for authentication and has sent no secret yet."""

    # The login
    CLOSES_DURING_AUTH = "closes-during-auth"
    """Closed when the secret arrives, without an answer."""
    CLOSES_AFTER_AUTH = "closes-after-auth"
    """The secret is accepted, then the connection is closed."""
    AUTH_NEVER_ANSWERED = "auth-never-answered"
    """The secret arrives and nothing is ever said again."""
    KEYBOARD_INTERACTIVE_ONLY = "keyboard-interactive-only"
    """The method "password" is not offered."""
    PUBLICKEY_ONLY = "publickey-only"
    """Neither "password" nor "keyboard-interactive" is offered."""
    PASSWORD_EXPIRED = "password-expired"  # noqa: S105
    """The right password is answered with a demand for a new one."""
    TELNET_REPROMPTS = "telnet-reprompts"
    """Asks again after a wrong password for as long as the client answers."""
    TELNET_CLOSES = "telnet-closes"
    """Closes the connection after the first wrong password."""
    TELNET_DRIP = "telnet-drip"
    """Sends one character of its prompts every half second."""
    TELNET_PASSWORD_ONLY = "telnet-password-only"  # noqa: S105
    """A console that asks for a password and no user name."""

    # The session
    TOO_MANY_SESSIONS = "too-many-sessions"
    """The secret is accepted, the channel is refused."""
    BUSY_MESSAGE = "busy-message"
    """The session opens, says that no line is free and closes."""
    PROMPT_NEVER_COMES = "prompt-never-comes"
    """The session opens and nothing is ever said."""
    PROMPT_ECHOES_PASSWORD = "prompt-echoes-password"  # noqa: S105
    """The prompt holds the password that was used."""
    LONG_BANNER = "long-banner"
    """Some hundred lines of legal notice before and after the login, with prompt characters in them."""
    ENABLE_REFUSED = "enable-refused"
    """Every enable secret is refused."""

    # The answer
    PAGER = "pager"
    """Paging cannot be switched off. A Linux host has no pager."""
    RESETS_MID_OUTPUT = "resets-mid-output"
    """A TCP reset in the middle of the configuration."""
    TRUNCATES_OUTPUT = "truncates-output"
    """The configuration stops in the middle; the prompt follows."""
    ENDLESS_OUTPUT = "endless-output"
    """The configuration never ends."""
    GARBAGE_OUTPUT = "garbage-output"
    """NUL, escape sequences, bidirectional marks and high bytes in the configuration."""
    SILENT_COMMAND = "silent-command"
    """The command for the configuration is echoed and never answered."""
    UNKNOWN_COMMAND = "unknown-command"
    """Every show command is answered with the platform's error line."""


@dataclass(frozen=True)
class SimLogin:
    """One account that a device accepts; `public_key` is a line in OpenSSH's format."""

    username: str
    password: str | None
    enable_secret: str | None = None
    public_key: str | None = None

    def __repr__(self) -> str:
        """The user name alone: the secrets of the demo are real secrets."""
        return f"SimLogin({self.username!r})"


@dataclass(frozen=True)
class SimDevice:
    """One device of the fleet. Times in seconds, `latency_s` is a whole round trip."""

    name: str
    platform: str
    logins: tuple[SimLogin, ...] = ()
    host: str = "127.0.0.1"
    port: int = 0
    """0: a free one is chosen when the fleet starts."""
    transport: str = "ssh"
    latency_s: float = 0.0
    """Added to each exchange, from the first word of the connection on."""
    reject_delay_s: float = 0.0
    """Between a wrong secret and the answer to it."""
    lockout_after: int | None = None
    """That many wrong passwords lock the account on this device: the right one is then refused too."""
    command_delay_s: float = 0.0
    """How long the device thinks before the configuration comes."""
    bytes_per_s: int | None = None
    """Speed of the output of commands; None: no limit."""
    banner_delay_s: float = 2.0
    """For `Fault.SLOW_BANNER`."""
    faults: frozenset[Fault] = frozenset()
    config_kb: int = 15
    """About how many kilobytes the configuration has, at least 5."""
    seed: int | None = None
    """Decides every made-up word of the configuration; None: derived from the name."""
    steady: bool = False
    """Every dump is the same to the byte: the volatile lines stand still."""
    needs_enable: bool = False
    """The login ends at the unprivileged prompt (platforms with an enable mode)."""
    max_sessions: int | None = None
    """Connections beyond this number are closed before the banner."""
    host_key_types: tuple[str, ...] = ("ssh-ed25519",)
    started: bool = True
    """False: the port is kept and refuses connections until the device is started."""
    tags: tuple[str, ...] = ()
    site: str = ""
    description: str = ""

    def __post_init__(self) -> None:
        """Accept any iterable for the tuples and refuse what no device can be."""
        object.__setattr__(self, "logins", tuple(self.logins))
        object.__setattr__(self, "tags", tuple(self.tags))
        object.__setattr__(self, "host_key_types", tuple(self.host_key_types))
        object.__setattr__(self, "faults", frozenset(Fault(fault) for fault in self.faults))
        if self.seed is None:
            object.__setattr__(self, "seed", zlib.crc32(self.name.encode()))
        if self.platform not in PLATFORMS:
            raise ValueError(f"{self.name}: no simulated platform {self.platform!r}; one of {', '.join(PLATFORMS)}")
        if self.transport not in TRANSPORTS:
            raise ValueError(f"{self.name}: transport is ssh or telnet, not {self.transport!r}")
        unknown = set(self.host_key_types) - set(HOST_KEY_TYPES)
        if unknown or not self.host_key_types:
            raise ValueError(f"{self.name}: host key types are among {', '.join(HOST_KEY_TYPES)}")

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain values. It holds the passwords: write it with mode 0600."""
        data = asdict(self)
        data["faults"] = sorted(self.faults)
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "SimDevice":
        """The reverse of `to_json`; a ValueError names what is unknown or missing."""
        unknown = set(data) - {item.name for item in fields(cls)}
        if unknown:
            raise ValueError(f"unknown field of a device: {', '.join(sorted(unknown))}")
        if "name" not in data or "platform" not in data:
            raise ValueError("a device needs a name and a platform")
        values = dict(data)
        values["logins"] = logins_from_json(data.get("logins", ()))
        return cls(**values)


def logins_from_json(data: Iterable[Mapping[str, Any]]) -> tuple[SimLogin, ...]:
    """Logins from plain dictionaries."""
    return tuple(SimLogin(**item) for item in data)


@dataclass(frozen=True)
class Offer:
    """One secret that a client sent, whatever became of it. `at` is in seconds since the epoch."""

    device: str
    username: str
    secret: str = field(repr=False)
    """The password; for the method "publickey" the fingerprint of the key."""
    method: str
    """password, keyboard-interactive, publickey, telnet or enable."""
    accepted: bool
    at: float

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain values, the secret included."""
        return asdict(self)


class SimulatorError(Exception):
    """The simulator cannot do what was asked; the message is for a person."""


class PortTakenError(SimulatorError):
    """Another process listens on a port that a device was given."""

    def __init__(self, device: str, host: str, port: int) -> None:
        super().__init__(f"port {port} on {host} is taken, it was meant for {device}")
        self.device = device
        self.host = host
        self.port = port
