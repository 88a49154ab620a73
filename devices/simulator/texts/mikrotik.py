"""Configuration of MikroTik RouterOS."""

from collections.abc import Iterator
from itertools import count

from devices.simulator.texts.base import Maker, volatile


def export(make: Maker) -> list[str]:
    """`/export` of RouterOS."""
    lines = [
        f"# {volatile('routeros_now')} by RouterOS 6.49.10",
        f"# software id = {make.word_secret(4).upper()}-{make.word_secret(4).upper()}",
        "#",
        "# model = CCR1036-12G-4S",
        f"# serial number = {make.random.randbytes(6).hex().upper()}",
        "/interface bridge",
        "add name=bridge-lan protocol-mode=rstp",
        "/interface ethernet",
        f'set [ find default-name=ether1 ] comment="{make.changed_description}"',
    ]
    lines += make.fill(_ports(make), make.room(1700, 0.3))
    lines += [
        "/interface wireless security-profiles",
        f"set [ find default=yes ] mode=dynamic-keys wpa2-pre-shared-key={make.word_secret(20)}",
        "/ip ipsec peer",
        f"add address=198.51.100.{make.number(1, 254)}/32 name=branch",
        "/ip pool",
        f"add name=dhcp ranges=10.{make.octet}.10.50-10.{make.octet}.10.250",
        "/snmp community",
        f"set [ find default=yes ] addresses=10.{make.octet}.250.0/24 name={make.changing_secret(make.word_secret)}",
        "/ip address",
        f"add address=10.{make.octet}.10.1/24 interface=bridge-lan network=10.{make.octet}.10.0",
        f"add address=198.51.100.{make.number(1, 63) * 4 + 1}/30 interface=ether1",
        "/ip dns",
        f"set servers=10.{make.octet}.250.53",
        "/ip firewall filter",
        "add action=accept chain=input connection-state=established,related",
        f"add action=accept chain=input dst-port=443 protocol=tcp src-address={make.changed_network}/24",
    ]
    lines += make.fill(_rules(make), make.room(1700, 0.7))
    lines += [
        "add action=drop chain=input log=yes",
        "/ip ipsec identity",
        f"add peer=branch secret={make.word_secret(24)}",
        "/ip route",
        f"add distance=1 dst-address=172.16.0.0/12 gateway={make.changed_host}",
        "/ip service",
        "set telnet disabled=yes",
        "set ftp disabled=yes",
        "/ppp secret",
        f"add name={make.person()} password={make.word_secret()} service=l2tp",
        "/radius",
        f"add address=10.{make.octet}.250.11 secret={make.word_secret(18)} service=login",
        "/snmp",
        f'set enabled=yes location="{make.site}, room {make.number(1, 40)}"',
        "/system clock",
        "set time-zone-name=UTC",
        "/system identity",
        f"set name={make.name}",
        "/system ntp client",
        f"set enabled=yes primary-ntp=10.{make.octet}.250.123",
    ]
    return lines


def _ports(make: Maker) -> Iterator[list[str]]:
    for number in count(2):
        yield [f'set [ find default-name=ether{number} ] comment="{make.description()}" speed=1Gbps']


def _rules(make: Maker) -> Iterator[list[str]]:
    while True:
        port = make.service_port()
        yield [
            f'add action=accept chain=forward comment="{make.word()} to {make.word()}" '
            f"dst-address={make.address()} dst-port={port} protocol=tcp src-address={make.network()}/24"
        ]
