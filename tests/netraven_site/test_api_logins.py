"""The API around logins: testing a credential, releasing with a reason, known_hosts, many devices at once."""

from __future__ import annotations

from typing import Any

import pytest

from credentials.models import GuardRelease, RememberedRejection
from credentials.services import update_credential
from devices.choices import HostKeyState
from devices.models import Device, HostKey
from jobs.choices import ResultStatus
from jobs.models import Result, Run
from tests.netraven_site.api_helpers import (
    admin_client,
    client_with,
    hold_account,
    make_attempt,
    make_credential,
    make_device,
    make_run,
)

pytestmark = pytest.mark.django_db
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGNnn0RTOJpEPOKZFVhxF5Jr1KW6KhQO8Vl1OSQ8lTHq"


@pytest.fixture
def client():
    return admin_client()


def post(client: Any, where: str, **body: Any) -> Any:
    return client.post(f"/api/v1/{where}", body, format="json")


# --- tests of a credential --------------------------------------------------------------------------
def test_a_credential_is_tested_on_the_named_devices(client):
    credential = make_credential()
    make_device("sw1"), make_device("sw2"), make_device("sw3", tags=("edge",))
    answer = post(client, f"credentials/{credential.pk}/test/", devices=["sw1"], tags=["edge"])
    assert answer.status_code == 201
    run = Run.objects.get(pk=answer.json()["id"])
    assert (run.kind, run.trigger, run.parameters) == ("credential_test", "api", {"credential": "team"})
    assert sorted(run.results.values_list("device_name", flat=True)) == ["sw1", "sw3"]


def test_without_a_word_on_devices_a_small_sample_is_tested(client):
    credential = make_credential()
    for number in range(9):
        make_device(f"sw{number}")
    assert post(client, f"credentials/{credential.pk}/test/").json()["device_count"] == 5


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"devices": ["nothing"]}, 400, "There is no device 'nothing'"),
        ({"tags": ["nothing"]}, 400, "There is no tag nothing"),
        ({"devices": []}, 400, "Empty"),
        ({"sample": 0}, 400, "greater than or equal to 1"),
        ({"sample": "x"}, 400, "integer"),
        ({"devices": ["sw1"], "sample": 1}, 400, "give one of them"),
        ({"devices": ["off"]}, 400, "off is disabled"),
        ({"device": ["sw1"]}, 400, "Did you mean devices?"),
    ],
)
def test_a_wrong_test_is_refused_and_starts_nothing(client, body, status, words):
    credential = make_credential()
    make_device("sw1")
    Device.objects.filter(pk=make_device("off").pk).update(enabled=False)
    answer = post(client, f"credentials/{credential.pk}/test/", **body)
    assert answer.status_code == status
    assert words in answer.content.decode().replace('\\"', '"')
    assert not Run.objects.exists()


def test_a_disabled_credential_and_one_without_devices_are_a_conflict(client):
    credential = make_credential()
    alone = post(client, f"credentials/{credential.pk}/test/")
    assert (alone.status_code, "matches no enabled device" in alone.json()["detail"]) == (409, True)
    make_device("sw1")
    update_credential(credential, enabled=False)
    off = post(client, f"credentials/{credential.pk}/test/")
    assert (off.status_code, "disabled" in off.json()["detail"]) == (409, True)
    assert not Run.objects.exists()


def test_testing_needs_the_right_to_run_jobs():
    credential = make_credential()
    client = client_with("credentials.view_credential", "credentials.change_credential")
    assert post(client, f"credentials/{credential.pk}/test/").status_code == 403


def test_the_results_of_a_test_say_login_and_enable(client):
    credential, device = make_credential(), make_device("half")
    run = make_run(kind="credential_test", parameters={"credential": "team"})
    for name, outcome, data in (
        ("good", "success", {"login": True, "enable": True}),
        ("wrong", "rejected", {}),
        ("half", "enable_rejected", {}),
    ):
        row = device if name == "half" else make_device(name)
        Result.objects.create(
            run=run, device=row, device_name=name, status=ResultStatus.DONE, outcome=outcome, data=data
        )
    make_attempt(device, credential, run=run, outcome="enable_rejected")
    found = client.get(f"/api/v1/runs/{run.pk}/results/").json()["results"]
    assert {row["device_name"]: (row["login"], row["enable"]) for row in found} == {
        "good": (True, True),
        "wrong": (False, None),
        "half": (True, False),
    }


def test_the_results_of_other_runs_say_nothing_of_it(client):
    run = make_run(make_device())
    [row] = client.get(f"/api/v1/runs/{run.pk}/results/").json()["results"]
    assert (row["login"], row["enable"]) == (None, None)


# --- what may not be meant --------------------------------------------------------------------------
def test_a_second_credential_of_the_same_account_is_made_and_pointed_out(client):
    make_credential()
    body = {"name": "second", "username": "netops", "password": "p", "tags": ["core"]}
    answer = client.post("/api/v1/credentials/", body, format="json")
    assert answer.status_code == 201
    assert any("'team' has the same user name and scope" in note for note in answer.json()["notes"])


# --- held accounts and releases ---------------------------------------------------------------------
def test_a_candidate_whose_account_is_held_says_so_and_until_when(client):
    credential, device = make_credential(), make_device()
    hold_account(credential, device)
    RememberedRejection.objects.all().delete()
    [row] = client.get(f"/api/v1/devices/{device.pk}/candidates/").json()["results"]
    assert (row["order"], row["skipped"]) == (1, "")
    assert "3 of 3 rejections" in row["held"]
    assert row["held_until"] == client.get("/api/v1/held-accounts/").json()["results"][0]["until"]


def test_a_candidate_that_would_be_skipped_has_no_place_in_the_order(client):
    device = make_device(transport="telnet", port=23)
    make_credential()
    [row] = client.get(f"/api/v1/devices/{device.pk}/candidates/").json()["results"]
    assert row["order"] is None


def test_a_release_keeps_its_reason(client):
    credential, device = make_credential(), make_device()
    hold_account(credential, device)
    answer = post(client, f"credentials/{credential.pk}/release/", reason="corrected")
    assert answer.json()["accounts"] == ["netops in AAA domain default"]
    assert [(row.by, row.reason) for row in GuardRelease.objects.all()] == [("root", "corrected")]


def test_releasing_a_credential_needs_its_right():
    credential, device = make_credential(), make_device()
    hold_account(credential, device)
    client = client_with("credentials.view_credential", "credentials.change_credential")
    assert post(client, f"credentials/{credential.pk}/release/").status_code == 403
    assert not GuardRelease.objects.exists()


# --- known_hosts ------------------------------------------------------------------------------------
def test_known_hosts_are_previewed_and_pinned(client):
    make_device("sw1", host="10.0.0.1")
    text = f"10.0.0.1 {KEY}\n10.9.9.9 {KEY}\n"
    preview = post(client, "host-keys/import/", known_hosts=text, dry_run=True).json()
    assert [(key["device"], key["action"]) for key in preview["keys"]] == [("sw1", "pinned")]
    assert [line["line"] for line in preview["unmatched"]] == [2]
    assert not HostKey.objects.exists()
    assert post(client, "host-keys/import/", known_hosts=text).status_code == 200
    assert HostKey.objects.get().state == HostKeyState.PINNED


def test_what_is_no_known_hosts_file_is_named_at_its_field(client):
    answer = post(client, "host-keys/import/", known_hosts="nonsense")
    assert answer.status_code == 400
    assert "holds no host key" in answer.json()["errors"]["known_hosts"][0]


# --- devices ----------------------------------------------------------------------------------------
def test_every_wrong_field_of_a_device_is_named_at_once(client):
    answer = post(client, "devices/", name="a/b", host="300.1.1.1", platform="cisco", port=0)
    assert answer.status_code == 400
    assert set(answer.json()["errors"]) == {"name", "host", "platform", "port"}
    assert "did you mean 'cisco_ios'" in answer.json()["errors"]["platform"][0]


def test_many_devices_are_changed_with_one_request(client):
    for name in ("sw1", "sw2", "sw3"):
        make_device(name)
    assert post(client, "devices/many/", devices=["sw1", "sw2"], change="disable").json() == {"changed": 2}
    assert post(client, "devices/many/", devices=["sw1", "sw3"], change="disable").json() == {"changed": 1}
    post(client, "devices/many/", devices=["sw1"], change="enable")
    post(client, "devices/many/", devices=["sw1", "sw2"], change="add_tags", tags=["new"])
    assert list(Device.objects.filter(enabled=True).values_list("name", flat=True)) == ["sw1"]
    assert list(Device.objects.filter(tags__name="new").values_list("name", flat=True)) == ["sw1", "sw2"]
    assert Device.objects.get(name="sw1").history.latest().history_user.username == "root"
    removed = post(client, "devices/many/", devices=["sw1", "sw3"], change="remove_tags", tags=["new"])
    assert removed.json() == {"changed": 1}
    assert list(Device.objects.filter(tags__name="new").values_list("name", flat=True)) == ["sw2"]
    assert post(client, "devices/many/", devices=["sw1", "sw2"], change="delete").json() == {"changed": 2}
    assert list(Device.objects.values_list("name", flat=True)) == ["sw3"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"devices": [], "change": "enable"}, "devices"),
        ({"devices": ["sw1", "nothing"], "change": "disable"}, "devices"),
        ({"devices": ["sw1"], "change": "explode"}, "change"),
        ({"devices": ["sw1"], "change": "add_tags"}, "tags"),
        ({"devices": ["sw1"], "change": "remove_tags"}, "tags"),
        ({"devices": ["sw1"], "change": "remove_tags", "tags": ["nothing"]}, "tags"),
        ({"devices": ["sw1"], "change": "disable", "tags": ["a"]}, "tags"),
        ({"devices": ["sw1"], "change": "add_tags", "tags": ["a,b"]}, "tags"),
    ],
)
def test_a_wrong_change_of_many_changes_none(client, body, field):
    make_device("sw1")
    answer = post(client, "devices/many/", **body)
    assert answer.status_code == 400
    assert set(answer.json()["errors"]) == {field}
    assert Device.objects.get().enabled


def test_deleting_many_needs_the_right_to_delete():
    make_device("sw1")
    client = client_with("devices.view_device", "devices.change_device")
    assert post(client, "devices/many/", devices=["sw1"], change="disable").status_code == 200
    assert post(client, "devices/many/", devices=["sw1"], change="delete").status_code == 403
    assert Device.objects.exists()
