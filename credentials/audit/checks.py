"""System checks of the audit trail: the database must refuse to change it, and anchors must have somewhere to go."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.apps.config import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import DatabaseError, connection

from credentials.audit import triggers


@register(Tags.security)
def check_anchors(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """credentials.E021: an anchor would go nowhere."""
    found = []
    webhook = urlsplit(settings.NETRAVEN_AUDIT_ANCHOR_WEBHOOK)
    if webhook.geturl() and not (webhook.scheme in {"http", "https"} and webhook.hostname):
        found.append(("NETRAVEN_AUDIT_ANCHOR_WEBHOOK is no address.", "Write https://host/path."))
    syslog: str = settings.NETRAVEN_AUDIT_ANCHOR_SYSLOG
    if syslog and not syslog.startswith("/") and not re.fullmatch(r"[^\s:/]+(:\d{1,5})?", syslog):
        found.append(("NETRAVEN_AUDIT_ANCHOR_SYSLOG is no address.", "Write /dev/log, host or host:port."))
    return [Error(text, hint=hint, id="credentials.E021") for text, hint in found]


@register(Tags.database)
def check_triggers(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """credentials.E020: triggers of the audit trail are missing, switched off or changed."""
    if "default" not in (kwargs.get("databases") or ()):
        return []
    # A look would make the file, and before setup there is none.
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite" and "memory" not in name and not Path(name).exists():
        return []
    try:
        missing = triggers.missing() if triggers.exists() else []
    except DatabaseError:
        return []  # preflight and commands say what is wrong with the database
    if not missing:
        return []
    return [
        Error(
            f"The database would let the audit trail be changed: {', '.join(missing)} is missing, off or changed.",
            hint="Run ./manage.py audit_verify to see whether it was; ./manage.py migrate puts the triggers back.",
            id="credentials.E020",
        )
    ]
