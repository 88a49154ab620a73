"""Each unsafe or contradictory setting has a check with an id, and the settings as shipped have none."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from pytest_django import Settings

from credentials import keyring
from tests.netraven_site.instance import Instance

# One check looks into the database whether the triggers of the audit trail are there.
pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore:Overriding setting DATABASES")]


@pytest.fixture(autouse=True)
def sound(settings: Settings, tmp_path: Path) -> None:
    """Settings with nothing to say about, whatever the developer's own instance looks like."""
    settings.SECRET_KEY_IS_SET = True
    settings.NETRAVEN_KEYRING_PATH = tmp_path / "keyring.json"
    keyring.create(settings.NETRAVEN_KEYRING_PATH)
    options = {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL;"}
    sqlite(settings, tmp_path / "netraven.sqlite3", options)


def sqlite(settings: Settings, name: Path | str, options: dict[str, Any]) -> None:
    config = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(name), "OPTIONS": options}
    settings.DATABASES = {"default": {**settings.DATABASES["default"], **config}}


def found() -> set[str]:
    ours = ("netraven.", "credentials.")
    return {str(message.id) for message in run_checks() if str(message.id).startswith(ours)}


def test_the_settings_as_shipped_have_nothing_to_say_about() -> None:
    assert found() == set()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"SECRET_KEY_IS_SET": False}, "netraven.E001"),
        ({"DEBUG": True, "NETRAVEN_HOST": "0.0.0.0", "HTTPS": True}, "netraven.E002"),
        ({"ALLOWED_HOSTS": ["*"]}, "netraven.W001"),
        ({"NETRAVEN_HOST": "::", "HTTPS": False}, "netraven.W002"),
        ({"NETRAVEN_DEVICE_DEADLINE_S": 3600}, "netraven.E014"),
        ({"NETRAVEN_HOST_KEY_POLICY": "never-mind"}, "netraven.E030"),
        ({"NETRAVEN_CONNECT_TIMEOUT_S": 400}, "netraven.E031"),
        ({"NETRAVEN_GUARD_CENTRAL_LIMIT": 50}, "netraven.W030"),
        ({"NETRAVEN_GUARD_IN_FLIGHT": 9}, "netraven.W031"),
        ({"NETRAVEN_GUARD_WINDOW_S": 5}, "netraven.W032"),
    ],
)
def test_a_doubtful_setting_is_found(changes: dict[str, Any], expected: str, settings: Settings) -> None:
    for name, value in changes.items():
        setattr(settings, name, value)
    assert found() == {expected}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"max_attempts": 0}, "netraven.E010"),
        ({"ack_failures": False}, "netraven.E010"),
        ({"queue_limit": 4}, "netraven.E010"),
        ({"save_limit": 250}, "netraven.E010"),
        ({"recycle": 500}, "netraven.E010"),
        ({"retry": 60}, "netraven.E011"),
        ({"timeout": None}, "netraven.E011"),
        ({"redis": "redis://127.0.0.1:6379/0"}, "netraven.E012"),
        ({"orm": None}, "netraven.E012"),
        ({"orm": None, "redis": "http://127.0.0.1"}, "netraven.E013"),
    ],
)
def test_task_settings_that_repeat_or_lose_tasks_are_found(
    changes: dict[str, Any], expected: str, settings: Settings
) -> None:
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "orm": "default", "redis": None, **changes}
    assert found() == {expected}


@pytest.mark.parametrize(
    "options",
    [
        {"init_command": "PRAGMA journal_mode=WAL;"},
        {"transaction_mode": "DEFERRED", "init_command": "PRAGMA journal_mode=WAL;"},
        {"transaction_mode": "IMMEDIATE"},
    ],
)
def test_sqlite_options_that_lose_writes_are_found(options: dict[str, Any], settings: Settings, tmp_path: Path) -> None:
    sqlite(settings, tmp_path / "netraven.sqlite3", options)
    assert found() == {"netraven.E021"}


def test_a_database_in_memory_is_found(settings: Settings) -> None:
    sqlite(settings, ":memory:", settings.DATABASES["default"]["OPTIONS"])
    assert found() == {"netraven.E022"}


def test_a_missing_database_folder_is_found(settings: Settings, tmp_path: Path) -> None:
    sqlite(settings, tmp_path / "nowhere" / "x.sqlite3", settings.DATABASES["default"]["OPTIONS"])
    assert found() == {"netraven.E023"}


def test_a_read_only_database_is_found(tmp_path: Path) -> None:
    instance = Instance(tmp_path / "home")
    instance.setup()
    (instance.home / "var" / "netraven.sqlite3").chmod(0o400)
    assert "netraven.E024" in instance.manage("check", plain_user=True).stderr


def test_an_unsupported_database_is_found(settings: Settings) -> None:
    settings.DATABASES = {"default": {"ENGINE": "django.db.backends.mysql", "NAME": "x"}}
    assert "netraven.E020" in found()


def test_a_missing_keyring_is_found(settings: Settings, tmp_path: Path) -> None:
    settings.NETRAVEN_KEYRING_PATH = tmp_path / "other.json"
    assert found() == {"credentials.E001"}


@pytest.mark.parametrize(
    ("text", "mode", "expected"),
    [
        (None, 0o644, "credentials.E003"),
        ("{}", 0o600, "credentials.E004"),
        ("not even JSON", 0o600, "credentials.E004"),
    ],
)
def test_a_doubtful_keyring_is_found(
    text: str | None, mode: int, expected: str, settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "doubtful.json"
    keyring.create(path)
    if text is not None:
        path.chmod(0o600)
        path.write_text(text)
    path.chmod(mode)
    settings.NETRAVEN_KEYRING_PATH = path
    assert found() == {expected}


def test_a_keyring_in_the_environment_is_warned_about(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring.create(tmp_path / "ring.json")
    monkeypatch.setenv(keyring.JSON_VARIABLE, (tmp_path / "ring.json").read_text())
    assert "credentials.W001" in found()


def test_a_chosen_key_is_found(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "weak.json"
    keyring.create(path)
    key = keyring_key(path)
    path.chmod(0o600)
    path.write_text(path.read_text().replace(key, "A" * 43 + "="))
    settings.NETRAVEN_KEYRING_PATH = path
    assert found() == {"credentials.E005"}


def keyring_key(path: Path) -> str:
    return str(json.loads(path.read_text())["keys"][0]["key"])


def test_the_deployment_check_is_clean_in_the_production_setting(tmp_path: Path) -> None:
    instance = Instance(
        tmp_path / "home",
        NETRAVEN_HTTPS="yes",
        NETRAVEN_BEHIND_PROXY="yes",
        NETRAVEN_SECRET_KEY=secrets.token_urlsafe(64),
        NETRAVEN_ALLOWED_HOSTS="netraven.example.com",
    )
    instance.setup()
    done = instance.manage("check", "--deploy", "--fail-level", "WARNING")
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


def test_every_other_command_is_stopped_without_a_secret_key(tmp_path: Path) -> None:
    done = Instance(tmp_path / "home").manage("createsuperuser", "--no-input")
    assert done.returncode != 0
    assert "netraven.E001" in done.stderr
    assert not (tmp_path / "home").exists()
