"""The audit trail on its page, over the API, and by its commands; and that what people do gets into it."""

from __future__ import annotations

import csv
import io
import json

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core import checks
from django.core.management import CommandError
from django.test import Client
from django.urls import reverse

from credentials import audit
from credentials.audit import anchors, triggers
from credentials.management.commands import audit_prune, audit_verify
from credentials.models import AuditEvent
from devices.models import Device
from jobs.models import Job
from jobs.services import save_job
from netraven_site import auditing
from netraven_site.models import ApiToken
from tests.commands import run
from tests.netraven_site.api_helpers import client_with, make_device
from tests.netraven_site.pages import administrator, body, list_of, page_of, staff_with, text_of

pytestmark = pytest.mark.django_db
VIEW, EXPORT = "credentials.view_auditevent", "credentials.export_auditevent"
LIST = "credentials_auditevent"


def events(name: str) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(event=name).order_by("id"))


def forget_all() -> None:
    """What the test itself has caused so far."""
    with triggers.lifted():
        AuditEvent.objects.all()._raw_delete("default")


def edit_one(number: int) -> None:
    with triggers.lifted():
        AuditEvent.objects.filter(pk=number).update(actor="nobody")


# --- the page ---------------------------------------------------------------------------------------------


def test_the_list_shows_what_happened_to_whoever_may_see_it():
    device = make_device()
    audit.record("config.revealed", actor="olga", device=device, outcome="done", version=3)
    shown = text_of(staff_with(VIEW).get(list_of(LIST)))
    assert "Configuration revealed" in shown
    assert "olga" in shown
    assert device.name in shown
    assert staff_with("devices.view_device", name="piet").get(list_of(LIST)).status_code == 403


def test_the_filters_find_by_event_person_device_credential_and_time():
    device = make_device()
    audit.record("config.revealed", actor="olga", device=device)
    audit.record("credential.used", actor="piet", credential=7, credential_name="core")
    client = staff_with(VIEW)

    def found(**query: str) -> set[str]:
        rows = client.get(list_of(LIST), query).context["cl"].result_list
        return {row.event for row in rows}

    assert found(event="config.revealed") == {"config.revealed"}
    assert found(actor="piet") == {"credential.used"}
    assert found(device=device.name) == {"config.revealed"}
    assert found(credential="core") == {"credential.used"}
    assert found(since="hour") >= {"config.revealed", "credential.used"}
    assert found(q="core") == {"credential.used"}


def test_the_page_of_a_row_shows_all_of_it_and_leads_from_an_outcome_to_its_intent():
    intent = audit.record("config.revealed", actor="olga", outcome="intent", kind="running")
    audit.record("config.revealed", actor="olga", outcome="done", intent=intent.id)
    last = AuditEvent.objects.first()
    shown = text_of(staff_with(VIEW).get(page_of(LIST, last.pk)))
    assert last.mac in shown
    assert f"On record before it was done: row {intent.id}" in shown


def test_nobody_can_change_a_row_by_the_pages():
    audit.record("config.revealed")
    number = AuditEvent.objects.first().pk
    client = administrator()
    for end in ("change", "delete"):
        answer = client.post(
            reverse(f"admin:credentials_auditevent_{end}", args=[number]), {"actor": "x", "post": "yes"}
        )
        assert answer.status_code in (302, 403)
    assert AuditEvent.objects.get(pk=number).actor == "system"


def test_verifying_by_the_button_says_what_was_found_and_when():
    audit.record("config.revealed")
    client = staff_with(VIEW)
    url = reverse("admin:credentials_auditevent_verify")
    assert client.get(url).status_code == 405
    assert "Not verified yet" in text_of(client.get(list_of(LIST)))
    assert "Whole:" in text_of(client.post(url, follow=True))
    assert events("audit.verified")[-1].outcome == "whole"
    number = events("config.revealed")[0].pk
    edit_one(number)
    shown = text_of(client.post(url, follow=True))
    assert f"Broken at row {number} (edited)" in shown
    assert f"broken Row {number}" in shown


def test_the_export_has_the_filtered_rows_makes_formulas_harmless_and_is_on_record():
    audit.record("config.revealed", actor="=cmd|' /C calc'!A0")
    audit.record("job.created", actor="olga")
    url = reverse("admin:credentials_auditevent_export")
    assert staff_with(VIEW).get(url).status_code == 403
    answer = staff_with(VIEW, EXPORT, name="piet").get(url, {"event": "config.revealed"})
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))
    assert [row["event"] for row in rows] == ["config.revealed"]
    assert rows[0]["actor"] == "'=cmd|' /C calc'!A0"
    assert events("audit.exported")[0].actor == "piet"


def test_what_stands_in_a_row_is_escaped_on_the_pages():
    audit.record("config.revealed", actor="<script>alert(1)</script>", note="<img src=x onerror=alert(1)>")
    client = staff_with(VIEW)
    for page in (list_of(LIST), page_of(LIST, events("config.revealed")[0].pk)):
        shown = body(client.get(page))
        assert "<script>alert(1)" not in shown
        assert "<img src=x" not in shown


# --- the API ----------------------------------------------------------------------------------------------


def test_the_api_lists_and_shows_rows_and_nothing_else():
    audit.record("config.revealed", actor="olga", version=3)
    client = client_with(VIEW)
    found = client.get("/api/v1/audit/", {"event": "config.revealed"}).json()["results"]
    assert [(row["event"], row["actor"], row["details"]) for row in found] == [
        ("config.revealed", "olga", {"version": 3})
    ]
    url = f"/api/v1/audit/{found[0]['id']}/"
    assert client.get(url).json()["mac"] == AuditEvent.objects.get(pk=found[0]["id"]).mac
    assert [
        client.post("/api/v1/audit/").status_code,
        client.delete(url).status_code,
        client.patch(url).status_code,
    ] == [
        405,
        405,
        405,
    ]
    assert client_with("devices.view_device", name="piet").get("/api/v1/audit/").status_code == 403


# --- the commands -----------------------------------------------------------------------------------------


def test_audit_verify_ends_with_0_for_a_whole_trail_and_1_for_a_broken_one():
    audit.record("config.revealed")
    anchors.write()
    done = run("audit_verify", "--json")
    report = json.loads(done.out)
    assert (done.code, report["whole"], report["trouble"], report["anchors"]) == (0, True, None, 1)
    edit_one(events("config.revealed")[0].pk)
    done = run("audit_verify", "--json", "--no-record")
    report = json.loads(done.out)
    assert (done.code, report["whole"]) == (1, False)
    assert report["trouble"]["row"] == events("config.revealed")[0].pk
    assert report["trouble"]["what"] == "edited"
    assert "Broken at row" in run("audit_verify").out


def test_audit_verify_takes_anchors_that_were_kept_elsewhere(settings, tmp_path):
    audit.record("config.revealed")
    audit.record("config.revealed")
    anchors.write()
    elsewhere = tmp_path / "from-syslog"
    settings.NETRAVEN_AUDIT_ANCHOR_FILE.rename(elsewhere)
    with triggers.lifted():
        AuditEvent.objects.filter(pk=AuditEvent.objects.first().pk)._raw_delete("default")
    assert run("audit_verify", "--no-record").code == 0
    done = run("audit_verify", "--no-record", "--anchors", str(elsewhere))
    assert (done.code, "truncated" in done.out) == (1, True)
    assert run("audit_verify", "--anchors", str(tmp_path / "none")).code == 2


def test_audit_verify_works_where_the_system_check_refuses_everything_else(monkeypatch):
    # The tests have no instance, which other checks would tell first; those that ask the database are left.
    every = checks.run_checks
    monkeypatch.setattr(checks, "run_checks", lambda tags=None, **more: every(tags=tags, **more) if tags else [])
    audit.record("config.revealed")
    with triggers.lifted():
        with pytest.raises(CommandError, match="would let the audit trail be changed"):
            audit_prune.Command().check()
        audit_verify.Command().check()
        done = run("audit_verify", "--no-record")
    assert done.code == 0
    assert "would let rows be changed" in done.out


def test_audit_export_writes_lines_that_hold_what_is_authenticated(tmp_path):
    audit.record("config.revealed", actor="olga")
    target = tmp_path / "out.jsonl"
    assert run("audit_export", str(target), "--event", "config.revealed").code == 0
    rows = [json.loads(line) for line in target.read_text().splitlines()]
    assert [(row["actor"], len(row["mac"])) for row in rows] == [("olga", 64)]
    assert run("audit_export", str(target)).code == 2
    assert events("audit.exported")[0].data["rows"] == 1


def test_audit_prune_needs_to_be_told_how_much_to_keep():
    audit.record("config.revealed")
    assert run("audit_prune").code == 2
    assert run("audit_prune", "--keep-days", "30").out.strip() == "0 rows deleted."


# --- what people do ---------------------------------------------------------------------------------------


def test_signing_in_and_out_is_recorded_with_the_address():
    User.objects.create_user("olga", password="right", is_staff=True)
    client = Client(REMOTE_ADDR="192.0.2.7")
    url = reverse("admin:login")
    client.post(url, {"username": "olga", "password": "wrong"})
    client.post(url, {"username": "olga", "password": "right"})
    client.post(reverse("admin:logout"))
    found = AuditEvent.objects.filter(event__startswith="sign_in.").order_by("id")
    told = [(row.event, row.subject or row.actor, row.source) for row in found if row.event != "sign_in.ended"]
    assert told == [
        ("sign_in.failed", "olga", "web 192.0.2.7"),
        ("sign_in.succeeded", "olga", "web 192.0.2.7"),
        ("sign_in.left", "olga", "web 192.0.2.7"),
    ]


def test_a_password_typed_as_the_name_is_not_recorded():
    Client().post(reverse("admin:login"), {"username": "MyPassw0rd!", "password": "x"})
    event = events("sign_in.failed")[0]
    assert "MyPassw0rd!" not in json.dumps([event.subject, event.actor, event.details])
    assert event.data["name_fingerprint"]


def test_a_refused_token_is_recorded_once_a_minute_without_the_token():
    auditing._refused.clear()
    client = Client()
    for _ in range(3):
        client.get("/api/v1/devices/", HTTP_AUTHORIZATION="Token nrt_unknownunknown")
    assert [row.subject for row in events("token.refused")] == ["unknown token"]
    assert "nrt_unknown" not in events("token.refused")[0].details


def test_changes_of_people_and_rights_are_recorded_and_no_password():
    root = administrator()
    forget_all()
    user = User.objects.create_user("olga", password="aSecretOfOlga")
    group = Group.objects.create(name="operators")
    user.is_superuser = True
    user.save()
    user.set_password("another0ne")
    user.save()
    user.groups.add(group)
    group.permissions.set(Permission.objects.filter(codename="view_device"))
    group.permissions.clear()
    root.post(reverse("admin:auth_user_delete", args=[user.pk]), {"confirmed": "yes"})
    found = [(row.event, row.subject) for row in AuditEvent.objects.order_by("id")]
    assert ("user.created", "olga") in found
    assert ("user.deleted", "olga") in found
    changes = [row.data for row in events("user.changed")]
    assert changes[0]["changes"] == {"is_superuser": [False, True]}
    assert changes[1]["changes"] == {"password": ["", "changed"]}
    assert (changes[2]["what"], changes[2]["added"]) == ("groups", ["operators"])
    rights = [row.data for row in events("group.changed")]
    assert [row.get("added") or row.get("removed") for row in rights] == [["devices.view_device"]] * 2
    everything = " ".join(AuditEvent.objects.values_list("details", flat=True))
    assert "aSecretOfOlga" not in everything
    assert "pbkdf2" not in everything
    assert events("user.deleted")[0].actor == "root"


def test_signing_in_alone_is_no_change_of_a_user():
    administrator()
    forget_all()
    Client().force_login(User.objects.get(username="root"))
    assert events("user.changed") == []


def test_jobs_and_their_schedules_are_recorded():
    job = save_job(Job(), name="nightly", kind="backup", all_devices=True)
    save_job(job, enabled=False)
    job.delete()
    assert [row.event for row in AuditEvent.objects.filter(event__startswith="job.").order_by("id")] == [
        "job.created",
        "job.changed",
        "job.deleted",
    ]
    assert events("job.changed")[0].data["changes"] == {"enabled": [True, False]}


def test_deleting_devices_is_recorded_with_their_names():
    device = make_device()
    number = device.pk
    Device.objects.all().delete()
    assert [(row.device, row.device_name) for row in events("device.deleted")] == [(number, device.name)]


def test_exports_of_the_inventory_are_recorded():
    make_device()
    answer = staff_with("devices.view_device").get(reverse("admin:devices_device_export"))
    b"".join(answer.streaming_content)
    run("export_devices")
    assert [row.data["devices"] for row in events("devices.exported")] == [1, 1]


def test_tokens_that_are_made_are_recorded_without_their_text():
    User.objects.create_user("olga")
    made = run("create_token", "olga")
    assert [row.event for row in events("token.created")] == ["token.created"]
    assert ApiToken.objects.get().digest not in events("token.created")[0].details
    assert made.out.strip().split()[-1] not in events("token.created")[0].details


# --- settings ---------------------------------------------------------------------------------------------


def test_settings_are_recorded_when_they_differ_from_the_last_start(settings):
    auditing.note_settings()
    auditing.note_settings()
    assert len(events("settings.changed")) == 1
    settings.NETRAVEN_THREADS = 7
    auditing.note_settings()
    assert events("settings.changed")[-1].data["changes"]["NETRAVEN_THREADS"][1] == 7
    assert len(events("settings.changed")) == 2


def test_secrets_among_the_settings_are_told_by_a_fingerprint(settings):
    settings.SECRET_KEY = "theSecretKeyOfThis"
    settings.NETRAVEN_BROKER_URL = "redis://:brokerPassw0rd@192.0.2.1:6379/0"
    auditing.note_settings()
    said = events("settings.changed")[0].details
    assert "theSecretKeyOfThis" not in said
    assert "brokerPassw0rd" not in said
    settings.SECRET_KEY = "another"
    auditing.note_settings()
    assert list(events("settings.changed")[-1].data["changes"]) == ["SECRET_KEY"]
