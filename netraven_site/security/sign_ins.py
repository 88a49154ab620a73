"""Sign-ins that last: each is a row, and ends with it, whichever process the next request reaches."""

from __future__ import annotations

import time
from contextvars import ContextVar
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.contrib.auth import SESSION_KEY, logout
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db.models import QuerySet
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils import timezone

from credentials import audit
from netraven_site.models import SignIn
from netraven_site.security.client import address_of, agent_of

ROW: Final = "netraven_sign_in"
_SEEN: Final = "netraven_seen_at"
_PASSWORD_AT: Final = "netraven_password_at"  # noqa: S105 - the name of a value
_SEEN_EVERY_S: Final = 60

_present: ContextVar[int | None] = ContextVar("sign_in", default=None)


def living(user: User | None = None) -> QuerySet[SignIn]:
    """The sign-ins that have not run out, of one user or of all."""
    now = timezone.now()
    rows = SignIn.objects.filter(created_at__gt=now - timedelta(seconds=settings.SESSION_COOKIE_AGE))
    if settings.NETRAVEN_SESSION_IDLE_S:
        # What is written down lags behind by as much.
        idle = timedelta(seconds=settings.NETRAVEN_SESSION_IDLE_S + _SEEN_EVERY_S)
        rows = rows.filter(seen_at__gt=now - idle)
    return rows if user is None else rows.filter(user=user)


def present(request: HttpRequest) -> int | None:
    """The row of the sign-in that this request belongs to."""
    found = request.session.get(ROW)
    return found if isinstance(found, int) else None


def end(rows: QuerySet[SignIn], by: User | None = None, actor: str = "") -> int:
    """Sign out these browsers; how many."""
    ended = list(rows.values_list("pk", "user"))
    SignIn.objects.filter(pk__in=[pk for pk, _ in ended]).delete()
    if ended:
        users = sorted({user for _, user in ended})
        audit.record("sign_in.ended", user=by, actor=actor, users=users, sign_ins=len(ended))
    return len(ended)


def end_of(user: User, by: User | None = None, actor: str = "", but: int | None = None) -> int:
    """Sign out every browser of a user, `but` for one; how many."""
    return end(SignIn.objects.filter(user=user).exclude(pk=but or 0), by, actor)


def note(request: HttpRequest) -> None:
    """The password was typed just now."""
    request.session[_PASSWORD_AT] = int(time.time())


def is_recent(request: HttpRequest) -> bool:
    """Whether the password was typed in this session within NETRAVEN_REAUTH_S."""
    at = request.session.get(_PASSWORD_AT)
    return isinstance(at, int) and 0 <= time.time() - at <= settings.NETRAVEN_REAUTH_S


class EndOtherSignIns:
    """Among the validators of passwords: Django tells these when a password was changed."""

    def validate(self, password: str, user: Any = None) -> None:
        """Any will do."""

    def get_help_text(self) -> str:
        """Nothing to be told."""
        return ""

    def password_changed(self, password: str, user: Any = None) -> None:
        """Sign out everywhere but here."""
        if user is not None and user.pk:
            SignIn.objects.filter(user=user.pk).exclude(pk=_present.get() or 0).delete()


@receiver(user_logged_in)
def _begin(sender: Any, request: HttpRequest, user: User, **kwargs: Any) -> None:
    now = timezone.now()
    old = now - timedelta(seconds=settings.SESSION_COOKIE_AGE)
    SignIn.objects.filter(user=user, created_at__lt=old).delete()
    if former := present(request):
        SignIn.objects.filter(pk=former).delete()
    row = SignIn.objects.create(
        user=user, address=address_of(request), agent=agent_of(request), created_at=now, seen_at=now
    )
    request.session[ROW] = row.pk
    request.session[_SEEN] = int(time.time())
    note(request)


@receiver(user_logged_out)
def _leave(sender: Any, request: HttpRequest, **kwargs: Any) -> None:
    if row := present(request):
        SignIn.objects.filter(pk=row).delete()


class SignInMiddleware:
    """Signs out whoever's row is gone, or who was away for too long."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        """As above, and notes once a minute that the person is still there."""
        token = _present.set(None)
        try:
            if request.session.get(SESSION_KEY) is not None:
                self._look(request)
            return self.get_response(request)
        finally:
            _present.reset(token)

    @staticmethod
    def _look(request: HttpRequest) -> None:
        if not request.user.is_authenticated:
            logout(request)  # disabled or deleted meanwhile: coming back takes a sign-in
            return
        row, now = present(request), int(time.time())
        seen = request.session.get(_SEEN)
        seen = seen if isinstance(seen, int) else 0
        idle = settings.NETRAVEN_SESSION_IDLE_S
        if (idle and now - seen > idle) or not SignIn.objects.filter(pk=row or 0, user=request.user.pk).exists():
            logout(request)
            return
        _present.set(row)
        if now - seen >= _SEEN_EVERY_S:
            request.session[_SEEN] = now
            SignIn.objects.filter(pk=row or 0).update(seen_at=timezone.now(), address=address_of(request))
