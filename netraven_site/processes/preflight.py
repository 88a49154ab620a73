"""What must be in order before the processes of an instance start; each trouble says what to do."""

from __future__ import annotations

import contextlib
import fcntl
import multiprocessing
import os
import socket
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from django.conf import settings
from django.db import Error as DatabaseFailure
from django.db import connection, connections, transaction
from django.db.migrations.executor import MigrationExecutor
from django_q.brokers import get_broker
from redis.exceptions import RedisError

from credentials.exceptions import KeyringError
from credentials.keyring_match import require_own_keyring
from credentials.readiness import serious_troubles
from devices import platforms_table
from devices.connector.platforms import PlatformTableError
from netraven_site import auditing


class NotReady(Exception):
    """The instance cannot start as it is; `str()` has one trouble a line, each with what to do."""


def require_ready() -> None:
    """Raise NotReady unless system checks, database, migrations and broker are in order."""
    errors = serious_troubles()
    if errors:
        raise NotReady("\n".join(f"{error.id}: {error.msg} {error.hint or ''}".rstrip() for error in errors))
    try:
        _require_database()
        _require_platforms()
        _require_broker()
        auditing.note_settings()
    finally:
        connections.close_all()


def require_ready_apart() -> None:
    """`require_ready` in a process of its own: the checks load every page, which workers would share for nothing."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_tell, args=(there,))
    process.start()
    there.close()
    try:
        trouble: str = here.recv()
    except EOFError:
        trouble = "The checks before the start ended without an answer; their reason is above."
    process.join()
    if trouble:
        raise NotReady(trouble)


def _tell(there: Connection) -> None:
    try:
        require_ready()
    except NotReady as error:
        there.send(str(error))
    else:
        there.send("")


def unapplied_migrations() -> int:
    """How many migrations the database lacks. Raises django.db.Error when it cannot be read."""
    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def probe_database() -> None:
    """Open the database for writing. Raises NotReady with what to do when that is refused."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            if connection.vendor == "sqlite":
                # A read-only file opens, and even begins a transaction to write, without complaint.
                cursor.execute("CREATE TABLE netraven_probe (id INTEGER)")
                transaction.set_rollback(True)
            else:
                cursor.execute("SHOW transaction_read_only")
                if cursor.fetchone() == ("on",):
                    raise NotReady("The database is read-only: point DATABASE_URL at the primary server.")
    except DatabaseFailure as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise NotReady(f"{describe_database()} cannot be written ({reason}): {_database_remedy()}") from None


def describe_database() -> str:
    """The database in words, without its password."""
    config = settings.DATABASES["default"]
    if settings.ON_SQLITE:
        return f"The database {config['NAME']}"
    return f"The database {config['NAME']} on {config.get('HOST') or 'this machine'}"


def _database_remedy() -> str:
    if settings.ON_SQLITE:
        return "let this user write to the file and to its folder, or name another in DATABASE_URL."
    return "check DATABASE_URL and that the server runs."


def _require_database() -> None:
    probe_database()
    if missing := unapplied_migrations():
        raise NotReady(f"{missing} migrations are not applied to the database: run ./manage.py setup.")
    try:
        require_own_keyring()
    except KeyringError as error:
        raise NotReady(str(error)) from None


def _require_platforms() -> None:
    try:
        platforms_table.require()
    except PlatformTableError as error:
        raise NotReady(
            f"The platforms changed in the portal do not fit: {error}. "
            "Mend what it names, or leave it out with ./manage.py platforms disable NAME."
        ) from None


def _require_broker() -> None:
    if not settings.NETRAVEN_BROKER_URL:
        return
    try:
        get_broker().ping()
    except (RedisError, OSError) as error:
        raise NotReady(
            f"The task broker does not answer ({error}): start Redis, or correct NETRAVEN_BROKER_URL."
        ) from None


@contextlib.contextmanager
def only_one(var: Path) -> Iterator[None]:
    """Hold the lock of an instance. Raises NotReady when another process holds it."""
    path = var / "up.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise NotReady(f"Cannot write {path} ({error.strerror}): run ./manage.py setup as this user.") from None
    with open(descriptor, "r+") as file:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NotReady(
                f"NetRaven already runs from {var.parent} (process {file.read().strip() or 'unknown'}): "
                "stop that one first, or set NETRAVEN_HOME for a second instance."
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A listening TCP socket. Raises NotReady naming the port and the variable that moves it."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise NotReady(f"Cannot listen on {host} ({error.strerror}): set NETRAVEN_HOST.") from None
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(1024)
        except OSError as error:
            raise NotReady(
                f"Port {port} on {host} cannot be used ({error.strerror}): "
                f"stop what uses it, or choose another with NETRAVEN_PORT, e.g. NETRAVEN_PORT={port + 1}."
            ) from None
        yield listener
