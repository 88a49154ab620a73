"""Which addresses and ports may be called at all: decided on the address itself, just before each connection.

A name is resolved once and what it resolved to is judged and called, so that no second answer of the DNS counts.
"""

from __future__ import annotations

import functools
import ipaddress
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from devices.connector.outcomes import ConnectorError, Outcome

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

ANY: Final = "any"
"""In a list of networks: every ordinary address."""
SETTING: Final = "NETRAVEN_TARGETS"
PORTS_SETTING: Final = "NETRAVEN_TARGET_PORTS"


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


_EVERYWHERE: Final = _networks("0.0.0.0/0", "::/0")
_NEVER: Final = (
    ("an unspecified address, which means this host", _networks("0.0.0.0/8", "::/128")),
    ("a multicast address", _networks("224.0.0.0/4", "ff00::/8")),
    ("a reserved address", _networks("240.0.0.0/4")),
)
# Refused unless a network that lies within one of these is listed: 0.0.0.0/0 does not open them by accident.
_SPECIAL: Final = (
    (
        "a metadata address of a cloud",
        _networks(
            "169.254.169.254/32",
            "169.254.170.2/32",
            "100.100.100.200/32",
            "168.63.129.16/32",
            "192.0.0.192/32",
            "fd00:ec2::254/128",
            "fd20:ce::254/128",
        ),
    ),
    ("a loopback address", _networks("127.0.0.0/8", "::1/128")),
    ("a link-local address", _networks("169.254.0.0/16", "fe80::/10")),
)
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")


class TargetRefused(ConnectorError):
    """A rule of ours forbids the address: nothing was called. `reason` says which rule and who may change it."""

    def __init__(self, reason: str) -> None:
        super().__init__(Outcome.REFUSED, f"Not called. {reason}")
        self.reason = reason
        self.lasting = True
        self.advice = (
            f"NetRaven's own rule forbids this address or port; nothing was sent. Correct the device, or let the "
            f"administrator of the NetRaven host change {SETTING} or {PORTS_SETTING}."
        )


@dataclass(frozen=True)
class TargetPolicy:
    """The rule: networks, ports (empty: every port), and endpoints of NetRaven's own that no device stands at."""

    networks: tuple[Network, ...] = _EVERYWHERE
    ports: tuple[tuple[int, int], ...] = ()
    own: tuple[tuple[str, int], ...] = ()
    """Host and port of the database, the broker and the portal."""

    def check(self, address: str, port: int) -> None:
        """Raise TargetRefused unless this address and port may be called."""
        for each in _faces(ipaddress.ip_address(address.partition("%")[0])):
            self._check_address(each, address)
        if self.ports and not any(low <= port <= high for low, high in self.ports):
            raise TargetRefused(
                f"{PORTS_SETTING} does not list port {port}. The administrator of the NetRaven host changes it."
            )
        if any(port == number and _is_at(host, address) for host, number in self.own):
            raise TargetRefused(
                f"{address} port {port} is NetRaven's own database, broker or portal. No setting allows it: "
                "no device is there."
            )

    def check_literal(self, host: str, port: int) -> None:
        """As `check` for an address that is written as one; a name is judged when it is resolved."""
        try:
            ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return
        self.check(host, port)

    def _check_address(self, address: Address, shown: str) -> None:
        for what, ranges in _NEVER:
            if _within(address, ranges):
                raise TargetRefused(f"{shown} is {what}. No setting allows it: no device is there.")
        for what, ranges in _SPECIAL:
            if _within(address, ranges):
                # The first class that holds decides: link-local does not open the metadata addresses within it.
                if not any(
                    address in each and any(_inside(each, whole) for whole in ranges)
                    for each in self.networks
                    if each.version == address.version
                ):
                    raise TargetRefused(
                        f"{shown} is {what}, which {SETTING} does not list by itself. "
                        "The administrator of the NetRaven host changes it."
                    )
                return
        if not _within(address, self.networks):
            raise TargetRefused(
                f"{shown} is in none of the networks of {SETTING}. The administrator of the NetRaven host changes it."
            )


DEFAULT = TargetPolicy()
"""Where nothing else is said: every ordinary address, every port."""


def policy_from(
    networks: Sequence[str], ports: Sequence[str] = (), own: Iterable[tuple[str, int]] = ()
) -> TargetPolicy:
    """The rule from words: networks (`10.0.0.0/8`, an address, `any`) and ports (`22`, `2000-2100`).

    Raises ValueError, in words for whoever wrote them.
    """
    found: list[Network] = []
    for word in networks:
        if word.lower() == ANY:
            found += _EVERYWHERE
            continue
        try:
            found.append(ipaddress.ip_network(word))
        except ValueError:
            raise ValueError(
                f"{word!r} is no network: write addresses as 10.0.0.0/8 or 192.0.2.1, without host bits, or any."
            ) from None
    spans = tuple(_span(word) for word in ports)
    return TargetPolicy(tuple(found) or _EVERYWHERE, spans, tuple(own))


def _span(word: str) -> tuple[int, int]:
    low, dash, high = word.partition("-")
    try:
        span = (int(low), int(high) if dash else int(low))
    except ValueError:
        span = (0, 0)
    if not 1 <= span[0] <= span[1] <= 65535:
        raise ValueError(f"{word!r} is no port: write 22 or 2000-2100.")
    return span


def _faces(address: Address) -> list[Address]:
    """The addresses that one stands for: itself, or the IPv4 address that an IPv6 one carries."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    faces: list[Address] = [address]
    if address.sixtofour is not None:
        faces.append(address.sixtofour)
    number = int(address)
    if address in _NAT64 or (address in _COMPATIBLE and number > 1):
        faces.append(ipaddress.IPv4Address(number & 0xFFFF_FFFF))
    return faces


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == each.version and address in each for each in networks)


def _inside(inner: Network, outer: Network) -> bool:
    if isinstance(inner, ipaddress.IPv4Network) and isinstance(outer, ipaddress.IPv4Network):
        return inner.subnet_of(outer)
    if isinstance(inner, ipaddress.IPv6Network) and isinstance(outer, ipaddress.IPv6Network):
        return inner.subnet_of(outer)
    return False


def _is_at(host: str, address: str) -> bool:
    wanted = _faces(ipaddress.ip_address(address.partition("%")[0]))
    known = {face for each in _resolved(host) for face in _faces(ipaddress.ip_address(each.partition("%")[0]))}
    is_local = any(each.is_loopback or each.is_unspecified for each in known)
    return any(each in known or (is_local and each.is_loopback) for each in wanted)


@functools.lru_cache(maxsize=16)
def _resolved(host: str) -> tuple[str, ...]:
    try:
        return tuple({str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)})
    except (OSError, UnicodeError):
        return ()
