"""How rows leave the trail: from its beginning, behind a checkpoint in the chain itself, and in no other way."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from credentials.audit import anchors, triggers
from credentials.audit.anchors import Line
from credentials.audit.models import AuditEvent
from credentials.audit.trail import head, lock, record
from credentials.audit.verify import CHECKPOINT, LOSS, in_words, survey, verify
from credentials.exceptions import TrailBroken

if TYPE_CHECKING:
    from django.contrib.auth.models import User

_AT_ONCE: Final = 20_000


def prune_due(now: datetime | None = None) -> int:
    """Let go what is older than NETRAVEN_AUDIT_KEEP_DAYS; nothing when that is not set. As `prune`."""
    days: int = settings.NETRAVEN_AUDIT_KEEP_DAYS
    return prune((now or timezone.now()) - timedelta(days=days)) if days else 0


def prune(before: datetime, *, user: User | None = None, actor: str = "") -> int:
    """Delete the rows from the beginning up to this time; how many. The newest row always stays.

    Each step is one transaction: the checkpoint, which carries the chain's state, is written first, then the triggers
    are lifted, rows deleted and triggers put back. Raises TrailBroken when what would go is not whole: it is evidence.
    """
    first_to_stay = AuditEvent.objects.filter(at__gte=before).order_by("id").values_list("id", flat=True).first()
    last = (first_to_stay if first_to_stay is not None else head()[0]) - 1
    lowest = AuditEvent.objects.order_by("id").values_list("id", flat=True).first()
    if lowest is None or last < lowest:
        return 0
    found = verify(anchors.own_lines())
    if not found.is_whole:
        raise TrailBroken(f"{in_words(found)} Nothing was deleted: find out what happened first.")
    gone = 0
    while lowest <= last:
        gone += _let_go(lowest, min(last, lowest + _AT_ONCE - 1), before, user, actor)
        lowest += _AT_ONCE
    anchors.write()
    return gone


@transaction.atomic
def _let_go(first: int, last: int, before: datetime, user: User | None, actor: str) -> int:
    lock()
    mac = AuditEvent.objects.values_list("mac", flat=True).get(pk=last)
    record(
        CHECKPOINT,
        user=user,
        actor=actor,
        subject=f"rows {first} to {last}",
        first=first,
        up_to=last,
        mac=mac,
        before=before,
    )
    with triggers.lifted():
        return int(AuditEvent.objects.filter(id__lte=last)._raw_delete("default"))


def accept_loss(
    lines: Iterable[Line], reason: str, *, user: User | None = None, actor: str = ""
) -> tuple[int, int] | None:
    """After the restore of an older database: note that the rows which anchors still speak of are known to be gone.

    The first and the last of their numbers; None when no anchor speaks of such rows. The trail must be whole in
    itself: TrailBroken otherwise.
    """
    with transaction.atomic():
        lock()
        verdict, unfitting = survey(lines)
        if verdict.is_whole:
            return None
        if not unfitting:
            raise TrailBroken(f"{in_words(verdict)} That is no loss that a restore would explain.")
        first, last = min(each.id for each in unfitting), max(each.id for each in unfitting)
        record(
            LOSS,
            user=user,
            actor=actor,
            subject=f"rows {first} to {last}",
            after=first - 1,
            up_to=last,
            until=max(each.at for each in unfitting),
            reason=reason,
        )
    anchors.write()
    return first, last
