"""The lockout guard: no account is sent more wrong passwords than its budget allows.

It works on opaque keys: an account (a user name in an AAA domain, or on one device), a credential with its
version, and a place (a device). All of its memory is in the database, so it holds over threads, workers and
hosts. A login goes: `reserve` just before the secret is sent, `settle` when it is known what became of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Min, Q, QuerySet
from django.utils import timezone

from credentials import audit
from credentials.choices import AccountScope, GuardState
from credentials.models import (
    Credential,
    GuardAccount,
    GuardLogin,
    GuardRelease,
    RememberedRejection,
    account_identity,
    domain_key,
    enable_key,
)

# A proof is written at most this often: a night of backups is not ten thousand updates.
_PROOF_REFRESH_S = 30.0
# That of one credential more often: it tells rejections by single devices from a password that changed.
_CREDENTIAL_PROOF_REFRESH_S = 1.0
# So long a success vouches for logins that need no reservation. A password that changed since then would be
# sent by every thread at once.
_WARM_S = 120.0
# A reservation of a proven account that is older was left by a worker that is no more.
_LONGEST_LOGIN_S = 120.0
# Clocks of several hosts differ by less; a time further ahead is no proof.
_SKEW_S = 60.0
_COUNTED = (GuardState.REJECTED, GuardState.UNANSWERED)


@dataclass(frozen=True)
class GuardLimits:
    """How many rejections an account may have in a window of seconds, and how many unproven logins at once."""

    window_s: float = 900.0
    central: int = 3
    local: int = 2
    in_flight: int = 2

    def budget(self, scope: str) -> int:
        """Rejections allowed for an account of this scope."""
        return self.local if scope == AccountScope.LOCAL else self.central


@dataclass(frozen=True)
class GuardedLogin:
    """One login that is about to happen."""

    credential: int
    version: int
    scope: str
    username: str
    domain: str
    device: int
    device_label: str
    address: str
    """Where the device is reached, `host:port`: a local account lives there."""

    @property
    def place(self) -> str:
        """The key of the device."""
        return f"device:{self.device}"

    @property
    def domain_place(self) -> str:
        """The key of the AAA domain."""
        return domain_key(self.domain)

    @property
    def account(self) -> tuple[str, str]:
        """Key and label of the account."""
        return account_identity(self.scope, self.username, self.domain, self.address, self.device_label)


@dataclass(frozen=True)
class Reservation:
    """Leave to send one secret; `row` is None when this very credential just got in, so only a rejection counts."""

    login: GuardedLogin
    account: int
    row: int | None
    at: datetime
    """When it was given."""


class Held(Exception):
    """The account has no rejections left in its window."""

    def __init__(self, label: str, scope: str, spent: int, limit: int, until: datetime) -> None:
        minutes = max(1, round((until - timezone.now()).total_seconds() / 60))
        super().__init__(
            f"Account {label} ({scope}): {spent} of {limit} rejections are used up; "
            f"it is tried again in {minutes} min, or when somebody releases it."
        )
        self.label = label
        self.scope = scope
        self.spent = spent
        self.limit = limit
        self.until = until


class Wait(Exception):
    """Nobody has got in with this account yet and enough are trying: ask again in a moment."""


class KnownRejected(Exception):
    """This very password was proven wrong here meanwhile: sending it again would only use up the budget."""


class Guard:
    """Reserves and settles logins within `limits`."""

    def __init__(self, limits: GuardLimits) -> None:
        self.limits = limits

    # --- before a login -------------------------------------------------------------------------
    @transaction.atomic
    def reserve(self, login: GuardedLogin, now: datetime | None = None) -> Reservation:
        """Leave to send this secret now; raises KnownRejected, Held or Wait."""
        now = now or timezone.now()
        account = self._locked_account(login)
        places = [login.place] if login.scope == AccountScope.LOCAL else [login.place, login.domain_place]
        if RememberedRejection.objects.filter(
            credential_id=login.credential, credential_version=login.version, place__in=places
        ).exists():
            raise KnownRejected
        spent, in_flight, oldest = self._spent(account, now)
        limit = self.limits.budget(login.scope)
        if spent >= limit:
            until = (oldest or now) + timedelta(seconds=self.limits.window_s)
            raise Held(account.label, AccountScope(login.scope).value, spent, limit, until)
        if (account.pk, login.credential, login.version) in self.warm([account], now):
            return Reservation(login, account.pk, None, now)
        if in_flight >= self.limits.in_flight or spent + in_flight >= limit:
            raise Wait
        row = GuardLogin.objects.create(
            account=account,
            credential=login.credential,
            credential_version=login.version,
            place=login.place,
            place_label=login.device_label,
            at=now,
        )
        return Reservation(login, account.pk, row.pk, now)

    def _locked_account(self, login: GuardedLogin) -> GuardAccount:
        key, label = login.account
        account, _ = GuardAccount.objects.get_or_create(key=key, defaults={"label": label, "scope": login.scope})
        # On PostgreSQL the row lock, on SQLite the IMMEDIATE transaction makes reserving a queue.
        return GuardAccount.objects.select_for_update().get(pk=account.pk)

    def _spent(self, account: GuardAccount, now: datetime) -> tuple[int, int, datetime | None]:
        """(spent, still in flight, time of the oldest spent one) within the window."""
        proven = self.is_proven(account, now)
        counted = [GuardState.REJECTED] if proven else _COUNTED
        window = timedelta(seconds=self.limits.window_s)
        recent = GuardLogin.objects.filter(account=account, at__gt=now - window)
        found = recent.aggregate(
            spent=Count("pk", filter=Q(state__in=counted)),
            oldest=Min("at", filter=Q(state__in=counted)),
            # A login in flight counts whatever was released or proven meanwhile.
            in_flight=Count("pk", filter=Q(state=GuardState.OPEN)),
            young=Count("pk", filter=Q(state=GuardState.OPEN, at__gt=now - timedelta(seconds=_LONGEST_LOGIN_S))),
        )
        return found["spent"], found["young"] if proven else found["in_flight"], found["oldest"]

    def is_proven(self, account: GuardAccount, now: datetime | None = None) -> bool:
        """Whether somebody got in with this account within the window."""
        if account.last_success_at is None:
            return False
        age_s = ((now or timezone.now()) - account.last_success_at).total_seconds()
        return -_SKEW_S <= age_s < self.limits.window_s

    def warm(self, accounts: Iterable[GuardAccount], now: datetime) -> set[tuple[int, int, int]]:
        """(account, credential, version) that got in a moment ago, so that any number may follow; one query."""
        proven = [account.pk for account in accounts if self.is_proven(account, now)]
        lately = (now - timedelta(seconds=_WARM_S), now + timedelta(seconds=_SKEW_S))
        rows = GuardLogin.objects.filter(account__in=proven, state=GuardState.ACCEPTED, at__range=lately)
        return set(rows.values_list("account_id", "credential", "credential_version"))

    def rejections(self, accounts: Iterable[GuardAccount], now: datetime) -> Counter[int]:
        """Rejections that count against the budgets of these accounts, by account; one query."""
        start = now - timedelta(seconds=self.limits.window_s)
        rows = GuardLogin.objects.filter(account__in=list(accounts), state=GuardState.REJECTED, at__gt=start)
        return Counter(rows.values_list("account_id", flat=True))

    # --- after a login --------------------------------------------------------------------------
    @transaction.atomic
    def settle(self, reservation: Reservation, fate: str, now: datetime | None = None) -> None:
        """Book what became of the secret: `unsent`, `accepted`, `rejected` or `unanswered`."""
        now = now or timezone.now()
        row = GuardLogin.objects.filter(pk=reservation.row) if reservation.row else None
        if fate == "unsent":
            if row is not None:
                row.delete()
        elif fate == "accepted":
            if row is not None:
                row.delete()
            self._book_success(reservation, now)
        elif fate == "rejected":
            spared = self._got_in_meanwhile(reservation, now)
            self._book(reservation, GuardState.CLEARED if spared else GuardState.REJECTED, row, now)
            self._remember(reservation, now)
        elif row is not None:  # without a reservation the credential was proven when it was sent
            self._book(reservation, GuardState.UNANSWERED, row, now)

    @staticmethod
    def _got_in_meanwhile(reservation: Reservation, now: datetime) -> bool:
        """Whether this password opened another device after it was given out for this one.

        Then it is right, and the device merely does not admit the account: one that takes its time to say no
        must not be counted as a row of wrong passwords.
        """
        login = reservation.login
        return GuardLogin.objects.filter(
            account=reservation.account,
            credential=login.credential,
            credential_version=login.version,
            state=GuardState.ACCEPTED,
            at__gt=reservation.at,
            at__lte=now + timedelta(seconds=_SKEW_S),
        ).exists()

    def _book_success(self, reservation: Reservation, now: datetime) -> None:
        login = reservation.login
        stale, ahead = now - timedelta(seconds=_PROOF_REFRESH_S), now + timedelta(seconds=_SKEW_S)
        faded = now - timedelta(seconds=_CREDENTIAL_PROOF_REFRESH_S)
        GuardAccount.objects.filter(pk=reservation.account).filter(
            Q(last_success_at=None) | Q(last_success_at__lt=stale) | Q(last_success_at__gt=ahead)
        ).update(last_success_at=now)
        proof = GuardLogin.objects.filter(
            account=reservation.account,
            credential=login.credential,
            credential_version=login.version,
            state=GuardState.ACCEPTED,
        )
        if not proof.filter(at__range=(faded, ahead)).exists() and not proof.update(at=now):
            self._book(reservation, GuardState.ACCEPTED, None, now)
        _clear([reservation.account])
        remembered = RememberedRejection.objects.filter(
            credential_id=login.credential, place__in=[login.place, login.domain_place]
        )
        if not remembered.exists():
            return
        remembered.filter(place=login.place).delete()
        # It opens something in this domain: what was taken for a wrong password was a device
        # that does not admit the account, so the memory shrinks to those devices.
        for row in remembered.filter(place=login.domain_place, credential_version=login.version):
            rejected_at = GuardLogin.objects.filter(
                account=reservation.account,
                credential=login.credential,
                credential_version=login.version,
                state__in=[GuardState.REJECTED, GuardState.CLEARED],
            ).exclude(place=login.place)
            RememberedRejection.objects.bulk_create(
                [
                    RememberedRejection(
                        credential_id=login.credential,
                        credential_version=login.version,
                        place=place,
                        place_label=label,
                        at=row.at,
                    )
                    for place, label in rejected_at.values_list("place", "place_label").distinct()
                ],
                ignore_conflicts=True,
            )
            row.delete()

    def _book(
        self, reservation: Reservation, state: GuardState, row: QuerySet[GuardLogin] | None, now: datetime
    ) -> None:
        login = reservation.login
        if row is not None and row.update(state=state, at=now):
            return
        GuardLogin.objects.create(
            account_id=reservation.account,
            credential=login.credential,
            credential_version=login.version,
            place=login.place,
            place_label=login.device_label,
            state=state,
            at=now,
        )

    def _remember(self, reservation: Reservation, now: datetime) -> None:
        """Never offer this password here again until somebody edits or releases it."""
        login = reservation.login
        # By this very version: that another credential of the account got in says nothing for this password.
        opened_somewhere = GuardLogin.objects.filter(
            account=reservation.account,
            credential=login.credential,
            credential_version=login.version,
            state=GuardState.ACCEPTED,
            at__gt=now - timedelta(seconds=self.limits.window_s),
        ).exists()
        local = login.scope == AccountScope.LOCAL or opened_somewhere
        place, label = (
            (login.place, login.device_label) if local else (login.domain_place, f"AAA domain {login.domain}")
        )
        RememberedRejection.objects.update_or_create(
            credential_id=login.credential,
            credential_version=login.version,
            place=place,
            defaults={"place_label": label, "at": now},
        )

    @staticmethod
    def remember_enable(credential: int, version: int, device: int, device_label: str, now: datetime) -> None:
        """Never type this enable secret on this device again until somebody edits or releases the credential.

        It counts against no budget, since whoever logged in with the password is no wrong login.
        """
        if Credential.objects.filter(pk=credential).exists():
            RememberedRejection.objects.update_or_create(
                credential_id=credential,
                credential_version=version,
                place=enable_key(device),
                defaults={"place_label": f"enable secret on {device_label}"[:200], "at": now},
            )

    # --- what is known --------------------------------------------------------------------------
    @staticmethod
    def remembered(credentials: Iterable[int], places: Collection[str]) -> dict[tuple[int, int, str], datetime]:
        """Rejections that still stand, by (credential, version, place), for these credentials and places."""
        rows = RememberedRejection.objects.filter(credential_id__in=list(credentials))
        if len(places) <= 500:
            rows = rows.filter(place__in=list(places))
        return {
            (row.credential_id, row.credential_version, row.place): row.at
            for row in rows.only("credential_id", "credential_version", "place", "at")
            if row.place in places
        }

    def held_accounts(self, now: datetime | None = None, keys: Collection[str] | None = None) -> list[HeldAccount]:
        """Accounts without rejections left, by label; of all, or of these keys; one query."""
        now = now or timezone.now()
        window = timedelta(seconds=self.limits.window_s)
        start = now - window
        counts = Q(logins__at__gt=start)
        # As in `_spent`: while an account is proven, only rejections count.
        ahead = now + timedelta(seconds=_SKEW_S)
        unproven = Q(last_success_at=None) | Q(last_success_at__lte=start) | Q(last_success_at__gt=ahead)
        counts &= Q(logins__state=GuardState.REJECTED) | (Q(logins__state=GuardState.UNANSWERED) & unproven)
        recent = GuardLogin.objects.filter(at__gt=start).values("account")
        accounts = GuardAccount.objects.filter(pk__in=recent)
        if keys is not None:
            accounts = accounts.filter(key__in=keys)
        local = Q(scope=AccountScope.LOCAL)
        out = (local & Q(spent__gte=self.limits.local)) | (~local & Q(spent__gte=self.limits.central))
        counted = accounts.annotate(spent=Count("logins", filter=counts), oldest=Min("logins__at", filter=counts))
        return [
            HeldAccount(account, account.spent, self.limits.budget(account.scope), account.oldest + window)
            for account in counted.filter(out).order_by("label")
        ]

    @transaction.atomic
    def release(self, account: GuardAccount, by: str, now: datetime | None = None, reason: str = "") -> None:
        """Give an account its budget back and forget what was remembered of its rejections; kept on record."""
        now = now or timezone.now()
        credentials = set(account.logins.values_list("credential", flat=True))
        places = set(account.logins.values_list("place", flat=True))
        places |= {enable_key(place.partition(":")[2]) for place in places}
        if account.scope == AccountScope.CENTRAL:
            places.add("domain:" + account.key.split(":", 2)[1])
        _clear([account.pk])
        RememberedRejection.objects.filter(credential_id__in=credentials, place__in=places).delete()
        account.released_at = now
        account.released_by = by
        account.save(update_fields=["released_at", "released_by"])
        _keep_on_record(f"Account {account.label}", by, reason, now)
        audit.record("guard.released", actor=by, subject=f"Account {account.label}", reason=reason)


class HeldAccount(NamedTuple):
    """An account without rejections left, and when the first of those that were spent leaves the window."""

    account: GuardAccount
    spent: int
    limit: int
    until: datetime


def held_accounts_of(credential: Credential, now: datetime | None = None) -> list[HeldAccount]:
    """The held accounts that a login with this credential would use, whichever credentials used them up."""
    mine = credential.scope, credential.username.casefold()
    held = get_guard().held_accounts(now)
    return [each for each in held if (each.account.scope, each.account.key.split(":", 2)[2]) == mine]


@dataclass(frozen=True)
class Released:
    """What a release changed: labels of the accounts, and of the places where a rejection was forgotten."""

    accounts: tuple[str, ...]
    forgotten: tuple[str, ...]


@transaction.atomic
def release_credential(credential: Credential, by: str, now: datetime | None = None, reason: str = "") -> Released:
    """Give the accounts in which this credential was lately refused their budget back, and forget where it was.

    Also the held accounts of its user name and scope, whichever credential used them up: a new password for an
    account is released like a corrected one. What is remembered of other credentials stays, so none of theirs
    is sent again. Kept on record when there was anything.
    """
    now = now or timezone.now()
    guard = get_guard()
    window = timedelta(seconds=guard.limits.window_s)
    spent = GuardLogin.objects.filter(credential=credential.pk, state__in=_COUNTED, at__gt=now - window)
    same = [held.account.pk for held in held_accounts_of(credential, now)]
    accounts = GuardAccount.objects.filter(Q(pk__in=spent.values("account")) | Q(pk__in=same)).order_by("label")
    found = dict(accounts.values_list("pk", "label"))
    labels = tuple(found.values())
    GuardAccount.objects.filter(pk__in=found).update(released_at=now, released_by=by)
    _clear(found)
    remembered = credential.remembered_rejections.all()
    places = tuple(remembered.order_by("place_label").values_list("place_label", flat=True))
    remembered.delete()
    if labels or places:
        _keep_on_record(f"Credential {credential.name}", by, reason, now)
        audit.record(
            "guard.released", actor=by, credential=credential, reason=reason, accounts=labels, forgotten=places
        )
    return Released(labels, places)


def _keep_on_record(what: str, by: str, reason: str, now: datetime) -> None:
    GuardRelease.objects.create(what=what[:430], by=by[:150], reason=" ".join(reason.split())[:250], at=now)


def _clear(accounts: Collection[int]) -> None:
    """Wipe out what is spent of these accounts: by its state, for the clocks of several hosts may differ."""
    spent = GuardLogin.objects.filter(account__in=list(accounts))
    spent.filter(state=GuardState.UNANSWERED).delete()
    # What was rejected stays known: a later success tells in which places it was no wrong password.
    spent.filter(state=GuardState.REJECTED).update(state=GuardState.CLEARED)


@cache
def get_guard() -> Guard:
    """The guard with the limits of the settings."""
    return Guard(
        GuardLimits(
            window_s=settings.NETRAVEN_GUARD_WINDOW_S,
            central=settings.NETRAVEN_GUARD_CENTRAL_LIMIT,
            local=settings.NETRAVEN_GUARD_LOCAL_LIMIT,
            in_flight=settings.NETRAVEN_GUARD_IN_FLIGHT,
        )
    )
