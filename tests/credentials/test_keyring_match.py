"""A keyring that belongs to another instance is found out before anything is sealed or opened with it."""

from __future__ import annotations

import pytest

from credentials import keyring
from credentials.exceptions import KeyringForeign
from credentials.keyring_match import require_own_keyring
from credentials.models import Credential
from credentials.services import SecretsInput, create_credential

pytestmark = pytest.mark.django_db


def test_the_own_keyring_is_in_order():
    create_credential(name="one", username="ops", secrets=SecretsInput(password="x1"), tags=["a"])
    require_own_keyring()


def test_a_keyring_of_another_instance_is_refused_and_writes_nothing(settings, tmp_path):
    create_credential(name="one", username="ops", secrets=SecretsInput(password="x1"), tags=["a"])
    settings.NETRAVEN_KEYRING_PATH = tmp_path / "other.json"
    keyring.create(tmp_path / "other.json")
    with pytest.raises(KeyringForeign, match="back from your backup"):
        require_own_keyring()
    with pytest.raises(KeyringForeign):
        create_credential(name="two", username="ops", secrets=SecretsInput(password="x2"), tags=["a"])
    assert Credential.objects.count() == 1
