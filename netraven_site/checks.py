"""System checks: each setting that is unsafe, or does not go with another, has an id and a remedy.

docs/settings.md lists the ids. Errors stop `up` and every other command; warnings are shown by `check`.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from django.apps.config import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as Doubt

from devices import platforms_table
from devices.connector.platforms import PlatformTableError, read_table
from devices.reach import target_policy

HOST_KEY_POLICIES = ("first-use", "approve")
_ENGINES = ("django.db.backends.sqlite3", "django.db.backends.postgresql")
_MOST_GUARD_REJECTIONS = 10

_Apps = Sequence[AppConfig] | None


@register(Tags.security)
def check_web(app_configs: _Apps, **kwargs: Any) -> list[CheckMessage]:
    """E001 no secret key, E002 DEBUG where others can connect; W001 any host name, W002 no TLS."""
    found: list[CheckMessage] = []
    loopback = is_loopback(settings.NETRAVEN_HOST)
    if not settings.SECRET_KEY_IS_SET:
        found.append(
            Error(
                "NETRAVEN_SECRET_KEY is not set.",
                hint="Run ./manage.py setup, which writes a random one to .env.",
                id="netraven.E001",
            )
        )
    if settings.DEBUG and not loopback:
        found.append(
            Error(
                f"NETRAVEN_DEBUG shows internals to everybody who reaches {settings.NETRAVEN_HOST}.",
                hint="Set NETRAVEN_DEBUG=no, or NETRAVEN_HOST=127.0.0.1.",
                id="netraven.E002",
            )
        )
    if "*" in settings.ALLOWED_HOSTS:
        found.append(
            Doubt(
                "NETRAVEN_ALLOWED_HOSTS allows every host name.",
                hint="List the names under which people reach this portal.",
                id="netraven.W001",
            )
        )
    if not loopback and not settings.HTTPS:
        found.append(
            Doubt(
                f"Without NETRAVEN_HTTPS passwords cross the network to {settings.NETRAVEN_HOST} in clear.",
                hint="Put a proxy with TLS in front; set NETRAVEN_HTTPS=yes and NETRAVEN_BEHIND_PROXY=yes.",
                id="netraven.W002",
            )
        )
    return found


def is_loopback(host: str) -> bool:
    """Whether an address to listen on can be reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@register()
def check_tasks(app_configs: _Apps, **kwargs: Any) -> list[CheckMessage]:
    """E010 to E014: task settings under which tasks would run twice, for ever, or get lost."""
    return list(_task_troubles(settings.Q_CLUSTER))


def _task_troubles(cluster: dict[str, Any]) -> Iterator[CheckMessage]:
    fixed = {
        "max_attempts": 1,
        "ack_failures": True,
        "queue_limit": 1,
        "bulk": 1,
        "catch_up": False,
        "recycle": 1,
        "save_limit": 0,
    }
    for name, value in fixed.items():
        if cluster.get(name) != value:
            yield Error(
                f"Q_CLUSTER: {name} is {cluster.get(name)!r}, not {value!r}: tasks could run again.",
                hint="Leave it as it is in netraven_site/settings.py.",
                id="netraven.E010",
            )
    timeout, retry = cluster.get("timeout"), cluster.get("retry")
    if not isinstance(timeout, int) or not isinstance(retry, int) or retry < 2 * timeout + 60:
        yield Error(
            f"Q_CLUSTER: retry is {retry!r} and timeout {timeout!r}; a slow task would run twice.",
            hint="retry must be at least 2 * timeout + 60.",
            id="netraven.E011",
        )
    if bool(cluster.get("redis")) == bool(cluster.get("orm")):
        yield Error(
            "Q_CLUSTER names no broker, or two.",
            hint="Set NETRAVEN_BROKER_URL for Redis, or leave it empty for the database.",
            id="netraven.E012",
        )
    url = cluster.get("redis")
    if url and not str(url).startswith(("redis://", "rediss://", "unix://")):
        yield Error(
            "NETRAVEN_BROKER_URL is no Redis address.",
            hint="Write redis://host:6379/0, or leave it empty for the database.",
            id="netraven.E013",
        )
    if settings.NETRAVEN_DEVICE_DEADLINE_S >= settings.NETRAVEN_SHARD_TIMEOUT_S:
        yield Error(
            "NETRAVEN_DEVICE_DEADLINE_S is not below NETRAVEN_SHARD_TIMEOUT_S: a slow device ends its shard.",
            hint="Raise NETRAVEN_SHARD_TIMEOUT_S or lower NETRAVEN_DEVICE_DEADLINE_S.",
            id="netraven.E014",
        )


@register()
def check_platforms(app_configs: _Apps, **kwargs: Any) -> list[CheckMessage]:
    """E040: a file of the team's own platforms that cannot be used."""
    try:
        if settings.NETRAVEN_PLATFORMS:
            read_table(*platforms_table.read_files())
    except PlatformTableError as error:
        return [
            Error(
                f"The platforms cannot be read: {error}.",
                hint="Mend the file; ./manage.py platforms check says whether it fits.",
                id="netraven.E040",
            )
        ]
    return []


@register()
def check_database(app_configs: _Apps, **kwargs: Any) -> list[CheckMessage]:
    """E020 to E024: a database that is unsupported, loses writes, or cannot be written."""
    config = settings.DATABASES["default"]
    if config["ENGINE"] not in _ENGINES:
        return [
            Error(
                "DATABASE_URL names a database that is not supported.",
                hint="Use sqlite:////path/to/file or postgresql://user:password@host/name.",
                id="netraven.E020",
            )
        ]
    return list(_sqlite_troubles(config)) if config["ENGINE"] == _ENGINES[0] else []


def _sqlite_troubles(config: dict[str, Any]) -> Iterator[CheckMessage]:
    options = config.get("OPTIONS", {})
    statements = options.get("init_command", "").upper().replace(" ", "")
    if options.get("transaction_mode") != "IMMEDIATE" or "JOURNAL_MODE=WAL" not in statements:
        yield Error(
            "SQLite without IMMEDIATE transactions and WAL loses writes when web and worker write at once.",
            hint="Leave OPTIONS as it is in netraven_site/settings.py.",
            id="netraven.E021",
        )
    name = str(config["NAME"])
    if ":memory:" in name or "mode=memory" in name:
        yield Error(
            "DATABASE_URL names a database in memory, which each process would have for itself.",
            hint="Name a file: sqlite:////path/to/file.",
            id="netraven.E022",
        )
        return
    path = Path(name)
    if not path.parent.is_dir():
        yield Error(
            f"The folder of the database, {path.parent}, does not exist.",
            hint="Run ./manage.py setup.",
            id="netraven.E023",
        )
    # SQLite keeps its journal beside the file, so the folder must be writable too.
    elif not os.access(path.parent, os.W_OK | os.X_OK) or (path.exists() and not os.access(path, os.W_OK)):
        yield Error(
            f"The database {path} is read-only for this user.",
            hint="Let this user write to the file and to its folder, or name another in DATABASE_URL.",
            id="netraven.E024",
        )


@register()
def check_values(app_configs: _Apps, **kwargs: Any) -> list[CheckMessage]:
    """E030 host-key policy, E031 time-outs that contradict each other, E032 targets; W030 to W032 guard limits."""
    return list(_value_troubles())


def _value_troubles() -> Iterator[CheckMessage]:
    try:
        target_policy()
    except ValueError as error:
        yield Error(
            f"NETRAVEN_TARGETS or NETRAVEN_TARGET_PORTS: {error}",
            hint="docs/settings.md shows both.",
            id="netraven.E032",
        )
    if settings.NETRAVEN_HOST_KEY_POLICY not in HOST_KEY_POLICIES:
        yield Error(
            f"NETRAVEN_HOST_KEY_POLICY is {settings.NETRAVEN_HOST_KEY_POLICY!r}.",
            hint=f"Write one of: {', '.join(HOST_KEY_POLICIES)}.",
            id="netraven.E030",
        )
    # What a login may take must fit into what a device may take.
    login_s = (
        settings.NETRAVEN_CONNECT_TIMEOUT_S + settings.NETRAVEN_BANNER_TIMEOUT_S + settings.NETRAVEN_AUTH_TIMEOUT_S
    )
    if login_s >= settings.NETRAVEN_DEVICE_DEADLINE_S:
        yield Error(
            f"The time-outs of one login add up to {login_s} s, NETRAVEN_DEVICE_DEADLINE_S is "
            f"{settings.NETRAVEN_DEVICE_DEADLINE_S} s: no slow login could end.",
            hint="Raise NETRAVEN_DEVICE_DEADLINE_S or lower the time-outs.",
            id="netraven.E031",
        )
    for name in ("NETRAVEN_GUARD_CENTRAL_LIMIT", "NETRAVEN_GUARD_LOCAL_LIMIT"):
        if getattr(settings, name) > _MOST_GUARD_REJECTIONS:
            yield Doubt(
                f"{name} is {getattr(settings, name)}: most account servers lock an account earlier.",
                hint="Stay below the number of wrong passwords that your accounts survive.",
                id="netraven.W030",
            )
        if getattr(settings, name) < settings.NETRAVEN_GUARD_IN_FLIGHT:
            yield Doubt(
                f"NETRAVEN_GUARD_IN_FLIGHT is {settings.NETRAVEN_GUARD_IN_FLIGHT}, above {name} "
                f"({getattr(settings, name)}), which bounds it anyway.",
                hint=f"Lower NETRAVEN_GUARD_IN_FLIGHT or raise {name}.",
                id="netraven.W031",
            )
    if settings.NETRAVEN_GUARD_WINDOW_S < 60:
        yield Doubt(
            f"NETRAVEN_GUARD_WINDOW_S is {settings.NETRAVEN_GUARD_WINDOW_S} s; servers count for longer.",
            hint="Set it at least as long as your accounts remember wrong passwords, usually 900 s or more.",
            id="netraven.W032",
        )
