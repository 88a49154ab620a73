"""One portal for all tests that need a whole one: set up once, with real processes, ended in order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.portal import Portal


@pytest.fixture(scope="session")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A running portal. Tests share it, so each names its own devices, tags and accounts."""
    made = Portal(
        tmp_path_factory.mktemp("portal") / "home",
        NETRAVEN_RETRIES="1",
        NETRAVEN_RETRY_PAUSE_S="0",
        NETRAVEN_GRACE_S="10",
    )
    made.setup()
    with made.running():
        yield made
