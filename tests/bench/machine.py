"""Where and with what the figures were measured."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.netraven_site.instance import REPOSITORY

_PACKAGES = ("Django", "django-q2", "netmiko", "paramiko", "asyncssh", "nornir", "nornir-netmiko")


def lines() -> list[str]:
    """What a reader must know of the machine, one fact a line."""
    return [
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {_commit()}",
        f"{os.cpu_count()} cores, {_processor()}, {_memory_gb():.0f} GB of memory, Linux {platform.release()}",
        f"Python {platform.python_version()}, " + ", ".join(filter(None, map(_package, _PACKAGES))),
        ", ".join(filter(None, (_debian("rancid"), _debian("postgresql"), _debian("openssh-client")))),
    ]


QUIET = 0.5
"""A load up to which nobody else is at work."""


def load() -> float:
    """How many processes have run or waited for a processor, on average over the last minute."""
    return os.getloadavg()[0]


def _processor() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    speed = re.search(r"^cpu MHz\s*:\s*([\d.]+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    name = found[1] if found else platform.machine()
    return f"{name} at {float(speed[1]) / 1000:.1f} GHz" if speed else name


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def _package(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return ""


def _debian(package: str) -> str:
    found = _said("dpkg-query", "--show", "--showformat", "${Version}", package)
    return f"{package} {found}" if found else ""


def _commit() -> str:
    changed = "" if not _said("git", "status", "--porcelain", "--untracked-files=no") else " with changes"
    return (_said("git", "rev-parse", "--short", "HEAD") or "unknown") + changed


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip()
