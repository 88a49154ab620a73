"""Errors of the API: one shape, the right status, and nothing that nobody should see."""

import json
import logging

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, InternalError, OperationalError, connection
from django.db.models import ProtectedError
from rest_framework.test import APIClient

from credentials import exceptions as credential_errors
from credentials.models import Credential
from devices.models import Device
from netraven_site.api.errors import error_body
from tests.netraven_site.api_helpers import admin_client, make_device

pytestmark = pytest.mark.django_db

DEVICE = {"name": "sw1", "host": "10.0.0.1", "platform": "cisco_ios"}
CREDENTIAL = {"name": "team", "password": "Canary-77", "tags": ["core"]}


@pytest.fixture
def client():
    client = admin_client()
    client.raise_request_exception = False
    return client


def raising(monkeypatch, where, error):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(where, fail)


def sent(client, body, content_type="application/json", where="devices/"):
    return client.post(f"/api/v1/{where}", body, content_type=content_type)


# --- the shape ---


@pytest.mark.parametrize(
    ("detail", "body"),
    [
        ("Gone.", {"detail": "Gone.", "errors": {}}),
        (["One.", "Two."], {"detail": "One. Two.", "errors": {}}),
        ({"port": ["Wrong."]}, {"detail": "Not accepted: port.", "errors": {"port": ["Wrong."]}}),
        ({"non_field_errors": ["No."], "a": ["b"]}, {"detail": "No.", "errors": {"a": ["b"]}}),
        ({"__all__": ["No."]}, {"detail": "No.", "errors": {}}),
        ({"tags": {1: ["Blank."]}}, {"detail": "Not accepted: tags.", "errors": {"tags": ["item 2: Blank."]}}),
        ({"p": {"core": ["No."]}}, {"detail": "Not accepted: p.", "errors": {"p": ["core: No."]}}),
        ({"port": "Wrong."}, {"detail": "Not accepted: port.", "errors": {"port": ["Wrong."]}}),
    ],
)
def test_every_detail_takes_the_one_shape(detail, body):
    assert error_body(detail) == body


@pytest.mark.parametrize(
    "body",
    ["{", '{"name": }', "[1, 2]", '"text"', "null", "", "NaN", '{"a": ' * 5000, b"\xff\xfe", b'{"name": "\xff"}'],
)
def test_a_body_that_is_no_object_is_a_400_in_the_one_shape(client, body):
    answer = sent(client, body)
    assert answer.status_code == 400
    assert set(answer.json()) == {"detail", "errors"}


def test_a_body_that_is_too_large_is_not_read(client, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    answer = sent(client, json.dumps({**DEVICE, "description": "x" * 2000}))
    assert answer.status_code == 413
    assert "1000 bytes" in answer.json()["detail"]


def test_a_body_in_another_format_is_a_415(client):
    answer = sent(client, "<name>sw1</name>", "application/xml")
    assert answer.status_code == 415
    assert set(answer.json()) == {"detail", "errors"}


@pytest.mark.parametrize("field", ["\ud800", "x" * 5000])
def test_an_unknown_field_is_named_whatever_it_is_called(client, field):
    answer = sent(client, json.dumps({**DEVICE, field: 1}))
    assert answer.status_code == 400
    assert len(answer.content) < 1000


def test_a_quoted_value_is_cut(client):
    answer = sent(client, json.dumps({**DEVICE, "transport": "\ud800" + "x" * 50_000}))
    assert answer.status_code == 400
    assert len(answer.content) < 5000


def test_an_answer_in_a_format_that_there_is_not_is_a_406(client):
    answer = client.get("/api/v1/devices/", HTTP_ACCEPT="text/html")
    assert answer.status_code == 406
    assert set(answer.json()) == {"detail", "errors"}


def test_a_format_that_there_is_not_is_a_400_that_names_the_others(client):
    answer = client.get("/api/v1/devices/?format=xml")
    assert answer.status_code == 400
    assert answer.json()["errors"] == {"format": ["There is no such format here. There is: json."]}


def test_there_is_no_browsable_page(client):
    answer = client.get("/api/v1/devices/", HTTP_ACCEPT="text/html,application/xhtml+xml,*/*;q=0.8")
    assert answer["Content-Type"] == "application/json"


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options"])
def test_a_method_that_is_not_served_is_a_405(client, method):
    answer = getattr(client, method)("/api/v1/versions/")
    assert answer.status_code == 405
    assert set(answer.json()) == {"detail", "errors"}


# --- addresses ---


@pytest.mark.parametrize("path", ["nothing/", "devices/1/nothing/", "devices/sw1/", "nothing"])
def test_an_unknown_address_is_a_404_in_the_one_shape(client, path):
    for signed in (client, APIClient()):
        answer = signed.get(f"/api/v1/{path}")
        assert answer.status_code == 404
        assert answer.json()["detail"].startswith("There is nothing at this address.")


def test_a_reader_who_forgot_the_last_slash_is_sent_on(client):
    answer = client.get("/api/v1/devices?site=ZRH")
    assert (answer.status_code, answer["Location"]) == (301, "/api/v1/devices/?site=ZRH")


def test_a_writer_who_forgot_the_last_slash_is_told(client):
    answer = client.post("/api/v1/devices", DEVICE, format="json")
    assert (answer.status_code, answer.json()["detail"]) == (
        404,
        "There is nothing at this address. Every address ends with a slash.",
    )


def test_the_root_names_the_lists(client):
    assert set(client.get("/api/v1/").json()) == {
        "devices",
        "facts",
        "platforms",
        "retention-rules",
        "keys",
        "audit",
        "kinds",
        "concurrency-limits",
        "maintenance-windows",
        "credentials",
        "host-keys",
        "held-accounts",
        "jobs",
        "runs",
        "versions",
        "saved-searches",
        "incomplete-outputs",
        "attempts",
    }


# --- what the layers below refuse ---


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (IntegrityError("UNIQUE constraint failed: devices_device.name"), 409, "look again"),
        (OperationalError("attempt to write a readonly database"), 503, "read-only"),
        (InternalError("cannot execute UPDATE in a read-only transaction"), 503, "read-only"),
        (OperationalError("database is locked"), 503, "busy"),
        (OperationalError("database or disk is full"), 503, "full"),
        (OperationalError("could not connect to server at 10.9.8.7"), 503, "does not answer"),
        (ValidationError({"port": "Wrong."}), 400, "port"),
        (ValidationError("Not today."), 400, "Not today."),
    ],
)
def test_a_refusal_from_below_has_its_status(client, monkeypatch, error, code, words):
    raising(monkeypatch, "devices.models.Device.save", error)
    answer = client.post("/api/v1/devices/", DEVICE, format="json")
    assert answer.status_code == code
    assert words in answer.json()["detail"]
    assert "UNIQUE" not in answer.content.decode()
    assert "10.9.8.7" not in answer.content.decode()
    assert answer.has_header("Retry-After") == (code == 503)


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "sqlite", reason="PRAGMA query_only is SQLite's")
def test_a_database_that_cannot_be_written_is_still_read():
    make_device()
    client = admin_client()
    body = {**DEVICE, "name": "sw2"}
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA query_only = 1")
        try:
            assert client.get("/api/v1/devices/").json()["count"] == 1
            refused = client.post("/api/v1/devices/", body, format="json")
        finally:
            cursor.execute("PRAGMA query_only = 0")
    assert refused.status_code == 503
    assert "read-only" in refused.json()["detail"]
    assert client.post("/api/v1/devices/", body, format="json").status_code == 201


def test_a_database_that_is_read_only_fails_an_import_in_the_same_way(client, monkeypatch):
    raising(
        monkeypatch,
        "devices.inventory.importer.bulk_create_with_history",
        OperationalError("attempt to write a readonly database"),
    )
    answer = sent(client, "name,host,port,platform,tags\nsw1,10.0.0.1,22,cisco_ios,\n", "text/csv", "devices/import/")
    assert answer.status_code == 503
    assert not Device.objects.exists()


def test_what_others_still_need_is_not_deleted(client, monkeypatch):
    device, other = make_device(), make_device("sw2")
    raising(monkeypatch, "devices.services.Collector.collect", ProtectedError("no", {other}))
    answer = client.delete(f"/api/v1/devices/{device.pk}/")
    assert answer.status_code == 409
    assert answer.json()["detail"] == "This is still used by device sw2. Nothing was deleted."


def test_a_keyring_that_is_gone_is_a_503_that_says_what_to_do(client, settings, tmp_path):
    settings.NETRAVEN_KEYRING_PATH = tmp_path / "gone.json"
    answer = client.post("/api/v1/credentials/", CREDENTIAL, format="json")
    assert answer.status_code == 503
    assert "keyring" in answer.json()["detail"]
    assert "Canary-77" not in answer.content.decode()
    assert not Credential.objects.exists()


def test_a_secret_that_cannot_be_written_is_a_400(client, monkeypatch):
    raising(
        monkeypatch,
        "netraven_site.api.serializers.credentials.create_credential",
        credential_errors.SecretNotWritable("password was given the stored form of a secret."),
    )
    assert client.post("/api/v1/credentials/", CREDENTIAL, format="json").status_code == 400


# --- our own faults ---


def test_our_own_fault_is_a_500_with_a_reference_and_no_more(client, monkeypatch, caplog, settings):
    settings.DEBUG = True
    raising(monkeypatch, "devices.models.Device.save", RuntimeError("internal words"))
    answer = client.post("/api/v1/devices/", DEVICE, format="json")
    assert answer.status_code == 500
    detail = answer.json()["detail"]
    assert "Traceback" not in answer.content.decode()
    assert "internal words" not in detail
    reference = detail.split("reference ")[1].split()[0]
    assert any(reference in record.getMessage() for record in caplog.records)
    assert "internal words" in caplog.text


def test_our_own_fault_beside_a_secret_is_logged_without_its_words(client, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    raising(
        monkeypatch,
        "netraven_site.api.serializers.credentials.create_credential",
        RuntimeError("could not do it with Canary-77"),
    )
    answer = client.post("/api/v1/credentials/", CREDENTIAL, format="json")
    assert answer.status_code == 500
    assert "Canary-77" not in answer.content.decode()
    assert "RuntimeError" in caplog.text
    assert "in create" in caplog.text
    assert "Canary-77" not in caplog.text
