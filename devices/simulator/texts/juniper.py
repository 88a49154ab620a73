"""Configuration of Junos, hierarchical."""

from collections.abc import Iterator
from itertools import count

from devices.simulator.texts.base import Maker, volatile


def junos(make: Maker) -> list[str]:
    """`show configuration` of Junos."""
    lines = [
        f"## Last commit: {volatile('iso_changed')} UTC by {make.person()}",
        "version 20.4R3.8;",
        "system {",
        f"    host-name {make.name};",
        "    root-authentication {",
        f'        encrypted-password "{make.type6()}"; ## SECRET-DATA',
        "    }",
        "    login {",
        '        message "Authorised staff only. What you do here is recorded.";',
    ]
    for number, name in enumerate(make.users):
        lines += [
            f"        user {name} {{",
            f"            uid {2000 + number};",
            "            class super-user;",
            "            authentication {",
            f'                encrypted-password "{make.type6()}"; ## SECRET-DATA',
            "            }",
            "        }",
        ]
    lines += [
        "    }",
        "    services {",
        "        ssh {",
        "            root-login deny;",
        "            protocol-version v2;",
        "        }",
        "        netconf {",
        "            ssh;",
        "        }",
        "    }",
        f"    domain-name {make.site}.example.net;",
        "    time-zone UTC;",
        "    authentication-order [ tacplus password ];",
        "    name-server {",
        f"        10.{make.octet}.250.53;",
        "    }",
        "    tacplus-server {",
        f"        10.{make.octet}.250.11 {{",
        f'            secret "{make.junos9()}"; ## SECRET-DATA',
        "            timeout 5;",
        "        }",
        "    }",
        "    syslog {",
        f"        host 10.{make.octet}.250.20 {{",
        "            any notice;",
        "        }",
        "        file messages {",
        "            any notice;",
        "            authorization info;",
        "        }",
        "    }",
        "    ntp {",
        f'        authentication-key 1 type md5 value "{make.junos9()}"; ## SECRET-DATA',
        f"        server 10.{make.octet}.250.123 key 1 prefer;",
        "    }",
        "}",
        "chassis {",
        "    aggregated-devices {",
        "        ethernet {",
        "            device-count 8;",
        "        }",
        "    }",
        "}",
        "interfaces {",
        "    xe-0/0/0 {",
        f'        description "{make.changed_description}";',
        "        unit 0 {",
        "            family inet {",
        "                filter {",
        "                    input EDGE-IN;",
        "                }",
        f"                address 198.51.100.{make.number(1, 63) * 4 + 1}/30;",
        "            }",
        "        }",
        "    }",
    ]
    lines += make.fill(_ports(make), make.room(3500, 0.6))
    lines += [
        "    lo0 {",
        "        unit 0 {",
        "            family inet {",
        f"                address 10.{make.octet}.255.{make.number(1, 254)}/32;",
        "            }",
        "        }",
        "    }",
        "}",
        "snmp {",
        f'    location "{make.site}, room {make.number(1, 40)}";',
        f"    community {make.changing_secret(make.word_secret)} {{",
        "        authorization read-only;",
        "        clients {",
        f"            10.{make.octet}.250.0/24;",
        "        }",
        "    }",
        "}",
        "routing-options {",
        "    static {",
        f"        route 0.0.0.0/0 next-hop 198.51.100.{make.number(1, 254)};",
        f"        route 172.16.0.0/12 next-hop {make.changed_host};",
        "    }",
        f"    router-id 10.{make.octet}.255.1;",
        f"    autonomous-system {make.number(64512, 65500)};",
        "}",
        "protocols {",
        "    bgp {",
        "        group PROVIDERS {",
        "            type external;",
        f'            authentication-key "{make.junos9()}"; ## SECRET-DATA',
        "            peer-as 64500;",
        f"            neighbor 198.51.100.{make.number(1, 254)};",
        "        }",
        "    }",
        "    ospf {",
        "        area 0.0.0.0 {",
        "            interface xe-0/0/0.0 {",
        "                authentication {",
        f'                    md5 1 key "{make.junos9()}"; ## SECRET-DATA',
        "                }",
        "            }",
        "        }",
        "    }",
        "}",
        "firewall {",
        "    family inet {",
        "        filter EDGE-IN {",
        "            term published {",
        "                from {",
        "                    source-address {",
        f"                        {make.changed_network}/24;",
        "                    }",
        "                    protocol tcp;",
        "                    destination-port https;",
        "                }",
        "                then accept;",
        "            }",
    ]
    lines += make.fill(_terms(make), make.room(3500, 0.4))
    lines += [
        "            term rest {",
        "                then {",
        "                    log;",
        "                    discard;",
        "                }",
        "            }",
        "        }",
        "    }",
        "}",
    ]
    return lines


def as_set(text: str) -> str:
    """The same configuration as the lines of `| display set`, without comments."""
    path: list[str] = []
    lines = []
    for line in text.splitlines():
        statement = line.split(" ## ")[0].strip()
        if not statement or statement.startswith("#"):
            continue
        if statement == "}":
            path.pop()
        elif statement.endswith("{"):
            path.append(statement[:-1].strip())
        else:
            statement = statement.rstrip(";")
            word, bracket, members = statement.partition(" [ ")
            values = members.rstrip(" ]").split() if bracket else [""]
            lines += [" ".join(["set", *path, f"{word} {value}".strip()]) for value in values]
    return "".join(f"{line}\r\n" for line in lines)


def _ports(make: Maker) -> Iterator[list[str]]:
    for number in count():
        yield [
            f"    ge-{number // 48}/0/{number % 48} {{",
            f'        description "{make.description()}";',
            "        unit 0 {",
            "            family ethernet-switching {",
            "                vlan {",
            f"                    members v{make.random.choice((10, 20, 30, 40))};",
            "                }",
            "            }",
            "        }",
            "    }",
        ]


def _terms(make: Maker) -> Iterator[list[str]]:
    for number in count(1):
        yield [
            f"            term t{number} {{",
            "                from {",
            "                    source-address {",
            f"                        {make.network()}/24;",
            "                    }",
            "                    protocol tcp;",
            f"                    destination-port {make.service_port()};",
            "                }",
            "                then accept;",
            "            }",
        ]
