"""The kind `key_rotation`, as a run."""

from __future__ import annotations

import pytest

from credentials import keyring
from credentials.key_rotation import rows_by_key
from tests.credentials.sealed import column, overwrite
from tests.jobs.fleet import credential, run_now

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def after(tmp_path, settings, monkeypatch):
    """Two secrets under the first key, and the second one active."""
    monkeypatch.setattr(keyring, "CHECK_INTERVAL_S", 0.05)
    settings.NETRAVEN_KEYRING_PATH = path = tmp_path / "keyring.json"
    keyring.create(path)
    credential("a", "x"), credential("b", "y", enable_secret="z")
    key_id = keyring.add_key(path)
    keyring.activate(path, key_id)
    keyring.current().refresh()
    return key_id


def test_a_run_ends_with_everything_under_the_active_key(after):
    run, _ = run_now("key_rotation")
    assert run.status == "succeeded"
    assert rows_by_key() == {after: 3}
    assert run.summary == {
        "active_key": after,
        "done": 3,
        "left": 0,
        "bad": [],
        "complete": True,
        "rows_by_key": {after: 3},
    }


def test_a_value_that_cannot_be_opened_fails_the_run_and_is_named(after):
    from credentials.models import Credential

    row = Credential.objects.get(name="a")
    token = column(row)
    overwrite(row, token[:-8] + ("AAAA" if token[-8:-4] != "AAAA" else "BBBB") + token[-4:])
    run, _ = run_now("key_rotation")
    assert run.status == "failed"
    assert f"credentials.Credential {row.pk} password" in run.message
    assert rows_by_key()[after] == 2


def test_a_second_run_finds_nothing_to_do(after):
    run_now("key_rotation")
    run, _ = run_now("key_rotation")
    assert (run.status, run.summary["done"]) == ("succeeded", 0)
