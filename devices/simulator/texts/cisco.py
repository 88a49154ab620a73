"""Configurations of Cisco IOS (IOS-XE too) and NX-OS."""

from collections.abc import Iterator
from itertools import count

from devices.simulator.texts.base import Maker, volatile


def ios(make: Maker) -> list[str]:
    """`show running-config` of IOS."""
    lines = [
        "Building configuration...",
        "",
        f"Current configuration : {volatile('byte_count')} bytes",
        "!",
        f"! Last configuration change at {volatile('ios_changed')} by {make.person()}",
        f"! NVRAM config last updated at {volatile('ios_written')} by {make.person()}",
        "!",
        "version 15.2",
        "no service pad",
        "service timestamps debug datetime msec localtime show-timezone",
        "service timestamps log datetime msec localtime show-timezone",
        "service password-encryption",
        "service sequence-numbers",
        "!",
        f"hostname {make.name}",
        "!",
        "boot-start-marker",
        "boot-end-marker",
        "!",
        "logging buffered 65536 informational",
        f"enable secret 5 {make.type5()}",
        "!",
    ]
    for name in make.users:
        lines.append(f"username {name} privilege 15 secret 9 {make.type9()}")
    lines += [
        f"username fallback privilege 15 password 7 {make.type7()}",
        "aaa new-model",
        "!",
        "aaa group server tacacs+ OPERATORS",
        f" server-private 10.{make.octet}.250.11 key 7 {make.type7()}",
        f" server-private 10.{make.octet}.250.12 key 7 {make.type7()}",
        " ip tacacs source-interface Loopback0",
        "!",
        "aaa authentication login default group OPERATORS local",
        "aaa authentication enable default group OPERATORS enable",
        "aaa authorization exec default group OPERATORS local if-authenticated",
        "aaa accounting exec default start-stop group OPERATORS",
        "aaa accounting commands 15 default start-stop group OPERATORS",
        "!",
        "aaa session-id common",
        "switch 1 provision ws-c3750x-48p",
        "system mtu routing 1500",
        "ip routing",
        "!",
        f"ip domain-name {make.site}.example.net",
        f"ip name-server 10.{make.octet}.250.53",
        "ip dhcp snooping vlan 10-40",
        "no ip dhcp snooping information option",
        "ip dhcp snooping",
        "login block-for 120 attempts 5 within 60",
        "vtp mode transparent",
        "!",
        "key chain IGP",
        " key 1",
        f"  key-string 7 {make.type7()}",
        "!",
        "crypto isakmp policy 10",
        " encr aes 256",
        " authentication pre-share",
        " group 14",
        f"crypto isakmp key {make.word_secret(20)} address 198.51.100.{make.number(1, 254)}",
        "!",
        "spanning-tree mode rapid-pvst",
        "spanning-tree loopguard default",
        "spanning-tree extend system-id",
        "!",
    ]
    vlans = [10, 20, 30, 40, 99]
    for vlan in vlans:
        lines += [f"vlan {vlan}", f" name {make.word().upper()}-{vlan}", "!"]
    lines += [
        "interface Loopback0",
        " description router id",
        f" ip address 10.{make.octet}.255.{make.number(1, 254)} 255.255.255.255",
        "!",
        "interface TenGigabitEthernet1/1/1",
        f" description {make.changed_description}",
        f" ip address 198.51.100.{make.number(1, 63) * 4 + 1} 255.255.255.252",
        " ip access-group EDGE-IN in",
        f" ip ospf message-digest-key 1 md5 7 {make.type7()}",
        "!",
    ]
    lines += make.fill(_ios_ports(make), make.room(5400, 0.62))
    for vlan in vlans:
        lines += [
            f"interface Vlan{vlan}",
            f" ip address 10.{make.octet}.{vlan}.2 255.255.255.0",
            f" standby {vlan} ip 10.{make.octet}.{vlan}.1",
            f" standby {vlan} priority {make.number(90, 120)}",
            f" standby {vlan} authentication md5 key-string 7 {make.type7()}",
            "!",
        ]
    lines += [
        "router ospf 1",
        f" router-id 10.{make.octet}.255.1",
        " area 0 authentication message-digest",
        " passive-interface default",
        " no passive-interface TenGigabitEthernet1/1/1",
        f" network 10.{make.octet}.0.0 0.0.255.255 area 0",
        "!",
        f"router bgp {make.number(64512, 65500)}",
        " bgp log-neighbor-changes",
        f" neighbor 198.51.100.{make.number(1, 254)} remote-as 64500",
        f" neighbor 198.51.100.{make.number(1, 254)} password 7 {make.type7()}",
        "!",
        "no ip http server",
        "no ip http secure-server",
        "ip ssh version 2",
        f"ip route 0.0.0.0 0.0.0.0 198.51.100.{make.number(1, 254)}",
        f"ip route 172.16.0.0 255.240.0.0 {make.changed_host}",
        "!",
        "ip access-list extended EDGE-IN",
        " deny   ip 192.0.2.0 0.0.0.255 any log",
        f" permit tcp {make.changed_network} 0.0.0.255 any eq 443",
    ]
    lines += make.fill(_ios_acl(make), make.room(5400, 0.38))
    lines += [
        " deny   ip any any log",
        "!",
        "logging source-interface Loopback0",
        f"logging host 10.{make.octet}.250.20",
        "access-list 10 remark stations that may ask by SNMP",
        f"access-list 10 permit 10.{make.octet}.250.0 0.0.0.255",
        f"snmp-server community {make.changing_secret(make.word_secret)} RO 10",
        f"snmp-server community {make.word_secret()} RW 10",
        f"snmp-server location {make.site}, room {make.number(1, 40)}",
        f"snmp-server host 10.{make.octet}.250.20 version 2c {make.word_secret()}",
        "tacacs-server directed-request",
        f"radius-server key 7 {make.type7()}",
        "!",
        "banner login ^C",
        f"{make.name}: authorised staff only. What you do here is recorded.",
        "^C",
        "!",
        "line con 0",
        " exec-timeout 10 0",
        f" password 7 {make.type7()}",
        " logging synchronous",
        "line vty 0 4",
        " access-class 10 in",
        " exec-timeout 30 0",
        " transport input ssh",
        "line vty 5 15",
        " transport input none",
        "!",
        f"ntp clock-period {volatile('clock_period')}",
        f"ntp authentication-key 1 md5 {make.type7()} 7",
        f"ntp server 10.{make.octet}.250.123",
        f"ntp server 10.{make.octet}.250.124 prefer",
        "end",
    ]
    return lines


def _ios_ports(make: Maker) -> Iterator[list[str]]:
    for number in count():
        stack, port = divmod(number, 48)
        block = [
            f"interface GigabitEthernet{stack + 1}/0/{port + 1}",
            f" description {make.description()}",
            f" switchport access vlan {make.random.choice((10, 20, 30, 40))}",
            " switchport mode access",
        ]
        if make.number(0, 2) == 0:
            block += [" switchport voice vlan 40", " mls qos trust device cisco-phone"]
        if make.number(0, 9) == 0:
            block.append(" shutdown")
        block += [" spanning-tree portfast", " spanning-tree bpduguard enable", "!"]
        yield block


def _ios_acl(make: Maker) -> Iterator[list[str]]:
    while True:
        yield [f" remark {make.word()} to {make.word()}"] + [
            f" permit {make.random.choice(('tcp', 'udp'))} {make.network()} 0.0.0.255 "
            f"host {make.address()} eq {make.service_port()}"
            for _ in range(4)
        ]


def nxos(make: Maker) -> list[str]:
    """`show running-config` of NX-OS."""
    lines = [
        "",
        "!Command: show running-config",
        f"!Running configuration last done at: {volatile('ctime_changed')}",
        f"!Time: {volatile('ctime')}",
        "",
        "version 9.3(8) Bios:version 07.69 ",
        f"hostname {make.name}",
        f"vdc {make.name} id 1",
        "  limit-resource vlan minimum 16 maximum 4094",
        "  limit-resource vrf minimum 2 maximum 4096",
        "  limit-resource port-channel minimum 0 maximum 511",
        "",
        "feature tacacs+",
        "cfs eth distribute",
        "feature ospf",
        "feature bgp",
        "feature interface-vlan",
        "feature hsrp",
        "feature lacp",
        "feature vpc",
        "feature lldp",
        "",
        "no password strength-check",
    ]
    for name in make.users:
        lines.append(f"username {name} password 5 {make.type5()}  role network-admin")
    lines += [
        f"username svc-monitor password 5 {make.type5()}  role network-operator",
        "ip domain-lookup",
        f"ip domain-name {make.site}.example.net",
        f'tacacs-server key 7 "{make.type7()}"',
        f'tacacs-server host 10.{make.octet}.250.11 key 7 "{make.type7()}"',
        "aaa group server tacacs+ OPERATORS",
        f"    server 10.{make.octet}.250.11",
        "    use-vrf management",
        "copp profile strict",
        f"snmp-server user admin network-admin auth md5 0x{make.number(0, 1 << 128):032x} "
        f"priv 0x{make.number(0, 1 << 128):032x} localizedkey",
        f"snmp-server community {make.changing_secret(make.word_secret)} group network-operator",
        f"snmp-server host 10.{make.octet}.250.20 traps version 2c {make.word_secret()}",
        f"ntp server 10.{make.octet}.250.123 use-vrf management",
        "aaa authentication login default group OPERATORS local",
        "",
        "ip access-list EDGE-IN",
        "  10 deny ip 192.0.2.0/24 any log",
        f"  20 permit tcp {make.changed_network}/24 any eq 443",
    ]
    lines += make.fill(_nxos_acl(make), make.room(3000, 0.35))
    lines += ["", "vlan 1,10,20,30,40,99"]
    for vlan in (10, 20, 30, 40, 99):
        lines += [f"vlan {vlan}", f"  name {make.word().upper()}-{vlan}"]
    lines += [
        "",
        "key chain IGP",
        "  key 1",
        f"    key-string 7 {make.type7()}",
        "",
        "vrf context management",
        f"  ip route 0.0.0.0/0 10.{make.octet}.254.1",
        f"ip route 172.16.0.0/12 {make.changed_host}",
        f"vpc domain {make.number(1, 200)}",
        f"  peer-keepalive destination 10.{make.octet}.254.{make.number(2, 250)}",
        "  auto-recovery",
        "",
    ]
    for vlan in (10, 20, 30, 40):
        lines += [
            f"interface Vlan{vlan}",
            "  no shutdown",
            f"  ip address 10.{make.octet}.{vlan}.3/24",
            f"  hsrp {vlan} ",
            "    authentication md5 key-chain IGP",
            f"    priority {make.number(90, 120)}",
            f"    ip 10.{make.octet}.{vlan}.1",
            "",
        ]
    lines += [
        "interface Ethernet1/1",
        f"  description {make.changed_description}",
        "  no switchport",
        f"  ip address 198.51.100.{make.number(1, 63) * 4 + 1}/30",
        "  ip access-group EDGE-IN in",
        "  no shutdown",
        "",
    ]
    lines += make.fill(_nxos_ports(make), make.room(3000, 0.65))
    lines += [
        "interface mgmt0",
        "  vrf member management",
        f"  ip address 10.{make.octet}.254.{make.number(2, 250)}/24",
        "",
        "interface loopback0",
        f"  ip address 10.{make.octet}.255.{make.number(1, 254)}/32",
        "line console",
        "  exec-timeout 10",
        "line vty",
        "  exec-timeout 30",
        "boot nxos bootflash:/nxos.9.3.8.bin ",
        "router ospf 1",
        f"  router-id 10.{make.octet}.255.1",
        f"router bgp {make.number(64512, 65500)}",
        f"  neighbor 198.51.100.{make.number(1, 254)}",
        "    remote-as 64500",
        f"    password 3 {make.random.randbytes(8).hex()}",
        "    address-family ipv4 unicast",
        "",
    ]
    return lines


def _nxos_acl(make: Maker) -> Iterator[list[str]]:
    for number in count(30, 10):
        port = make.service_port()
        yield [f"  {number} permit tcp {make.network()}/24 {make.address()}/32 eq {port} "]


def _nxos_ports(make: Maker) -> Iterator[list[str]]:
    for number in count(2):
        slot, port = divmod(number - 2, 47)
        block = [
            f"interface Ethernet{slot + 1}/{port + 2}",
            f"  description {make.description()}",
            f"  switchport access vlan {make.random.choice((10, 20, 30, 40))}",
            "  spanning-tree port type edge",
        ]
        if make.number(0, 9) == 0:
            block.append("  shutdown")
        yield [*block, ""]
