"""Searches that people keep."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Q, QuerySet

from devices.configs.query import BadQuery, Matcher, Query
from devices.searches import SavedSearch

if TYPE_CHECKING:
    from django.contrib.auth.models import User

SHARE = "devices.share_savedsearch"
_MOST = 200


def searches_of(user: User) -> QuerySet[SavedSearch]:
    """The searches that somebody has: their own, and what others share."""
    return SavedSearch.objects.filter(Q(owner=user.pk) | Q(is_shared=True)).select_related("owner")


def save_search(user: User, name: str, query: Query, *, shared: bool = False) -> SavedSearch:
    """Keep a search under a name, in place of the own one of that name.

    ValidationError by field; PermissionDenied when sharing is not permitted.
    """
    name = " ".join(name.split())
    try:
        Matcher(query.term, query.mode, query.case)
    except BadQuery as error:
        raise ValidationError({"query": str(error)}) from error
    if shared and not user.has_perm(SHARE):
        raise PermissionDenied(f"Sharing a search needs the permission {SHARE}.")
    own = SavedSearch.objects.filter(owner=user.pk)
    row = own.filter(name=name).first()
    if row is None:
        if own.count() >= _MOST:
            raise ValidationError({"name": f"You keep {_MOST} searches; delete one first."})
        row = SavedSearch(owner=user, name=name)
    row.query = query.as_dict()
    row.is_shared = shared
    row.full_clean()
    row.save()
    return row


def delete_search(search: SavedSearch, user: User) -> None:
    """Delete an own search, or with the permission to delete searches another's shared one; PermissionDenied else."""
    if search.owner_id != user.pk and not (search.is_shared and user.has_perm("devices.delete_savedsearch")):
        raise PermissionDenied("This search belongs to somebody else.")
    search.delete()
