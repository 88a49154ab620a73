"""The first start of an instance: its folder, `.env`, keyring, database and first administrator.

Every step leaves alone what is there, so that doing it all again changes nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import Error as DatabaseFailure
from django.db import connection, transaction

from credentials import exceptions, keyring
from credentials.keyring_match import require_own_keyring
from credentials.models import Credential
from devices.models import ConfigVersion
from netraven_site.env import Reader
from netraven_site.processes import preflight

SECRET_KEY_VARIABLE = "NETRAVEN_SECRET_KEY"  # noqa: S105 - the name of a variable
_USERNAME = re.compile(r"[\w.@+-]{1,150}")


class SetupError(Exception):
    """A step cannot be done; `str()` is one sentence with what to do. Earlier steps stay done."""


@dataclass
class Report:
    """What was done and what was left alone, in words; the password is in no other place."""

    home: Path
    created: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    migrations: int = 0
    username: str = ""
    password: str = field(default="", repr=False)


def prepare_files(home: Path) -> Report:
    """Make folder, `var/`, `.env` and keyring where they are missing. Raises SetupError."""
    report = Report(home)
    with _explained(home):
        for folder in (home, home / "var", home / "var" / "log"):
            _make_folder(folder, report)
        with _alone(home / "var" / "setup.lock"):
            _make_dotenv(home / ".env", report)
            _make_keyring(report)
    return report


def prepare_database(report: Report) -> None:
    """Apply the migrations that are missing. Raises SetupError."""
    with _alone(report.home / "var" / "setup.lock"):
        try:
            preflight.probe_database()
            report.migrations = preflight.unapplied_migrations()
            if report.migrations:
                call_command("migrate", interactive=False, verbosity=0)
            require_own_keyring()
        except exceptions.KeyringError as error:
            raise SetupError(str(error)) from None
        except preflight.NotReady as error:
            raise SetupError(str(error)) from None
        except DatabaseFailure as error:
            raise SetupError(
                f"{preflight.describe_database()} could not be migrated ({error}): mend that and run setup again."
            ) from None


def needs_administrator() -> bool:
    """Whether nobody can administer this instance yet."""
    return not User.objects.filter(is_superuser=True, is_active=True).exists()


def create_administrator(report: Report, username: str) -> None:
    """Make a superuser with a random password, which only the report holds. Raises SetupError."""
    if not _USERNAME.fullmatch(username):
        raise SetupError(
            f"{username!r} is no user name: up to 150 letters, digits and @ . + - _ , with --username NAME."
        )
    password = secrets.token_urlsafe(15)
    with _alone(report.home / "var" / "setup.lock"), transaction.atomic():
        if not needs_administrator():
            return
        if User.objects.filter(username=username).exists():
            raise SetupError(f"The user {username} exists and is no active administrator: choose another --username.")
        User.objects.create_superuser(username, email="", password=password)
    report.username, report.password = username, password
    report.created.append(f"administrator {username}")


# --- steps ------------------------------------------------------------------------------------------------


def _make_folder(folder: Path, report: Report) -> None:
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True)
        report.created.append(f"folder {folder}")


def _make_dotenv(path: Path, report: Report) -> None:
    if path.exists():
        # Another setup may have written it since this process read its settings.
        if not settings.SECRET_KEY_IS_SET and (secret := Reader(path.parent).text(SECRET_KEY_VARIABLE)):
            _use_secret_key(secret)
        if not settings.SECRET_KEY_IS_SET:
            raise SetupError(
                f"{path} exists and does not set {SECRET_KEY_VARIABLE}: add the line "
                f"{SECRET_KEY_VARIABLE}=... with 50 random characters or more, or move it away."
            )
        report.kept.append(str(path))
        return
    if settings.SECRET_KEY_IS_SET:
        report.kept.append(f"{SECRET_KEY_VARIABLE} of the environment (no {path} needed)")
        return
    secret = secrets.token_urlsafe(64)
    text = (
        "# Settings of this NetRaven instance; docs/settings.md has all of them.\n"
        "# Keep this file to yourself: who has the secret key can sign in as anybody.\n"
        f"{SECRET_KEY_VARIABLE}={secret}\n"
    )
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        # Half a file would be "left alone" by the next setup.
        path.unlink()
        raise
    _use_secret_key(secret)
    report.created.append(str(path))


def _use_secret_key(secret: str) -> None:
    # This process began without a key and goes on with the one that the others will read.
    settings.SECRET_KEY = secret
    settings.SECRET_KEY_IS_SET = True


def _make_keyring(report: Report) -> None:
    path = settings.NETRAVEN_KEYRING_PATH
    try:
        try:
            keyring.current()
        except exceptions.KeyringMissing:
            if sealed := _sealed_rows():
                raise SetupError(
                    f"There is no keyring at {path}, but the database holds {sealed} rows sealed with one: "
                    "put it back from your backup, or name its path in NETRAVEN_KEYRING."
                ) from None
            keyring.create(path)
            report.created.append(f"keyring {path}")
        else:
            inline = keyring.JSON_VARIABLE in os.environ
            report.kept.append(f"keyring {f'of {keyring.JSON_VARIABLE}' if inline else path}")
    except exceptions.KeyringError as error:
        raise SetupError(str(error)) from None


def _sealed_rows() -> int:
    """Rows that only an earlier keyring opens; 0 when there is no database yet."""
    if settings.ON_SQLITE and not Path(settings.DATABASES["default"]["NAME"]).exists():
        return 0
    try:
        tables = connection.introspection.table_names()
        return sum(
            model._default_manager.count() for model in (Credential, ConfigVersion) if model._meta.db_table in tables
        )
    except DatabaseFailure as error:
        raise SetupError(
            f"{preflight.describe_database()} cannot be read ({error}): mend that and run setup again."
        ) from None


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold a lock file, so that two setups at once do each step once."""
    with _explained(lock), open(lock, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _explained(where: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SetupError(
            f"Cannot write {error.filename or where} ({error.strerror}): let this user write there, "
            "or set NETRAVEN_HOME."
        ) from None
