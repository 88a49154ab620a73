"""Which contestants meet which fleets."""

from __future__ import annotations

from pathlib import Path

from tests.bench import texts
from tests.bench.contestants.netraven import NetRaven
from tests.bench.fleet import Situation
from tests.bench.play import Contestant, Program
from tests.bench.scenarios import Scenario

# More devices change nothing in RANCID's rate at 5 at once, and would take minutes.
_RANCID_FEW = 20

ASYNCSSH = Program("asyncssh, 2 × 100 sessions", "bare_asyncssh", 200, 2)
ASYNCSSH_100 = Program("asyncssh, 2 × 50 sessions", "bare_asyncssh", 100, 2)
NETMIKO = Program("Netmiko, 2 × 100 threads", "netmiko_threads", 200, 2)
NORNIR_20 = Program("Nornir, 20 workers", "nornir_netmiko", 20)
NORNIR_100 = Program("Nornir, 100 workers", "nornir_netmiko", 100)
RANCID_5 = Program("RANCID, 5 at once", "rancid", 5, first=_RANCID_FEW, same=texts.same_lines, command="rancid_par")
RANCID_50 = Program("RANCID, 50 at once", "rancid", 50, same=texts.same_lines, command="rancid_par")
NETRAVEN = NetRaven("NetRaven, as it comes")
NETRAVEN_TWICE = NetRaven(NETRAVEN.label, times=2)
NETRAVEN_20 = NetRaven("NetRaven, 20 sessions", sessions=20)
NETRAVEN_100 = NetRaven("NetRaven, 100 sessions", sessions=100)
NETRAVEN_200 = NetRaven("NetRaven, 200 sessions", sessions=200)
# Whether a device takes a password is its own affair here, as with accounts that are local to each device: the
# fourth refusal of a central account, with no login in between that was begun later, rightly holds all the others.
NETRAVEN_REFUSED = NetRaven("NetRaven, 100 sessions", sessions=100, scope="local", times=2)

AT_200 = Scenario(
    "200 devices",
    Situation(200),
    [
        ASYNCSSH,
        NETRAVEN_TWICE,
        NETMIKO,
        NETRAVEN_200,
        NORNIR_100,
        NETRAVEN_100,
        NORNIR_20,
        NETRAVEN_20,
        RANCID_50,
        RANCID_5,
    ],
)
AT_1000 = Scenario("1,000 devices", Situation(1000), [ASYNCSSH, NETRAVEN_TWICE, NETMIKO, NORNIR_100, NETRAVEN_200])
AT_1000_SLOW = Scenario("1,000 devices, slow contestants", Situation(1000), [NORNIR_20, RANCID_50])
REFUSED = Scenario(
    "200 devices, of which 20 % refuse the first password after 2 s",
    Situation(200, refuse_first=0.2),
    [ASYNCSSH_100, NETRAVEN_REFUSED],
)
GROUP14 = Scenario(
    "200 devices that offer group14 alone", Situation(200, group14_only=True), [NORNIR_100, NETRAVEN_100]
)
AT_10000 = Scenario("10,000 devices", Situation(10_000), [NETRAVEN])

FULL = [AT_200, AT_1000, REFUSED, GROUP14]
LONG = [AT_1000_SLOW, AT_10000]
QUICK = [Scenario(AT_200.title, AT_200.situation, [ASYNCSSH, NETRAVEN, NETMIKO, NORNIR_100])]


def compare(devices: int, times: int, beside: Path | None) -> Scenario:
    """The contestants that show soonest whether a change of NetRaven did good."""
    contestants: list[Contestant] = [ASYNCSSH, NETMIKO, NetRaven(times=times)]
    contestants.append(NetRaven("NetRaven at 200", sessions=200, times=times))
    if beside is not None:
        contestants.append(NetRaven("beside", checkout=beside, times=times))
        contestants.append(NetRaven("beside at 200", sessions=200, checkout=beside, times=times))
    return Scenario(f"{devices:,} devices", Situation(devices), contestants)
