"""Uses of credentials by the run engine: on record before a secret is opened, and what came of each afterwards."""

from __future__ import annotations

import ast
from uuid import uuid4

import pytest
from django.db import DatabaseError, transaction

from credentials import audit, keyring
from credentials.audit import intents, verify
from credentials.audit.intents import INTENT, USE, Login
from credentials.exceptions import NotAudited
from credentials.grants import Grant
from credentials.models import AuditEvent, Credential
from credentials.store import DatabaseStore
from devices.simulator.fleet import SimulatedFleet
from devices.simulator.spec import SimDevice, SimLogin
from jobs.choices import Trigger
from jobs.engine.shard import run_shard
from jobs.services import start_adhoc
from tests.credentials.sealed import PASSWORD, make
from tests.jobs.fleet import credential, register, run_now
from tests.netraven_site.instance import REPOSITORY

pytestmark = pytest.mark.django_db(transaction=True)
GOOD = (SimLogin("ops", "right"),)


def uses(outcome: str | None = None) -> list[AuditEvent]:
    rows = AuditEvent.objects.filter(event=USE).order_by("id")
    return list(rows if outcome is None else rows.filter(outcome=outcome))


def login_of(row: Credential, device: int = 1, **more: object) -> Login:
    values = {"device_name": "sw1", "address": "192.0.2.1:22", "run": 3, "job": "nightly", "kind": "backup"}
    return Login(row.pk, row.version, row.name, device, actor="olga", **{**values, **more})


def granted(row: Credential) -> Grant:
    with transaction.atomic():
        entries = intents.logins([login_of(row)])
    return intents.grants(entries)[0]


# --- no audit, no decryption ------------------------------------------------------------------------------


def test_a_committed_intent_yields_leave_to_open_that_credential_and_no_other():
    row, other = make("core"), make("other")
    grant = granted(row)
    assert row.password.reveal(grant) == PASSWORD
    with pytest.raises(NotAudited, match="no leave"):
        other.password.reveal(grant)
    assert uses()[0].outcome == INTENT
    assert uses()[0].data["keys"] == [keyring.current().active_id]


def test_a_grant_cannot_be_made_by_hand():
    with pytest.raises(TypeError, match="not made by hand"):
        Grant(None, 1, uuid4())


def test_an_intent_that_is_not_committed_yet_yields_nothing():
    row = make()
    with transaction.atomic():
        entries = intents.logins([login_of(row)])
        with pytest.raises(RuntimeError, match="durable"):
            intents.grants(entries)


def test_an_intent_that_was_rolled_back_yields_nothing():
    row = make()
    with transaction.atomic():
        entries = intents.logins([login_of(row)])
        transaction.set_rollback(True)
    with pytest.raises(NotAudited):
        intents.grants(entries)


def test_an_intent_whose_number_another_row_has_got_yields_nothing():
    row = make()
    with transaction.atomic():
        entries = intents.logins([login_of(row)])
        transaction.set_rollback(True)
    audit.record("job.created")
    assert AuditEvent.objects.filter(pk=entries[0].id).exists()
    with pytest.raises(NotAudited):
        intents.grants(entries)


def test_grants_are_minted_in_one_place_and_sealed_values_are_opened_in_one():
    """Whoever adds another way to a plaintext past the trail fails here."""
    minting, opening = set(), set()
    for app in ("credentials", "devices", "jobs", "netraven_site"):
        for path in (REPOSITORY / app).rglob("*.py"):
            text = path.read_text()
            name = str(path.relative_to(REPOSITORY))
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.ImportFrom) and node.module == "credentials.grants":
                    minting |= {name for each in node.names if each.name in {"mint", "_MINT"}}
                if isinstance(node, ast.Attribute) and ast.unparse(node).endswith("keyring.current().open"):
                    opening.add(name)
    assert minting == {"credentials/audit/intents.py"}
    assert opening == {"credentials/fields.py"}


# --- in a run ---------------------------------------------------------------------------------------------


def test_each_device_has_an_intent_before_and_an_outcome_after():
    with SimulatedFleet([SimDevice(f"r{n}", "cisco_ios", GOOD) for n in range(3)]) as fleet:
        devices = register(fleet)
        core = credential("core", "right")
        run, results = run_now(devices=list(devices.values()))
    assert {result.outcome for result in results.values()} == {"success"}
    before, after = uses(INTENT), uses("success")
    assert {row.device for row in before} == {row.device for row in after} == {each.pk for each in devices.values()}
    assert max(row.id for row in before) < min(row.id for row in after)
    row, intent = after[0], {each.id: each for each in before}
    assert intent[row.data["intent"]].device == row.device
    assert (row.run, row.credential, row.credential_name) == (run.pk, core.pk, "core")
    assert row.data["host_key"].startswith("SHA256:")
    assert (row.data["version"], row.data["fate"], row.data["address"][:4]) == (1, "accepted", "127.")
    assert verify.verify().is_whole


def test_a_credential_to_which_a_device_goes_on_has_its_own_intent_before_it_is_opened(monkeypatch):
    opened: list[tuple[int, int]] = []
    real = DatabaseStore.open

    def watched(self, number, grant, version=None):
        row = AuditEvent.objects.get(pk=grant.intent)
        opened.append((number, row.credential))
        return real(self, number, grant, version)

    monkeypatch.setattr(DatabaseStore, "open", watched)
    with SimulatedFleet([SimDevice("r1", "cisco_ios", GOOD)]) as fleet:
        register(fleet)
        old, new = credential("old", "wrong", priority=1), credential("new", "right", priority=2)
        _, results = run_now(all_devices=True)
    assert results["r1"].outcome == "success"
    assert opened == [(old.pk, old.pk), (new.pk, new.pk)]
    told = [(row.credential_name, row.outcome) for row in uses()]
    assert sorted(told) == [("new", INTENT), ("new", "success"), ("old", INTENT), ("old", "rejected")]
    assert told.index(("new", INTENT)) < told.index(("new", "success"))


def test_a_login_that_was_on_record_and_not_made_is_closed_with_what_came_instead():
    with SimulatedFleet([SimDevice("r1", "cisco_ios", GOOD)]) as fleet:
        register(fleet)
    credential("core", "right")
    _, results = run_now(all_devices=True)
    assert results["r1"].outcome == "refused"
    assert [(row.outcome, row.data.get("fate")) for row in uses()] == [(INTENT, None), ("refused", "unsent")]


def test_a_kind_without_logins_leaves_no_intent():
    with SimulatedFleet([SimDevice("r1", "cisco_ios", GOOD)]) as fleet:
        register(fleet)
        credential("core", "right")
        run_now("reachability", all_devices=True)
    assert uses() == []


def test_where_nothing_can_be_recorded_nothing_is_opened(monkeypatch):
    opened = []
    monkeypatch.setattr(DatabaseStore, "open", lambda *args: opened.append(args))

    def refuse(*args: object) -> None:
        raise DatabaseError("the trail is not to be written")

    with SimulatedFleet([SimDevice("r1", "cisco_ios", GOOD)]) as fleet:
        register(fleet)
        credential("core", "right")
        run = start_adhoc("backup", all_devices=True, trigger=Trigger.COMMAND)
        monkeypatch.setattr("credentials.audit.trail._write", refuse)
        run_shard(run.shards.get().pk)
    assert opened == []
    assert run.results.get().outcome == "internal_error"


def test_no_row_of_a_run_holds_a_secret():
    with SimulatedFleet([SimDevice("r1", "cisco_ios", (SimLogin("ops", "canaryPassw0rd"),))]) as fleet:
        register(fleet)
        credential("core", "canaryPassw0rd")
        run_now(all_devices=True)
    rows = " ".join(" ".join(map(str, row)) for row in AuditEvent.objects.values_list())
    assert uses("success")
    assert "canaryPassw0rd" not in rows


def test_who_started_a_run_is_recorded():
    with audit.acting(lambda: audit.Acting("olga", "command")):
        run, _ = run_now("reachability", all_devices=True)
    row = AuditEvent.objects.get(event="run.started")
    assert (row.actor, row.source, row.run, row.data["kind"]) == ("olga", "command", run.pk, "reachability")
