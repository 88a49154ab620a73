"""The doctor opens everything, names what does not open, and looks at the keyring and its readers."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest
from django.db import connection, models
from django.utils import timezone

from credentials import audit, doctor, fields, keyring, keys
from credentials.audit.verify import Trouble
from credentials.fields import SecretField
from credentials.key_readers import KeyReader
from credentials.key_rotation import rotate, rows_by_key
from devices.configs.store import prepare, save_version
from devices.models import ConfigText, Device
from tests.credentials.sealed import ANY, column, make, overwrite

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def ring(tmp_path, settings, monkeypatch):
    monkeypatch.delenv(keyring.JSON_VARIABLE, raising=False)
    monkeypatch.setattr(keyring, "CHECK_INTERVAL_S", 0.05)
    settings.NETRAVEN_KEYRING_PATH = tmp_path / "keyring.json"
    return keyring.create(settings.NETRAVEN_KEYRING_PATH)


@pytest.fixture(autouse=True)
def trail(monkeypatch):
    """The real look at the audit trail, for the tests about it: the others begin with one of another keyring."""
    real = doctor._look_at_trail
    monkeypatch.setattr(doctor, "_look_at_trail", lambda findings: None)
    return real


def a_configuration():
    device = Device.objects.create(name="r1", host="10.0.0.1", platform="cisco_ios")
    return save_version(device.pk, "running", prepare("hostname r1\nenable secret 0 hidden\nend\n", "cisco_ios"))


def flipped(token):
    middle = len(token) // 2
    return token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :]


def test_when_everything_opens_it_is_healthy_and_has_looked_at_all():
    make(enable_secret="e", private_key="k", passphrase="p")
    a_configuration()
    found = doctor.examine()
    assert (found.total, found.opened, found.bad) == (5, 5, [])
    assert found.is_healthy


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_every_value_is_looked_at_whatever_the_batches_are(batch, monkeypatch):
    monkeypatch.setattr(doctor, "_BATCH", {"text": batch, "binary": batch})
    for number in range(6):
        make(name=f"c{number}")
    assert doctor.examine().opened == 6


def test_flipped_and_swapped_values_are_named_with_model_row_field_and_reason():
    good, bent, one, two = make(), make(name="bent"), make(name="one"), make(name="two")
    overwrite(bent, flipped(column(bent)))
    first, second = column(one), column(two)
    overwrite(one, second), overwrite(two, first)
    found = doctor.examine()
    assert [(bad.model, bad.pk, bad.field) for bad in found.bad] == [
        ("credentials.Credential", row.pk, "password") for row in (bent, one, two)
    ]
    assert ["damaged" in found.bad[0].reason, "belongs to" in found.bad[1].reason] == [True, True]
    assert (found.total, found.opened) == (4, 1)
    assert not found.is_healthy
    assert good


def test_a_value_moved_to_another_field_of_its_row_is_named():
    row = make(enable_secret="e")
    overwrite(row, column(row), "enable_secret")
    assert [bad.field for bad in doctor.examine().bad] == ["enable_secret"]


def test_a_flipped_byte_of_a_configuration_is_named():
    a_configuration()
    text = ConfigText.objects.get()
    ConfigText.objects.filter(pk=text.pk).update(sealed=flipped(bytes(text.sealed).decode()).encode())
    assert [(bad.model, bad.pk, bad.field) for bad in doctor.examine().bad] == [
        ("devices.ConfigText", text.pk, "sealed")
    ]


def test_rows_of_a_key_that_is_gone_are_named_and_open_again_with_the_keyring_of_their_day(tmp_path):
    row = make()
    keys.back_up(tmp_path / "out", "correct horse battery")
    old, old_token = keyring.current().active_id, column(row)
    keys.activate(keys.add())
    keys.rotate()
    keys.retire(old)
    overwrite(row, old_token)
    assert old in doctor.examine().bad[0].reason
    keys.restore((tmp_path / "out").read_bytes(), "correct horse battery")
    assert doctor.examine().is_healthy


def test_it_leaves_everything_as_it_was():
    row = make()
    token = column(row)
    doctor.examine()
    assert column(row) == token


def test_a_live_host_that_cannot_read_the_active_key_is_a_trouble():
    KeyReader.objects.create(host="far", part="web", keys=["k0-old"], at=timezone.now())
    assert "web on far cannot read the active key" in doctor.examine().troubles[0]


def test_a_host_that_seals_with_another_key_is_noted(settings):
    other = keys.add()
    ring = keyring.current()
    KeyReader.objects.create(host="far", part="web", keys=list(ring.ids), active=other, at=timezone.now())
    found = doctor.examine()
    assert found.is_healthy
    assert "web on far seals with another key" in found.notes[0]


def test_a_keyring_that_its_owner_may_write_is_noted(settings):
    settings.NETRAVEN_KEYRING_PATH.chmod(0o600)
    assert "chmod 400" in doctor.examine().notes[0]
    settings.NETRAVEN_KEYRING_PATH.chmod(0o400)
    assert doctor.examine().notes == []


def test_a_keyring_in_the_environment_is_noted(settings, monkeypatch):
    monkeypatch.setenv(keyring.JSON_VARIABLE, settings.NETRAVEN_KEYRING_PATH.read_text())
    assert keyring.JSON_VARIABLE in doctor.examine().notes[0]


def test_progress_counts_up_to_all_values(monkeypatch):
    monkeypatch.setattr(doctor, "_BATCH", {"text": 2, "binary": 2})
    for number in range(5):
        make(name=f"c{number}")
    said = []
    doctor.examine(lambda findings, count: said.append((findings.total, count)))
    assert said == [(2, 5), (4, 5), (5, 5)]


def test_a_trail_that_another_keyring_wrote_is_a_trouble(trail, monkeypatch, settings):
    audit.record("test.event")
    settings.NETRAVEN_KEYRING_PATH = settings.NETRAVEN_KEYRING_PATH.with_name("other.json")
    keyring.create(settings.NETRAVEN_KEYRING_PATH)
    monkeypatch.setattr(doctor, "_look_at_trail", trail)
    assert "audit_verify" in doctor.examine().troubles[0]


@pytest.mark.parametrize("what", ["truncated", "rewritten"])
def test_a_trail_of_an_older_database_is_noted_and_no_reason_to_distrust_the_secrets(trail, what, monkeypatch):
    make()
    monkeypatch.setattr(doctor, "_look_at_trail", trail)
    verdict = doctor.verify()
    monkeypatch.setattr(doctor, "verify", lambda lines: replace(verdict, trouble=Trouble(9, what, "Cut off.")))
    found = doctor.examine()
    assert found.is_healthy
    assert "audit_verify" in found.notes[0]


def test_a_missing_trigger_of_the_trail_is_a_trouble(trail, monkeypatch):
    monkeypatch.setattr(doctor, "_look_at_trail", trail)
    monkeypatch.setattr(doctor.triggers, "missing", lambda: ["no_update"])
    assert any("no_update" in trouble and "migrate" in trouble for trouble in doctor.examine().troubles)


# --- what is new is not left out ---


@pytest.fixture
def new_model():
    """A model that nobody has told the key rotation about, with a text and a sealed binary column."""

    class Newcomer(models.Model):
        uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
        word = SecretField()
        blob = models.BinaryField(null=True)

        class Meta:
            app_label = "credentials"

    fields.register_sealed("credentials.Newcomer", "blob")
    with connection.schema_editor() as editor:
        editor.create_model(Newcomer)
    yield Newcomer
    fields._registered.discard(("credentials.Newcomer", "blob"))
    from django.apps import apps

    del apps.all_models["credentials"]["newcomer"]
    apps.clear_cache()


@pytest.mark.django_db(transaction=True)
def test_a_new_secret_field_and_a_new_sealed_text_are_rotated_counted_and_examined(new_model):
    row = new_model(word="hidden")
    row.blob = fields.seal_bytes(row, "blob", b"a long text")
    row.save()
    before = keyring.current().active_id
    assert rows_by_key()[before] == 2
    after = keys.add()
    keys.activate(after)
    assert rotate().is_complete
    assert rows_by_key() == {after: 2}
    assert doctor.examine().opened == 2
    row = new_model.objects.get()
    assert row.word.reveal(ANY) == "hidden"
    with connection.schema_editor() as editor:
        editor.delete_model(new_model)
