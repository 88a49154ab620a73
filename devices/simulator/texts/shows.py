"""The short texts that devices show besides their configuration: versions and inventories."""

import random
from datetime import UTC, datetime

from devices.simulator.spec import SimDevice


class Facts:
    """What the short texts say of one device; the same for the same seed."""

    def __init__(self, device: SimDevice) -> None:
        made = random.Random(f"facts-{device.seed}")
        self.name = device.name
        self.platform = device.platform
        self.serial = (
            "FDO" + f"{made.randrange(1800, 2600)}" + "".join(made.choices("ABCDEFGHJKLMNPRSTUVWXYZ0123456789", k=4))
        )
        self.mac = "001c.73" + f"{made.randrange(1 << 8):02x}." + f"{made.randrange(1 << 16):04x}"
        self.days = made.randrange(3, 300)

    @property
    def uptime(self) -> tuple[int, int, int]:
        """Days, hours and minutes since the start; hours and minutes follow the clock."""
        now = datetime.now(UTC)
        return self.days, now.hour, now.minute


def ios_version(facts: Facts) -> str:
    """`show version` of IOS."""
    days, hours, minutes = facts.uptime
    return f"""\
Cisco IOS Software, C3750E Software (C3750E-UNIVERSALK9-M), Version 15.2(4)E10, RELEASE SOFTWARE (fc2)
Technical Support: http://www.cisco.com/techsupport
Copyright (c) 1986-2020 by Cisco Systems, Inc.
Compiled Tue 31-Mar-20 21:44 by prod_rel_team

ROM: Bootstrap program is C3750E boot loader
BOOTLDR: C3750E Boot Loader (C3750X-HBOOT-M) Version 12.2(53r)SE2, RELEASE SOFTWARE (fc1)

{facts.name} uptime is {days // 7} weeks, {days % 7} days, {hours} hours, {minutes} minutes
System returned to ROM by power-on
System image file is "flash:/c3750e-universalk9-mz.152-4.E10.bin"

cisco WS-C3750X-48P (PowerPC405) processor (revision A0) with 262144K bytes of memory.
Processor board ID {facts.serial}
Last reset from power-on
5 Virtual Ethernet interfaces
52 Gigabit Ethernet interfaces
2 Ten Gigabit Ethernet interfaces
The password-recovery mechanism is enabled.

Configuration register is 0xF
"""


def xe_version(facts: Facts) -> str:
    """`show version` of IOS-XE."""
    days, hours, minutes = facts.uptime
    return f"""\
Cisco IOS XE Software, Version 16.12.04
Cisco IOS Software [Gibraltar], Catalyst L3 Switch Software (CAT9K_IOSXE), Version 16.12.4, \
RELEASE SOFTWARE (fc5)
Technical Support: http://www.cisco.com/techsupport
Copyright (c) 1986-2020 by Cisco Systems, Inc.

ROM: IOS-XE ROMMON
BOOTLDR: System Bootstrap, Version 17.3.1r[FC2], RELEASE SOFTWARE (P)
{facts.name} uptime is {days // 7} weeks, {days % 7} days, {hours} hours, {minutes} minutes
System returned to ROM by PowerOn
System image file is "flash:packages.conf"
Last reload reason: PowerOn

cisco C9300-48P (X86) processor with 1331521K/6147K bytes of memory.
Processor board ID {facts.serial}
8 Virtual Ethernet interfaces
52 Gigabit Ethernet interfaces
8 Ten Gigabit Ethernet interfaces

Configuration register is 0x102
"""


def ios_inventory(facts: Facts) -> str:
    """`show inventory` of IOS, IOS-XE and NX-OS."""
    return f"""\
NAME: "1", DESCR: "WS-C3750X-48P"
PID: WS-C3750X-48P-S   , VID: V05  , SN: {facts.serial}

NAME: "Switch 1 - Power Supply 0", DESCR: "FRU Power Supply"
PID: C3KX-PWR-715WAC   , VID: V01  , SN: LIT{facts.serial[3:]}

NAME: "TenGigabitEthernet1/1/1", DESCR: "SFP-10GBase-LR"
PID: SFP-10G-LR          , VID: V02  , SN: ONT{facts.serial[3:]}

"""


def nxos_version(facts: Facts) -> str:
    """`show version` of NX-OS."""
    days, hours, minutes = facts.uptime
    return f"""\
Cisco Nexus Operating System (NX-OS) Software
TAC support: http://www.cisco.com/tac
Copyright (C) 2002-2021, Cisco and/or its affiliates.
All rights reserved.

Software
  BIOS: version 07.69
  NXOS: version 9.3(8)
  BIOS compile time:  04/07/2021
  NXOS image file is: bootflash:///nxos.9.3.8.bin
  NXOS compile time:  8/4/2021 13:00:00 [08/04/2021 23:29:44]


Hardware
  cisco Nexus9000 C93180YC-EX chassis
  Intel(R) Xeon(R) CPU  @ 1.80GHz with 24632252 kB of memory.
  Processor Board ID {facts.serial}

  Device name: {facts.name}
  bootflash:   53298520 kB
Kernel uptime is {days} day(s), {hours} hour(s), {minutes} minute(s), 12 second(s)

Last reset
  Reason: Unknown
  System version: 9.3(8)
  Service:
"""


def nxos_inventory(facts: Facts) -> str:
    """`show inventory` of NX-OS."""
    return f"""\
NAME: "Chassis",  DESCR: "Nexus9000 C93180YC-EX chassis"
PID: N9K-C93180YC-EX     ,  VID: V04 ,  SN: {facts.serial}

NAME: "Slot 1",  DESCR: "48x10/25G + 6x40/100G Ethernet Module"
PID: N9K-C93180YC-EX     ,  VID: V04 ,  SN: {facts.serial}

NAME: "Power Supply 1",  DESCR: "Nexus9000 C93180YC-EX chassis Power Supply"
PID: NXA-PAC-650W-PE     ,  VID: V01 ,  SN: LIT{facts.serial[3:]}

"""


def eos_version(facts: Facts) -> str:
    """`show version` of EOS."""
    days, hours, minutes = facts.uptime
    return f"""\
Arista DCS-7050SX3-48YC8-F
Hardware version: 11.01
Serial number: {facts.serial}
Hardware MAC address: {facts.mac}
System MAC address: {facts.mac}

Software image version: 4.28.3M
Architecture: i686
Internal build version: 4.28.3M-28837868.4283M
Internal build ID: 6f2b2d5a-2a3e-4a0a-9d9c-0c1cba5a6a5e
Image format version: 3.0
Image optimization: Default

Uptime: {days // 7} weeks, {days % 7} days, {hours} hours and {minutes} minutes
Total memory: 8099732 kB
Free memory: 6155216 kB

"""


def eos_inventory(facts: Facts) -> str:
    """`show inventory` of EOS."""
    return f"""\
System information
    Model                    Description
    ------------------------ ----------------------------------------------------
    DCS-7050SX3-48YC8        48x25GbE SFP & 8x100GbE QSFP Switch

    HW Version  Serial Number  Mfg Date   Epoch
    ----------- -------------- ---------- -----
    11.01       {facts.serial}    2020-03-01 01.00

System has 2 power supply slots
    Slot Model            Serial Number
    ---- ---------------- ----------------
    1    PWR-511-AC-RED   K192{facts.serial[3:]}
    2    PWR-511-AC-RED   K193{facts.serial[3:]}

System has 1 fan modules
    Module  Number of Fans  Model            Serial Number
    ------- --------------- ---------------- ----------------
    1       1               FAN-7000-F       N/A

"""


def junos_version(facts: Facts) -> str:
    """`show version` of Junos."""
    return f"""\
Hostname: {facts.name}
Model: ex4300-48t
Junos: 20.4R3.8
JUNOS EX  Software Suite [20.4R3.8]
JUNOS FIPS mode utilities [20.4R3.8]
JUNOS Online Documentation [20.4R3.8]
"""


def junos_inventory(facts: Facts) -> str:
    """`show chassis hardware` of Junos."""
    return f"""\
Hardware inventory:
Item             Version  Part number  Serial number     Description
Chassis                                {facts.serial}       EX4300-48T
Routing Engine 0 REV 23   650-044931   {facts.serial}       EX4300-48T
FPC 0            REV 23   650-044931   {facts.serial}       EX4300-48T
  CPU                     BUILTIN      BUILTIN           FPC CPU
  PIC 0          REV 23   BUILTIN      BUILTIN           48x 10/100/1000 Base-T
Power Supply 0   REV 03   740-046873   1EDN{facts.serial[3:]}      JPSU-350-AC-AFO-A
Fan Tray 0                                               Fan Module, Airflow Out (AFO)
"""


def huawei_version(facts: Facts) -> str:
    """`display version` of VRP."""
    days, hours, minutes = facts.uptime
    return f"""\
Huawei Versatile Routing Platform Software
VRP (R) software, Version 5.170 (S5735 V200R019C10SPC500)
Copyright (C) 2000-2020 HUAWEI TECH Co., Ltd.
HUAWEI S5735-L48T4X-A Routing Switch uptime is {days // 7} weeks, {days % 7} days, \
{hours} hours, {minutes} minutes

"""


def comware_version(facts: Facts) -> str:
    """`display version` of Comware."""
    days, hours, minutes = facts.uptime
    return f"""\
HPE Comware Software, Version 7.1.070, Release 3507P10
Copyright (c) 2010-2021 Hewlett Packard Enterprise Development LP
HPE 5130 48G 4SFP+ 1-slot HI Switch uptime is {days // 7} weeks, {days % 7} days, \
{hours} hours, {minutes} minutes
Last reboot reason : Power on

Boot image: flash:/5130hi-cmw710-boot-r3507p10.bin
Boot image version: 7.1.070, Release 3507P10
"""


def comware_inventory(facts: Facts) -> str:
    """`display device manuinfo` of Comware."""
    return f"""\
Slot 1 CPU 0:
DEVICE_NAME          : 5130-48G-4SFP+ 1-slot HI JH324A
DEVICE_SERIAL_NUMBER : {facts.serial}
MAC_ADDRESS          : {facts.mac.replace(".", "-").upper()}
MANUFACTURING_DATE   : 2021-03-01
VENDOR_NAME          : HPE
"""


def routeros_resource(facts: Facts) -> str:
    """`/system resource print` of RouterOS."""
    days, hours, minutes = facts.uptime
    return f"""\
                   uptime: {days // 7}w{days % 7}d{hours}h{minutes}m12s
                  version: 6.49.10 (long-term)
               build-time: Jul/24/2023 09:30:00
         factory-software: 6.38.5
              free-memory: 3749.1MiB
             total-memory: 3968.0MiB
                      cpu: tilegx
                cpu-count: 36
            cpu-frequency: 1200MHz
                 cpu-load: 2%
           free-hdd-space: 914.2MiB
          total-hdd-space: 1024.0MiB
        architecture-name: tile
               board-name: CCR1036-12G-4S
                 platform: MikroTik
"""


def routerboard(facts: Facts) -> str:
    """`/system routerboard print` of RouterOS."""
    return f"""\
       routerboard: yes
             model: CCR1036-12G-4S
     serial-number: {facts.serial}
     firmware-type: tilegx
  factory-firmware: 3.33
  current-firmware: 6.49.10
  upgrade-firmware: 6.49.10
"""


def fortios_status(facts: Facts) -> str:
    """`get system status` of FortiOS."""
    return f"""\
Version: FortiGate-60F v7.2.5,build1517,230606 (GA.F)
Virus-DB: 91.04733(2023-06-22 18:26)
IPS-DB: 6.00741(2015-12-01 02:30)
Serial-Number: FGT60F{facts.serial}
BIOS version: 05000016
System Part-Number: P24286-03
Log hard disk: Not available
Hostname: {facts.name}
Operation Mode: NAT
Current virtual domain: root
Max number of virtual domains: 10
Virtual domains status: 1 in NAT mode, 0 in TP mode
Virtual domain configuration: disable
FIPS-CC mode: disable
Current HA mode: standalone
Branch point: 1517
Release Version Information: GA
System time: {datetime.now(UTC):%a %b %e %H:%M:%S %Y}
Last reboot reason: power cycle
"""
