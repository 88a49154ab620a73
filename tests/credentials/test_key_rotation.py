"""Key rotation: everything under the active key in the end, whatever happens on the way."""

from __future__ import annotations

import pytest

from credentials import key_rotation, keyring
from credentials.key_rotation import rotate, rows_by_key
from credentials.models import Credential
from devices.configs.store import complete_text, prepare, save_version
from devices.models import ConfigText, Device
from tests.credentials.sealed import ANY, PASSWORD, column, make, overwrite


@pytest.fixture(autouse=True)
def ring(tmp_path, settings, monkeypatch):
    monkeypatch.delenv(keyring.JSON_VARIABLE, raising=False)
    monkeypatch.setattr(keyring, "CHECK_INTERVAL_S", 0.05)
    settings.NETRAVEN_KEYRING_PATH = tmp_path / "keyring.json"
    return keyring.create(settings.NETRAVEN_KEYRING_PATH)


def new_key(ring, path):
    """A second key, active from now on; returns the ids before and after."""
    before = ring.active_id
    after = keyring.add_key(path)
    keyring.activate(path, after)
    ring.refresh()
    keyring.current().refresh()
    return before, after


def a_configuration(number=1):
    device = Device.objects.create(name=f"r{number}", host="10.0.0.1", platform="cisco_ios")
    return save_version(
        device.pk, "running", prepare(f"hostname r{number}\nenable secret 0 hidden{number}\nend\n", "cisco_ios")
    )


@pytest.mark.django_db
def test_every_secret_field_and_every_sealed_text_goes_to_the_active_key(settings, ring):
    row = make(enable_secret="enable-word", private_key="key-text", passphrase="pass")
    saved = a_configuration()
    before, after = new_key(ring, settings.NETRAVEN_KEYRING_PATH)
    assert rows_by_key() == {before: 5}
    state = rotate()
    assert (state.done, state.bad, state.is_complete) == (5, [], True)
    assert rows_by_key() == {after: 5}
    row = Credential.objects.get(pk=row.pk)
    assert [s.reveal(ANY) for s in (row.password, row.enable_secret, row.private_key, row.passphrase)] == [
        PASSWORD,
        "enable-word",
        "key-text",
        "pass",
    ]
    assert "hidden1" in complete_text(saved.version, ANY)


@pytest.mark.django_db
def test_the_key_before_can_be_removed_afterwards(settings, ring):
    row = make()
    before, _ = new_key(ring, settings.NETRAVEN_KEYRING_PATH)
    rotate()
    keyring.remove_key(settings.NETRAVEN_KEYRING_PATH, before)
    keyring.current().refresh()
    assert Credential.objects.get(pk=row.pk).password.reveal(ANY) == PASSWORD


@pytest.mark.django_db
def test_what_is_under_the_active_key_is_not_touched(ring):
    row = make()
    token = column(row)
    assert rotate().done == 0
    assert column(row) == token


@pytest.mark.django_db
@pytest.mark.parametrize("stop_after", [1, 2, 3, 4])
def test_a_rotation_that_was_stopped_goes_on_where_it_was(settings, ring, monkeypatch, stop_after):
    monkeypatch.setattr(key_rotation, "_BATCH", {"text": 3, "binary": 3})
    for number in range(10):
        make(name=f"c{number}")
    _, after = new_key(ring, settings.NETRAVEN_KEYRING_PATH)
    calls = []
    first = rotate(lambda state: calls.append(state.done) or len(calls) == stop_after)
    assert not first.is_complete
    assert first.done == min(10, 3 * stop_after)
    second = rotate()
    assert first.done + second.done == 10
    assert second.is_complete
    assert rows_by_key() == {after: 10}


@pytest.mark.django_db
def test_a_secret_entered_while_its_batch_was_sealed_anew_stays(settings, ring, monkeypatch):
    row = make()
    new_key(ring, settings.NETRAVEN_KEYRING_PATH)
    real = key_rotation._replace
    meddled = []

    def meddle(column, values):
        if values and not meddled:
            meddled.append(True)
            fresh = Credential.objects.get(pk=row.pk)
            fresh.password = "entered meanwhile"
            fresh.save()
        return real(column, values)

    monkeypatch.setattr(key_rotation, "_replace", meddle)
    state = rotate()
    assert meddled
    assert state.is_complete
    assert Credential.objects.get(pk=row.pk).password.reveal(ANY) == "entered meanwhile"


@pytest.mark.django_db
def test_what_another_process_sealed_under_the_key_before_is_found_by_the_last_look(settings, ring, monkeypatch):
    make()
    late = make(name="late")
    old_token = column(late)
    _, after = new_key(ring, settings.NETRAVEN_KEYRING_PATH)
    real = key_rotation._one_pass
    passes = []

    def then_late(*args):
        stopped = real(*args)
        if not passes:
            overwrite(late, old_token)
        passes.append(True)
        return stopped

    monkeypatch.setattr(key_rotation, "_one_pass", then_late)
    assert rotate().is_complete
    assert len(passes) == 2
    assert rows_by_key() == {after: 2}


@pytest.mark.django_db
def test_a_damaged_value_is_named_left_alone_and_keeps_the_rotation_from_being_complete(settings, ring):
    good, bad, junk = make(), make(name="bad"), make(name="junk")
    new_key(ring, settings.NETRAVEN_KEYRING_PATH)
    token = column(bad)
    damaged = token[:-8] + ("AAAA" if token[-8:-4] != "AAAA" else "BBBB") + token[-4:]
    overwrite(bad, damaged)
    overwrite(junk, "no token at all")
    state = rotate()
    assert not state.is_complete
    assert state.done == 1
    assert {each.pk for each in state.bad} == {bad.pk, junk.pk}
    assert "damaged" in str(state.bad[0])
    assert column(bad) == damaged
    assert rows_by_key()[""] == 1
    assert Credential.objects.get(pk=good.pk).password.reveal(ANY) == PASSWORD


@pytest.mark.django_db
def test_between_two_batches_every_secret_opens_and_can_be_changed(settings, ring, monkeypatch):
    monkeypatch.setattr(key_rotation, "_BATCH", {"text": 7, "binary": 7})
    ids = [make(name=f"c{number}", password=f"secret-{number}").pk for number in range(60)]
    _, after = new_key(ring, settings.NETRAVEN_KEYRING_PATH)
    seen = []

    def use(state):
        rows = Credential.objects.in_bulk(ids)
        seen.append([rows[pk].password.reveal(ANY) for pk in ids] == [f"secret-{number}" for number in range(60)])
        rows[ids[state.done % 60]].save()

    assert rotate(use).is_complete
    assert len(seen) > 5
    assert all(seen)
    assert rows_by_key() == {after: 60}


@pytest.mark.django_db
def test_configurations_are_read_in_smaller_batches_than_passwords(settings, ring, monkeypatch):
    monkeypatch.setattr(key_rotation, "_BATCH", {"text": 100, "binary": 2})
    for number in range(5):
        a_configuration(number)
    new_key(ring, settings.NETRAVEN_KEYRING_PATH)
    done = []
    assert rotate(lambda state: done.append(state.done)).is_complete
    assert done == [2, 4, 5]
    assert ConfigText.objects.count() == 5
