"""Token authentication for programs."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from django.db import DatabaseError
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed

from netraven_site.auditing import token_refused
from netraven_site.models import ApiToken
from netraven_site.security.client import address_of, counted_as
from netraven_site.security.limits import API_LIMIT

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from rest_framework.request import Request

_USE_NOTED_EVERY: Final = timedelta(minutes=1)
_LONGEST: Final = 200
_NOT_VALID: Final = "The token is not valid."


class ApiTokenAuthentication(BaseAuthentication):
    """`Authorization: Token …` or `Authorization: Bearer …`.

    Requests are counted here, since the framework asks its throttles only after somebody was let in: wrong tokens
    would be free.
    """

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        """The token's user; None when no token was sent; AuthenticationFailed when it is no good, or Throttled.

        An unknown, an expired and a disabled user's token are refused with the same words.
        """
        parts = get_authorization_header(request).split()
        if not parts or parts[0].lower() not in {b"token", b"bearer"}:
            signed_in = getattr(request._request, "user", None)
            if signed_in is not None and signed_in.is_authenticated and signed_in.is_active:
                API_LIMIT.user(signed_in.pk)
            else:
                self._count_stranger(request)
            return None
        try:
            user, row = self._by_token(request, parts)
        except AuthenticationFailed:
            self._count_stranger(request)
            raise
        API_LIMIT.user(user.pk)
        self._note_use(row)
        return user, row

    @staticmethod
    def _count_stranger(request: Request) -> None:
        API_LIMIT.stranger(counted_as(address_of(request._request)))

    @staticmethod
    def _by_token(request: Request, parts: list[bytes]) -> tuple[User, ApiToken]:
        if len(parts) != 2:
            raise AuthenticationFailed("Send the token as one word: Authorization: Token <token>.")
        if len(parts[1]) > _LONGEST or not parts[1].isascii():
            raise AuthenticationFailed(_NOT_VALID)
        digest = ApiToken.digest_of(parts[1].decode("ascii"))
        row = ApiToken.objects.select_related("user").filter(digest=digest).first()
        if row is None or not row.is_valid or not row.user.is_active:
            # A database that cannot be written at the moment refuses all the same.
            with contextlib.suppress(DatabaseError):
                token_refused(request._request, digest, row)
            raise AuthenticationFailed(_NOT_VALID)
        return row.user, row

    @staticmethod
    def _note_use(row: ApiToken) -> None:
        now = timezone.now()
        if row.last_used_at is None or row.last_used_at < now - _USE_NOTED_EVERY:
            # A database that cannot be written at the moment can still be read.
            with contextlib.suppress(DatabaseError):
                ApiToken.objects.filter(pk=row.pk).update(last_used_at=now)

    def authenticate_header(self, request: Request) -> str:
        """What a 401 asks for."""
        return "Token"
