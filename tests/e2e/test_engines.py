"""The same way through PostgreSQL, with the database and with Redis as the broker, by settings alone."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Iterator

import psycopg
import pytest

from devices.simulator.fleet import SimulatedFleet
from devices.simulator.spec import SimDevice, SimLogin
from tests.e2e.portal import Portal

pytestmark = pytest.mark.e2e
SERVER = os.environ.get("NETRAVEN_TEST_POSTGRES", "postgres://postgres@127.0.0.1:5432")
REDIS = os.environ.get("NETRAVEN_TEST_REDIS", "redis://127.0.0.1:6379/13")


@pytest.fixture
def database() -> Iterator[str]:
    """A database of its own on the PostgreSQL server, dropped afterwards."""
    name = f"netraven_{uuid.uuid4().hex[:12]}"
    try:
        server = psycopg.connect(f"{SERVER}/postgres", autocommit=True, connect_timeout=5)
    except psycopg.OperationalError as error:
        pytest.fail(f"PostgreSQL does not answer ({error}); `make services` installs and starts it.")
    with server:
        server.execute(f'CREATE DATABASE "{name}"')
        yield f"{SERVER}/{name}"
        server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.mark.parametrize("broker", ["", REDIS], ids=["database as broker", "redis as broker"])
def test_a_backup_goes_the_whole_way_on_postgresql(database, broker, tmp_path):
    if broker:
        try:
            socket.create_connection(("127.0.0.1", 6379), timeout=5).close()
        except OSError as error:
            pytest.fail(f"Redis does not answer ({error}); `make services` installs and starts it.")
    portal = Portal(tmp_path / "home", DATABASE_URL=database, NETRAVEN_BROKER_URL=broker, NETRAVEN_GRACE_S="10")
    portal.setup()
    devices = [SimDevice(f"pg{n}", "arista_eos", (SimLogin("ops", "right-8812"),), tags=("pg",)) for n in range(6)]
    with portal.running(), SimulatedFleet(devices) as fleet:
        portal.import_devices([handle.spec for handle in fleet])
        portal.add_credential("old", "ops", "--password-stdin", "--tags", "pg", "--priority", "1", secrets=["old-8812"])
        portal.add_credential("new", "ops", "--password-stdin", "--tags", "pg", secrets=["right-8812"])
        report = portal.run_job("--kind", "backup", "--tag", "pg")
        assert report["by_outcome"] == {"success": 6}, report
        assert portal.must("show_config", "pg0").rstrip().endswith("end")
        assert all(handle.offers[-1].secret == "right-8812" for handle in fleet)
