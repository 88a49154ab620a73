"""The lockout guard: no account is sent more wrong passwords than its budget allows.

It works on opaque keys: an account (a user name in an AAA domain, or on one device), a credential with its
version, and a place (a device). All of its memory is in the database, so it holds over threads, workers and
hosts. A login goes: `reserve` just before the secret is sent, `settle` when it is known what became of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from django.conf import settings
from django.db import transaction
from django.db.models import Count, F, Max, Q, QuerySet
from django.utils import timezone

from credentials.choices import AccountScope, GuardState
from credentials.models import (
    Credential,
    GuardAccount,
    GuardLogin,
    RememberedRejection,
    account_identity,
)

# A proven account's row is touched at most this often: a night of backups is not ten thousand updates.
_PROOF_REFRESH_S = 30.0


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

    @property
    def place(self) -> str:
        """The key of the device."""
        return f"device:{self.device}"

    @property
    def domain_place(self) -> str:
        """The key of the AAA domain."""
        return f"domain:{self.domain}"

    @property
    def account(self) -> tuple[str, str]:
        """Key and label of the account."""
        return account_identity(self.scope, self.username, self.domain, self.device, self.device_label)


@dataclass(frozen=True)
class Reservation:
    """Leave to send one secret; `row` is None when the account is proven and only rejections count."""

    login: GuardedLogin
    account: int
    row: int | None


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
        if self.is_proven(account, now):
            return Reservation(login, account.pk, None)
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
        return Reservation(login, account.pk, row.pk)

    def _locked_account(self, login: GuardedLogin) -> GuardAccount:
        key, label = login.account
        account, _ = GuardAccount.objects.get_or_create(key=key, defaults={"label": label, "scope": login.scope})
        # On PostgreSQL the row lock, on SQLite the IMMEDIATE transaction makes reserving a queue.
        return GuardAccount.objects.select_for_update().get(pk=account.pk)

    def _window_start(self, account: GuardAccount, now: datetime) -> datetime:
        start = now - timedelta(seconds=self.limits.window_s)
        marks = [mark for mark in (account.last_success_at, account.released_at) if mark is not None]
        return max([start, *marks])

    def _spent(self, account: GuardAccount, now: datetime) -> tuple[int, int, datetime | None]:
        """(spent, still in flight, time of the oldest spent one) within the window."""
        window = timedelta(seconds=self.limits.window_s)
        proven = self.is_proven(account, now)
        counted = [GuardState.REJECTED] if proven else [GuardState.REJECTED, GuardState.UNANSWERED]
        in_window = GuardLogin.objects.filter(account=account, at__gt=self._window_start(account, now))
        found = in_window.aggregate(
            spent=Count("pk", filter=Q(state__in=counted)),
            latest=Max("at", filter=Q(state__in=counted)),
        )
        # A login in flight counts whatever was released or proven meanwhile, until its window ends.
        in_flight = GuardLogin.objects.filter(account=account, state=GuardState.OPEN, at__gt=now - window).count()
        first = (
            in_window.filter(state__in=counted).order_by("at").values_list("at", flat=True).first()
            if found["spent"]
            else None
        )
        return found["spent"], in_flight, first

    def is_proven(self, account: GuardAccount, now: datetime | None = None) -> bool:
        """Whether somebody got in with this account within the window."""
        now = now or timezone.now()
        return account.last_success_at is not None and account.last_success_at > now - timedelta(
            seconds=self.limits.window_s
        )

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
            self._book(reservation, GuardState.REJECTED, row, now)
            self._remember(reservation, now)
        else:
            self._book(reservation, GuardState.UNANSWERED, row, now)

    def _book_success(self, reservation: Reservation, now: datetime) -> None:
        login = reservation.login
        stale = now - timedelta(seconds=_PROOF_REFRESH_S)
        GuardAccount.objects.filter(pk=reservation.account).filter(
            Q(last_success_at=None)
            | Q(last_success_at__lt=stale)
            | Q(logins__state=GuardState.REJECTED, logins__at__gte=stale)
        ).update(last_success_at=now)
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
                state=GuardState.REJECTED,
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
        opened_somewhere = GuardAccount.objects.filter(
            pk=reservation.account, last_success_at__gt=now - timedelta(seconds=self.limits.window_s)
        ).exists() and _opened_by(login, now, self.limits.window_s)
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

    def held_accounts(self, now: datetime | None = None) -> list[tuple[GuardAccount, int, int]]:
        """Accounts without rejections left: (account, spent, limit), by label; one query."""
        now = now or timezone.now()
        start = now - timedelta(seconds=self.limits.window_s)
        counts = Q(logins__at__gt=start)
        counts &= Q(last_success_at=None) | Q(logins__at__gt=F("last_success_at"))
        counts &= Q(released_at=None) | Q(logins__at__gt=F("released_at"))
        # As in `_spent`: while an account is proven, only rejections count.
        unproven = Q(last_success_at=None) | Q(last_success_at__lte=start)
        counts &= Q(logins__state=GuardState.REJECTED) | (Q(logins__state=GuardState.UNANSWERED) & unproven)
        recent = GuardLogin.objects.filter(at__gt=start).values("account")
        accounts = GuardAccount.objects.filter(pk__in=recent).annotate(spent=Count("logins", filter=counts))
        local = Q(scope=AccountScope.LOCAL)
        out = (local & Q(spent__gte=self.limits.local)) | (~local & Q(spent__gte=self.limits.central))
        return [
            (account, account.spent, self.limits.budget(account.scope))
            for account in accounts.filter(out).order_by("label")
        ]

    @transaction.atomic
    def release(self, account: GuardAccount, by: str, now: datetime | None = None) -> None:
        """Give an account its budget back and forget what was remembered of its rejections."""
        now = now or timezone.now()
        credentials = set(account.logins.values_list("credential", flat=True))
        places = set(account.logins.values_list("place", flat=True))
        if account.scope == AccountScope.CENTRAL:
            places.add("domain:" + account.key.split(":", 2)[1])
        RememberedRejection.objects.filter(credential_id__in=credentials, place__in=places).delete()
        account.released_at = now
        account.released_by = by
        account.save(update_fields=["released_at", "released_by"])


@dataclass(frozen=True)
class Released:
    """What a release changed: labels of the accounts, and of the places where a rejection was forgotten."""

    accounts: tuple[str, ...]
    forgotten: tuple[str, ...]


@transaction.atomic
def release_credential(credential: Credential, by: str, now: datetime | None = None) -> Released:
    """Give the accounts in which this credential was lately refused their budget back, and forget where it was.

    What is remembered of other credentials of the same accounts stays.
    """
    now = now or timezone.now()
    window = timedelta(seconds=get_guard().limits.window_s)
    spent = GuardLogin.objects.filter(
        credential=credential.pk, state__in=[GuardState.REJECTED, GuardState.UNANSWERED], at__gt=now - window
    )
    # What a success or an earlier release has already wiped out needs none.
    since = Q(account__last_success_at=None) | Q(account__last_success_at__lt=F("at"))
    since &= Q(account__released_at=None) | Q(account__released_at__lt=F("at"))
    accounts = GuardAccount.objects.filter(pk__in=spent.filter(since).values("account"))
    labels = tuple(accounts.order_by("label").values_list("label", flat=True))
    accounts.update(released_at=now, released_by=by)
    remembered = credential.remembered_rejections.all()
    places = tuple(remembered.order_by("place_label").values_list("place_label", flat=True))
    remembered.delete()
    return Released(labels, places)


def _opened_by(login: GuardedLogin, now: datetime, window_s: float) -> bool:
    """Whether this very credential version opened something lately, not merely another one of the account."""
    return Credential.objects.filter(
        pk=login.credential, version=login.version, last_success_at__gt=now - timedelta(seconds=window_s)
    ).exists()


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
