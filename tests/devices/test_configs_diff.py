import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.configs.diff import LineKind, blocks, paired, summary, unified, words
from tests.devices import dumps

IOS = """hostname r1
vlan 10
 name x
interface GigabitEthernet0/3
 ip address 10.0.0.1 255.255.255.0
 no shutdown
!
router bgp 65001
 neighbor 10.0.0.9 remote-as 2
ip route 0.0.0.0 0.0.0.0 10.0.0.254
snmp-server community hidden RO
end
"""


def applied(before: str, after: str) -> list[str]:
    """What the diff says `after` is."""
    return [line.text for line in unified(before, after, None) if line.kind in (LineKind.SAME, LineKind.ADDED)]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from("abcdefg"), max_size=40), st.lists(st.sampled_from("abcdefg"), max_size=40))
def test_the_blocks_turn_one_text_into_the_other(a: list[str], b: list[str]) -> None:
    i = j = 0
    for block in blocks(a, b):
        assert (block.a0, block.b0) == (i, j)
        if block.same:
            assert a[block.a0 : block.a1] == b[block.b0 : block.b1]
            assert block.a1 > block.a0
        i, j = block.a1, block.b1
    assert (i, j) == (len(a), len(b))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from(["x", "y", "z", ""]), max_size=30), st.lists(st.sampled_from(["x", "y", "w"]), max_size=30)
)
def test_a_diff_holds_both_texts(a: list[str], b: list[str]) -> None:
    before, after = "\n".join(a), "\n".join(b)
    if before.splitlines() != after.splitlines():
        assert applied(before, after) == after.splitlines()
        removed = [line.text for line in unified(before, after, None) if line.kind in (LineKind.SAME, LineKind.REMOVED)]
        assert removed == before.splitlines()


def test_equal_texts_have_no_diff() -> None:
    assert unified(IOS, IOS) == []
    assert paired(unified(IOS, IOS)) == []


def test_a_changed_line_shows_with_context_numbers_and_word_marks() -> None:
    lines = unified(IOS, IOS.replace("10.0.0.1 ", "10.0.0.7 "), context=1)
    kinds = [line.kind for line in lines]
    assert kinds == [LineKind.GAP, LineKind.SAME, LineKind.REMOVED, LineKind.ADDED, LineKind.SAME, LineKind.GAP]
    removed, added = lines[2], lines[3]
    assert removed.text[slice(*removed.marks[0])] == "1"
    assert added.text[slice(*added.marks[0])] == "7"
    assert (removed.before, removed.after) == (5, None)
    assert (added.before, added.after) == (None, 5)
    assert lines[0].folded == 3
    assert lines[-1].folded == 6


def test_two_swapped_lines_show() -> None:
    before = "10 permit a\n20 deny b\n30 permit c\n"
    assert (
        len([x for x in unified(before, "20 deny b\n10 permit a\n30 permit c\n") if x.kind is not LineKind.SAME]) == 2
    )


def test_lines_with_little_in_common_get_no_word_marks() -> None:
    assert words("interface Gi0/1", "router bgp 1") == ((), ())


def test_side_by_side_puts_the_changed_lines_opposite() -> None:
    rows = paired(unified("a\nb 1\nc\n", "a\nb 2\nb 3\nc\n"))
    assert [(r.left and r.left.text, r.right and r.right.text) for r in rows] == [
        ("a", "a"),
        ("b 1", "b 2"),
        (None, "b 3"),
        ("c", "c"),
    ]
    assert [r.changed for r in rows] == [False, True, True, False]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("10.0.0.1 ", "10.0.0.2 ", "interface GigabitEthernet0/3 changed"),
        ("remote-as 2", "remote-as 3", "router bgp 65001 changed"),
        ("vlan 10\n name x\n", "vlan 10\n name x\nvlan 30\n name y\n", "vlan 30 added"),
        ("vlan 10\n name x\n", "", "vlan 10 removed"),
        ("hostname r1", "hostname r2", "hostname changed"),
        ("10.0.0.254", "10.0.0.253", "ip route changed"),
        ("hidden", "other", "snmp-server community changed"),
        ("end\n", "end\n! a remark\n", "! a added"),
        ("hostname r1\n", "! Last configuration change at 10:00\nhostname r1\n", "no change"),
    ],
)
def test_the_summary_names_the_section(old: str, new: str, said: str) -> None:
    assert summary(IOS, IOS.replace(old, new), "cisco_ios") == said


def test_the_summary_names_several_sections_in_order() -> None:
    after = (
        IOS.replace("10.0.0.1 ", "10.0.0.2 ")
        .replace("remote-as 2", "remote-as 3")
        .replace("ip route 0.0.0.0 0.0.0.0 10.0.0.254\n", "")
    )
    assert (
        summary(IOS, after, "cisco_ios") == "interface GigabitEthernet0/3, router bgp 65001 changed; ip route removed"
    )


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("juniper_junos", "10.1.0.1/30", "10.1.0.5/30", "interfaces ge-0/0/0 changed"),
        ("fortinet", "set ip 10.0.0.1", "set ip 10.0.0.9", 'config system interface edit "port1" changed'),
        ("vyos", "10.0.0.1/24", "10.0.0.3/24", "interfaces ethernet changed"),
        ("mikrotik_routeros", "10.0.0.1/24", "10.0.0.3/24", "/ip address changed"),
        ("huawei", "10.10.0.1", "10.10.0.3", "interface Vlanif10 changed"),
        ("nokia_sros_md", "10.1.0.1", "10.1.0.5", 'configure router "Base" changed'),
        ("linux", "gateway 10.0.0.1", "gateway 10.0.0.2", "iface eth0 inet static changed"),
    ],
)
def test_the_summary_knows_the_forms_of_other_platforms(name: str, old: str, new: str, said: str) -> None:
    text = dumps.dump(name)
    assert summary(text, text.replace(old, new, 1), name).replace('"', "") == said.replace('"', "")


@pytest.mark.parametrize("name", dumps.PLATFORMS)
def test_no_summary_holds_a_secret(name: str) -> None:
    secrets = {s for s in dumps.secrets(name) if len(s) > 5}
    said = summary("", dumps.dump(name), name) + summary(dumps.dump(name), dumps.dump(name).replace("e", "3"), name)
    assert not [s for s in secrets if s in said]


def test_a_megabyte_is_matched_by_anchors() -> None:
    random.seed(7)
    before = [
        f"interface Gi{i // 48}/{i % 48}\n description user {random.random()}\n switchport mode access\n!\n"
        for i in range(12_000)
    ]
    after = before[:]
    for _ in range(300):
        after[random.randrange(len(after))] = f"interface Gi9/{random.random()}\n"
    random.shuffle(after[:200])
    lines = unified("".join(before), "".join(after))
    assert len([x for x in lines if x.kind is LineKind.ADDED]) <= 300
    assert len([x for x in lines if x.kind is LineKind.REMOVED]) <= 4 * 300


def test_a_text_of_few_different_lines_is_matched_too() -> None:
    before, after = "a\nb\n" * 60_000, "b\na\na\n" * 40_000
    assert applied(before, after) == after.splitlines()
