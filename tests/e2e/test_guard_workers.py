"""The lockout guard over four worker processes and two hundred devices, counted at the devices."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from devices.simulator.fleet import SimulatedFleet
from devices.simulator.spec import Fault, SimDevice, SimLogin
from tests.e2e.inside import Inside, inside
from tests.e2e.portal import Portal
from tests.netraven_site.instance import wait_until

pytestmark = pytest.mark.e2e
LOGIN = (SimLogin("ops", "right-4b1c"),)
SIZE = 200
WORKERS, THREADS = 4, 25
ONE, ALL, FEW = "one", "crowd", "few"
_PREPARED = """
from collections import Counter
from datetime import timedelta
from django.db.models import F
from credentials.guard import get_guard
from credentials.models import Credential, GuardAccount, GuardLogin, RememberedRejection
from credentials.services import SecretsInput, create_credential
from jobs.choices import Trigger
from jobs.models import Run, Shard
from jobs.services import cancel_run, start_adhoc

def start(tag, credential):
    parameters = {"credential": credential} if credential else None
    return start_adhoc("credential_test", tags=[tag], parameters=parameters, trigger=Trigger.COMMAND).pk

def add(name, secret, scope, priority):
    secrets = SecretsInput(password=secret)
    create_credential(name=name, username="ops", secrets=secrets, tags=["crowd"], scope=scope, priority=priority)

def forget():
    for model in (GuardAccount, RememberedRejection, Credential):
        model.objects.all().delete()
"""


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    made = Portal(
        tmp_path_factory.mktemp("crowd") / "home",
        NETRAVEN_WORKERS=str(WORKERS),
        NETRAVEN_SHARD_SIZE=str(SIZE // WORKERS),
        NETRAVEN_THREADS=str(THREADS),
        NETRAVEN_RETRY_PAUSE_S="0",
        NETRAVEN_GRACE_S="10",
        # A busy machine is slow: that a device is waited for too short a time is not what is looked at here.
        NETRAVEN_CONNECT_TIMEOUT_S="60",
        NETRAVEN_BANNER_TIMEOUT_S="60",
        NETRAVEN_AUTH_TIMEOUT_S="120",
    )
    made.setup()
    with made.running():
        yield made


@pytest.fixture(scope="module")
def fleet(portal: Portal) -> Iterator[SimulatedFleet]:
    devices = [
        SimDevice(
            f"g{n:03}",
            "cisco_ios",
            LOGIN,
            config_kb=5,
            reject_delay_s=0.1,
            tags=(ALL, *([ONE] if n == 0 else []), *([FEW] if n < 20 else [])),
        )
        for n in range(SIZE)
    ]
    with SimulatedFleet(devices) as running:
        portal.import_devices([handle.spec for handle in running])
        yield running


class Crowd:
    """The portal with its fleet, and nothing that an earlier story has left."""

    def __init__(self, portal: Portal, fleet: SimulatedFleet, within: Inside) -> None:
        self.portal, self.fleet, self.within = portal, fleet, within
        for handle in fleet:
            handle.set_logins(*LOGIN)
            handle.set_faults()
            handle.clear()
        within.do("forget()")

    def add(self, name: str, secret: str, scope: str, priority: int = 100) -> None:
        self.within.do(f"add({name!r}, {secret!r}, {scope!r}, {priority})")

    def start(self, tag: str = ALL, credential: str = "") -> int:
        return int(self.within.ask(f"start({tag!r}, {credential!r})"))

    def test(self, tag: str = ALL, credential: str = "") -> dict[str, int]:
        return self.outcomes(self.start(tag, credential))

    def outcomes(self, run: int) -> dict[str, int]:
        """How the devices of a run ended, once it has."""
        ended = f"Run.objects.get(pk={run}).finished_at"
        wait_until(lambda: bool(self.within.ask(ended)), 300, f"the end of run {run}")
        return dict(self.within.ask(f"Counter(Run.objects.get(pk={run}).results.values_list('outcome', flat=True))"))

    def results(self, run: int) -> list[Any]:
        return list(self.within.ask(f"list(Run.objects.get(pk={run}).results.values('outcome', 'advice'))"))

    def received(self) -> Counter[str]:
        return Counter(offer.secret for offer in self.fleet.offers)

    def kill_holders(self) -> None:
        """Kill every worker process that has devices in hand."""
        holders = set(self.within.ask("list(Shard.objects.exclude(holder='').values_list('holder', flat=True))"))
        assert holders
        for holder in holders:
            os.kill(int(holder.rsplit(":", 1)[1]), signal.SIGKILL)


@pytest.fixture(scope="module")
def within(portal: Portal, fleet: SimulatedFleet) -> Iterator[Inside]:
    with inside(portal) as process:
        process.do(_PREPARED)
        yield process


@pytest.fixture
def crowd(portal: Portal, fleet: SimulatedFleet, within: Inside) -> Crowd:
    return Crowd(portal, fleet, within)


def test_one_wrong_central_password_stays_within_the_limit_over_all_workers(crowd):
    crowd.add("wrong", "wrong-77aa", "central")
    run = crowd.start()
    outcomes = crowd.outcomes(run)
    assert crowd.received()["wrong-77aa"] <= 3
    assert outcomes.get("held", 0) >= SIZE - 3
    assert outcomes.get("held", 0) + outcomes.get("rejected", 0) == SIZE
    for row in crowd.results(run):
        assert row["outcome"] == "rejected" or "release" in row["advice"]


def test_a_mistyped_password_of_an_account_in_use_holds_nobody_up(crowd):
    crowd.add("good", "right-4b1c", "central", 1)
    assert crowd.test() == {"success": SIZE}
    crowd.add("typo", "rihgt-4b1c", "central", 2)
    assert "success" not in crowd.test(credential="typo")
    assert crowd.received()["rihgt-4b1c"] <= 2
    assert crowd.test() == {"success": SIZE}


def test_the_new_password_of_a_central_account_opens_the_fleet_behind_the_old_one(crowd):
    crowd.add("old", "old-11cc", "central", 1)
    crowd.add("new", "right-4b1c", "central", 2)
    assert crowd.test() == {"success": SIZE}
    assert crowd.received()["old-11cc"] <= 3


def test_a_local_account_that_opens_half_of_the_fleet_holds_up_nobody(crowd):
    for handle in list(crowd.fleet)[1::2]:
        handle.set_logins(SimLogin("ops", "other-92de"))
    crowd.add("first", "right-4b1c", "local", 1)
    crowd.add("second", "other-92de", "local", 2)
    assert crowd.test() == {"success": SIZE}
    assert crowd.received() == {"right-4b1c": SIZE, "other-92de": SIZE // 2}


def test_no_device_sees_the_same_wrong_password_twice_over_several_runs(crowd):
    crowd.add("one", "wrong-1", "local", 1)
    crowd.add("two", "wrong-2", "local", 2)
    crowd.add("three", "right-4b1c", "local", 3)
    assert set(crowd.test()) == {"held"}
    # The window of the accounts ends: their budget is back, what was proven wrong stays remembered.
    crowd.within.do("GuardLogin.objects.update(at=F('at') - timedelta(hours=1))")
    assert crowd.test() == {"success": SIZE}
    assert crowd.received()["wrong-1"] == SIZE
    assert crowd.received()["wrong-2"] == SIZE


def test_workers_killed_with_a_hundred_logins_in_flight_hold_nothing_of_a_proven_account(crowd):
    crowd.add("proven", "right-4b1c", "central")
    assert crowd.test(ONE) == {"success": 1}
    for handle in crowd.fleet:
        handle.set_faults(Fault.AUTH_NEVER_ANSWERED)
    before = len(crowd.fleet.offers)
    run = crowd.start()
    wait_until(lambda: len(crowd.fleet.offers) - before == WORKERS * THREADS, 200, "a hundred logins in flight")
    crowd.kill_holders()
    for handle in crowd.fleet:
        handle.set_faults()
    assert crowd.outcomes(run) == {"success": SIZE}
    assert crowd.within.ask(f"Run.objects.get(pk={run}).results.filter(tries__gt=1).count()") == WORKERS * THREADS
    assert crowd.within.ask("len(get_guard().held_accounts())") == 0


def test_workers_killed_with_logins_in_flight_forget_nothing_of_an_unproven_account(crowd):
    for handle in crowd.fleet:
        handle.set_faults(Fault.AUTH_NEVER_ANSWERED)
    crowd.add("unproven", "wrong-5e2f", "central")
    run = crowd.start(FEW)
    wait_until(lambda: len(crowd.fleet.offers) >= 2, 100, "two logins in flight")
    crowd.kill_holders()
    spent = "GuardLogin.objects.exclude(state__in=['accepted', 'cleared']).count()"
    assert crowd.within.ask(spent) == 2
    # Whoever takes over the devices may spend the one that is left, and not those two again.
    wait_until(lambda: len(crowd.fleet.offers) == 3, 200, "the last login that is left")
    for handle in crowd.fleet:
        handle.stop()  # ends the login in flight: nothing was answered
    try:
        outcomes = crowd.outcomes(run)
    finally:
        for handle in crowd.fleet:
            handle.start()
    assert len(crowd.fleet.offers) == 3
    assert crowd.within.ask(spent) == 3
    assert "success" not in outcomes
