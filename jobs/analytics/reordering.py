"""Applying an advised order of credentials, and taking it back: all of it or nothing, from a known state only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from django.core import signing
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from credentials.models import Credential, CredentialTag
from credentials.services import update_credential
from jobs.analytics.facts import Slot, load_orders
from jobs.analytics.ordering import Change, Ordering
from jobs.rollups import Reordering

if TYPE_CHECKING:
    from django.contrib.auth.models import User

_SALT = "netraven.reordering"
_OFFER_AGE_S = 24 * 3600
_CHANGED = "The credentials were changed since this advice was made, so nothing was applied. Look at it again."


def offer(ordering: Ordering) -> str:
    """An advised order as a signed text that a page can hold; `apply_offer` takes it."""
    return signing.dumps(
        {
            "state": ordering.state,
            "changes": [asdict(change) for change in ordering.changes],
            "saved": ordering.saved,
            "days": ordering.days,
            "visits": ordering.visits,
        },
        salt=_SALT,
        compress=True,
    )


def apply_offer(offered: str, user: User) -> Reordering:
    """Set the priorities of an offer and record what they were; needs `credentials.change_credential`.

    ValidationError when it is no offer of ours or too old, or when priorities, tags, versions or the set of
    enabled credentials changed meanwhile; nothing is written then.
    """
    try:
        found = signing.loads(offered, salt=_SALT, max_age=_OFFER_AGE_S)
    except signing.BadSignature:
        raise ValidationError("This advice is too old or not complete. Open the page of advice again.") from None
    changes = [Change(**change) for change in found["changes"]]
    if not changes:
        raise ValidationError("There is nothing to apply.")
    with transaction.atomic():
        credentials = _locked(changes)
        if load_orders().state != found["state"]:
            raise ValidationError(_CHANGED)
        _set(credentials, {(each.credential, each.tag): each.after for each in changes})
        return Reordering.objects.create(
            changes=[asdict(change) for change in changes],
            saved=found["saved"],
            days=found["days"],
            visits=found["visits"],
            applied_at=timezone.now(),
            applied_by=user,
            applied_by_name=user.get_username(),
        )


def undo(reordering: int, user: User) -> Reordering:
    """Give every priority of a reordering its former number back; needs `credentials.change_credential`.

    ValidationError when it was undone before, or one of the numbers is no longer the one it had set.
    """
    with transaction.atomic():
        row = Reordering.objects.select_for_update().filter(pk=reordering).first()
        if row is None:
            raise ValidationError("This reordering is not known.")
        if row.undone_at is not None:
            raise ValidationError(f"This was undone before, by {row.undone_by_name}.")
        changes = [Change(**change) for change in row.changes]
        credentials = _locked(changes)
        now = _numbers(credentials)
        for change in changes:
            slot = (change.credential, change.tag)
            if change.credential not in credentials:
                raise ValidationError(f"The credential {change.name} is gone, so this cannot be undone.")
            if slot not in now:
                raise ValidationError(f"{change.name} has lost the tag {change.tag_name}, so this cannot be undone.")
            if now[slot] != change.after:
                raise ValidationError(
                    f"The priority of {_where(change)} was changed since, to {_shown(now[slot])}: "
                    "undoing would overwrite that. Set it by hand."
                )
        _set(credentials, {(each.credential, each.tag): each.before for each in changes})
        row.undone_at = timezone.now()
        row.undone_by_name = user.get_username()
        row.save(update_fields=["undone_at", "undone_by_name"])
        return row


def _locked(changes: Iterable[Change]) -> dict[int, Credential]:
    wanted = {change.credential for change in changes}
    return {row.pk: row for row in Credential.objects.select_for_update().filter(pk__in=wanted).order_by("pk")}


def _numbers(credentials: Mapping[int, Credential]) -> dict[Slot, int | None]:
    found: dict[Slot, int | None] = {(key, None): row.priority for key, row in credentials.items()}
    links = CredentialTag.objects.filter(content_object__in=credentials)
    found |= {(key, tag): number for key, tag, number in links.values_list("content_object_id", "tag_id", "priority")}
    return found


def _set(credentials: Mapping[int, Credential], numbers: Mapping[Slot, int | None]) -> None:
    tags: dict[int, dict[int, int | None]] = defaultdict(dict)
    plain: dict[int, dict[str, Any]] = defaultdict(dict)
    for (credential, tag), number in numbers.items():
        if tag is None:
            plain[credential]["priority"] = number
        else:
            tags[credential][tag] = number
    for key, row in credentials.items():
        more = plain[key]
        if key in tags:
            # The service takes the numbers of all tags; those that are not named here stay.
            links = CredentialTag.objects.filter(content_object=row).values_list("tag_id", "tag__name", "priority")
            wanted = {name: tags[key].get(tag, number) for tag, name, number in links}
            more["tag_priorities"] = {name: number for name, number in wanted.items() if number is not None}
        update_credential(row, **more)


def _where(change: Change) -> str:
    return f"{change.name} for tag {change.tag_name}" if change.tag is not None else change.name


def _shown(number: int | None) -> str:
    return "none" if number is None else str(number)
