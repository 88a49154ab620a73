"""The API's door: who is let in, what they may do, and under whose name it is remembered."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.db import OperationalError
from django.utils import timezone
from rest_framework.test import APIClient

from devices.models import Device
from netraven_site.models import ApiToken
from tests.netraven_site.api_helpers import (
    admin_client,
    client_with,
    make_credential,
    make_device,
    make_job,
    make_key,
    make_run,
    token_client,
    user_with,
)

pytestmark = pytest.mark.django_db

LISTS = {
    "devices": "devices.view_device",
    "credentials": "credentials.view_credential",
    "host-keys": "devices.view_hostkey",
    "held-accounts": "credentials.view_guardaccount",
    "jobs": "jobs.view_job",
    "runs": "jobs.view_run",
    "versions": "devices.view_configversion",
    "platforms": "devices.view_platformoverride",
    "attempts": "jobs.view_attempt",
    "kinds": "jobs.view_job",
    "maintenance-windows": "jobs.view_maintenancewindow",
    "concurrency-limits": "jobs.view_concurrencylimit",
}


def sent(text: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=text)
    return client


# --- who is let in ---


@pytest.mark.parametrize("where", ["", *(f"{name}/" for name in LISTS), "me/", "schema/"])
def test_nobody_reads_without_signing_in(where):
    answer = APIClient().get(f"/api/v1/{where}")
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Token"
    assert answer.json() == {"detail": "Authentication credentials were not provided.", "errors": {}}


@pytest.mark.parametrize("word", ["Token", "Bearer", "bearer"])
def test_a_token_is_taken_with_either_word(word):
    _, text = ApiToken.issue(user_with())
    assert sent(f"{word} {text}").get("/api/v1/me/").json()["username"] == "olga"


@pytest.mark.parametrize(
    "text", ["Token wrong", "Token", "Token two words", "Token \xff", "Token " + "x" * 300, "Bearer wrong"]
)
def test_a_bad_token_is_refused(text):
    answer = sent(text).get("/api/v1/me/")
    assert answer.status_code == 401
    assert "oken" in answer.json()["detail"]


def test_an_expired_token_is_refused():
    _, text = ApiToken.issue(user_with(), expires_at=timezone.now() - timedelta(seconds=1))
    assert sent(f"Token {text}").get("/api/v1/me/").status_code == 401


def test_the_token_of_a_disabled_user_is_refused():
    _, text = ApiToken.issue(user_with(is_active=False))
    assert sent(f"Token {text}").get("/api/v1/me/").status_code == 401


def test_a_bad_token_is_refused_even_beside_a_good_session():
    client = APIClient()
    client.force_login(user_with())
    assert client.get("/api/v1/me/", HTTP_AUTHORIZATION="Token wrong").status_code == 401


def test_a_token_remembers_when_it_was_used():
    client = token_client(user_with())
    client.get("/api/v1/me/")
    assert ApiToken.objects.get().last_used_at is not None


def test_a_token_still_reads_when_its_use_cannot_be_noted(monkeypatch):
    def refuse(self, **changes):
        raise OperationalError("attempt to write a readonly database")

    client = token_client(user_with())
    monkeypatch.setattr("django.db.models.query.QuerySet.update", refuse)
    assert client.get("/api/v1/me/").status_code == 200


def test_a_session_reads():
    client = APIClient()
    client.force_login(user_with("devices.view_device"))
    assert client.get("/api/v1/devices/").status_code == 200


def test_a_session_writes_only_with_the_csrf_token():
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(user_with("devices.add_device"))
    body = {"name": "sw1", "host": "10.0.0.1", "platform": "cisco_ios"}
    refused = client.post("/api/v1/devices/", body, format="json")
    assert refused.status_code == 403
    assert "CSRF" in refused.json()["detail"]
    client.cookies["csrftoken"] = "a" * 32
    assert client.post("/api/v1/devices/", body, format="json", HTTP_X_CSRFTOKEN="a" * 32).status_code == 201


def test_a_token_writes_without_a_csrf_token():
    _, text = ApiToken.issue(user_with("devices.add_device"))
    client = APIClient(enforce_csrf_checks=True)
    client.credentials(HTTP_AUTHORIZATION=f"Token {text}")
    body = {"name": "sw1", "host": "10.0.0.1", "platform": "cisco_ios"}
    assert client.post("/api/v1/devices/", body, format="json").status_code == 201


# --- what they may do ---


@pytest.mark.parametrize(("name", "permission"), LISTS.items())
def test_reading_needs_the_permission_to_view(name, permission):
    refused = client_with(name="without").get(f"/api/v1/{name}/")
    assert refused.status_code == 403
    assert permission in refused.json()["detail"]
    assert client_with(permission, name="with").get(f"/api/v1/{name}/").status_code == 200


@pytest.mark.parametrize(
    ("where", "permissions"),
    [
        ("devices/{d}/candidates/", ["devices.view_device", "credentials.view_credential"]),
        ("devices/{d}/versions/", ["devices.view_device", "devices.view_configversion"]),
        ("devices/{d}/attempts/", ["devices.view_device", "jobs.view_attempt"]),
        ("devices/{d}/host-keys/", ["devices.view_device", "devices.view_hostkey"]),
        ("credentials/{c}/devices/", ["credentials.view_credential", "devices.view_device"]),
        ("runs/{r}/results/", ["jobs.view_run", "jobs.view_result"]),
    ],
)
def test_a_list_below_a_row_needs_the_permissions_for_both(where, permissions):
    device = make_device()
    address = "/api/v1/" + where.format(d=device.pk, c=make_credential().pk, r=make_run(device).pk)
    for number, missing in enumerate(permissions):
        rest = [name for name in permissions if name != missing]
        assert client_with(*rest, name=f"u{number}").get(address).status_code == 403
    assert client_with(*permissions, name="both").get(address).status_code == 200


@pytest.mark.parametrize(
    ("method", "verb", "code"),
    [("post", "add", 201), ("put", "change", 200), ("patch", "change", 200), ("delete", "delete", 204)],
)
def test_each_way_of_writing_needs_its_own_permission(method, verb, code):
    device = make_device()
    address = "/api/v1/devices/" if method == "post" else f"/api/v1/devices/{device.pk}/"
    body = {"name": "other", "host": "10.0.0.9", "platform": "cisco_ios"}
    others = [f"devices.{each}_device" for each in ("view", "add", "change", "delete") if each != verb]
    refused = getattr(client_with(*others, name="a"), method)(address, body, format="json")
    assert refused.status_code == 403
    allowed = getattr(client_with(f"devices.{verb}_device", name="b"), method)(address, body, format="json")
    assert allowed.status_code == code


@pytest.mark.parametrize(
    ("where", "view", "needed", "body", "code"),
    [
        ("devices/{d}/backup/", ["devices.view_device"], "jobs.run_job", {}, 201),
        ("jobs/{j}/run/", ["jobs.view_job"], "jobs.run_job", {}, 201),
        ("runs/", ["jobs.view_run", "jobs.add_run"], "jobs.run_job", {"kind": "backup"}, 201),
        ("runs/{r}/cancel/", ["jobs.view_run", "jobs.change_run"], "jobs.run_job", {}, 409),
        ("runs/{r}/pause/", ["jobs.view_run", "jobs.change_run"], "jobs.run_job", {}, 409),
        ("runs/{r}/resume/", ["jobs.view_run", "jobs.change_run"], "jobs.run_job", {}, 409),
        ("runs/{r}/retry/", ["jobs.view_run", "jobs.add_run"], "jobs.run_job", {}, 409),
        (
            "host-keys/{k}/approve/",
            ["devices.view_hostkey", "devices.change_hostkey"],
            "devices.approve_hostkey",
            {"fingerprint": "SHA256:new"},
            200,
        ),
        ("host-keys/{k}/reject/", ["devices.view_hostkey"], "devices.approve_hostkey", {}, 200),
    ],
)
def test_an_action_needs_its_own_permission(where, view, needed, body, code):
    device = make_device()
    address = "/api/v1/" + where.format(
        d=device.pk, j=make_job(tags=("core",)).pk, r=make_run(device).pk, k=make_key(device).pk
    )
    refused = client_with(*view, name="a").post(address, body, format="json")
    assert refused.status_code == 403
    assert needed in refused.json()["detail"]
    assert client_with(*view, needed, name="b").post(address, body, format="json").status_code == code


def test_an_import_needs_the_permissions_to_add_and_to_change():
    data = "name,host,port,platform,tags\n"
    for number, alone in enumerate(["devices.add_device", "devices.change_device"]):
        client = client_with(alone, name=f"u{number}")
        assert client.post("/api/v1/devices/import/", data, content_type="text/csv").status_code == 403


def test_the_permissions_of_a_group_count():
    user = user_with()
    group = Group.objects.create(name="readers")
    group.permissions.set(user_with("devices.view_device", name="x").user_permissions.all())
    user.groups.add(group)
    assert token_client(user).get("/api/v1/devices/").status_code == 200


# --- me ---


def test_me_says_who_asks_and_what_they_may_do():
    user = user_with("devices.view_device", "jobs.run_job")
    user.groups.add(Group.objects.create(name="operators"))
    row, text = ApiToken.issue(user, name="laptop")
    answer = sent(f"Token {text}").get("/api/v1/me/")
    assert answer.json() == {
        "id": user.pk,
        "username": "olga",
        "is_superuser": False,
        "groups": ["operators"],
        "permissions": ["devices.view_device", "jobs.run_job"],
        "token": {"name": "laptop", "hint": row.hint, "scope": "write", "expires_at": None},
    }
    assert text not in answer.content.decode()


def test_me_has_no_token_in_a_session():
    client = APIClient()
    client.force_login(user_with())
    assert client.get("/api/v1/me/").json()["token"] is None


# --- under whose name ---


def test_the_history_names_the_user_of_the_token():
    client = client_with("devices.add_device", "devices.change_device")
    body = {"name": "sw1", "host": "10.0.0.1", "platform": "cisco_ios"}
    made = client.post("/api/v1/devices/", body, format="json").json()
    client.patch(f"/api/v1/devices/{made['id']}/", {"site": "ZRH"}, format="json")
    history = Device.objects.get().history.all()
    assert [row.history_user.username for row in history] == ["olga", "olga"]


def test_the_history_of_an_import_names_the_user_of_the_token():
    client = client_with("devices.add_device", "devices.change_device")
    data = "name,host,port,platform,tags\nsw1,10.0.0.1,22,cisco_ios,core\n"
    assert client.post("/api/v1/devices/import/", data, content_type="text/csv").status_code == 200
    assert Device.objects.get().history.get().history_user.username == "olga"


def test_the_history_of_credentials_and_jobs_names_the_user_of_the_token():
    client = admin_client()
    body = {"name": "team", "username": "netops", "password": "s3cret-value", "tags": ["core"]}
    assert client.post("/api/v1/credentials/", body, format="json").status_code == 201
    assert client.post("/api/v1/jobs/", {"name": "Nightly", "kind": "backup"}, format="json").status_code == 201
    from credentials.models import Credential
    from jobs.models import Job

    root = User.objects.get(username="root")
    assert Credential.objects.get().history.first().history_user == root
    assert Job.objects.get().history.first().history_user == root


def test_a_run_names_the_user_of_the_token():
    device = make_device()
    client = client_with("devices.view_device", "jobs.run_job")
    assert client.post(f"/api/v1/devices/{device.pk}/backup/").json()["requested_by_name"] == "olga"
