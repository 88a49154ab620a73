import re
from dataclasses import replace

import pytest

from devices.configs import changed
from devices.configs.normalise import clean, normalise, restorable
from devices.connector.platforms import platform
from tests.devices import noise


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("a\r\nb\r\n", "a\nb\n"),
        ("a\r\r\nb", "a\nb"),
        ("a\n\rb", "a\nb"),
        ("a\rb\rc", "a\nb\nc"),
        ("\x1b[1;32mgreen\x1b[0m", "green"),
        ("\x1b]0;title\x07prompt", "prompt"),
        ("x\x00y\x07", "xy"),
        ("é\x00y\x07", "éy"),
        ("abc\u202edef\u2066\ufeff", "abcdef"),
        ("--More-- \r         \rinterface x\n", "interface x\n"),
        (" --More-- \b\b\b\b\b\b\b\b\b\b          \b\b\b\b\b\b\b\b\b\b vlan 1\n", " vlan 1\n"),
        ("  ---- More ----\x1b[42D                                          \x1b[42Dsysname a\n", "sysname a\n"),
        ("--More--\x1b[2K\rend\n", "end\n"),
        ("--More--\r\x1b[Kend\n", "end\n"),
        ("typo\b\b\b\btext", "text"),
        ("tab\there é 漢", "tab\there é 漢"),
    ],
)
def test_what_a_terminal_would_show_is_kept(printed: str, shown: str) -> None:
    assert clean(printed) == shown


@pytest.mark.parametrize(
    "patterns",
    [
        (r"^a(?P<one>b)(?P<volatile>\d+)", r"^x(?P<one>y)(?P<volatile>\d+)"),
        (r"^(?:b|a)b(?P<volatile>\d+)", r"^(x)y(?P<volatile>\d+)\1?"),
    ],
    ids=["groups of one name", "references"],
)
def test_patterns_that_cannot_be_joined_apply_all_the_same(
    monkeypatch: pytest.MonkeyPatch, patterns: tuple[str, ...]
) -> None:
    rules = replace(platform("cisco_ios"), volatile=tuple(re.compile(each) for each in patterns))
    monkeypatch.setattr("devices.configs.normalise.platform_or_generic", lambda name: rules)
    assert normalise("ab12\nxy34\nz5\n", "cisco_ios") == "ab\nxy\nz5\n"


def test_cleaning_twice_changes_nothing() -> None:
    once = clean("a\x1b[31mb\r\n--More--\r        \rc\x00")
    assert clean(once) == once


def test_order_and_indentation_are_kept() -> None:
    assert normalise("b\n a\n\n\nb  \n", "cisco_ios") == "b\n a\nb\n"
    assert normalise("!\nb\n!\nBuilding configuration...\nb\n!\n", "cisco_ios") == "!\nb\n!\nb\n!\n"


def test_a_changed_secret_is_a_change_where_the_device_does_not_salt_it() -> None:
    assert changed("enable secret 5 $1$aa$bbbbbbbb\nend", "enable secret 5 $1$aa$cccccccc\nend", "cisco_ios")


def test_a_secret_that_is_encrypted_anew_is_none() -> None:
    before, after = "        set psksecret ENC abcdefgh12345678\n", "        set psksecret ENC zyxwvuts87654321\n"
    assert not changed(before, after, "fortinet")
    assert changed(before, after.replace("psksecret", "passwd"), "fortinet")


def test_an_unknown_platform_is_compared_by_the_general_rules() -> None:
    assert not changed("! Last configuration change at 1\na", "! Last configuration change at 2\na", "no_such_platform")
    assert changed("ip address 10.0.0.1", "ip address 10.0.0.2", "no_such_platform")


@pytest.mark.parametrize(
    "line",
    [
        "interface Vlan10",
        " description last changed by anna",
        " description uptime is good",
        "ip route 10.0.0.0 255.0.0.0 10.1.1.1",
        "snmp-server location Mon Jan 1 floor",
        "ntp server 10.0.0.1",
        "hostname generated",
    ],
)
def test_an_ordinary_line_is_not_taken_for_noise(line: str) -> None:
    assert line in normalise(f"{line}\nend\n", "cisco_ios")


def test_a_date_in_a_comment_is_noise_and_the_rest_of_the_comment_is_not() -> None:
    assert not changed("# saved 2025-03-04 10:11:12 by anna", "# saved 2025-03-05 23:00:00 by anna", "linux")
    assert changed("# rev 7 2025-03-04 10:11:12", "# rev 8 2025-03-04 10:11:12", "linux")


def test_an_empty_text_is_compared_too() -> None:
    assert normalise("", "cisco_ios") == ""
    assert changed("", "hostname a", "cisco_ios")


@pytest.mark.parametrize(("platform", "before", "after"), noise.NOISE)
def test_what_an_unchanged_device_prints_anew_is_no_change(platform: str, before: str, after: str) -> None:
    assert not changed(f"hostname x\n{before}\nline\nend\n", f"hostname x\n{after}\nline\nend\n", platform)
    assert not changed(f"{before}\nhostname x\n", f"{after}\nhostname x\n", platform)


@pytest.mark.parametrize(("platform", "before", "after"), noise.CHANGES)
def test_a_change_that_looks_like_noise_is_one(platform: str, before: str, after: str) -> None:
    assert changed(f"hostname x\n{before}\nline\nend\n", f"hostname x\n{after}\nline\nend\n", platform)


def test_a_banner_is_kept_whatever_it_says_for_a_restore_too() -> None:
    text = "banner motd ^C\n! Last configuration change at noon\n^C\n! Last configuration change at noon\nend\n"
    assert restorable(text, "cisco_ios") == text.replace("^C\n! Last configuration change at noon\nend", "^C\nend")
