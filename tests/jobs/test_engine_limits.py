"""Concurrency limits and devices that two runs want: counted where the devices are."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from taggit.models import Tag

from devices.services import save_device
from jobs.choices import LimitScope, Trigger
from jobs.engine.claims import claim
from jobs.engine.shard import run_shard
from jobs.limiting import save_limit
from jobs.limits import ConcurrencyLimit, LimitUse
from jobs.models import Run
from jobs.services import start_adhoc
from tests.jobs.engine_kinds import Look, named, registered
from tests.jobs.fleet import run_now

pytestmark = pytest.mark.django_db(transaction=True)


class Rush:
    """Counts who is inside at once, by the first letters of the names."""

    def __init__(self, stay_s: float = 0.05) -> None:
        self._stay_s = stay_s
        self._inside = Counter[str]()
        self._lock = threading.Lock()
        self.most = Counter[str]()
        self.order: list[str] = []

    def __call__(self, name: str) -> str:
        keys = ("all", name.split("-")[0])
        with self._lock:
            self.order.append(name)
            self._inside.update(keys)
            for key in keys:
                self.most[key] = max(self.most[key], self._inside[key])
        time.sleep(self._stay_s)
        with self._lock:
            self._inside.subtract(keys)
        return name


@pytest.fixture
def rush(settings):
    settings.NETRAVEN_WORKERS, settings.NETRAVEN_THREADS = 2, 10
    counted = Rush()
    with registered(Look(counted)):
        yield counted


def at_once(*runs: Run) -> None:
    """Work on all shards of these runs at the same time, each in a thread as if in a worker of its own."""

    def work(shard: int) -> None:
        try:
            run_shard(shard)
        finally:
            connections.close_all()

    shards = [shard.pk for run in runs for shard in run.shards.all()]
    threads = [threading.Thread(target=work, args=(shard,)) for shard in shards]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert all(run.results.filter(outcome="success").count() == run.device_count for run in runs)


def limit(scope: LimitScope, devices: int, **of) -> ConcurrencyLimit:
    return save_limit(ConcurrencyLimit(), scope=scope, devices=devices, **of)


def test_a_limit_of_the_system_holds_over_shards_and_runs(rush):
    named(*(f"a-{n}" for n in range(30)))
    limit(LimitScope.SYSTEM, 3)
    at_once(*(start_adhoc("look", trigger=Trigger.COMMAND) for _ in range(2)))
    assert rush.most["all"] <= 3
    assert not LimitUse.objects.exists()


def test_a_limit_of_one_lets_everybody_have_a_turn(rush):
    named(*(f"a-{n}" for n in range(12)))
    limit(LimitScope.SYSTEM, 1)
    at_once(start_adhoc("look", trigger=Trigger.COMMAND))
    assert rush.most["all"] == 1


def test_a_limit_of_the_job_holds_over_its_shards(rush):
    named(*(f"a-{n}" for n in range(24)))
    at_once(start_adhoc("look", trigger=Trigger.COMMAND, max_parallel=4))
    assert 1 < rush.most["all"] <= 4


def test_devices_of_other_domains_go_on_while_one_domain_is_at_its_limit(rush):
    named(*(f"slow-{n:02}" for n in range(10)), aaa_domain="slow")
    named(*(f"z-{n}" for n in range(10)))
    limit(LimitScope.DOMAIN, 1, domain="slow")
    at_once(start_adhoc("look", trigger=Trigger.COMMAND))
    assert rush.most["slow"] == 1
    assert rush.most["z"] > 1
    # All others were through while the slow ones, first in the order, still waited for each other.
    assert {name.split("-")[0] for name in rush.order[-5:]} == {"slow"}


def test_limits_of_sites_and_tags_count_the_devices_that_they_are_for(rush):
    named(*(f"site-{n}" for n in range(8)), site="Lyon")
    for device in named(*(f"tag-{n}" for n in range(8))).values():
        save_device(device, tags=["lab", "weak"])
    named(*(f"free-{n}" for n in range(8)))
    limit(LimitScope.SITE, 2, site="Lyon")
    limit(LimitScope.TAG, 3, tag=Tag.objects.get(name="weak"))
    at_once(start_adhoc("look", trigger=Trigger.COMMAND))
    assert rush.most["site"] <= 2
    assert rush.most["tag"] <= 3
    assert rush.most["free"] > 3


def test_slots_of_a_worker_that_is_gone_do_not_count(rush):
    named(*(f"a-{n}" for n in range(4)))
    limit(LimitScope.SYSTEM, 1)
    lost = start_adhoc("look", trigger=Trigger.COMMAND)
    shard = claim(lost.shards.get().pk)
    LimitUse.objects.create(shard=shard, key="system", devices=1)
    shard.lease_until = shard.run.created_at
    shard.save()
    at_once(start_adhoc("look", trigger=Trigger.COMMAND))


def test_without_limits_nothing_is_asked_for_each_device(rush):
    def asked(count: int) -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            run_now("look")
        return sum("limit" in query["sql"].lower() and "concurrency" in query["sql"] for query in captured)

    named("a-0")
    assert asked(1) == 1
    named(*(f"b-{n}" for n in range(9)))
    assert asked(10) == 1


# --- two runs on one device ---


def test_a_run_that_changes_devices_has_each_of_them_for_itself(settings):
    settings.NETRAVEN_WORKERS = 1
    reading, writing = Rush(0.2), Rush(0.2)
    crossed = []

    def read(name):
        reading(name)
        return name

    def write(name):
        if reading._inside[name] or writing._inside[name] > 1:
            crossed.append(name)
        writing(name)
        return name

    change = Look(write, changes_devices=True)
    change.name = "change"
    named("a", "b", "c")
    with registered(Look(read), change):
        runs = [start_adhoc(kind, trigger=Trigger.COMMAND) for kind in ("look", "change", "change")]
        at_once(*runs)
    assert crossed == []
    assert writing.most["a"] == reading.most["a"] == 1


def test_a_device_that_another_run_keeps_for_too_long_is_told_so(settings):
    settings.NETRAVEN_DEVICE_WAIT_S = 0
    named("a", "b")
    change = Look(str, changes_devices=True)
    change.name = "change"
    with registered(Look(str), change):
        other = start_adhoc("change", trigger=Trigger.COMMAND)
        shard = claim(other.shards.get().pk)
        other.results.filter(device_name="a").update(started_at=shard.lease_until)
        _, results = run_now("look")
    assert results["a"].outcome == "cancelled"
    assert results["a"].detail.startswith(f"Look #{other.pk} was working on this device")
    assert results["b"].outcome == "success"


def test_while_every_kind_only_reads_nobody_asks_what_others_do(rush):
    named("a-1")
    with CaptureQueriesContext(connection) as captured:
        run_now("look")
    assert not [query for query in captured if "jobs_result" in query["sql"] and "lease_until" in query["sql"]]
