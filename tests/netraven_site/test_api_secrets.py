"""No response of the API holds a secret: every address is walked, with good and with bad requests."""

import base64
import json
import logging
import re

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from django.urls import URLPattern, URLResolver

from credentials.models import Credential
from netraven_site.api import urls
from tests.netraven_site.api_helpers import (
    admin_client,
    config,
    hold_account,
    make_attempt,
    make_device,
    make_job,
    make_key,
    make_run,
    make_version,
)

# The addresses are tried with the number 1, so the rows must begin there whatever ran before.
pytestmark = pytest.mark.django_db(transaction=True, reset_sequences=True)

PASSWORD = "pw-Canary-7731"
ENABLE = 'en"Canary\\8842'
PASSPHRASE = "pp-Canary-é-9953"
IN_CONFIG = "cfg-Canary-1164"
METHODS = ("get", "head", "options", "post", "put", "patch", "delete")


def private_key() -> str:
    protection = BestAvailableEncryption(PASSPHRASE.encode())
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, protection).decode()


def fragments(secret: str) -> set[str]:
    """Pieces of a secret as they could stand in JSON, escaped or not, or in base64."""
    plain = {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    pieces = {text[start : start + 8] for text in plain for start in range(len(text) - 7)}
    return pieces | {base64.b64encode(secret.encode()).decode()[:12]}


@pytest.fixture
def secrets():
    """Everything that must never come back, from one credential and one configuration."""
    key = private_key()
    client = admin_client()
    body = {
        "name": "team",
        "username": "netops",
        "password": PASSWORD,
        "enable_secret": ENABLE,
        "private_key": key,
        "passphrase": PASSPHRASE,
        "tags": ["core"],
    }
    answer = client.post("/api/v1/credentials/", body, format="json")
    assert answer.status_code == 201, answer.content
    credential = Credential.objects.get()
    device = make_device()
    version = make_version(device, config(f"snmp-server community {IN_CONFIG} RO"))
    make_version(device, config(f"snmp-server community {IN_CONFIG}-new RO"))
    run = make_run(device)
    run.results.update(credential=credential, credential_name=credential.name, config_version=version)
    make_attempt(device, credential, run=run)
    make_key(device)
    make_job(tags=("core",))
    hold_account(credential, device)
    tokens = [getattr(credential, field).token for field in ("password", "enable_secret", "passphrase")]
    texts = [PASSWORD, ENABLE, PASSPHRASE, IN_CONFIG, *key.splitlines()[1:-1]]
    found = {piece for text in texts for piece in fragments(text)} | {token[-40:] for token in tokens}
    return client, found, answer


def addresses(patterns=urls.urlpatterns, prefix="/api/v1/"):
    """Every address with each number filled in, from the URL configuration itself."""
    for each in patterns:
        if isinstance(each, URLResolver):
            yield from addresses(each.url_patterns, prefix + str(each.pattern))
        elif isinstance(each, URLPattern) and each.name != "nothing":
            yield prefix + re.sub(r"<int:\w+>", "1", str(each.pattern))


def assert_clean(answer, found, what):
    text = answer.content.decode() + str(answer.headers)
    hits = [piece for piece in found if piece in text]
    assert not hits, (what, hits[:3])


def test_the_search_would_see_a_secret(secrets):
    _, found, _ = secrets
    assert any(piece in json.dumps({"detail": f"wrong: {ENABLE}"}) for piece in found)
    assert any(piece in f"wrong: {PASSPHRASE}" for piece in found)


def test_the_answer_to_a_new_credential_is_clean(secrets):
    _, found, answer = secrets
    assert_clean(answer, found, "create")


def test_no_address_gives_a_secret_away(secrets):
    client, found, _ = secrets
    read = set()
    for address in addresses():
        for query in ("", "?page_size=1", "?format=text", "?against=1", "?ordering=password"):
            answer = client.get(address + query)
            assert_clean(answer, found, address + query)
            if answer.status_code == 200:
                read.add(address)
    assert len(read) >= 28, read


def test_no_error_quotes_the_secret_that_was_sent(secrets, caplog):
    caplog.set_level(logging.DEBUG)
    client, found, _ = secrets
    key = private_key()
    whole = {
        "name": "team",
        "password": PASSWORD,
        "enable_secret": ENABLE,
        "private_key": key,
        "passphrase": PASSPHRASE,
        "fingerprint": PASSWORD,
        "kind": "backup",
        "surplus": PASSWORD,
    }
    bodies = [
        json.dumps(whole),
        json.dumps([whole]),
        json.dumps(whole)[:-5],
        json.dumps({"name": "", "password": PASSWORD, "priority": "x"}),
        json.dumps({"name": "n", "password": [PASSWORD], "enable_secret": {"x": ENABLE}, "tags": ["a"]}),
        json.dumps({"name": "n", "tags": ["a"], "private_key": key, "passphrase": PASSWORD}),
        json.dumps({"name": "n", "tags": ["a"], "password": f"{PASSWORD}\n"}),
        json.dumps({"name": "n", "tags": ["a"], "password": f"{PASSWORD}\x00"}),
        json.dumps({"name": "n", "tags": ["a"], "password": f"{PASSWORD}\ud800"}),
        json.dumps({"name": "n", "tags": ["a"], "private_key": PASSWORD}),
    ]
    refused = 0
    for address in addresses():
        for method in METHODS[3:6]:
            for body in bodies:
                answer = getattr(client, method)(address, body, content_type="application/json")
                assert answer.status_code < 500, (method, address, body[:60])
                assert_clean(answer, found, (method, address))
                refused += answer.status_code == 400
    assert refused > 50
    assert not [piece for piece in found if piece in caplog.text]


def test_a_secret_cannot_be_found_by_a_filter(secrets):
    client, _, _ = secrets
    for query in (f"password={PASSWORD}", "password__isnull=true", "ordering=password", "ordering=-passphrase"):
        assert client.get(f"/api/v1/credentials/?{query}").status_code == 400
    assert client.get(f"/api/v1/credentials/?search={PASSWORD}").json()["count"] == 0
