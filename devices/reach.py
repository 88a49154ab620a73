"""The rule of this instance on which addresses devices may have, from its settings."""

from __future__ import annotations

import functools
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError

from devices.connector.targets import TargetPolicy, TargetRefused, policy_from


def target_policy() -> TargetPolicy:
    """The rule as it is set now. Raises ValueError when a setting cannot be read; a system check says so earlier."""
    return _policy(tuple(settings.NETRAVEN_TARGETS), tuple(settings.NETRAVEN_TARGET_PORTS), _own())


def require_allowed(host: str, port: int) -> None:
    """Refuse an address that no job would call; ValidationError on `host`. A name is judged when it is resolved."""
    try:
        target_policy().check_literal(host, port)
    except TargetRefused as error:
        raise ValidationError({"host": error.reason}, code="target") from None


@functools.lru_cache(maxsize=8)
def _policy(networks: tuple[str, ...], ports: tuple[str, ...], own: tuple[tuple[str, int], ...]) -> TargetPolicy:
    return policy_from(networks, ports, own)


def _own() -> tuple[tuple[str, int], ...]:
    """Where NetRaven itself listens: its portal, its database, its broker."""
    found = [(str(settings.NETRAVEN_HOST), int(settings.NETRAVEN_PORT))]
    database = settings.DATABASES["default"]
    if database.get("HOST"):
        found.append((str(database["HOST"]), int(database.get("PORT") or 5432)))
    if (broker := urlsplit(settings.NETRAVEN_BROKER_URL)).hostname:
        found.append((broker.hostname, broker.port or 6379))
    return tuple(each for each in found if not each[0].startswith("/"))
