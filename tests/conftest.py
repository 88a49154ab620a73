"""What all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from credentials import keyring


@pytest.fixture(scope="session")
def session_keyring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keyring") / "keyring.json"
    keyring.create(path)
    return path


@pytest.fixture(autouse=True)
def _test_keyring(session_keyring: Path, settings) -> None:
    """Every test seals under a keyring of the test run, never under the one of an instance."""
    settings.NETRAVEN_KEYRING_PATH = session_keyring
