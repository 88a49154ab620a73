"""The same way through PostgreSQL, with the database and with Redis as the broker, by settings alone."""

from __future__ import annotations

import pytest

from devices.simulator.fleet import SimulatedFleet
from devices.simulator.spec import SimDevice, SimLogin
from tests.e2e.engines import ENGINES, engine
from tests.e2e.portal import Portal

pytestmark = pytest.mark.e2e


@pytest.fixture(params=ENGINES[1:])
def variables(request):
    with engine(request.param) as found:
        yield found


def test_a_backup_goes_the_whole_way(variables, tmp_path):
    portal = Portal(tmp_path / "home", NETRAVEN_GRACE_S="10", **variables)
    portal.setup()
    devices = [SimDevice(f"pg{n}", "arista_eos", (SimLogin("ops", "right-8812"),), tags=("pg",)) for n in range(6)]
    with portal.running(), SimulatedFleet(devices) as fleet:
        portal.import_devices([handle.spec for handle in fleet])
        portal.add_credential("old", "ops", "--password-stdin", "--tags", "pg", "--priority", "1", secrets=["old-8812"])
        portal.add_credential("new", "ops", "--password-stdin", "--tags", "pg", secrets=["right-8812"])
        report = portal.run_job("--kind", "backup", "--tag", "pg")
        assert report["by_outcome"] == {"success": 6}, report
        assert portal.must("show_config", "pg0").rstrip().endswith("end")
        assert all(handle.offers[-1].secret == "right-8812" for handle in fleet)
