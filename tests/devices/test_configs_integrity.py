import pytest

from devices.configs.integrity import ReasonCode, check
from tests.devices import dumps

IOS = dumps.dump("cisco_ios")
NXOS = dumps.dump("cisco_nxos")


@pytest.mark.parametrize("text", ["", "\n\r\n  \n"])
def test_nothing_is_empty(text: str) -> None:
    assert check(text, "cisco_ios").reason_code is ReasonCode.EMPTY


@pytest.mark.parametrize(
    "text", ["show running-config\nrouter1#", "router1#", "show running-config", "[admin@mt] > /export"]
)
def test_an_echo_and_a_prompt_are_no_configuration(text: str) -> None:
    name = "mikrotik_routeros" if "export" in text else "cisco_ios"
    assert check(text, name).reason_code is ReasonCode.ECHO_ONLY


def test_a_missing_end_marker_is_named_with_the_last_line() -> None:
    verdict = check(IOS.replace("\nend\n", "\n"), "cisco_ios")
    assert verdict.reason_code is ReasonCode.NO_END_MARKER
    assert verdict.evidence == "ntp server 10.20.0.1 key 1"


def test_a_prompt_after_the_end_marker_does_no_harm() -> None:
    assert check(IOS + "\nams-acc-07#", "cisco_ios").whole


def test_an_open_section_is_named() -> None:
    text = dumps.dump("juniper_junos").rstrip().removesuffix("}")
    verdict = check(text, "juniper_junos")
    assert verdict.reason_code is ReasonCode.UNBALANCED
    assert verdict.evidence == "policy-options {"


def test_a_brace_in_quotes_or_a_comment_opens_nothing() -> None:
    text = 'a {\n  b "{";\n  # {\n  /* { */ c d;\n}\n' * 10
    assert check(text, "juniper_junos").whole


def test_a_very_short_answer_is_too_short() -> None:
    assert check("hostname a\nend", "cisco_ios").reason_code is ReasonCode.TOO_SHORT


def test_a_drop_below_half_may_be_confirmed() -> None:
    text = "\n".join(NXOS.split("\n")[:14]) + "\n"
    verdict = check(text, "cisco_nxos", previous_size=len(NXOS))
    assert verdict.reason_code is ReasonCode.SIZE_DROP
    assert verdict.may_be_confirmed
    assert not check("", "cisco_nxos").may_be_confirmed


def test_the_last_good_text_without_its_tail_may_be_confirmed() -> None:
    cut = NXOS[: NXOS.index("  router-id")]
    verdict = check(cut, "cisco_nxos", previous_size=len(NXOS), previous=NXOS)
    assert verdict.reason_code is ReasonCode.TAIL_MISSING
    assert verdict.may_be_confirmed


def test_a_deletion_in_the_middle_is_whole() -> None:
    text = NXOS.replace("vlan 10\n  name servers\n", "")
    assert check(text, "cisco_nxos", previous_size=len(NXOS), previous=NXOS).whole


def test_a_prompt_that_never_came_is_no_whole_answer() -> None:
    assert check(NXOS, "cisco_nxos", prompt_seen=False).reason_code is ReasonCode.NO_PROMPT
    assert check(NXOS, "cisco_nxos", prompt_seen=True).whole


def test_a_banner_that_speaks_of_denied_access_is_no_error() -> None:
    banner = "banner motd ^C\nAccess denied to strangers\n% Unknown command is not funny\n^C\n"
    assert check(IOS.replace("line con 0", banner + "line con 0"), "cisco_ios").whole


def test_ordinary_last_lines_are_no_errors() -> None:
    for line in ("timeout 5", "exec-timeout 0 0", "command-alias x", "error-recovery cause all", "more off"):
        assert check(NXOS + line + "\n", "cisco_nxos").whole, line


def test_a_kind_that_the_platform_does_not_collect_is_judged_by_the_general_rules() -> None:
    assert check("NAME: chassis\n", "cisco_ios", kind="licences").whole
    assert not check("% Invalid input detected", "cisco_ios", kind="licences").whole


def test_the_evidence_is_one_short_line() -> None:
    verdict = check("% Invalid input " + "x" * 5000, "cisco_ios")
    assert len(verdict.evidence) <= 200
    assert "\n" not in verdict.evidence
