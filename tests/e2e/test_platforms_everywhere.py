"""A platform that is written in one process counts in all others of a running portal, without a restart."""

from __future__ import annotations

import pytest

from devices.simulator.fleet import SimulatedFleet
from devices.simulator.spec import SimDevice, SimLogin
from tests.e2e.portal import Browser, Portal

pytestmark = pytest.mark.e2e

NAME = "pe_os"
RULES = f"""
[platforms.{NAME}]
label = "Of the team"
like = "cisco_ios"
driver = "cisco_ios"
collect = [
  {{ kind = "running", command = "show running-config", end_marker = '^end$' }},
  {{ kind = "hardware", command = "show inventory", default = true }},
]
"""
SAVE = """
from devices.platforms_overrides import PlatformOverride
from devices.platforms_services import save_override
save_override(PlatformOverride(), text={text!r}, user=None)
"""
MOVE = """
from devices.models import Device
from devices.services import save_device
save_device(Device.objects.get(name="pe-1"), platform={name!r})
"""
DELETE = """
from devices.models import Device
from devices.platforms_overrides import PlatformOverride
from devices.platforms_services import delete_overrides
Device.objects.filter(platform={name!r}).delete()
delete_overrides(list(PlatformOverride.objects.all()), user=None)
"""


def test_a_platform_counts_in_workers_pages_and_commands_as_soon_as_it_is_saved(portal: Portal) -> None:
    device = SimDevice("pe-1", "cisco_ios", (SimLogin("pe-ops", "pe-word"),), tags=("pe",))
    with SimulatedFleet([device]) as fleet:
        portal.add_credential(
            "pe team", "pe-ops", "--tags", "pe", "--scope", "local", "--password-stdin", secrets=["pe-word"]
        )
        # A worker has done a shard, and a page was made, by the table of before.
        browser = Browser(portal)
        assert NAME not in browser.get("/admin/devices/platformoverride/")
        portal.shell(SAVE.format(text=RULES))
        try:
            portal.import_devices(each.spec for each in fleet)
            portal.shell(MOVE.format(name=NAME))
            report = portal.run_job("--kind", "backup", "--tag", "pe")
            assert report["results"]["pe-1"]["outcome"] == "success", report
            assert "NAME:" in portal.must("show_config", "pe-1", "--text", "hardware")
            assert "Of the team" in browser.get(f"/admin/devices/platformoverride/of/{NAME}/")
        finally:
            portal.shell(DELETE.format(name=NAME))
