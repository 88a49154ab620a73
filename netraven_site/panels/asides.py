"""Incomplete outputs: what devices answered instead of a whole configuration, and what somebody decided."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.safestring import SafeString

from devices.asides import KeptAside
from devices.choices import AsideState
from devices.configs.asides import DECIDE, CannotDecide, accept, aside_text, can_be_accepted, decline, waiting
from devices.configs.diff import unified
from devices.configs.lines import lines_of
from devices.configs.store import latest, version_text
from netraven_site.panels import cells, filters
from netraven_site.panels.base import ReadOnlyPanel
from netraven_site.panels.diffs import MOST_ROWS, unified_rows
from netraven_site.panels.texts import user_of

_TONES = {
    AsideState.WAITING: "passing",
    AsideState.ACCEPTED: "good",
    AsideState.DECLINED: "unknown",
    AsideState.OUTDATED: "unknown",
}


class State(filters.BarFilter):
    """What became of it; what waits unless another state is asked for."""

    title = "state"
    parameter_name = "state"

    def options(self) -> list[tuple[str, str]]:
        """Every state."""
        return [(value, str(label)) for value, label in AsideState.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[KeptAside]) -> QuerySet[KeptAside]:
        """What is overtaken waits no more, whether or not somebody has noted that."""
        if self.value() == AsideState.WAITING:
            return queryset.filter(pk__in=waiting().values("pk"))
        return queryset.filter(state=self.value()) if self.value() else queryset


@admin.register(KeptAside)
class AsidePanel(ReadOnlyPanel):
    """Answers that did not become versions."""

    page_template = "netraven/aside.html"
    list_display = ("of_device", "kind", "reason_", "times_", "state_", "first_seen", "last_seen")
    list_display_links = ("reason_",)
    list_filter = (State, filters.DeviceNamed)
    search_fields = ("device__name", "reason", "evidence")
    search_help_text = "Device, reason"
    list_select_related = ("device",)
    ordering = ("-last_seen_at", "-id")
    empty_title = "No incomplete outputs"
    empty_text = (
        "When a device answers with something that is no whole configuration, the last good version stays the latest "
        "and the answer is kept here to be looked at."
    )
    empty_links: ClassVar[tuple[tuple[str, str], ...]] = (("Configurations", "devices_configversion_changelist"),)

    def get_queryset(self, request: HttpRequest) -> QuerySet[KeptAside]:
        """Without the texts themselves, which no list shows."""
        return super().get_queryset(request).defer("text__packed", "text__sealed")

    def extra_urls(self) -> list[Any]:
        """The two decisions."""
        return [
            ("<int:object_id>/accept/", self.accept_view, "accept"),
            ("<int:object_id>/decline/", self.decline_view, "decline"),
        ]

    def page_context(self, request: HttpRequest, obj: KeptAside) -> dict[str, Any]:
        """Why it was kept aside, and what differs from the last good version."""
        row = KeptAside.objects.select_related("device", "text", "version", "decided_by").get(pk=obj.pk)
        text = aside_text(row)
        last = latest(row.device_id, row.kind)
        lines = unified(version_text(last), text) if text is not None and last is not None else []
        return {
            "aside": row,
            "state": _state(row),
            "is_waiting": waiting().filter(pk=row.pk).exists(),
            "may_decide": request.user.has_perm(DECIDE),
            "can_be_accepted": can_be_accepted(row),
            "last": last,
            "is_kept": text is not None,
            "rows": unified_rows(lines[:MOST_ROWS], unfolds=False),
            "hidden": max(0, len(lines) - MOST_ROWS),
            "tail": list(enumerate(lines_of(text), start=1))[-15:] if text is not None else [],
        }

    def accept_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Somebody says that it is whole."""
        return self._decided(request, object_id, lambda row: f"v{accept(row, user_of(request)).number} is the latest.")

    def decline_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Somebody has looked at it, and it is thrown away."""

        def declined(row: KeptAside) -> str:
            decline(row, user_of(request))
            return "The answer was declined; the last good version stays the latest."

        return self._decided(request, object_id, declined)

    def _decided(self, request: HttpRequest, object_id: int, decide: Callable[[KeptAside], str]) -> HttpResponse:
        row = self.found(request, object_id)
        if not request.user.has_perm(DECIDE):
            raise PermissionDenied(f"This needs the permission {DECIDE}.")
        if request.method == "POST":
            try:
                messages.success(request, decide(row))
            except CannotDecide as error:
                messages.error(request, str(error))
        return HttpResponseRedirect(self.page_url(object_id))

    @admin.display(description="Device", ordering="device__name")
    def of_device(self, row: KeptAside) -> SafeString:
        """Leads to the device."""
        return cells.link(reverse("admin:devices_device_page", args=[row.device_id]), cells.code(row.device.name))

    @admin.display(description="Why", ordering="reason")
    def reason_(self, row: KeptAside) -> SafeString:
        """In words."""
        return cells.cut(row.reason)

    @admin.display(description="Times", ordering="times")
    def times_(self, row: KeptAside) -> SafeString:
        """How often it came."""
        return cells.number(row.times)

    @admin.display(description="State", ordering="state")
    def state_(self, row: KeptAside) -> SafeString:
        """A word with a colour."""
        return _state(row)

    @admin.display(description="First seen", ordering="first_seen_at")
    def first_seen(self, row: KeptAside) -> SafeString:
        """When it came first."""
        return cells.ago(row.first_seen_at)

    @admin.display(description="Last seen", ordering="last_seen_at")
    def last_seen(self, row: KeptAside) -> SafeString:
        """When it came last."""
        return cells.ago(row.last_seen_at)


def _state(row: KeptAside) -> SafeString:
    return cells.toned(row.get_state_display(), _TONES[AsideState(row.state)])
