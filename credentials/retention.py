"""Rows of the lockout guard that say nothing any more."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from credentials.guard import get_guard
from credentials.models import GuardLogin, RememberedRejection, enable_key


def settled_logins(before: datetime) -> QuerySet[GuardLogin]:
    """Logins from before this time that count against no budget and stand behind no remembered rejection."""
    window = timedelta(seconds=get_guard().limits.window_s)
    remembered = RememberedRejection.objects.filter(
        credential_id=OuterRef("credential"), credential_version=OuterRef("credential_version")
    ).exclude(place__startswith=enable_key(""))
    old = GuardLogin.objects.filter(at__lt=min(before, timezone.now() - 2 * window))
    return old.exclude(Exists(remembered))
