"""Whatever is killed: each device of a run ends in one result, and the books are what the devices saw."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from devices.simulator.fleet import SimulatedFleet
from devices.simulator.spec import SimDevice, SimLogin
from tests.e2e.engines import ENGINES, OwnRedis, Rows, database, engine
from tests.e2e.portal import Portal, end_in_order
from tests.e2e.visits import PORT, STAY_S, Host
from tests.netraven_site.instance import REPOSITORY, Up, wait_until

pytestmark = pytest.mark.e2e
LOGIN = (SimLogin("ops", "right-51fe"),)
DEVICES = 24
VISITORS = 60
MATES = [f"mate-{n:02}" for n in range(14)]


class Scene:
    """A running portal with two workers, a simulated fleet, and a host for visits."""

    def __init__(self, portal: Portal, up: Up, fleet: SimulatedFleet, host: Host) -> None:
        self.portal, self.up, self.fleet, self.host = portal, up, fleet, host
        self.rows = Rows(portal)

    def start(self, kind: str, tag: str) -> int:
        """Start a run and do not wait for it; its number."""
        self.host.clear()
        for handle in self.fleet:
            handle.clear()
        said = self.portal.must("run_job", "--kind", kind, "--tag", tag, "--json")
        return int(json.loads(said)["run"])

    def holders(self, run: int) -> list[int]:
        """The processes that work on the run."""
        rows = self.rows.all(f"SELECT holder FROM jobs_shard WHERE run_id = {run} AND status = 'running'")
        return [int(holder.rsplit(":", 1)[1]) for (holder,) in rows]

    def passwords(self) -> Counter[str]:
        """How many passwords each device has received."""
        return Counter({handle.name: len(handle.offers) for handle in self.fleet if handle.offers})

    def attempts(self, run: int) -> Counter[str]:
        """How many logins with each device are in the books."""
        return Counter(
            dict(self.rows.all(f"SELECT device_name, count(*) FROM jobs_attempt WHERE run_id = {run} GROUP BY 1"))
        )

    def successes(self) -> int:
        """The counter of the credential."""
        return int(self.rows.one("SELECT sum(success_count) FROM credentials_credential") or 0)


@pytest.fixture(scope="module", params=ENGINES)
def scene(request, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    host = Host()
    with contextlib.ExitStack() as stack:
        variables = stack.enter_context(engine(request.param))
        portal = visiting(tmp_path_factory.mktemp("crash") / "home", host, NETRAVEN_RETRIES="0", **variables)
        portal.setup()
        stack.enter_context(host.open())
        devices = [
            SimDevice(f"c{n:02}", "cisco_ios", LOGIN, config_kb=5, command_delay_s=4, tags=("slow",))
            for n in range(DEVICES)
        ]
        fleet = stack.enter_context(SimulatedFleet(devices))
        nowhere = {"platform": "cisco_ios", "host": "192.0.2.1", "port": 22}
        guests = [SimDevice(name=f"v-{n:02}", tags=("visit",), **nowhere) for n in range(VISITORS)]
        guests += [SimDevice(name=name, tags=("poisoned",), **nowhere) for name in ("poison-1", *MATES)]
        portal.import_devices([*(handle.spec for handle in fleet), *guests])
        portal.add_credential("right", "ops", "--password-stdin", "--tags", "slow", secrets=["right-51fe"])
        with portal.up() as up:
            yield Scene(portal, up, fleet, host)
            end_in_order(up)


@contextlib.contextmanager
def limited(scene: Scene, devices: int) -> Iterator[None]:
    """At most so many devices at once in the whole system."""
    scene.rows.change(
        f"INSERT INTO jobs_concurrencylimit (scope, site, domain, devices) VALUES ('system', '', '', {devices})"
    )
    try:
        yield
    finally:
        scene.rows.change("DELETE FROM jobs_concurrencylimit")


def everything_in_hand(scene: Scene) -> int:
    """Start a run, and wait until each device has received a password and thinks about its answer; the number."""
    before = scene.successes()
    run = scene.start("backup", "slow")
    wait_until(lambda: len(scene.passwords()) == DEVICES, 40, "all devices in hand")
    wait_until(lambda: scene.successes() == before + DEVICES, 10, "all logins in the books")
    return run


def check_books(scene: Scene, run: int, before: int) -> None:
    results = scene.rows.results(run)
    assert {outcome for outcome, _ in results.values()} == {"success"}
    assert len(results) == DEVICES
    seen = scene.passwords()
    assert scene.attempts(run) == seen
    assert scene.successes() - before == sum(seen.values())
    again = {name for name, (_, tries) in results.items() if tries > 1}
    assert again == {name for name, count in seen.items() if count > 1}
    assert again


def test_a_worker_that_is_killed_with_devices_in_hand(scene: Scene):
    before = scene.successes()
    run = everything_in_hand(scene)
    os.kill(scene.holders(run)[0], signal.SIGKILL)
    scene.rows.wait_for_the_end(run)
    check_books(scene, run, before)


def test_a_cluster_that_is_killed_as_a_whole(scene: Scene):
    before = scene.successes()
    run = everything_in_hand(scene)
    os.killpg(scene.up.child("worker"), signal.SIGKILL)
    scene.rows.wait_for_the_end(run)
    check_books(scene, run, before)
    assert all(tries == 2 for _, tries in scene.rows.results(run).values())


def test_a_device_that_kills_its_worker_takes_nobody_with_it(scene: Scene):
    run = scene.start("visit", "poisoned")
    scene.rows.wait_for_the_end(run)
    results = scene.rows.results(run)
    assert results.pop("poison-1") == ("internal_error", 3)
    assert {outcome for outcome, _ in results.values()} == {"success"}
    assert len(results) == len(MATES)
    assert scene.host.visits["poison-1"] == 3


def test_connections_to_the_database_that_are_cut_again_and_again(scene: Scene):
    if "DATABASE_URL" not in scene.portal.env:
        pytest.skip("SQLite has no connections that could be cut")
    stop, cut = threading.Event(), []

    def cut_all() -> None:
        while not stop.wait(0.4):
            with contextlib.suppress(psycopg.Error):
                cut.append(scene.rows.terminate_others())

    with limited(scene, 4):
        run = scene.start("visit", "visit")
        thread = threading.Thread(target=cut_all)
        thread.start()
        stop.wait(4)
        stop.set()
        thread.join()
        scene.rows.wait_for_the_end(run)
    assert sum(cut) > 0
    results = scene.rows.results(run)
    assert len(results) == VISITORS
    assert {outcome for outcome, _ in results.values()} == {"success"}
    assert scene.rows.one(f"SELECT status FROM jobs_run WHERE id = {run}") == "succeeded"


def test_a_limit_holds_over_all_worker_processes(scene: Scene):
    with limited(scene, 7):
        run = scene.start("visit", "visit")
        # They begin within a moment of each other, not at the same one.
        wait_until(lambda: scene.host.inside > 0 and len(scene.holders(run)) == 2, 30, "visits by both workers")
        scene.rows.wait_for_the_end(run)
    assert len(scene.host.visits) == VISITORS
    assert 4 <= scene.host.most["all"] <= 7


# --- once, whatever the engine ---


def visiting(home: Path, host: Host, **variables: str) -> Portal:
    """An instance that knows how to visit, with two workers."""
    return Portal(
        home,
        DJANGO_SETTINGS_MODULE="tests.e2e.visit_settings",
        PYTHONPATH=str(REPOSITORY),
        NETRAVEN_WORKERS="2",
        NETRAVEN_GRACE_S="10",
        **{PORT: str(host.port), STAY_S: "0.3"},
        **variables,
    )


def guests(count: int) -> list[SimDevice]:
    return [SimDevice(f"v-{n:02}", "cisco_ios", host="192.0.2.1", port=22, tags=("visit",)) for n in range(count)]


def started(portal: Portal) -> int:
    return int(json.loads(portal.must("run_job", "--kind", "visit", "--tag", "visit", "--json"))["run"])


def test_a_broker_that_is_away_at_the_start_and_comes_back_empty_loses_no_run(tmp_path):
    host, redis = Host(), OwnRedis(tmp_path)
    portal = visiting(tmp_path / "home", host, NETRAVEN_BROKER_URL=redis.url)
    portal.setup()
    portal.import_devices(guests(20))
    redis.start()
    try:
        with host.open(), portal.up() as up:
            redis.stop()
            run = started(portal)
            rows = Rows(portal)
            assert rows.one(f"SELECT status FROM jobs_run WHERE id = {run}") == "queued"
            redis.start()
            rows.wait_for_the_end(run)
            assert {outcome for outcome, _ in rows.results(run).values()} == {"success"}
            assert set(host.visits.values()) == {1}
            end_in_order(up)
    finally:
        redis.stop()


def test_two_clusters_on_one_database_share_a_run_and_no_device(tmp_path):
    host = Host()
    with database() as address, host.open():
        first, second = (
            visiting(tmp_path / name, host, DATABASE_URL=address, NETRAVEN_THREADS="5", NETRAVEN_SHARD_SIZE="10")
            for name in ("first", "second")
        )
        first.setup()
        # The same instance on a second host: its secrets, and nothing else.
        second.home.mkdir()
        for name in (".env", "keyring.json"):
            shutil.copy2(first.home / name, second.home / name)
        second.must("setup", "--no-input")
        first.import_devices(guests(80))
        rows = Rows(first)
        with first.up() as up, second.up() as other:
            run = started(first)
            holders: set[str] = set()
            while not rows.one(f"SELECT count(*) FROM jobs_run WHERE id = {run} AND finished_at IS NOT NULL"):
                holders |= {row[0] for row in rows.all("SELECT holder FROM jobs_shard WHERE holder <> ''")}
            end_in_order(other)
            end_in_order(up)
        assert {outcome for outcome, _ in rows.results(run).values()} == {"success"}
        assert set(host.visits.values()) == {1}
        assert len(host.visits) == 80
        assert len(holders) > 2
