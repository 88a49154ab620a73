"""Configuration of Arista EOS."""

from collections.abc import Iterator
from itertools import count

from devices.simulator.texts.base import Maker, volatile


def eos(make: Maker) -> list[str]:
    """`show running-config` of EOS."""
    lines = [
        "! Command: show running-config",
        f"! Time: {volatile('ctime')}",
        f"! device: {make.name} (DCS-7050SX3-48YC8, EOS-4.28.3M)",
        "!",
        "! boot system flash:/EOS-4.28.3M.swi",
        "!",
        "no aaa root",
        "!",
    ]
    for name in make.users:
        lines.append(f"username {name} privilege 15 role network-admin secret sha512 {make.type6()}")
    lines += [
        f"username svc-monitor privilege 1 secret sha512 {make.type6()}",
        "!",
        f"tacacs-server key 7 {make.type7()}",
        f"tacacs-server host 10.{make.octet}.250.11 key 7 {make.type7()}",
        "!",
        "aaa group server tacacs+ OPERATORS",
        f"   server 10.{make.octet}.250.11",
        "!",
        "aaa authentication login default group OPERATORS local",
        "aaa authorization exec default group OPERATORS local",
        "!",
        f"enable password sha512 {make.type6()}",
        "!",
        "alias shint show interfaces status",
        "!",
        "transceiver qsfp default-mode 4x10G",
        "!",
        "service routing protocols model multi-agent",
        "!",
        "logging buffered 10000 informational",
        f"logging host 10.{make.octet}.250.20",
        "!",
        f"hostname {make.name}",
        f"ip name-server vrf MGMT 10.{make.octet}.250.53",
        f"dns domain {make.site}.example.net",
        "!",
        f"ntp authentication-key 1 md5 7 {make.type7()}",
        f"ntp server vrf MGMT 10.{make.octet}.250.123 prefer",
        "!",
        f"snmp-server community {make.changing_secret(make.word_secret)} ro",
        f"snmp-server host 10.{make.octet}.250.20 version 2c {make.word_secret()}",
        f"snmp-server location {make.site}, room {make.number(1, 40)}",
        "!",
        "spanning-tree mode mstp",
        "!",
        "vlan 10,20,30,40",
        "!",
        "vrf instance MGMT",
        "!",
        "interface Ethernet1",
        f"   description {make.changed_description}",
        "   no switchport",
        f"   ip address 198.51.100.{make.number(1, 63) * 4 + 1}/30",
        "   ip access-group EDGE-IN in",
        "   ip ospf authentication message-digest",
        f"   ip ospf message-digest-key 1 md5 7 {make.type7()}",
        "!",
    ]
    lines += make.fill(_ports(make), make.room(2800, 0.62))
    lines += [
        "interface Loopback0",
        f"   ip address 10.{make.octet}.255.{make.number(1, 254)}/32",
        "!",
        "interface Management1",
        "   vrf MGMT",
        f"   ip address 10.{make.octet}.254.{make.number(2, 250)}/24",
        "!",
        "ip access-list EDGE-IN",
        "   10 deny ip 192.0.2.0/24 any log",
        f"   20 permit tcp {make.changed_network}/24 any eq https",
    ]
    lines += make.fill(_acl(make), make.room(2800, 0.38))
    lines += [
        "!",
        "ip routing",
        "no ip routing vrf MGMT",
        "!",
        f"ip route 172.16.0.0/12 {make.changed_host}",
        f"ip route vrf MGMT 0.0.0.0/0 10.{make.octet}.254.1",
        "!",
        f"router bgp {make.number(64512, 65500)}",
        f"   router-id 10.{make.octet}.255.1",
        "   neighbor FABRIC peer group",
        f"   neighbor FABRIC password 7 {make.base64(22)}==",
        f"   neighbor 198.51.100.{make.number(1, 254)} peer group FABRIC",
        "   !",
        "   address-family ipv4",
        "      neighbor FABRIC activate",
        "!",
        "router ospf 1",
        f"   router-id 10.{make.octet}.255.1",
        f"   network 10.{make.octet}.0.0/16 area 0.0.0.0",
        "!",
        "banner login",
        f"{make.name}: authorised staff only. What you do here is recorded.",
        "EOF",
        "!",
        "management api http-commands",
        "   no shutdown",
        "!",
        "management ssh",
        "   idle-timeout 30",
        "!",
        "end",
    ]
    return lines


def _ports(make: Maker) -> Iterator[list[str]]:
    for number in count(2):
        block = [
            f"interface Ethernet{number}",
            f"   description {make.description()}",
            f"   switchport access vlan {make.random.choice((10, 20, 30, 40))}",
        ]
        if make.number(0, 4) == 0:
            block += ["   switchport mode trunk", f"   channel-group {number} mode active"]
        if make.number(0, 9) == 0:
            block.append("   shutdown")
        yield [*block, "   spanning-tree portfast", "!"]


def _acl(make: Maker) -> Iterator[list[str]]:
    for number in count(30, 10):
        service = make.random.choice(("ssh", "domain", "ntp", "snmp", "ldap", "https", "3389", "8443"))
        yield [f"   {number} permit tcp {make.network()}/24 host {make.address()} eq {service}"]
