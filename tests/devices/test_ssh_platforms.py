"""Every platform that is offered over SSH: its driver finds the prompt, sets the terminal up, and reads an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import pytest

from devices.connector.outcomes import ConnectorError
from devices.connector.platforms import platforms
from devices.connector.target import Limits
from tests.devices.shells import Habits, Shell

LIMITS = Limits(connect_s=10, banner_s=15, auth_s=15, prompt_s=10, read_s=10, deadline_s=60)
CLOCK = {"show clock": "12:00:00\n"}
JUNOS = {
    "set cli screen-width 511": "Screen width set to 511\n",
    "set cli complete-on-space off": "Disabling complete-on-space\n",
    "set cli screen-length 0": "Screen length set to 0\n",
}
# Where a driver wants more than a prompt that ends in # and says the platform's name.
HABITS: dict[str, Habits] = {
    **dict.fromkeys(
        ("apc_aos", "brocade_fos", "calix_exa", "coriant", "enterasys", "flexvnf", "keymile", "keymile_nos"),
        Habits(prompt="R1>"),
    ),
    **dict.fromkeys(("adva_fsp150f2", "adva_fsp150f3", "juniper_screenos"), Habits(prompt="R1-->")),
    **dict.fromkeys(
        ("h3c_comware", "hp_comware", "huawei", "huawei_vrp", "huawei_vrpv8"),
        Habits(prompt="<R1>", greeting="\nInfo: The max number of VTY users is 5.\n"),
    ),
    "apresia_aeos": Habits(prompt="R1> ", modes={"enable": "R1# ", "disable": "R1> "}),
    "audiocode_shell": Habits(prompt="R1/>"),
    "bintec_boss": Habits(prompt="R1:> "),
    "cisco_tp": Habits(prompt="\nOK\n", greeting="Welcome to R1\nCisco Codec Release ce 9.15.0\n"),
    "checkpoint_gaia": Habits(prompt="R1> "),
    "f5_tmsh": Habits(
        prompt="[ops@R1:Active:Standalone] ~ # ",
        modes={"tmsh": "ops@(R1)(cfg-sync Standalone)(Active)(/Common)(tmos)# "},
    ),
    "juniper_junos": Habits(
        prompt="root@R1:~ # ", greeting="--- JUNOS 21.4 ---\n", modes={"cli": "root@R1> "}, answers=JUNOS
    ),
    "lancom_lcossx5": Habits(prompt="R1> ", modes={"enable": "R1# "}),
    "linux": Habits(prompt="ops@R1:~$ ", greeting="Last login: Mon Nov  2 08:11:52 2026 from 10.0.0.5\n"),
    "mrv_lx": Habits(prompt="R1:0 >", modes={"enable": "R1:0 >>"}),
    "nokia_sros": Habits(prompt="*A:R1# "),
    "paloalto_panos": Habits(
        prompt="ops@R1> ",
        greeting="Number of failed attempts since last successful login: 0\n\n",
        answers={"show system info": "\nhostname: R1\noperational-mode: normal\n\n"},
    ),
    "teldat_cit": Habits(prompt="R1 *"),
    "vertiv_mph": Habits(prompt="R1 cli->"),
    "zpe_nodegrid": Habits(prompt="[ops@R1 /]# "),
}
# Their drivers hold a dialogue that takes a device of its own, here or in the simulator.
NOT_HERE = {
    "asterfusion_asternos", "audiocode_66", "audiocode_72", "avara_aos", "ericsson_mltn63", "ericsson_mltn66",
    "f5_ltm", "fortinet", "huawei_olt", "huawei_smartax", "huawei_smartaxmmi", "mikrotik_routeros",
    "mikrotik_switchos", "nec_ix", "sophos_sfos", "supermicro_smis", "ubiquiti_unifiswitch",
}  # fmt: skip
TELNET_ALONE = {
    "dell_dnos6", "genexis_solt33", "hioso_olt", "optilink_eolt11444", "optilink_eolt9702", "optilink_golt924",
    "raisecom",
}  # fmt: skip
NAMES = [name for name in platforms() if name not in NOT_HERE | TELNET_ALONE]


@dataclass
class Story:
    """How a session went, for us and for the device."""

    answer: str = ""
    failure: str = ""
    lines: list[str] = field(default_factory=list)


def visit(name: str) -> Story:
    """Log in, ask for the time as a job would, and leave."""
    habits = HABITS.get(name, Habits(greeting="Welcome to the lab\n\n"))
    with Shell(replace(habits, answers={**habits.answers, **CLOCK})) as shell:
        story = Story(lines=shell.lines)
        connector = shell.connector(name, LIMITS)
        try:
            connector.open()
            story.answer = connector.send("show clock", confirm=True)
        except ConnectorError as error:
            story.failure = f"{error.outcome}: {error.detail}"
        finally:
            connector.close()
        return story


@pytest.fixture(scope="module")
def told() -> Iterator[Callable[[str], Story]]:
    """All visits, made at the same time: what the drivers wait for is waited for once."""
    with ThreadPoolExecutor(32) as pool:
        known = {name: pool.submit(visit, name) for name in NAMES}
        yield lambda name: known[name].result()


@pytest.mark.parametrize("name", NAMES)
def test_a_platform_is_logged_in_to_and_answers(told, name):
    story = told(name)
    assert "12:00:00" in story.answer, story.failure or story.lines


def test_settings_are_typed_once(told):
    for name in NAMES:
        typed = [line for line in told(name).lines if "length" in line or "width" in line]
        assert len(typed) == len(set(typed)), (name, typed)
