"""Held accounts and remembered rejections: what the lockout guard forbids, and who may release it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from credentials.choices import AccountScope, GuardState
from credentials.guard import HeldAccount, get_guard
from credentials.models import Credential, GuardAccount, GuardLogin, GuardRelease, RememberedRejection
from netraven_site.panels import cells, filters
from netraven_site.panels.base import ReadOnlyPanel

_MOST = 200
_SHOWN = 10


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
        logins = recent_logins(shown)
        remembered = RememberedRejection.objects.select_related("credential").order_by("-at")
        sees_remembered = request.user.has_perm("credentials.view_rememberedrejection")
        return self.render(
            request,
            "netraven/held.html",
            "Held accounts",
            {
                "opts": None,
                "accounts": [
                    {
                        "account": each.account,
                        "scope": AccountScope(each.account.scope).label,
                        "spent": each.spent,
                        "limit": each.limit,
                        "until": each.until,
                        "logins": logins.get(each.account.pk, []),
                    }
                    for each in shown
                ],
                "hidden": len(held) - len(shown),
                "may_release": self.has_release_permission(request),
                "remembered": list(remembered[:_SHOWN]) if sees_remembered else [],
                "remembered_count": remembered.count() if sees_remembered else 0,
                "releases": list(GuardRelease.objects.all()[:_SHOWN]),
                "window": cells.span(settings.NETRAVEN_GUARD_WINDOW_S),
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
        reason = request.POST.get("reason", "")
        get_guard().release(account, request.user.get_username(), reason=reason)
        self.log_change(request, account, f"Released. {reason}".strip())
        messages.success(request, f"{account.label} was released: it is tried again in the next run.")
        return HttpResponseRedirect(self.list_url())


def recent_logins(held: list[HeldAccount]) -> dict[int, list[Any]]:
    """The logins that used up the budgets of these accounts, newest first, with their credentials; two queries."""
    start = timezone.now() - timedelta(seconds=settings.NETRAVEN_GUARD_WINDOW_S)
    accounts = [each.account.pk for each in held]
    spent = [GuardState.REJECTED, GuardState.UNANSWERED]
    counted = GuardLogin.objects.filter(account__in=accounts, at__gt=start, state__in=spent)
    found: dict[int, list[Any]] = {}
    login: Any
    logins = list(counted.order_by("-at")[: 10 * _MOST])
    names = dict(Credential.objects.filter(pk__in={each.credential for each in logins}).values_list("pk", "name"))
    for login in logins:
        login.credential_name = names.get(login.credential, "")
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
