"""Credentials that never worked or are redundant, and devices that nothing opens."""

from __future__ import annotations

import pytest

from credentials.services import SecretsInput, update_credential
from devices.models import Device
from jobs.analytics import report
from jobs.analytics.advice import loginless, loginless_details, redundant, verdicts
from jobs.analytics.facts import load_facts
from jobs.analytics.rollup import roll_up
from tests.jobs.attempts import NOW, ago, credential, device, login, result, run, visit

pytestmark = pytest.mark.django_db


def facts():
    roll_up()
    return load_facts()


# --- never worked -----------------------------------------------------------------------------------
def test_a_credential_that_was_rejected_twice_and_never_accepted_never_worked():
    wrong = credential("wrong")
    for number in range(3):
        login(device(f"r{number}"), wrong if number else None, "rejected", ago(days=3 - number))
    (found,) = verdicts(facts()).never_worked
    assert (found.name, found.rejected, found.devices, found.matched) == ("wrong", 2, 2, 3)
    assert found.last_rejected_at == ago(days=1)


def test_one_rejection_is_too_few_to_judge_by():
    login(device("r1"), credential("wrong"), "rejected")
    credential("untouched")
    found = verdicts(facts())
    assert (found.never_worked, found.too_few, found.untried) == ([], 1, 1)


@pytest.mark.parametrize("is_test", [True, False])
def test_one_success_anywhere_clears_a_credential(is_test):
    one = credential("one")
    for number in range(3):
        login(device(f"r{number}"), one, "rejected")
    login(device("last"), one, is_test=is_test)
    assert verdicts(facts()).never_worked == []


def test_a_corrected_credential_is_judged_anew():
    one = credential("one")
    for number in range(3):
        login(device(f"r{number}"), one, "rejected")
    update_credential(one, secrets=SecretsInput(password="corrected"))
    found = verdicts(facts())
    assert (found.never_worked, found.untried) == ([], 1)


def test_what_was_not_answered_proves_nothing():
    one = credential("one")
    for number in range(5):
        login(device(f"r{number}"), one, "unanswered")
    found = verdicts(facts())
    assert (found.never_worked, found.too_few, found.untried) == ([], 0, 0)


def test_a_disabled_credential_is_not_judged():
    one = credential("one")
    for number in range(3):
        login(device(f"r{number}"), one, "rejected")
    update_credential(one, enabled=False)
    assert verdicts(facts()).never_worked == []


# --- redundant --------------------------------------------------------------------------------------
def opened_by(count: int, *who, prefix: str = "r", tags=("dc",)) -> None:
    for number in range(count):
        where = device(f"{prefix}{number}", tags)
        for each in who:
            login(where, each)


def test_a_credential_whose_devices_are_all_opened_by_one_that_is_tried_before_is_redundant():
    first, spare = credential("first", priority=1), credential("spare", priority=2)
    opened_by(4, first, spare)
    (found,) = redundant(facts())
    assert (found.name, found.devices, found.covered_by) == ("spare", 4, (("first", 4),))


def test_two_devices_are_too_few_to_call_a_credential_redundant():
    first, spare = credential("first", priority=1), credential("spare", priority=2)
    opened_by(2, first, spare)
    assert redundant(facts()) == []


def test_a_credential_that_alone_opens_one_device_is_needed():
    first, spare = credential("first", priority=1), credential("spare", priority=2)
    opened_by(9, first, spare)
    opened_by(1, spare, prefix="only")
    assert redundant(facts()) == []


def test_a_credential_that_matches_a_device_which_nothing_is_known_to_open_may_be_needed():
    first, spare = credential("first", priority=1), credential("spare", ["dc", "new"], priority=2)
    opened_by(9, first, spare)
    device("unknown", ["new"])
    assert redundant(facts()) == []


def test_the_one_that_is_tried_before_must_itself_still_work_there():
    first, spare = credential("first", priority=1), credential("spare", priority=2)
    opened_by(4, first, spare)
    for where in ("r1", "r2"):
        login(Device.objects.get(name=where), first, "rejected", ago(days=-1))
    assert redundant(facts()) == []


def test_all_that_is_called_redundant_may_go_at_once():
    a, b, c = (credential(name, priority=number) for number, name in enumerate("abc"))
    opened_by(3, a, b, c)
    assert [(each.name, each.covered_by) for each in redundant(facts())] == [("b", (("a", 3),)), ("c", (("a", 3),))]


def test_a_fallback_credential_is_never_redundant():
    first, glass = credential("first"), credential("glass", [], is_fallback=True)
    opened_by(5, first, glass)
    assert redundant(facts()) == []


# --- devices that nothing opens -----------------------------------------------------------------------
def listed() -> list[tuple[str, str, int, int]]:
    return [(each.name, each.trouble.value, each.usable, each.rejected) for each in loginless(facts()).found]


def test_a_device_on_which_every_credential_is_proven_wrong_is_listed():
    a, b = credential("a"), credential("b")
    visit(device("r1"), (a, "rejected"), (b, "rejected"))
    visit(device("r2"), (a, "rejected"), (b, "accepted"))
    assert listed() == [("r1", "rejected", 2, 2)]


def test_a_device_that_no_credential_matches_is_listed():
    credential("a")
    device("r1", ["other"])
    assert listed() == [("r1", "unmatched", 0, 0)]


def test_a_telnet_device_without_a_credential_for_telnet_is_listed():
    credential("a")
    device("r1", transport="telnet", port=23)
    assert listed() == [("r1", "unmatched", 0, 0)]


def test_a_device_that_was_never_tried_is_counted_apart():
    credential("a")
    device("r1")
    found = loginless(facts())
    assert (found.found, found.untried) == ([], 1)


def test_three_held_results_in_a_row_list_a_device_though_nothing_is_proven_there():
    credential("a")
    r1 = device("r1")
    for outcome in ("held", "held"):
        result(r1, outcome)
    assert listed() == []
    result(r1, "held")
    assert listed() == [("r1", "held", 1, 0)]


def test_results_that_say_nothing_of_the_login_do_not_break_the_row():
    credential("a")
    r1 = device("r1")
    for outcome in ("rejected", "unreachable", "held", "timeout", "held", "busy"):
        result(r1, outcome)
    assert listed() == [("r1", "held", 1, 0)]


def test_a_result_behind_the_login_breaks_the_row():
    credential("a")
    r1 = device("r1")
    for outcome in ("held", "held", "command_error", "held"):
        result(r1, outcome)
    assert listed() == []


def test_failed_tests_of_a_credential_do_not_list_a_device():
    credential("a")
    r1 = device("r1")
    for _ in range(4):
        result(r1, "rejected", run("credential_test"))
    assert listed() == []


def test_a_success_of_a_test_takes_a_device_off_the_list():
    a, b = credential("a"), credential("b")
    r1 = device("r1")
    for _ in range(3):
        result(r1, "held")
    login(r1, a, "rejected", ago(hours=2))
    assert listed() == [("r1", "held", 2, 1)]
    login(r1, b, "accepted", ago(hours=1), is_test=True)
    assert listed() == []


def test_the_results_shown_of_a_listed_device_are_those_that_listed_it_and_no_tests():
    credential("a")
    r1 = device("r1")
    for _ in range(3):
        result(r1, "held")
    result(r1, "rejected", run("credential_test"))
    (detail,) = loginless_details(loginless(facts()).found)
    assert detail.outcomes == ["held", "held", "held"]


def test_a_device_whose_credential_stopped_working_is_listed_with_what_opened_it_last():
    a = credential("a")
    r1 = device("r1")
    login(r1, a, "accepted", ago(days=9))
    login(r1, a, "rejected", ago(days=1))
    result(r1, "rejected")
    found = loginless(facts()).found
    (detail,) = loginless_details(found)
    assert (found[0].trouble, detail.opened_at, detail.opened_by) == ("rejected", ago(days=9), "a")
    assert detail.outcomes == ["rejected"]


def test_a_device_that_is_opened_by_a_credential_it_no_longer_shares_a_tag_with_is_listed():
    a = credential("a", ["dc"])
    login(device("r1"), a)
    update_credential(a, tags=["lab"])
    assert listed() == [("r1", "unmatched", 0, 0)]


def test_what_a_former_version_opened_proves_nothing_of_the_present_one():
    a = credential("a")
    login(device("r1"), a)
    assert loginless(facts()).untried == 0
    update_credential(a, secrets=SecretsInput(password="newer"))
    assert loginless(facts()).untried == 1


def test_a_disabled_device_is_left_alone():
    device("r1", ["other"], enabled=False)
    assert listed() == []


# --- all of it ----------------------------------------------------------------------------------------
def test_the_advice_asks_a_fixed_number_of_questions(django_assert_max_num_queries):
    a, b = credential("a", priority=1), credential("b", priority=2)
    for number in range(30):
        visit(device(f"r{number}", ["dc", f"site-{number}"]), (a, "rejected"), (b, "accepted"), at=ago(days=1))
    roll_up()
    with django_assert_max_num_queries(14):
        found = report.advise(now=NOW)
    assert found.ordering.failed_now == 30


def test_kept_advice_is_given_up_as_soon_as_anything_changes(monkeypatch):
    asked = []
    real = report.best_ordering
    monkeypatch.setattr(report, "best_ordering", lambda *given: asked.append(1) or real(*given))
    a, b = credential("a", priority=1), credential("b", priority=2)
    r1 = device("r1")
    for change in (
        lambda: visit(r1, (a, "rejected"), (b, "accepted"), at=ago(days=1)),
        lambda: update_credential(a, priority=5),
        lambda: device("r2"),
    ):
        change()
        roll_up()
        before = len(asked)
        assert report.advise(now=NOW) == report.advise(now=NOW)
        assert len(asked) == before + 1
