"""Configurations of Huawei VRP and HPE Comware, which look alike."""

from collections.abc import Iterator
from itertools import count

from devices.simulator.texts.base import Maker, volatile


def huawei(make: Maker) -> list[str]:
    """`display current-configuration` of VRP."""
    lines = [
        "!Software Version V200R019C10SPC500",
        f"!Last configuration was updated at {volatile('iso_changed')}+00:00 by {make.person()}",
        f"!Last configuration was saved at {volatile('iso_changed')}+00:00 by {make.person()}",
        "#",
        f"sysname {make.name}",
        "#",
        "dns resolve",
        f"dns server 10.{make.octet}.250.53",
        "#",
        "vlan batch 10 20 30 40 99",
        "#",
        "hwtacacs-server template operators",
        f" hwtacacs-server authentication 10.{make.octet}.250.11",
        f" hwtacacs-server shared-key cipher %^%#{make.word_secret(32)}%^%#",
        "#",
        "acl number 3000",
        f" rule 5 permit tcp source {make.changed_network} 0.0.0.255 destination-port eq 443",
    ]
    lines += make.fill(_rules(make), make.room(1900, 0.4))
    lines += ["#", "aaa", " authentication-scheme default", "  authentication-mode hwtacacs local"]
    for name in make.users:
        lines += [
            f" local-user {name} password irreversible-cipher $1a${make.word_secret(12)}${make.word_secret(44)}$",
            f" local-user {name} privilege level 15",
            f" local-user {name} service-type telnet ssh",
        ]
    lines += [
        "#",
        "interface XGigabitEthernet0/0/1",
        f" description {make.changed_description}",
        " undo portswitch",
        f" ip address 198.51.100.{make.number(1, 63) * 4 + 1} 255.255.255.252",
        "#",
    ]
    lines += make.fill(_ports(make, "GigabitEthernet0/0/", "undo negotiation auto"), make.room(1900, 0.6))
    lines += [
        "interface LoopBack0",
        f" ip address 10.{make.octet}.255.{make.number(1, 254)} 255.255.255.255",
        "#",
        "ospf 1",
        " area 0.0.0.0",
        f"  authentication-mode md5 1 cipher %^%#{make.word_secret(32)}%^%#",
        f"  network 10.{make.octet}.0.0 0.0.255.255",
        "#",
        f"ip route-static 172.16.0.0 255.240.0.0 {make.changed_host}",
        "#",
        "snmp-agent",
        f"snmp-agent community read cipher %^%#{make.changing_secret(lambda: make.word_secret(40))}%^%#",
        f"snmp-agent sys-info location {make.site}, room {make.number(1, 40)}",
        "snmp-agent sys-info version v2c v3",
        "#",
        "stelnet server enable",
        "#",
        f"ntp-service unicast-server 10.{make.octet}.250.123",
        "#",
        "user-interface con 0",
        " authentication-mode password",
        f" set authentication password cipher %^%#{make.word_secret(32)}%^%#",
        "user-interface vty 0 4",
        " authentication-mode aaa",
        " protocol inbound all",
        "#",
        "return",
    ]
    return lines


def comware(make: Maker) -> list[str]:
    """`display current-configuration` of Comware."""
    lines = [
        "#",
        " version 7.1.070, Release 3507P10",
        "#",
        f" sysname {make.name}",
        "#",
        " clock protocol ntp",
        "#",
        " irf mac-address persistent timer",
        " irf auto-update enable",
        "#",
        f" dns server 10.{make.octet}.250.53",
        "#",
        "vlan 1",
        "#",
        "vlan 10 to 40",
        "#",
        "interface Ten-GigabitEthernet1/0/49",
        " port link-mode route",
        f" description {make.changed_description}",
        f" ip address 198.51.100.{make.number(1, 63) * 4 + 1} 255.255.255.252",
        "#",
    ]
    lines += make.fill(_ports(make, "GigabitEthernet1/0/", "port link-mode bridge"), make.room(1800, 0.6))
    lines += [
        "interface LoopBack0",
        f" ip address 10.{make.octet}.255.{make.number(1, 254)} 255.255.255.255",
        "#",
        "line aux 0",
        " user-role network-admin",
        "#",
        "line vty 0 63",
        " authentication-mode scheme",
        " user-role network-operator",
        " idle-timeout 30 0",
        "#",
        f" ip route-static 172.16.0.0 12 {make.changed_host}",
        "#",
        f" info-center loghost 10.{make.octet}.250.20",
        "#",
        " snmp-agent",
        f" snmp-agent community read cipher $c$3${make.changing_secret(lambda: make.base64(32))}==",
        f" snmp-agent sys-info location {make.site}, room {make.number(1, 40)}",
        " snmp-agent sys-info version v2c v3",
        "#",
        " ssh server enable",
        "#",
        " ntp-service enable",
        f" ntp-service unicast-server 10.{make.octet}.250.123",
        "#",
        "acl advanced 3000",
        f" rule 5 permit tcp source {make.changed_network} 0.0.0.255 destination-port eq 443",
    ]
    lines += make.fill(_rules(make), make.room(1800, 0.4))
    lines += [
        "#",
        "hwtacacs scheme operators",
        f" primary authentication 10.{make.octet}.250.11 key cipher $c$3${make.base64(32)}==",
        " user-name-format without-domain",
        "#",
        "domain system",
        " authentication login hwtacacs-scheme operators local",
        "#",
    ]
    for name in make.users:
        lines += [
            f"local-user {name} class manage",
            f" password hash $h$6${make.base64(16)}${make.base64(86)}==",
            " service-type ssh telnet terminal",
            " authorization-attribute user-role network-admin",
            "#",
        ]
    lines.append("return")
    return lines


def _ports(make: Maker, kind: str, extra: str) -> Iterator[list[str]]:
    for number in count(1):
        yield [
            f"interface {kind}{number}",
            f" {extra}",
            f" description {make.description()}",
            " port link-type access",
            f" port default vlan {make.random.choice((10, 20, 30, 40))}",
            " stp edged-port enable",
            "#",
        ]


def _rules(make: Maker) -> Iterator[list[str]]:
    for number in count(10, 5):
        port = make.service_port()
        yield [
            f" rule {number} permit tcp source {make.network()} 0.0.0.255 "
            f"destination {make.address()} 0 destination-port eq {port}"
        ]
