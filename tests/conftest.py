"""What all tests share."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from credentials import keyring, plaintext
from devices import platforms_table
from devices.connector import platforms, targets

LOOPBACK_TOO = (targets.ANY, "127.0.0.0/8", "::1")


def pytest_collection() -> None:
    """Test files ask for platforms while they are read, when no database may be asked: the shipped ones, then."""
    platforms.load()


@pytest.fixture(scope="session")
def session_keyring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keyring") / "keyring.json"
    keyring.create(path)
    return path


@pytest.fixture(autouse=True)
def _test_keyring(session_keyring: Path, settings) -> None:
    """Every test seals under a keyring of the test run, never under the one of an instance."""
    settings.NETRAVEN_KEYRING_PATH = session_keyring


@pytest.fixture(scope="session", autouse=True)
def _shipped_platforms() -> Iterator[None]:
    """The table is there before the first test, and requests count no query more now and then to look for changes."""
    platforms.load()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(platforms_table, "_LOOK_EVERY_S", 1e9)
        patch.setattr(platforms_table, "_looked_at", time.monotonic())
        yield


@pytest.fixture(autouse=True)
def _as_in_a_worker() -> Iterator[None]:
    """Tests may open logins, as workers do; what they start as processes of their own may not."""
    with plaintext.logins_may_be_opened():
        yield


@pytest.fixture(autouse=True)
def _devices_on_loopback(settings) -> None:
    """Simulated devices listen on loopback, which has to be allowed by name."""
    settings.NETRAVEN_TARGETS = list(LOOPBACK_TOO)
    # What a process has in hand of a limit would make the number of queries of a request depend on earlier tests.
    settings.NETRAVEN_API_PER_MINUTE = settings.NETRAVEN_API_ANONYMOUS_PER_MINUTE = 0


@pytest.fixture(autouse=True, scope="session")
def _targets_on_loopback() -> Iterator[None]:
    """The same for what is called without Django, by fixtures of whole files too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(targets, "DEFAULT", targets.policy_from(LOOPBACK_TOO))
        yield


@pytest.fixture(autouse=True, scope="session")
def _trail_can_be_flushed() -> Iterator[None]:
    """The database refuses to empty the audit trail, which is what ends a test with transactions of its own."""
    from django.db.backends.base.operations import BaseDatabaseOperations

    from credentials.audit import triggers

    flush = BaseDatabaseOperations.execute_sql_flush

    def lift_and_flush(self: BaseDatabaseOperations, sql_list: list[str]) -> None:
        there = triggers.exists()
        lift, put = (triggers.drop_statements(), triggers.create_statements()) if there else ([], [])
        flush(self, [*lift, *sql_list, *put])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseDatabaseOperations, "execute_sql_flush", lift_and_flush)
        yield


@pytest.fixture(autouse=True)
def _own_anchors(settings, tmp_path: Path) -> None:
    """No test writes anchors of the audit trail to an instance."""
    settings.NETRAVEN_AUDIT_ANCHOR_FILE = tmp_path / "audit-anchors.jsonl"
