"""The life of a key: added, read everywhere, activated, everything re-encrypted, retired; each step on record."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from credentials import audit, exceptions, key_readers, keyring, keyring_file, keys
from credentials.key_readers import FORGOTTEN_AFTER, LIVE_FOR, KeyReader
from credentials.key_rotation import rows_by_key
from credentials.models import Credential
from tests.credentials.sealed import ANY, PASSWORD, column, document_of, make, overwrite, store

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def ring(tmp_path, settings, monkeypatch):
    monkeypatch.delenv(keyring.JSON_VARIABLE, raising=False)
    monkeypatch.delenv(keyring.PATH_VARIABLE, raising=False)
    monkeypatch.setattr(keyring, "CHECK_INTERVAL_S", 0.05)
    settings.NETRAVEN_KEYRING_PATH = tmp_path / "keyring.json"
    return keyring.create(settings.NETRAVEN_KEYRING_PATH)


@pytest.fixture
def told(monkeypatch):
    """What went to the audit trail: events with their details."""
    events = []
    real = audit.record

    def record(event, **details):
        events.append((event, details))
        return real(event, **details)

    monkeypatch.setattr(audit, "record", record)
    return events


def reader(host, *read, ago=timedelta(0), active="", trouble="", part="worker"):
    return KeyReader.objects.create(
        host=host, part=part, keys=list(read), active=active, trouble=trouble, at=timezone.now() - ago
    )


def ids():
    keyring.current().refresh()
    return keyring.current().ids


def active():
    keyring.current().refresh()
    return keyring.current().active_id


# --- adding ---


def test_a_new_key_opens_and_seals_nothing_yet(ring):
    before = active()
    new = keys.add(actor="olga")
    assert ids() == (before, new)
    assert active() == before
    make()
    assert rows_by_key() == {before: 1}


def test_a_key_whose_record_fails_is_not_there_afterwards(monkeypatch):
    before = ids()

    def refuse(*args, **kwargs):
        raise RuntimeError("no trail")

    monkeypatch.setattr(audit, "record", refuse)
    with pytest.raises(RuntimeError):
        keys.add(actor="olga")
    assert ids() == before


@pytest.mark.parametrize("step", ["activate", "retire"])
def test_without_a_record_no_key_is_activated_or_retired(step, monkeypatch):
    new = keys.add(actor="olga")
    before = active()

    def refuse(*args, **kwargs):
        raise RuntimeError("no trail")

    monkeypatch.setattr(audit, "record", refuse)
    with pytest.raises(RuntimeError):
        getattr(keys, step)(new, actor="olga")
    assert (active(), new in ids()) == (before, True)


def test_each_step_is_on_record_with_the_key_and_who_did_it(told, tmp_path):
    before = active()
    new = keys.add(actor="olga")
    keys.activate(new, actor="olga")
    keys.rotate(actor="olga")
    keys.retire(before, actor="olga")
    keys.back_up(tmp_path / "out", "a long enough passphrase", actor="olga")
    assert [event for event, _ in told] == [
        "key.added",
        "key.activated",
        "key.rotation_started",
        "key.rotation_ended",
        "key.retired",
        "key.backed_up",
    ]
    assert {details["actor"] for _, details in told} == {"olga"}
    assert told[0][1]["subject"] == told[1][1]["subject"] == new
    assert told[4][1]["subject"] == before


# --- activating ---


def test_without_any_reader_a_key_can_be_activated():
    new = keys.add()
    keys.activate(new)
    assert active() == new


def test_a_key_that_every_live_reader_reads_is_activated():
    new = keys.add()
    reader("a", *ids()), reader("b", *ids())
    keys.activate(new)
    assert active() == new


def test_a_key_that_one_live_reader_does_not_read_stays_inactive_and_the_reader_is_named():
    before, new = active(), keys.add()
    reader("a", *ids()), reader("far", before)
    with pytest.raises(exceptions.KeyNotReadEverywhere, match="worker on far cannot read"):
        keys.activate(new)
    assert active() == before


def test_not_even_force_activates_what_a_live_reader_cannot_read():
    before, new = active(), keys.add()
    reader("far", before)
    with pytest.raises(exceptions.KeyNotReadEverywhere):
        keys.activate(new, forget_silent=True)
    assert active() == before


def test_a_reader_whose_keyring_is_in_trouble_reads_nothing():
    new = keys.add()
    reader("a", *ids(), trouble="the file is gone")
    with pytest.raises(exceptions.KeyNotReadEverywhere, match="the file is gone"):
        keys.activate(new)


def test_a_reader_that_fell_silent_before_it_read_the_key_holds_it_back_until_it_is_given_up():
    before, new = active(), keys.add()
    reader("gone", before, ago=2 * LIVE_FOR)
    with pytest.raises(exceptions.KeyNotReadEverywhere, match=r"worker on gone fell silent 2 min ago.*--force"):
        keys.activate(new)
    assert keys.activate(new, forget_silent=True) == ["worker on gone"]
    assert active() == new
    assert not KeyReader.objects.exists()


def test_a_silent_reader_that_had_read_the_key_holds_nothing_back():
    new = keys.add()
    reader("gone", *ids(), ago=2 * LIVE_FOR)
    keys.activate(new)
    assert active() == new


def test_an_unknown_key_is_refused_with_the_ones_there_are():
    with pytest.raises(exceptions.UnknownKey, match=active()):
        keys.activate("k9-nothere")


def test_waiting_for_readers_ends_as_soon_as_they_read_the_key(monkeypatch):
    before, new = active(), keys.add()
    row = reader("far", before)
    looks = []

    def sleep(seconds):
        looks.append(seconds)
        if len(looks) == 3:
            KeyReader.objects.filter(pk=row.pk).update(keys=[before, new])

    monkeypatch.setattr(keys.time, "sleep", sleep)
    keys.wait_for_readers(new, 1_000)
    assert len(looks) == 3


# --- readers ---


def test_a_report_says_which_keys_this_process_reads():
    new = keys.add()
    key_readers.report("here", "web")
    row = KeyReader.objects.get()
    assert (row.host, row.part, row.keys, row.active, row.trouble) == ("here", "web", list(ids()), active(), "")
    assert row.is_live
    assert new in row.keys


def test_a_second_report_replaces_the_first():
    key_readers.report("here", "web")
    new = keys.add()
    key_readers.report("here", "web")
    assert new in KeyReader.objects.get().keys


def test_a_report_without_a_usable_keyring_says_why(settings):
    store(settings.NETRAVEN_KEYRING_PATH, {})
    key_readers.report("here", "web")
    assert "is no keyring" in KeyReader.objects.get().trouble


def test_who_was_not_heard_of_for_a_day_is_forgotten():
    reader("long gone", ago=FORGOTTEN_AFTER + timedelta(minutes=1))
    key_readers.report("here", "web")
    assert [row.host for row in KeyReader.objects.all()] == ["here"]


@pytest.mark.django_db(transaction=True)
def test_a_running_reader_notices_a_new_key_by_itself(monkeypatch):
    monkeypatch.setattr(key_readers, "_LOOK_EVERY_S", 0.01)
    looks = 0

    class Over(BaseException):
        pass

    def until_the_key_is_there(seconds):
        nonlocal looks
        looks += 1
        if looks == 1:
            keyring.add_key(keys._path())
        elif looks > 1 and len(KeyReader.objects.get().keys) == 2:
            raise Over

    monkeypatch.setattr(key_readers.time, "sleep", until_the_key_is_there)
    with pytest.raises(Over):
        key_readers._report_for_ever("here", "worker")


# --- rotating and retiring ---


def test_nothing_is_re_encrypted_while_a_live_reader_could_not_open_it(settings):
    row = make()
    token = column(row)
    before, new = active(), keys.add()
    keyring.activate(settings.NETRAVEN_KEYRING_PATH, new)  # as if the file had been copied from elsewhere
    reader("far", before)
    with pytest.raises(exceptions.KeyNotReadEverywhere, match="far"):
        keys.rotate()
    assert column(row) == token


def test_a_key_that_something_is_sealed_with_is_not_retired():
    make()
    before, new = active(), keys.add()
    keys.activate(new)
    with pytest.raises(exceptions.KeyInUse, match=r"1 values are still sealed.*keys rotate"):
        keys.retire(before)
    assert before in ids()
    keys.rotate()
    keys.retire(before)
    assert ids() == (new,)
    assert Credential.objects.get().password.reveal(ANY) == PASSWORD


def test_the_active_key_is_never_retired():
    with pytest.raises(exceptions.KeyInUse, match="active"):
        keys.retire(active())


def test_a_key_that_another_host_still_seals_with_is_not_retired():
    before, new = active(), keys.add()
    keys.activate(new)
    reader("far", *ids(), active=before)
    with pytest.raises(exceptions.KeyInUse, match="worker on far still seals"):
        keys.retire(before)


def test_a_rotation_that_another_host_works_against_says_which_one():
    before, new = active(), keys.add()
    keys.activate(new)
    make()
    reader("far", *ids(), active=before)
    state = keys.rotate()
    state.is_complete = False
    assert "worker on far still seals with another key" in keys.why_incomplete(state)


# --- the list ---


def test_the_list_has_each_key_with_its_rows_and_readers():
    make(), make(name="second")
    before, new = active(), keys.add()
    reader("a", *ids()), reader("b", before)
    found = {each.id: each for each in keys.states()}
    assert (found[before].active, found[before].rows, found[before].read_by) == (
        True,
        2,
        ("worker on a", "worker on b"),
    )
    assert (found[new].active, found[new].rows, found[new].not_read_by) == (False, 0, ("worker on b",))
    assert found[new].can_retire


def test_a_key_that_only_rows_name_is_listed_as_missing():
    row = make()
    overwrite(row, column(row).replace(active(), "k7-elsewhere"))
    missing = keys.states()[-1]
    assert (missing.id, missing.held, missing.rows, missing.can_retire) == ("k7-elsewhere", False, 1, False)


# --- where a keyring cannot be changed ---


@pytest.mark.parametrize("step", [lambda: keys.add(), lambda: keys.activate(active()), lambda: keys.retire(active())])
def test_a_keyring_from_the_environment_says_how_it_becomes_a_file(step, monkeypatch, settings):
    monkeypatch.setenv(keyring.JSON_VARIABLE, settings.NETRAVEN_KEYRING_PATH.read_text())
    with pytest.raises(exceptions.KeyringError) as caught:
        step()
    if not isinstance(caught.value, exceptions.KeyInUse):
        assert "name the file in NETRAVEN_KEYRING" in str(caught.value)


def test_a_systemd_credential_says_how_it_is_changed(monkeypatch, settings, tmp_path):
    folder = tmp_path / "credentials"
    folder.mkdir()
    credential = folder / keyring_file.CREDENTIAL_NAME
    settings.NETRAVEN_KEYRING_PATH.rename(credential)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    assert keyring_file.default_path("", tmp_path) == credential
    settings.NETRAVEN_KEYRING_PATH = credential
    with pytest.raises(exceptions.KeyringReadOnly, match=r"systemd credential.*Copy the keyring"):
        keys.add()
    assert len(document_of(credential)["keys"]) == 1


def test_systemds_way_of_mounting_a_credential_is_accepted(monkeypatch, settings, tmp_path):
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    settings.NETRAVEN_KEYRING_PATH.chmod(0o440)
    assert keyring.load(settings.NETRAVEN_KEYRING_PATH).ids
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    with pytest.raises(exceptions.KeyringExposed):
        keyring.load(settings.NETRAVEN_KEYRING_PATH)


def test_without_a_credential_the_keyring_is_the_one_in_the_home(monkeypatch, tmp_path):
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "empty"))
    assert keyring_file.default_path("", tmp_path / "home") == tmp_path / "home" / "keyring.json"
    assert str(keyring_file.default_path("/run/secrets/keys", tmp_path)) == "/run/secrets/keys"


# --- backup and restoration ---

PHRASE = "correct horse battery staple"


def test_a_backup_shows_ids_and_no_key(tmp_path, settings):
    keys.add()
    held = keys.back_up(tmp_path / "out", PHRASE)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o600
    said = json.loads((tmp_path / "out").read_text())
    assert tuple(said["keys"]) == tuple(held) == ids()
    document = document_of(settings.NETRAVEN_KEYRING_PATH)
    for key in [entry["key"] for entry in document["keys"]] + [document["fingerprint_key"], document["audit_key"]]:
        assert key not in (tmp_path / "out").read_text()


def test_a_backup_overwrites_nothing(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(exceptions.BackupUnusable, match="left alone"):
        keys.back_up(tmp_path / "out", PHRASE)
    assert (tmp_path / "out").read_text() == "mine"


def test_a_short_passphrase_is_refused(tmp_path):
    with pytest.raises(exceptions.BackupUnusable, match="12 characters"):
        keys.back_up(tmp_path / "out", "hunter2")
    assert not (tmp_path / "out").exists()


def test_a_lost_keyring_comes_back_as_it_was(tmp_path, settings):
    row = make()
    keys.back_up(tmp_path / "out", PHRASE)
    before = document_of(settings.NETRAVEN_KEYRING_PATH)
    settings.NETRAVEN_KEYRING_PATH.unlink()
    restored = keys.restore((tmp_path / "out").read_bytes(), PHRASE)
    assert restored.what == "created"
    assert document_of(settings.NETRAVEN_KEYRING_PATH) == before
    assert settings.NETRAVEN_KEYRING_PATH.stat().st_mode & 0o777 == 0o400
    assert Credential.objects.get(pk=row.pk).password.reveal(ANY) == PASSWORD


def test_a_wrong_passphrase_changes_nothing_and_does_not_name_itself(tmp_path, settings):
    keys.back_up(tmp_path / "out", PHRASE)
    settings.NETRAVEN_KEYRING_PATH.unlink()
    with pytest.raises(exceptions.BackupUnusable, match="wrong") as caught:
        keys.restore((tmp_path / "out").read_bytes(), "not the right passphrase")
    assert "not the right" not in str(caught.value)
    assert not settings.NETRAVEN_KEYRING_PATH.exists()


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff\xfe", b'{"format": "netraven-keyring-backup", "version": 1}'])
def test_what_is_no_backup_is_refused(data):
    with pytest.raises(exceptions.BackupUnusable):
        keys.restore(data, PHRASE)


def test_a_backup_that_lost_a_byte_is_refused(tmp_path):
    keys.back_up(tmp_path / "out", PHRASE)
    said = json.loads((tmp_path / "out").read_text())
    body = said["sealed"]
    said["sealed"] = body[:50] + ("A" if body[50] != "A" else "B") + body[51:]
    with pytest.raises(exceptions.BackupUnusable, match="damaged"):
        keys.restore(json.dumps(said).encode(), PHRASE)


def test_a_backup_of_the_same_instance_adds_the_keys_that_were_retired_since(tmp_path, settings):
    row = make()
    old_token = column(row)
    keys.back_up(tmp_path / "out", PHRASE)
    before, new = active(), keys.add()
    keys.activate(new)
    keys.rotate()
    keys.retire(before)
    overwrite(row, old_token)  # a backup of the database from that day
    restored = keys.restore((tmp_path / "out").read_bytes(), PHRASE)
    assert (restored.what, restored.added) == ("merged", (before,))
    assert active() == new
    assert Credential.objects.get(pk=row.pk).password.reveal(ANY) == PASSWORD


def test_the_backup_of_another_instance_is_refused_unless_it_is_to_replace_this_one(tmp_path, settings):
    keys.back_up(tmp_path / "out", PHRASE)
    theirs = document_of(settings.NETRAVEN_KEYRING_PATH)
    settings.NETRAVEN_KEYRING_PATH.unlink()
    keyring.create(settings.NETRAVEN_KEYRING_PATH)
    ours = document_of(settings.NETRAVEN_KEYRING_PATH)
    data = (tmp_path / "out").read_bytes()
    with pytest.raises(exceptions.KeyringForeign, match=r"another instance.*--replace"):
        keys.restore(data, PHRASE)
    assert document_of(settings.NETRAVEN_KEYRING_PATH) == ours
    restored = keys.restore(data, PHRASE, replace=True)
    assert restored.what == "replaced"
    assert document_of(settings.NETRAVEN_KEYRING_PATH) == theirs
    assert document_of(restored.kept) == ours
    assert ids() == tuple(entry["id"] for entry in theirs["keys"])


def test_an_id_that_has_another_key_here_is_refused(tmp_path, settings):
    keys.back_up(tmp_path / "out", PHRASE)
    path = settings.NETRAVEN_KEYRING_PATH
    document = document_of(path)
    document["keys"][0]["key"] = keyring_file._new_key()
    path.unlink()
    path.write_text(json.dumps(document))
    path.chmod(0o600)
    with pytest.raises(exceptions.DuplicateKey, match="nothing was changed"):
        keys.restore((tmp_path / "out").read_bytes(), PHRASE)
