"""Devices with configurations for the tests of exports, and git reading what was written."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from devices.configs.export.service import Report, Wish, export
from devices.configs.store import prepare, save_version
from devices.models import Device
from devices.services import save_device

SECRET = "Kd83hfQzT"


def keep(name: str, *lines: str, kind: str = "running", **fields: Any) -> Device:
    """A device with this configuration, or a further version of the one of that name."""
    device = Device.objects.filter(name=name).first()
    if device is None:
        values: dict[str, Any] = {"host": "192.0.2.1", "platform": "cisco_ios", "site": "ams", **fields}
        device = save_device(Device(), name=name, **{"tags": ["core"], **values})
    text = "\n".join([f"hostname {name}", f"snmp-server community {SECRET} RO", *lines, "end", ""])
    save_version(device.pk, kind, prepare(text, device.platform))
    return device


def export_to(folder: Path, **wishes: Any) -> Report:
    """Export into a repository, as somebody with nothing but defaults would."""
    return export(Wish(folder=folder, **wishes), wait_s=0.5)


def git(folder: Path, *arguments: str) -> str:
    """What git itself says of a repository."""
    # What the machine's user has set must not matter.
    plain = {"PATH": "/usr/bin:/bin", "HOME": "/nowhere", "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", "-c", "safe.directory=*", "-C", str(folder), *arguments], capture_output=True, text=True, env=plain
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def files_of(folder: Path) -> list[str]:
    """The files of the last commit."""
    return git(folder, "-c", "core.quotePath=off", "ls-tree", "-r", "--name-only", "HEAD").splitlines()


def commits_of(folder: Path) -> int:
    """How many commits there are."""
    return int(git(folder, "rev-list", "--count", "HEAD"))
