import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from devices.connector import platforms as table
from devices.connector.platforms import (
    PlatformTableError,
    UnknownPlatformError,
    load,
    platform,
    platforms,
    split_transport,
)


@pytest.fixture(autouse=True)
def _shipped_table_afterwards() -> Iterator[None]:
    yield
    load(None)


def own(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "platforms.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_device_type_of_the_installed_netmiko_is_a_platform() -> None:
    from netmiko.ssh_dispatcher import CLASS_MAPPER, CLASS_MAPPER_BASE

    assert set(CLASS_MAPPER_BASE) <= set(platforms())
    drivers = {p.driver for p in platforms().values() if not p.telnet}
    assert drivers <= set(CLASS_MAPPER_BASE)
    telnet = {name.removesuffix("_telnet") for name in CLASS_MAPPER if name.endswith("_telnet")}
    assert {p.driver for p in platforms().values() if p.telnet} == telnet


def test_at_least_thirty_platforms_have_a_table_of_their_own() -> None:
    assert sum(1 for p in platforms().values() if p.vendor) >= 60


@pytest.mark.parametrize(
    ("device_type", "expected"),
    [
        ("cisco_ios_telnet", ("cisco_ios", "telnet")),
        ("cisco_ios_ssh", ("cisco_ios", "ssh")),
        ("cisco_ios", ("cisco_ios", "ssh")),
        (" Arista_EOS ", ("arista_eos", "ssh")),
    ],
)
def test_a_device_type_splits_into_platform_and_transport(device_type: str, expected: tuple[str, str]) -> None:
    assert split_transport(device_type) == expected


def test_an_unknown_platform_is_answered_with_near_names() -> None:
    with pytest.raises(UnknownPlatformError) as caught:
        platform("cisco-io")
    assert "cisco_ios" in caught.value.suggestions
    assert "did you mean" in str(caught.value)


def test_a_device_type_with_its_transport_is_known_but_is_no_platform() -> None:
    assert table.known_device_type("cisco_ios_telnet")
    assert not table.known_device_type("cisco_nothing")
    with pytest.raises(UnknownPlatformError, match="cisco_ios"):
        platform("cisco_ios_telnet")


def test_a_device_type_without_a_table_takes_the_general_rules() -> None:
    found = platform("adva_fsp150f2")
    assert found.collect().command == "show running-config"
    assert found.errors
    assert found.secrets


def test_what_is_asked_for_and_not_collected_is_named() -> None:
    with pytest.raises(KeyError, match="startup"):
        platform("cisco_ios").collect("licences")


@pytest.mark.parametrize("name", ["linux", "cumulus_linux"])
@pytest.mark.parametrize("shell", [["bash"], ["dash"], ["busybox", "ash"]])
def test_the_shell_command_runs_in_every_shell_and_ends_with_its_marker(name: str, shell: list[str]) -> None:
    collect = platform(name).collect()
    assert collect.end_marker is not None
    assert len(collect.command) < 500
    assert collect.command.startswith("for f in /etc/hostname")
    assert not collect.end_marker.search(collect.command)
    try:
        ran = subprocess.run([*shell, "-c", collect.command], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip(f"no {shell[0]} here")
    assert ran.returncode == 0
    assert ran.stderr == ""
    lines = ran.stdout.splitlines()
    assert lines[0] == "### /etc/hostname"
    assert collect.end_marker.search(lines[-1])


def test_a_teams_file_adds_a_platform(tmp_path: Path) -> None:
    load(
        own(
            tmp_path,
            """
            [platforms.our_firewall]
            like = "cisco_ios"
            driver = "cisco_ios"
            label = "Our firewall"
            secrets = ['^vault-key {value}']
            volatile = ['^! seen at']
            collect = [
              { kind = "running", command = "show full-config", end_marker = '^# done$', min_bytes = 10 },
              { kind = "inventory", command = "show inventory" },
            ]
            """,
        )
    )
    found = platform("our_firewall")
    assert [c.kind for c in found.collects] == ["running", "inventory"]
    assert found.driver == "cisco_ios"
    assert found.facts_command == "show version"
    assert any(p.search("! seen at 10:00") for p in found.volatile)
    assert any(r.pattern.search("vault-key abc") for r in found.secrets)
    assert any(r.pattern.search("enable secret 5 abc") for r in found.secrets)


def test_a_teams_file_changes_single_keys_of_a_shipped_platform(tmp_path: Path) -> None:
    load(own(tmp_path, "[platforms.cisco_ios]\nenable = false\nsetup = ['terminal width 0']\nvolatile = ['^! ours']\n"))
    found = platform("cisco_ios")
    assert not found.enable
    assert found.setup == ("terminal width 0",)
    assert found.collect().end_marker is not None
    assert any(p.search("! ours") for p in found.volatile)
    assert any(p.search("ntp clock-period 17") for p in found.volatile)


def test_a_general_rule_of_a_team_holds_for_every_platform(tmp_path: Path) -> None:
    load(own(tmp_path, "[general]\nvolatile = ['^vault sequence \\d+']\n"))
    assert all(any(v.search("vault sequence 7") for v in p.volatile) for p in platforms().values())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[platforms.x", "is not valid TOML"),
        ("[platform.x]\n", r"unknown table \[platform\]"),
        ("[platforms.cisco_ios]\nvolatil = ['x']\n", "volatil: unknown key; did you mean volatile"),
        ("[platforms.cisco_ios]\nvolatile = 'x'\n", "volatile: must be a list"),
        ("[platforms.cisco_ios]\nvolatile = ['(x']\n", r"volatile: '\(x' is no pattern"),
        ("[platforms.cisco_ios]\nvolatile = ['x*']\n", "matches an empty line"),
        ("[platforms.cisco_ios]\nerrors = ['(a+)+b']\n", "repeats a repetition"),
        ("[platforms.cisco_ios]\nsecrets = ['key .*']\n", "marks no secret"),
        ("[platforms.cisco_ios]\nsecrets = [{ under = 'x' }]\n", "needs a pattern"),
        ("[platforms.cisco_ios]\nsecrets = [{ pattern = 'k {value}', hidden = true }]\n", "unknown key 'hidden'"),
        ("[platforms.cisco_ios]\nenable = 'yes'\n", "enable: must be true or false"),
        ("[platforms.cisco_ios]\nlabel = 3\n", "label: must be text"),
        ("[platforms.ours]\nvendor = 'X'\n", "'ours' is no Netmiko device_type"),
        ("[platforms.ours]\ndriver = 'cisco_io'\n", "near: .*cisco_ios"),
        ("[platforms.ours]\nlike = 'nothing_here'\ndriver = 'linux'\n", "like: no platform 'nothing_here'"),
        ("[platforms.cisco_ios]\nlike = 'cisco_xe'\n", "goes round in a circle"),
        ("[platforms.cisco_ios_telnet]\nvendor = 'X'\n", "transport is no part of the name"),
        ("[platforms.'Big Name']\nvendor = 'X'\n", "small letters"),
        ("[platforms.cisco_ios]\ncollect = []\n", "nothing to collect"),
        ("[platforms.cisco_ios]\ncollect = [{ kind = 'running' }]\n", "command: missing or empty"),
        ("[platforms.cisco_ios]\ncollect = [{ kind = 'running', command = \"a\\nb\" }]\n", "command: must be one line"),
        (
            "[platforms.cisco_ios]\ncollect = [{ kind = 'a', command = 'b', min_bytes = -1 }]\n",
            "min_bytes: must be a number",
        ),
        ("[platforms.cisco_ios]\ncollect = [{ kind = 'a', command = 'b', structure = 'xml' }]\n", "'xml' is none of"),
        (
            "[platforms.cisco_ios]\ncollect = [{ kind = 'a', command = 'b' }, { kind = 'a', command = 'c' }]\n",
            "the same kind twice",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_its_place_and_changes_nothing(tmp_path: Path, text: str, complaint: str) -> None:
    before = platforms()
    path = own(tmp_path, text)
    with pytest.raises(PlatformTableError, match=complaint) as caught:
        load(path)
    assert str(path) in str(caught.value) or "platforms.toml" in str(caught.value)
    assert platforms() is before


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PlatformTableError, match=r"nowhere\.toml: cannot be read"):
        load(tmp_path / "nowhere.toml")


def test_a_pattern_is_anchored_when_each_alternative_is() -> None:
    assert table.is_anchored(r"^a(?:b|c)[|]\|d")
    assert not table.is_anchored(r"^a|b")
    assert not table.is_anchored(r"a")
    assert re.match(r"^a(?:b|c)[|]\|d", "ab||d")


def test_the_vendor_alone_suggests_what_most_have():
    with pytest.raises(UnknownPlatformError) as unknown:
        platform("cisco")
    assert unknown.value.suggestions[0] == "cisco_ios"
