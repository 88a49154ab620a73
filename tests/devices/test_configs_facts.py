import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.configs import facts
from devices.configs.facts import changed_by, uptime_seconds
from tests.devices import dumps

IOS = """Cisco IOS Software [Cupertino], Catalyst L3 Switch Software (CAT9K), Version 17.9.4a, RELEASE SOFTWARE (fc3)
Technical Support: http://www.cisco.com/techsupport
ROM: IOS-XE ROMMON
ams-core-1 uptime is 3 weeks, 2 days, 4 hours, 5 minutes
Uptime for this control processor is 3 weeks, 2 days, 4 hours, 7 minutes
System image file is "flash:packages.conf"
cisco C9300-24T (X86) processor with 1331521K/6147K bytes of memory.
Processor board ID FCW2144A0BC
Configuration register is 0x102
"""

CASES = [
    (
        "cisco_ios",
        "show version",
        IOS,
        {
            "hostname": "ams-core-1",
            "vendor": "Cisco",
            "model": "C9300-24T",
            "serial": "FCW2144A0BC",
            "version": "17.9.4a",
            "uptime_s": 3 * 604800 + 2 * 86400 + 4 * 3600 + 5 * 60,
        },
    ),
    (
        "cisco_ios",
        "show version",
        "FRRouting 8.4.4 (edge-2) on Linux(6.1.0).\nCopyright 1996-2005 Kunihiro Ishiguro, et al.\n",
        {"hostname": "edge-2", "vendor": "FRRouting", "version": "8.4.4"},
    ),
    (
        "cisco_nxos",
        "show version",
        "Software\n  BIOS: version 07.69\n  NXOS: version 9.3(8)\nHardware\n  cisco Nexus9000 C93180YC-EX chassis\n"
        "  Processor Board ID FDO21510ABC\n\n  Device name: leaf-1\n  bootflash:   53298520 kB\n"
        "Kernel uptime is 12 day(s), 3 hour(s), 4 minute(s), 5 second(s)\n",
        {
            "hostname": "leaf-1",
            "vendor": "Cisco",
            "model": "C93180YC-EX",
            "serial": "FDO21510ABC",
            "version": "9.3(8)",
            "uptime_s": 12 * 86400 + 3 * 3600 + 4 * 60 + 5,
        },
    ),
    (
        "arista_eos",
        "show version",
        "Arista DCS-7050TX-64-R\nHardware version: 02.00\nSerial number: JPE15200157\n\n"
        "Software image version: 4.28.1F\nArchitecture: i686\n\nUptime: 6 weeks, 1 day, 2 hours and 3 minutes\n",
        {
            "vendor": "Arista",
            "model": "DCS-7050TX-64-R",
            "serial": "JPE15200157",
            "version": "4.28.1F",
            "uptime_s": 6 * 604800 + 86400 + 2 * 3600 + 180,
        },
    ),
    (
        "juniper_junos",
        "show version",
        "Hostname: mx-7\nModel: mx204\nJunos: 21.4R3.15\nJUNOS OS Kernel 64-bit  [2022]\n",
        {"hostname": "mx-7", "vendor": "Juniper", "model": "mx204", "version": "21.4R3.15"},
    ),
    (
        "juniper_junos",
        "show system uptime",
        "Current time: 2025-03-04 10:11:12 UTC\nSystem booted: 2025-02-01 08:00:00 UTC (4w3d 02:11 ago)\n",
        {"vendor": "Juniper", "uptime_s": 4 * 604800 + 3 * 86400 + 2 * 3600 + 11 * 60},
    ),
    (
        "huawei",
        "display version",
        "Huawei Versatile Routing Platform Software\nVRP (R) software, Version 5.170 (S5720 V200R010C00SPC600)\n"
        "HUAWEI S5720-28X-SI-AC Routing Switch uptime is 10 weeks, 2 days, 3 hours, 4 minutes\n",
        {
            "vendor": "Huawei",
            "model": "S5720-28X-SI-AC",
            "version": "5.170",
            "uptime_s": 10 * 604800 + 2 * 86400 + 3 * 3600 + 240,
        },
    ),
    (
        "fortinet",
        "get system status",
        "Version: FortiGate-91G v7.4.7,build2731,250120 (GA.M)\nSerial-Number: FGT91G0000000001\nHostname: fw-3\n",
        {
            "hostname": "fw-3",
            "vendor": "Fortinet",
            "model": "FortiGate-91G",
            "serial": "FGT91G0000000001",
            "version": "7.4.7",
        },
    ),
    (
        "paloalto_panos",
        "show system info",
        "hostname: pa-3\nuptime: 5 days, 1:02:03\nmodel: PA-440\nserial: 021000000001\nsw-version: 10.2.4\n",
        {
            "hostname": "pa-3",
            "vendor": "Palo Alto Networks",
            "model": "PA-440",
            "serial": "021000000001",
            "version": "10.2.4",
            "uptime_s": 5 * 86400 + 3723,
        },
    ),
    (
        "mikrotik_routeros",
        "/system resource print",
        "       uptime: 1w2d3h4m5s\n      version: 7.16 (stable)\n   board-name: RB5009UPr+S+\n"
        "                 platform: MikroTik\n",
        {
            "vendor": "MikroTik",
            "model": "RB5009UPr+S+",
            "version": "7.16",
            "uptime_s": 604800 + 2 * 86400 + 3 * 3600 + 245,
        },
    ),
    (
        "linux",
        "uname -a; cat /etc/os-release; hostname; cat /proc/uptime",
        'Linux web-1 6.1.0-18-amd64 GNU/Linux\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n12345.67 23456.78\n',
        {"hostname": "web-1", "version": "Debian GNU/Linux 12 (bookworm)", "uptime_s": 12345},
    ),
    (
        "nokia_sros",
        "show system information",
        "System Name            : sr-9\nSystem Type            : 7750 SR-1\nSystem Version         : C-20.10.R4\n"
        "System Up Time         : 41 days, 02:12:06.34 (hr:min:sec)\n",
        {
            "hostname": "sr-9",
            "vendor": "Nokia",
            "model": "7750 SR-1",
            "version": "C-20.10.R4",
            "uptime_s": 41 * 86400 + 2 * 3600 + 12 * 60 + 6,
        },
    ),
    (
        "bird_linux",
        "birdc show status",
        "BIRD 2.0.12 ready.\nBIRD 2.0.12\nRouter ID is 10.255.0.9\nHostname is rs-1\n",
        {"hostname": "rs-1", "vendor": "BIRD", "version": "2.0.12"},
    ),
]


@pytest.mark.parametrize(("platform", "command", "text", "expected"), CASES)
def test_a_device_is_taken_at_its_word(platform: str, command: str, text: str, expected: dict[str, object]) -> None:
    assert facts(text, platform, command) == expected


@pytest.mark.parametrize(("platform", "command", "text", "expected"), CASES)
def test_line_endings_of_a_terminal_do_not_matter(
    platform: str, command: str, text: str, expected: dict[str, object]
) -> None:
    assert facts(text.replace("\n", "\r\n"), platform, command) == expected


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("2 years, 31 weeks, 6 days, 9 hours, 55 minutes", 2 * 31536000 + 31 * 604800 + 6 * 86400 + 9 * 3600 + 55 * 60),
        ("123 day(s), 5 hour(s), 15 minute(s), 19 second(s)", 123 * 86400 + 5 * 3600 + 15 * 60 + 19),
        ("6w5d11h55m45s", 6 * 604800 + 5 * 86400 + 11 * 3600 + 55 * 60 + 45),
        ("70,03:16:47", 70 * 86400 + 3 * 3600 + 16 * 60 + 47),
        ("2 days, 2:38:49", 2 * 86400 + 2 * 3600 + 38 * 60 + 49),
        ("16:17:57 up 11 days,  6:15,  1 user,  load average: 0.09, 0.06, 0.01", 11 * 86400 + 6 * 3600 + 15 * 60),
        ("109 days 16 hrs 33 mins 12 secs", 109 * 86400 + 16 * 3600 + 33 * 60 + 12),
        ("35w6d 00:59", 35 * 604800 + 6 * 86400 + 59 * 60),
        ("12 days 12h:42m:42s", 12 * 86400 + 12 * 3600 + 42 * 60 + 42),
        ("59 day(s), 00:41:29", 59 * 86400 + 41 * 60 + 29),
        ("never", None),
    ],
)
def test_every_way_to_say_how_long(said: str, seconds: int | None) -> None:
    assert uptime_seconds(said) == seconds


@pytest.mark.parametrize(
    ("platform", "command", "text", "expected"),
    [
        (
            "cisco_xr",
            "show version",
            "Cisco IOS XR Software, Version 6.1.4[Default]\npe-1 uptime is 1 day, 2 hours, 3 minutes\n"
            "cisco ASR9K Series (Intel 686 F6M14S4) processor with 6291456K bytes of memory.\n"
            "ASR 9006 4 Line Card Slot Chassis with V2 AC PEM\n",
            {"version": "6.1.4", "model": "ASR 9006", "hostname": "pe-1"},
        ),
        (
            "dell_os9",
            "show version",
            "Dell Real Time Operating System Software\nDell Operating System Version:  2.0\n"
            "Dell Application Software Version:  9.14(2.4)\nSystem Type: S4048-ON\n",
            {"version": "9.14(2.4)", "model": "S4048-ON"},
        ),
        (
            "cisco_asa",
            "show version",
            "Cisco Adaptive Security Appliance Software Version 9.16(4)\n\nHardware:   ASAv, 2048 MB RAM,\n"
            "Model Id:   ASAv30\n",
            {"version": "9.16(4)", "model": "ASAv30"},
        ),
        (
            "cumulus_linux",
            "cat /etc/os-release",
            'NAME="Cumulus Linux"\nVERSION_ID=5.6.0\nVERSION="Cumulus Linux 5.6.0"\nPRETTY_NAME="Cumulus Linux"\n',
            {"version": "5.6.0"},
        ),
        (
            "fortinet",
            "get system status",
            "Platform Type                   : FMG-VM64\n"
            "Version                         : v7.4.3-build2487 240301 (GA)\n"
            "Serial Number                   : FMG-VMTM24000001\nHostname                        : fmg-1\n",
            {"version": "7.4.3", "model": "FMG-VM64", "serial": "FMG-VMTM24000001", "hostname": "fmg-1"},
        ),
        ("ovs_linux", "ovs-vsctl show", '4f1c\n    Bridge br0\n    ovs_version: "3.1.0"\n', {"version": "3.1.0"}),
        ("mikrotik_routeros", "/system resource print", "  version: 7.14.2 (stable)\n", {"version": "7.14.2"}),
        (
            "cisco_ios",
            "show inventory",
            'NAME: "Switch System", DESCR: "Cisco Systems, Inc. WS-C4948 switch"\n'
            "PID:                    , VID:      , SN: \n\n"
            'NAME: "Linecard(slot 1)", DESCR: "10/100/1000BaseT"\n'
            "PID: WS-C4948            , VID: V04  , SN: FOX1036ABCD\n",
            {"model": "WS-C4948", "serial": "FOX1036ABCD"},
        ),
        (
            "no_such_platform",
            "show version",
            "Product version Check Point Gaia R81.20\nOS build 631\n",
            {"version": "R81.20"},
        ),
        (
            "generic",
            "show version",
            "Junos: 22.4R3-S2.11\nModel: mx204\n",
            {"version": "22.4R3-S2.11", "model": "mx204"},
        ),
    ],
)
def test_what_stands_in_an_unusual_place_is_found(
    platform: str, command: str, text: str, expected: dict[str, str]
) -> None:
    found = facts(text, platform, command)
    assert {name: found.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("other", "name"), [("f5_ltm", "f5_tmsh"), ("dell_force10", "dell_os9"), ("extreme", "extreme_exos")]
)
def test_the_same_system_is_read_alike_under_another_name(other: str, name: str) -> None:
    text = "  Version     17.1.1\nDell Application Software Version:  9.14\nImage : ExtremeXOS version 31.7\n"
    assert facts(text, other, "show version")["version"] == facts(text, name, "show version")["version"]


def test_an_echo_and_a_prompt_around_the_answer_do_no_harm() -> None:
    text = 'Name: "Chassis", DESCR: "ASA 5516-X"\nPID: ASA5516           , VID: V01     , SN: FGL1700000A\n'
    found = facts(f"show inventory\r\n{text}\r\nfw-1# ", "cisco_asa", "show inventory")
    assert found == facts(text, "cisco_asa", "show inventory")
    assert found["serial"] == "FGL1700000A"


def test_what_is_no_serial_number_is_none() -> None:
    assert "serial" not in facts("Serial Number: -\\-\n", "generic", "show version")
    assert facts("Serial num: AB12CD, ID num: 7\n", "generic", "show version")["serial"] == "AB12CD"


def test_a_configuration_names_its_device() -> None:
    for name, hostname in {
        "cisco_ios": "ams-acc-07",
        "juniper_junos": "mx-01",
        "huawei": "hw-agg-1",
        "vyos": "vyos-1",
    }.items():
        assert facts(dumps.dump(name), name, "show configuration")["hostname"] == hostname


@pytest.mark.parametrize(
    ("name", "who"),
    [
        ("cisco_ios", ("anna", "piet")),
        ("cisco_xr", ("cisco", "noc")),
        ("cisco_asa", ("admin", "ops")),
        ("arista_eos", ("admin", "root")),
        ("juniper_junos", ("anna", "root")),
        ("huawei", ("admin", "root")),
        ("dell_os9", ("admin", "ops")),
        ("nokia_sros_md", ("admin", "ops")),
        ("mikrotik_routeros", (None, None)),
        ("linux", (None, None)),
    ],
)
def test_who_changed_it_is_told_where_the_platform_tells(name: str, who: tuple[str | None, str | None]) -> None:
    assert (changed_by(dumps.dump(name)), changed_by(dumps.dump(name, 1))) == who


def test_an_error_says_nothing_about_the_device() -> None:
    assert facts("% Invalid input detected at '^' marker.", "cisco_ios", "show version") == {}


def test_a_table_of_other_things_says_nothing_about_the_device() -> None:
    text = "Interface  Serial number\nEthernet1  Serial number: ABC123\n"
    assert facts(text, "arista_eos", "show interfaces transceiver") == {}


@settings(max_examples=100, deadline=None)
@given(
    st.text(max_size=300),
    st.sampled_from(["cisco_ios", "fortinet", "huawei", "linux", "no_such"]),
    st.text(max_size=30),
)
def test_odd_text_raises_nothing(text: str, platform: str, command: str) -> None:
    assert set(facts(text, platform, command)) <= {"hostname", "vendor", "model", "serial", "version", "uptime_s"}
    facts(text, platform, "show version")
