"""The keyring at work: sealing, opening, noticing changes."""

from __future__ import annotations

import copy
import logging
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from credentials import exceptions as exc
from credentials import keyring
from tests.credentials.sealed import CONTEXT, OTHER, document_of, everything_said, store

REPOSITORY = Path(keyring.__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    monkeypatch.delenv(keyring.JSON_VARIABLE, raising=False)
    monkeypatch.delenv(keyring.PATH_VARIABLE, raising=False)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keyring.json"


@pytest.fixture
def ring(path):
    return keyring.create(path)


# --- sealing and opening ---


@pytest.mark.parametrize("plaintext", [b"", b"x", b"\x00\xff", "pässwörd".encode(), os.urandom(60_000)])
def test_what_was_sealed_opens_with_the_same_context(ring, plaintext):
    token = ring.seal(plaintext, CONTEXT)
    assert token.startswith(f"nr1:{ring.active_id}:")
    assert ring.key_id_of(token) == ring.active_id
    assert ring.open(token, CONTEXT) == plaintext


@pytest.mark.parametrize("form", [bytes, memoryview, bytearray])
def test_a_token_opens_from_whatever_a_binary_column_returns(ring, form):
    token = ring.seal_bytes(b"configuration", CONTEXT)
    assert isinstance(token, bytes)
    assert ring.open(form(token), CONTEXT) == b"configuration"


def test_the_same_secret_is_never_sealed_to_the_same_token(ring):
    assert ring.seal(b"secret", CONTEXT) != ring.seal(b"secret", CONTEXT)


def test_another_context_is_refused_and_both_are_named(ring):
    token = ring.seal(b"hunter2", CONTEXT)
    with pytest.raises(exc.SecretMisplaced) as caught:
        ring.open(token, OTHER)
    assert CONTEXT in str(caught.value)
    assert OTHER in str(caught.value)
    assert "hunter2" not in everything_said(caught.value)


def test_a_context_cannot_be_shifted_into_the_plaintext(ring):
    token = ring.seal(b"bc", "a")
    for context in ("ab", "abc", ""):
        with pytest.raises(exc.SecretMisplaced):
            ring.open(token, context)


@pytest.mark.parametrize("context", ["", "x" * 1001])
def test_a_context_has_a_reasonable_length(ring, context):
    with pytest.raises(ValueError, match="context"):
        ring.seal(b"secret", context)


@pytest.mark.parametrize("length", [5, 22, 38])
def test_a_flipped_bit_anywhere_is_refused(ring, length):
    token = ring.seal_bytes(b"p" * length, CONTEXT)
    for position in range(len(token)):
        for bit in range(8):
            damaged = bytearray(token)
            damaged[position] ^= 1 << bit
            with pytest.raises((exc.SecretDamaged, exc.UnknownKey)):
                ring.open(bytes(damaged), CONTEXT)


@pytest.mark.parametrize("extra", ["A", "=", "!", "\n", " ", "\x00", "é"])
def test_an_added_character_anywhere_is_refused(ring, extra):
    token = ring.seal(b"secret", CONTEXT)
    for position in range(len(token) + 1):
        with pytest.raises((exc.SecretDamaged, exc.UnknownKey)):
            ring.open(token[:position] + extra + token[position:], CONTEXT)


def test_a_token_cut_short_anywhere_is_refused(ring):
    token = ring.seal(b"secret", CONTEXT)
    for end in range(len(token)):
        with pytest.raises(exc.SecretDamaged):
            ring.open(token[:end], CONTEXT)


def test_a_value_without_a_context_inside_is_refused_and_not_quoted(path, ring):
    key = document_of(path)["keys"][0]["key"]
    foreign = Fernet(key).encrypt(b"plain password").decode()
    with pytest.raises(exc.SecretDamaged) as caught:
        ring.open(f"nr1:{ring.active_id}:{foreign}", CONTEXT)
    assert "plain password" not in everything_said(caught.value)


def test_a_key_that_is_not_in_the_ring_is_named(ring, tmp_path):
    other = keyring.create(tmp_path / "other.json")
    token = other.seal(b"secret", CONTEXT)
    with pytest.raises(exc.UnknownKey, match=other.active_id):
        ring.open(token, CONTEXT)


def test_another_key_under_the_same_id_is_refused(path, ring):
    token = ring.seal(b"secret", CONTEXT)
    document = document_of(path)
    document["keys"][0]["key"] = Fernet.generate_key().decode()
    store(path, document)
    with pytest.raises(exc.SecretDamaged, match=ring.active_id):
        keyring.load(path).open(token, CONTEXT)


def test_neither_repr_nor_pickle_nor_copy_gives_a_key_away(path, ring):
    assert repr(ring) == str(ring) == f"<Keyring active={ring.active_id} keys=1>"
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="never pickled"):
            attempt(ring)


# --- fingerprints and the audit key ---


def test_a_fingerprint_is_short_stable_and_keyed(path, ring, tmp_path):
    other = keyring.create(tmp_path / "other.json")
    assert ring.fingerprint("secret") == keyring.load(path).fingerprint("secret")
    assert ring.fingerprint("secret") != ring.fingerprint("secreT")
    assert ring.fingerprint("secret") != other.fingerprint("secret")
    assert len(ring.fingerprint("\udcff")) == 12


def test_a_digest_is_stable_and_keyed(path, ring, tmp_path):
    other = keyring.create(tmp_path / "other.json")
    assert ring.digest(b"text") == keyring.load(path).digest(b"text")
    assert ring.digest(b"text") != ring.digest(b"texT")
    assert ring.digest(b"text") != other.digest(b"text")
    assert len(ring.digest(b"")) == 64


def test_fingerprints_and_audit_key_survive_a_change_of_keys(path, ring):
    before = ring.fingerprint("secret"), ring.audit_key
    old, new = ring.active_id, keyring.add_key(path)
    keyring.activate(path, new)
    keyring.remove_key(path, old)
    after = keyring.load(path)
    assert (after.fingerprint("secret"), after.audit_key) == before
    assert len(after.audit_key) == 32


# --- noticing changes ---


def test_an_unknown_key_is_looked_for_on_disk_at_once(path, ring, monkeypatch):
    monkeypatch.setattr(keyring, "CHECK_INTERVAL_S", 3600)
    held = keyring.load(path)
    keyring.activate(path, keyring.add_key(path))
    token = keyring.load(path).seal(b"secret", CONTEXT)
    assert held.open(token, CONTEXT) == b"secret"


def test_a_change_of_the_active_key_is_noticed_without_a_restart(path, ring, monkeypatch):
    monkeypatch.setattr(keyring, "CHECK_INTERVAL_S", 0)
    held = keyring.load(path)
    new = keyring.add_key(path)
    assert held.active_id == ring.active_id
    keyring.activate(path, new)
    assert held.active_id == new
    assert held.key_id_of(held.seal(b"x", CONTEXT)) == new


def test_the_file_is_not_looked_at_for_every_secret(path, ring, monkeypatch):
    monkeypatch.setattr(keyring, "CHECK_INTERVAL_S", 3600)
    held = keyring.load(path)
    path.unlink()
    assert held.open(held.seal(b"secret", CONTEXT), CONTEXT) == b"secret"


def test_a_keyring_gone_bad_under_way_still_opens_but_seals_no_more(path, ring, monkeypatch, caplog):
    monkeypatch.setattr(keyring, "CHECK_INTERVAL_S", 0)
    held = keyring.load(path)
    token = held.seal(b"secret", CONTEXT)
    good = path.read_text()
    key = document_of(path)["keys"][0]["key"]
    store(path, good[:-20])
    with caplog.at_level(logging.ERROR):
        assert held.open(token, CONTEXT) == b"secret"
        for _ in range(3):
            with pytest.raises(exc.KeyringMalformed) as caught:
                held.seal(b"another", CONTEXT)
    assert len(caplog.records) == 1
    assert key not in caplog.text + everything_said(caught.value)
    with pytest.raises(exc.KeyringMalformed):
        held.rotate_token(token)
    store(path, good)
    assert held.open(held.seal(b"another", CONTEXT), CONTEXT) == b"another"


def test_the_remembered_trouble_keeps_no_plaintext_alive(path, ring, monkeypatch):
    monkeypatch.setattr(keyring, "CHECK_INTERVAL_S", 0)
    held = keyring.load(path)
    path.unlink()
    with pytest.raises(exc.KeyringMissing):
        held.seal(b"secret", CONTEXT)
    assert held._trouble.__traceback__ is None
    assert held._trouble.__context__ is None


def test_another_keyring_in_the_same_place_is_not_taken_over(path, ring, monkeypatch):
    monkeypatch.setattr(keyring, "CHECK_INTERVAL_S", 0)
    held = keyring.load(path)
    token = held.seal(b"secret", CONTEXT)
    path.unlink()
    keyring.create(path)
    with pytest.raises(exc.KeyringReplaced, match="restart"):
        held.seal(b"secret", CONTEXT)
    assert held.open(token, CONTEXT) == b"secret"


def test_permissions_opened_under_way_are_noticed(path, ring, monkeypatch):
    monkeypatch.setattr(keyring, "CHECK_INTERVAL_S", 0)
    held = keyring.load(path)
    path.chmod(0o644)
    with pytest.raises(exc.KeyringExposed):
        held.seal(b"secret", CONTEXT)


WORKER = """
import sys
from pathlib import Path
from credentials import keyring
ring = keyring.load(Path(sys.argv[1]))
print(ring.active_id, flush=True)
for line in sys.stdin:
    print(ring.open(line.strip(), sys.argv[2]).decode(), ring.active_id, flush=True)
"""


def test_a_running_process_opens_what_another_sealed_with_a_key_made_later(path, ring):
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(path), CONTEXT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )
    with worker:
        assert worker.stdout.readline().strip() == ring.active_id
        new = keyring.add_key(path)
        keyring.activate(path, new)
        token = keyring.load(path).seal(b"sealed-later", CONTEXT)
        assert keyring.Keyring.key_id_of(token) == new
        worker.stdin.write(token + "\n")
        worker.stdin.flush()
        assert worker.stdout.readline().split() == ["sealed-later", new]
        worker.stdin.close()
    assert worker.returncode == 0


def test_threads_seal_and_open_while_keys_change(path, ring, monkeypatch):
    monkeypatch.setattr(keyring, "CHECK_INTERVAL_S", 0)
    held = keyring.load(path)
    errors = []
    done = threading.Event()

    def work(number):
        try:
            while not done.is_set():
                secret = b"secret %d" % number
                assert held.open(held.seal(secret, CONTEXT), CONTEXT) == secret
        except Exception as error:  # noqa: BLE001 - a thread has no other way to report
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        keyring.activate(path, keyring.add_key(path))
    done.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(held.ids) == 11


# --- the keyring of the process ---


def test_the_current_keyring_is_the_one_that_the_settings_name(path, ring, settings):
    settings.NETRAVEN_KEYRING_PATH = path
    assert keyring.current().active_id == ring.active_id
    assert keyring.current() is keyring.current()


def test_a_missing_current_keyring_is_an_error_until_it_is_there(path, settings):
    settings.NETRAVEN_KEYRING_PATH = path
    with pytest.raises(exc.KeyringMissing):
        keyring.current()
    made = keyring.create(path)
    assert keyring.current().active_id == made.active_id


def test_the_environment_can_hold_the_keyring_itself(path, ring, settings, monkeypatch):
    token = ring.seal(b"secret", CONTEXT)
    monkeypatch.setenv(keyring.JSON_VARIABLE, path.read_text())
    settings.NETRAVEN_KEYRING_PATH = path.parent / "not there"
    assert keyring.current().open(token, CONTEXT) == b"secret"
    assert keyring.current() is keyring.current()


def test_a_keyring_in_the_environment_is_read_only(path, ring, monkeypatch):
    before = path.read_text()
    monkeypatch.setenv(keyring.JSON_VARIABLE, before)
    for change in (
        lambda: keyring.add_key(path),
        lambda: keyring.activate(path, ring.active_id),
        lambda: keyring.remove_key(path, ring.active_id),
    ):
        with pytest.raises(exc.KeyringReadOnly, match=keyring.JSON_VARIABLE):
            change()
    assert path.read_text() == before


def test_a_bad_keyring_in_the_environment_names_the_variable_and_not_its_value(monkeypatch):
    monkeypatch.setenv(keyring.JSON_VARIABLE, '{"keys": "hunter2-hunter2"')
    with pytest.raises(exc.KeyringMalformed, match=keyring.JSON_VARIABLE) as caught:
        keyring.current()
    assert "hunter2" not in everything_said(caught.value)


def test_a_forked_child_is_not_stopped_by_a_lock_of_its_parent(path, ring, settings):
    settings.NETRAVEN_KEYRING_PATH = path
    with keyring._current_lock:
        child = os.fork()
        if child == 0:
            free = keyring._current_lock.acquire(blocking=False)
            os._exit(0 if free else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
