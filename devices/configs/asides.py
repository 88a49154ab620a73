"""Answers that were no whole configuration: kept aside, looked at, accepted or declined by somebody."""

from __future__ import annotations

import zlib
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from django.db import transaction
from django.db.models import Exists, Max, OuterRef, Q, QuerySet
from django.utils import timezone

from credentials import audit
from devices.asides import KeptAside
from devices.choices import AsideState
from devices.configs.authors import last_change
from devices.configs.diff import summary
from devices.configs.integrity import ReasonCode, Verdict
from devices.configs.store import SUMMARY_LENGTH, PreparedText, forget_unused_texts, latest, store_text, version_text
from devices.models import ConfigVersion, Device

if TYPE_CHECKING:
    from django.contrib.auth.models import User

DECIDE: Final = "devices.decide_keptaside"
_LONG: Final = 200
_CONFIRMED: Final = frozenset({ReasonCode.SIZE_DROP, ReasonCode.TAIL_MISSING})
"""Reasons that a person's word overcomes: a large deletion looks like this. What was cut for certain stays out."""


class CannotDecide(Exception):
    """The answer no longer waits, or nobody can accept it; says why in words."""


@transaction.atomic
def set_aside(
    device: int, kind: str, text: PreparedText, verdict: Verdict, evidence: str, seen_at: datetime | None = None
) -> KeptAside:
    """Keep an answer that is no version. One waits for each device and kind: a different one takes its place.

    `evidence` is the line of the verdict without secrets.
    """
    seen_at = seen_at or timezone.now()
    row = KeptAside.objects.select_for_update().filter(device=device, kind=kind, state=AsideState.WAITING).first()
    before = row.text_id if row else None
    if row is None or row.compared != text.compared:
        row = row or KeptAside(device_id=device, kind=kind)
        row.text, row.compared = store_text(text), text.compared
        row.times, row.first_seen_at = 0, seen_at
    row.reason_code, row.reason, row.evidence = verdict.reason_code, verdict.reason[:_LONG], evidence[:_LONG]
    row.times += 1
    row.last_seen_at = seen_at
    row.save()
    if before is not None and before != row.text_id:
        forget_unused_texts([before])
    return row


def waiting() -> QuerySet[KeptAside]:
    """The answers that wait for a decision: those that no whole one has overtaken."""
    return KeptAside.objects.filter(~_overtaken(), state=AsideState.WAITING)


def aside_text(aside: KeptAside) -> str | None:
    """What the device answered, secrets as placeholders; None when it is not kept any more."""
    return zlib.decompress(aside.text.packed).decode("utf-8") if aside.text is not None else None


def can_be_accepted(aside: KeptAside) -> bool:
    """Whether somebody's word is enough to make it a version."""
    return aside.reason_code in _CONFIRMED


@transaction.atomic
def accept(aside: KeptAside, user: User | None, actor: str = "") -> ConfigVersion:
    """Make it the latest version of the device: a person says that so much was deleted. CannotDecide says why not."""
    row = _locked(aside)
    if row.text is None or not can_be_accepted(row):
        raise CannotDecide("This answer was cut off for certain, or is an error message: it cannot become a version.")
    last = latest(row.device_id, row.kind)
    shown = zlib.decompress(row.text.packed).decode("utf-8")
    if last is not None and last.compared == row.compared:
        version = last
    else:
        change = last_change(shown)
        numbers = ConfigVersion.objects.filter(device=row.device_id, kind=row.kind)
        version = ConfigVersion.objects.create(
            device_id=row.device_id,
            kind=row.kind,
            number=(numbers.aggregate(n=Max("number"))["n"] or 0) + 1,
            text=row.text,
            compared=row.compared,
            summary=summary(version_text(last), shown, row.device.platform)[:SUMMARY_LENGTH] if last else "",
            changed_by=change.who,
            changed_said=change.when,
            first_seen_at=row.first_seen_at,
            last_seen_at=row.last_seen_at,
        )
    row.version = version
    _decide(row, AsideState.ACCEPTED, user, actor, version=version.number)
    return version


@transaction.atomic
def decline(aside: KeptAside, user: User | None, actor: str = "") -> None:
    """Throw it away; the last good version stays the latest. CannotDecide when it no longer waits."""
    row = _locked(aside)
    text, row.text = row.text_id, None
    _decide(row, AsideState.DECLINED, user, actor)
    if text is not None:
        forget_unused_texts([text])


def drop_overtaken() -> int:
    """Close what a whole configuration has overtaken, and forget its text; how many, of very many the first."""
    found = KeptAside.objects.filter(_overtaken(), state=AsideState.WAITING)
    if not found.exists():
        return 0
    with transaction.atomic():
        rows = list(found.select_for_update()[:500])
        texts = [row.text_id for row in rows if row.text_id is not None]
        KeptAside.objects.filter(pk__in=[row.pk for row in rows]).update(state=AsideState.OUTDATED, text=None)
        forget_unused_texts(texts)
    return len(rows)


def _overtaken() -> Exists:
    same = Q(device=OuterRef("device"), kind=OuterRef("kind"))
    return Exists(ConfigVersion.objects.filter(same, last_seen_at__gt=OuterRef("last_seen_at")))


def _locked(aside: KeptAside) -> KeptAside:
    # The device's row serialises this with others that decide.
    Device.objects.select_for_update().only("pk").get(pk=aside.device_id)
    row = waiting().filter(pk=aside.pk).select_related("device", "text").first()
    if row is None:
        raise CannotDecide("This answer no longer waits: somebody decided, or a whole configuration came meanwhile.")
    return row


def _decide(row: KeptAside, state: AsideState, user: User | None, actor: str, **details: Any) -> None:
    row.state, row.decided_by, row.decided_at = state, user, timezone.now()
    row.save()
    audit.record(
        f"config.incomplete_{state.value}",
        user=user,
        actor=actor,
        device=row.device_id,
        name=row.device.name,
        kind=row.kind,
        reason=row.reason_code,
        **details,
    )
