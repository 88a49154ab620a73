"""What the table of platforms says: the types of its entries, and their names. Plain Python: no Django, no Netmiko."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

GENERIC: Final = "generic"
RUNNING: Final = "running"
STRUCTURES: Final = ("", "braces", "fortinet", "sections")
_TRANSPORTS: Final = ("telnet", "ssh")
# Of many platforms of one vendor these are named first.
_COMMON: Final = ("cisco_ios", "juniper_junos", "hp_comware", "aruba_aoscx", "dell_os10", "nokia_sros")

# What NAPALM, Ansible, Oxidized and people call them.
OTHER_NAMES: Final = {
    "aireos": "cisco_wlc",
    "aos": "alcatel_aos",
    "aos7": "alcatel_aos",
    "aoscx": "aruba_aoscx",
    "aosw": "aruba_os",
    "asa": "cisco_asa",
    "bigip": "f5_tmsh",
    "bigip_f5": "f5_tmsh",
    "bird": "bird_linux",
    "checkpoint": "checkpoint_gaia",
    "cisco_aireos": "cisco_wlc",
    "cisco_iosxe": "cisco_xe",
    "cisco_iosxr": "cisco_xr",
    "cisco_wlc_ssh": "cisco_wlc",
    "ciscosmb": "cisco_s300",
    "comware": "hp_comware",
    "cumulus": "cumulus_linux",
    "edgeos": "ubiquiti_edgerouter",
    "edgerouter": "ubiquiti_edgerouter",
    "edgeswitch": "ubiquiti_edgeswitch",
    "eos": "arista_eos",
    "exos": "extreme_exos",
    "f5": "f5_tmsh",
    "fastiron": "ruckus_fastiron",
    "fortigate": "fortinet",
    "fortinet_fortios": "fortinet",
    "fortios": "fortinet",
    "frr": "frr_linux",
    "frrouting": "frr_linux",
    "ftos": "dell_os9",
    "gaia": "checkpoint_gaia",
    "gaiaos": "checkpoint_gaia",
    "h3c": "h3c_comware",
    "ios": "cisco_ios",
    "iosxe": "cisco_xe",
    "iosxr": "cisco_xr",
    "ironware": "ruckus_fastiron",
    "junos": "juniper_junos",
    "mikrotik": "mikrotik_routeros",
    "nxos": "cisco_nxos",
    "nxos_ssh": "cisco_nxos",
    "open_vswitch": "ovs_linux",
    "openvswitch": "ovs_linux",
    "os10": "dell_os10",
    "os6": "dell_os6",
    "ovs": "ovs_linux",
    "paloalto": "paloalto_panos",
    "panos": "paloalto_panos",
    "procurve": "hp_procurve",
    "routeros": "mikrotik_routeros",
    "sros": "nokia_sros",
    "srlinux": "nokia_srl",
    "tmos": "f5_tmsh",
    "voss": "extreme_vsp",
    "vrp": "huawei",
    "xos": "extreme_exos",
    "zte": "zte_zxros",
    "zxros": "zte_zxros",
}


class PlatformTableError(ValueError):
    """A table of platforms cannot be used; the message names file, table, key and what is wrong."""


class UnknownPlatformError(KeyError):
    """No platform of that name; `suggestions` holds the names that come near."""

    def __init__(self, name: str, suggestions: tuple[str, ...] = ()) -> None:
        self.name = name
        self.suggestions = suggestions
        super().__init__(name)

    def __str__(self) -> str:
        message = f"unknown platform {self.name!r}"
        if self.suggestions:
            message += "; did you mean " + " or ".join(repr(s) for s in self.suggestions) + "?"
        return message


@dataclass(frozen=True, slots=True)
class Collect:
    """One text that is collected from a device, and how to tell that it is whole."""

    kind: str
    """`running`, `startup`, `inventory`, or a name of the team's own: each kind has a history of its own."""
    command: str
    end_marker: re.Pattern[str] | None = None
    """Matches one of the last lines of a whole text; None where this OS prints none."""
    min_bytes: int = 60
    read_timeout_s: float = 120.0
    fallback: tuple[str, ...] = ()
    """Commands to try in turn when the device refuses `command`."""
    structure: str = ""
    """How the text nests, so that a cut shows: `braces`, `fortinet`, `sections`, or empty."""
    requires: tuple[re.Pattern[str], ...] = ()
    """Each must match some line of a whole text."""
    default: bool = False
    """Whether a backup that names no texts collects it."""


@dataclass(frozen=True, slots=True)
class SecretRule:
    """Where a secret stands: the groups of `pattern` whose name begins with `secret`, tried on one line."""

    pattern: re.Pattern[str]
    under: re.Pattern[str] | None = None
    """Applies only where this matches the enclosing section headers, outermost first, joined with ` / `."""
    salted: bool = False
    """The device encrypts this value anew for each dump, so it says nothing about a change."""
    free: bool = False
    """Applies in descriptions, comments and banners too: what it matches looks like a secret by itself."""
    on: tuple[str, ...] = ()
    """The line must hold one of these (small letters), where any are given."""
    anchored: bool = False
    """The pattern matches at the beginning of a line only."""
    groups: tuple[str, ...] = field(default=("secret",))


@dataclass(frozen=True, slots=True)
class CommandRule:
    """Some commands: those that begin with `words`, or that `pattern` matches as a whole."""

    words: tuple[tuple[str, int], ...] = ()
    """Each word, and how many of its letters are the least that stand for it."""
    pattern: re.Pattern[str] | None = None

    @property
    def spelled(self) -> str:
        """The words in full; empty for a pattern."""
        return " ".join(word for word, _ in self.words)


@dataclass(frozen=True, slots=True, eq=False)
class Platform:
    """One kind of device: its commands, and the habits of its output."""

    name: str
    label: str
    vendor: str
    collects: tuple[Collect, ...]
    enable: bool = False
    """Reading the configuration needs the privileged mode."""
    setup: tuple[str, ...] = ()
    """Commands to send first, beyond what Netmiko's driver sends."""
    volatile: tuple[re.Pattern[str], ...] = ()
    """Lines left out of a comparison; where the pattern has a group `volatile`, only that part of the line."""
    secrets: tuple[SecretRule, ...] = ()
    errors: tuple[re.Pattern[str], ...] = ()
    """Lines by which this OS refuses a command."""
    facts_command: str | None = None
    facts_more: tuple[str, ...] = ()
    """Further commands for facts that the answer to `facts_command` lacks."""
    save_command: str | None = None
    pager: tuple[re.Pattern[str], ...] = ()
    """Matches a line on which a pager was left standing."""
    closing: re.Pattern[str] | None = None
    """The line that ends an answer on a device that shows no prompt."""
    comment: str = "!"
    telnet: bool = False
    """Netmiko has a telnet driver for it."""
    terminal_login: bool = False
    """After the SSH login it may ask for user name and password again, in the terminal."""
    driver: str = ""
    """Netmiko's device_type over SSH; the platform's name unless the table says otherwise."""
    templates: str = ""
    """The platform's name in ntc-templates, where it differs from `driver`."""
    words: tuple[str, ...] = ()
    """A line that holds none of these (lower case) holds no secret."""
    plain_words: frozenset[str] = frozenset()
    """Values that are keywords of a CLI and never a secret (lower case)."""
    reencrypts: bool = False
    """Encrypted private keys look different in each dump."""
    read_only: tuple[CommandRule, ...] = ()
    """The commands that only show something; see `devices.connector.commands`."""
    filters: tuple[CommandRule, ...] = ()
    """What may stand behind a pipe."""
    never: tuple[CommandRule, ...] = ()
    """Commands that change something or never end although `read_only` has them."""
    shell: bool = False
    """A line is a small program, as in a Unix shell: no rule of other platforms applies."""
    pattern_to_end: bool = False
    """A filter's pattern goes on to the end of the line, so a `|` in it stands for "or"."""

    def collect(self, kind: str = RUNNING) -> Collect:
        """The text of that kind; KeyError names what there is."""
        for each in self.collects:
            if each.kind == kind:
                return each
        raise KeyError(f"{self.name} collects no {kind!r}, only {', '.join(c.kind for c in self.collects)}")


@dataclass(frozen=True, slots=True)
class Source:
    """TOML that is laid over the shipped table, and the name that complaints give it."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Said:
    """One key of a platform as one source gives it, as it stands in the TOML."""

    key: str
    value: Any
    platform: str
    """The platform that it was written for, which others may be `like`; empty for [general]."""
    source: str


@dataclass(frozen=True, slots=True)
class Table:
    """All platforms by name, sorted, with where their rules come from."""

    platforms: dict[str, Platform]
    said: Mapping[str, tuple[Said, ...]]
    """All that counts for a platform, what is inherited first, [general] last."""
    shipped: frozenset[str]
    """The names that are there without anything of a team's own."""
    own_patterns: Mapping[re.Pattern[str], str]
    """The patterns that are not shipped: file, table and key of each."""


def split_transport(device_type: str) -> tuple[str, str]:
    """A Netmiko device_type as (platform name, transport): `cisco_ios_telnet` is `("cisco_ios", "telnet")`."""
    cleaned = device_type.strip().lower()
    for transport in _TRANSPORTS:
        name = cleaned.removesuffix(f"_{transport}")
        if name != cleaned:
            return name, transport
    return cleaned, "ssh"


def near_names(name: str, table: Iterable[str]) -> tuple[str, ...]:
    """The names in `table` that somebody who wrote `name` perhaps meant, at most three, the nearest first."""
    wanted = split_transport(name)[0].replace("-", "_").replace(" ", "_")
    names = sorted(table, key=lambda each: (each not in _COMMON, each))
    if wanted in names:
        return (wanted,)
    near = difflib.get_close_matches(wanted, names, n=3, cutoff=0.6)
    within = [n for n in names if len(wanted) > 1 and (wanted in n.split("_") or n.endswith(f"_{wanted}"))]
    return tuple(dict.fromkeys(within[:3] + near))[:3]
