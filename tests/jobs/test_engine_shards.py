"""Shards: how a run is cut, what a shard does when things go wrong, and how it is stopped and goes on."""

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import connections
from django.utils import timezone
from taggit.models import Tag

from devices.connector.outcomes import ConnectorError, Outcome
from devices.services import save_device
from jobs.choices import RunStatus, ShardStatus, Trigger
from jobs.engine import drain, shard
from jobs.engine.claims import MOST_TRIES, claim
from jobs.engine.plan import shard_size
from jobs.engine.queueing import SUSPECTS_AT_ONCE
from jobs.engine.runs import recover
from jobs.engine.shard import run_shard
from jobs.maintenance import save_window
from jobs.models import Result, Run, Shard, WorkerBeat
from jobs.services import cancel_run, pause_run, progress, resume_run, retry_failed, start_adhoc
from jobs.windows import MaintenanceWindow
from tests.jobs.engine_kinds import Look, named, registered
from tests.jobs.fleet import run_now

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _quick(settings):
    settings.NETRAVEN_RETRIES = 0


def outcomes(run: Run) -> Counter[str]:
    return Counter(run.results.values_list("outcome", flat=True))


def in_thread(run: Run) -> threading.Thread:
    """Works on the run's shards in another thread, as a worker would."""

    def work() -> None:
        try:
            for each in run.shards.order_by("number"):
                run_shard(each.pk)
        finally:
            connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def eventually(condition, within_s: float = 20) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


# --- the cut ---


@pytest.mark.parametrize(
    ("devices", "size"), [(1, 1), (10, 10), (11, 6), (200, 100), (1000, 500), (2001, 501), (10_000, 1000)]
)
def test_a_run_is_cut_for_the_workers_there_are(devices, size, settings):
    settings.NETRAVEN_WORKERS, settings.NETRAVEN_SHARD_SIZE = 2, 1000
    assert shard_size(devices) == size


def test_workers_of_other_hosts_that_are_up_get_a_part(settings):
    settings.NETRAVEN_WORKERS = 2
    now = timezone.now()
    for host, at in (("a", now), ("b", now), ("gone", now - timedelta(hours=1))):
        WorkerBeat.objects.create(host=host, answered_at=at)
    assert shard_size(200) == 50


# --- what goes wrong ---


def test_a_device_whose_thread_hangs_is_given_up_and_holds_up_nobody(settings, monkeypatch):
    settings.NETRAVEN_DEVICE_DEADLINE_S = 0
    monkeypatch.setattr(shard, "HANGS_AFTER_S", 0.5)
    let_go = threading.Event()
    named("stuck", "fine")
    with registered(Look(lambda name: let_go.wait(30) if name == "stuck" else "well")):
        run, results = run_now("look")
    let_go.set()
    assert results["fine"].outcome == "success"
    assert results["stuck"].outcome == "internal_error"
    assert "deadline" in results["stuck"].detail
    assert run.status == RunStatus.PARTIAL


def test_a_device_that_is_deleted_while_it_is_in_hand_disturbs_nobody():
    devices = named("one", "two")

    def act(name):
        if name == "one":
            devices["one"].delete()
            connections.close_all()

    with registered(Look(act)):
        run, results = run_now("look")
    assert [results[name].outcome for name in ("one", "two")] == ["success", "success"]
    assert run.status == RunStatus.SUCCEEDED


def test_what_cannot_be_stored_is_an_internal_error_of_that_device_alone():
    named("good", "bad", "better")

    def act(name):
        def store():
            raise ValueError("not today")

        return store if name == "bad" else name

    with registered(Look(act)):
        _, results = run_now("look")
    assert results["bad"].outcome == "internal_error"
    assert "could not be stored" in results["bad"].detail
    assert [results[name].outcome for name in ("good", "better")] == ["success", "success"]


def test_a_shard_that_cannot_be_worked_on_ends_its_devices_with_a_reference(monkeypatch):
    named("one")
    monkeypatch.setattr(shard, "tasks_of", lambda found: 1 / 0)
    with registered(Look(str)):
        run, results = run_now("look")
    assert results["one"].outcome == "internal_error"
    assert "Reference" in results["one"].detail
    assert run.status == RunStatus.FAILED


def test_a_run_whose_kind_is_gone_ends_and_says_so():
    named("one")
    with registered(Look(str)):
        run = start_adhoc("look", trigger=Trigger.COMMAND)
    run_shard(run.shards.get().pk)
    assert "no kind look" in run.results.get().detail


# --- devices that take their worker with them ---


def lose_worker(run: Run, *in_hand: str) -> None:
    """As if a worker had claimed the run's shard, begun these devices, and died."""
    found = run.shards.get()
    assert claim(found.pk) is not None
    run.results.filter(device_name__in=in_hand).update(started_at=timezone.now())
    Shard.objects.filter(pk=found.pk).update(status=ShardStatus.QUEUED, holder="")


def test_a_device_that_was_in_hand_each_time_a_worker_died_is_not_tried_again():
    named("poison", "fine")
    with registered(Look(str)):
        run = start_adhoc("look", trigger=Trigger.COMMAND)
        for _ in range(MOST_TRIES):
            lose_worker(run, "poison")
        run_shard(run.shards.get().pk)
    poison, fine = run.results.get(device_name="poison"), run.results.get(device_name="fine")
    assert (poison.outcome, poison.tries) == ("internal_error", MOST_TRIES)
    assert "leave the device out" in poison.advice.replace("\n", " ")
    assert (fine.outcome, fine.tries) == ("success", 1)


def test_devices_that_were_in_hand_when_a_worker_died_come_last_in_small_company_then_alone():
    names = [f"d{n:02}" for n in range(30)]
    named(*names)
    order: list[str] = []
    most = Counter[str]()
    busy: set[str] = set()
    lock = threading.Lock()

    def act(name):
        with lock:
            busy.add(name)
            order.append(name)
            kind = "plain" if name >= "d20" else ("twice" if name >= "d04" else "thrice")
            most[kind] = max(most[kind], len(busy))
        time.sleep(0.05)
        with lock:
            busy.remove(name)

    with registered(Look(act)):
        run = start_adhoc("look", trigger=Trigger.COMMAND)
        Shard.objects.exclude(number=1).delete()
        Result.objects.update(shard=run.shards.get())
        lose_worker(run, *names[:20])
        lose_worker(run, *names[:4])
        run_shard(run.shards.get().pk)
    assert set(order[:10]) == set(names[20:])
    assert set(order[-4:]) == set(names[:4])
    assert most["twice"] <= SUSPECTS_AT_ONCE == 10
    assert most["thrice"] == 1
    assert outcomes(run) == {"success": 30}


# --- stopping and going on ---


@pytest.fixture
def gate():
    """Devices that wait until the test opens the gate; what began so far."""
    opened, begun = threading.Event(), []

    def act(name):
        begun.append(name)
        opened.wait(30)

    with registered(Look(act)):
        yield opened, begun
    opened.set()


def test_a_paused_run_finishes_what_is_in_hand_and_starts_nothing_until_it_is_resumed(gate, settings):
    opened, begun = gate
    settings.NETRAVEN_THREADS = 2
    named(*(f"d{n}" for n in range(6)))
    run = start_adhoc("look", trigger=Trigger.COMMAND)
    worker = in_thread(run)
    eventually(lambda: len(begun) == 2)
    pause_run(run)
    time.sleep(0.7)
    opened.set()
    worker.join()
    run.refresh_from_db()
    assert run.status == RunStatus.PAUSED
    assert outcomes(run) == {"success": 2, "": 4}
    shard.run_shard(run.shards.get().pk)
    assert len(begun) == 2
    assert recover() == 0
    resume_run(run)
    run_shard(run.shards.get().pk)
    run.refresh_from_db()
    assert run.status == RunStatus.SUCCEEDED
    assert outcomes(run) == {"success": 6}
    assert set(run.results.values_list("tries", flat=True)) == {1}


def test_a_paused_run_can_be_cancelled():
    named("one")
    with registered(Look(str)):
        run = start_adhoc("look", trigger=Trigger.COMMAND)
        pause_run(run)
        cancel_run(run)
    run.refresh_from_db()
    assert run.status == RunStatus.CANCELLED
    assert outcomes(run) == {"cancelled": 1}
    assert run.results.get().advice


def test_a_run_that_is_cancelled_while_it_goes_on_finishes_what_is_in_hand(gate, settings):
    opened, begun = gate
    settings.NETRAVEN_THREADS = 2
    named(*(f"d{n}" for n in range(5)))
    run = start_adhoc("look", trigger=Trigger.COMMAND)
    worker = in_thread(run)
    eventually(lambda: len(begun) == 2)
    cancel_run(run)
    eventually(lambda: outcomes(run)["cancelled"] == 3)
    assert not Run.objects.get(pk=run.pk).finished_at
    opened.set()
    worker.join()
    run.refresh_from_db()
    assert run.status == RunStatus.CANCELLED
    assert outcomes(run) == {"success": 2, "cancelled": 3}


def test_what_cannot_be_paused_or_resumed_says_why():
    named("one")
    with registered(Look(str)):
        run, _ = run_now("look")
        other = start_adhoc("look", trigger=Trigger.COMMAND)
    for wrong, words in (
        (lambda: pause_run(run), "ended"),
        (lambda: resume_run(other), "not paused"),
        (lambda: retry_failed(other, trigger=Trigger.PERSON), "not ended"),
        (lambda: retry_failed(run, trigger=Trigger.PERSON), "nothing to retry"),
    ):
        with pytest.raises(ValidationError, match=words):
            wrong()


def test_a_retry_is_a_run_over_the_devices_that_failed():
    named("good", "bad", "held up")
    calm = False

    def act(name):
        if name != "good" and not calm:
            raise ConnectorError(Outcome.TIMEOUT, "silent")

    with registered(Look(act)):
        first, _ = run_now("look", max_parallel=7)
        calm = True
        again = retry_failed(first, trigger=Trigger.PERSON)
        for each in again.shards.all():
            run_shard(each.pk)
    assert again.retry_of == first
    assert again.max_parallel == 7
    assert sorted(again.results.values_list("device_name", "outcome")) == [("bad", "success"), ("held up", "success")]


def test_a_shard_that_would_outlast_its_task_gives_the_rest_back(settings):
    settings.NETRAVEN_SHARD_TIMEOUT_S, settings.NETRAVEN_THREADS = 1, 1
    named(*(f"d{n}" for n in range(4)))
    with registered(Look(lambda name: time.sleep(0.4))):
        run = start_adhoc("look", trigger=Trigger.COMMAND)
        run_shard(run.shards.get().pk)
        assert run.shards.get().status == ShardStatus.QUEUED
        done = outcomes(run)["success"]
        assert 0 < done < 4
        settings.NETRAVEN_SHARD_TIMEOUT_S = 3600
        run_shard(run.shards.get().pk)
    assert outcomes(run) == {"success": 4}
    assert set(run.results.values_list("tries", flat=True)) == {1}


def test_a_draining_worker_finishes_what_is_in_hand(gate, settings):
    opened, begun = gate
    settings.NETRAVEN_THREADS = 1
    named("one", "two")
    run = start_adhoc("look", trigger=Trigger.COMMAND)
    worker = in_thread(run)
    eventually(lambda: len(begun) == 1)
    drain.begin()
    try:
        opened.set()
        worker.join()
    finally:
        drain.clear()
    assert outcomes(run) == {"success": 1, "": 1}
    assert run.shards.get().status == ShardStatus.QUEUED


# --- maintenance windows ---


def window(**more) -> MaintenanceWindow:
    return save_window(
        MaintenanceWindow(),
        name="Cabling",
        tags=[Tag.objects.get(name="resting")],
        starts_at=timezone.now() - timedelta(minutes=5),
        duration_min=60,
        **more,
    )


def test_devices_in_a_maintenance_window_are_left_alone_and_do_not_fail_the_run():
    named("awake")
    resting = named("asleep")["asleep"]
    save_device(resting, tags=["lab", "resting"])
    window()
    with registered(Look(str)):
        run, results = run_now("look")
        assert results["awake"].outcome == "success"
        assert results["asleep"].outcome == "cancelled"
        assert results["asleep"].detail.startswith("Left alone: maintenance window Cabling until ")
        assert run.status == RunStatus.SUCCEEDED
        assert progress(run.pk).left_alone == 1
        assert progress(run.pk).failed == 0
        with pytest.raises(ValidationError):
            retry_failed(run, trigger=Trigger.PERSON)
        _, results = run_now("look", ignores_windows=True)
    assert results["asleep"].outcome == "success"


def test_a_run_whose_devices_were_all_left_alone_is_skipped_and_not_green():
    save_device(named("asleep")["asleep"], tags=["lab", "resting"])
    window()
    with registered(Look(str)):
        run, results = run_now("look")
    assert results["asleep"].outcome == "cancelled"
    assert run.status == RunStatus.SKIPPED
    assert run.message == "1 of 1 devices were left alone: maintenance window."
