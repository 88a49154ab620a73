"""The password typed again before something that matters: secrets shown, keys changed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.cache import add_never_cache_headers
from django.utils.http import url_has_allowed_host_and_scheme
from unfold.widgets import UnfoldAdminPasswordWidget

from credentials import audit
from netraven_site.security import lockout
from netraven_site.security.backends import is_own_password
from netraven_site.security.client import address_of
from netraven_site.security.sign_ins import is_recent, note

FIELD: Final = "netraven_password"


class PasswordForm(forms.Form):
    """One field."""

    netraven_password = forms.CharField(
        label="Your password",
        strip=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "current-password", "autofocus": True}),
    )


def requires_recent_password(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A view of the portal (function or method) that asks for the password unless it was typed a moment ago.

    The form carries what was posted, so the action goes on where it was stopped; no file goes with it. Put it
    below the check of permissions where the view has none of its own. A GET asks nothing: it must change and
    reveal nothing.
    """

    @functools.wraps(view)
    def asking(*args: Any, **kwargs: Any) -> HttpResponse:
        request = next(each for each in args if isinstance(each, HttpRequest))
        if request.method != "POST":
            return view(*args, **kwargs)
        return ask_unless_recent(request) or view(*args, **kwargs)

    return asking


def ask_unless_recent(request: HttpRequest) -> HttpResponse | None:
    """The same for the middle of a view, such as after its check of permissions; None: go on."""
    return None if is_recent(request) and FIELD not in request.POST else ask(request)


def ask(request: HttpRequest) -> HttpResponse | None:
    """The page that asks; None once the right password came with this request."""
    if not request.user.is_authenticated or not request.user.has_usable_password():
        raise PermissionDenied("This needs your password typed again, and your account has none.")
    form = PasswordForm(request.POST if FIELD in request.POST else None)
    if form.is_bound and form.is_valid():
        try:
            if is_own_password(request, form.cleaned_data[FIELD]):
                note(request)
                return None
            form.add_error(FIELD, "This is not your password.")
            audit.record("password.refused", user=request.user, path=request.path)
        except lockout.LockedOut as error:
            form.add_error(None, str(error))
    answer = TemplateResponse(
        request,
        "netraven/confirm_password.html",
        {
            **admin.site.each_context(request),
            "title": "Type your password again",
            "form": form,
            "carried": [
                (name, value)
                for name, values in request.POST.lists()
                if name not in (FIELD, "csrfmiddlewaretoken")
                for value in values
            ],
            "minutes": max(1, round(settings.NETRAVEN_REAUTH_S / 60)),
            "back": _back(request),
            "is_fullwidth": "1",
        },
    )
    add_never_cache_headers(answer)
    return answer


def change_password(request: HttpRequest) -> HttpResponse:
    """Django's page to change one's own password; its question for the old one counts as a try too."""
    if request.method != "POST":
        return admin.site.password_change(request)
    try:
        taken = lockout.take(request.user.get_username(), address_of(request))
    except lockout.LockedOut as error:
        messages.error(request, str(error))
        return HttpResponseRedirect(request.path)
    answer = admin.site.password_change(request)
    if answer.status_code == 302:
        lockout.succeeded(taken)
        note(request)
    return answer


def _back(request: HttpRequest) -> str:
    """The page that the request came from, if it is one of ours."""
    said = request.META.get("HTTP_REFERER", "")
    ours = url_has_allowed_host_and_scheme(said, {request.get_host()}, require_https=request.is_secure())
    return said if ours else reverse("admin:index")
