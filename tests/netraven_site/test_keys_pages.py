"""Encryption keys on their page and in the API: who sees what, and that every step asks first."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from credentials import keyring, keys
from credentials.key_readers import KeyReader
from credentials.key_rotation import rows_by_key
from jobs.models import Run
from netraven_site.security import sign_ins
from tests.credentials.sealed import make
from tests.netraven_site.api_helpers import client_with
from tests.netraven_site.pages import administrator, body, list_of, staff_with

pytestmark = pytest.mark.django_db
VIEW = "credentials.view_keyreader"
PAGE = "credentials_keyreader"


@pytest.fixture(autouse=True)
def path(tmp_path, settings, monkeypatch):
    monkeypatch.delenv(keyring.JSON_VARIABLE, raising=False)
    monkeypatch.setattr(keyring, "CHECK_INTERVAL_S", 0.05)
    settings.NETRAVEN_KEYRING_PATH = tmp_path / "keyring.json"
    keyring.create(settings.NETRAVEN_KEYRING_PATH)
    return settings.NETRAVEN_KEYRING_PATH


@pytest.fixture
def recent(monkeypatch):
    """As if the password had been typed a moment ago."""
    from netraven_site.security import recent

    monkeypatch.setattr(recent, "is_recent", lambda request: True)


def active():
    keyring.current().refresh()
    return keyring.current().active_id


def step(name, *args):
    return reverse(f"admin:{PAGE}_{name}", args=args)


def test_the_page_shows_keys_rows_readers_and_no_key(path):
    make()
    new = keys.add()
    KeyReader.objects.create(host="far", part="worker", keys=[active()], active=active(), at=timezone.now())
    page = body(staff_with(VIEW).get(list_of(PAGE)))
    assert active() in page
    assert new in page
    assert "not worker on far" in page
    from tests.credentials.sealed import document_of

    for entry in document_of(path)["keys"]:
        assert entry["key"] not in page


def test_the_page_needs_the_right_to_look():
    assert staff_with("credentials.view_credential").get(list_of(PAGE)).status_code == 403


def test_an_auditor_sees_no_buttons_and_may_do_nothing():
    client = staff_with(VIEW)
    new = keys.add()
    page = body(client.get(list_of(PAGE)))
    assert step("activate", new) not in page
    assert step("rotate") not in page
    for address in (step("add"), step("activate", new), step("retire", new), step("rotate")):
        assert client.get(address).status_code == 403
    assert len(keyring.current().ids) == 2


def test_nothing_is_done_before_it_is_confirmed(recent):
    client = staff_with(keys.MANAGE, "jobs.run_job")
    before, new = active(), keys.add()
    for address in (step("add"), step("activate", new), step("retire", new), step("rotate")):
        assert client.get(address).status_code == 200
        assert client.post(address).status_code == 200
    assert (active(), len(keyring.current().ids), Run.objects.count()) == (before, 2, 0)


@pytest.mark.parametrize("name", ["add", "rotate"])
def test_a_step_asks_for_the_password_again(name, monkeypatch):
    client = staff_with(keys.MANAGE, "jobs.run_job")
    user = User.objects.get(username="nils")
    user.set_password("his own password")
    user.save()
    client.force_login(user)
    monkeypatch.setattr(sign_ins, "is_recent", lambda request: False)
    from netraven_site.security import recent

    monkeypatch.setattr(recent, "is_recent", lambda request: False)
    answer = client.post(step(name), {"confirmed": "yes"})
    assert "Type your password again" in body(answer)
    assert (len(keyring.current().ids), Run.objects.count()) == (1, 0)


@pytest.mark.django_db(transaction=True)
def test_the_life_of_a_key_on_the_page(recent):
    make()
    client = administrator()
    before = active()
    said = {"confirmed": "yes"}
    client.post(step("add"), said)
    keyring.current().refresh()
    (new,) = set(keyring.current().ids) - {before}
    client.post(step("activate", new), said)
    assert active() == new
    assert "Not all under the active key" in body(client.get(list_of(PAGE)))
    answer = client.post(step("retire", before), said, follow=True)
    assert "still sealed with the key" in body(answer)
    client.post(step("rotate"), said)
    run = Run.objects.get()
    assert run.kind == "key_rotation"
    page = body(client.get(list_of(PAGE)))
    assert f"run #{run.pk}" in page
    keys.rotate()
    Run.objects.update(status="succeeded")
    assert rows_by_key() == {new: 1}
    client.post(step("retire", before), said)
    keyring.current().refresh()
    assert keyring.current().ids == (new,)
    page = body(client.get(list_of(PAGE)))
    assert "All under the active key" in page
    assert "Key retired" in page


def test_a_key_that_a_live_host_does_not_read_is_refused_on_the_page_too(recent):
    before, new = active(), keys.add()
    KeyReader.objects.create(host="far", part="worker", keys=[before], at=timezone.now())
    answer = administrator().post(step("activate", new), {"confirmed": "yes"}, follow=True)
    assert "worker on far cannot read" in body(answer).replace("Worker", "worker")
    assert active() == before


def test_the_estimate_is_what_is_left_at_the_pace_so_far():
    from datetime import timedelta

    from netraven_site.panels.keys import _to_go

    run = Run(started_at=timezone.now() - timedelta(seconds=10), summary={"done": 100, "left": 600})
    assert _to_go(run) in ("1 min", "1 min 0 s", "60.0 s")
    assert _to_go(Run(started_at=timezone.now(), summary={})) == ""


def test_an_unusable_keyring_is_said_on_the_page(path):
    client = staff_with(VIEW)
    keyring.forget()
    path.unlink()
    assert "There is no keyring at" in body(client.get(list_of(PAGE)))


def test_where_the_keyring_cannot_be_changed_the_page_says_how_it_is_done(monkeypatch, path):
    client = staff_with(keys.MANAGE)
    new = keys.add()
    assert step("activate", new) in body(client.get(list_of(PAGE)))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(path.parent))
    page = body(client.get(list_of(PAGE)))
    assert "Copy the keyring to a file of your own" in page
    assert step("activate", new) not in page
    assert step("add") not in page


# --- API ---


def test_the_api_lists_keys_and_never_one_itself(path):
    make()
    answer = client_with(VIEW).get("/api/v1/keys/")
    (key,) = answer.json()["results"]
    assert (key["id"], key["active"], key["rows"]) == (active(), True, 1)
    assert set(key) == {"id", "active", "rows", "created", "held", "read_by", "not_read_by"}


def test_the_api_needs_the_right_to_look_and_changes_nothing():
    assert client_with("credentials.view_credential").get("/api/v1/keys/").status_code == 403
    client = client_with(VIEW, keys.MANAGE, name="petra")
    for method in (client.post, client.put, client.patch, client.delete):
        assert method("/api/v1/keys/").status_code == 405
