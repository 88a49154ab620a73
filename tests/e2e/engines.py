"""The engines that a portal can run on: its database and its broker, each with a database of its own."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.e2e.portal import Portal
from tests.netraven_site.instance import free_port, wait_until

SERVER = os.environ.get("NETRAVEN_TEST_POSTGRES", "postgres://postgres@127.0.0.1:5432")
REDIS = os.environ.get("NETRAVEN_TEST_REDIS", "redis://127.0.0.1:6379/13")
ENGINES = ("sqlite", "postgresql", "postgresql and redis")


@contextmanager
def engine(name: str) -> Iterator[dict[str, str]]:
    """The variables that make an instance run on an engine; fails and says how to get one that does not answer."""
    if name == "sqlite":
        yield {}
        return
    variables = {}
    if "redis" in name:
        variables["NETRAVEN_BROKER_URL"] = REDIS
        flush_redis()
    with database() as address:
        yield {"DATABASE_URL": address, **variables}


@contextmanager
def database() -> Iterator[str]:
    """A database of its own on the PostgreSQL server, dropped afterwards."""
    name = f"netraven_{uuid.uuid4().hex[:12]}"
    try:
        server = psycopg.connect(f"{SERVER}/postgres", autocommit=True, connect_timeout=5)
    except psycopg.OperationalError as error:
        pytest.fail(f"PostgreSQL does not answer ({error}); `make services` installs and starts it.")
    with server:
        server.execute(f'CREATE DATABASE "{name}"')
        try:
            yield f"{SERVER}/{name}"
        finally:
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def flush_redis() -> None:
    """Empty the database of the tests on the Redis server."""
    import redis

    try:
        redis.Redis.from_url(REDIS, socket_timeout=5).flushdb()
    except redis.RedisError as error:
        pytest.fail(f"Redis does not answer ({error}); `make services` installs and starts it.")


class OwnRedis:
    """A Redis server of the test's own, which forgets everything when it is stopped."""

    def __init__(self, folder: Path) -> None:
        found = shutil.which("redis-server")
        if found is None:
            pytest.fail("There is no redis-server; `make services` installs it.")
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._command = [found, "--port", str(self.port), "--save", "", "--dir", str(folder), "--daemonize", "no"]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, empty."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self._answers, 10, "the test's own Redis")

    def stop(self) -> None:
        """Stop it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Rows:
    """Looks into an instance's database from outside, without its code."""

    def __init__(self, portal: Portal) -> None:
        self._url = portal.env.get("DATABASE_URL")
        self._file = portal.database

    def all(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        if self._url:
            with psycopg.connect(self._url, autocommit=True) as connection:
                return connection.execute(statement).fetchall()  # type: ignore[arg-type]
        with sqlite3.connect(self._file, timeout=30) as connection:
            return connection.execute(statement).fetchall()

    def one(self, statement: str) -> Any:
        """The first value of the first row; None without one."""
        found = self.all(statement)
        return found[0][0] if found else None

    def change(self, statement: str) -> None:
        """Change rows."""
        if self._url:
            with psycopg.connect(self._url, autocommit=True) as connection:
                connection.execute(statement)  # type: ignore[arg-type]
            return
        with sqlite3.connect(self._file, timeout=30) as connection:
            connection.execute(statement)

    def terminate_others(self) -> int:
        """End all other connections to a PostgreSQL database; how many there were."""
        return len(
            self.all(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )

    def wait_for_the_end(self, run: int, within_s: float = 60) -> None:
        """Wait until a run is finished."""
        asked = f"SELECT count(*) FROM jobs_run WHERE id = {run} AND finished_at IS NOT NULL"
        end = time.monotonic() + within_s
        while not self.one(asked):
            if time.monotonic() > end:
                left = self.all(f"SELECT id, status, fence, holder FROM jobs_shard WHERE run_id = {run}")
                raise AssertionError(f"run {run} did not end within {within_s} s: {left}")
            time.sleep(0.2)

    def results(self, run: int) -> dict[str, tuple[str, int]]:
        """Outcome and tries of each device of a run; AssertionError when a device has more than one result."""
        rows = self.all(f"SELECT device_name, outcome, tries FROM jobs_result WHERE run_id = {run}")
        found = {name: (outcome, tries) for name, outcome, tries in rows}
        assert len(found) == len(rows)
        return found
