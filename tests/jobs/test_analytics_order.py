"""Advice on the order of credentials: replayed from the ledger, applied and taken back."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError

from credentials.models import Credential, CredentialTag
from credentials.services import SecretsInput, update_credential
from jobs.analytics.facts import load_facts
from jobs.analytics.ordering import Ordering, best_ordering
from jobs.analytics.reordering import apply_offer, offer, undo
from jobs.analytics.replay import read_ledger, walk
from jobs.analytics.rollup import roll_up
from jobs.rollups import Reordering
from tests.credentials.sealed import ANY
from tests.jobs.attempts import NOW, ago, credential, device, login, visit

pytestmark = pytest.mark.django_db


def replayed(days: int = 28) -> Ordering:
    roll_up()
    facts = load_facts()
    return best_ordering(facts, read_ledger(facts, days, NOW))


def failed_now() -> int:
    return replayed().failed_now


def changes(found: Ordering) -> list[tuple[str, str, int | None, int]]:
    return [(each.name, each.tag_name, each.before, each.after) for each in found.changes]


def fleet(count: int, *tried: tuple[Credential, str], prefix: str = "r", tags=("dc",), **span: float) -> None:
    """Devices that were each visited once, with these logins."""
    for number in range(count):
        visit(device(f"{prefix}{number}", tags), *tried, at=ago(**(span or {"days": 2})))


@pytest.fixture
def pair():
    return credential("old", priority=10), credential("new", priority=20)


# --- the replay -----------------------------------------------------------------------------------
def test_replaying_the_present_order_finds_the_rejections_of_the_ledger(pair):
    old, new = pair
    fleet(5, (old, "rejected"), (new, "accepted"))
    fleet(3, (old, "accepted"), prefix="s")
    found = replayed()
    assert (found.failed_now, found.recorded, found.visits, found.undecided) == (5, 5, 8, 0)


def test_what_was_rejected_once_is_remembered_in_the_replay_too(pair):
    old, new = pair
    r1 = device("r1")
    visit(r1, (old, "rejected"), (new, "accepted"), at=ago(days=9))
    visit(r1, (new, "rejected"), at=ago(days=5))
    visit(r1, (new, "accepted"), at=ago(days=1))
    assert failed_now() == 2


def test_a_rejection_from_before_the_window_is_still_remembered_in_it(pair):
    old, new = pair
    r1 = device("r1")
    visit(r1, (old, "rejected"), at=ago(days=90))
    visit(r1, (new, "accepted"), at=ago(days=2))
    assert failed_now() == 0


def test_a_released_credential_that_was_rejected_again_counts_again(pair):
    old, new = pair
    r1 = device("r1")
    visit(r1, (old, "rejected"), at=ago(days=9))
    visit(r1, (old, "rejected"), (new, "accepted"), at=ago(days=2))
    assert failed_now() == 2


def test_a_central_password_that_is_wrong_in_a_whole_domain_fails_there_only_as_often_as_it_did():
    central, new = credential("central", priority=1, scope="central"), credential("new", priority=2)
    fleet(2, (central, "rejected"), (new, "accepted"), days=9)
    fleet(4, (new, "accepted"), prefix="s", days=8)
    found = replayed()
    assert (found.failed_now, found.recorded, found.undecided) == (2, 2, 0)


def test_what_worked_there_last_is_tried_first_under_any_order(pair):
    old, new = pair
    r1 = device("r1")
    visit(r1, (old, "rejected"), (new, "accepted"), at=ago(days=60))
    visit(r1, (new, "rejected"), (old, "accepted"), at=ago(days=9))
    found = replayed()
    assert found.failed_now == 1
    assert not found.changes, "no order saves the rejection of what had worked last"


def test_rejections_of_a_former_version_are_not_held_against_the_present_one(pair):
    old, new = pair
    fleet(5, (old, "rejected"), (new, "accepted"))
    update_credential(old, secrets=SecretsInput(password="corrected"))
    found = replayed()
    assert (found.failed_now, found.recorded) == (0, 5)
    assert not found.changes


def test_tests_are_not_replayed(pair):
    old, _ = pair
    for number in range(5):
        login(device(f"r{number}"), old, "rejected", ago(days=1), is_test=True)
    found = replayed()
    assert (found.visits, found.recorded) == (0, 0)


def test_an_unanswered_login_ends_a_visit_under_any_order_that_comes_to_it(pair):
    old, new = pair
    fleet(4, (old, "rejected"), (new, "unanswered"))
    found = replayed()
    assert found.failed_now == 4


def test_a_visit_that_comes_to_a_credential_nothing_is_known_of_is_left_out(pair):
    old, new = pair
    fleet(5, (old, "rejected"), (new, "accepted"))
    credential("just-added", priority=1)
    found = replayed()
    assert (found.visits, found.undecided, found.failed_now) == (0, 5, 0)
    assert not found.changes, "that it failed is a guess"


def test_only_the_window_is_replayed(pair):
    old, new = pair
    fleet(5, (old, "rejected"), (new, "accepted"), days=40)
    assert replayed().recorded == 0
    assert replayed(days=60).failed_now == 5


# --- the advice -----------------------------------------------------------------------------------
def test_the_credential_that_fails_before_another_opens_is_advised_to_come_later(pair):
    old, new = pair
    fleet(7, (old, "rejected"), (new, "accepted"))
    found = replayed()
    assert changes(found) == [("old", "", 10, 21)]
    assert (found.failed_now, found.failed_then, found.saved) == (7, 0, 7)
    assert [(each.rejected, each.opened, each.visits) for each in found.avoided] == [("old", "new", 7)]


def test_the_saving_a_week_is_that_of_the_days_that_the_ledger_covers(pair):
    old, new = pair
    fleet(14, (old, "rejected"), (new, "accepted"), days=13)
    assert replayed().saved_a_week == pytest.approx(7)


def test_the_ledger_of_one_day_is_not_multiplied_to_a_week(pair):
    old, new = pair
    fleet(5, (old, "rejected"), (new, "accepted"), hours=1)
    assert replayed().saved_a_week == pytest.approx(5)


def test_fewer_than_three_saved_logins_are_no_reason_to_change_anything(pair):
    old, new = pair
    fleet(2, (old, "rejected"), (new, "accepted"))
    found = replayed()
    assert found.failed_now == 2
    assert not found.changes


def test_an_order_that_helps_here_and_hurts_more_there_is_not_advised(pair):
    old, new = pair
    fleet(4, (old, "rejected"), (new, "accepted"))
    for number in range(9):
        visit(where := device(f"s{number}"), (old, "accepted"), at=ago(days=9))
        login(where, new, "rejected", ago(days=1), is_test=True)
    found = replayed()
    assert found.failed_now == 4
    assert not found.changes


def test_what_a_test_had_rejected_before_a_visit_is_skipped_there_under_any_order(pair):
    old, new = pair
    fleet(4, (old, "rejected"), (new, "accepted"))
    for number in range(9):
        login(where := device(f"s{number}"), new, "rejected", ago(days=9), is_test=True)
        visit(where, (old, "accepted"), at=ago(days=1))
    found = replayed()
    assert (found.failed_now, found.failed_then) == (4, 0)


def test_where_nothing_is_known_of_a_credential_putting_it_first_counts_as_a_failure(pair):
    old, new = pair
    fleet(4, (old, "rejected"), (new, "accepted"))
    fleet(9, (old, "accepted"), prefix="s")
    found = replayed()
    assert found.failed_now == 4
    assert not found.changes, "new was never tried on nine devices that old opens"


def test_a_tag_gets_a_priority_of_its_own_where_only_its_devices_gain():
    east = credential("east", ["dc", "east"], priority=10)
    west = credential("west", ["dc", "west"], priority=20)
    fleet(6, (east, "rejected"), (west, "accepted"), prefix="w", tags=["dc", "west"])
    fleet(6, (east, "accepted"), prefix="e", tags=["dc", "east"])
    found = replayed()
    assert changes(found) == [("west", "west", None, 9)]
    assert found.failed_then == 0


def test_a_priority_that_hangs_on_a_tag_is_changed_where_it_hangs():
    old = credential("old", ["dc"], priority=500, tag_priorities={"dc": 10})
    new = credential("new", ["dc"], priority=1, tag_priorities={"dc": 20})
    fleet(5, (old, "rejected"), (new, "accepted"))
    assert changes(replayed()) == [("old", "dc", 10, 21)]


def test_several_changes_are_advised_when_each_saves_enough():
    a, b, c = (credential(name, priority=number) for number, name in enumerate("abc", start=10))
    fleet(8, (a, "rejected"), (b, "rejected"), (c, "accepted"))
    found = replayed()
    assert found.failed_now == 16
    assert found.failed_then == 0
    assert changes(found) == [("c", "", 12, 9)], "one change does it"


def test_a_fallback_credential_stays_last():
    wrong, glass = credential("wrong"), credential("glass", [], is_fallback=True)
    fleet(6, (wrong, "rejected"), (glass, "accepted"))
    found = replayed()
    assert found.failed_now == 6
    assert not found.changes


def test_a_search_that_runs_out_of_time_says_so(pair):
    old, new = pair
    fleet(5, (old, "rejected"), (new, "accepted"))
    assert replayed().is_complete
    facts = load_facts()
    found = best_ordering(facts, read_ledger(facts, 28, NOW), limit_s=-1)
    assert (found.is_complete, found.changes, found.failed_now) == (False, (), 5)


def test_a_changed_order_is_judged_by_the_same_rule_as_the_store(pair):
    old, new = pair
    fleet(4, (old, "rejected"), (new, "accepted"))
    roll_up()
    facts = load_facts()
    (course,) = read_ledger(facts, 28, NOW).courses
    assert walk(course, facts.orders).failed == ((old.pk,),)
    turned = facts.orders.with_priorities({(new.pk, None): 1})
    assert walk(course, turned).failed == ((),)


# --- applying and taking back -----------------------------------------------------------------------
@pytest.fixture
def user():
    return User.objects.create_user("pat")


def numbers() -> dict[str, object]:
    found: dict[str, object] = dict(Credential.objects.values_list("name", "priority"))
    links = CredentialTag.objects.values_list("content_object__name", "tag__name", "priority")
    return found | {f"{name}/{tag}": number for name, tag, number in links}


def two_changes() -> Ordering:
    """An advised order with a number of a credential and one of a tag."""
    east = credential("east", ["dc", "east"], priority=10)
    west = credential("west", ["dc", "west", "spare"], priority=20, tag_priorities={"spare": 300})
    old = credential("old", ["lab"], priority=1)
    new = credential("new", ["lab"], priority=2)
    fleet(6, (east, "rejected"), (west, "accepted"), prefix="w", tags=["dc", "west"])
    fleet(6, (east, "accepted"), prefix="e", tags=["dc", "east"])
    fleet(6, (old, "rejected"), (new, "accepted"), prefix="l", tags=["lab"])
    return replayed()


def test_applying_sets_the_numbers_and_undoing_gives_back_exactly_the_former_ones(user):
    found = two_changes()
    assert {each.tag is None for each in found.changes} == {True, False}
    before = numbers()
    row = apply_offer(offer(found), user)
    after = numbers()
    for each in found.changes:
        assert after[f"{each.name}/{each.tag_name}" if each.tag_name else each.name] == each.after
    assert len({key for key in before if before[key] != after[key]}) == len(found.changes)
    assert (row.saved, row.applied_by_name) == (found.saved, "pat")
    assert replayed().failed_now == 0
    undo(row.pk, user)
    assert numbers() == before
    row.refresh_from_db()
    assert row.undone_by_name == "pat"


def test_applying_changes_no_secret_no_version_and_no_counter(pair, user):
    old, new = pair
    fleet(5, (old, "rejected"), (new, "accepted"))
    Credential.objects.update(success_count=7)
    apply_offer(offer(replayed()), user)
    old.refresh_from_db()
    assert (old.version, old.success_count, old.password.reveal(ANY)) == (1, 7, "pw")


@pytest.mark.parametrize(
    "meanwhile",
    [
        lambda old, new: update_credential(old, priority=77),
        lambda old, new: update_credential(new, tag_priorities={"dc": 3}),
        lambda old, new: update_credential(new, secrets=SecretsInput(password="other")),
        lambda old, new: update_credential(new, enabled=False),
        lambda old, new: update_credential(new, tags=["dc", "more"]),
        lambda old, new: credential("third"),
        lambda old, new: old.delete(),
    ],
)
def test_an_offer_is_refused_when_credentials_changed_meanwhile(pair, user, meanwhile):
    old, new = pair
    fleet(5, (old, "rejected"), (new, "accepted"))
    held = offer(replayed())
    meanwhile(old, new)
    before = numbers()
    with pytest.raises(ValidationError, match="changed since this advice was made"):
        apply_offer(held, user)
    assert numbers() == before
    assert not Reordering.objects.exists()


def test_an_offer_is_applied_once(pair, user):
    old, new = pair
    fleet(5, (old, "rejected"), (new, "accepted"))
    held = offer(replayed())
    apply_offer(held, user)
    with pytest.raises(ValidationError, match="changed since"):
        apply_offer(held, user)


@pytest.mark.parametrize("text", ["", "nonsense", "eyJhIjoxfQ:1abc:xyz"])
def test_what_is_no_offer_of_ours_is_refused(user, text):
    with pytest.raises(ValidationError, match="too old or not complete"):
        apply_offer(text, user)


def test_an_offer_without_changes_is_refused(pair, user):
    with pytest.raises(ValidationError, match="nothing to apply"):
        apply_offer(offer(replayed()), user)


def test_nothing_is_half_applied_when_one_credential_cannot_be_saved(user):
    found = two_changes()
    assert len(found.changes) == 2
    # A row that the services refuse, and that is written after another one.
    Credential.objects.filter(pk=max(each.credential for each in found.changes)).update(name="")
    before = numbers()
    with pytest.raises(ValidationError):
        apply_offer(offer(found), user)
    assert numbers() == before
    assert not Reordering.objects.exists()


def test_undoing_is_refused_when_a_number_was_changed_since(pair, user):
    old, new = pair
    fleet(5, (old, "rejected"), (new, "accepted"))
    row = apply_offer(offer(replayed()), user)
    update_credential(Credential.objects.get(pk=old.pk), priority=33)
    with pytest.raises(ValidationError, match="was changed since, to 33"):
        undo(row.pk, user)
    row.refresh_from_db()
    assert row.undone_at is None


def test_undoing_is_refused_when_a_credential_or_its_tag_is_gone(user):
    row = apply_offer(offer(two_changes()), user)
    west = Credential.objects.get(name="west")
    update_credential(west, tags=["dc"])
    with pytest.raises(ValidationError, match="west has lost the tag west"):
        undo(row.pk, user)
    west.delete()
    with pytest.raises(ValidationError, match="The credential west is gone"):
        undo(row.pk, user)


def test_undoing_twice_is_refused(pair, user):
    old, new = pair
    fleet(5, (old, "rejected"), (new, "accepted"))
    row = apply_offer(offer(replayed()), user)
    undo(row.pk, user)
    with pytest.raises(ValidationError, match="undone before, by pat"):
        undo(row.pk, user)
    with pytest.raises(ValidationError, match="not known"):
        undo(row.pk + 1, user)
