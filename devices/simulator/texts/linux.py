"""The files that make up the configuration of a Linux host."""

from collections.abc import Iterator
from itertools import count

from devices.simulator.texts.base import Maker

END_MARKER = "### end of configuration"


def files(make: Maker) -> list[str]:
    """The files, each below a line with its path, and the end marker."""
    user = make.users[0]
    lines = [
        "### /etc/hostname",
        make.name,
        "### /etc/hosts",
        "127.0.0.1 localhost",
        f"127.0.1.1 {make.name}.{make.site}.example.net {make.name}",
        f"10.{make.octet}.250.20 syslog",
        "### /etc/resolv.conf",
        f"search {make.site}.example.net",
        f"nameserver 10.{make.octet}.250.53",
        "### /etc/network/interfaces",
        "source /etc/network/interfaces.d/*",
        "auto lo",
        "iface lo inet loopback",
        "auto eth0",
        f"# {make.changed_description}",
        "iface eth0 inet static",
        f"    address 10.{make.octet}.254.{make.number(2, 250)}/24",
        f"    gateway 10.{make.octet}.254.1",
        f"    up ip route add 172.16.0.0/12 via {make.changed_host}",
        "### /etc/ssh/sshd_config",
        "Include /etc/ssh/sshd_config.d/*.conf",
        "PermitRootLogin no",
        "KbdInteractiveAuthentication no",
        "UsePAM yes",
        "X11Forwarding no",
        "PrintMotd no",
        "AcceptEnv LANG LC_*",
        "Subsystem sftp /usr/lib/openssh/sftp-server",
        "### /etc/snmp/snmpd.conf",
        f"sysLocation {make.site}, room {make.number(1, 40)}",
        f"rocommunity {make.changing_secret(make.word_secret)} 10.{make.octet}.250.0/24",
        f"createUser monitor SHA {make.word_secret(18)} AES {make.word_secret(18)}",
        "### /etc/chrony/chrony.conf",
        f"server 10.{make.octet}.250.123 iburst",
        "driftfile /var/lib/chrony/chrony.drift",
        "makestep 1 3",
        "### /etc/rsyslog.conf",
        'module(load="imuxsock")',
        f"*.* @10.{make.octet}.250.20:514",
        "### /etc/wireguard/wg0.conf",
        "[Interface]",
        f"Address = 10.{make.octet}.253.1/24",
        f"PrivateKey = {make.base64(43)}=",
        "ListenPort = 51820",
    ]
    lines += make.fill(_peers(make), make.room(2000, 0.35))
    lines += [
        "### /etc/frr/frr.conf",
        "frr version 8.4.4",
        "frr defaults traditional",
        f"hostname {make.name}",
        f"password {make.word_secret()}",
        f"enable password {make.word_secret()}",
        f"router bgp {make.number(64512, 65500)}",
        f" bgp router-id 10.{make.octet}.255.1",
        f" neighbor 198.51.100.{make.number(1, 254)} remote-as 64500",
        f" neighbor 198.51.100.{make.number(1, 254)} password {make.word_secret()}",
        "### /etc/nftables.conf",
        "flush ruleset",
        "table inet filter {",
        "  chain input {",
        "    type filter hook input priority 0; policy drop;",
        "    ct state established,related accept",
        "    iif lo accept",
        f"    ip saddr {make.changed_network}/24 tcp dport 443 accept",
    ]
    lines += make.fill(_rules(make), make.room(2000, 0.65))
    lines += [
        "  }",
        "}",
        "### /etc/passwd",
        "root:x:0:0:root:/root:/bin/bash",
        f"{user}:x:1000:1000:operator:/home/{user}:/bin/bash",
        "sshd:x:101:65534::/run/sshd:/usr/sbin/nologin",
        END_MARKER,
    ]
    return lines


def _peers(make: Maker) -> Iterator[list[str]]:
    for number in count(2):
        yield [
            "[Peer]",
            f"# {make.person()}, {make.word()}",
            f"PublicKey = {make.base64(43)}=",
            f"PresharedKey = {make.base64(43)}=",
            f"AllowedIPs = 10.{make.octet}.253.{number % 250}/32",
        ]


def _rules(make: Maker) -> Iterator[list[str]]:
    while True:
        port = make.service_port()
        yield [f'    ip saddr {make.network()}/24 tcp dport {port} accept comment "{make.word()}"']
