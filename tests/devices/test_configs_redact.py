import hashlib
import hmac
import importlib
import re
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.configs import redact
from devices.configs.redact import find_secrets
from devices.connector.platforms import platform
from tests.devices import dumps

# The package has a function of that name.
redacting = importlib.import_module("devices.configs.redact")

KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAKC\n-----END RSA PRIVATE KEY-----\n"


def fingerprint(secret: str) -> str:
    return hmac.new(b"key", secret.encode(), hashlib.sha256).hexdigest()[:8]


def test_a_line_that_is_harmless_in_one_text_is_a_secret_under_its_header_in_another():
    harmless, telling = "interface a\n key Winter2026key\n", "aaa group server tacacs+ OPS\n key Winter2026key\n"
    for _ in range(2):
        assert redact(harmless, "cisco_ios") == harmless
        assert redact(telling, "cisco_ios") == "aaa group server tacacs+ OPS\n key <secret>\n"


@pytest.mark.parametrize(
    "line",
    [
        "no service password-encryption",
        "service password-encryption",
        "password encryption aes",
        "no password strength-check",
        "password-policy minimum-length 8",
        "security passwords min-length 10",
        "aaa authentication login default group tacacs+ local",
        "aaa authentication enable default enable",
        "key chain BACKBONE",
        "ntp server 10.0.0.1 key 5",
        "ntp trusted-key 5",
        "ip community-list standard CUST permit 65000:100",
        "ip community-list expanded E deny 65000:.*",
        " set community 65000:1 additive",
        " neighbor 10.0.0.1 send-community both",
        " description the password is at the desk, key 7 abc",
        " ip ospf authentication message-digest",
        " authentication pre-share",
        "crypto key generate rsa modulus 2048",
        "snmp-server host 10.0.0.1 version 3 priv nms",
        "snmp-server enable traps snmp authentication linkdown",
        "snmp-server group G v3 priv read V",
        "ip route 10.1.2.0 255.255.255.0 10.9.9.9",
        "username ops nopassword",
        "mka pre-shared-key key-chain MACSEC",
        "enable password *****",
        "tunnel key 123",
        "hostname secret-lab",
        "interface Tunnel0",
        "logging host 10.0.0.1 transport udp port 514",
        "ip ssh server algorithm mac hmac-sha2-256",
        "radius-server timeout 5",
        "tacacs-server directed-request",
        "ip tacacs source-interface Loopback0",
    ],
)
def test_a_line_without_a_secret_stays_as_it_is(line: str) -> None:
    assert redact(line, "cisco_ios") == line


@pytest.mark.parametrize(
    ("line", "platform", "expected"),
    [
        ("aaa group server radius R\n server-private 1.2.3.4 key 7 0822", "cisco_ios", "<secret>"),
        ("radius server A\n key plainword", "cisco_ios", "radius server A\n key <secret>"),
        ("key chain K\n key 1", "cisco_ios", "key chain K\n key 1"),
        ("enrollment url http://user:pa55@10.0.0.1/", "cisco_ios", "enrollment url http://user:<secret>@10.0.0.1/"),
        (" description $1$abcd$efghijkl", "cisco_ios", " description <secret>"),
        ('{"snmp": {"community": "abc"}}', "generic", '{"snmp": {"community": "<secret>"}}'),
        ('{"password": "abc", "name": "x"}', "nokia_srl", '{"password": "<secret>", "name": "x"}'),
        ("<password>abc</password>", "generic", "<password><secret></password>"),
        ("rocommunity readme 10.0.0.0/8", "linux", "rocommunity <secret> 10.0.0.0/8"),
        ('set snmp community "pub lic" authorization read-only', "juniper_junos", "<secret>"),
        ("snmp-agent community read simple abcd1234", "huawei", "snmp-agent community read simple <secret>"),
    ],
)
def test_a_secret_is_found_where_it_stands(line: str, platform: str, expected: str) -> None:
    assert expected in redact(line, platform)


@pytest.mark.parametrize("platform", ["cisco_ios", "juniper_junos", "linux", "generic"])
def test_a_private_key_becomes_one_placeholder(platform: str) -> None:
    assert (
        redact(f"a\n{KEY}b", platform)
        == "a\n-----BEGIN RSA PRIVATE KEY-----\n<secret>\n-----END RSA PRIVATE KEY-----\nb"
    )


def test_a_private_key_that_is_cut_off_does_not_leak() -> None:
    assert "IBAAKC" not in redact(KEY[:50] + "\n", "linux")


def test_a_certificate_stays() -> None:
    text = "-----BEGIN CERTIFICATE-----\nMIID\n-----END CERTIFICATE-----\n"
    assert redact(text, "linux") == text


def test_prose_in_a_banner_stays() -> None:
    text = "banner motd ^C\nType your password now\nsecret santa is here\n^C\nenable secret 5 abc\n"
    assert redact(text, "cisco_ios") == text.replace("5 abc", "5 <secret>")


def test_prose_in_a_comment_stays_and_an_assignment_in_one_does_not() -> None:
    assert redact("# the password is changed by hand", "linux") == "# the password is changed by hand"
    assert redact("#password=abc", "linux") == "#password=<secret>"


def test_the_fingerprint_shows_whether_a_secret_changed() -> None:
    first = redact("enable secret 5 aaa", "cisco_ios", fingerprint)
    assert first == f"enable secret 5 <secret:{fingerprint('aaa')}>"
    assert first == redact("enable secret 5 aaa", "cisco_ios", fingerprint)
    assert first != redact("enable secret 5 bbb", "cisco_ios", fingerprint)


def test_a_secret_that_is_encrypted_anew_gets_no_fingerprint() -> None:
    assert redact(" set passwd ENC abcdefgh1234", "fortinet", fingerprint) == " set passwd ENC <secret>"


@pytest.mark.parametrize("name", dumps.PLATFORMS)
def test_redacting_with_and_without_fingerprints_is_stable(name: str) -> None:
    once = redact(dumps.dump(name), name, fingerprint)
    assert redact(once, name, fingerprint) == once
    assert redact(once, name) == once


@pytest.mark.parametrize("name", dumps.PLATFORMS)
def test_spans_are_in_order_and_do_not_overlap(name: str) -> None:
    text = dumps.dump(name)
    spans = find_secrets(text, name)
    assert all(a.end <= b.start for a, b in pairwise(spans))
    assert all(text[s.start : s.end].strip() for s in spans)


@pytest.mark.parametrize("name", dumps.WITH_FORMS)
def test_each_form_of_a_secret_is_found_and_lines_like_it_stay(name: str) -> None:
    assert redact(dumps.forms(name), name).split("\n") == dumps.forms(name, "<secret>").split("\n")


@pytest.mark.parametrize("name", dumps.WITH_FORMS)
def test_each_form_of_a_secret_stays_redacted(name: str) -> None:
    once = redact(dumps.forms(name), name, fingerprint)
    assert redact(once, name, fingerprint) == once


@pytest.mark.parametrize(
    "line",
    [
        "snmp-server community secret ro 1",
        "snmp-server community password rw",
        "snmp-server community key ro",
    ],
)
def test_a_secret_that_is_a_keyword_hides_nothing_behind_it(line: str) -> None:
    words = line.split()
    words[2] = "<secret>"
    assert redact(line, "cisco_ios") == " ".join(words)


def test_line_endings_do_not_matter() -> None:
    assert redact("enable secret 5 abc\r\nend\r\n", "cisco_ios") == "enable secret 5 <secret>\r\nend\r\n"


def test_letters_that_grow_in_lower_case_do_not_shift_the_secret() -> None:
    assert redact("İİİ\nenable secret 5 abc", "cisco_ios") == "İİİ\nenable secret 5 <secret>"


def test_a_secret_far_along_a_long_line_is_found_whole() -> None:
    secret = "x" * 3000
    text = "set a " + "b" * 1500 + f" password {secret} end"
    assert redact(text, "vyos") == "set a " + "b" * 1500 + " password <secret> end"


KEYWORDS = ["password", "secret", "key", "snmp-server", "community", "host", "version", "md5", "auth", "priv", "user"]
VALUES = ["7", "5", "10.0.0.1", "2c", "abc", "x1Y2z3W4v5", '"a b"', "<secret>", "<secret:ab12>", "ENC", "description"]
WORDS = st.sampled_from([*KEYWORDS, *VALUES, "=", ";", "{", "}", "\n", "\n "])


@settings(max_examples=300, deadline=None)
@given(
    st.lists(WORDS, max_size=25),
    st.sampled_from(["cisco_ios", "juniper_junos", "fortinet", "mikrotik_routeros", "nokia_sros", "huawei"]),
)
def test_redacting_any_words_twice_changes_nothing(words: list[str], platform: str) -> None:
    once = redact(" ".join(words), platform)
    assert redact(once, platform) == once


def test_the_same_line_is_judged_anew_in_another_section_and_outside_a_banner() -> None:
    radius, other = "radius server A\n key plainword\n", "class-map A\n key plainword\n"
    shown = radius.replace("plainword", "<secret>")
    assert redact(radius + other + radius, "cisco_ios") == shown + other + shown
    assert redact(other + radius + other, "cisco_ios") == other + shown + other
    text = "banner motd ^C\npassword abc\n^C\npassword abc\npassword abc\n"
    shown = "banner motd ^C\npassword abc\n^C\npassword <secret>\npassword <secret>\n"
    assert redact(text, "cisco_ios") == shown
    assert redact(text + text, "cisco_ios") == shown + shown


@pytest.mark.parametrize("name", dumps.PLATFORMS)
def test_whatever_a_rule_matches_holds_one_of_its_words(name: str) -> None:
    for rule in platform(name).secrets:
        for line in dumps.dump(name).splitlines():
            if rule.on and rule.pattern.search(line):
                assert any(word in line.lower() for word in rule.on), (rule.pattern.pattern, line)


class Counting:
    """A pattern that counts the characters it read."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self.pattern = pattern
        self.read = 0

    def search(self, text: str, at: int) -> re.Match[str] | None:
        found = self.pattern.search(text, at)
        self.read += (found.end() if found else len(text)) - at
        return found

    def match(self, text: str, at: int) -> re.Match[str] | None:
        found = self.pattern.match(text, at)
        self.read += found.end() - at if found else 0
        return found


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("_NOT_OF_A_KEY", "-----BEGIN PRIVATE KEY----- " * 4000 + ";"),
        ("_NOT_OF_A_KEY", "-----BEGIN PRIVATE KEY-----\n;\n" * 4000),
        ("_PRIVATE_BEGIN", "-----BEGIN PRIVATE KEY-----\n;\n" * 4000),
        ("_PRIVATE_BEGIN", "-----BEGIN PRIVATE KEY----------END PRIVATE KEY-----" * 2000),
        ("_TOKEN", "password=x<secret>" * 6000),
        ("_TOKEN", "password " + "x" * 100_000),
        ("_TOKEN", "password=" * 10_000),
    ],
)
def test_hostile_text_is_not_read_over_and_over(pattern: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting(getattr(redacting, pattern))
    monkeypatch.setattr(redacting, pattern, counting)
    redact(text, "cisco_ios")
    assert 0 < counting.read <= 6 * len(text)


def test_the_end_of_a_key_is_not_looked_for_behind_the_next_key() -> None:
    class Text(str):
        read = 0

        def find(self, *args):  # type: ignore[no-untyped-def]
            Text.read += args[2] - args[1] if len(args) == 3 else 0
            return super().find(*args)

    text = Text("-----BEGIN PRIVATE KEY-----\n;\n" * 1000)
    list(redacting._private_keys(text))
    assert 0 < Text.read <= 3 * len(text)


@pytest.mark.parametrize("line", [" key x\n", "add community=x\n", " key x\n  key y\n"])
def test_the_section_of_many_lines_is_not_looked_for_over_and_over(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    indent: Callable[[str], int] = redacting._indent

    def counted(each: str) -> int:
        asked.append(each)
        return indent(each)

    monkeypatch.setattr(redacting, "_indent", counted)
    name = "mikrotik_routeros" if line.startswith("add") else "cisco_ios"
    assert redact("/snmp community\nradius server x\n" + line * 3000, name)
    assert len(asked) <= 5 * 3000 * line.count("\n")


def test_a_key_without_an_end_mark_hides_what_follows_it_up_to_a_blank_line() -> None:
    begin = "-----BEGIN PRIVATE KEY-----\n"
    assert redact(f"{begin}MIIE\nABCD\n\nvlan 1\n", "linux") == f"{begin}<secret>\n\nvlan 1\n"
    assert redact(f"{begin}MIIE\nend;\n{KEY}", "linux").count("<secret>") == 2


def test_a_banner_that_never_ends_does_not_hide_the_secrets_behind_it() -> None:
    endless = "banner motd ^C\n" + "words\n" * 300
    assert redact(f"{endless}password abc\n", "cisco_ios").endswith("password <secret>\n")
    assert redact(f"{endless}password abc\n^C\n", "cisco_ios").endswith("password <secret>\n^C\n")
