"""Devices through the API: read, filtered, changed, imported, and what hangs on one."""

import io
import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from devices.choices import HostKeyState
from devices.models import Device, HostKey
from jobs.models import Run
from tests.netraven_site.api_helpers import (
    admin_client,
    config,
    make_attempt,
    make_credential,
    make_device,
    make_key,
    make_version,
)

pytestmark = pytest.mark.django_db

HEADER = "name,host,port,platform,tags"
BODY = {"name": "sw1", "host": "10.0.0.1", "platform": "cisco_ios"}


@pytest.fixture
def client():
    return admin_client()


def names(answer):
    assert answer.status_code == 200, answer.content
    return [row["name"] for row in answer.json()["results"]]


def post(client, body, where="devices/"):
    return client.post(f"/api/v1/{where}", body, format="json")


# --- made and changed ---


def test_a_device_is_made_with_its_tags(client):
    answer = post(client, {**BODY, "port": 2222, "site": "ZRH", "tags": ["edge", "Core"]})
    assert answer.status_code == 201
    made = answer.json()
    assert (made["name"], made["port"], made["site"], made["tags"]) == ("sw1", 2222, "ZRH", ["Core", "edge"])
    assert sorted(Device.objects.get().tags.names()) == ["Core", "edge"]


def test_a_new_device_has_the_defaults_for_what_was_not_said(client):
    made = post(client, BODY).json()
    assert (made["port"], made["transport"], made["aaa_domain"], made["enabled"], made["tags"]) == (
        22,
        "ssh",
        "default",
        True,
        [],
    )


def test_a_device_that_was_never_tried_says_so(client):
    assert post(client, BODY).json()["last_outcome_label"] == "Not tried"


def test_a_failed_device_carries_the_advice(client):
    device = make_device()
    Device.objects.update(last_outcome="rejected", last_outcome_at=timezone.now())
    found = client.get(f"/api/v1/devices/{device.pk}/").json()
    assert found["last_outcome_label"] == "Rejected"
    assert found["advice"].startswith("Every matching credential was refused.")


def test_a_partial_update_leaves_the_rest(client):
    device = make_device(site="ZRH", tags=("core", "edge"))
    answer = client.patch(f"/api/v1/devices/{device.pk}/", {"port": 2022}, format="json")
    assert (answer.json()["port"], answer.json()["site"], answer.json()["tags"]) == (2022, "ZRH", ["core", "edge"])


def test_tags_are_replaced_as_a_set(client):
    device = make_device(tags=("core", "edge"))
    answer = client.patch(f"/api/v1/devices/{device.pk}/", {"tags": ["edge", "new"]}, format="json")
    assert answer.json()["tags"] == ["edge", "new"]
    assert client.get(f"/api/v1/devices/{device.pk}/").json()["tags"] == ["edge", "new"]


def test_what_was_read_can_be_sent_back(client):
    device = make_device(site="ZRH")
    read = client.get(f"/api/v1/devices/{device.pk}/").json()
    answer = client.put(f"/api/v1/devices/{device.pk}/", {**read, "site": "BRN"}, format="json")
    assert answer.status_code == 200
    assert answer.json()["site"] == "BRN"


def test_a_field_that_is_only_read_stays_as_it_is(client):
    device = make_device()
    client.patch(f"/api/v1/devices/{device.pk}/", {"last_outcome": "success"}, format="json")
    assert Device.objects.get().last_outcome == ""


def test_a_device_is_deleted(client):
    device = make_device()
    assert client.delete(f"/api/v1/devices/{device.pk}/").status_code == 204
    assert not Device.objects.exists()


# --- refused ---


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"platform": "cisco_oi"}, "platform", "did you mean 'cisco_ios'"),
        ({"port": 0}, "port", "1"),
        ({"port": 70000}, "port", "65535"),
        ({"port": "ssh"}, "port", "integer"),
        ({"port": True}, "port", "integer"),
        ({"host": "10.0.0.300"}, "host", "not a valid IP address"),
        ({"name": "a/b"}, "name", "no slashes"),
        ({"name": ""}, "name", "blank"),
        ({"name": "x" * 101}, "name", "100"),
        ({"transport": "ftp"}, "transport", "not a valid choice"),
        ({"platform": "linux", "transport": "telnet"}, "transport", "no telnet driver"),
        ({"tags": "core"}, "tags", "list"),
        ({"tags": ["a;b"]}, "tags", "no semicolon"),
        ({"tags": ["", "ok"]}, "tags", "item 1"),
        ({"enabled": "perhaps"}, "enabled", "boolean"),
        ({"prot": 22}, "prot", "Did you mean port?"),
        ({"colour": "red"}, "colour", "no such field"),
    ],
)
def test_a_wrong_value_is_refused_with_its_field(client, change, field, words):
    answer = post(client, {**BODY, **change})
    assert answer.status_code == 400
    assert words in " ".join(answer.json()["errors"][field])
    assert field in answer.json()["detail"]
    assert not Device.objects.exists()


def test_unknown_and_wrong_fields_are_named_together(client):
    answer = post(client, {**BODY, "port": 0, "colour": "red"})
    assert set(answer.json()["errors"]) == {"port", "colour"}


def test_a_name_that_is_taken_is_refused(client):
    make_device()
    answer = post(client, BODY)
    assert answer.status_code == 400
    assert "already exists" in answer.json()["errors"]["name"][0]


def test_a_wrong_update_changes_nothing(client):
    device = make_device(tags=("core",))
    answer = client.patch(f"/api/v1/devices/{device.pk}/", {"platform": "nonsense", "tags": ["edge"]}, format="json")
    assert answer.status_code == 400
    device.refresh_from_db()
    assert (device.platform, list(device.tags.names())) == ("cisco_ios", ["core"])


@pytest.mark.parametrize("pk", ["7", "9" * 30])
def test_a_device_that_is_not_there_is_a_404(client, pk):
    answer = client.get(f"/api/v1/devices/{pk}/")
    assert answer.status_code == 404
    assert set(answer.json()) == {"detail", "errors"}


# --- filtered ---


@pytest.fixture
def fleet():
    make_device("sw1", ("core", "zurich"), site="ZRH", host="10.0.0.1")
    make_device("sw2", ("edge",), site="BRN", host="10.0.0.2", platform="arista_eos", enabled=False)
    make_device("sw3", ("core",), site="ZRH", host="10.0.0.3", transport="telnet", port=23)
    Device.objects.filter(name="sw1").update(last_outcome="success", last_success_at=timezone.now())
    Device.objects.filter(name="sw2").update(last_outcome="rejected")


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("name=sw2", ["sw2"]),
        ("platform=arista_eos", ["sw2"]),
        ("site=ZRH", ["sw1", "sw3"]),
        ("tag=core", ["sw1", "sw3"]),
        ("tag=CORE", ["sw1", "sw3"]),
        ("tag=edge&tag=zurich", ["sw1", "sw2"]),
        ("enabled=false", ["sw2"]),
        ("enabled=true", ["sw1", "sw3"]),
        ("transport=telnet", ["sw3"]),
        ("outcome=success", ["sw1"]),
        ("outcome=never", ["sw3"]),
        ("search=brn", ["sw2"]),
        ("search=10.0.0.3", ["sw3"]),
        ("last_success_since=2020-01-01T00:00:00Z", ["sw1"]),
        ("ordering=-name", ["sw3", "sw2", "sw1"]),
        ("ordering=site,-name", ["sw2", "sw3", "sw1"]),
        ("site=ZRH&enabled=true&page_size=1&page=2", ["sw3"]),
        ("page=last&page_size=2", ["sw3"]),
        ("", ["sw1", "sw2", "sw3"]),
    ],
)
def test_the_list_is_filtered_and_ordered(client, query, expected):
    assert names(client.get(f"/api/v1/devices/?{query}")) == expected


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize(
    ("query", "field", "words"),
    [
        ("sight=ZRH", "sight", "There are: aaa_domain"),
        ("enabled=maybe", "enabled", "true or false"),
        ("tag=nowhere", "tag", "There is no tag nowhere."),
        ("platform=cisco_oi", "platform", "did you mean 'cisco_ios'"),
        ("outcome=great", "outcome", "valid choice"),
        ("ordering=colour", "ordering", "Choose from: id, name"),
        ("last_success_since=yesterday", "last_success_since", "valid date"),
        ("site=ZRH&site=BRN", "site", "once"),
        ("page=0", "page", "whole number"),
        ("page=two", "page", "whole number"),
        ("page_size=0", "page_size", "1 to 500"),
        ("page_size=501", "page_size", "1 to 500"),
        ("page_size=many", "page_size", "1 to 500"),
        ("search=%00", "search", "Null"),
    ],
)
def test_a_parameter_that_cannot_be_understood_is_refused(client, query, field, words):
    answer = client.get(f"/api/v1/devices/?{query}")
    assert answer.status_code == 400
    text = answer.json()["detail"] + " ".join(answer.json()["errors"].get(field, []))
    assert words in text


@pytest.mark.usefixtures("fleet")
def test_a_page_beyond_the_last_is_a_404_that_names_the_last(client):
    answer = client.get("/api/v1/devices/?page=7&page_size=2")
    assert answer.status_code == 404
    assert answer.json()["detail"] == "There is no page 7: the last one is 2."


@pytest.mark.usefixtures("fleet")
def test_a_page_names_its_neighbours(client):
    page = client.get("/api/v1/devices/?page_size=1&page=2").json()
    assert page["count"] == 3
    assert "page=3" in page["next"]
    assert page["previous"] is not None


@pytest.mark.parametrize(("ordering", "last"), [("site", '"id" ASC'), ("-site", '"id" DESC')])
def test_the_id_settles_the_order_of_equal_rows(client, ordering, last):
    make_device()
    with CaptureQueriesContext(connection) as queries:
        client.get(f"/api/v1/devices/?ordering={ordering}")
    (listed,) = [
        q["sql"] for q in queries if "ORDER BY" in q["sql"] and "devices_device" in q["sql"] and "LIMIT" in q["sql"]
    ]
    assert f"{last} LIMIT" in listed


def test_a_single_row_takes_no_filters(client):
    device = make_device()
    assert client.get(f"/api/v1/devices/{device.pk}/?site=ZRH").status_code == 400


# --- what hangs on a device ---


def test_candidates_come_in_order_with_their_reasons(client):
    device = make_device(tags=("core",))
    make_credential("second", priority=200)
    make_credential("first", priority=50)
    make_credential("elsewhere", tags=("edge",))
    make_credential("last", tags=(), is_fallback=True)
    found = client.get(f"/api/v1/devices/{device.pk}/candidates/").json()["results"]
    assert [(row["order"], row["name"]) for row in found] == [(1, "first"), (2, "second"), (3, "last")]
    assert found[0]["reason"] == "shares tag core; priority 50"
    assert found[0]["secrets_set"] == ["password"]
    assert found[2]["is_fallback"] is True


def test_a_candidate_that_would_be_left_out_says_why(client):
    device = make_device(transport="telnet", port=23)
    make_credential()
    assert client.get(f"/api/v1/devices/{device.pk}/candidates/").json()["results"][0]["skipped"] == (
        "Not allowed over telnet."
    )


def test_the_versions_of_a_device_are_its_own(client):
    device, other = make_device("sw1"), make_device("sw2")
    make_version(device, config("interface Gi1"))
    make_version(device, config("interface Gi2"))
    make_version(other, config("interface Gi3"))
    found = client.get(f"/api/v1/devices/{device.pk}/versions/").json()["results"]
    assert [(row["device_name"], row["number"]) for row in found] == [("sw1", 2), ("sw1", 1)]
    assert "text" not in found[0]


def test_the_attempts_of_a_device_are_its_own(client):
    device, other = make_device("sw1"), make_device("sw2")
    make_attempt(device, outcome="rejected", fate="rejected")
    make_attempt(device)
    make_attempt(other)
    found = client.get(f"/api/v1/devices/{device.pk}/attempts/?outcome=rejected").json()["results"]
    assert [(row["device_name"], row["outcome_label"], row["tone"]) for row in found] == [("sw1", "Rejected", "failed")]


def test_the_host_keys_of_a_device_are_its_own(client):
    device, other = make_device("sw1"), make_device("sw2")
    make_key(device)
    make_key(other)
    assert client.get(f"/api/v1/devices/{device.pk}/host-keys/").json()["count"] == 1


@pytest.mark.parametrize("what", ["candidates", "versions", "attempts", "host-keys"])
def test_what_hangs_on_no_device_is_a_404(client, what):
    assert client.get(f"/api/v1/devices/77/{what}/").status_code == 404


def test_a_backup_starts_a_run_of_this_device(client):
    device = make_device()
    make_device("other")
    answer = client.post(f"/api/v1/devices/{device.pk}/backup/")
    assert answer.status_code == 201
    run = Run.objects.get(pk=answer.json()["id"])
    assert (run.kind, run.trigger, [result.device_name for result in run.results.all()]) == (
        "backup",
        "api",
        ["sw1"],
    )


def test_a_backup_takes_no_fields(client):
    device = make_device()
    answer = post(client, {"force": True}, f"devices/{device.pk}/backup/")
    assert answer.status_code == 400
    assert not Run.objects.exists()


# --- host keys ---


def test_a_waiting_key_is_shown_beside_the_pinned_one(client):
    device = make_device()
    make_key(device, "SHA256:old", HostKeyState.PINNED)
    make_key(device, "SHA256:new")
    found = client.get("/api/v1/host-keys/?state=pending").json()["results"]
    assert [(row["fingerprint"], row["pinned"]) for row in found] == [
        ("SHA256:new", [{"key_type": "ssh-ed25519", "fingerprint": "SHA256:old"}])
    ]


def test_approving_pins_the_key_in_the_name_of_the_user(client):
    device = make_device()
    old = make_key(device, "SHA256:old", HostKeyState.PINNED)
    new = make_key(device, "SHA256:new")
    answer = post(client, {"fingerprint": "SHA256:new"}, f"host-keys/{new.pk}/approve/")
    assert answer.status_code == 200
    assert (answer.json()["state"], answer.json()["decided_by"]) == ("pinned", "root")
    assert HostKey.objects.get(pk=old.pk).state == HostKeyState.RETIRED


def test_approving_what_has_changed_meanwhile_is_a_conflict(client):
    key = make_key(make_device())
    answer = post(client, {"fingerprint": "SHA256:seen-before"}, f"host-keys/{key.pk}/approve/")
    assert answer.status_code == 409
    assert "look at the device again" in answer.json()["detail"]
    assert HostKey.objects.get().state == HostKeyState.PENDING


def test_approving_needs_the_fingerprint(client):
    key = make_key(make_device())
    answer = post(client, {}, f"host-keys/{key.pk}/approve/")
    assert answer.status_code == 400
    assert answer.json()["errors"] == {"fingerprint": ["This field is required."]}


def test_rejecting_takes_the_key_out_of_the_queue(client):
    key = make_key(make_device())
    answer = client.post(f"/api/v1/host-keys/{key.pk}/reject/")
    assert (answer.status_code, answer.json()["state"]) == (200, "retired")


def test_rejecting_a_pinned_key_is_a_conflict(client):
    key = make_key(make_device(), state=HostKeyState.PINNED)
    assert client.post(f"/api/v1/host-keys/{key.pk}/reject/").status_code == 409
    assert HostKey.objects.get().state == HostKeyState.PINNED


# --- import ---


def table(*rows: str) -> str:
    return "\n".join([HEADER, *rows, ""])


GOOD = table("sw1,10.0.0.1,22,cisco_ios,core", "sw2,10.0.0.2,,arista_eos,core;edge")
BAD = table("sw1,10.0.0.1,22,cisco_ios,core", "sw2,10.0.0.2,99999,cisco_oi,")


def as_body(client, text, query="", **options):
    return client.post(f"/api/v1/devices/import/{query}", text, content_type="text/csv", **options)


def as_file(client, text, **fields):
    file = io.BytesIO(text.encode())
    file.name = "inventory.csv"
    return client.post("/api/v1/devices/import/", {"file": file, **fields}, format="multipart")


def as_json(client, text, **fields):
    return post(client, {"csv": text, **fields}, "devices/import/")


@pytest.mark.parametrize("send", [as_body, as_file, as_json])
def test_an_inventory_is_imported(client, send):
    answer = send(client, GOOD)
    assert answer.status_code == 200
    report = answer.json()
    assert (report["created"], report["written"], report["dry_run"]) == (2, True, False)
    assert report["rows"][1]["changes"]["tags"] == {"old": None, "new": ["core", "edge"]}
    assert Device.objects.count() == 2


@pytest.mark.parametrize("send", [as_body, as_file, as_json])
def test_wrong_rows_stop_the_import(client, send):
    answer = send(client, BAD)
    assert answer.status_code == 422
    body = answer.json()
    assert body["detail"] == "1 created, 0 updated, 0 unchanged, 1 wrong. Nothing was written, because a row is wrong."
    assert any("did you mean 'cisco_ios'" in message for message in body["errors"]["line 3"])
    assert (body["report"]["errors"], body["report"]["written"]) == (1, False)
    assert not Device.objects.exists()


@pytest.mark.parametrize(
    "send",
    [
        lambda client: as_body(client, BAD, "?skip_errors=true"),
        lambda client: as_file(client, BAD, skip_errors="true"),
        lambda client: as_json(client, BAD, skip_errors=True),
    ],
)
def test_wrong_rows_are_left_out_when_asked(client, send):
    answer = send(client)
    assert answer.status_code == 200
    assert (answer.json()["created"], answer.json()["errors"], answer.json()["written"]) == (1, 1, True)
    assert [device.name for device in Device.objects.all()] == ["sw1"]


@pytest.mark.parametrize(
    "send",
    [
        lambda client: as_body(client, GOOD, "?dry_run=1"),
        lambda client: as_file(client, GOOD, dry_run="true"),
        lambda client: as_json(client, GOOD, dry_run=True),
    ],
)
def test_a_dry_run_reports_and_writes_nothing(client, send):
    answer = send(client)
    assert answer.status_code == 200
    assert (answer.json()["created"], answer.json()["dry_run"], answer.json()["written"]) == (2, True, False)
    assert not Device.objects.exists()


def test_a_dry_run_over_wrong_rows_says_so_by_its_status(client):
    assert as_body(client, BAD, "?dry_run=true").status_code == 422


def test_a_file_with_a_wrong_header_is_refused_as_a_whole(client):
    answer = as_body(client, "hostname,address\nsw1,10.0.0.1\n")
    assert answer.status_code == 400
    assert "header" in answer.json()["errors"]["file"][0]


def test_a_file_in_another_encoding_is_refused(client):
    answer = client.post("/api/v1/devices/import/", GOOD.encode("utf-16"), content_type="text/csv; charset=utf-16")
    assert answer.status_code == 400


@pytest.mark.parametrize("body", [{}, {"csv": GOOD, "dryrun": True}, {"csv": GOOD, "dry_run": "perhaps"}, [GOOD]])
def test_an_import_that_was_not_understood_writes_nothing(client, body):
    assert post(client, body, "devices/import/").status_code == 400
    assert not Device.objects.exists()


def test_an_import_refuses_parameters_that_it_does_not_know(client):
    assert as_body(client, GOOD, "?dryrun=true").status_code == 400
    assert not Device.objects.exists()


def test_the_report_of_an_import_is_the_one_of_the_command(client, tmp_path, capsys):
    from django.core.management import call_command

    path = tmp_path / "devices.csv"
    path.write_text(GOOD)
    call_command("import_devices", str(path), "--dry-run", "--json")
    assert json.loads(capsys.readouterr().out) == as_body(client, GOOD, "?dry_run=true").json()
