"""Making and changing credentials: what is refused, and that nothing is half written."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.exceptions import ValidationError

from credentials.models import AuditEvent, Credential
from credentials.services import SecretsInput, create_credential, delete_credentials, update_credential
from tests.credentials.sealed import ANY

pytestmark = pytest.mark.django_db


def make(**more) -> Credential:
    given = {
        "name": "one",
        "username": "ops",
        "secrets": SecretsInput(password="first"),
        "tags": ["dc"],
    } | more
    return create_credential(**given)


def key(passphrase: bytes | None = None, private=None) -> str:
    wanted = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    made = private or Ed25519PrivateKey.generate()
    form = serialization.PrivateFormat.OpenSSH if private is None else serialization.PrivateFormat.PKCS8
    return made.private_bytes(serialization.Encoding.PEM, form, wanted).decode()


def problems(**more) -> dict[str, list[str]]:
    before = Credential.objects.count()
    with pytest.raises(ValidationError) as error:
        make(**more)
    assert Credential.objects.count() == before, "something was written"
    return error.value.message_dict


def test_a_credential_is_made_with_its_secret_sealed():
    row = make()
    row.refresh_from_db()
    assert row.password.reveal(ANY) == "first"
    assert "first" not in row.password.token


def test_the_user_name_may_be_empty():
    assert make(username="").username == ""


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"tags": []}, "tags"),
        ({"tags": ["a;b"]}, "tags"),
        ({"name": ""}, "name"),
        ({"priority": "soon"}, "priority"),
        ({"scope": "galactic"}, "scope"),
        ({"secrets": SecretsInput()}, "password"),
        ({"secrets": SecretsInput(enable_secret="only")}, "password"),
        ({"secrets": SecretsInput(password="a\nb")}, "password"),
        ({"secrets": SecretsInput(password="a\x00b")}, "password"),
        ({"secrets": SecretsInput(password="x", passphrase="without key")}, "passphrase"),
        ({"secrets": SecretsInput(private_key="no key at all")}, "private_key"),
        ({"tag_priorities": {"elsewhere": 5}}, "tags"),
    ],
)
def test_what_is_wrong_is_named_by_its_field(wrong, field):
    assert field in problems(**wrong)


def test_a_second_credential_of_the_same_name_is_refused():
    make()
    assert "name" in problems()


def test_a_message_never_holds_the_secret():
    assert "canary-7731" not in str(problems(secrets=SecretsInput(password="canary-7731\nx")))
    assert "canary-7731" not in str(problems(secrets=SecretsInput(private_key="canary-7731")))


def test_a_private_key_with_its_passphrase_is_taken():
    assert make(secrets=SecretsInput(private_key=key(b"open"), passphrase="open")).private_key


def test_a_private_key_with_a_wrong_passphrase_is_refused():
    assert "passphrase" in problems(secrets=SecretsInput(private_key=key(b"open"), passphrase="shut"))


def test_a_protected_private_key_without_its_passphrase_is_refused():
    assert "passphrase" in problems(secrets=SecretsInput(private_key=key(b"open")))


def test_private_keys_of_weak_or_refused_kinds_are_refused():
    weak = key(private=rsa.generate_private_key(65537, 1024))
    old = key(private=dsa.generate_private_key(1024))
    for text in (weak, old):
        assert "private_key" in problems(secrets=SecretsInput(private_key=text))


def test_blank_keeps_a_secret_and_a_value_replaces_it():
    row = make(secrets=SecretsInput(password="first", enable_secret="en"))
    update_credential(row, secrets=SecretsInput(password="second", enable_secret=""))
    row.refresh_from_db()
    assert (row.password.reveal(ANY), row.enable_secret.reveal(ANY)) == ("second", "en")


def test_clearing_takes_a_secret_away():
    row = make(secrets=SecretsInput(password="first", enable_secret="en"))
    update_credential(row, clear=["enable_secret"])
    row.refresh_from_db()
    assert row.enable_secret is None


def test_the_last_login_secret_cannot_be_cleared():
    row = make()
    with pytest.raises(ValidationError):
        update_credential(row, clear=["password"])
    row.refresh_from_db()
    assert row.password.reveal(ANY) == "first"


def test_the_version_rises_with_a_secret_or_the_user_name_and_with_nothing_else():
    row = make()
    update_credential(row, description="changed", priority=3)
    assert row.version == 1
    update_credential(row, secrets=SecretsInput(password="second"))
    assert row.version == 2
    update_credential(row, username="other")
    assert row.version == 3


def test_tags_are_shared_without_regard_to_case():
    make()
    make(name="two", tags=["DC"])
    assert Credential.objects.get(name="two").tags.names().first() == "dc"


# --- what is recorded -------------------------------------------------------------------------------------


def recorded() -> list[tuple[str, str, dict]]:
    rows = AuditEvent.objects.order_by("id")
    return [(row.event, row.credential_name, row.data) for row in rows]


def test_a_new_credential_is_recorded_without_its_secrets():
    make(secrets=SecretsInput(password="first", enable_secret="en-91c4"))
    [(event, name, details)] = recorded()
    assert (event, name) == ("credential.created", "one")
    assert details["secrets_set"] == ["enable_secret", "password"]
    assert "en-91c4" not in str(details)


def test_a_change_is_recorded_with_what_was_before_and_no_change_is_not():
    made = make(priority=50)
    update_credential(made, priority=50)
    update_credential(made, priority=40, secrets=SecretsInput(password="next-7d"), tags=["dc", "core"])
    [_, (event, _, details)] = recorded()
    assert event == "credential.changed"
    assert details["changes"]["priority"] == [50, 40]
    assert details["changes"]["tags"] == [["dc"], ["core", "dc"]]
    assert details["changes"]["secrets_set"] == ["password"]
    assert "next-7d" not in str(details)


def test_deleting_credentials_is_recorded_by_name():
    make()
    assert delete_credentials(Credential.objects.all()) == 1
    assert not Credential.objects.exists()
    assert recorded()[-1][:2] == ("credential.deleted", "one")


def test_a_refused_credential_leaves_no_record():
    with pytest.raises(ValidationError):
        make(tags=[])
    assert recorded() == []
