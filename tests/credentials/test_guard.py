"""The lockout guard: budgets, proven accounts, reservations, remembered rejections, release."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from credentials.guard import Guard, GuardedLogin, GuardLimits, Held, KnownRejected, Wait
from credentials.models import Credential, GuardAccount, RememberedRejection
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
    [(account, spent, limit)] = guard.held_accounts()
    assert (account.label, spent, limit) == ("ops in AAA domain default", 3, 3)


def test_an_edited_credential_starts_afresh(guard, central):
    from credentials.services import update_credential

    guard.settle(guard.reserve(login(central, 1), NOW), "rejected", NOW)
    update_credential(central, secrets=SecretsInput(password="corrected"))
    assert not RememberedRejection.objects.exists()
    assert central.version == 2
