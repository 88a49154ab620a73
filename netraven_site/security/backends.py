"""The one place where passwords of people are compared."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from netraven_site.security import lockout
from netraven_site.security.client import address_of

_MARK = "netraven_locked_out"


class GuardedBackend(ModelBackend):
    """Django's, with a place taken before a password is looked at."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        """The user whose password this is. PermissionDenied while the door is closed; `locked_out` says why."""
        if not username or password is None:
            return None
        try:
            taken = lockout.take(username, address_of(request))
        except lockout.LockedOut as error:
            if request is not None:
                setattr(request, _MARK, error)
            raise PermissionDenied(str(error)) from None
        user = super().authenticate(request, username=username, password=password, **kwargs)
        if user is not None:
            lockout.succeeded(taken)
        return user if isinstance(user, User) else None


def locked_out(request: HttpRequest | None) -> lockout.LockedOut | None:
    """Why no password was looked at in this request, if that is so."""
    found: lockout.LockedOut | None = getattr(request, _MARK, None)
    return found


def is_own_password(request: HttpRequest, password: str) -> bool:
    """Whether this is the password of whoever is signed in. Raises LockedOut; each wrong one counts."""
    username = request.user.get_username()
    try:
        found = GuardedBackend().authenticate(request, username=username, password=password)
    except PermissionDenied:
        error = locked_out(request)
        assert error is not None
        raise error from None
    return found is not None and found.pk == request.user.pk
