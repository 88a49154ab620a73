"""SecretField and Secret: shown nowhere, in dumps as tokens, in forms one-way; and how one is declared."""

from __future__ import annotations

import copy
import io
import json
import logging
import pickle
import uuid
from types import SimpleNamespace

import pytest
from django import forms
from django.core import management, serializers
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.serializers.base import DeserializationError
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, models
from django.db.migrations.writer import MigrationWriter
from django.db.models import Value
from django.forms.models import model_to_dict
from django.template import Context, Engine
from django.test.utils import CaptureQueriesContext, isolate_apps
from encrypted_model_fields.fields import EncryptedCharField
from import_export.resources import modelresource_factory
from rest_framework.serializers import ModelSerializer
from simple_history.models import HistoricalRecords

from credentials import exceptions as exc
from credentials import fields, keyring
from credentials.fields import MASK, Secret, SecretField, SecretFormField
from credentials.models import Credential
from tests.credentials.sealed import ANY, PASSWORD, column, make


@pytest.fixture(autouse=True)
def ring(tmp_path, settings, monkeypatch):
    monkeypatch.delenv(keyring.JSON_VARIABLE, raising=False)
    settings.NETRAVEN_KEYRING_PATH = tmp_path / "keyring.json"
    return keyring.create(settings.NETRAVEN_KEYRING_PATH)


# --- never shown ---


def test_a_secret_shows_a_mask_in_every_textual_form():
    secret = Credential(name="core", password=PASSWORD).password
    assert {str(secret), repr(secret), f"{secret}", f"{secret:>40}", f"{secret}", f"{secret!r}"} == {MASK}
    assert f"{[secret]} { ({'a': secret}) }" == f"[{MASK}] {{'a': {MASK}}}"


@pytest.mark.parametrize(
    "attempt", [iter, list, bytes, len, pickle.dumps, json.dumps, lambda s: s + "", lambda s: s[0]]
)
def test_a_secret_does_not_serve_as_a_text(attempt):
    with pytest.raises(TypeError):
        attempt(Credential(name="core", password=PASSWORD).password)


def test_a_secret_is_not_serialised_by_djangos_json():
    with pytest.raises(TypeError):
        json.dumps(Credential(name="core", password=PASSWORD).password, cls=DjangoJSONEncoder)


def test_a_secret_equals_its_own_token_holder_alone():
    row = Credential(name="core", password=PASSWORD, enable_secret=PASSWORD)
    assert row.password == row.password
    assert row.password == copy.copy(row.password) == copy.deepcopy(row.password)
    assert row.password != row.enable_secret
    assert row.password != PASSWORD
    assert row.password != row.password.token
    assert row.password != MASK
    assert len({row.password, row.password, row.enable_secret}) == 2


def test_a_secret_is_true_and_has_no_dictionary():
    secret = Credential(name="core", password=PASSWORD).password
    assert bool(secret) is True
    with pytest.raises(TypeError):
        vars(secret)


def test_a_row_with_a_secret_is_not_pickled():
    with pytest.raises(TypeError, match="pass the row's id"):
        pickle.dumps(Credential(name="core", password=PASSWORD))


def test_a_row_can_be_copied_within_the_process():
    row = Credential(name="core", password=PASSWORD)
    assert copy.deepcopy(row).password.reveal(ANY) == PASSWORD


def test_a_template_shows_the_mask_and_cannot_open():
    row = Credential(name="core", password=PASSWORD)
    page = Engine().from_string("{{ row.password }}|{{ row.password.reveal }}").render(Context({"row": row}))
    assert page == "&lt;secret&gt;|"


def test_model_to_dict_and_logs_hold_the_secret_object_alone(caplog):
    row = Credential(name="core", password=PASSWORD)
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("x").info("%s %r", row.password, model_to_dict(row))
    assert isinstance(model_to_dict(row)["password"], Secret)
    assert PASSWORD not in caplog.text
    assert "nr1:" not in caplog.text


@pytest.mark.django_db
def test_the_history_of_a_row_has_no_secret_column():
    row = make()
    row.password = "new"
    row.save()
    entries = list(row.history.values())
    assert len(entries) == 2
    assert not any(name in entry for entry in entries for name in ("password", "enable_secret", "private_key"))


@pytest.mark.django_db
def test_the_statements_that_save_a_row_hold_no_plaintext():
    with CaptureQueriesContext(connection) as queries:
        make(password="hunter2-hunter2")
    assert "hunter2" not in str(queries.captured_queries)


@pytest.mark.django_db
def test_an_api_serialiser_of_all_fields_shows_the_mask_and_seals_what_it_is_given():
    class Everything(ModelSerializer):
        class Meta:
            model = Credential
            fields = ["name", "password", "enable_secret"]

    row = make()
    assert Everything(row).data == {"name": "core", "password": MASK, "enable_secret": None}
    given = Everything(row, data={"password": " new "}, partial=True)
    assert given.is_valid()
    assert given.save().password.reveal(ANY).strip() == "new"
    for text in (MASK, row.password.token):
        refused = Everything(row, data={"password": text}, partial=True)
        assert not refused.is_valid()


@pytest.mark.django_db
def test_an_export_shows_the_mask():
    make()
    table = modelresource_factory(Credential)().export()
    assert table.dict[0]["password"] == MASK
    assert PASSWORD not in table.csv
    assert "nr1:" not in table.csv


# --- fixtures ---


@pytest.mark.django_db
@pytest.mark.parametrize("form", ["json", "xml", "jsonl", "python"])
def test_a_dump_holds_tokens_and_restores_exactly(form):
    row = make(enable_secret=None)
    token, identity = column(row), row.uuid
    dump = serializers.serialize(form, Credential.objects.all())
    assert PASSWORD not in str(dump)
    Credential.objects.all().delete()
    for entry in serializers.deserialize(form, dump):
        entry.save()
    restored = Credential.objects.get()
    assert restored.uuid == identity
    assert column(restored) == token
    assert restored.password.reveal(ANY) == PASSWORD
    assert restored.enable_secret is None


@pytest.mark.django_db
def test_dumpdata_and_loaddata_work_without_a_keyring(settings, tmp_path):
    row = make()
    token, right = column(row), settings.NETRAVEN_KEYRING_PATH
    settings.NETRAVEN_KEYRING_PATH = tmp_path / "missing.json"
    dump = tmp_path / "dump.json"
    management.call_command("dumpdata", "credentials.credential", output=str(dump), stdout=io.StringIO())
    Credential.objects.all().delete()
    management.call_command("loaddata", str(dump), verbosity=0)
    settings.NETRAVEN_KEYRING_PATH = right
    restored = Credential.objects.get()
    assert column(restored) == token
    assert restored.password.reveal(ANY) == PASSWORD


@pytest.mark.django_db
def test_a_dump_edited_to_another_uuid_loads_but_does_not_open():
    make()
    dump = json.loads(serializers.serialize("json", Credential.objects.all()))
    dump[0]["fields"]["uuid"] = str(uuid.uuid4())
    for entry in serializers.deserialize("json", json.dumps(dump)):
        entry.save()
    with pytest.raises(exc.SecretMisplaced):
        Credential.objects.get().password.reveal(ANY)


@pytest.mark.django_db
def test_a_damaged_token_in_a_dump_is_refused_rather_than_sealed_as_a_password():
    make()
    dump = json.loads(serializers.serialize("json", Credential.objects.all()))
    dump[0]["fields"]["password"] += "!"
    with pytest.raises(DeserializationError):
        list(serializers.deserialize("json", json.dumps(dump)))


@pytest.mark.parametrize("value", [7, b"x", ["x"]])
def test_only_a_text_is_accepted_from_outside(value):
    with pytest.raises(ValidationError):
        Credential._meta.get_field("password").to_python(value)


# --- forms ---


class CredentialForm(forms.ModelForm):
    class Meta:
        model = Credential
        fields = ["name", "password"]


class KeyForm(forms.ModelForm):
    private_key = SecretFormField(widget=forms.Textarea)

    class Meta:
        model = Credential
        fields = ["name", "private_key"]


@pytest.mark.django_db
def test_a_form_never_shows_what_is_stored_or_was_typed():
    row = make()
    typed = CredentialForm({"name": "", "password": "just typed"}, instance=row)
    assert not typed.is_valid()
    for form in (CredentialForm(instance=row), typed, KeyForm({"private_key": "just typed"}, instance=row)):
        page = form.as_p()
        assert MASK not in page
        assert "secret&" not in page
        assert "nr1:" not in page
        assert "just typed" not in page
    assert 'type="password"' in CredentialForm(instance=row).as_p()
    assert 'autocomplete="new-password"' in CredentialForm(instance=row).as_p()


@pytest.mark.django_db
@pytest.mark.parametrize("data", [{"name": "core"}, {"name": "core", "password": ""}])
def test_a_blank_field_keeps_what_is_stored(data):
    row = make()
    token = column(row)
    form = CredentialForm(data, instance=Credential.objects.get(pk=row.pk))
    assert form.is_valid()
    assert "password" not in form.changed_data
    form.save()
    assert column(row) == token


@pytest.mark.django_db
def test_a_typed_value_replaces_and_keeps_its_spaces():
    row = make()
    form = CredentialForm({"name": "core", "password": " new "}, instance=row)
    assert form.is_valid()
    assert form.changed_data == ["password"]
    form.save()
    assert Credential.objects.get().password.reveal(ANY) == " new "


@pytest.mark.django_db
def test_a_key_of_several_lines_survives_its_form():
    pem = "-----BEGIN X-----\nabc\n-----END X-----\n"
    form = KeyForm({"name": "core", "private_key": pem})
    assert form.is_valid()
    assert form.save().private_key.reveal(ANY) == pem


@pytest.mark.django_db
@pytest.mark.parametrize("form_of", [str, "sealed:{}".format, lambda token: MASK], ids=["token", "dump", "mask"])
def test_a_stored_form_typed_into_a_form_is_an_error_and_never_opened(form_of):
    row = make()
    form = CredentialForm({"name": "core", "password": form_of(column(row))}, instance=row)
    assert not form.is_valid()
    assert list(form.errors) == ["password"]


def test_a_visible_text_area_is_not_taken_from_an_admin():
    field = Credential._meta.get_field("password")
    for widget in (forms.Textarea, forms.Textarea(), forms.TextInput, None):
        made = field.formfield(widget=widget)
        assert isinstance(made.widget, forms.PasswordInput)
        assert made.required is False


def test_a_styled_password_input_is_taken():
    class Styled(forms.PasswordInput):
        pass

    assert isinstance(Credential._meta.get_field("password").formfield(widget=Styled).widget, Styled)


# --- declaring one ---


def ids_of(model):
    return [message.id for message in model.check() if (message.id or "").startswith("credentials.E01")]


@isolate_apps()
def test_a_model_that_can_bind_its_secrets_passes_the_checks():
    class Good(models.Model):
        uuid = models.UUIDField(default=uuid.uuid4, unique=True)
        password = SecretField()

        class Meta:
            app_label = "sealed"

    assert ids_of(Good) == []


@isolate_apps()
@pytest.mark.parametrize(
    "identity",
    [
        None,
        models.CharField(default="x", unique=True, max_length=32),
        models.UUIDField(default=uuid.uuid4),
        models.UUIDField(unique=True),
        models.UUIDField(default=uuid.uuid4, unique=True, null=True),
    ],
    ids=["none", "a text", "not unique", "no default", "nullable"],
)
def test_a_model_without_a_fit_uuid_fails_the_check(identity):
    values = {
        "__module__": __name__,
        "password": SecretField(),
        "Meta": type("Meta", (), {"app_label": "sealed"}),
    }
    if identity is not None:
        identity.creation_counter = -1
        values["uuid"] = identity
    assert ids_of(type("Bad", (models.Model,), values)) == ["credentials.E011"]


@isolate_apps()
def test_a_uuid_declared_after_the_secret_fails_the_check_and_the_assignment():
    class Late(models.Model):
        password = SecretField()
        uuid = models.UUIDField(default=uuid.uuid4, unique=True)

        class Meta:
            app_label = "sealed"

    assert ids_of(Late) == ["credentials.E011"]
    with pytest.raises(ImproperlyConfigured, match="declared and set before password"):
        Late(password=PASSWORD)


@isolate_apps()
@pytest.mark.parametrize(
    "options",
    [
        {"default": "x"},
        {"unique": True},
        {"db_index": True},
        {"choices": [("a", "b")]},
        {"db_default": Value("x")},
    ],
    ids=lambda options: next(iter(options)),
)
def test_options_that_make_no_sense_for_a_sealed_column_fail_the_check(options):
    class Odd(models.Model):
        uuid = models.UUIDField(default=uuid.uuid4, unique=True)
        password = SecretField(**options)

        class Meta:
            app_label = "sealed"

    assert ids_of(Odd) == ["credentials.E012"]


@isolate_apps()
def test_a_history_that_would_keep_secrets_fails_the_check_and_the_copy():
    class Watched(models.Model):
        uuid = models.UUIDField(default=uuid.uuid4, unique=True)
        password = SecretField()
        history = HistoricalRecords()

        class Meta:
            app_label = "credentials"

    assert ids_of(Watched) == []
    assert ids_of(Watched.history.model) == ["credentials.E013"]
    row = Watched(password=PASSWORD)
    with pytest.raises(exc.SecretMisplaced):
        Watched.history.model(uuid=row.uuid, password=row.password)


def test_the_migration_of_a_secret_field_is_short_and_rebuilds_it():
    _, path, args, kwargs = SecretField(verbose_name="password").deconstruct()
    assert (path, args, kwargs) == ("credentials.fields.SecretField", [], {"verbose_name": "password"})
    text, _ = MigrationWriter.serialize(SecretField())
    assert text == "credentials.fields.SecretField()"
    again = SecretField(**kwargs)
    assert (again.null, again.blank) == (True, True)


# --- what is sealed ---


def test_every_secret_field_of_the_project_is_found():
    found = {(column.model, column.field) for column in fields.sealed_fields() if column.kind == "text"}
    assert {(Credential, name) for name in ("password", "enable_secret", "private_key", "passphrase")} <= found


def test_a_registered_binary_column_is_found_once(monkeypatch):
    with isolate_apps():

        class Stored(models.Model):
            sealed = models.BinaryField()

            class Meta:
                app_label = "sealed"

    registry = SimpleNamespace(get_models=lambda **options: [Credential], get_model=lambda label: Stored)
    monkeypatch.setattr(fields, "apps", registry)
    monkeypatch.setattr(fields, "_registered", set())
    fields.register_sealed("sealed.Stored", "sealed")
    fields.register_sealed("sealed.Stored", "sealed")
    assert [found for found in fields.sealed_fields() if found.kind == "binary"] == [(Stored, "sealed", "binary")]


@pytest.mark.parametrize("name", ["name", "missing"])
def test_a_registration_of_anything_but_a_binary_column_is_an_error(monkeypatch, name):
    monkeypatch.setattr(fields, "_registered", set())
    fields.register_sealed("credentials.Credential", name)
    with pytest.raises(ImproperlyConfigured, match=f"no binary field {name}"):
        list(fields.sealed_fields())


@isolate_apps()
def test_sealed_bytes_open_in_their_own_row_and_field_alone():
    class Stored(models.Model):
        uuid = models.UUIDField(default=uuid.uuid4, unique=True)
        sealed = models.BinaryField()
        other = models.BinaryField()

        class Meta:
            app_label = "sealed"

    first, second = Stored(), Stored()
    first.sealed = fields.seal_bytes(first, "sealed", b"\x00configuration\xff")
    second.sealed = first.other = first.sealed
    assert isinstance(first.sealed, bytes)
    assert fields.open_bytes(first, "sealed", ANY) == b"\x00configuration\xff"
    first.sealed = memoryview(first.sealed)
    assert fields.open_bytes(first, "sealed", ANY) == b"\x00configuration\xff"
    for row, name in ((second, "sealed"), (first, "other")):
        with pytest.raises(exc.SecretMisplaced):
            fields.open_bytes(row, name, ANY)


def test_no_model_of_the_project_uses_a_field_of_the_package_unguarded():
    assert fields.raw_encrypted_fields() == []


def test_the_search_for_unguarded_fields_sees_one(monkeypatch):
    with isolate_apps():

        class Raw(models.Model):
            password = EncryptedCharField(max_length=100)

            class Meta:
                app_label = "sealed"

    monkeypatch.setattr(fields, "apps", SimpleNamespace(get_models=lambda **options: [Credential, Raw]))
    assert fields.raw_encrypted_fields() == ["sealed.Raw.password"]
