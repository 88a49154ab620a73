"""The keyring's file: making it, what is refused and in which words, changing its keys."""

from __future__ import annotations

import base64
import hashlib
import os
import stat
import threading
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from credentials import exceptions as exc
from credentials import keyring, keyring_file
from tests.credentials.sealed import CONTEXT, OTHER, document_of, everything_said, store

REPOSITORY = Path(keyring.__file__).resolve().parent.parent
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of other users")


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


def key_of(raw):
    return base64.urlsafe_b64encode(raw).decode()


# --- making one ---


def test_a_new_keyring_has_one_active_key_and_mode_0400(path):
    ring = keyring.create(path)
    document = document_of(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert ring.ids == (ring.active_id,)
    assert ring.active_id.startswith("k1-")
    assert set(document) == {"format", "active", "keys", "fingerprint_key", "audit_key"}
    assert set(document["keys"][0]) == {"id", "key", "created"}


def test_creating_leaves_no_other_file_behind(path, ring):
    assert os.listdir(path.parent) == ["keyring.json"]


@pytest.mark.parametrize("content", ["", "{}", "not ours"])
def test_creating_never_overwrites_what_is_there(path, content):
    path.write_text(content)
    with pytest.raises(exc.KeyringExists, match="left alone"):
        keyring.create(path)
    assert path.read_text() == content
    assert os.listdir(path.parent) == ["keyring.json"]


def test_creating_does_not_write_through_a_dangling_link(path):
    path.symlink_to(path.parent / "elsewhere.json")
    with pytest.raises(exc.KeyringExists):
        keyring.create(path)
    assert not (path.parent / "elsewhere.json").exists()


def test_creating_in_a_directory_that_does_not_exist_says_so(tmp_path):
    with pytest.raises(exc.KeyringUnreadable, match="create it"):
        keyring.create(tmp_path / "missing" / "keyring.json")


def test_creating_in_a_directory_that_everybody_can_write_to_is_refused(path):
    path.parent.chmod(0o777)
    with pytest.raises(exc.KeyringExposed, match="chmod o-w"):
        keyring.create(path)
    assert not path.exists()


# --- reading one ---


def test_a_missing_keyring_names_the_path_and_the_remedy(path):
    with pytest.raises(exc.KeyringMissing, match=r"manage\.py setup") as caught:
        keyring.load(path)
    assert str(path) in str(caught.value)


def test_a_path_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(exc.KeyringUnreadable, match=r"Not a directory.*owner and mode"):
        keyring.load(tmp_path / "file" / "keyring.json")


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo], ids=["directory", "fifo"])
def test_what_is_no_regular_file_is_refused_without_hanging(path, make):
    make(path)
    with pytest.raises(exc.KeyringError):
        keyring.load(path)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_that_only_its_owner_can_read_is_accepted(path, ring, mode):
    path.chmod(mode)
    assert keyring.load(path).active_id == ring.active_id


@pytest.mark.parametrize("mode", [0o640, 0o644, 0o660, 0o666, 0o444, 0o440, 0o604, 0o620])
def test_a_file_open_to_other_users_is_refused(path, ring, mode):
    path.chmod(mode)
    with pytest.raises(exc.KeyringExposed, match=rf"{mode:04o}.*chmod 400"):
        keyring.load(path)


@as_root
@pytest.mark.parametrize("mode", [0o444, 0o440])
def test_a_secret_mounted_read_only_by_root_is_accepted_when_the_operator_named_it(path, ring, mode, monkeypatch):
    monkeypatch.setenv(keyring.PATH_VARIABLE, str(path))
    path.chmod(mode)
    assert keyring.load(path).active_id == ring.active_id


@as_root
@pytest.mark.parametrize(("mode", "owner"), [(0o644, 0), (0o666, 0), (0o444, 12345)])
def test_naming_a_file_does_not_excuse_write_permission_or_another_owner(path, ring, mode, owner, monkeypatch):
    monkeypatch.setenv(keyring.PATH_VARIABLE, str(path))
    path.chmod(mode)
    os.chown(path, owner, -1)
    with pytest.raises(exc.KeyringExposed):
        keyring.load(path)


def test_a_directory_that_everybody_can_write_to_is_refused(path, ring):
    path.parent.chmod(0o777)
    with pytest.raises(exc.KeyringExposed, match="chmod o-w"):
        keyring.load(path)


def test_a_sticky_directory_like_tmp_is_accepted(path, ring):
    path.parent.chmod(0o1777)
    assert keyring.load(path).active_id == ring.active_id


# Each changes a valid document into a malformed one.
MALFORMED = {
    "an unknown format": lambda d: d.update(format=2),
    "no active key": lambda d: d.pop("active"),
    "an active key that is not there": lambda d: d.update(active="k9-00000000"),
    "an active key that is no text": lambda d: d.update(active=["k1"]),
    "no keys": lambda d: d.update(keys=[]),
    "keys that are no list": lambda d: d.update(keys={"id": "k1"}),
    "a key that is a bare text": lambda d: d.update(keys=[d["keys"][0]["key"]]),
    "a key without a date": lambda d: d["keys"][0].pop("created"),
    "a key text in the place of the id": lambda d: d["keys"][0].update(id=d["keys"][0]["key"]),
    "an id with a colon": lambda d: d["keys"][0].update(id="k1:x"),
    "no fingerprint key": lambda d: d.pop("fingerprint_key"),
    "no audit key": lambda d: d.pop("audit_key"),
    "an entry from the future": lambda d: d.update(escrow="x"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_document_of_another_form_is_refused_without_quoting_it(path, ring, name):
    document = document_of(path)
    texts = [document["keys"][0]["key"], document["fingerprint_key"], document["audit_key"]]
    MALFORMED[name](document)
    store(path, document)
    with pytest.raises(exc.KeyringMalformed, match="restore it from a backup") as caught:
        keyring.load(path)
    assert not [text for text in texts if text in everything_said(caught.value)]


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "7", "\x00" * 20, "[" * 100_000, " " * 2_000_000])
def test_what_is_no_json_object_is_refused(path, content):
    store(path, content)
    with pytest.raises(exc.KeyringMalformed):
        keyring.load(path)


def test_a_broken_document_stands_nowhere_in_the_error(path, ring):
    key = document_of(path)["keys"][0]["key"]
    store(path, path.read_text().rstrip().removesuffix("}"))
    with pytest.raises(exc.KeyringMalformed) as caught:
        keyring.load(path)
    assert key not in everything_said(caught.value)


WEAK = {
    "empty": "",
    "no text": 7,
    "short": key_of(os.urandom(31)),
    "long": key_of(os.urandom(33)),
    "standard base64": "+/" + key_of(os.urandom(32))[2:],
    "padding missing": key_of(os.urandom(32)).rstrip("="),
    "spare bits set": key_of(hashlib.sha256(b"").digest()).replace("FU=", "FV="),
    "trailing line end": key_of(os.urandom(32)) + "\n",
    "all zero": key_of(bytes(32)),
    "a pattern": key_of(b"0123456789abcdef" * 2),
    "few values": key_of(bytes([1, 200, 3, 150, 7, 90, 11, 240] * 4)),
    "a run": key_of(bytes(range(32))),
    "a passphrase": key_of(b"Summer-2026! the quick brown fox"),
    "hexadecimal": key_of(b"0f1e2d3c4b5a69788796a5b4c3d2e1f0"),
}


@pytest.mark.parametrize("name", WEAK)
@pytest.mark.parametrize("place", ["key", "fingerprint_key", "audit_key"])
def test_a_weak_key_is_refused_by_name_and_not_by_text(path, ring, place, name):
    document = document_of(path)
    (document["keys"][0] if place == "key" else document)[place] = WEAK[name]
    store(path, document)
    with pytest.raises(exc.WeakKey) as caught:
        keyring.load(path)
    said = everything_said(caught.value).replace(str(path), "")
    assert (ring.active_id if place == "key" else place) in said
    assert not isinstance(WEAK[name], str) or not WEAK[name] or WEAK[name].strip() not in said


def test_two_keys_with_one_id_are_refused(path, ring):
    document = document_of(path)
    document["keys"].append({**document["keys"][0], "key": Fernet.generate_key().decode()})
    store(path, document)
    with pytest.raises(exc.DuplicateKey, match=f"{ring.active_id} twice"):
        keyring.load(path)


@pytest.mark.parametrize("place", ["keys", "fingerprint_key", "audit_key"])
def test_one_key_in_two_places_is_refused(path, ring, place):
    document = document_of(path)
    key = document["keys"][0]["key"]
    if place == "keys":
        document["keys"].append({**document["keys"][0], "id": "k2-00000000"})
    else:
        document[place] = key
    store(path, document)
    with pytest.raises(exc.DuplicateKey) as caught:
        keyring.load(path)
    assert key not in everything_said(caught.value)


# --- changing keys ---


def test_an_added_key_is_not_active_yet(path, ring):
    new = keyring.add_key(path)
    after = keyring.load(path)
    assert after.ids == (ring.active_id, new)
    assert after.active_id == ring.active_id
    assert new.startswith("k2-")


def test_the_activated_key_seals_and_the_former_one_still_opens(path, ring):
    token = ring.seal(b"secret", CONTEXT)
    new = keyring.add_key(path)
    keyring.activate(path, new)
    after = keyring.load(path)
    assert after.key_id_of(after.seal(b"x", CONTEXT)) == new
    assert after.open(token, CONTEXT) == b"secret"


@pytest.mark.parametrize("form", [str, bytes])
def test_a_rotated_token_keeps_content_context_and_type(path, ring, form):
    token = (ring.seal if form is str else ring.seal_bytes)(b"secret", CONTEXT)
    new = keyring.add_key(path)
    keyring.activate(path, new)
    after = keyring.load(path)
    rotated = after.rotate_token(token)
    assert isinstance(rotated, form)
    assert after.key_id_of(rotated) == new
    assert after.open(rotated, CONTEXT) == b"secret"
    with pytest.raises(exc.SecretMisplaced):
        after.open(rotated, OTHER)
    assert after.rotate_token(rotated) == rotated


def test_a_damaged_token_is_not_rotated(path, ring):
    token = ring.seal(b"secret", CONTEXT)
    keyring.activate(path, keyring.add_key(path))
    with pytest.raises(exc.SecretDamaged):
        keyring.load(path).rotate_token(token[:-8] + "AAAAAAA=")


def test_a_removed_key_opens_nothing_any_more(path, ring):
    token = ring.seal(b"secret", CONTEXT)
    new = keyring.add_key(path)
    keyring.activate(path, new)
    keyring.remove_key(path, ring.key_id_of(token))
    assert keyring.load(path).ids == (new,)
    with pytest.raises(exc.UnknownKey):
        keyring.load(path).open(token, CONTEXT)


def test_the_active_key_cannot_be_removed(path, ring):
    before = path.read_text()
    with pytest.raises(exc.KeyInUse, match="activate another key first"):
        keyring.remove_key(path, ring.active_id)
    assert path.read_text() == before


@pytest.mark.parametrize("change", [keyring.activate, keyring.remove_key])
def test_changing_a_key_that_is_not_there_lists_those_that_are(path, ring, change):
    with pytest.raises(exc.UnknownKey, match=ring.active_id) as caught:
        change(path, "a-mistyped-id-that-might-be-a-key")
    assert "mistyped" not in str(caught.value)


def test_a_change_keeps_the_mode_and_leaves_no_other_file(path, ring):
    path.chmod(0o400)
    keyring.add_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert os.listdir(path.parent) == ["keyring.json"]


@as_root
def test_a_change_made_by_root_leaves_the_file_with_the_service(path, ring):
    os.chown(path, 12345, 12346)
    keyring.add_key(path)
    info = path.stat()
    assert (info.st_uid, info.st_gid, stat.S_IMODE(info.st_mode)) == (12345, 12346, 0o400)


def test_a_change_through_a_link_changes_the_file_behind_it(path, ring):
    link = path.parent / "link.json"
    link.symlink_to(path)
    new = keyring.add_key(link)
    assert link.is_symlink()
    assert new in keyring.load(path).ids


def test_what_a_killed_change_left_behind_is_removed_by_the_next(path, ring):
    left_over = path.with_name(".keyring.json.new")
    left_over.write_text("half a key")
    keyring.add_key(path)
    assert not left_over.exists()


def test_a_failing_change_leaves_the_old_file(path, ring, monkeypatch):
    before = path.read_text()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keyring_file.os, "fsync", full)
    with pytest.raises(exc.KeyringUnreadable, match="No space left"):
        keyring.add_key(path)
    assert path.read_text() == before
    assert os.listdir(path.parent) == ["keyring.json"]


def test_a_malformed_file_is_not_rewritten(path, ring):
    store(path, "{")
    with pytest.raises(exc.KeyringMalformed):
        keyring.add_key(path)
    assert path.read_text() == "{"


def test_parallel_changes_lose_no_key(path, ring):
    added = []
    threads = [threading.Thread(target=lambda: added.append(keyring.add_key(path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(added)) == 8
    assert set(keyring.load(path).ids) == {ring.active_id, *added}
