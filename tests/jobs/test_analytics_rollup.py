"""Counting the attempts: each once, whoever counts, and whatever happens meanwhile."""

from __future__ import annotations

import threading
from datetime import date

import pytest
from django.db import OperationalError, connection
from django.db.models import Sum

from credentials.services import SecretsInput, update_credential
from jobs.analytics import rollup
from jobs.analytics.rollup import RollUp, roll_up
from jobs.models import Attempt
from jobs.rollups import Dimension, LoginDay, LoginPair, LoginStep, RollUpMark
from tests.jobs.attempts import ago, credential, device, login, visit

pytestmark = pytest.mark.django_db

TOTALS = ("accepted", "rejected", "unanswered", "other")


def counted(dimension: Dimension = Dimension.ALL, **which) -> tuple[int, ...]:
    row = LoginDay.objects.filter(dimension=dimension, **which).aggregate(**{name: Sum(name) for name in TOTALS})
    return tuple(row[name] or 0 for name in TOTALS)


def test_every_login_is_counted_by_what_became_of_its_secret():
    r1, one = device("r1"), credential("one")
    for fate in ("accepted", "accepted", "rejected", "unanswered", "unsent"):
        login(r1, one, fate)
    assert roll_up() == RollUp(5, True)
    assert counted() == (2, 1, 1, 1)


def test_logins_are_counted_under_tags_platform_and_site_of_their_device():
    r1 = device("r1", ["dc", "core"], site="Bonn", platform="arista_eos")
    login(r1, one := credential("one"), "rejected")
    roll_up()
    found = LoginDay.objects.order_by("dimension", "value").values_list("dimension", "value", "credential", "rejected")
    assert list(found) == [
        ("all", "", one.pk, 1),
        ("platform", "arista_eos", one.pk, 1),
        ("site", "Bonn", one.pk, 1),
        ("tag", "core", one.pk, 1),
        ("tag", "dc", one.pk, 1),
    ]


def test_a_day_is_a_day_in_utc():
    r1, one = device("r1"), credential("one")
    login(r1, one, at=ago().replace(hour=23, minute=59, second=59))
    login(r1, one, at=ago(days=-1).replace(hour=0, minute=0, second=0))
    roll_up()
    assert list(LoginDay.objects.filter(dimension="all").order_by("day").values_list("day", "accepted")) == [
        (date(2026, 6, 15), 1),
        (date(2026, 6, 16), 1),
    ]


def test_tests_are_counted_apart():
    r1, one = device("r1"), credential("one")
    login(r1, one)
    login(r1, one, "rejected", is_test=True)
    roll_up()
    assert counted(is_test=False) == (1, 0, 0, 0)
    assert counted(is_test=True) == (0, 1, 0, 0)


def test_counting_again_counts_nothing_twice():
    r1, one = device("r1"), credential("one")
    login(r1, one)
    roll_up()
    assert roll_up() == RollUp(0, True)
    login(r1, one, "rejected")
    assert roll_up() == RollUp(1, True)
    assert counted() == (1, 1, 0, 0)


def test_many_batches_count_the_same_as_one(monkeypatch):
    monkeypatch.setattr(rollup, "BATCH", 3)
    monkeypatch.setattr(rollup, "_MOST_PAUSE_S", 0)
    one = credential("one")
    for number in range(10):
        visit(device(f"r{number}"), (one, "rejected"), (one, "accepted"))
    Attempt.objects.filter(pk__in=list(Attempt.objects.values_list("pk", flat=True)[4:9])).delete()
    assert roll_up() == RollUp(15, True)
    assert sum(counted()) == 15
    assert sum(LoginPair.objects.values_list("accepted", flat=True)) == counted()[0]


def test_with_nothing_to_count_it_asks_two_questions(django_assert_num_queries):
    login(device("r1"), credential("one"))
    roll_up()
    with django_assert_num_queries(2 if connection.vendor == "sqlite" else 3):
        roll_up()


def test_it_stops_when_its_time_is_up_and_goes_on_at_the_next_call(monkeypatch):
    monkeypatch.setattr(rollup, "BATCH", 2)
    r1, one = device("r1"), credential("one")
    for _ in range(5):
        login(r1, one)
    assert roll_up(limit_s=0) == RollUp(2, False)
    assert roll_up() == RollUp(3, True)
    assert counted() == (5, 0, 0, 0)


def test_a_failure_in_the_middle_of_a_batch_leaves_nothing_half_counted(monkeypatch):
    login(device("r1"), credential("one"))
    real = rollup.statements
    monkeypatch.setattr(rollup, "statements", lambda: [*real()[:3], "INSERT INTO no_such_table VALUES (1)"])
    if connection.vendor == "sqlite":
        assert roll_up() == RollUp(0, False)
    else:
        with pytest.raises(Exception, match="no_such_table"):
            roll_up()
    assert not LoginDay.objects.exists()
    monkeypatch.setattr(rollup, "statements", real)
    assert roll_up() == RollUp(1, True)
    assert counted() == (1, 0, 0, 0)


def test_a_batch_that_another_worker_has_counted_is_left_alone(monkeypatch):
    login(device("r1"), credential("one"))
    real, calls = rollup._batch_end, []

    def slow(mark: int, top: int):
        if not calls:
            calls.append(1)
            roll_up()  # the other worker is faster
        return real(mark, top)

    monkeypatch.setattr(rollup, "_batch_end", slow)
    assert roll_up() == RollUp(0, True)
    assert counted() == (1, 0, 0, 0)


def test_a_locked_database_is_no_error_but_left_for_later(monkeypatch):
    login(device("r1"), credential("one"))

    def locked(mark: int, end: int) -> bool:
        raise OperationalError("database is locked")

    monkeypatch.setattr(rollup, "_count", locked)
    assert roll_up() == RollUp(0, False)
    monkeypatch.undo()
    assert roll_up() == RollUp(1, True)


@pytest.mark.django_db(transaction=True)
def test_several_workers_at_once_count_each_login_once(monkeypatch):
    monkeypatch.setattr(rollup, "BATCH", 5)
    r1, one = device("r1"), credential("one")
    for _ in range(60):
        login(r1, one)

    def work() -> None:
        roll_up(limit_s=30)
        connection.close()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert RollUpMark.objects.get().attempt == Attempt.objects.order_by("-pk").first().pk
    assert counted() == (60, 0, 0, 0)
    assert LoginPair.objects.get().accepted == 60


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="one writer at a time elsewhere")
def test_a_login_that_is_committed_after_one_with_a_higher_id_is_not_missed():
    r1, one = device("r1"), credential("one")
    inserted, commit = threading.Event(), threading.Event()

    def late() -> None:
        from django.db import transaction

        with transaction.atomic():
            login(r1, one, "rejected")
            inserted.set()
            commit.wait(10)
        connection.close()

    writer = threading.Thread(target=late)
    writer.start()
    inserted.wait(10)
    login(r1, one)
    # The lower id is still under way: nothing may be counted past it.
    assert roll_up() == RollUp(0, False)
    commit.set()
    writer.join()
    assert roll_up() == RollUp(2, True)
    assert counted() == (1, 1, 0, 0)


# --- what is kept besides the days ----------------------------------------------------------------
def test_each_version_of_a_credential_is_proven_for_itself():
    r1, one = device("r1"), credential("one")
    login(r1, one, "rejected", ago(hours=3))
    update_credential(one, secrets=SecretsInput(password="better"))
    login(r1, one, "accepted", ago(hours=1))
    roll_up()
    assert list(LoginPair.objects.order_by("version").values_list("version", "accepted", "rejected")) == [
        (1, 0, 1),
        (2, 1, 0),
    ]


def test_first_and_last_times_hold_over_batches():
    r1, one = device("r1"), credential("one")
    for hours, fate in ((9, "rejected"), (8, "accepted")):
        login(r1, one, fate, ago(hours=hours))
    roll_up()
    for hours, fate in ((7, "rejected"), (6, "accepted"), (10, "rejected")):
        login(r1, one, fate, ago(hours=hours))
    roll_up()
    pair = LoginPair.objects.get()
    assert (pair.first_rejected_at, pair.rejected_at, pair.accepted_at) == (ago(hours=10), ago(hours=7), ago(hours=6))


def test_only_logins_whose_order_mattered_become_steps():
    r1, old, new = device("r1"), credential("old"), credential("new")
    visit(r1, (old, "rejected"), (new, "accepted"), at=ago(days=3))
    visit(r1, (new, "accepted"), at=ago(days=2))
    visit(device("r2"), (new, "accepted"), at=ago(days=2))
    login(r1, old, "rejected", is_test=True)
    roll_up()
    visit(r1, (new, "accepted"), at=ago(days=1))
    roll_up()
    steps = LoginStep.objects.order_by("attempt").values_list("device__name", "credential__name", "fate")
    assert list(steps) == [("r1", "old", "rejected"), ("r1", "new", "accepted"), ("r2", "new", "accepted")]


def test_counts_outlive_attempt_device_and_credential():
    r1, one = device("r1", site="Bonn"), credential("one")
    login(r1, one)
    roll_up()
    Attempt.objects.all().delete()
    r1.delete()
    one.delete()
    assert counted(Dimension.SITE, value="Bonn") == (1, 0, 0, 0)
    assert not LoginPair.objects.exists()


def test_a_login_whose_device_and_credential_are_gone_still_counts():
    login(None, None, "rejected")
    assert roll_up() == RollUp(1, True)
    assert counted(credential=0) == (0, 1, 0, 0)
