"""Credentials through the API: what goes in, what never comes out, and held accounts."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from credentials.models import Credential, CredentialTag, RememberedRejection
from tests.credentials.sealed import ANY
from tests.netraven_site.api_helpers import admin_client, hold_account, make_credential, make_device

pytestmark = pytest.mark.django_db

BODY = {"name": "team", "username": "netops", "password": "first-Secret", "tags": ["core"]}


@pytest.fixture
def client():
    return admin_client()


def post(client, body, where="credentials/"):
    # json escapes what is no valid Unicode, which the client itself would not send.
    return client.post(f"/api/v1/{where}", json.dumps(body), content_type="application/json")


def patch(client, credential, body):
    return client.patch(f"/api/v1/credentials/{credential.pk}/", body, format="json")


def opened(field="password"):
    secret = getattr(Credential.objects.get(), field)
    return secret.reveal(ANY) if secret else None


def private_key(passphrase: str | None = None) -> str:
    protection = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, protection).decode()


# --- what goes in ---


def test_a_credential_is_made_and_its_secrets_are_sealed(client):
    answer = post(client, {**BODY, "enable_secret": "second-Secret", "priority": 50})
    assert answer.status_code == 201
    made = answer.json()
    assert (made["priority"], made["scope"], made["tags"]) == (50, "central", ["core"])
    assert made["secrets_set"] == ["password", "enable secret"]
    assert (opened(), opened("enable_secret")) == ("first-Secret", "second-Secret")


def test_no_secret_field_is_in_a_response(client):
    made = post(client, BODY).json()
    assert not made.keys() & {"password", "enable_secret", "private_key", "passphrase", "clear"}


def test_a_secret_keeps_the_spaces_at_its_ends(client):
    post(client, {**BODY, "password": " spaced "})
    assert opened() == " spaced "


def test_a_user_name_may_be_empty(client):
    assert post(client, {**BODY, "username": ""}).status_code == 201


def test_a_private_key_is_taken_with_its_passphrase(client):
    body = {**BODY, "private_key": private_key("opens-It"), "passphrase": "opens-It"}
    del body["password"]
    answer = post(client, body)
    assert answer.status_code == 201
    assert answer.json()["secrets_set"] == ["private key", "passphrase"]


@pytest.mark.parametrize("body", [{}, {"password": ""}, {"description": "changed"}])
def test_an_absent_or_empty_secret_keeps_the_stored_one(client, body):
    credential = make_credential(password="first-Secret")
    answer = patch(client, credential, body)
    assert (answer.status_code, answer.json()["version"]) == (200, 1)
    assert opened() == "first-Secret"


def test_what_was_read_can_be_sent_back_and_keeps_the_secrets(client):
    credential = make_credential(password="first-Secret")
    address = f"/api/v1/credentials/{credential.pk}/"
    answer = client.put(address, {**client.get(address).json(), "priority": 7}, format="json")
    assert (answer.status_code, answer.json()["priority"]) == (200, 7)
    assert opened() == "first-Secret"


def test_a_new_secret_replaces_the_old_one_and_raises_the_version(client):
    answer = patch(client, make_credential(), {"password": "next-Secret"})
    assert answer.json()["version"] == 2
    assert opened() == "next-Secret"


def test_a_secret_is_taken_away_by_name(client):
    credential = make_credential()
    patch(client, credential, {"enable_secret": "second-Secret"})
    answer = patch(client, credential, {"clear": ["enable_secret"]})
    assert answer.json()["secrets_set"] == ["password"]
    assert opened("enable_secret") is None


def test_tags_carry_their_own_priorities(client):
    answer = post(client, {**BODY, "tags": ["dc", "branch"], "tag_priorities": {"DC": 5}})
    assert answer.json()["tag_priorities"] == {"dc": 5}
    assert answer.json()["tags"] == ["branch", "dc"]


def test_priorities_of_tags_can_be_changed_alone(client):
    credential = make_credential(tags=("dc", "branch"), tag_priorities={"dc": 5})
    answer = patch(client, credential, {"tag_priorities": {"branch": 900}})
    assert answer.json()["tag_priorities"] == {"branch": 900}
    assert answer.json()["tags"] == ["branch", "dc"]


def test_tags_that_stay_keep_their_priorities(client):
    credential = make_credential(tags=("dc", "branch"), tag_priorities={"dc": 5})
    assert patch(client, credential, {"tags": ["dc", "lab"]}).json()["tag_priorities"] == {"dc": 5}


def test_the_scope_is_explained(client):
    assert "per device" in post(client, {**BODY, "scope": "local"}).json()["scope_meaning"]


# --- refused ---


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"password": None}, "password", "null"),
        ({"password": {"a": "Canary-77"}}, "password", "Not a valid string"),
        ({"password": "Canary-77\nsecond line"}, "password", "one line"),
        ({"password": "Canary-77\x00"}, "password", "Null"),
        ({"password": "Canary-77\ud800"}, "password", "Surrogate"),
        ({"password": "Canary-77" * 200}, "password", "1024"),
        ({"password": "<secret>"}, "password", "stored form"),
        ({"private_key": "Canary-77"}, "private_key", "not a private key"),
        ({"passphrase": "Canary-77"}, "passphrase", "needs a private key"),
        ({"private_key": private_key("right"), "passphrase": "Canary-77"}, "passphrase", "does not open"),
        ({"scope": "Canary-77x"}, "scope", "not a valid choice"),
        ({"priority": "high"}, "priority", "integer"),
        ({"priority": 2**40}, "priority", "1000000"),
        ({"priority": -(2**40)}, "priority", "-1000000"),
        ({"tag_priorities": {"core": 2**40}}, "tag_priorities", "1000000"),
        ({"tags": []}, "tags", "at least one tag"),
        ({"tag_priorities": {"core": "high"}}, "tag_priorities", "core: A valid integer"),
        ({"tag_priorities": {"edge": 4}}, "tag_priorities", ""),
        ({"clear": ["password"]}, "clear", "nothing to clear"),
        ({"clear": ["Canary-77"]}, "clear", "Choose from"),
        ({"pasword": "Canary-77"}, "pasword", "Did you mean password?"),
    ],
)
def test_a_wrong_value_is_refused_and_no_secret_is_quoted(client, change, field, words):
    answer = post(client, {**BODY, **change})
    assert answer.status_code == 400
    errors = answer.json()["errors"]
    # The service names a priority without its tag under the tags.
    assert words in " ".join(errors[field if field in errors else "tags"])
    assert not Credential.objects.exists()
    if field not in {"scope"}:
        assert "Canary-77" not in answer.content.decode()


def test_a_credential_without_a_login_secret_is_refused(client):
    answer = post(client, {"name": "team", "tags": ["core"]})
    assert "password or a private key" in answer.json()["errors"]["password"][0]


def test_a_stored_secret_cannot_be_pasted_back(client):
    token = make_credential().password.token
    answer = post(client, {**BODY, "name": "other", "password": token})
    assert answer.status_code == 400
    assert token not in answer.content.decode()


def test_the_last_login_secret_cannot_be_cleared(client):
    answer = patch(client, make_credential(password="first-Secret"), {"clear": ["password"]})
    assert answer.status_code == 400
    assert opened() == "first-Secret"


def test_a_body_that_is_no_json_is_not_quoted(client):
    answer = client.post("/api/v1/credentials/", '{"password": "Canary-77", ', content_type="application/json")
    assert answer.status_code == 400
    assert "Canary-77" not in answer.content.decode()


def test_a_form_body_is_not_read(client):
    answer = client.post("/api/v1/credentials/", {"name": "a", "password": "Canary-77"}, format="multipart")
    assert answer.status_code == 415


# --- read ---


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["first", "second", "spare"]),
        ("tag=core", ["first"]),
        ("scope=local", ["second"]),
        ("is_fallback=true", ["spare"]),
        ("search=seco", ["second"]),
        ("ordering=-name", ["spare", "second", "first"]),
        ("enabled=no", []),
    ],
)
def test_the_list_is_filtered_and_in_the_order_of_priority(client, query, expected):
    make_credential("second", tags=("edge",), priority=100, scope="local")
    make_credential("first", priority=10)
    make_credential("spare", tags=(), priority=200, is_fallback=True)
    found = client.get(f"/api/v1/credentials/?{query}").json()["results"]
    assert [row["name"] for row in found] == expected


def test_the_devices_that_a_credential_matches_show_the_shared_tags(client):
    credential = make_credential(tags=("core", "dc"))
    make_device("sw1", ("core", "zurich"))
    make_device("sw2", ("core", "dc"))
    make_device("sw3", ("edge",))
    found = client.get(f"/api/v1/credentials/{credential.pk}/devices/").json()["results"]
    assert [(row["name"], row["shared_tags"]) for row in found] == [("sw1", ["core"]), ("sw2", ["core", "dc"])]


def test_a_fallback_matches_every_device(client):
    credential = make_credential(tags=(), is_fallback=True)
    make_device("sw1", ())
    found = client.get(f"/api/v1/credentials/{credential.pk}/devices/").json()["results"]
    assert [(row["name"], row["shared_tags"]) for row in found] == [("sw1", [])]


def test_the_matched_devices_are_filtered_like_devices(client):
    credential = make_credential()
    make_device("sw1", site="ZRH")
    make_device("sw2", site="BRN")
    found = client.get(f"/api/v1/credentials/{credential.pk}/devices/?site=BRN").json()
    assert (found["count"], found["results"][0]["name"]) == (1, "sw2")


def test_a_credential_is_deleted_with_its_links(client):
    credential = make_credential()
    assert client.delete(f"/api/v1/credentials/{credential.pk}/").status_code == 204
    assert not CredentialTag.objects.exists()


# --- held accounts ---


def test_a_held_account_is_listed_with_its_budget(client):
    hold_account(make_credential(), make_device())
    found = client.get("/api/v1/held-accounts/").json()
    assert found["count"] == 1
    row = found["results"][0]
    assert (row["label"], row["spent"], row["limit"]) == ("netops in AAA domain default", 3, 3)


def test_a_released_account_is_held_no_longer(client):
    hold_account(make_credential(), make_device())
    (row,) = client.get("/api/v1/held-accounts/").json()["results"]
    answer = client.post(f"/api/v1/held-accounts/{row['id']}/release/")
    assert (answer.status_code, answer.json()["released_by"]) == (200, "root")
    assert client.get("/api/v1/held-accounts/").json()["count"] == 0
    assert not RememberedRejection.objects.exists()


def test_releasing_what_is_not_there_is_a_404(client):
    assert client.post("/api/v1/held-accounts/77/release/").status_code == 404
