"""The guard for a batch of logins: it grants and books what it would grant and book one by one."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from credentials.choices import GuardState
from credentials.guard import Guard, GuardLimits, Held, KnownRejected, Reservation, Wait
from credentials.guard_many import ProvenAccounts, reserve_many, settle_many
from credentials.models import Credential, GuardAccount, GuardLogin, RememberedRejection
from credentials.services import SecretsInput, create_credential
from credentials.store import DatabaseStore
from tests.credentials.test_guard import login

pytestmark = pytest.mark.django_db
NOW = timezone.now()


@pytest.fixture
def guard() -> Guard:
    return Guard(GuardLimits(window_s=900, central=3, local=2, in_flight=2))


@pytest.fixture
def central() -> Credential:
    return create_credential(name="tacacs", username="ops", secrets=SecretsInput(password="x1"), tags=["a"])


def settle(guard: Guard, credential: Credential, *fates: str, at=NOW) -> None:
    """Logins on devices 1, 2, 3... that were all under way at the same time."""
    account, _ = GuardAccount.objects.get_or_create(
        key=login(credential).account[0], defaults={"label": "x", "scope": credential.scope}
    )
    rows = [(Reservation(login(credential, n), account.pk, None, NOW), fate) for n, fate in enumerate(fates, start=1)]
    settle_many(guard, DatabaseStore(guard), rows, at)


def ask(guard: Guard, credential: Credential, count: int, at=NOW) -> list[str]:
    answers = reserve_many(guard, [login(credential, 1000 + n) for n in range(count)], None, at)
    return [type(answer).__name__ for answer in answers]


def test_all_logins_of_a_credential_that_just_got_in_are_granted(guard, central):
    settle(guard, central, "accepted")
    assert set(ask(guard, central, 100)) == {"Reservation"}


def test_a_credential_that_got_in_meanwhile_is_asked_for_once_in_a_batch(guard, central, monkeypatch):
    proven = ProvenAccounts()
    waiting = [login(central, 1000 + n) for n in range(50)]
    first = reserve_many(guard, waiting, proven, NOW)[0]
    settle_many(guard, DatabaseStore(guard), [(first, "accepted")], NOW)
    asked = []
    reserve = guard.reserve
    monkeypatch.setattr(guard, "reserve", lambda one, now: asked.append(one) or reserve(one, now))
    answers = reserve_many(guard, waiting, proven, NOW)
    assert {type(answer) for answer in answers} == {Reservation}
    assert len(asked) == 1


def test_of_an_unproven_one_a_few_are_granted(guard, central):
    assert ask(guard, central, 5) == ["Reservation", "Reservation", "Wait", "Wait", "Wait"]


def test_of_another_credential_of_a_proven_account_a_few_are_granted(guard, central):
    settle(guard, central, "accepted")
    typo = create_credential(name="typo", username="ops", secrets=SecretsInput(password="x2"), tags=["a"])
    assert ask(guard, typo, 4) == ["Reservation", "Reservation", "Wait", "Wait"]


def test_rejections_between_successes_of_one_batch_hold_nobody(guard, central):
    settle(guard, central, "accepted", "rejected", "accepted", "rejected", "accepted", "rejected", "accepted")
    assert set(ask(guard, central, 9)) == {"Reservation"}


def test_three_rejections_of_one_batch_hold_the_account(guard, central):
    settle(guard, central, "accepted", "rejected", "rejected", "rejected")
    assert set(ask(guard, create_credential(
        name="new", username="ops", secrets=SecretsInput(password="x3"), tags=["a"]
    ), 4)) == {"Held"}  # fmt: skip


@pytest.mark.parametrize("seed", range(12))
def test_a_batch_ends_like_its_logins_one_by_one(guard, central, seed):
    chance = random.Random(seed)
    fates = chance.choices(["accepted", "rejected", "unanswered", "unsent"], [5, 2, 1, 1], k=12)

    def outcome() -> tuple[object, ...]:
        spent = GuardLogin.objects.filter(state__in=[GuardState.REJECTED, GuardState.UNANSWERED]).count()
        proven = GuardLogin.objects.filter(state=GuardState.ACCEPTED).count()
        remembered = sorted(RememberedRejection.objects.values_list("place", flat=True))
        probe = create_credential(name="probe", username="ops", secrets=SecretsInput(password="p"), tags=["a"])
        answer: object
        try:
            answer = type(guard.reserve(login(probe, 5000), NOW + timedelta(seconds=1)))
        except (Held, Wait, KnownRejected) as error:
            answer = type(error)
        central.refresh_from_db()
        return spent, proven, remembered, answer, central.success_count, central.rejected_count

    class Undo(Exception):
        pass

    found = []
    for together in (True, False):
        try:
            with transaction.atomic():
                if together:
                    settle(guard, central, *fates)
                else:
                    for number, fate in enumerate(fates, start=1):
                        key = login(central).account[0]
                        account, _ = GuardAccount.objects.get_or_create(key=key, defaults={"scope": "central"})
                        guard.settle(Reservation(login(central, number), account.pk, None, NOW), fate, NOW)
                        if fate != "unsent":
                            DatabaseStore(guard).record(central.pk, fate, NOW)
                found.append(outcome())
                raise Undo
        except Undo:
            pass
    assert found[0] == found[1]
