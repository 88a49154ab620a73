"""The lockout guard over four worker processes and two hundred devices, counted at the devices."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator

import pytest

from devices.simulator.fleet import SimulatedFleet
from devices.simulator.spec import Fault, SimDevice, SimLogin
from tests.e2e.portal import Portal
from tests.netraven_site.instance import wait_until

pytestmark = pytest.mark.e2e
LOGIN = (SimLogin("ops", "right-4b1c"),)
SIZE = 200
IMPORT = "from collections import Counter; from jobs.models import Run, Shard"
LAST = "last = Run.objects.latest('pk')"
TAKEN_OVER = "last.results.filter(tries__gt=1).count()"
FINISHED = "Run.objects.latest('pk').finished_at"


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    made = Portal(
        tmp_path_factory.mktemp("crowd") / "home",
        NETRAVEN_WORKERS="4",
        NETRAVEN_SHARD_SIZE="50",
        NETRAVEN_THREADS="25",
        NETRAVEN_RETRIES="0",
        NETRAVEN_GRACE_S="10",
    )
    made.setup()
    with made.running():
        yield made


@pytest.fixture(scope="module")
def fleet(crowd: Portal) -> Iterator[SimulatedFleet]:
    devices = [
        SimDevice(f"g{n:03}", "cisco_ios", LOGIN, config_kb=5, reject_delay_s=0.1, tags=("crowd",)) for n in range(SIZE)
    ]
    with SimulatedFleet(devices) as running:
        crowd.import_devices([handle.spec for handle in running])
        yield running


def received(fleet: SimulatedFleet) -> Counter[str]:
    return Counter(offer.secret for handle in fleet for offer in handle.offers)


def forget(crowd: Portal, fleet: SimulatedFleet) -> None:
    """Between two stories: no credential, no memory of the guard."""
    for handle in fleet:
        handle.clear()
    crowd.shell(
        "from credentials.models import *\n"
        "GuardAccount.objects.all().delete(); RememberedRejection.objects.all().delete()\n"
        "Credential.objects.all().delete()"
    )


def add(crowd: Portal, name: str, secret: str, scope: str, priority: int = 100) -> None:
    crowd.add_credential(
        name,
        "ops",
        "--password-stdin",
        "--tags",
        "crowd",
        "--scope",
        scope,
        "--priority",
        str(priority),
        secrets=[secret],
    )


def test_one_wrong_central_password_stays_within_the_limit_over_all_workers(crowd, fleet):
    forget(crowd, fleet)
    add(crowd, "wrong", "wrong-77aa", "central")
    report = crowd.run_job("--kind", "credential_test", "--tag", "crowd")
    assert received(fleet)["wrong-77aa"] <= 3
    outcomes = report["by_outcome"]
    assert outcomes.get("held", 0) >= SIZE - 3
    assert outcomes.get("held", 0) + outcomes.get("rejected", 0) == SIZE
    for row in report["results"].values():
        assert row["outcome"] == "rejected" or "release" in row["advice"]


def test_a_mistyped_password_of_an_account_in_use_holds_nobody_up(crowd, fleet):
    forget(crowd, fleet)
    add(crowd, "good", "right-4b1c", "central", 1)
    assert crowd.run_job("--kind", "credential_test", "--tag", "crowd")["by_outcome"] == {"success": SIZE}
    add(crowd, "typo", "rihgt-4b1c", "central", 2)
    report = crowd.run_job("--kind", "credential_test", "--tag", "crowd", "--credential", "typo")
    assert "success" not in report["by_outcome"]
    assert received(fleet)["rihgt-4b1c"] <= 2
    assert crowd.run_job("--kind", "credential_test", "--tag", "crowd")["by_outcome"] == {"success": SIZE}


def test_the_new_password_of_a_central_account_opens_the_fleet_behind_the_old_one(crowd, fleet):
    forget(crowd, fleet)
    add(crowd, "old", "old-11cc", "central", 1)
    add(crowd, "new", "right-4b1c", "central", 2)
    report = crowd.run_job("--kind", "credential_test", "--tag", "crowd")
    assert report["by_outcome"] == {"success": SIZE}
    assert received(fleet)["old-11cc"] <= 3


def test_a_local_account_that_opens_half_of_the_fleet_holds_up_nobody(crowd, fleet):
    forget(crowd, fleet)
    other = (SimLogin("ops", "other-92de"),)
    for number, handle in enumerate(fleet):
        handle.set_logins(*(other if number % 2 else LOGIN))
    add(crowd, "first", "right-4b1c", "local", 1)
    add(crowd, "second", "other-92de", "local", 2)
    report = crowd.run_job("--kind", "credential_test", "--tag", "crowd")
    assert report["by_outcome"] == {"success": SIZE}
    assert received(fleet) == {"right-4b1c": SIZE, "other-92de": SIZE // 2}
    for handle in fleet:
        handle.set_logins(*LOGIN)


def test_no_device_sees_the_same_wrong_password_twice_over_several_runs(crowd, fleet):
    forget(crowd, fleet)
    add(crowd, "one", "wrong-1", "local", 1)
    add(crowd, "two", "wrong-2", "local", 2)
    add(crowd, "three", "right-4b1c", "local", 3)
    for _ in range(2):
        crowd.run_job("--kind", "credential_test", "--tag", "crowd")
        # The window of the accounts ends: their budget is back, what was proven wrong stays remembered.
        crowd.shell(
            "from datetime import timedelta\n"
            "from django.db.models import F\n"
            "from credentials.models import GuardLogin\n"
            "GuardLogin.objects.update(at=F('at') - timedelta(hours=1))"
        )
    report = crowd.run_job("--kind", "credential_test", "--tag", "crowd")
    assert report["by_outcome"] == {"success": SIZE}
    assert received(fleet)["wrong-1"] == SIZE
    assert received(fleet)["wrong-2"] == SIZE


def kill_holders(crowd: Portal) -> None:
    """Kill every worker process that has devices in hand."""
    holders = crowd.ask("list(Shard.objects.exclude(holder='').values_list('holder', flat=True))", IMPORT)
    assert holders
    for holder in set(holders):
        os.kill(int(holder.rsplit(":", 1)[1]), signal.SIGKILL)


def test_workers_killed_with_logins_in_flight_hold_nothing_of_a_proven_account(crowd, fleet):
    forget(crowd, fleet)
    devices = [
        SimDevice(f"slow{n:03}", "cisco_ios", LOGIN, config_kb=5, latency_s=0.6, tags=("slow",)) for n in range(SIZE)
    ]
    with SimulatedFleet(devices) as slow:
        crowd.import_devices([handle.spec for handle in slow])
        crowd.add_credential(
            "proven", "ops", "--password-stdin", "--tags", "crowd,slow", "--scope", "central", secrets=["right-4b1c"]
        )
        assert crowd.run_job("--kind", "credential_test", "--device", "g000")["by_outcome"] == {"success": 1}
        crowd.must("run_job", "--kind", "credential_test", "--tag", "slow")
        wait_until(lambda: sum(len(handle.offers) for handle in slow) >= 100, 90, "a hundred logins in flight")
        kill_holders(crowd)
        wait_until(lambda: bool(crowd.ask(FINISHED, IMPORT)), 240, "the run finished by other workers")
        outcomes = crowd.ask("dict(Counter(last.results.values_list('outcome', flat=True)))", IMPORT, LAST)
        again = crowd.ask("last.results.filter(tries__gt=1).count()", IMPORT, LAST)
        held = crowd.ask("len(get_guard().held_accounts())", "from credentials.guard import get_guard")
    assert outcomes == {"success": SIZE}
    assert again > 0
    assert held == 0


def test_workers_killed_with_logins_in_flight_forget_nothing_of_an_unproven_account(crowd, fleet):
    forget(crowd, fleet)
    devices = [
        SimDevice(f"mute{n:03}", "cisco_ios", LOGIN, faults=frozenset({Fault.AUTH_NEVER_ANSWERED}), tags=("mute",))
        for n in range(20)
    ]
    with SimulatedFleet(devices) as mute:
        crowd.import_devices([handle.spec for handle in mute])
        crowd.add_credential(
            "unproven", "ops", "--password-stdin", "--tags", "mute", "--scope", "central", secrets=["wrong-5e2f"]
        )
        crowd.must("run_job", "--kind", "credential_test", "--tag", "mute")
        wait_until(lambda: sum(len(handle.offers) for handle in mute) >= 2, 60, "two logins in flight")
        kill_holders(crowd)
        counted = crowd.ask(
            "GuardLogin.objects.exclude(state__in=['accepted', 'cleared']).count()",
            "from credentials.models import GuardLogin",
        )
        assert counted == 2
        # Whoever takes over the devices may not spend those two again.
        wait_until(lambda: bool(crowd.ask(f"{TAKEN_OVER}", IMPORT, LAST)), 120, "the devices taken over")
        crowd.must("run_job", "--cancel", str(crowd.ask("last.pk", IMPORT, LAST)))
        wait_until(lambda: bool(crowd.ask(FINISHED, IMPORT)), 120, "the run ended")
        assert sum(len(handle.offers) for handle in mute) <= 3
