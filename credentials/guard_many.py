"""The lockout guard for many logins at once: what is plain in a few queries, what is not one by one.

Plain is a login with a credential that just got in elsewhere, at a place where nothing is remembered against
it: nearly every login of a healthy fleet. Everything else goes through the guard itself, in the order given.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from django.utils import timezone

from credentials.bulk import select_in
from credentials.guard import Guard, GuardedLogin, Held, KnownRejected, Reservation, Wait
from credentials.models import GuardAccount, RememberedRejection
from credentials.store import CredentialStore

Answer = Reservation | Held | Wait | KnownRejected
Settled = tuple[Reservation, str]
"""A reservation and the fate of its secret."""
_Known = tuple[str, int, int]
"""Key of an account, credential, version."""
_KNOWN_FOR_S = 0.5


class ProvenAccounts:
    """Credentials that just got in, with accounts that have rejections to spare; known for a moment.

    Their logins go out by the hundred at a time, so a rejection counts for those that are not on their way
    yet; it may count half a second later as well. What one's own logins bring is known at once.
    """

    def __init__(self) -> None:
        self._until = 0.0
        self._rows: dict[_Known, int] = {}
        self._asked: set[_Known] = set()

    def forget(self) -> None:
        """Ask the database next time."""
        self._until = 0.0

    def among(self, guard: Guard, logins: Sequence[GuardedLogin], now: datetime) -> dict[_Known, int]:
        """The accounts of those logins that need no reservation, as ids."""
        if time.monotonic() > self._until:
            self._rows, self._asked = {}, set()
            self._until = time.monotonic() + _KNOWN_FOR_S
        if unknown := {_known(login) for login in logins} - self._asked:
            self._asked |= unknown
            keys = {key for key, _, _ in unknown}
            accounts = {row.pk: row for row in GuardAccount.objects.filter(key__in=keys)}
            warm = guard.warm(accounts.values(), now)
            spent = guard.rejections(accounts.values(), now) if warm else Counter()
            for account, credential, version in warm:
                row = accounts[account]
                if spent[account] < guard.limits.budget(row.scope):
                    self._rows[row.key, credential, version] = account
        return self._rows


def reserve_many(
    guard: Guard, logins: Sequence[GuardedLogin], proven: ProvenAccounts | None = None, now: datetime | None = None
) -> list[Answer]:
    """What `Guard.reserve` returns or raises for each login; within a transaction of the caller's."""
    if not logins:
        return []
    now = now or timezone.now()
    accounts = (proven or ProvenAccounts()).among(guard, logins, now)
    remembered = _remembered(logins)
    answers: dict[int, Answer] = {}
    crowded: set[_Known] = set()
    # Always in the order of the accounts: two shards never wait for what the other one has locked.
    for number, login in sorted(enumerate(logins), key=lambda each: (each[1].account[0], each[0])):
        known = _known(login)
        account = accounts.get(known)
        if known in crowded:
            # As many as may try it are trying it: the others ask again in a moment, and cost nothing until then.
            answers[number] = Wait()
        elif account is None or remembered & _memories(login):
            answer = answers[number] = _one(guard, login, now)
            if isinstance(answer, Wait):
                crowded.add(known)
            elif isinstance(answer, Reservation) and answer.row is None:
                accounts[known] = answer.account  # it got in since the accounts were asked for
        else:
            answers[number] = Reservation(login, account, None, now)
    return [answers[number] for number in range(len(logins))]


def settle_many(guard: Guard, store: CredentialStore, settled: Sequence[Settled], now: datetime | None = None) -> None:
    """`Guard.settle` for each, and the logins counted at their credentials; within the caller's transaction."""
    now = now or timezone.now()
    counts = Counter((reservation.login.credential, fate) for reservation, fate in settled if fate != "unsent")
    for (credential, fate), count in sorted(counts.items()):
        store.record(credential, fate, now, count)
    good = [reservation for reservation, fate in settled if fate == "accepted"]
    remembered = _remembered([reservation.login for reservation in good])
    proven_now: set[tuple[int, int, int]] = set()
    # In the order of the accounts for the sake of the locks, and of each in the order in which it happened.
    for reservation, fate in sorted(settled, key=lambda each: each[0].account):
        login = reservation.login
        if reservation.row is None and fate == "unsent":
            continue
        if fate == "accepted":
            # Of the plain successes with a credential, the first proves it and wipes out what was spent before.
            proof = (reservation.account, login.credential, login.version)
            if reservation.row is None and proof in proven_now and not remembered & _memories(login):
                continue
            proven_now.add(proof)
        else:
            proven_now.clear()
        guard.settle(reservation, fate, now)


def _one(guard: Guard, login: GuardedLogin, now: datetime) -> Answer:
    try:
        return guard.reserve(login, now)
    except (Held, Wait, KnownRejected) as answer:
        return answer


def _known(login: GuardedLogin) -> _Known:
    return login.account[0], login.credential, login.version


def _memories(login: GuardedLogin) -> set[tuple[int, str]]:
    return {(login.credential, login.place), (login.credential, login.domain_place)}


def _remembered(logins: Iterable[GuardedLogin]) -> set[tuple[int, str]]:
    """(credential, place) of remembered rejections that may concern these logins, of any version."""
    wanted = list(logins)
    places = {place for login in wanted for place in (login.place, login.domain_place)}
    where = {"credential": {login.credential for login in wanted}, "place": places}
    return set(select_in(RememberedRejection, ["credential", "place"], where))  # type: ignore[arg-type]
