"""Where a password is after it was used two hundred times: in the device, and in no process of the portal."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from devices.simulator.fleet import SimulatedFleet
from devices.simulator.spec import SimDevice, SimLogin
from tests.e2e.memory import AS_PLAIN_UP, copies, holder, readable_by_the_same_user
from tests.e2e.portal import Browser, Portal, end_in_order
from tests.netraven_site.instance import Up, children, command, wait_until

pytestmark = pytest.mark.e2e

USED = "CanaryUsed4qWz81mTkPx"
TYPED = "CanaryTyped7hJb52nRvLc"
SESSIONS = 200
TAG = "memory"


def may_look() -> bool:
    """Whether this test may look into processes that let nobody but root do so."""
    with holder("only a trial") as pid:
        try:
            copies(pid, "only a trial")
        except PermissionError:
            return False
    return True


@dataclass
class Story:
    """What was seen while it ran, and what is there at the end."""

    portal: Portal
    up: Up
    logins: int
    copies_in_a_worker: int
    """The most copies that were found in a process while it was at work."""
    typed_pids: set[int] = field(default_factory=set)
    """The web processes that there were when somebody typed a password into one of them."""


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    if not may_look():
        pytest.skip(
            "looking into processes that are not dumpable needs root with CAP_SYS_PTRACE: run the tests as root (in a "
            "container with --cap-add SYS_PTRACE). Nothing was found out about passwords in memory."
        )
    portal = Portal(tmp_path_factory.mktemp("memory") / "home", NETRAVEN_WEB_RECYCLE_S="1", NETRAVEN_GRACE_S="10")
    portal.setup()
    logins = (SimLogin("mem-ops", USED),)
    fleet = [SimDevice(f"mem-{n}", "arista_eos", logins, config_kb=5, tags=(TAG,)) for n in range(SESSIONS - 1)]
    # One that takes its time, so that there is a worker to look into.
    fleet.append(SimDevice("mem-slow", "arista_eos", logins, config_kb=5, command_delay_s=6.0, tags=(TAG,)))
    with SimulatedFleet(fleet) as simulated:
        portal.import_devices(device.spec for device in simulated)
        with portal.up(program=AS_PLAIN_UP) as up:
            portal.add_credential("memory", "mem-ops", "--tags", TAG, "--password-stdin", secrets=[USED])
            portal.must("run_job", "--kind", "backup", "--tag", TAG)
            most = 0
            while not most and not has_ended(portal):
                most = max((copies(pid, USED) for pid in children(up.sentinel())), default=0)
            wait_until(lambda: has_ended(portal), 90, "the run to end")
            made = Story(portal, up, sum(len(device.offers) for device in simulated), most)
            visit_and_type(made)
            yield made
            end_in_order(up)


def has_ended(portal: Portal) -> bool:
    with closing(sqlite3.connect(portal.database, timeout=30)) as connection:
        return connection.execute("SELECT count(*) FROM jobs_run WHERE finished_at IS NOT NULL").fetchone() == (1,)


def visit_and_type(story: Story) -> None:
    """Look at pages, and enter one more password through the web."""
    browser = Browser(story.portal)
    for page in ("", "credentials/credential/", "credentials/credential/1/", "jobs/run/1/", "devices/device/"):
        browser.get(f"/admin/{page}")
    story.typed_pids = set(children(story.up.child("gunicorn")))
    body = {"name": "typed", "username": "mem-ops", "password": TYPED, "tags": ["nowhere"]}
    assert '"id"' in browser.api("/api/v1/credentials/", body)
    browser.get("/admin/credentials/credential/")


def tree(up: Up) -> dict[int, str]:
    """Every process of the portal, with what it is."""
    up.note_sessions()
    return {pid: " ".join(command(pid))[:120] for pid in up.living()}


def found(story: Story, text: str) -> dict[str, int]:
    return {f"{pid} {what}": count for pid, what in tree(story.up).items() if (count := copies(pid, text))}


def test_the_look_finds_a_password_where_one_is(story: Story) -> None:
    with holder(USED) as pid:
        assert copies(pid, USED) > 0
        assert copies(pid, TYPED) == 0


def test_the_look_finds_the_password_in_a_worker_that_uses_it(story: Story) -> None:
    assert story.copies_in_a_worker > 0


def test_after_two_hundred_sessions_no_process_holds_the_password(story: Story) -> None:
    assert story.logins == SESSIONS
    # Supervisor, web master, two web workers, parent of the cluster, sentinel, pusher, monitor, two fresh workers.
    assert len(tree(story.up)) >= 10
    wait_until(lambda: not found(story, USED), 20, "no copy left in any process")


def test_what_somebody_typed_is_gone_once_the_web_process_was_replaced(story: Story) -> None:
    web = story.up.child("gunicorn")
    wait_until(lambda: len(story.typed_pids - set(children(web))) > 0, 30, "a web process to be replaced")
    wait_until(lambda: not found(story, TYPED), 30, "no copy of what was typed left in any process")


def test_no_process_lets_another_of_the_same_user_look(story: Story) -> None:
    with holder("x", private=False) as open_one, holder("x") as private_one:
        assert readable_by_the_same_user([open_one, private_one]) == [open_one], "the control"
    assert readable_by_the_same_user(list(tree(story.up))) == []


def test_no_process_leaves_a_core_file(story: Story) -> None:
    for pid in tree(story.up):
        limits = Path(f"/proc/{pid}/limits").read_text() if Path(f"/proc/{pid}").exists() else ""
        assert not limits or "Max core file size        0                    0" in limits, (pid, command(pid))


def test_a_process_that_is_no_worker_cannot_open_a_login(story: Story) -> None:
    code = (
        "from credentials.exceptions import NoWorker\n"
        "from credentials.models import Credential\n"
        "from tests.credentials.sealed import ANY\n"
        "try:\n"
        "    print(Credential.objects.first().password.reveal(ANY))\n"
        "except NoWorker as refusal:\n"
        "    print(refusal)\n"
    )
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "--command", code],
        env=story.portal.env,
        capture_output=True,
        text=True,
    )
    assert "opened by a worker alone" in done.stdout, done.stderr
    assert USED not in done.stdout + done.stderr
