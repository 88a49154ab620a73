"""The one place where what people and rules did is recorded. For now it is a line in the log."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django.contrib.auth.models import User

logger = logging.getLogger("netraven.audit")


def record(event: str, *, user: User | None = None, actor: str = "", **details: Any) -> None:
    """Note that something was done: `config.revealed`, by a user or another actor, with ids, names and numbers.

    Call it within the transaction of what was done. Never pass a secret or a text of a device.
    """
    who = user.get_username() if user is not None else actor or "system"
    logger.info("%s %s", event, json.dumps({"by": who, **details}, default=str, ensure_ascii=True))
