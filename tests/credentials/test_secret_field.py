"""SecretField and Secret: what goes in once, comes out on request, and stays in its place."""

from __future__ import annotations

import threading
import uuid

import pytest
from django.core.exceptions import FieldError
from django.db import connection, transaction
from django.db.models import Case, F, TextField, Value, When
from django.db.models.functions import Cast, Concat, Length
from django.test.utils import CaptureQueriesContext, register_lookup

from credentials import exceptions as exc
from credentials import keyring
from credentials.fields import MASK, Secret, SecretField
from credentials.models import Credential
from tests.credentials.sealed import ANY, PASSWORD, column, make, overwrite


@pytest.fixture(autouse=True)
def ring(tmp_path, settings, monkeypatch):
    monkeypatch.delenv(keyring.JSON_VARIABLE, raising=False)
    settings.NETRAVEN_KEYRING_PATH = tmp_path / "keyring.json"
    return keyring.create(settings.NETRAVEN_KEYRING_PATH)


def another_keyring(settings, tmp_path):
    settings.NETRAVEN_KEYRING_PATH = tmp_path / "another.json"
    return keyring.create(settings.NETRAVEN_KEYRING_PATH)


# --- in and out ---


@pytest.mark.django_db
@pytest.mark.parametrize("text", [PASSWORD, " ", "x", "a" * 20_000, "\x00\n\r", "пароль🔑", "0"])
def test_a_stored_secret_opens_to_what_was_typed(text):
    row = make(password=text)
    assert row.password.reveal(ANY) == text
    assert Credential.objects.get(pk=row.pk).password.reveal(ANY) == text


@pytest.mark.django_db
def test_the_database_holds_a_token_under_the_active_key(ring):
    row = make()
    assert column(row).startswith(f"nr1:{ring.active_id}:")
    assert row.password.key_id == ring.active_id
    assert row.password.token == column(row)


@pytest.mark.django_db
@pytest.mark.parametrize("nothing", [None, ""])
def test_none_and_the_empty_text_both_mean_no_secret(nothing):
    row = make(password=nothing)
    assert row.password is None
    assert column(row) is None
    assert Credential.objects.get(pk=row.pk).password is None


@pytest.mark.django_db
def test_assigning_none_clears():
    row = make()
    row.password = None
    row.save()
    assert column(row) is None


def test_a_text_is_sealed_at_the_moment_of_assignment():
    row = Credential(name="core")
    row.password = PASSWORD
    assert PASSWORD not in repr(row.__dict__)
    assert isinstance(row.__dict__["password"], Secret)
    assert row.password.context == f"credentials.credential:password:{row.uuid}"


def test_the_order_of_keywords_does_not_matter():
    identity = uuid.uuid4()
    row = Credential(password=PASSWORD, name="core", uuid=identity)
    assert row.password.context.endswith(str(identity))
    assert row.password.reveal(ANY) == PASSWORD


@pytest.mark.parametrize("value", [b"bytes", 7, ["x"], F("name"), Value("x"), object()])
def test_only_a_text_or_a_secret_can_be_assigned(value):
    with pytest.raises(exc.SecretNotWritable) as caught:
        Credential(name="core").password = value
    assert "bytes'" not in str(caught.value)


def test_a_text_that_is_not_valid_unicode_is_refused_without_quoting_it():
    with pytest.raises(exc.SecretNotWritable) as caught:
        Credential(name="core", password="hunter2\udcff")
    assert caught.value.__context__ is None
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("form", [str, "sealed:{}".format, lambda token: MASK], ids=["token", "dump", "mask"])
def test_the_stored_form_is_never_taken_for_the_secret_itself(form):
    row = Credential(name="core", password=PASSWORD)
    with pytest.raises(exc.SecretNotWritable, match="stored form"):
        row.enable_secret = form(row.password.token)


def test_without_a_keyring_nothing_is_stored(settings, tmp_path):
    settings.NETRAVEN_KEYRING_PATH = tmp_path / "missing.json"
    with pytest.raises(exc.KeyringMissing) as caught:
        Credential(name="core", password=PASSWORD)
    assert PASSWORD not in str(caught.value)


# --- bound to its place ---


@pytest.mark.django_db
def test_tokens_swapped_between_two_rows_open_in_neither():
    first, second = make("first", "one"), make("second", "two")
    one, two = column(first), column(second)
    overwrite(first, two)
    overwrite(second, one)
    for row in Credential.objects.all():
        with pytest.raises(exc.SecretMisplaced):
            row.password.reveal(ANY)


@pytest.mark.django_db
def test_a_token_moved_to_another_field_of_its_row_is_refused():
    row = make()
    overwrite(row, column(row), "enable_secret")
    with pytest.raises(exc.SecretMisplaced):
        Credential.objects.get(pk=row.pk).enable_secret.reveal(ANY)


@pytest.mark.django_db
def test_a_secret_of_another_row_or_field_cannot_be_assigned():
    first, second = make("first"), make("second", enable_secret="enable")
    for value in (first.password, second.enable_secret):
        with pytest.raises(exc.SecretMisplaced, match="enter it there"):
            second.password = value
    assert second.password.reveal(ANY) == PASSWORD


@pytest.mark.django_db
def test_a_row_takes_its_own_secret_back():
    row = make()
    again = Credential.objects.get(pk=row.pk)
    token = column(row)
    again.password = row.password
    again.save()
    assert column(row) == token


@pytest.mark.django_db
def test_a_secret_read_apart_from_its_row_neither_opens_nor_moves():
    row = make()
    loose = Credential.objects.values_list("password", flat=True).get()
    assert isinstance(loose, Secret)
    with pytest.raises(exc.SecretMisplaced, match="load the row"):
        loose.reveal(ANY)
    with pytest.raises(exc.SecretMisplaced):
        row.password = loose
    with pytest.raises(exc.SecretMisplaced):
        Credential(name="copy").password = loose


@pytest.mark.django_db
def test_a_copied_row_under_a_new_uuid_is_not_saved_with_the_old_secret():
    row = make()
    row.pk, row._state.adding = None, True
    row.name, row.uuid = "copy", uuid.uuid4()
    with pytest.raises(exc.SecretMisplaced, match="enter it anew"), transaction.atomic():
        row.save()
    assert Credential.objects.count() == 1


@pytest.mark.django_db
def test_a_uuid_changed_in_the_database_makes_the_secret_misplaced():
    row = make()
    Credential.objects.filter(pk=row.pk).update(uuid=uuid.uuid4())
    with pytest.raises(exc.SecretMisplaced):
        Credential.objects.get(pk=row.pk).password.reveal(ANY)


# --- damage and wrong keys ---


@pytest.mark.django_db
def test_a_flipped_character_anywhere_raises():
    row = make()
    token = column(row)
    for position in range(0, len(token), 3):
        flipped = "B" if token[position] != "B" else "C"
        overwrite(row, token[:position] + flipped + token[position + 1 :])
        with pytest.raises((exc.SecretDamaged, exc.UnknownKey)):
            Credential.objects.get(pk=row.pk).password.reveal(ANY)


@pytest.mark.django_db
@pytest.mark.parametrize("content", ["plain text", "nr1:", "nr2:k1:abcd", "gAAAAABk"])
def test_a_column_with_anything_but_a_token_raises(content):
    row = make()
    overwrite(row, content)
    with pytest.raises(exc.SecretDamaged):
        Credential.objects.get(pk=row.pk).password.reveal(ANY)


@pytest.mark.django_db
def test_a_wrong_keyring_raises_and_saving_changes_nothing(settings, tmp_path):
    row = make()
    token, right = column(row), settings.NETRAVEN_KEYRING_PATH
    another_keyring(settings, tmp_path)
    loaded = Credential.objects.get(pk=row.pk)
    with pytest.raises(exc.UnknownKey):
        loaded.password.reveal(ANY)
    loaded.description = "edited under the wrong keyring"
    loaded.full_clean()
    loaded.save()
    assert column(row) == token
    settings.NETRAVEN_KEYRING_PATH = right
    assert Credential.objects.get(pk=row.pk).password.reveal(ANY) == PASSWORD


@pytest.mark.django_db
def test_rows_are_listed_and_edited_without_any_keyring(settings, tmp_path):
    row = make()
    token = column(row)
    settings.NETRAVEN_KEYRING_PATH = tmp_path / "missing.json"
    loaded = Credential.objects.get(pk=row.pk)
    assert loaded.password
    loaded.priority = 5
    loaded.save()
    assert column(row) == token


@pytest.mark.django_db
def test_saving_a_loaded_row_does_not_seal_again():
    row = make()
    token = column(row)
    for _ in range(3):
        Credential.objects.get(pk=row.pk).save()
        row.save()
    assert column(row) == token


@pytest.mark.django_db
def test_saving_a_loaded_row_leaves_what_others_wrote_since():
    row = make()
    stale = Credential.objects.get(pk=row.pk)
    rotated = Credential.objects.get(pk=row.pk)
    rotated.password = "changed meanwhile"
    rotated.save()
    stale.description = "an edit of something else"
    stale.save()
    loaded = Credential.objects.get(pk=row.pk)
    assert loaded.password.reveal(ANY) == "changed meanwhile"
    assert loaded.description == "an edit of something else"


@pytest.mark.django_db
def test_an_earlier_secret_of_the_row_can_be_put_back():
    row = make()
    earlier = Credential.objects.get(pk=row.pk).password
    row.password = "new"
    row.save()
    again = Credential.objects.get(pk=row.pk)
    again.password = earlier
    again.save()
    assert Credential.objects.get(pk=row.pk).password.reveal(ANY) == PASSWORD


@pytest.mark.django_db
def test_a_loaded_row_that_was_deleted_is_inserted_again_with_its_secret():
    make()
    row = Credential.objects.get()
    Credential.objects.all().delete()
    row.save()
    assert Credential.objects.get().password.reveal(ANY) == PASSWORD


@pytest.mark.django_db
def test_a_loaded_row_is_saved_to_the_fields_that_are_named():
    make()
    row = Credential.objects.get()
    row.password = "new"
    row.save(update_fields=["description"])
    assert Credential.objects.get().password.reveal(ANY) == PASSWORD
    row.save(update_fields=["password"])
    assert Credential.objects.get().password.reveal(ANY) == "new"


@pytest.mark.django_db
def test_a_secret_sealed_with_a_former_key_still_opens(settings):
    row = make()
    path = settings.NETRAVEN_KEYRING_PATH
    former = keyring.current().active_id
    new = keyring.add_key(path)
    keyring.activate(path, new)
    keyring.current().refresh()
    loaded = Credential.objects.get(pk=row.pk)
    assert loaded.password.key_id == former
    assert loaded.password.reveal(ANY) == PASSWORD
    loaded.password = "new"
    loaded.save()
    assert Credential.objects.get(pk=row.pk).password.key_id == new


@pytest.mark.django_db
def test_the_field_never_uses_the_cipher_of_the_package(monkeypatch):
    monkeypatch.delattr("encrypted_model_fields.fields.CRYPTER")
    row = make()
    assert Credential.objects.get(pk=row.pk).password.reveal(ANY) == PASSWORD


# --- loading ---


@pytest.mark.django_db
def test_only_with_uuid_opens_at_one_query(django_assert_num_queries):
    make()
    with django_assert_num_queries(1):
        assert Credential.objects.only("uuid", "password").get().password.reveal(ANY) == PASSWORD


@pytest.mark.django_db
def test_only_without_uuid_still_opens():
    make()
    assert Credential.objects.only("password").get().password.reveal(ANY) == PASSWORD


@pytest.mark.django_db
def test_a_deferred_secret_is_loaded_when_it_is_needed():
    make()
    row = Credential.objects.defer("password").get()
    assert "password" not in row.__dict__
    assert row.password.reveal(ANY) == PASSWORD


@pytest.mark.django_db
def test_saving_a_row_with_a_deferred_secret_keeps_it():
    row = make()
    token = column(row)
    loaded = Credential.objects.defer("password").get()
    loaded.description = "x"
    loaded.save()
    assert column(row) == token


@pytest.mark.django_db
def test_a_refreshed_row_sees_what_another_saved():
    row = make()
    other = Credential.objects.get(pk=row.pk)
    other.password = "new"
    other.save()
    row.refresh_from_db()
    assert row.password.reveal(ANY) == "new"
    other.password = "newer"
    other.save()
    row.refresh_from_db(fields=["password"])
    assert row.password.reveal(ANY) == "newer"


# --- writing in bulk ---


@pytest.mark.django_db
def test_bulk_create_seals_each_row():
    Credential.objects.bulk_create(Credential(name=f"c{n}", password=f"secret {n}") for n in range(3))
    rows = Credential.objects.order_by("name")
    assert [row.password.reveal(ANY) for row in rows] == ["secret 0", "secret 1", "secret 2"]


@pytest.mark.django_db
def test_get_or_create_and_update_or_create_seal_their_defaults():
    row, _ = Credential.objects.get_or_create(name="core", defaults={"password": "one"})
    assert row.password.reveal(ANY) == "one"
    Credential.objects.update_or_create(name="core", defaults={"password": "two"})
    assert Credential.objects.get().password.reveal(ANY) == "two"


REFUSED_UPDATES = {
    "a text": lambda row: "hunter2",
    "a value": lambda row: Value("hunter2"),
    "a column": lambda row: F("username"),
    "another secret column": lambda row: F("enable_secret"),
    "a case": lambda row: Case(When(pk=row.pk, then=Value("hunter2")), default=Value("hunter2")),
    "a function": lambda row: Concat(F("password"), Value("hunter2")),
    "a typed value": lambda row: Value("hunter2", output_field=SecretField()),
    "a token": lambda row: row.password.token,
    "its own secret": lambda row: row.password,
    "the secret of another field": lambda row: row.enable_secret,
}


@pytest.mark.django_db
@pytest.mark.parametrize("name", REFUSED_UPDATES)
def test_update_never_sets_a_secret(name):
    row = make(enable_secret="enable")
    token = column(row)
    value = REFUSED_UPDATES[name](row)
    with (
        CaptureQueriesContext(connection) as queries,
        pytest.raises(exc.SecretNotWritable, match="can only be set on a row") as caught,
        transaction.atomic(),
    ):
        Credential.objects.update(password=value)
    assert column(row) == token
    assert "hunter2" not in str(caught.value) + str(queries.captured_queries)


@pytest.mark.django_db
def test_update_can_clear():
    row = make()
    Credential.objects.update(password=None)
    assert column(row) is None


@pytest.mark.django_db
def test_update_of_other_columns_works():
    row = make()
    token = column(row)
    Credential.objects.update(success_count=F("success_count") + 1)
    assert column(row) == token


@pytest.mark.django_db
def test_bulk_update_never_sets_a_secret():
    rows = [make("first"), make("second")]
    tokens = [column(row) for row in rows]
    for row in rows:
        row.password = "hunter2"
    with (
        CaptureQueriesContext(connection) as queries,
        pytest.raises(exc.SecretNotWritable),
        transaction.atomic(),
    ):
        Credential.objects.bulk_update(rows, ["password"])
    assert [column(row) for row in rows] == tokens
    assert "hunter2" not in str(queries.captured_queries)


# --- filtering ---


@pytest.mark.django_db
@pytest.mark.parametrize(
    "lookup",
    ["password", "password__exact", "password__iexact", "password__contains", "password__startswith",
     "password__in", "password__regex", "password__gt", "password__length", "password__nonsense"],
)  # fmt: skip
def test_every_lookup_but_isnull_is_refused_before_it_reaches_the_database(lookup):
    make()
    with CaptureQueriesContext(connection) as queries:
        for method in (Credential.objects.filter, Credential.objects.exclude, Credential.objects.get):
            with pytest.raises(FieldError, match="password__isnull") as caught:
                method(**{lookup: "hunter2"}).exists()
            assert "hunter2" not in str(caught.value)
    assert queries.captured_queries == []


@pytest.mark.django_db
def test_a_transform_registered_for_texts_is_refused_too():
    make()
    with (
        register_lookup(TextField, Length),
        CaptureQueriesContext(connection) as queries,
        pytest.raises(FieldError, match="password__isnull"),
    ):
        Credential.objects.filter(password__length__gt=7).exists()
    assert queries.captured_queries == []


@pytest.mark.django_db
def test_isnull_finds_the_rows_without_a_secret():
    make("with"), make("without", None)
    assert Credential.objects.get(password__isnull=True).name == "without"
    assert Credential.objects.get(password__isnull=False).name == "with"


@pytest.mark.django_db
def test_what_sql_can_read_is_the_token():
    row = make()
    assert Credential.objects.annotate(x=Cast("password", TextField())).get().x == column(row)


# --- threads ---


def test_threads_seal_and_open_rows_of_their_own():
    errors = []

    def work(number):
        try:
            for turn in range(50):
                row = Credential(name=f"c{number}", password=f"{number}-{turn}")
                assert row.password.reveal(ANY) == f"{number}-{turn}"
        except Exception as error:  # noqa: BLE001 - a thread has no other way to report
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
