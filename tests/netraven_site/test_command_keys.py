"""`manage.py keys`: what it prints, what it refuses, and with which exit code."""

from __future__ import annotations

import json

import pytest

from credentials import doctor, keyring
from credentials.key_readers import KeyReader
from jobs.models import Run
from tests.commands import run
from tests.credentials.sealed import column, make, overwrite

pytestmark = pytest.mark.django_db
PHRASE = b"correct horse battery staple\n"


@pytest.fixture(autouse=True)
def path(tmp_path, settings, monkeypatch):
    monkeypatch.delenv(keyring.JSON_VARIABLE, raising=False)
    monkeypatch.setattr(keyring, "CHECK_INTERVAL_S", 0.05)
    monkeypatch.setattr(doctor, "_look_at_trail", lambda findings: None)  # the test run's is of another keyring
    settings.NETRAVEN_KEYRING_PATH = tmp_path / "keyring.json"
    keyring.create(settings.NETRAVEN_KEYRING_PATH)
    return settings.NETRAVEN_KEYRING_PATH


def keys(*arguments, stdin=b""):
    return run("keys", *arguments, stdin=stdin)


def report(*arguments, stdin=b""):
    done = keys(*arguments, "--json", stdin=stdin)
    return json.loads(done.out)


def listed():
    return {key["id"]: key for key in report("list")}


def active():
    return next(key["id"] for key in listed().values() if key["active"])


def test_the_list_as_json_has_id_active_and_rows_of_each_key():
    make()
    (key,) = report("list")
    assert (key["active"], key["rows"]) == (True, 1)
    assert key["id"].startswith("k1-")


def test_the_life_of_a_key_from_the_command_line():
    make(), make(name="second")
    before = active()
    new = report("add")["id"]
    assert (listed()[new]["active"], listed()[new]["rows"]) == (False, 0)
    assert keys("retire", before).code == 1
    assert keys("activate", new).code == 0
    assert active() == new
    done = keys("rotate")
    assert done.code == 0, done.err
    assert "2 values were re-encrypted" in done.out
    assert "100 % of the sealed values open" in done.out
    assert f"keys retire {before}" in done.out
    assert keys("retire", before).code == 0
    assert [key["id"] for key in report("list")] == [new]


def test_rotating_again_finds_nothing_to_do_and_looks_all_the_same():
    make()
    done = report("rotate")
    assert (done["done"], done["complete"], done["doctor"]["opened"]) == (0, True, 1)


def test_a_value_that_does_not_open_is_named_and_the_exit_code_is_1():
    row = make()
    token = column(row)
    overwrite(row, token[:-8] + ("AAAA" if token[-8:-4] != "AAAA" else "BBBB") + token[-4:])
    done = keys("doctor")
    assert done.code == 1
    assert f"credentials.Credential {row.pk} password: This sealed value is damaged" in done.out
    assert "0 of 1 of the sealed values open" in done.out
    found = report("doctor")
    assert (found["healthy"], found["bad"][0]["pk"], found["bad"][0]["field"]) == (False, row.pk, "password")
    keys("activate", report("add")["id"])
    assert keys("rotate").code == 1


def test_what_is_damaged_shows_nothing_of_itself_but_its_place():
    row = make()
    token = column(row)
    overwrite(row, token[:-2])
    done = keys("doctor")
    assert token[10:40] not in done.out + done.err


def test_activating_says_which_live_host_does_not_read_the_key():
    before = active()
    new = report("add")["id"]
    from django.utils import timezone

    KeyReader.objects.create(host="far", part="worker", keys=[before], at=timezone.now())
    done = keys("activate", new, "--wait", "0")
    assert (done.code, "worker on far" in done.err) == (1, True)
    assert active() == before
    assert "worker on far" in listed()[new]["not_read_by"]


def test_forcing_warns_about_each_host_that_it_forgets():
    from datetime import timedelta

    from django.utils import timezone

    before = active()
    new = report("add")["id"]
    KeyReader.objects.create(host="gone", part="worker", keys=[before], at=timezone.now() - timedelta(hours=3))
    assert keys("activate", new).code == 1
    done = keys("activate", new, "--force")
    assert (done.code, "worker on gone was silent and is forgotten" in done.err) == (0, True)


@pytest.mark.parametrize("action", ["activate", "retire"])
def test_a_key_that_does_not_exist_is_wrong_use_and_the_others_are_named(action):
    done = keys(action, "k9-nothere")
    assert (done.code, active() in done.err) == (2, True)


@pytest.mark.django_db(transaction=True)
def test_rotating_as_a_job_starts_a_run():
    done = report("rotate", "--job")
    assert Run.objects.get(pk=done["run"]).kind == "key_rotation"


def test_backup_and_restoration_from_the_command_line(path, tmp_path):
    make()
    backup = tmp_path / "backup"
    assert keys("backup", str(backup), "--passphrase-stdin", stdin=PHRASE).code == 0
    path.unlink()
    assert report("restore", str(backup), "--passphrase-stdin", stdin=PHRASE)["what"] == "created"
    assert keys("doctor").code == 0


def test_the_passphrase_may_come_from_a_file(tmp_path):
    (tmp_path / "phrase").write_bytes(PHRASE)
    assert keys("backup", str(tmp_path / "out"), "--passphrase-file", str(tmp_path / "phrase")).code == 0
    done = keys("restore", str(tmp_path / "out"), "--passphrase-stdin", stdin=PHRASE)
    assert (done.code, "had them all" in done.out) == (0, True)


def test_without_a_terminal_the_passphrase_must_be_announced(tmp_path):
    done = keys("backup", str(tmp_path / "out"), stdin=PHRASE)
    assert (done.code, "--passphrase-stdin" in done.err) == (2, True)
    assert not (tmp_path / "out").exists()


def test_a_wrong_passphrase_is_refused_with_exit_code_1(tmp_path):
    keys("backup", str(tmp_path / "out"), "--passphrase-stdin", stdin=PHRASE)
    done = keys("restore", str(tmp_path / "out"), "--passphrase-stdin", stdin=b"some other words\n")
    assert (done.code, "wrong" in done.err, "other words" in done.err) == (1, True, False)


def test_an_empty_passphrase_is_refused(tmp_path):
    assert keys("backup", str(tmp_path / "out"), "--passphrase-stdin", stdin=b"\n").code == 2


def test_a_keyring_in_the_environment_is_listed_and_not_changed(monkeypatch, path):
    monkeypatch.setenv(keyring.JSON_VARIABLE, path.read_text())
    assert len(report("list")) == 1
    done = keys("add")
    assert (done.code, "NETRAVEN_KEYRING" in done.err) == (2, True)
