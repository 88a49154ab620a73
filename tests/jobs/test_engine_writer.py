"""The writer of a shard: many writes in one transaction, and what happens to each when one cannot be done."""

from __future__ import annotations

import sqlite3
import threading
import time

import pytest
from django.db import IntegrityError, OperationalError, connection
from django.utils import timezone

from credentials.guard import get_guard
from credentials.store import Candidate, get_store
from devices.connector.outcomes import Fate, Outcome
from jobs.choices import Trigger
from jobs.connector import AttemptRecord, DeviceReport
from jobs.engine import writer as module
from jobs.engine.books import Books, Ending
from jobs.engine.claims import claim, facts_of
from jobs.engine.shard import run_shard
from jobs.engine.writer import Desk, LostLease, Writer
from jobs.kinds import Stored
from jobs.models import Attempt, Run, Shard
from jobs.services import start_adhoc
from tests.jobs.engine_kinds import Look, named, registered

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def held():
    """A shard that this process holds, and its writer."""
    named("one", "two")
    with registered(Look(str)):
        run = start_adhoc("look", trigger=Trigger.COMMAND)
        shard = claim(run.shards.get().pk)
        yield shard, Writer(shard.pk, shard.fence)


def ask_all(writer: Writer, *works) -> list:
    """The answers to works that are asked for from as many threads, served here; an exception is an answer."""
    answers: dict[int, object] = {}

    def ask(number, work):
        try:
            answers[number] = writer.call(work)
        except Exception as error:  # noqa: BLE001 - it is the answer
            answers[number] = error

    threads = [threading.Thread(target=ask, args=pair) for pair in enumerate(works)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    try:
        writer.serve()
    finally:
        for thread in threads:
            thread.join(10)
    return [answers[number] for number in range(len(works))]


def renamed(run: Run, name: str):
    return lambda: Run.objects.filter(pk=run.pk).update(job_name=name)


def test_a_write_that_the_database_refuses_at_the_commit_fails_alone(held):
    shard, writer = held

    def orphan():
        facts = {"order": 1, "outcome": "success", "fate": "accepted", "started_at": timezone.now(), "duration_s": 1}
        return Attempt.objects.create(device_id=987_654, device_name="x", **facts)

    answers = ask_all(writer, renamed(shard.run, "a"), orphan, lambda: "fine")
    assert answers[0] == 1
    assert isinstance(answers[1], IntegrityError)
    assert answers[2] == "fine"
    assert Run.objects.get().job_name == "a"
    assert not Attempt.objects.exists()


def test_a_write_that_raises_leaves_nothing_and_fails_alone(held):
    shard, writer = held

    def half():
        Run.objects.filter(pk=shard.run_id).update(message="half")
        raise KeyError("broken")

    answers = ask_all(writer, half, renamed(shard.run, "b"))
    assert isinstance(answers[0], KeyError)
    assert answers[1] == 1
    assert Run.objects.get().message == ""


def test_all_rows_for_a_desk_are_written_at_once_in_the_order_of_the_desks(held):
    _, writer = held
    calls = []
    late = Desk(2, lambda rows: calls.append(("late", rows)) or rows)
    early = Desk(1, lambda rows: calls.append(("early", rows)) or rows)
    told = []
    for desk, row in ((late, 1), (early, 2), (late, 3)):
        writer.put(desk, row, told.append, pytest.fail)
    writer.drain()
    assert calls == [("early", [2]), ("late", [1, 3])]
    assert told == [1, 2, 3]


def test_a_shard_that_another_worker_took_over_writes_nothing_more(held):
    shard, writer = held
    Shard.objects.update(fence=shard.fence + 1)
    writer.put(Desk(1, lambda rows: renamed(shard.run, "mine")()), 1, pytest.fail, lambda problem: None)
    with pytest.raises(LostLease):
        writer.drain()
    with pytest.raises(LostLease):
        writer.call(lambda: 1)
    assert Run.objects.get().job_name == "Look"


def test_a_commit_whose_answer_is_lost_is_not_done_again(held, monkeypatch):
    _, writer = held
    commit, lost = connection._commit, []

    def commit_and_lose_the_connection():
        commit()
        if not lost:
            lost.append(True)
            raise OperationalError("gone") from trouble_of("SQLITE_IOERR")

    monkeypatch.setattr(connection, "_commit", commit_and_lose_the_connection)
    done = []
    writer.put(Desk(1, lambda rows: done.append(rows) or rows), 1, done.append, pytest.fail)
    writer.drain()
    assert done == [[1], 1]


def trouble_of(name: str) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(name)
    error.sqlite_errorcode = getattr(sqlite3, name)
    return error


def test_a_database_that_is_full_keeps_the_run_waiting_and_loses_nothing(monkeypatch):
    if connection.vendor != "sqlite":
        pytest.skip("how to fill a database is SQLite's")
    named(*(f"d{n}" for n in range(5)))
    monkeypatch.setattr(module, "_LONGEST_PAUSE_S", 0.1)
    begun = threading.Event()
    shown = []

    def limit(pages: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA max_page_count = {pages}")

    def act(name):
        begun.set()
        return lambda: Stored(data={"much": "x" * 50_000})

    wait = Writer._be_patient

    def patient(self, error, tries, *more):
        wait(self, error, tries, *more)
        if tries == 4:
            shown.append(Run.objects.get().message)
            limit(1_000_000)

    monkeypatch.setattr(Writer, "_be_patient", patient)
    with registered(Look(act)):
        run = start_adhoc("look", trigger=Trigger.COMMAND)
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA page_count")
            pages = cursor.fetchone()[0]
        limit(pages + 5)
        run_shard(run.shards.get().pk)
    run.refresh_from_db()
    assert "database is full" in shown[0]
    assert run.message == ""
    assert [result.outcome for result in run.results.all()] == ["success"] * 5
    assert {len(result.data["much"]) for result in run.results.all()} == {50_000}


def test_a_result_whose_credential_is_gone_is_written_without_it(held):
    shard, writer = held
    books = Books(get_guard(), get_store(), facts_of(shard.run))
    candidate = Candidate(4711, 1, "gone", "ops", "central", 1, "", (), "because", ("password",))
    device = shard.results.first().device_id
    record = AttemptRecord(
        device, "one", candidate, 1, Outcome.SUCCESS, Fate.ACCEPTED, "", "192.0.2.1", "", timezone.now(), 1.0
    )
    report = DeviceReport(Outcome.SUCCESS, candidate=candidate, attempts=1)
    problems = []
    ending = Ending(shard.results.first().pk, device, report, [record])
    writer.put(books.end, ending, pytest.fail, problems.append)
    writer.drain()
    assert isinstance(problems[0], IntegrityError)
    bare = Ending(ending.result, device, DeviceReport(Outcome.INTERNAL_ERROR, attempts=1), [record], is_bare=True)
    writer.put(books.end, bare, lambda answer: None, problems.append)
    writer.drain()
    assert len(problems) == 1
    assert Attempt.objects.get().credential_name == "gone"
    assert Attempt.objects.get().credential is None
    assert shard.results.first().login_count == 1
