"""The fleet of the demo: 24 devices at four sites, one of which is in the middle of a password change."""

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from devices.simulator.spec import SimDevice, SimLogin

DEMO_DOWN = "fra-leaf-02"
"""The device that is down: its port refuses connections."""
DEMO_HOST_KEY_CHANGES = "fra-edge-01"
"""The device whose host key is to be changed between two runs."""
DEMO_CONFIG_CHANGES = ("ams-core-01", "ams-leaf-02", "fra-core-01", "lon-acc-02", "osl-edge-01")
"""The devices whose configuration is to be changed between two runs."""
DEMO_OLD_PASSWORD = ("lon-core-02", "lon-acc-03", "lon-acc-04")
"""The devices in London that still have the old password."""
DEMO_NO_CENTRAL_ACCOUNT = "osl-acc-01"
"""The device that does not know the central account and opens to the emergency account alone."""


@dataclass(frozen=True)
class DemoCredential:
    """A credential as the product is to know it; `priority`: lower is tried first."""

    name: str
    username: str
    password: str = field(repr=False)
    enable_secret: str | None = field(repr=False)
    tags: tuple[str, ...]
    priority: int
    scope: str
    """central or local."""


def _password() -> str:
    return secrets.token_urlsafe(18)


@dataclass(frozen=True, repr=False)
class DemoSecrets:
    """Every password of the demo, random unless they are given."""

    netops: str = field(default_factory=_password)
    netops_enable: str = field(default_factory=_password)
    london_old: str = field(default_factory=_password)
    london_new: str = field(default_factory=_password)
    london_enable: str = field(default_factory=_password)
    servers: str = field(default_factory=_password)
    firewalls: str = field(default_factory=_password)
    emergency: str = field(default_factory=_password)
    emergency_enable: str = field(default_factory=_password)

    def to_json(self) -> dict[str, str]:
        """Plain values, to be kept with mode 0600, so that a second demo finds the same doors."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, str]) -> "DemoSecrets":
        """The reverse of `to_json`."""
        return cls(**data)

    @property
    def credentials(self) -> list[DemoCredential]:
        """The credentials to be added to the product."""
        return [
            DemoCredential(
                "Network operations",
                "netops",
                self.netops,
                self.netops_enable,
                ("ams", "fra", "osl"),
                50,
                "central",
            ),
            DemoCredential("London, new password", "admin", self.london_new, self.london_enable, ("lon",), 40, "local"),
            DemoCredential("London, old password", "admin", self.london_old, self.london_enable, ("lon",), 60, "local"),
            DemoCredential("Servers", "svc-backup", self.servers, None, ("server",), 20, "local"),
            DemoCredential("Firewalls", "fw-audit", self.firewalls, None, ("firewall",), 20, "local"),
            DemoCredential(
                "Emergency",
                "rescue",
                self.emergency,
                self.emergency_enable,
                ("core", "edge", "access"),
                900,
                "local",
            ),
        ]


_ROLES = {
    "core": "core",
    "leaf": "leaf",
    "edge": "edge",
    "acc": "access",
    "oob": "access",
    "fw": "firewall",
    "srv": "server",
}
_FLEET = (
    ("ams-core-01", "cisco_nxos", 34),
    ("ams-core-02", "cisco_nxos", 33),
    ("ams-leaf-01", "arista_eos", 18),
    ("ams-leaf-02", "arista_eos", 18),
    ("ams-edge-01", "juniper_junos", 26),
    ("ams-oob-01", "cisco_ios", 9),
    ("ams-fw-01", "fortinet", 40),
    ("ams-srv-01", "linux", 7),
    ("fra-core-01", "cisco_nxos", 31),
    ("fra-core-02", "cisco_nxos", 31),
    ("fra-leaf-01", "arista_eos", 17),
    ("fra-leaf-02", "arista_eos", 17),
    ("fra-edge-01", "juniper_junos", 24),
    ("fra-fw-01", "fortinet", 38),
    ("fra-srv-01", "linux", 7),
    ("lon-core-01", "cisco_xe", 22),
    ("lon-core-02", "cisco_xe", 22),
    ("lon-acc-01", "cisco_ios", 14),
    ("lon-acc-02", "cisco_ios", 15),
    ("lon-acc-03", "cisco_ios", 14),
    ("lon-acc-04", "cisco_ios", 16),
    ("osl-edge-01", "cisco_ios", 12),
    ("osl-acc-01", "hp_comware", 11),
    ("osl-acc-02", "hp_comware", 11),
)
_SITES = {
    "ams": ("Amsterdam, data centre", 0.004),
    "fra": ("Frankfurt, data centre", 0.010),
    "lon": ("London, campus", 0.014),
    "osl": ("Oslo, branch", 0.032),
}


def demo_fleet(demo: DemoSecrets) -> list[SimDevice]:
    """The devices of the demo, without ports: give them some with `generate.with_ports`."""
    central = SimLogin("netops", demo.netops, demo.netops_enable)
    emergency = SimLogin("rescue", demo.emergency, demo.emergency_enable)
    devices = []
    for name, platform, config_kb in _FLEET:
        site, role = name.split("-")[0], _ROLES[name.split("-")[1]]
        description, latency = _SITES[site]
        if role == "server":
            logins = [SimLogin("svc-backup", demo.servers)]
        elif role == "firewall":
            logins = [SimLogin("fw-audit", demo.firewalls)]
        elif site == "lon":
            password = demo.london_old if name in DEMO_OLD_PASSWORD else demo.london_new
            logins = [SimLogin("admin", password, demo.london_enable), emergency]
        elif name == DEMO_NO_CENTRAL_ACCOUNT:
            logins = [emergency]
        else:
            logins = [central, emergency]
        devices.append(
            SimDevice(
                name=name,
                platform=platform,
                logins=tuple(logins),
                latency_s=latency,
                command_delay_s=0.2,
                reject_delay_s=0.8,
                lockout_after=5,
                config_kb=config_kb,
                needs_enable=platform == "cisco_ios",
                started=name != DEMO_DOWN,
                tags=(site, role),
                site=site,
                description=f"{description}: {role}",
            )
        )
    return devices
