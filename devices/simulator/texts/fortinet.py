"""Configuration of FortiOS."""

from collections.abc import Iterator
from itertools import count

from devices.simulator.texts.base import Maker, volatile


def full(make: Maker) -> list[str]:
    """`show` (or `show full-configuration`) of FortiOS."""
    lines = [
        "#config-version=FGT60F-7.2.5-FW-build1517-230606:opmode=0:vdom=0:user=admin",
        f"#conf_file_ver={volatile('conf_file_ver')}",
        "#buildno=1517",
        "#global_vdom=1",
        "config system global",
        f'    set hostname "{make.name}"',
        "    set timezone 80",
        "    set admintimeout 30",
        "end",
        "config system interface",
        '    edit "wan1"',
        '        set vdom "root"',
        f"        set ip 198.51.100.{make.number(1, 63) * 4 + 1} 255.255.255.252",
        "        set allowaccess ping https ssh",
        f'        set alias "{make.changed_description}"',
        "    next",
    ]
    lines += make.fill(_ports(make), make.room(2200, 0.25))
    lines += ["end", "config system admin"]
    for name in make.users:
        lines += [
            f'    edit "{name}"',
            '        set accprofile "super_admin"',
            '        set vdom "root"',
            f"        set password ENC SH2{make.base64(60)}=",
            "    next",
        ]
    lines += [
        "end",
        "config system snmp community",
        "    edit 1",
        f'        set name "{make.changing_secret(make.word_secret)}"',
        "        config hosts",
        "            edit 1",
        f"                set ip 10.{make.octet}.250.0 255.255.255.0",
        "            next",
        "        end",
        "    next",
        "end",
        "config system dns",
        f"    set primary 10.{make.octet}.250.53",
        "end",
        "config user radius",
        '    edit "operators"',
        f'        set server "10.{make.octet}.250.11"',
        f"        set secret ENC {make.base64(86)}==",
        "    next",
        "end",
        "config vpn ipsec phase1-interface",
        '    edit "branch"',
        '        set interface "wan1"',
        f"        set remote-gw 198.51.100.{make.number(1, 254)}",
        f"        set psksecret ENC {make.base64(86)}==",
        "    next",
        "end",
        "config firewall address",
        '    edit "published"',
        f"        set subnet {make.changed_network} 255.255.255.0",
        "    next",
    ]
    lines += make.fill(_addresses(make), make.room(2200, 0.25))
    lines += ["end", "config firewall policy"]
    lines += make.fill(_policies(make), make.room(2200, 0.5))
    lines += [
        "end",
        "config router static",
        "    edit 1",
        f"        set gateway 198.51.100.{make.number(1, 254)}",
        '        set device "wan1"',
        "    next",
        "    edit 2",
        "        set dst 172.16.0.0 255.240.0.0",
        f"        set gateway {make.changed_host}",
        '        set device "internal"',
        "    next",
        "end",
    ]
    return lines


def _ports(make: Maker) -> Iterator[list[str]]:
    for number in count(1):
        yield [
            f'    edit "internal{number}"',
            '        set vdom "root"',
            f'        set alias "{make.description()}"',
            "        set type physical",
            "    next",
        ]


def _addresses(make: Maker) -> Iterator[list[str]]:
    for number in count(1):
        yield [
            f'    edit "{make.word()}-{number}"',
            f"        set subnet {make.network()} 255.255.255.0",
            "    next",
        ]


def _policies(make: Maker) -> Iterator[list[str]]:
    for number in count(1):
        yield [
            f"    edit {number}",
            f'        set name "{make.word()}-{make.word()}-{number}"',
            '        set srcintf "internal"',
            '        set dstintf "wan1"',
            "        set action accept",
            '        set srcaddr "all"',
            '        set dstaddr "all"',
            '        set schedule "always"',
            '        set service "HTTPS"',
            "    next",
        ]
