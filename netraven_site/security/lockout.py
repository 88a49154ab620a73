"""Guessing of passwords: each try takes a place before the password is looked at, and a success gives it back.

Three counts, all in the database and all taken in one transaction: for a name from an address, for a name from
everywhere, and for an address with any name. A name that got in from an address is counted there alone, so that a
stranger elsewhere locks nobody out of it. Names that do not exist are counted like the others.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.crypto import salted_hmac

from credentials import audit
from netraven_site.models import SignInTries
from netraven_site.security.client import counted_as

_KNOWN_FOR: Final = timedelta(days=30)
_KEPT_FOR: Final = timedelta(days=2)
_LONGEST_LOCK: Final = timedelta(hours=1)
_MOST_DOUBLINGS: Final = 12


class LockedOut(Exception):
    """No password is looked at now; `wait` says for how long."""

    def __init__(self, wait: timedelta) -> None:
        self.wait = wait
        super().__init__(
            f"Too many wrong passwords: sign-in is closed here for {in_minutes(wait)}. No password was looked at. "
            "An administrator can open it sooner: on the page of the user, or with ./manage.py unlock_user."
        )


@dataclass(frozen=True)
class Try:
    """One place that was taken: what to give back when the password is right."""

    pair: str
    others: tuple[_Count, ...]


@dataclass
class _Count:
    key: str
    limit: int
    was_last: bool = False
    """This very try closed the door."""


def take(username: str, address: str) -> Try:
    """Take a place for one look at a password. Raises LockedOut, and then counts nothing."""
    name, place = _folded(username), counted_as(address)
    pair = _Count(_key("pair", name, place), settings.NETRAVEN_SIGN_IN_TRIES)
    account = _Count(_key("account", name), settings.NETRAVEN_SIGN_IN_TRIES_ACCOUNT)
    source = _Count(_key("address", place), settings.NETRAVEN_SIGN_IN_TRIES_ADDRESS)
    user = User.objects.filter(username=username).only("pk").first()
    now = timezone.now()
    counts = [pair, account, source]
    with transaction.atomic():
        SignInTries.objects.bulk_create(
            [
                SignInTries(key=each.key, since=now, user=None if each is source else user)
                for each in sorted(counts, key=lambda count: count.key)
            ],
            ignore_conflicts=True,
        )
        # Locked in one order by everybody; whoever comes second sees what the first one took.
        found = SignInTries.objects.select_for_update().filter(key__in=[each.key for each in counts]).order_by("key")
        rows = {row.key: row for row in found}
        if (known := rows[pair.key].known_until) is not None and known > now:
            counts.remove(account)
        for each in counts:
            _forget(rows[each.key], now)
        ends = [until for each in counts if (until := rows[each.key].locked_until) is not None and until > now]
        if ends:
            raise LockedOut(max(ends) - now)
        for each in counts:
            each.was_last = _count(rows[each.key], each.limit, now)
        SignInTries.objects.bulk_update(
            [rows[each.key] for each in counts], ["taken", "since", "locks", "locked_until"]
        )
    if any(each.was_last for each in counts):
        audit.record("sign_in.locked", user=None, actor="guard", user_id=user.pk if user else None, address=address)
    return Try(pair.key, tuple(each for each in counts if each is not pair))


def succeeded(taken: Try) -> None:
    """The password was right: the name is at home at this address, and its place is free again."""
    now = timezone.now()
    with transaction.atomic():
        SignInTries.objects.filter(key=taken.pair).update(
            taken=0, locks=0, locked_until=None, known_until=now + _KNOWN_FOR
        )
        for each in sorted(taken.others, key=lambda count: count.key):
            row = SignInTries.objects.select_for_update().filter(key=each.key).first()
            if row is None:
                continue
            # Only what was taken is given back: whoever knows one password must not buy more guesses with it.
            if each.was_last:
                row.taken, row.locked_until, row.locks = each.limit - 1, None, max(0, row.locks - 1)
            else:
                row.taken = max(0, row.taken - 1)
            row.save(update_fields=["taken", "locked_until", "locks"])
        old = Q(known_until=None) | Q(known_until__lt=now)
        SignInTries.objects.filter(old, since__lt=now - _KEPT_FOR).delete()


def unlock(user: User, by: User | None = None, actor: str = "") -> int:
    """Open sign-in for a user again, from everywhere; how many locks there were."""
    now = timezone.now()
    rows = SignInTries.objects.filter(Q(user=user) | Q(key=_key("account", _folded(user.username))))
    with transaction.atomic():
        open_again = rows.filter(locked_until__gt=now).count()
        rows.update(taken=0, locks=0, locked_until=None)
        audit.record("sign_in.unlocked", user=by, actor=actor, user_id=user.pk, locks=open_again)
    return open_again


def unlock_address(address: str, actor: str = "") -> int:
    """Open sign-in for everybody at an address again; how many locks there were."""
    rows = SignInTries.objects.filter(key=_key("address", counted_as(address)))
    with transaction.atomic():
        open_again = rows.filter(locked_until__gt=timezone.now()).count()
        rows.update(taken=0, locks=0, locked_until=None)
        audit.record("sign_in.unlocked", user=None, actor=actor, address=address, locks=open_again)
    return open_again


def locked_users(users: Sequence[int]) -> dict[int, datetime]:
    """Which of these users are locked somewhere just now, and until when."""
    rows = SignInTries.objects.filter(user__in=users, locked_until__gt=timezone.now())
    found: dict[int, datetime] = {}
    for user, until in rows.values_list("user", "locked_until"):
        if user is not None and until is not None:
            found[user] = max(until, found.get(user, until))
    return found


def in_minutes(wait: timedelta) -> str:
    """A time to wait, in whole minutes."""
    minutes = max(1, math.ceil(wait.total_seconds() / 60))
    return "a minute" if minutes == 1 else f"{minutes} minutes"


def _forget(row: SignInTries, now: datetime) -> None:
    """What is older than the window no longer counts; after a quiet day the next lock is a short one again."""
    if row.locked_until is None or row.locked_until <= now:
        row.locked_until = None
        if row.since < now - timedelta(seconds=settings.NETRAVEN_SIGN_IN_WINDOW_S):
            row.taken = 0
        if row.since < now - timedelta(days=1):
            row.locks = 0


def _count(row: SignInTries, limit: int, now: datetime) -> bool:
    """Take a place; whether it was the last one."""
    if row.taken == 0:
        row.since = now
    row.taken += 1
    if row.taken < limit:
        return False
    lock = timedelta(seconds=settings.NETRAVEN_SIGN_IN_LOCK_S * 2 ** min(row.locks, _MOST_DOUBLINGS))
    row.taken, row.since, row.locks, row.locked_until = 0, now, row.locks + 1, now + min(lock, _LONGEST_LOCK)
    return True


def _folded(username: str) -> str:
    return unicodedata.normalize("NFKC", username).casefold()


def _key(kind: str, *parts: str) -> str:
    return salted_hmac("netraven.sign_in", "\0".join([kind, *parts]), algorithm="sha256").hexdigest()
