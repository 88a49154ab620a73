"""`setup`: makes what is missing, leaves alone what is there, and says in one sentence what it cannot do."""

from __future__ import annotations

import json
import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.netraven_site.instance import REPOSITORY, Instance


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return Instance(tmp_path / "home")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("prepared") / "home"
    Instance(home).setup()
    return home


@pytest.fixture
def ready(prepared: Path, tmp_path: Path) -> Instance:
    """An instance that was set up before."""
    shutil.copytree(prepared, tmp_path / "home")
    return Instance(tmp_path / "home")


def report(instance: Instance, *arguments: str, **variables: str) -> dict[str, Any]:
    done = instance.manage("setup", "--json", *arguments, **variables)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def refusal(instance: Instance, *arguments: str) -> str:
    """The one line that setup, run with the rights of a plain user, gives as its reason."""
    done = instance.manage("setup", "--no-input", *arguments, plain_user=True)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.strip().count("\n") == 0, done.stderr
    return done.stderr


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_first_setup_makes_everything_for_its_user_alone(instance: Instance) -> None:
    made = report(instance)
    assert made["migrations"] > 0
    assert made["admin"]["username"] == "admin"
    for path in (".env", "keyring.json", "var", "var/log", "var/netraven.sqlite3"):
        assert stat.S_IMODE((instance.home / path).stat().st_mode) & 0o077 == 0, path
    check = instance.manage("check")
    assert check.returncode == 0, check.stderr


def test_a_second_setup_changes_nothing(ready: Instance) -> None:
    before = contents(ready.home)
    again = report(ready)
    assert (again["created"], again["migrations"], again["admin"]) == ([], 0, None)
    assert contents(ready.home) == before


def test_the_password_works_and_is_kept_nowhere(instance: Instance) -> None:
    admin = report(instance, "--username", "olga")["admin"]
    code = (
        "from django.contrib.auth import authenticate;"
        f"print(authenticate(username='olga', password={admin['password']!r}).is_superuser)"
    )
    assert instance.shell(code) == "True"
    assert not [path for path, data in contents(instance.home).items() if admin["password"].encode() in data]


def test_a_person_is_told_the_password_once(instance: Instance) -> None:
    first = instance.manage("setup", "--no-input").stdout
    second = instance.manage("setup", "--no-input").stdout
    assert "Password:" in first
    assert "Password:" not in second


def test_each_instance_has_a_secret_of_its_own(tmp_path: Path) -> None:
    first, second = Instance(tmp_path / "one"), Instance(tmp_path / "two")
    first.setup()
    second.setup()
    assert (first.home / ".env").read_text() != (second.home / ".env").read_text()
    assert (first.home / "keyring.json").read_text() != (second.home / "keyring.json").read_text()


def test_a_secret_key_of_the_environment_needs_no_file(instance: Instance) -> None:
    report(instance, NETRAVEN_SECRET_KEY="x" * 60)
    assert not (instance.home / ".env").exists()


def test_a_keyring_that_lies_elsewhere_is_used_where_it_is(instance: Instance, tmp_path: Path) -> None:
    instance.env["NETRAVEN_KEYRING"] = str(tmp_path / "mounted.json")
    report(instance)
    assert (tmp_path / "mounted.json").is_file()
    assert not (instance.home / "keyring.json").exists()


def test_a_folder_with_odd_characters_in_its_name_will_do(tmp_path: Path) -> None:
    instance = Instance(tmp_path / "it's 100% my+home #1?")
    report(instance)
    assert (instance.home / "var" / "netraven.sqlite3").is_file()


def test_an_administrator_who_exists_is_left_alone(ready: Instance) -> None:
    assert report(ready, "--username", "second")["admin"] is None


def test_a_plain_user_is_not_made_administrator(ready: Instance) -> None:
    ready.shell("from django.contrib.auth.models import User; User.objects.update(is_superuser=False)")
    assert "choose another --username" in refusal(ready)


def test_an_impossible_user_name_is_refused(instance: Instance) -> None:
    assert "--username NAME" in refusal(instance, "--username", "a b")


def test_a_home_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0o500)
    message = refusal(Instance(locked / "home"))
    assert str(locked / "home") in message
    assert "NETRAVEN_HOME" in message


def test_a_read_only_database_is_refused_and_nothing_is_half_written(ready: Instance) -> None:
    database = ready.home / "var" / "netraven.sqlite3"
    with sqlite3.connect(database) as connection:
        connection.execute("DELETE FROM django_migrations WHERE app = 'sessions'")
    connection.close()
    before = database.read_bytes()
    database.chmod(0o400)
    message = refusal(ready)
    assert str(database) in message
    assert "DATABASE_URL" in message
    assert database.read_bytes() == before


def test_a_damaged_database_is_refused(ready: Instance) -> None:
    (ready.home / "var" / "netraven.sqlite3").write_bytes(b"no database" * 100)
    assert "netraven.sqlite3" in refusal(ready)


def test_an_env_file_without_the_secret_key_is_left_alone_and_named(instance: Instance) -> None:
    instance.home.mkdir()
    dotenv = instance.home / ".env"
    dotenv.write_text("NETRAVEN_PORT=8123\n")
    assert f"{dotenv} exists and does not set NETRAVEN_SECRET_KEY" in refusal(instance)
    assert dotenv.read_text() == "NETRAVEN_PORT=8123\n"


@pytest.mark.parametrize("data", [b"NETRAVEN_SECRET_KEY hunter2-canary\n", b"A=\xff\n", b"= hunter2-canary\n"])
def test_a_malformed_env_file_is_refused_without_quoting_it(data: bytes, instance: Instance) -> None:
    instance.home.mkdir()
    (instance.home / ".env").write_bytes(data)
    message = refusal(instance)
    assert str(instance.home / ".env") in message
    assert "NAME=value" in message
    assert "canary" not in message


def test_an_env_file_of_somebody_else_is_refused(ready: Instance) -> None:
    (ready.home / ".env").chmod(0o000)
    assert "cannot be read" in refusal(ready)


@pytest.mark.parametrize(
    ("line", "variable"),
    [
        ("NETRAVEN_WORKERS=eighty", "NETRAVEN_WORKERS"),
        ("NETRAVEN_HTTPS=perhaps", "NETRAVEN_HTTPS"),
        ("NETRAVEN_LOG_LEVEL=LOUD", "NETRAVEN_LOG_LEVEL"),
        ("NETRAVEN_TIME_ZONE=Mars/Phobos", "NETRAVEN_TIME_ZONE"),
        ("DATABASE_URL=oracle://u:p@h/n", "DATABASE_URL"),
    ],
)
def test_a_setting_that_cannot_be_read_is_one_sentence(line: str, variable: str, instance: Instance) -> None:
    instance.home.mkdir()
    (instance.home / ".env").write_text(f"{line}\n")
    assert variable in refusal(instance)


def test_a_lost_keyring_is_not_replaced_while_sealed_rows_exist(ready: Instance) -> None:
    ready.shell(
        "from credentials.services import *; create_credential(name='c', username='u', tags=['t'],"
        " secrets=SecretsInput(password='p'))"
    )
    (ready.home / "keyring.json").unlink()
    message = refusal(ready)
    assert "put it back from your backup" in message
    assert not (ready.home / "keyring.json").exists()


def test_a_damaged_keyring_is_refused_and_left_alone(ready: Instance) -> None:
    (ready.home / "keyring.json").chmod(0o600)
    (ready.home / "keyring.json").write_text("{}")
    assert "is no keyring" in refusal(ready)
    assert (ready.home / "keyring.json").read_text() == "{}"


def test_two_setups_at_once_do_each_step_once(instance: Instance) -> None:
    command = [sys.executable, "manage.py", "setup", "--json", "--no-input"]
    runs = [
        subprocess.Popen(command, cwd=REPOSITORY, env=instance.env, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    reports = [json.loads(run.communicate(timeout=120)[0]) for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert sorted(bool(one["admin"]) for one in reports) == [False, True]


def test_manage_finds_its_environment_from_any_folder(ready: Instance, tmp_path: Path) -> None:
    done = subprocess.run(
        [REPOSITORY / "manage.py", "check"], cwd=tmp_path, env=ready.env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
