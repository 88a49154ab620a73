"""The pure functions against a dump of each platform, with its noise and its secrets marked."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.configs import changed, facts, redact
from devices.configs.integrity import ReasonCode, check
from devices.configs.normalise import normalise
from devices.connector.platform_types import OTHER_NAMES
from devices.connector.platforms import platform, platform_or_generic, platforms, read
from tests.devices import dumps

# What a person who reads the operating systems' manuals would expect to see for a command that is not there.
SHIPPED = sorted(read())
ERROR_LINES = Path(__file__).with_name("error_lines.txt").read_text(encoding="utf-8").splitlines()


PAGERS = [
    "--More--",
    " -- more --, next page: Space, quit: q",
    "  ---- More ----",
    "--More-- (50%)",
    "lines 1-24 ",
    "<--- More --->",
    "(END)",
    "Press any key to continue",
]


def plain_lines(name: str) -> list[int]:
    """The numbers of the lines that differ in no way between two dumps, and are no comments or blanks."""
    first, second = dumps.dump(name).split("\n"), dumps.dump(name, 1).split("\n")
    kept = set(normalise(dumps.dump(name), name).split("\n"))
    found = []
    for number, line in enumerate(first):
        if number < len(second) and line == second[number] and line.strip() and line.strip()[0] not in "!#;:":
            assert line.rstrip() in kept or re.match(r"(?i)building|current conf|running conf|preparing| Done", line), (
                line
            )
            if line.rstrip() in kept:
                found.append(number)
    return found


@pytest.mark.parametrize("name", dumps.PLATFORMS)
def test_what_changes_from_dump_to_dump_is_no_change(name: str) -> None:
    again = dumps.dump(name, 1).replace("\n", "  \r\n")
    assert dumps.dump(name) != dumps.dump(name, 1) or "‹" not in dumps.marked(name)
    assert normalise(dumps.dump(name), name) == normalise(again, name)
    assert not changed(dumps.dump(name), again, name)


@pytest.mark.parametrize("name", dumps.PLATFORMS)
def test_every_changed_digit_deleted_line_and_swap_is_a_change(name: str) -> None:
    text = dumps.dump(name)
    lines = text.split("\n")
    for number in plain_lines(name):
        line = lines[number]
        assert changed(text, "\n".join(lines[:number] + lines[number + 1 :]), name), line
        for at, sign in enumerate(line):
            if sign.isdigit():
                other = line[:at] + str((int(sign) + 1) % 10) + line[at + 1 :]
                assert changed(text, "\n".join([*lines[:number], other, *lines[number + 1 :]]), name), line
                break
        if number + 1 in plain_lines(name) and lines[number + 1] != line:
            swapped = [*lines[:number], lines[number + 1], line, *lines[number + 2 :]]
            assert changed(text, "\n".join(swapped), name), line


@pytest.mark.parametrize("name", dumps.PLATFORMS)
def test_exactly_the_secrets_are_redacted(name: str) -> None:
    assert redact(dumps.dump(name), name) == dumps.redacted(name)


@pytest.mark.parametrize("name", dumps.PLATFORMS)
def test_redacting_twice_changes_nothing(name: str) -> None:
    once = redact(dumps.dump(name), name)
    assert redact(once, name) == once


@pytest.mark.parametrize("name", dumps.PLATFORMS)
def test_a_whole_dump_is_whole(name: str) -> None:
    for which in (0, 1):
        verdict = check(dumps.dump(name, which), name, previous_size=len(dumps.dump(name)), previous=dumps.dump(name))
        assert verdict.whole, verdict


@pytest.mark.parametrize("name", dumps.PLATFORMS)
def test_a_dump_that_is_cut_at_any_place_is_not_whole(name: str) -> None:
    text = dumps.dump(name)
    collect = platform(name).collect()
    for percent in range(5, 100, 5):
        cut = text[: len(text) * percent // 100]
        if collect.end_marker is not None:
            assert not check(cut, name).whole, percent
        # Without a marker the device's prompt must follow, or the last good text tells.
        assert not check(cut, name, prompt_seen=False).whole, percent
        assert not check(cut, name, previous_size=len(text), previous=text).whole, percent


@pytest.mark.parametrize("name", dumps.PLATFORMS)
def test_an_error_line_is_no_configuration(name: str) -> None:
    text = dumps.dump(name)
    half = text[: text.index("\n", len(text) // 2)]
    for line in ERROR_LINES:
        assert check(line, name).reason_code is ReasonCode.ERROR_LINE, line
        assert not check(f"{half}\n{line}\n", name).whole, line
        assert check(f"{line}\n{text}", name).reason_code is ReasonCode.ERROR_LINE, line


@pytest.mark.parametrize("name", dumps.PLATFORMS)
def test_a_pager_left_standing_is_seen(name: str) -> None:
    text = dumps.dump(name)
    for line in PAGERS:
        assert check(f"{text[: len(text) // 2]}\n{line}", name).reason_code is ReasonCode.PAGER, line


def collects_like(name: str) -> list[str]:
    """The dumps in the form that this platform's backup has: its own, or one of the same command and marks."""
    wanted = platform(name).collect()
    shapes = (wanted.command, wanted.end_marker, wanted.structure, wanted.requires)
    found = [each for each in dumps.PLATFORMS if each == name]
    for each in dumps.PLATFORMS:
        other = platform(each).collect()
        if (other.command, other.end_marker, other.structure, other.requires) == shapes and each not in found:
            found.append(each)
    return found


@pytest.mark.parametrize("name", SHIPPED)
def test_on_each_platform_of_the_table_only_a_whole_answer_is_whole(name: str) -> None:
    dump = collects_like(name)[0]
    text = dumps.dump(dump)
    assert check(text, name, previous_size=len(text), previous=text).whole
    for percent in range(5, 100, 5):
        cut = text[: len(text) * percent // 100]
        assert not check(cut, name, prompt_seen=False).whole, percent
        assert not check(cut, name, previous_size=len(text), previous=text).whole, percent
    half = text[: text.index("\n", len(text) // 2)]
    for line in ERROR_LINES[::7]:
        assert check(line, name).reason_code is ReasonCode.ERROR_LINE, line
        assert not check(f"{half}\n{line}\n", name).whole, line


@given(st.text(max_size=400), st.sampled_from([*SHIPPED, "", "no_such_platform", "Cisco IOS"]))
@settings(max_examples=150, deadline=None)
def test_whatever_a_device_prints_is_compared_redacted_read_and_judged(text: str, name: str) -> None:
    assert not changed(text, text, name)
    assert redact(redact(text, name), name) == redact(text, name)
    assert isinstance(facts(text, name, "show version"), dict)
    assert check(text, name).reason


@pytest.mark.parametrize(
    ("alias", "name"),
    [("cisco_ios_telnet", "cisco_ios"), ("Juniper_Junos", "juniper_junos"), ("juniper", "juniper_junos")],
)
def test_another_name_of_a_platform_has_the_same_rules(alias: str, name: str) -> None:
    assert redact(dumps.dump(name), alias) == dumps.redacted(name)
    assert normalise(dumps.dump(name), alias) == normalise(dumps.dump(name, 1), alias)


@pytest.mark.parametrize(
    ("other", "name"),
    [("ios", "cisco_ios"), ("nxos", "cisco_nxos"), ("Open vSwitch", "ovs_linux"), ("frr", "frr_linux")],
)
def test_a_platform_is_known_by_the_names_that_other_tools_have_for_it(other: str, name: str) -> None:
    assert platform_or_generic(other) is platform(name)


def test_the_other_names_are_of_platforms_and_no_platforms_themselves() -> None:
    assert set(OTHER_NAMES.values()) <= set(platforms())
    assert not set(OTHER_NAMES) & set(platforms())


def test_each_dump_has_a_platform_and_the_well_known_ones_have_a_dump() -> None:
    assert set(dumps.PLATFORMS) <= set(platforms())
    assert len(dumps.PLATFORMS) >= 35
