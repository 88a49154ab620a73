"""What a search looks for: terms, words, expressions, and the lines that are shown."""

from __future__ import annotations

import itertools

import pytest

from devices.configs.lines import lines_of
from devices.configs.query import BadQuery, Matcher, Mode, Query, TooSlow, required

TEXT = """hostname edge-1
interface Gi0/1
 description Uplink to 10.1.2.30
 ip address 10.1.2.3 255.255.255.0
interface Gi0/2
 shutdown
router bgp 65001
 neighbor 10.9.9.9 remote-as 65002
"""


def found(term: str, mode: Mode = Mode.TEXT, case: bool = False, text: str = TEXT) -> bool:
    return Matcher(term, mode, case).found_in(text, 1.0)


def numbers(term: str, mode: Mode = Mode.TEXT, context: int = 0, most: int = 9) -> list[list[int]]:
    shown = Matcher(term, mode).snippets(TEXT, context, most, 1.0)
    return [[line.number for line in group] for group in shown.groups]


def test_text_is_found_anywhere_in_a_line_whatever_its_case():
    assert found("IP ADDRESS 10.1")
    assert found("ress 10")
    assert not found("ip  address")


def test_case_differs_when_asked_for():
    assert found("Uplink", case=True)
    assert not found("uplink", case=True)


def test_signs_of_expressions_mean_nothing_in_text():
    assert not found("10?1")
    assert not found("Gi.*")


def test_words_are_whole_and_may_stand_far_apart():
    assert found("bgp shutdown", Mode.WORDS)
    assert not found("bgp shut", Mode.WORDS)
    assert found("10.1.2.3", Mode.WORDS)
    assert not found("10.1.2.3", Mode.WORDS, text="ip address 10.1.2.30\n")


def test_an_expression_knows_line_ends_and_may_span_lines():
    assert found(r"^ shutdown$", Mode.REGEX)
    assert not found(r"^shutdown", Mode.REGEX)
    assert found(r"interface \S+\n(?: .*\n)*? shutdown", Mode.REGEX)


def test_an_expression_that_never_ends_is_stopped():
    with pytest.raises(TooSlow, match="takes too long"):
        Matcher("(?:a|aa)+$", Mode.REGEX).found_in("a" * 60 + "b\n", 0.2)


@pytest.mark.parametrize("term", ["(", "[z-a]", "(?P<x>", "*", "x" * 201, "(?:" * 60, r"\p{Nothing}"])
def test_a_wrong_expression_is_refused_in_words(term):
    with pytest.raises(BadQuery, match=r"no regular expression|At most 200"):
        Matcher(term, Mode.REGEX)


@pytest.mark.parametrize(
    "term",
    [
        "((a{999}){999}){999}",
        "a{1000000000}",
        "a{,99999}",
        r"(?:\X{50000}){50000}",
        "(a{999}[)]b){999}",
        "[(](a{999}[(]b){999}",
        r"[\\[](a{999}[(]b){999}[x]",
        "(?x)[#](a{999}[(]b){999}",
        "(?#[)(a{999}){999}",
        "(a{999})*{999}",
        "(?R)",
        "((?1))",
        "(?P<x>(?&x))",
    ],
)
def test_an_expression_that_would_eat_the_memory_is_refused_before_it_is_compiled(term, monkeypatch):
    monkeypatch.setattr("devices.configs.query._compiled", lambda *_: pytest.fail("it was compiled"))
    with pytest.raises(BadQuery):
        Matcher(term, Mode.REGEX)


@pytest.mark.parametrize(
    "term",
    [
        r"\d{1,3}(?:\.\d{1,3}){3}",
        "([0-9a-f]{1,4}:){1,7}[0-9a-f]{1,4}",
        "description .{0,80}$",
        r"\p{L}{3}",
        r"[\[(]x{2}",
        "[]){]{3}",
        "{}",
    ],
)
def test_a_reasonable_number_of_repetitions_is_none_of_these(term):
    Matcher(term, Mode.REGEX)


@pytest.mark.parametrize("term", ["", "   ", "a\x00b"])
def test_nothing_and_nul_are_refused(term):
    with pytest.raises(BadQuery):
        Matcher(term)


@pytest.mark.parametrize(
    ("pattern", "pieces"),
    [
        (r"ip address 10\.1", ["ip address 10.1"]),
        (r"^ntp server \S+$", ["ntp server "]),
        (r"abc?def", ["ab", "def"]),
        (r"ab+cd", ["ab", "cd"]),
        (r"a{2}bcd", ["bcd"]),
        (r"ab{0}cd", ["a", "cd"]),
        (r"(abc)?def", ["def"]),
        (r"(?:Gi|Te)0/1 up", ["0/1 up"]),
        (r"a(b(c)d)e?fgh", ["a", "fgh"]),
        (r"x[]a-z]+yz", ["x", "yz"]),
        (r"abc|def", []),
        (r"(?i)abc", []),
        (r"(?=abc)def", []),
        (r"(?:abc){e<=1}def", []),
        (r"vlan \x41\d", ["vlan "]),
        (r"snmp.*RO", ["snmp", "RO"]),
        (r"vlan\.\*", ["vlan.*"]),
    ],
)
def test_the_pieces_that_an_expression_cannot_do_without(pattern, pieces):
    assert required(pattern) == pieces


@pytest.mark.parametrize(
    "pattern", [r"ab?c", r"(a|b)c{2}d", r"a{b", r"x+y*z", r"[ab]c[^d]e", r"\.\-\ a", r"a\Bb", r"(ab)+c"]
)
def test_no_piece_is_missing_in_a_text_that_matches(pattern):
    """Every text that the expression matches has all of its pieces: over many short texts."""
    matcher = Matcher(pattern, Mode.REGEX)
    for size in range(1, 6):
        for letters in itertools.product("abcdez.{ -", repeat=size):
            text = "".join(letters)
            if matcher.found_in(text, 1.0):
                assert all(piece in text for piece in required(pattern)), text


def test_short_terms_have_no_piece_for_the_index():
    assert Matcher("ip").literals == ()
    assert Matcher("ip bgp", Mode.WORDS).literals == ("bgp",)
    assert Matcher("BGP").literals == ("bgp",)


def test_only_plain_text_is_settled_by_its_pieces():
    assert Matcher("bgp").literals_suffice
    assert not Matcher("bgp", case=True).literals_suffice
    assert not Matcher("bgp", Mode.WORDS).literals_suffice
    assert not Matcher("bgp", Mode.REGEX).literals_suffice


def test_lines_come_with_the_context_asked_for_and_touching_groups_are_one():
    assert numbers("interface") == [[2], [5]]
    assert numbers("interface", context=1) == [[1, 2, 3, 4, 5, 6]]
    assert numbers("hostname", context=1) == [[1, 2]]


def test_lines_with_all_words_come_before_lines_with_any():
    assert numbers("interface Gi0/2", Mode.WORDS) == [[5]]
    assert numbers("hostname shutdown", Mode.WORDS) == [[1], [6]]


def test_an_expression_over_several_lines_shows_them_all():
    assert numbers(r"Gi0/2\n shutdown", Mode.REGEX) == [[5, 6]]


def test_what_was_found_is_marked():
    (line,) = Matcher("ADDRESS").snippets(TEXT, 0, 5, 1.0).groups[0]
    assert [line.text[start:end] for start, end in line.marks] == ["address"]


def test_of_many_lines_some_are_shown_and_all_are_counted():
    text = "vlan 1\n" * 50
    shown = Matcher("vlan").snippets(text, 0, 5, 1.0)
    assert (shown.found, shown.shown, shown.first) == (50, 5, 1)


def test_a_line_of_any_length_is_shown_by_the_part_that_was_found():
    text = "x" * 5000 + "needle" + "y" * 5000 + "\n"
    (line,) = Matcher("needle").snippets(text, 0, 5, 1.0).groups[0]
    assert line.is_cut
    assert len(line.text) == 400
    assert [line.text[start:end] for start, end in line.marks] == ["needle"]


def test_lines_are_counted_at_newlines_alone():
    assert lines_of("a\u2028b\x0cc\nd\n") == ["a\u2028b\x0cc", "d"]


def test_a_search_is_kept_and_comes_back_as_it_was():
    query = Query("x", Mode.REGEX, case=True, absent=True, tags=("core",), site="ams", every_version=True)
    assert Query.from_dict(query.as_dict()) == query
    assert Query("x").as_dict() == {"term": "x", "mode": "text"}


@pytest.mark.parametrize("values", [{}, {"term": "x", "mode": "glob"}, {"term": "x", "colour": "red"}])
def test_what_is_no_search_does_not_come_back(values):
    with pytest.raises(BadQuery):
        Query.from_dict(values)
