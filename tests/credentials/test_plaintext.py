"""Who may open a login: a worker at work, and nobody else."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from credentials import keyring, plaintext
from credentials.exceptions import NoWorker
from credentials.models import Credential
from credentials.store import get_store
from tests.credentials.sealed import ANY, PASSWORD, make

pytestmark = pytest.mark.django_db
REPOSITORY = Path(keyring.__file__).resolve().parent.parent


@pytest.fixture
def no_worker(monkeypatch):
    monkeypatch.setattr(plaintext, "_openers", 0)


@pytest.mark.parametrize("field", ["password", "enable_secret", "private_key", "passphrase"])
def test_a_process_that_is_no_worker_opens_no_secret_of_a_login(field, no_worker):
    row = make(enable_secret="e", private_key="k", passphrase="p")
    with pytest.raises(NoWorker, match=r"opened by a worker alone.*keys doctor"):
        getattr(row, field).reveal(ANY)


def test_nor_does_the_store(no_worker):
    row = make()
    with pytest.raises(NoWorker):
        get_store().open(row.pk, grant=ANY)


def test_a_worker_opens_it_for_as_long_as_it_is_at_work(no_worker):
    secret = make().password
    with plaintext.logins_may_be_opened():
        with plaintext.logins_may_be_opened():
            pass
        assert secret.reveal(ANY) == PASSWORD
    with pytest.raises(NoWorker):
        secret.reveal(ANY)


def test_it_may_no_more_once_its_work_failed(no_worker):
    def fail():
        with plaintext.logins_may_be_opened():
            raise ValueError

    with pytest.raises(ValueError):
        fail()
    with pytest.raises(NoWorker):
        plaintext.require_worker()


def test_what_a_worker_forks_is_no_worker():
    with plaintext.logins_may_be_opened():
        child = os.fork()
        if child == 0:
            try:
                plaintext.require_worker()
                os._exit(0)
            except NoWorker:
                os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_only_the_work_on_a_shard_may_open_logins():
    found = subprocess.run(
        ["grep", "-rl", "--include=*.py", "logins_may_be_opened()", "credentials", "devices", "jobs", "netraven_site"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert sorted(found.stdout.split()) == ["credentials/plaintext.py", "jobs/engine/shard.py"]


def test_sealing_what_was_typed_is_remembered_and_loading_a_row_is_not(monkeypatch):
    row = make()
    monkeypatch.setattr(plaintext, "_sealed_at", None)
    Credential.objects.get(pk=row.pk)
    assert plaintext.sealed_s_ago() is None
    row.password = "typed"
    first = plaintext.sealed_s_ago()
    assert first is not None
    row.password = "typed again"
    assert plaintext.sealed_s_ago() >= first
