"""What was lost is found again: holders that are gone, clocks that jump, tasks that the broker forgot, open logins."""

from __future__ import annotations

import os
import subprocess
from datetime import timedelta

import pytest
from django.utils import timezone

from credentials.models import GuardAccount, GuardLogin
from jobs.choices import ShardStatus, Trigger
from jobs.engine import beat, linux, runs
from jobs.engine.claims import claim
from jobs.engine.runs import LEASE, SUSPECTED_FOR, enqueue, recover
from jobs.engine.shard import run_shard
from jobs.models import Attempt, Result, Run, Shard, WorkerBeat
from jobs.services import start_adhoc
from tests.jobs.engine_kinds import Look, named, registered
from tests.jobs.fleet import credential

pytestmark = pytest.mark.django_db(transaction=True)
ELSEWHERE = "elsewhere:boot-1:1"


@pytest.fixture
def held():
    """A run whose shard this process holds."""
    named("one")
    with registered(Look(str)):
        run = start_adhoc("look", trigger=Trigger.COMMAND)
        assert claim(run.shards.get().pk) is not None
        yield run


def status(run: Run) -> str:
    return run.shards.get().status


def test_a_shard_whose_process_on_this_host_has_ended_is_handed_out_at_once(held):
    ended = subprocess.Popen(["true"])
    ended.wait()
    holder, beginning = f"{beat.this_host()}:{linux.pid_space()}", linux.began_at(os.getpid())
    Shard.objects.update(holder=f"{holder}-{beginning}:{ended.pid}")
    assert recover() == 1
    assert status(held) == ShardStatus.QUEUED


def test_a_process_that_was_given_the_number_of_the_holder_later_is_not_taken_for_it(held):
    Shard.objects.update(holder=f"{beat.this_host()}:{linux.pid_space()}-1:{os.getpid()}")
    assert recover() == 1


def test_the_shard_of_a_living_process_is_left_to_it(held):
    assert recover() == 0
    assert status(held) == ShardStatus.RUNNING


def test_a_holder_that_cannot_be_seen_is_gone_when_its_lease_looks_wrong_for_a_while(held):
    Shard.objects.update(holder=ELSEWHERE, lease_until=timezone.now() - timedelta(seconds=1))
    assert recover() == 0
    assert recover() == 0
    Shard.objects.update(suspected_at=timezone.now() - SUSPECTED_FOR)
    assert recover() == 1
    assert status(held) == ShardStatus.QUEUED


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(hours=-1)], ids=["forward", "backward"])
def test_a_clock_that_jumps_costs_a_living_holder_nothing_and_a_dead_one_is_still_found(held, jump):
    # The lease as it stands after the jump: an hour over, or an hour too long.
    lease = timezone.now() + LEASE - jump
    Shard.objects.update(holder=ELSEWHERE, lease_until=lease)
    assert recover() == 0
    assert Shard.objects.get().suspected_at
    Shard.objects.update(lease_until=timezone.now() + LEASE, suspected_at=None)  # as a living holder does in 5 s
    assert recover() == 0
    Shard.objects.update(lease_until=lease, suspected_at=timezone.now() - SUSPECTED_FOR)
    assert recover() == 1


def test_a_redelivered_task_takes_no_shard_from_its_holder_even_when_the_lease_looks_over(held):
    Shard.objects.update(holder=ELSEWHERE, lease_until=timezone.now() - timedelta(hours=1))
    assert claim(held.shards.get().pk) is None


def test_a_run_whose_last_worker_was_lost_before_it_could_close_it_is_closed(held, monkeypatch):
    Shard.objects.update(status=ShardStatus.QUEUED)
    with monkeypatch.context() as patched:
        patched.setattr("jobs.engine.shard.finish_run", lambda run: None)
        run_shard(held.shards.get().pk)
    assert not Run.objects.get().finished_at
    recover()
    assert Run.objects.get().status == "succeeded"


# --- the broker ---


def test_a_broker_that_is_down_at_the_start_only_delays_the_run(monkeypatch):
    named("one")

    def refuse(*args, **more):
        raise ConnectionError("no broker")

    with registered(Look(str)):
        with monkeypatch.context() as patched:
            patched.setattr(runs, "async_task", refuse)
            run = start_adhoc("look", trigger=Trigger.COMMAND)
            assert run.status == "queued"
        assert Shard.objects.get().enqueued_at is None
        assert recover() == 1
        assert Shard.objects.get().enqueued_at


def test_a_task_that_the_broker_has_lost_is_handed_out_again(monkeypatch):
    named("one")
    with registered(Look(str)):
        run = start_adhoc("look", trigger=Trigger.COMMAND)
    shard = run.shards.get()
    enqueue(shard.pk)
    size = 0

    class Broker:
        def queue_size(self):
            return size

    monkeypatch.setattr(runs, "get_broker", Broker)
    assert recover() == 0
    Shard.objects.update(enqueued_at=timezone.now() - timedelta(minutes=1))
    size = 1
    assert recover() == 0
    size = 0
    assert recover() == 1
    assert recover() == 0


def test_a_heartbeat_that_no_queue_holds_any_more_is_asked_for_again():
    assert beat.ask("a-host")
    assert not beat.ask("a-host")
    from django_q.brokers import get_broker

    get_broker(beat.queue_of("a-host")).purge_queue()
    assert not beat.ask("a-host")
    WorkerBeat.objects.update(asked_at=timezone.now() - timedelta(minutes=1))
    assert beat.ask("a-host")


# --- logins that were under way ---


def test_a_login_that_was_under_way_when_the_worker_was_lost_is_in_the_books():
    device = named("one")["one"]
    used = credential("ops", "secret", username="ops")
    account = GuardAccount.objects.create(key="central:default:ops", label="ops", scope="central")
    row = GuardLogin.objects.create(
        account=account,
        credential=used.pk,
        credential_version=1,
        place=f"device:{device.pk}",
        place_label="one",
        at=timezone.now(),
    )
    with registered(Look(str)):
        run = start_adhoc("look", trigger=Trigger.COMMAND)
        shard = run.shards.get()
        claim(shard.pk)
        login = {"credential": used.pk, "version": 1, "scope": "central", "username": "ops"}
        login |= {"domain": "default", "device": device.pk, "device_label": "one"}
        Result.objects.update(
            started_at=timezone.now(),
            open_login={
                "login": login,
                "account": account.pk,
                "row": row.pk,
                "name": "ops",
                "reason": "only one",
                "order": 1,
                "at": timezone.now().isoformat(),
                "fate": "unanswered",
            },
        )
        Shard.objects.update(status=ShardStatus.QUEUED)
        run_shard(shard.pk)
    attempt = Attempt.objects.get()
    assert (attempt.outcome, attempt.fate, attempt.credential) == ("unanswered", "unanswered", used)
    assert "worker was lost" in attempt.detail
    row.refresh_from_db()
    assert row.state == "unanswered"
    result = run.results.get()
    assert (result.outcome, result.tries, result.login_count, result.open_login) == ("success", 2, 1, None)
