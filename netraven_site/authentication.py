"""Token authentication for programs."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed

from netraven_site.models import ApiToken

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from rest_framework.request import Request

_USE_NOTED_EVERY = timedelta(minutes=1)


class ApiTokenAuthentication(BaseAuthentication):
    """`Authorization: Token …` or `Authorization: Bearer …`."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        """The token's user; None when no token was sent; AuthenticationFailed when it is no good."""
        parts = get_authorization_header(request).split()
        if not parts or parts[0].lower() not in {b"token", b"bearer"}:
            return None
        if len(parts) != 2:
            raise AuthenticationFailed("Send the token as one word: Authorization: Token <token>.")
        try:
            text = parts[1].decode("ascii")
        except UnicodeDecodeError:
            raise AuthenticationFailed("The token is not valid.") from None
        row = ApiToken.objects.select_related("user").filter(digest=ApiToken.digest_of(text)).first()
        if row is None or not row.is_valid or not row.user.is_active:
            raise AuthenticationFailed("The token is not valid.")
        now = timezone.now()
        if row.last_used_at is None or row.last_used_at < now - _USE_NOTED_EVERY:
            ApiToken.objects.filter(pk=row.pk).update(last_used_at=now)
        return row.user, row

    def authenticate_header(self, request: Request) -> str:
        """What a 401 asks for."""
        return "Token"
