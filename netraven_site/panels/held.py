"""Held accounts and remembered rejections: what the lockout guard forbids, and who may release it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.utils import timezone
from django.utils.safestring import SafeString

from credentials.choices import AccountScope, GuardState
from credentials.guard import get_guard
from credentials.models import GuardAccount, GuardLogin, RememberedRejection
from netraven_site.panels import cells, filters
from netraven_site.panels.base import ReadOnlyPanel

_MOST = 200


@admin.register(GuardAccount)
class HeldPanel(ReadOnlyPanel):
    """Accounts without rejections left."""

    def has_release_permission(self, request: HttpRequest) -> bool:
        """Who may give an account its budget back."""
        return request.user.has_perm("credentials.release_guardaccount")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """What is held now, why, and until when."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        held = get_guard().held_accounts()
        shown = held[:_MOST]
        logins = recent_logins([account.pk for account, _, _ in shown])
        accounts = [
            {
                "account": account,
                "scope": AccountScope(account.scope).label,
                "spent": spent,
                "limit": limit,
                "logins": logins.get(account.pk, []),
            }
            for account, spent, limit in shown
        ]
        window = settings.NETRAVEN_GUARD_WINDOW_S
        return self.render(
            request,
            "netraven/held.html",
            "Held accounts",
            {
                "opts": None,
                "accounts": accounts,
                "hidden": len(held) - len(shown),
                "may_release": self.has_release_permission(request),
                "remembered": RememberedRejection.objects.count(),
                "window": cells.span(window),
                "central": settings.NETRAVEN_GUARD_CENTRAL_LIMIT,
                "local": settings.NETRAVEN_GUARD_LOCAL_LIMIT,
                "in_flight": settings.NETRAVEN_GUARD_IN_FLIGHT,
            },
        )

    def extra_urls(self) -> list[Any]:
        """Release of one account."""
        return [("<int:object_id>/release/", self.release_view, "release")]

    def release_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Give an account its budget back and forget what was remembered of its rejections."""
        account = self.found(request, object_id)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_release_permission(request):
            raise PermissionDenied
        get_guard().release(account, request.user.get_username())
        self.log_change(request, account, "Released")
        messages.success(request, f"{account.label} was released: it is tried again in the next run.")
        return HttpResponseRedirect(self.list_url())


def recent_logins(accounts: list[int]) -> dict[int, list[GuardLogin]]:
    """The logins of the window that count against these accounts, newest first, in one query."""
    start = timezone.now() - timedelta(seconds=settings.NETRAVEN_GUARD_WINDOW_S)
    found: dict[int, list[GuardLogin]] = {}
    counted = GuardLogin.objects.filter(account__in=accounts, at__gt=start).exclude(state=GuardState.OPEN)
    for login in counted.order_by("-at")[: 10 * _MOST]:
        found.setdefault(login.account_id, []).append(login)
    return found


@admin.register(RememberedRejection)
class RememberedPanel(ReadOnlyPanel):
    """Passwords that were proven wrong somewhere and are not offered there again."""

    list_display = ("of_credential", "version", "where", "when")
    list_display_links = None
    list_filter = (filters.CredentialNamed,)
    search_fields = ("credential__name", "credential__username", "place_label")
    search_help_text = "Credential, user name, place"
    list_select_related = ("credential",)
    ordering = ("-at",)
    empty_title = "Nothing is remembered"
    empty_text = "A password that a device proved wrong is listed here and not offered there again, until the "
    empty_text += "credential is edited or its account is released."

    @admin.display(description="Credential", ordering="credential__name")
    def of_credential(self, row: RememberedRejection) -> SafeString:
        """Leads to the credential, where it is corrected."""
        from django.urls import reverse

        url = reverse("admin:credentials_credential_page", args=[row.credential_id])
        return cells.link(url, cells.code(row.credential.name))

    @admin.display(description="Version", ordering="credential_version")
    def version(self, row: RememberedRejection) -> SafeString:
        """Which version of it was rejected."""
        return cells.number(f"v{row.credential_version}")

    @admin.display(description="Rejected at", ordering="place_label")
    def where(self, row: RememberedRejection) -> SafeString:
        """A device or a whole AAA domain."""
        return cells.cut(row.place_label)

    @admin.display(description="When", ordering="at")
    def when(self, row: RememberedRejection) -> SafeString:
        """Relative to now."""
        return cells.ago(row.at)
