"""The lockout guard: budgets, proven accounts, reservations, remembered rejections, release."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from credentials.guard import (
    Guard,
    GuardedLogin,
    GuardLimits,
    Held,
    KnownRejected,
    Wait,
    get_guard,
    release_credential,
)
from credentials.models import AuditEvent, Credential, GuardAccount, GuardRelease, RememberedRejection
from credentials.services import SecretsInput, create_credential
from credentials.store import DatabaseStore

pytestmark = pytest.mark.django_db
NOW = timezone.now()


@pytest.fixture
def guard() -> Guard:
    return Guard(GuardLimits(window_s=900, central=3, local=2, in_flight=2))


@pytest.fixture
def central() -> Credential:
    return create_credential(name="tacacs", username="ops", secrets=SecretsInput(password="x1"), tags=["a"])


@pytest.fixture
def local() -> Credential:
    return create_credential(
        name="local", username="admin", secrets=SecretsInput(password="x2"), tags=["a"], scope="local"
    )


def login(credential: Credential, device: int = 1, domain: str = "default") -> GuardedLogin:
    return GuardedLogin(
        credential=credential.pk,
        version=credential.version,
        scope=credential.scope,
        username=credential.username,
        domain=domain,
        device=device,
        device_label=f"device-{device}",
        address=f"10.0.0.{device}:22",
    )


def reject(guard: Guard, credential: Credential, device: int, at=NOW) -> None:
    """A wrong password of the same account: another credential each time, since one is not tried twice."""
    wrong = create_credential(
        name=f"wrong-{Credential.objects.count()}",
        username=credential.username,
        secrets=SecretsInput(password="no"),
        tags=["a"],
        scope=credential.scope,
    )
    guard.settle(guard.reserve(login(wrong, device), at), "rejected", at)


def accept(guard: Guard, credential: Credential, device: int, at=NOW) -> None:
    guard.settle(guard.reserve(login(credential, device), at), "accepted", at)
    DatabaseStore(guard).record(credential.pk, "accepted", at)


def test_a_central_account_is_held_after_three_rejections_anywhere(guard, central):
    for device in (1, 2, 3):
        reject(guard, central, device)
    with pytest.raises(Held) as held:
        guard.reserve(login(central, 4), NOW)
    assert "ops in AAA domain default" in str(held.value)
    assert held.value.limit == 3


def test_another_aaa_domain_has_a_budget_of_its_own(guard, central):
    for device in (1, 2, 3):
        reject(guard, central, device)
    assert guard.reserve(login(central, 4, "other"), NOW)


def test_a_local_account_is_counted_per_device(guard, local):
    reject(guard, local, 1)
    reject(guard, local, 1)
    with pytest.raises(Held):
        guard.reserve(login(local, 1), NOW)
    assert guard.reserve(login(local, 2), NOW)


def test_the_budget_comes_back_when_the_window_has_passed(guard, central):
    for device in (1, 2, 3):
        reject(guard, central, device)
    assert guard.reserve(login(central, 4), NOW + timedelta(seconds=901))


def test_an_unproven_account_is_tried_by_a_few_at_a_time(guard, central):
    guard.reserve(login(central, 1), NOW)
    guard.reserve(login(central, 2), NOW)
    with pytest.raises(Wait):
        guard.reserve(login(central, 3), NOW)


def test_no_more_are_in_flight_than_there_are_rejections_left(guard, central):
    reject(guard, central, 1)
    reject(guard, central, 2)
    guard.reserve(login(central, 3), NOW)
    with pytest.raises(Wait):
        guard.reserve(login(central, 4), NOW)


def test_the_first_success_opens_the_gate(guard, central):
    guard.reserve(login(central, 1), NOW)
    accept(guard, central, 2)
    for device in range(3, 60):
        guard.reserve(login(central, device), NOW)


def test_a_reservation_that_was_never_sent_is_given_back(guard, central):
    for device in range(1, 10):
        guard.settle(guard.reserve(login(central, device), NOW), "unsent", NOW)
    assert guard.reserve(login(central, 10), NOW)


def test_an_unanswered_one_stays_spent_until_the_window_ends(guard, central):
    for device in (1, 2, 3):
        guard.settle(guard.reserve(login(central, device), NOW), "unanswered", NOW)
    with pytest.raises(Held):
        guard.reserve(login(central, 4), NOW)
    assert guard.reserve(login(central, 4), NOW + timedelta(seconds=901))


def test_for_a_proven_account_only_rejections_count(guard, central):
    accept(guard, central, 1)
    for device in range(2, 12):
        guard.settle(guard.reserve(login(central, device), NOW), "unanswered", NOW)
    assert guard.reserve(login(central, 12), NOW)


def test_a_proven_account_is_held_too_when_its_password_changes(guard, central):
    accept(guard, central, 1, NOW - timedelta(seconds=60))
    for device in (2, 3, 4):
        reject(guard, central, device)
    with pytest.raises(Held):
        guard.reserve(login(central, 5), NOW)


def test_a_login_in_flight_of_a_killed_worker_counts_until_its_window_ends(guard, central):
    guard.reserve(login(central, 1), NOW)
    guard.reserve(login(central, 2), NOW)
    with pytest.raises(Wait):
        guard.reserve(login(central, 3), NOW + timedelta(seconds=800))
    assert guard.reserve(login(central, 3), NOW + timedelta(seconds=901))


def test_nothing_is_held_of_an_account_that_was_proven_when_its_worker_was_killed(guard, central):
    accept(guard, central, 1)
    for device in range(2, 100):
        guard.reserve(login(central, device), NOW)  # never settled
    assert guard.reserve(login(central, 200), NOW)


def test_a_password_that_was_just_proven_wrong_uses_up_no_more_budget(guard, central):
    guard.settle(guard.reserve(login(central, 1), NOW), "rejected", NOW)
    with pytest.raises(KnownRejected):
        guard.reserve(login(central, 2), NOW)


def test_an_unproven_central_rejection_is_remembered_for_the_whole_domain(guard, central):
    reject(guard, central, 1)
    assert RememberedRejection.objects.get().place == "domain:default"


def test_a_local_rejection_is_remembered_for_its_device(guard, local):
    reject(guard, local, 7)
    assert RememberedRejection.objects.get().place == "device:7"


def test_a_central_rejection_elsewhere_proven_is_remembered_for_that_device_alone(guard, central):
    accept(guard, central, 1)
    guard.settle(guard.reserve(login(central, 2), NOW), "rejected", NOW)
    assert RememberedRejection.objects.get().place == "device:2"


def test_a_later_success_shrinks_the_memory_to_the_devices_that_refused(guard, central):
    first = guard.reserve(login(central, 1), NOW)
    second = guard.reserve(login(central, 2), NOW)
    guard.settle(first, "rejected", NOW)
    guard.settle(second, "accepted", NOW)
    assert RememberedRejection.objects.get().place == "device:1"


def test_a_success_of_the_new_password_keeps_the_old_one_remembered(guard, central):
    new = create_credential(name="new", username="ops", secrets=SecretsInput(password="x9"), tags=["a"])
    guard.settle(guard.reserve(login(central, 1), NOW), "rejected", NOW)
    accept(guard, new, 1)
    remembered = RememberedRejection.objects.get()
    assert (remembered.credential_id, remembered.place) == (central.pk, "domain:default")


def test_release_gives_the_budget_back_and_forgets_the_rejections(guard, central):
    for device in (1, 2, 3):
        reject(guard, central, device)
    account = GuardAccount.objects.get()
    guard.release(account, "alice", NOW)
    assert guard.reserve(login(central, 4), NOW)
    assert not RememberedRejection.objects.exists()
    account.refresh_from_db()
    assert account.released_by == "alice"


def test_held_accounts_are_listed_with_what_was_spent(guard, central):
    for device in (1, 2, 3):
        reject(guard, central, device, timezone.now())
    [held] = guard.held_accounts()
    assert (held.account.label, held.spent, held.limit) == ("ops in AAA domain default", 3, 3)


def test_a_held_account_says_when_it_is_tried_again(guard, central):
    now = timezone.now()
    for device, minute in ((1, 0), (2, 3), (3, 4)):
        reject(guard, central, device, now + timedelta(minutes=minute))
    [held] = guard.held_accounts(now + timedelta(minutes=5))
    assert held.until == now + timedelta(seconds=guard.limits.window_s)


def test_held_accounts_can_be_asked_for_by_key(guard, central):
    for device in (1, 2, 3):
        reject(guard, central, device, timezone.now())
    assert [each.account.key for each in guard.held_accounts(keys=["central:default:ops"])] == ["central:default:ops"]
    assert guard.held_accounts(keys=["central:other:ops"]) == []


def test_a_new_password_of_a_held_account_is_released_by_its_own_name(guard, central):
    old = create_credential(name="old", username="ops", secrets=SecretsInput(password="o"), tags=["a"])
    for device in (1, 2):
        reject(guard, central, device, timezone.now())
    guard.settle(guard.reserve(login(old, 3)), "rejected")
    assert release_credential(central, "alice").accounts == ("ops in AAA domain default",)
    assert guard.held_accounts() == []
    # What was proven wrong stays so, and uses up none of the new budget.
    with pytest.raises(KnownRejected):
        guard.reserve(login(old, 4))


def test_a_release_leaves_the_accounts_of_other_user_names_held(guard, central):
    for device in (1, 2, 3):
        reject(guard, central, device, timezone.now())
    other = create_credential(name="other", username="someone", secrets=SecretsInput(password="o"), tags=["a"])
    assert release_credential(other, "alice").accounts == ()
    assert guard.held_accounts()


def test_each_release_stays_on_record_with_its_reason(guard, central):
    for device in (1, 2, 3):
        reject(guard, central, device, NOW)
    guard.release(GuardAccount.objects.get(), "alice", NOW, reason="password  corrected")
    release_credential(central, "bob", NOW)
    assert [(each.what, each.by, each.reason) for each in GuardRelease.objects.order_by("pk")] == [
        ("Account ops in AAA domain default", "alice", "password corrected")
    ]


def test_an_edited_credential_starts_afresh(guard, central):
    from credentials.services import update_credential

    guard.settle(guard.reserve(login(central, 1), NOW), "rejected", NOW)
    update_credential(central, secrets=SecretsInput(password="corrected"))
    assert not RememberedRejection.objects.exists()
    assert central.version == 2


# --- more than the limit must never get through ---------------------------------------------------
def other(credential: Credential, name: str = "typo", **more) -> Credential:
    """Another credential of the same account."""
    return create_credential(
        name=name, username=credential.username, secrets=SecretsInput(password="oops"), tags=["a"], **more
    )


def test_a_new_password_of_a_proven_account_goes_out_a_few_at_a_time(guard, central):
    accept(guard, central, 1)
    typo = other(central)
    guard.reserve(login(typo, 2), NOW)
    guard.reserve(login(typo, 3), NOW)
    with pytest.raises(Wait):
        guard.reserve(login(typo, 4), NOW)
    for device in range(5, 60):
        guard.reserve(login(central, device), NOW)


def test_a_success_of_some_minutes_ago_lets_a_few_go_first(guard, central):
    accept(guard, central, 1, NOW - timedelta(minutes=5))
    guard.reserve(login(central, 2), NOW)
    first = guard.reserve(login(central, 3), NOW)
    with pytest.raises(Wait):
        guard.reserve(login(central, 4), NOW)
    guard.settle(first, "accepted", NOW)
    for device in range(4, 60):
        guard.reserve(login(central, device), NOW)


def test_what_a_killed_worker_left_of_a_proven_account_stands_in_the_way_for_two_minutes_at_most(guard, central):
    accept(guard, central, 1, NOW - timedelta(minutes=5))
    guard.reserve(login(central, 2), NOW)
    guard.reserve(login(central, 3), NOW)  # both never settled
    assert guard.reserve(login(central, 4), NOW + timedelta(seconds=121))


def test_a_new_version_is_not_proven_by_the_one_before(guard, central):
    from credentials.services import update_credential

    accept(guard, central, 1)
    update_credential(central, secrets=SecretsInput(password="mistyped"))
    guard.reserve(login(central, 2), NOW)
    guard.settle(guard.reserve(login(central, 3), NOW), "rejected", NOW)
    assert RememberedRejection.objects.get().place == "domain:default"
    with pytest.raises(KnownRejected):
        guard.reserve(login(central, 4), NOW)


@pytest.mark.parametrize("written", ["Default", " default ", "DEFAULT"])
def test_an_aaa_domain_is_the_same_however_it_is_written(guard, central, written):
    for device in (1, 2, 3):
        reject(guard, central, device)
    with pytest.raises(Held):
        guard.reserve(login(central, 4, written), NOW)


@pytest.mark.parametrize("scope", ["central", "local"])
def test_a_user_name_is_the_same_account_in_capitals(guard, scope):
    small = create_credential(name="s", username="ops", secrets=SecretsInput(password="1"), tags=["a"], scope=scope)
    for _ in range(3 if scope == "central" else 2):
        reject(guard, small, 1)
    large = create_credential(name="l", username="OPS", secrets=SecretsInput(password="2"), tags=["a"], scope=scope)
    with pytest.raises(Held):
        guard.reserve(login(large, 1), NOW)


def test_editing_a_credential_gives_no_budget_back(guard, central):
    from credentials.services import update_credential

    for number in range(3):
        guard.settle(guard.reserve(login(central, number), NOW), "rejected", NOW)
        update_credential(central, secrets=SecretsInput(password=f"guess-{number}"))
    with pytest.raises(Held):
        guard.reserve(login(central, 9), NOW)


def test_making_a_credential_anew_gives_no_budget_back(guard, central):
    for number in range(3):
        again = other(central, f"again-{number}")
        guard.settle(guard.reserve(login(again, number), NOW), "rejected", NOW)
        again.delete()
    with pytest.raises(Held):
        guard.reserve(login(other(central), 9), NOW)


def test_a_fallback_credential_counts_against_the_same_account(guard, central):
    for device in (1, 2, 3):
        reject(guard, central, device)
    with pytest.raises(Held):
        guard.reserve(login(other(central, "rescue", is_fallback=True), 4), NOW)


def test_a_success_by_a_clock_that_is_ahead_wipes_out_nothing_that_comes_later(guard, central):
    accept(guard, central, 1, NOW + timedelta(hours=1))
    for device in (2, 3, 4):
        reject(guard, central, device)
    with pytest.raises(Held):
        guard.reserve(login(central, 5), NOW)


def test_a_success_by_a_clock_that_is_ahead_opens_no_gate(guard, central):
    accept(guard, central, 1, NOW + timedelta(hours=1))
    guard.reserve(login(central, 2), NOW)
    guard.reserve(login(central, 3), NOW)
    with pytest.raises(Wait):
        guard.reserve(login(central, 4), NOW)


def test_a_release_helps_also_after_the_clock_was_set_back(guard, central):
    for device in (1, 2, 3):
        reject(guard, central, device, NOW + timedelta(hours=1))
    with pytest.raises(Held):
        guard.reserve(login(central, 4), NOW)
    guard.release(GuardAccount.objects.get(), "alice", NOW)
    assert guard.reserve(login(central, 4), NOW)


def test_releasing_a_credential_helps_also_after_the_clock_was_set_back(guard, central):
    for device in (1, 2, 3):
        reject(guard, central, device, timezone.now() + timedelta(hours=1))
    assert release_credential(central, "alice").accounts == ("ops in AAA domain default",)
    assert guard.reserve(login(central, 4), NOW)


@pytest.mark.parametrize("domain", ["lab:1", "A" * 60, "ß" * 60])
def test_any_name_of_an_aaa_domain_is_guarded_remembered_and_released(guard, central, domain):
    guard.settle(guard.reserve(login(central, 1, domain), NOW), "rejected", NOW)
    assert len(RememberedRejection.objects.get().place) <= 60
    with pytest.raises(KnownRejected):
        guard.reserve(login(central, 2, domain), NOW)
    guard.release(GuardAccount.objects.get(), "alice", NOW)
    assert guard.reserve(login(central, 2, domain), NOW)


# --- and a healthy fleet is not held --------------------------------------------------------------
def test_rejections_with_successes_between_hold_nobody(guard, central):
    accept(guard, central, 1)
    for device in range(2, 40, 2):
        guard.settle(guard.reserve(login(central, device), NOW), "rejected", NOW)
        accept(guard, central, device + 1)
    assert guard.reserve(login(central, 99), NOW)


def test_devices_that_take_their_time_to_refuse_an_account_that_opens_the_others_hold_nobody(guard, central):
    accept(guard, central, 1)
    slow = [guard.reserve(login(central, device), NOW) for device in range(2, 22)]
    later = NOW + timedelta(seconds=2)
    accept(guard, central, 30, later)
    for reservation in slow:
        guard.settle(reservation, "rejected", later + timedelta(seconds=1))
    assert guard.reserve(login(central, 99), later + timedelta(seconds=1))
    with pytest.raises(KnownRejected):
        guard.reserve(login(central, 2), later + timedelta(seconds=1))


def test_a_password_that_changes_while_logins_are_under_way_is_held_after_the_limit(guard, central):
    accept(guard, central, 1)
    under_way = [guard.reserve(login(central, device), NOW + timedelta(seconds=1)) for device in range(2, 5)]
    for reservation in under_way:
        guard.settle(reservation, "rejected", NOW + timedelta(seconds=3))
    with pytest.raises(Held):
        guard.reserve(login(central, 9), NOW + timedelta(seconds=3))


def test_a_success_of_the_new_password_spares_no_rejection_of_the_old_one(guard, central):
    old = create_credential(name="old", username="ops", secrets=SecretsInput(password="x9"), tags=["a"])
    reservation = guard.reserve(login(old, 2), NOW)
    accept(guard, central, 1, NOW + timedelta(seconds=1))
    guard.settle(reservation, "rejected", NOW + timedelta(seconds=2))
    assert guard.rejections(GuardAccount.objects.all(), NOW + timedelta(seconds=2)).total() == 1


def test_unanswered_logins_before_a_success_hold_nobody_after_it(guard, central):
    guard.settle(guard.reserve(login(central, 1), NOW), "unanswered", NOW)
    guard.settle(guard.reserve(login(central, 2), NOW), "unanswered", NOW)
    accept(guard, central, 3)
    for device in range(4, 60):
        guard.reserve(login(central, device), NOW)


def test_the_limits_are_three_two_and_two_unless_set():
    assert get_guard().limits == GuardLimits(window_s=900, central=3, local=2, in_flight=2)


def test_what_stayed_unanswered_of_a_proven_credential_holds_nobody_when_the_proof_has_ended(guard, central):
    accept(guard, central, 1)
    for device in range(2, 12):
        guard.settle(guard.reserve(login(central, device), NOW), "unanswered", NOW + timedelta(minutes=10))
    assert guard.reserve(login(central, 12), NOW + timedelta(minutes=16))


def test_a_release_of_an_account_is_recorded_in_the_trail(guard, central):
    for device in (1, 2, 3):
        reject(guard, central, device)
    guard.release(GuardAccount.objects.get(), "jo", NOW, "corrected")
    row = AuditEvent.objects.first()
    assert (row.event, row.actor, row.subject) == ("guard.released", "jo", "Account ops in AAA domain default")
    assert row.data == {"reason": "corrected"}


def test_a_release_of_a_credential_is_recorded_with_what_it_gave_back(guard, central):
    guard.settle(guard.reserve(login(central), NOW), "rejected", NOW)
    release_credential(central, "jo", NOW, "corrected")
    row = AuditEvent.objects.first()
    assert (row.event, row.actor, row.credential_name) == ("guard.released", "jo", "tacacs")
    assert row.data["accounts"] == ["ops in AAA domain default"]
    assert row.data["forgotten"] == ["AAA domain default"]


def test_two_devices_at_one_address_have_one_budget_for_a_local_account(guard, local):
    guard.settle(guard.reserve(login(local, 1), NOW), "rejected", NOW)
    twice = replace(login(local, 2), version=2, address=login(local, 1).address)
    guard.settle(guard.reserve(twice, NOW), "rejected", NOW)
    with pytest.raises(Held):
        guard.reserve(replace(twice, version=3), NOW)


@pytest.mark.parametrize("address", ["[2001:db8::1]:22", "r" * 240 + ".example:22"])
def test_any_address_is_guarded_and_released(guard, local, address):
    for version in (1, 2):
        there = replace(login(local), version=version, address=address)
        guard.settle(guard.reserve(there, NOW), "rejected", NOW)
    assert len(guard.held_accounts(NOW)) == 1
    assert release_credential(local, "jo", NOW).accounts == ("admin on device-1",)
    assert guard.held_accounts(NOW) == []
