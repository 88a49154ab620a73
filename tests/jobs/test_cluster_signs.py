"""Heartbeats, the order of the queues, and what a new cluster takes over from a killed one."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.conf import Conf
from django_q.models import OrmQ

from jobs.engine import beat, drain
from jobs.engine.process import HostFirstBroker, hand_out_again, recycle
from jobs.engine.runs import RUN_SHARD
from jobs.models import Run, Shard, WorkerBeat

pytestmark = pytest.mark.django_db

HOST = "router-room"


@pytest.fixture(autouse=True)
def not_draining() -> object:
    drain.clear()
    yield
    drain.clear()


def shard(status: str) -> Shard:
    run = Run.objects.create(job_name="backup", kind="backup", created_at=timezone.now())
    return Shard.objects.create(run=run, number=1, status=status)


def functions(key: str) -> list[str]:
    return [row.task["func"] for row in OrmQ.objects.filter(key=key)]


def test_heartbeats_do_not_pile_up_while_nobody_answers() -> None:
    assert beat.ask(HOST)
    assert not beat.ask(HOST)
    assert functions(beat.queue_of(HOST)) == [beat.HEARTBEAT]


def test_an_answer_is_recorded_and_allows_the_next_heartbeat() -> None:
    beat.ask(HOST)
    before = beat.signs(HOST)
    beat.answer(HOST)
    assert beat.signs(HOST) != before
    assert beat.ask(HOST)


def test_a_new_cluster_forgets_the_heartbeats_of_the_one_before() -> None:
    beat.ask(HOST)
    beat.forget(HOST)
    assert functions(beat.queue_of(HOST)) == []
    assert beat.ask(HOST)


def test_a_heartbeat_waits_for_its_own_host() -> None:
    beat.ask(HOST)
    assert get_broker().queue_size() == 0
    assert WorkerBeat.objects.get().host == HOST


def test_the_queue_of_the_host_comes_before_the_shared_one() -> None:
    shared, own = get_broker(), get_broker(beat.queue_of(HOST))
    shared.enqueue("shared")
    own.enqueue("own")
    broker = HostFirstBroker(shared, own)
    taken = [task for _ in range(2) for _, task in broker.dequeue() or []]
    assert taken == ["own", "shared"]


def test_nothing_is_handed_out_while_draining() -> None:
    get_broker().enqueue("a task")
    broker = HostFirstBroker(get_broker(), get_broker(beat.queue_of(HOST)))
    drain.begin()
    assert broker.dequeue() is None
    drain.clear()
    assert broker.dequeue() is not None


def test_a_wait_ends_when_draining_begins() -> None:
    drain.begin()
    assert drain.wait(3600)


def test_waiting_shards_that_a_killed_cluster_took_along_are_enqueued_again() -> None:
    waiting = [shard("queued"), shard("queued")]
    shard("running")
    shard("done")
    hand_out_again()
    assert [row.task["args"] for row in OrmQ.objects.all()] == [(one.pk,) for one in waiting]


def test_waiting_shards_that_are_still_in_the_queue_are_not_enqueued_twice() -> None:
    shard("queued")
    hand_out_again()
    hand_out_again()
    assert OrmQ.objects.count() == 1


@pytest.mark.parametrize(
    ("status", "minutes", "quiet"),
    [("queued", 0, False), ("running", 0, False), ("running", 11, True), ("succeeded", 0, True)],
)
def test_other_work_waits_for_runs_but_not_for_long_ones(status: str, minutes: int, quiet: bool) -> None:
    begun = timezone.now() - timedelta(minutes=minutes)
    Run.objects.create(job_name="backup", kind="backup", created_at=begun, status=status)
    assert beat.is_quiet() is quiet


def test_a_worker_ends_after_a_shard_and_not_after_a_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Conf, "RECYCLE", 1)
    for done, task in enumerate((beat.HEARTBEAT, beat.HEARTBEAT, RUN_SHARD), start=1):
        recycle({"func": task})
        assert (done == Conf.RECYCLE) is (task == RUN_SHARD)


def test_a_worker_that_has_answered_many_heartbeats_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Conf, "RECYCLE", 1)
    done = 0
    while done != Conf.RECYCLE:
        done += 1
        recycle({"func": beat.HEARTBEAT})
        assert done < 1000


def test_no_worker_ends_while_the_cluster_goes_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Conf, "RECYCLE", 1)
    drain.begin()
    recycle({"func": RUN_SHARD})
    assert Conf.RECYCLE == 0


def test_only_leases_of_this_host_that_have_not_ended_are_signs_of_life() -> None:
    soon = timezone.now() + timedelta(minutes=1)
    ended = timezone.now() - timedelta(minutes=1)
    live = shard("running")
    Shard.objects.filter(pk=live.pk).update(holder=f"{HOST}:4711", lease_until=soon)
    Shard.objects.filter(pk=shard("running").pk).update(holder=f"{HOST}:4712", lease_until=ended)
    Shard.objects.filter(pk=shard("running").pk).update(holder=f"{HOST}-2:1", lease_until=soon)
    assert beat.signs(HOST).leases == {(live.pk, soon)}
