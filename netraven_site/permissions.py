"""Who may do what through the API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from rest_framework.permissions import SAFE_METHODS, BasePermission

from devices.configs.revealing import RESTORE, REVEAL
from netraven_site.models import ApiToken, TokenScope
from netraven_site.security.sign_ins import is_recent

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.views import APIView

SECRETS: Final = frozenset({REVEAL, RESTORE})
"""Permissions whose use shows secrets."""
_VERBS: Final = {
    "GET": "view",
    "HEAD": "view",
    "POST": "add",
    "PUT": "change",
    "PATCH": "change",
    "DELETE": "delete",
}


class ModelPermissions(BasePermission):
    """Django's model permissions, for reading too.

    A view set names other permissions for one of its actions in `action_permissions`; these are then all
    that the action needs. The refusal names what is missing.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Whether the user has every permission that this action needs."""
        user = request.user
        if not user or not user.is_authenticated:
            return False
        names = needed(view, request.method or "")
        if refusal := _of_the_token(request, names):
            self.message = refusal
            return False
        missing = [name for name in names if not user.has_perm(name)]
        if missing:
            self.message = f"This needs the permission {' and '.join(missing)}. An administrator can give it to you."
        return not missing


def _of_the_token(request: Request, names: Sequence[str]) -> str:
    """Why the scope of the token, or the age of the session's password, forbids it; empty where neither does."""
    token = request.auth
    is_about_secrets = not SECRETS.isdisjoint(names)
    if not isinstance(token, ApiToken):
        if is_about_secrets and not is_recent(request._request):
            return "This shows secrets: sign in to the portal again first, or type your password there."
        return ""
    if is_about_secrets and token.scope != TokenScope.SECRETS:
        wanted = TokenScope.SECRETS
    elif request.method not in SAFE_METHODS and token.scope == TokenScope.READ:
        wanted = TokenScope.WRITE
    else:
        return ""
    return (
        f"The scope of this token is {TokenScope(token.scope).label!r}; this needs a token with the scope "
        f"{wanted.label!r}. You or an administrator can make one."
    )


def needed(view: APIView, method: str) -> Sequence[str]:
    """The permissions that a request with this method needs, as `app.codename`; none for a refused method."""
    action = getattr(view, "action", None)
    named: dict[str, Sequence[str]] = getattr(view, "action_permissions", {})
    if action in named:
        return named[action]
    queryset = getattr(view, "queryset", None)
    # Without an action the method is not served at all, and 405 says so better than 403.
    if queryset is None or action is None or method not in _VERBS:
        return ()
    meta = queryset.model._meta
    return (f"{meta.app_label}.{_VERBS[method]}_{meta.model_name}",)
