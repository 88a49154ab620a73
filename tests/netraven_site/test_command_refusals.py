"""What every command says on an instance that cannot serve it: one message, exit code 2, never a traceback."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.netraven_site.instance import REPOSITORY, Instance

pytestmark = pytest.mark.e2e

COMMANDS = {
    "add_credential": ["--name", "a", "--username", "b", "--tags", "c", "--password-stdin"],
    "candidates": ["r1"],
    "create_token": ["admin"],
    "host_keys": ["list"],
    "release_credential": ["a"],
    "run_job": ["--kind", "backup"],
    "show_config": ["r1"],
    "test_credential": ["a"],
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("prepared") / "home"
    Instance(home).setup()
    return home


@pytest.fixture
def instance(prepared: Path, tmp_path: Path) -> Instance:
    shutil.copytree(prepared, tmp_path / "home")
    return Instance(tmp_path / "home")


def refusal(instance: Instance, *arguments: str, **options: bool) -> str:
    done = instance.manage(*arguments, **options)
    assert (done.returncode, done.stdout) == (2, ""), done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_an_instance_that_was_not_set_up_names_the_command_that_does(command: str, tmp_path: Path) -> None:
    assert "./manage.py setup" in refusal(Instance(tmp_path / "home"), command, *COMMANDS[command])


def test_an_empty_database_names_the_command_that_fills_it(instance: Instance) -> None:
    for file in instance.home.glob("var/netraven.sqlite3*"):
        file.unlink()
    assert "./manage.py setup" in refusal(instance, "candidates", "r1")


def test_a_missing_keyring_is_named(instance: Instance) -> None:
    (instance.home / "keyring.json").unlink()
    assert "There is no keyring at" in refusal(instance, "run_job", "--kind", "backup")


def test_a_database_that_is_read_only_is_named_and_nothing_is_written(instance: Instance) -> None:
    var = instance.home / "var"
    for path in (*var.glob("netraven.sqlite3*"), var):
        path.chmod(path.stat().st_mode & ~0o222)
    try:
        assert "is read-only" in refusal(instance, "create_token", "admin", plain_user=True)
    finally:
        var.chmod(0o700)


def test_an_argument_that_is_no_utf_8_is_refused(instance: Instance) -> None:
    done = subprocess.run(
        [os.fsencode(sys.executable), b"manage.py", b"candidates", b"r\xff1"],
        cwd=REPOSITORY,
        env=instance.env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "not valid UTF-8" in done.stderr


def test_a_reader_that_has_seen_enough_gets_no_traceback(instance: Instance) -> None:
    instance.shell(
        "from devices.services import save_device\nfrom devices.models import Device\n"
        "from devices.configs.store import prepare, save_version\n"
        "device = save_device(Device(), name='r1', host='10.0.0.1', platform='cisco_ios', tags=['x'])\n"
        "save_version(device.pk, 'running', prepare('line\\n' * 200_000, 'cisco_ios'))"
    )
    done = subprocess.run(
        f"{sys.executable} manage.py show_config r1 | head -n 1",
        shell=True,
        cwd=REPOSITORY,
        env=instance.env,
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("line\n", "")
