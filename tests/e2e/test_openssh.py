"""Debian's own OpenSSH as the device: what no simulator of ours could get wrong in the same way as we do."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from devices.simulator.spec import SimDevice
from tests.e2e.openssh import OpenSSH, current_user, make_key, openssh, system_user
from tests.e2e.portal import Portal

pytestmark = pytest.mark.e2e

PASSPHRASE = "the phrase of the key"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="throw-away users of the system can be made by root alone")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return make_key(tmp_path / "id_ed25519", PASSPHRASE)


@pytest.fixture
def server(tmp_path: Path, key: Path) -> Iterator[OpenSSH]:
    folder = tmp_path / "sshd"
    folder.mkdir()
    with openssh(folder, key) as running:
        yield running


@pytest.fixture
def device(portal: Portal, server: OpenSSH) -> str:
    """The server as a device of the inventory; its name is its tag too."""
    name = f"os-{secrets.token_hex(4)}"
    portal.import_devices([SimDevice(name, "linux", port=server.port, tags=(name,))])
    return name


def add_key(portal: Portal, device: str, key: Path) -> None:
    portal.add_credential(
        f"key of {device}",
        current_user(),
        *("--private-key", str(key), "--passphrase-stdin", "--tags", device, "--scope", "local"),
        secrets=[PASSPHRASE],
    )


def add_password(portal: Portal, device: str, user: str, password: str, priority: int) -> None:
    portal.add_credential(
        f"{priority} of {device}",
        user,
        *("--password-stdin", "--tags", device, "--scope", "local", "--priority", str(priority)),
        secrets=[password],
    )


def back_up(portal: Portal, device: str) -> dict:
    report = portal.run_job("--kind", "backup", "--device", device)
    return report["results"][device]


def test_a_private_key_with_a_passphrase_opens_it_and_its_files_are_kept(
    portal: Portal, server: OpenSSH, device: str, key: Path
) -> None:
    add_key(portal, device, key)
    result = back_up(portal, device)
    assert (result["outcome"], result["attempts"], result["credential"]) == ("success", 1, f"key of {device}"), result
    assert server.answers_to(current_user()) == ["Accepted publickey"]
    assert f"### /etc/hostname\n{Path('/etc/hostname').read_text()}" in portal.must("show_config", device)


def test_a_changed_host_key_is_refused_before_anything_is_offered(
    portal: Portal, server: OpenSSH, device: str, key: Path
) -> None:
    add_key(portal, device, key)
    assert back_up(portal, device)["outcome"] == "success"
    server.stop()
    server.new_host_key()
    server.start()
    assert back_up(portal, device)["outcome"] == "host_key_changed"
    assert server.answers_to(current_user()) == ["Accepted publickey"]


def test_a_server_that_is_stopped_is_refused_and_spends_nothing(
    portal: Portal, server: OpenSSH, device: str, key: Path
) -> None:
    add_key(portal, device, key)
    server.stop()
    result = back_up(portal, device)
    assert (result["outcome"], result["attempts"]) == ("refused", 0)


@pytest.fixture
def user() -> Iterator[tuple[str, str]]:
    """A user of this machine, and the password."""
    password = secrets.token_urlsafe(12) + " 'q\" \\ü"
    with system_user(password) as name:
        yield name, password


@needs_root
def test_a_password_opens_it(portal: Portal, server: OpenSSH, device: str, user: tuple[str, str]) -> None:
    add_password(portal, device, *user, priority=10)
    result = back_up(portal, device)
    assert (result["outcome"], result["attempts"]) == ("success", 1), result
    assert server.answers_to(user[0]) == ["Accepted password"]


@needs_root
def test_a_wrong_password_is_refused_once_and_the_next_one_opens_it(
    portal: Portal, server: OpenSSH, device: str, user: tuple[str, str]
) -> None:
    name, password = user
    add_password(portal, device, name, "not the password", priority=10)
    add_password(portal, device, name, password, priority=20)
    result = back_up(portal, device)
    assert (result["outcome"], result["attempts"], result["credential"]) == ("success", 2, f"20 of {device}"), result
    assert server.answers_to(name) == ["Failed password", "Accepted password"]
    assert back_up(portal, device)["attempts"] == 1
    assert server.answers_to(name) == ["Failed password", "Accepted password", "Accepted password"]


@needs_root
def test_a_wrong_password_alone_is_sent_once_however_often_the_job_runs(
    portal: Portal, server: OpenSSH, device: str, user: tuple[str, str]
) -> None:
    add_password(portal, device, user[0], "not the password", priority=10)
    assert back_up(portal, device)["outcome"] == "rejected"
    assert back_up(portal, device)["outcome"] == "held"
    assert server.answers_to(user[0]) == ["Failed password"]


@needs_root
def test_a_credential_is_tested_without_taking_anything_along(
    portal: Portal, server: OpenSSH, device: str, user: tuple[str, str]
) -> None:
    add_password(portal, device, *user, priority=10)
    done = portal.manage("test_credential", f"10 of {device}", "--timeout", "60")
    assert done.returncode == 0, done.stdout + done.stderr
    assert server.answers_to(user[0]) == ["Accepted password"]
    assert portal.manage("show_config", device).returncode == 1
