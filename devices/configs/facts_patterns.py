"""Where devices print facts about themselves: for what the parsing templates lack, or do not get right."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

Patterns = tuple[tuple[str, re.Pattern[str]], ...]


def _table(*rows: tuple[str, str]) -> Patterns:
    return tuple((name, re.compile(pattern, re.IGNORECASE)) for name, pattern in rows)


def _field(*labels: str) -> str:
    """`Label : value`, `Label....... value`, `Label = value`: the value."""
    return r"^[\s|*#!]*(?:" + "|".join(labels) + r")\s*(?::|=|\.{2,}:?)\s*(?:- )?(\S.*?)(?:\s{3,}.*|\s*\|)?$"


_IOS: Final = _table(
    ("version", r"^FRRouting (\S+)"),
    ("hostname", r"^FRRouting \S+ \(([\w.-]+)\)"),
    ("version", r"\bSoftware\b.*\), (?:Experimental )?Version ([^\s,]+)"),
    ("version", r"^Cisco IOS[ -]XE Software, Version (\d[^\s,]*)"),
    ("version", r"\bSoftware\b.*, (?:Experimental )?Version ([^\s,]+)"),
    ("hostname", r"^(?!system )([\w.-]+) uptime is "),
    ("uptime_s", r"^\S+ uptime is (.*)"),
    ("model", r"^cisco (\S+) \(.*\) processor"),
    ("model", r"^Model number\s*:\s*(\S+)"),
    ("version", r"^AP Running Image\s*:\s*(\S+)"),
    ("model", r"^Chassis type:\s*(\S+)"),
    ("model", r"^(?:cisco|Arista) (\S+).*processor"),
    ("serial", r"^System serial number\s*:\s*(\S+)"),
    ("serial", r"^Processor board ID (\S+)"),
)
_FASTPATH: Final = _table(
    ("version", _field("software version", "system software version")),
    ("model", _field("machine model", "system model id", "switch model")),
    ("model", _field("machine type", "system description")),
    ("serial", _field("serial number")),
    ("hostname", _field("system name", "host name")),
    ("uptime_s", _field("system up ?time", "up ?time")),
)
_EDGEROUTER: Final = _table(
    ("version", r"^Version:\s+(?:VyOS |v)?(\S+(?: rolling)?)"),
    ("model", _field("hw model", "hardware model")),
    ("serial", _field("hw s/n", "hardware s/n")),
    ("uptime_s", r"^Uptime:\s+(.*)"),
)
_HUAWEI: Final = _table(
    ("version", r"^VRP \(R\) software, Version (\S+)"),
    ("version", r"^(?:H3C|HPE?|HP) Comware.*Version ([^\s,]+)"),
    ("version", r"^Comware Software, Version ([^\s,]+)"),
    ("uptime_s", r"\buptime is (.*)"),
    ("model", r"^(?:HUAWEI|Quidway) (ATN \S+|\S+)(?: [^:]*)? uptime is"),
    ("model", r"^(?:H3C|HPE|HP|3Com) (.+?)(?: \S+ Switch.*| with \d.*)? uptime is"),
    ("model", _field("DEVICE_NAME")),
    ("serial", _field("DEVICE_SERIAL_NUMBER", "(?:device )?serial number", "BarCode", "ESN of \\S+", "ESN")),
    ("hostname", _field("sysname", "system name")),
)
_LINUX: Final = _table(
    ("hostname", r"^Linux ([\w.-]+) \d+\.\d+"),
    ("hostname", _field("Static hostname")),
    ("hostname", r"^HOSTNAME=(\S+)"),
    ("hostname", r"^Hostname is (\S+)"),
    ("version", r'^PRETTY_NAME="?([^"]+)"?'),
    ("version", _field("Operating System", "Description")),
    ("version", r"^DISTRIB_RELEASE=(\S+)"),
    ("version", r"^Linux \S+ (\d+\.\d+\S*) "),
    ("version", r"^(?:Linux )?(\d+\.\d+\.\d+-\S+)$"),
    ("version", r"^ovs-vsctl \(Open vSwitch\) (\S+)"),
    ("version", r'^\s+ovs_version: "?(\d[^\s"]*)'),
    ("version", r"^(?:BIRD|FRRouting) (?:version )?(\d\S*)"),
    ("hostname", r"^FRRouting \S+ \(([\w.-]+)\)"),
    ("model", _field("Product Name", "Hardware Model")),
    ("serial", _field("Serial Number")),
    ("uptime_s", r"\bup (\d.*?),\s+\d+ users?"),
    ("uptime_s", r"^(\d+\.\d\d) \d+\.\d\d$"),
    ("uptime_s", r"^ ?up (\d.*)"),
)

_OWN: Final[Mapping[str, Patterns]] = {
    "cisco_ios": _IOS,
    "cisco_xe": _IOS,
    "frr_linux": _LINUX,
    "cisco_nxos": _table(
        ("version", r"^\s*(?:NXOS|system):\s+version\s+(\S+)"),
        ("model", r"^\s*cisco Nexus ?\d+ ([A-Z]\S+)(?: \([^)]*\))? Chassis"),
        ("model", r"^\s*cisco (Nexus ?\S+)(?: \([^)]*\))? Chassis"),
        ("model", r"^\s*cisco (\S+)(?: \([^)]*\))? Chassis"),
        ("serial", r"^\s*Processor Board ID (\S+)"),
        ("hostname", r"^\s*Device name:\s+(\S+)"),
        ("uptime_s", r"^Kernel uptime is (.*)"),
    ),
    "cisco_xr": _table(
        ("version", r"^Cisco IOS XR Software, Version (\S+?)(?:\[|\s|$)"),
        ("version", r"^\s*Version\s*:\s*(\S+)"),
        ("hostname", r"^(?!system )([\w.-]+) uptime is "),
        ("uptime_s", r"^(?:\S+ )?uptime is (.*)"),
        ("model", r"^((?:ASR|NCS|CRS)[ -]?\d[\w-]*)\b.{0,60}\bChassis\b"),
        ("model", r"^(IOS XRv(?: \d+)?) Chassis"),
        ("model", r"^cisco (\S+(?: Series)?) \(.*\) processor"),
        ("model", r"^cisco (\S+(?:[ -]\S+)?) \(\)? processor"),
        ("model", r"^cisco (\S+).* processor"),
    ),
    "cisco_asa": _table(
        ("version", r"^Model\s*:.*Threat Defense.*Version (\S+)"),
        ("version", r"^Cisco (?:Adaptive Security Appliance|Firepower|PIX).*Version (\S+)"),
        ("hostname", r"^([\w.-]+) up \d+ "),
        ("uptime_s", r"^[\w.-]+ up (\d+ .*)"),
        ("model", r"^Model Id:\s+(\S+)"),
        ("model", r"^Hardware:\s+([^\s,]+)"),
        ("model", r"^Model\s*:\s*(?:Cisco )?(.+?)(?: Threat Defense)? \(\d+\) Version"),
        ("serial", r"^Serial Number:\s+(\S+)"),
    ),
    "cisco_wlc": _table(
        ("version", _field("product version")),
        ("hostname", _field("system name")),
        ("uptime_s", _field("system up time")),
        ("model", r"\bPID:\s*([^\s,]+)"),
        ("serial", r"\bSN:\s*(\S+)"),
    ),
    "cisco_s300": _table(
        ("version", r"^\s*SW version\s+(\d\S+)"),
        ("version", _field("version", "active-image version")),
        ("model", _field("system description", "model")),
        ("model", r"\bPID:\s*([^\s,]+)"),
        ("serial", r"\bSN:\s*(\S+)"),
        ("serial", _field("serial number")),
        ("hostname", _field("system name")),
        ("uptime_s", r"^System Up Time \(days,hour:min:sec\):\s*(.*)"),
    ),
    "arista_eos": _table(
        ("version", r"^Software image version:\s*(\S+)"),
        ("model", r"^Arista (\S+)"),
        ("model", r"^(vEOS\S*|cEOS\S*)"),
        ("serial", r"^Serial number:[ \t]*(\S+)"),
        ("uptime_s", r"^Uptime:\s*(.*)"),
        ("hostname", r"^Hostname:\s*(\S+)"),
    ),
    "juniper_junos": _table(
        ("version", r"^Junos:\s*(\S+)"),
        (
            "version",
            r"^(?:JUNOS|KERNEL|Junos) .*(?:Suite|Software|OS Kernel|boot|Release) \[?([\d.]+[A-Z][\w.-]+?)\]?$",
        ),
        ("version", r"\[(\d+\.\d+[A-Z][\w.-]+)\]"),
        ("hostname", r"^Hostname:\s*(\S+)"),
        ("model", r"^Model:\s*(\S+)"),
        ("model", r"^Chassis\s+(?:REV \S+\s+\S+\s+)?\S+\s{2,}\S.*\[(\S+)\]$"),
        ("model", r"^Chassis\s+(?:REV \S+\s+\S+\s+)?\S+\s{2,}(?!Virtual Chassis)(\S+)$"),
        ("serial", r"^Chassis\s{2,}(?:REV \S+\s+\S+\s+)?([A-Z0-9]{5,})\b"),
        ("serial", r"^Serial number:\s*(\S+)"),
        ("uptime_s", r"^System booted:.*\((.*) ago\)"),
    ),
    "huawei": _HUAWEI,
    "huawei_vrp": _HUAWEI,
    "hp_comware": _HUAWEI,
    "hp_procurve": _table(
        ("version", _field("software revision")),
        ("version", r"^\s*Software revision\s*:\s*(\S+)"),
        ("version", r"^\s{2,}([A-Z]{1,2}\.\d\d\.\d\d\S*)\s*$"),
        ("hostname", r"^\s*System Name\s*:\s*(\S+)"),
        ("serial", r"Serial Number\s*:\s*(\S+)"),
        ("uptime_s", r"Up Time\s*:\s*(.+?)(?:\s{3,}|$)"),
        ("model", _field("model", "product")),
    ),
    "aruba_aoscx": _table(
        ("version", r"^\s*(?:ArubaOS-CX|AOS-CX) Version\s*:\s*(\S+)"),
        ("version", r"^\s*Version\s*:\s*(\S+)"),
        ("version", r"^\s*Software Version\s*:\s*(\S+)"),
        ("hostname", r"^\s*Hostname\s*:\s*(\S+)"),
        ("model", r"^\s*Product Name\s*:\s*(.+)"),
        ("serial", r"^\s*Chassis Serial Nbr\s*:\s*(\S+)"),
        ("uptime_s", r"^\s*Up Time\s*:\s*(.+)"),
    ),
    "aruba_os": _table(
        ("version", r"^(?:ArubaOS|Aruba Operating System).*Version (\S+)"),
        ("version", r"Version (\d+\.\d+\.\d+\.\d+\S*)"),
        ("model", r"\(MODEL: ([^)]+)\)"),
        ("uptime_s", r"(?:Switch|AP) uptime is (.*)"),
        ("serial", r"^SC Serial#\s*:\s*(\S+)"),
        ("serial", r"^System Serial#\s*:\s*(\S+)"),
        ("serial", r"^IAP Serial Number\s*:\s*(\S+)"),
        ("model", r"^SC Model#\s*:\s*(\S+)"),
    ),
    "fortinet": _table(
        ("version", r"^Version:\s*\S+ v(\d+\.\d+\.\d+)"),
        ("version", r"^Version:\s*\S+ v?(\d[^\s,]+)"),
        ("version", r"^Version\s*:\s*v(\d+\.\d+\.\d+)"),
        ("model", r"^Version:\s*(\S+) v"),
        ("model", r"^Platform (?:Full Name|Type)\s*:\s*(\S+)"),
        ("serial", r"^Serial[- ]Number\s*:\s*(\S+)"),
        ("hostname", r"^Hostname\s*:\s*(\S+)"),
        ("uptime_s", r"^Uptime:\s*(.*)"),
        ("uptime_s", r"^Cluster uptime:\s*(.*)"),
    ),
    "paloalto_panos": _table(
        ("version", r"^sw-version:\s*(\S+)"),
        ("hostname", r"^hostname:\s*(\S+)"),
        ("model", r"^model:\s*(\S+)"),
        ("serial", r"^serial:\s*(\S+)"),
        ("uptime_s", r"^uptime:\s*(.*)"),
    ),
    "checkpoint_gaia": _table(
        ("version", r"^Product version\s+(?:Check Point Gaia )?(R?\S+)"),
        ("version", r"^This is Check Point.*version (\S+)"),
        ("model", r"^Platform:\s*(.+)"),
        ("model", r"^Model:\s*(.+)"),
        ("serial", r"^(?:Chassis )?Serial Number:\s*(\S+)"),
        ("serial", r"^(?:Appliance )?SN:\s*(\S+)"),
        ("hostname", r"^Hostname:?\s+(\S+)"),
        ("uptime_s", r"\bup (\d.*?),\s+\d+ users?"),
    ),
    "f5_tmsh": _table(
        ("version", r"^\s*Version\s+(\d\S+)"),
        ("model", r"^\s*(BIG-IP \S.*?)\s*$"),
        ("model", r"^\s*Name\s+(BIG-IP \S.*?)\s*$"),
        ("serial", r"^\s*Chassis Serial\s+(\S+)"),
        ("serial", r"^\s*Appliance Serial\s+(\S+)"),
        ("hostname", r"^\s*hostname\s+(\S+)"),
    ),
    "mikrotik_routeros": _table(
        ("version", r"^\s*(?:version|current-firmware):\s*(\d\S*)"),
        ("version", r"^# .*by RouterOS (\S+)"),
        ("model", r"^\s*(?:board-name|model):\s*(.+)"),
        ("model", r"^# model = (\S.*)"),
        ("serial", r"^\s*serial-number:\s*(\S+)"),
        ("serial", r"^# serial number = (\S+)"),
        ("hostname", r"^\s*name:\s*(\S.*)"),
        ("uptime_s", r"^\s*uptime:\s*(\S+)"),
    ),
    "dell_os9": _table(
        ("version", r"^(?:Dell|Force10)\b.*Application Software Version:\s*(\S+)"),
        ("version", r"^Dell\b(?!.*Operating System).*\bVersion:\s*(\S+)"),
        ("model", r"^System Type:\s*(\S+)"),
        ("hostname", r"^([\w.-]+) uptime is "),
        ("uptime_s", r"uptime is (.*)"),
    ),
    "dell_os10": _table(
        ("version", r"^OS Version:\s*(\S+)"),
        ("model", r"^System Type:\s*(\S+)"),
        ("uptime_s", r"^Up Time:\s*(.*)"),
        ("serial", r"^Service Tag\s*:\s*(\S+)"),
    ),
    "dell_os6": (
        *_FASTPATH,
        *_table(
            ("version", r"^\s*\d\s+(\d+\.\d+\.\d+\.\d+)\s+\d+\.\d"),
            ("serial", _field("service tag", "asset tag")),
        ),
    ),
    "ubiquiti_edgeswitch": _FASTPATH,
    "ubiquiti_edgerouter": _EDGEROUTER,
    "vyos": _EDGEROUTER,
    "extreme_exos": _table(
        ("version", r"^(?:Image\s*:\s*)?.*ExtremeXOS version (\S+)"),
        ("version", r"^Image\s*:.*version (\S+)"),
        ("version", r"^(?:Primary|Secondary) ver:\s*(\d\S+)"),
        ("hostname", r"^SysName:\s*(\S+)"),
        ("model", r"^System Type:\s*(\S+)"),
        ("serial", r"^Switch\s*:\s*\S+ (\S+)(?: Rev|\s)"),
        ("uptime_s", r"^System UpTime:\s*(.*)"),
    ),
    "extreme_vsp": _table(
        ("version", r"^\s*SysDescr\s*:.*\((\d[\w.]+)\)"),
        ("model", r"^\s*SysDescr\s*:\s*(\S+)"),
        ("hostname", r"^\s*SysName\s*:\s*(\S+)"),
        ("uptime_s", r"^\s*SysUpTime\s*:\s*(.*)"),
        ("model", r"^\s*ModelName\s*:\s*(\S+)"),
        ("serial", r"^\s*Serial(?:#|Number)\s*:\s*(\S+)"),
    ),
    "ruckus_fastiron": _table(
        ("version", r"\bSW: Version (\S+)"),
        ("version", r"IronWare\s*:?\s*Version V?(\S+?)(?:\s|$)"),
        ("model", r"^\s*HW: (?:Stackable )?(\S+)"),
        ("model", r"^System(?: Mode)?: (?:NetIron |Brocade )?(\S+)"),
        ("serial", r"^\s*Serial\s+#:\s*(\S+)"),
        ("serial", r"\(Serial #:\s*([^,)]+)"),
        ("uptime_s", r"^\s*The system uptime is (.*)"),
        ("uptime_s", r"system uptime is (.*)"),
        ("hostname", r"^hostname (\S+)"),
    ),
    "nokia_sros": _table(
        ("version", r"^System Version\s*:\s*(\S+)"),
        ("version", r"^TiMOS-(\S+)"),
        ("hostname", r"^System Name\s*:\s*(\S+)"),
        ("model", r"^System Type\s*:\s*(.+)"),
        ("model", r"^TiMOS-\S+ \S+ (?:Nokia|ALCATEL) (.+?)(?: Copyright|$)"),
        ("uptime_s", r"^System Up Time\s*:\s*(.*)"),
        ("serial", r"^\s*(?:Hw )?Serial number\s*:\s*(\S+)"),
    ),
    "nokia_srl": _table(
        ("hostname", _field("Hostname")),
        ("model", _field("Chassis Type")),
        ("serial", _field("Serial Number")),
        ("version", _field("Software Version")),
    ),
    "alcatel_aos": _table(
        ("model", r"^\s*Description:\s*Alcatel-Lucent (?:Enterprise )?(OS\S+)"),
        ("model", r"^\s*Description:\s*Alcatel-Lucent (?:Enterprise )?.*?(OS\S+)"),
        ("version", r"^\s*Description:.*\s(\d+\.\d+\.\d+\.\S+)"),
        ("hostname", r"^\s*Name:\s*([^\s,]+)"),
        ("uptime_s", r"^\s*Up Time:\s*([^,]+)"),
        ("serial", r"^\s*Serial Number:\s*([^\s,]+)"),
        ("model", r"^\s*Model Name:\s*([^\s,]+)"),
    ),
    "zte_zxros": _table(
        ("version", r"Version:?\s*(?:ZXR10\s+)?(?:\S+ )?(V\d\S+?),?(?:\s|$)"),
        ("model", r"^(?:ZTE )?ZX(?:R10|CTN)[ _](?!Software|Router|OS)(\S+)"),
        ("uptime_s", r"uptime is (.*)"),
        ("hostname", r"^System name:\s*(\S+)"),
    ),
    "mellanox_mlnxos": _table(
        ("version", r"^Product release:\s*(\S+)"),
        ("model", r"^Product model:\s*(\S+)"),
        ("uptime_s", r"^Uptime:\s*(.*)"),
        ("hostname", r"^Host ?name:\s*(\S+)"),
        ("serial", r"^(?:System )?Serial (?:num|number):\s*(\S+)"),
    ),
    "linux": _LINUX,
    "cumulus_linux": (*_table(("version", r'^(?:VERSION_ID|DISTRIB_RELEASE)="?(\d[^"]*)"?')), *_LINUX),
    "cisco_viptela": _table(
        ("version", _field("Version")),
        ("version", r"^(\d{1,2}\.\d{1,2}\.\d{1,3}(?:\.\d{1,3})?[a-z]?)$"),
        ("serial", _field("Chassis-number", "Board-serial")),
        ("hostname", _field("Hostname")),
        ("uptime_s", _field("System uptime")),
    ),
}

# Other names of the same systems.
_ALIKE: Final = {
    "alcatel_sros": "nokia_sros",
    "avaya_vsp": "extreme_vsp",
    "brocade_netiron": "ruckus_fastiron",
    "brocade_vyos": "vyos",
    "dell_dnos9": "dell_os9",
    "dell_force10": "dell_os9",
    "dell_powerconnect": "dell_os6",
    "extreme": "extreme_exos",
    "extreme_netiron": "ruckus_fastiron",
    "f5_ltm": "f5_tmsh",
    "mellanox": "mellanox_mlnxos",
    "ovs_linux": "linux",
    "vyatta_vyos": "vyos",
}
PATTERNS: Final[Mapping[str, Patterns]] = {**_OWN, **{name: _OWN[same] for name, same in _ALIKE.items()}}

# Whose words they are, where the platform does not say.
FAMILIES: Final = tuple(
    (family, re.compile(pattern, re.IGNORECASE))
    for family, pattern in (
        ("cisco_nxos", r"^Cisco Nexus Operating System"),
        ("cisco_xr", r"^Cisco IOS XR Software"),
        ("cisco_asa", r"^Cisco Adaptive Security Appliance"),
        ("cisco_ios", r"^Cisco (?:IOS|Internetwork|AP) (?:Software|Operating|XE)|^(?:Cisco )?IOS \(tm\)"),
        ("arista_eos", r"^Arista \S+$|^Arista vEOS|^Software image version: \d+\.\d+"),
        ("juniper_junos", r"^Junos: |^JUNOS .*\["),
        ("huawei", r"^(?:Huawei Versatile Routing Platform|VRP \(R\) software|H3C Comware|HPE? Comware)"),
        ("fortinet", r"^Version: Forti\w+-\S+ v\d"),
        ("paloalto_panos", r"^sw-version: "),
        ("checkpoint_gaia", r"^Product version Check Point|^This is Check Point"),
        ("f5_tmsh", r"^Sys::Version|^\s*Product\s+BIG-IP"),
        ("mikrotik_routeros", r"^\s*platform: MikroTik"),
        ("nokia_sros", r"^TiMOS-"),
        ("vyos", r"^Version:\s+VyOS "),
        ("extreme_exos", r"ExtremeXOS version "),
        ("dell_os10", r"^Dell EMC Networking OS10|^Dell SmartFabric OS10"),
        ("linux", r"^Linux \S+ \d+\.\d+|^PRETTY_NAME=|^FRRouting \d|^BIRD \d|\(Open vSwitch\)"),
    )
)

GENERAL: Final = _table(
    ("hostname", _field("host ?name", "system name", "sysname", "device name")),
    ("serial", _field("(?:system |chassis |device |hardware |appliance )?serial(?: ?(?:number|no\\.?|num|nbr|#))?")),
    ("model", _field("(?:hardware |device |product |switch |system |chassis )?model(?: ?(?:name|number|type))?")),
    ("version", _field("(?:software |firmware |os |system |image |sw )version")),
    ("uptime_s", _field("(?:system |device |switch )?up ?time")),
    ("uptime_s", r"\b(?:up ?time is|system has been up) (.*)"),
)

# Software that runs under another system's command line, and so is not what the platform says.
SOFTWARE: Final = _table(("FRRouting", r"^FRRouting \d"), ("BIRD", r"^BIRD \d"), ("Open vSwitch", r"\(Open vSwitch\)"))

# Where a configuration names its device.
CONFIGURATION: Final = _table(
    ("hostname", r'^(?:hostname|sysname|switchname|device-name|system-name|set host-?name) "?([\w.-]+)"?;?$'),
    ("hostname", r"^\s*(?:set )?(?:system )?host-name '?([\w.-]+)'?;?$"),
    ("hostname", r"^\s*set (?:deviceconfig system )?hostname \"?([\w.-]+)\"?$"),
    ("hostname", r'^\s*sysname "?([\w.-]+)"?$'),
    ("hostname", r'^\s*(?:configure snmp sysName|snmp-server sysname|system name|set prompt|name) "([\w.-]+)"$'),
    ("hostname", r'^set name="?([^"]+?)"?$'),
    ("hostname", r"^config sysname (\S+)$"),
)

# For devices whose platform says no vendor.
VENDORS: Final = tuple(
    (vendor, re.compile(pattern, re.IGNORECASE))
    for vendor, pattern in (
        ("Arista", r"^Arista\b"),
        ("Cisco", r"\bCisco (?:IOS|Systems|Nexus|Adaptive|Controller|Firepower)|^cisco "),
        ("Juniper", r"\bjunos\b|^Juniper"),
        ("Huawei", r"^Huawei (?:Versatile|Technologies)"),
        ("H3C", r"^H3C\b"),
        ("HPE", r"^HPE? Comware|Hewlett"),
        ("MikroTik", r"platform: MikroTik|by RouterOS"),
    )
)
