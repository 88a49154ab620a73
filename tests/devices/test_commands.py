"""What a job may send to a device that it may not change, tried by somebody who wants to change it."""

from __future__ import annotations

import itertools
import random
import string
from pathlib import Path

import pytest

from devices.connector.commands import LONGEST, CommandRefused, refuse_everywhere, refuse_unless_read_only
from devices.connector.platforms import PlatformTableError, load, platforms


@pytest.fixture
def own(tmp_path):
    """Lays these lines over the shipped table."""

    def write(text: str) -> None:
        path = tmp_path / "own.toml"
        path.write_text(text)
        load(path)

    yield write
    load(None)


def allowed(command: str, platform: str) -> bool:
    try:
        refuse_unless_read_only(command, platform)
    except CommandRefused:
        return False
    return True


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


DATA = Path(__file__).with_name("commands")


def shown() -> dict[str, list[str]]:
    """Commands that each of these platforms may be sent, from sections under the platform's name."""
    found: dict[str, list[str]] = {}
    for line in lines((DATA / "shown.txt").read_text()):
        if line.startswith("["):
            found[line.strip("[]")] = []
        else:
            found[list(found)[-1]].append(line)
    return found


SHOWN = shown()
# What no platform may ever be sent, whatever it is taken for.
NEVER_ANYWHERE = [*lines((DATA / "never.txt").read_text()), "", " ", "\n"]
# Behind a command that is fine.
TAILS = lines((DATA / "tails.txt").read_text())
TAILS += [
    "\nreload",
    "\rreload",
    "\r\nreload",
    "\x0breload",
    "\x0creload",
    "\x00reload",
    "\x03",
    "\x04",
    "\x15reload",
    "\x16",
    "\x17reload",
    "\x1b[A",
    "\x1a",
    "\x7f\x7f\x7f",
    "\x08\x08\x08\x08reload",
    "\treload",
    "\u2028reload",
    "\u0085reload",
    "\u00a0x",
    " \uff5c reload",
    " \u037e reload",
    "\u202ereload",
]

HARD_TAILS = [tail for tail in TAILS if tail.startswith((";", "&", ">", "<", "`", "$", "\n", "\\"))]
SHELLS = sorted(name for name, each in platforms().items() if each.shell)


@pytest.mark.parametrize(("platform", "command"), [(name, line) for name, text in SHOWN.items() for line in text])
def test_what_only_shows_something_is_allowed(platform, command):
    refuse_unless_read_only(command, platform)


def distinct() -> list[str]:
    """One platform of each set of rules."""
    found = {(p.read_only, p.filters, p.never, p.shell, p.pattern_to_end): name for name, p in platforms().items()}
    return sorted(found.values())


DISTINCT = distinct()


@pytest.mark.parametrize("command", NEVER_ANYWHERE)
def test_what_changes_something_is_allowed_on_no_platform(command):
    assert [name for name in DISTINCT if allowed(command, name)] == []
    with pytest.raises(CommandRefused):
        refuse_everywhere(command)


@pytest.mark.parametrize("tail", TAILS)
def test_nothing_can_be_hung_on_to_a_command_that_is_allowed(tail):
    got_through = [
        (platform, command + glue + tail)
        for platform, text in SHOWN.items()
        for command in text
        for glue in ("", " ")
        if "|" not in command and allowed(command + glue + tail, platform)
    ]
    assert got_through == []


@pytest.mark.parametrize(
    "tail", [tail for tail in TAILS if tail.startswith((";", "&", ">", "<", "`", "$", "\n", "\\"))]
)
def test_nothing_can_be_hung_on_to_a_filter_that_is_allowed(tail):
    for platform, text in SHOWN.items():
        for command in text:
            if "|" in command:
                assert not allowed(command + tail, platform)
                assert not allowed(command + " " + tail, platform)


@pytest.mark.parametrize("number", range(4))
def test_no_mixture_of_harmless_and_harmful_pieces_holds_a_harmful_one_outside_a_pattern(number):
    """Random lines of pieces; what is allowed is read again by hand-written, stricter eyes."""
    dice = random.Random(number)
    pieces = ["show", "version", "|", "include", "x", "tee", "flash:x", '"', "'", "reload", "y|z", "grep", "||", "\\"]
    filters = {"include", "grep"}
    for _ in range(3_000):
        line = " ".join(dice.choice(pieces) for _ in range(dice.randint(2, 8)))
        if dice.random() < 0.3:
            line = line.replace(" | ", "|")
        for platform in ("generic", "cisco_ios", "cisco_nxos"):
            if not allowed(line, platform):
                continue
            head, *rest = line.split(" | ")
            assert head.split()[0] == "show", line
            for part in rest:
                assert part.split()[0] in filters, line
            for part in line.split("|")[1:]:
                words = part.split()
                # A word close behind a pipe is a filter, or stands alone.
                assert words[0] in filters or len(words) == 1, line


def test_a_line_end_in_the_middle_is_refused_wherever_it_stands():
    for at, end in itertools.product(range(1, 12), "\n\r\x0b\x0c\x85\u2028"):
        assert not allowed("show version"[:at] + end + "show version"[at:], "cisco_ios")


@pytest.mark.parametrize("sign", [c for c in map(chr, range(256)) if c not in string.printable[:95]])
def test_no_control_character_and_no_letter_outside_ascii_gets_through(sign):
    assert not allowed(f"show {sign}version", "cisco_ios")


@pytest.mark.parametrize("command", ["s version", "sv", "shov", "showw version", "sh", "shows version", "how version"])
def test_a_word_is_shortened_only_as_far_as_the_table_says(command):
    expected = command == "sh"
    assert allowed(command, "cisco_ios") == expected


@pytest.mark.parametrize("platform", SHELLS)
def test_nothing_is_shortened_where_the_command_line_is_a_shell(platform):
    """`sh` would be the shell itself."""
    for word in ("sh", "sh version", "sho version", "sho ip"):
        assert not allowed(word, platform)


@pytest.mark.parametrize(
    "command",
    [
        "show tech-support",
        "show tech",
        "show te",
        "sh tec",
        "SHOW TECH-SUPPORT",
        "show tech-support page",
        "show techsupport",
        "show logging process x to-file flash:y",
        "show memory 0x80000000",
        "show mem 80000000",
        "show memory processor 0xdeadbeef",
        "show running-config flash:x",
        "show archive config differences nvram:startup-config",
        "show x tftp://10.0.0.1/y",
        "show x ftp:y",
        "show x scp://a/b",
        "show platform hardware qfp active statistics drop clear",
        "sh plat hard qfp act stat drop cl",
        "show plat hard qfp act stat drop c",
        "show platform hardware fed switch active qos queue stats interface Gi1/0/1 clear",
        "show platform hardware qfp active interface if-name Gi1 statistics clear_drop",
        "show memory debug leaks",
        "show ap tech-support ap-name x",
    ],
)
def test_a_show_command_that_writes_or_burdens_the_device_is_refused_however_it_is_shortened(command):
    assert not allowed(command, "cisco_ios")


def test_a_dump_of_everything_may_write_a_file_on_huawei():
    for command in ("display diagnostic-information x.zip", "dis diag", "disp d"):
        assert not allowed(command, "huawei")


def test_case_counts_in_a_shell():
    assert allowed("ethtool -k eth0", "linux")
    assert not allowed("ethtool -K eth0", "linux")
    assert not allowed("IP addr show", "linux")


def test_a_pipe_in_quotes_is_an_or_only_where_nothing_could_take_it_for_a_pipe():
    assert allowed('show run | include "down|err"', "arista_eos")
    assert not allowed('show run | include "down |err"', "arista_eos")
    assert not allowed('show run | include "down|err x"', "arista_eos")
    assert not allowed("show run | include down|err", "arista_eos")
    assert allowed("show run | include down|err", "cisco_ios")


@pytest.mark.parametrize("text", ["(x)", "{a,b}", "*", "[a-z]", "!x", r"a\b", "a#b", "~ x^y"])
def test_a_careless_pattern_of_a_team_lets_no_sign_of_the_shell_through(own, text):
    own('[platforms.linux]\nread_only = ["^echo .*$"]\n')
    assert allowed("echo x", "linux")
    assert not allowed(f"echo {text}", "linux")


def test_the_words_of_a_refusal_name_what_is_wrong():
    for command, words in [
        ('show run | include "a |b"', "a | in quotes must have no blank beside it"),
        ("reload", "'reload' is not one of the commands that only show something"),
        ("show run | redirect flash:x", "behind a pipe stands 'redirect'"),
        ("show run ; reload", "; two commands in one line"),
        ("show tech", "'show tech' may write a file"),
        ("x" * (LONGEST + 1), f"longer than {LONGEST}"),
        ("  ", "empty"),
    ]:
        with pytest.raises(CommandRefused) as caught:
            refuse_unless_read_only(command, "cisco_ios")
        assert words in str(caught.value)


def test_every_platform_lets_something_be_shown():
    for name, each in platforms().items():
        assert each.read_only, name
        if not each.shell:
            assert allowed("show version", name), name


def test_every_platform_with_a_facts_command_of_one_step_lets_it_be_sent():
    held_back = {
        name
        for name, each in platforms().items()
        if each.facts_command and ";" not in each.facts_command and not allowed(each.facts_command, name)
    }
    assert held_back == set()


def test_a_team_adds_commands_to_a_platform(own):
    own('[platforms.cisco_ios]\nread_only = ["pi[ng] vrf", "^verify /md5 flash:[a-z.]+$"]\n')
    assert allowed("ping vrf x 10.0.0.1", "cisco_ios")
    assert allowed("pin vrf x 10.0.0.1", "cisco_ios")
    assert not allowed("ping 10.0.0.1", "cisco_ios")
    assert allowed("verify /md5 flash:x.bin", "cisco_ios")
    assert allowed("show version", "cisco_ios")
    assert not allowed("ping vrf x 10.0.0.1; reload", "cisco_ios")


@pytest.mark.parametrize(
    ("rule", "words"),
    [('"Show"', "neither words"), ('"sh[ow"', "neither words"), ('" "', "empty command"), ('"^show("', "no pattern")],
)
def test_a_rule_that_cannot_be_read_is_refused_with_its_place(own, rule, words):
    with pytest.raises(PlatformTableError, match=words):
        own(f"[platforms.cisco_ios]\nread_only = [{rule}]\n")


def test_a_word_that_begins_like_clear_is_no_clearing():
    for command in ("show clock", "sh cl", "show policy-map type class", "show run | include clear", "show ip cef"):
        assert allowed(command, "cisco_ios"), command


@pytest.mark.parametrize("command", ["stat lb vserver -clearstats full", "stat lb vserver web -clear basic"])
def test_counters_are_not_cleared_on_netscaler(command):
    assert not allowed(command, "netscaler")
    assert allowed("stat lb vserver web", "netscaler")


@pytest.mark.parametrize("command", ["get test dnsproxy 99", "get tes http 99"])
def test_no_daemon_is_told_anything_on_fortinet(command):
    assert not allowed(command, "fortinet")


@pytest.mark.parametrize("command", ["get system performance top", "get sniffer", "get sniff", "get sys perf top"])
def test_what_never_ends_is_refused_on_fortinet(command):
    assert not allowed(command, "fortinet")
