"""The whole way, nothing mocked: inventory, credentials, job, worker process, SSH server, version.

Six simulated devices live through two runs. Between the runs one configuration changes, and one device
shows another host key. Each test looks at one thing that came of it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django_q.signing import SignedPackage

from devices.configs.normalise import normalise
from devices.simulator.fleet import SimulatedFleet
from devices.simulator.spec import Fault, Offer, SimDevice, SimLogin
from tests.e2e.portal import Browser, Portal
from tests.e2e.sweep import database_hits, folder_hits, hits

pytestmark = pytest.mark.e2e

# Each begins with a word that survives every way of quoting; the rest is what breaks careless quoting.
CANARIES = {"new": "Canary7new3QkX", "old": "Canary2old8ZrT", "enable": "Canary5enable1VbN", "lost": "Canary9lost4HmD"}
NEW = CANARIES["new"] + " \"q\" 'a' \\ ü <b>"
OLD = CANARIES["old"] + "\\$HOME%s{x}"
ENABLE = CANARIES["enable"] + "!#"
USER = "ww-ops"
SITE, NOWHERE = "ww-site", "ww-nowhere"
ACCEPTS_NEW = (SimLogin(USER, NEW, ENABLE),)
FLEET = [
    SimDevice("ww-new", "cisco_ios", ACCEPTS_NEW, needs_enable=True, tags=(SITE,)),
    SimDevice("ww-old", "cisco_nxos", (SimLogin(USER, OLD),), tags=(SITE,)),
    SimDevice("ww-keyboard", "arista_eos", ACCEPTS_NEW, faults={Fault.KEYBOARD_INTERACTIVE_ONLY}, tags=(SITE,)),
    SimDevice("ww-down", "juniper_junos", ACCEPTS_NEW, started=False, tags=(SITE,)),
    SimDevice("ww-replaced", "arista_eos", ACCEPTS_NEW, tags=(SITE,)),
    SimDevice("ww-lonely", "linux", ACCEPTS_NEW, tags=(NOWHERE,)),
]

Offers = dict[str, list[Offer]]


@dataclass
class Story:
    """What the two runs reported, and what the servers saw meanwhile."""

    portal: Portal
    fleet: SimulatedFleet
    first: dict[str, Any]
    second: dict[str, Any]
    offers_of_first: Offers
    offers_of_second: Offers
    sent_configuration: str
    counters: dict[str, list[int]]
    queued: set[bytes]


def offers(fleet: SimulatedFleet) -> Offers:
    return {device.name: device.offers for device in fleet}


def secrets_of(found: list[Offer]) -> list[tuple[str, str, bool]]:
    """Method, secret and whether it was accepted, in the order in which the server received them."""
    return [(offer.method, offer.secret, offer.accepted) for offer in found]


@pytest.fixture(scope="module")
def story(portal: Portal) -> Iterator[Story]:
    with SimulatedFleet(FLEET) as fleet, portal.watching_the_queue() as queued:
        portal.import_devices(device.spec for device in fleet)
        common = ("--tags", SITE, "--scope", "local", "--password-stdin")
        portal.add_credential(
            "ww new", USER, *common, "--enable-secret-stdin", "--priority", "40", secrets=[NEW, ENABLE]
        )
        portal.add_credential("ww old", USER, *common, "--priority", "60", secrets=[OLD])
        first = portal.run_job("--kind", "backup", "--tag", SITE, "--tag", NOWHERE)
        sent = fleet.device("ww-new").configuration()
        offers_of_first = offers(fleet)
        counters = portal.ask(
            "{c.name: [c.success_count, c.rejected_count] for c in Credential.objects.all()}",
            "from credentials.models import Credential",
        )
        for device in fleet:
            device.clear()
        fleet.device("ww-new").change_config()
        fleet.device("ww-replaced").change_host_key()
        second = portal.run_job("--kind", "backup", "--tag", SITE)
        offers_of_second = offers(fleet)
        yield Story(portal, fleet, first, second, offers_of_first, offers_of_second, sent, counters, queued)


# --- what the servers received ---


def test_the_enable_secret_follows_the_password_that_was_accepted(story: Story) -> None:
    assert secrets_of(story.offers_of_first["ww-new"]) == [("password", NEW, True), ("enable", ENABLE, True)]


def test_the_old_password_is_sent_only_after_the_new_one_was_refused(story: Story) -> None:
    assert secrets_of(story.offers_of_first["ww-old"]) == [("password", NEW, False), ("password", OLD, True)]


def test_the_next_run_begins_with_the_password_that_worked(story: Story) -> None:
    assert secrets_of(story.offers_of_second["ww-old"]) == [("password", OLD, True)]


def test_a_server_that_only_asks_interactively_is_answered_once(story: Story) -> None:
    assert secrets_of(story.offers_of_first["ww-keyboard"]) == [("keyboard-interactive", NEW, True)]


def test_every_login_is_made_with_the_user_name_of_its_credential(story: Story) -> None:
    logins = [offer for found in story.offers_of_first.values() for offer in found if offer.method != "enable"]
    assert {offer.username for offer in logins} == {USER}


def test_a_device_that_is_down_is_sent_nothing(story: Story) -> None:
    assert story.offers_of_first["ww-down"] == []


def test_a_device_whose_host_key_changed_is_sent_nothing(story: Story) -> None:
    assert len(story.offers_of_first["ww-replaced"]) == 1
    assert story.offers_of_second["ww-replaced"] == []


def test_a_device_without_a_matching_credential_is_sent_nothing(story: Story) -> None:
    assert story.offers_of_first["ww-lonely"] == []


# --- what the run reports ---


def test_every_device_has_its_outcome_and_the_count_of_its_logins(story: Story) -> None:
    found = {name: (row["outcome"], row["attempts"], row["credential"]) for name, row in story.first["results"].items()}
    assert found == {
        "ww-new": ("success", 1, "ww new"),
        "ww-old": ("success", 2, "ww old"),
        "ww-keyboard": ("success", 1, "ww new"),
        "ww-down": ("refused", 0, None),
        "ww-replaced": ("success", 1, "ww new"),
        "ww-lonely": ("no_credentials", 0, None),
    }


def test_the_run_as_a_whole_is_partly_failed(story: Story) -> None:
    report = story.first
    assert (report["exit"], report["status"], report["devices"]) == (1, "partial", 6)
    assert report["by_outcome"] == {"success": 4, "refused": 1, "no_credentials": 1}
    assert 0 < report["elapsed_s"] < 100


def test_each_failure_comes_with_advice(story: Story) -> None:
    results = story.first["results"]
    assert "Add one of its tags to the credential that opens it" in results["ww-lonely"]["advice"]
    assert "Check the port" in results["ww-down"]["advice"]
    assert "no password was sent" in story.second["results"]["ww-replaced"]["advice"]
    assert [row["advice"] for row in results.values() if row["outcome"] == "success"] == [""] * 4


def test_a_changed_host_key_is_its_own_outcome_and_waits_in_the_queue(story: Story) -> None:
    assert story.second["results"]["ww-replaced"]["outcome"] == "host_key_changed"
    waiting = json.loads(story.portal.must("host_keys", "list", "--json"))
    key = next(key for key in waiting if key["device"] == "ww-replaced")
    assert key["fingerprint"] == story.fleet.device("ww-replaced").host_key_fingerprint
    assert key["fingerprint"] not in key["pinned"]


def test_the_counters_of_the_credentials_are_what_the_servers_saw(story: Story) -> None:
    assert story.counters["ww new"] == [3, 1]
    assert story.counters["ww old"] == [1, 0]


def test_every_login_is_kept_with_its_order_and_reason(story: Story) -> None:
    found = story.portal.ask(
        f"list(Attempt.objects.filter(run={story.first['run']}, device_name='ww-old').order_by('order')"
        ".values_list('order', 'credential_name', 'outcome', 'fate', 'reason'))",
        "from jobs.models import Attempt",
    )
    assert found == [
        [1, "ww new", "rejected", "rejected", f"shares tag {SITE}; priority 40"],
        [2, "ww old", "success", "accepted", f"shares tag {SITE}; priority 60"],
    ]


def test_candidates_tell_what_was_learnt(story: Story) -> None:
    found = json.loads(story.portal.must("candidates", "ww-old", "--json"))["candidates"]
    assert [(row["order"], row["credential"]) for row in found] == [(1, "ww old"), (None, "ww new")]
    assert found[0]["worked_last"] is True
    assert found[1]["skipped"].startswith("Rejected here on")


# --- what is stored ---


def test_the_stored_text_is_what_the_device_sent(story: Story) -> None:
    stored = story.portal.ask(
        "reveal(by_number(Device.objects.get(name='ww-new').pk, 1))",
        "from devices.configs.revealing import reveal",
        "from devices.configs.store import by_number",
        "from devices.models import Device",
    )
    assert len(stored) > 5_000
    assert normalise(stored, "cisco_ios") == normalise(story.sent_configuration, "cisco_ios")


def test_show_config_prints_the_version_with_placeholders_for_its_secrets(story: Story) -> None:
    shown = story.portal.must("show_config", "ww-new", "--version", "1")
    sent = story.sent_configuration
    assert shown.rstrip("\n").count("\n") == sent.rstrip("\n").count("\n")
    hidden = next(line for line in sent.splitlines() if line.startswith("snmp-server community"))
    assert hidden.split()[2] not in shown
    assert "snmp-server community" in shown


def test_a_changed_configuration_is_a_second_version_and_an_unchanged_one_is_none(story: Story) -> None:
    numbers = story.portal.ask(
        "dict(ConfigVersion.objects.filter(device__name__startswith='ww-').values_list('device__name')"
        ".annotate(n=Count('pk')))",
        "from devices.models import ConfigVersion",
        "from django.db.models import Count",
    )
    assert numbers == {"ww-new": 2, "ww-old": 1, "ww-keyboard": 1, "ww-replaced": 1}


def test_after_a_person_approved_the_new_host_key_the_device_is_logged_in_to(story: Story) -> None:
    fingerprint = story.fleet.device("ww-replaced").host_key_fingerprint
    story.portal.must("host_keys", "approve", "ww-replaced", "--fingerprint", fingerprint)
    report = story.portal.run_job("--kind", "backup", "--device", "ww-replaced")
    assert report["exit"] == 0
    assert secrets_of(story.fleet.device("ww-replaced").offers) == [("password", NEW, True)]


# --- secrets: nowhere but under seal, and in the servers ---


@pytest.fixture(scope="module")
def browser(story: Story) -> Browser:
    """Has read every page of the admin and of the API that leads to something else."""
    found = Browser(story.portal)
    found.crawl("/admin/", at_most=150)
    found.crawl_api(at_most=300)
    # Answers to a POST, refused and accepted: none of them may hold what was sent.
    refused = {"name": "ww lost", "username": USER, "password": CANARIES["lost"], "scope": "nonsense", "tags": [SITE]}
    found.api("/api/v1/credentials/", refused)
    found.api("/api/v1/credentials/", {**refused, "scope": "local", "tags": "not a list", "priority": "x"})
    found.api("/api/v1/credentials/", {**refused, "scope": "local"})
    assert [found.statuses[name] for name in found.statuses if name.startswith("POST")] == [400, 400, 201]
    return found


def test_no_secret_stands_in_a_page_or_in_an_answer_of_the_api(browser: Browser) -> None:
    assert sum(status == 200 for status in browser.statuses.values()) > 20
    assert [path for path, status in browser.statuses.items() if status >= 500] == []
    assert any(b"ww-keyboard" in body for path, body in browser.bodies.items() if path.startswith("/admin/"))
    assert any(b"ww-keyboard" in body for path, body in browser.bodies.items() if path.startswith("/api/"))
    found = [hit for path, body in browser.bodies.items() for hit in hits(path, body, CANARIES.values())]
    assert found == []


def test_no_secret_stands_in_a_log(story: Story, browser: Browser) -> None:
    logs = story.portal.home / "var" / "log"
    assert (logs / "web.log").stat().st_size > 0
    assert folder_hits(logs, CANARIES.values()) == []
    console = (story.portal.home / "console.txt").read_bytes()
    assert hits("console", console, CANARIES.values()) == []


def test_no_secret_stands_in_what_the_commands_print(story: Story) -> None:
    spoken = "\n".join(story.portal.spoken).encode()
    assert b"ww-keyboard" in spoken
    assert hits("commands", spoken, CANARIES.values()) == []


def test_no_secret_stands_in_a_task(story: Story) -> None:
    assert len(story.queued) >= 2
    assert [hit for payload in story.queued for hit in hits("task", payload, CANARIES.values())] == []


def test_no_secret_stands_in_the_database(story: Story, browser: Browser) -> None:
    assert database_hits(story.portal.database, CANARIES.values()) == []


def test_no_secret_stands_in_any_other_file_of_the_instance(story: Story, browser: Browser) -> None:
    assert folder_hits(story.portal.home, CANARIES.values()) == []


def test_the_sweep_finds_a_secret_wherever_one_was_put(tmp_path: Path) -> None:
    secret = CANARIES["new"]
    (tmp_path / "worker.log").write_text(f"login with {NEW!r} failed")
    payload = SignedPackage.dumps({"func": "f", "args": (1, NEW), "kwargs": {}})
    packed = SignedPackage.dumps({"func": "f", "args": (1, NEW, "x" * 5_000), "kwargs": {}})
    with closing(sqlite3.connect(tmp_path / "portal.sqlite3")) as connection:
        connection.execute("CREATE TABLE queue (payload TEXT, packed BLOB)")
        connection.execute("INSERT INTO queue VALUES (?, ?)", (payload, b""))
        connection.execute("INSERT INTO queue VALUES ('', ?)", (packed.encode(),))
        connection.commit()
        # Whether deleted rows are wiped is a choice of whoever built SQLite.
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute("CREATE TABLE gone (text TEXT)")
        connection.execute("INSERT INTO gone VALUES (?)", (OLD,))
        connection.commit()
        connection.execute("DELETE FROM gone")
        connection.commit()
    assert [hit.secret for hit in folder_hits(tmp_path, [secret]) if hit.where == "worker.log"] == [secret]
    found = database_hits(tmp_path / "portal.sqlite3", CANARIES.values())
    assert [hit.where for hit in found if hit.secret == secret].count("table queue") == 2
    assert CANARIES["old"] in {hit.secret for hit in found if hit.where == "portal.sqlite3"}
    assert hits("page", json.dumps({"password": NEW}).encode(), [secret])
