"""How long versions of configurations are kept."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString

from devices.configs.pruning import preview
from devices.configs.retaining import save_rule
from devices.models import Device
from devices.retention import RetentionRule
from netraven_site.panels import cells
from netraven_site.panels.base import Panel, ServiceForm, ServicePanel, Tool
from netraven_site.panels.cells import counted

_SHOWN = 200
_FIELDS = ("device", "tag", "all_days", "daily_days", "weekly_days", "monthly_days")


class RetentionForm(ServiceForm):
    """A rule, written by `save_rule`."""

    class Meta:
        model = RetentionRule
        fields = _FIELDS

    def write(self, instance: Any, data: dict[str, Any]) -> RetentionRule:
        """Make or change the rule."""
        return save_rule(instance, **{name: data[name] for name in _FIELDS})


@admin.register(RetentionRule)
class RetentionPanel(ServicePanel, Panel):
    """Rules of a device, of a tag, of all."""

    form = RetentionForm
    list_display = ("scope_", "all_", "daily", "weekly", "monthly", "concerned")
    list_display_links = ("scope_",)
    list_note = "A job of the kind Pruning applies them. The latest version never goes."
    tools = (Tool("What would go", "admin:devices_retentionrule_preview", "auto_delete", "devices.view_retentionrule"),)
    search_fields = ("device__name", "tag__name")
    search_help_text = "Device, tag"
    list_select_related = ("device", "tag")
    autocomplete_fields = ("device", "tag")
    fieldsets = (
        (
            None,
            {
                "fields": _FIELDS,
                "description": (
                    "For a device, for a tag, or with neither for all. A device's own rule goes before those of its "
                    "tags, these go before the one for all; of several tags' rules each keeps what it wants."
                ),
            },
        ),
    )
    delete_text = "Versions are then kept as the other rules say; without any rule, for ever."
    empty_title = "No retention rules"
    empty_text = "Every version is kept for ever. Add a rule, and a job of the kind Pruning that applies it."
    empty_links: ClassVar[tuple[tuple[str, str], ...]] = (
        ("Add retention rule", "devices_retentionrule_add"),
        ("Jobs", "jobs_job_changelist"),
    )

    def extra_urls(self) -> list[Any]:
        """What the next pruning would delete."""
        return [("preview/", self.preview_view, "preview")]

    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """By device, and in all; nothing is deleted here."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        rows = preview(timezone.now())
        return self.render(
            request,
            "netraven/retention_preview.html",
            "What retention would delete now",
            {
                "rows": rows[:_SHOWN],
                "has_rules": RetentionRule.objects.exists(),
                "hidden": max(0, len(rows) - _SHOWN),
                "devices": len({row.device for row in rows}),
                "versions": sum(row.versions for row in rows),
            },
        )

    @admin.display(description="For")
    def scope_(self, row: RetentionRule) -> SafeString:
        """Device, tag or all."""
        return cells.cut(row.scope)

    @admin.display(description="Keep all", ordering="all_days")
    def all_(self, row: RetentionRule) -> SafeString:
        """The first step."""
        return _until(row, 0)

    @admin.display(description="Then one a day", ordering="daily_days")
    def daily(self, row: RetentionRule) -> SafeString:
        """The second step."""
        return _until(row, 1)

    @admin.display(description="Then one a week", ordering="weekly_days")
    def weekly(self, row: RetentionRule) -> SafeString:
        """The third step."""
        return _until(row, 2)

    @admin.display(description="Then one a month", ordering="monthly_days")
    def monthly(self, row: RetentionRule) -> SafeString:
        """The last step."""
        return _until(row, 3)

    @admin.display(description="Devices")
    def concerned(self, row: RetentionRule) -> SafeString:
        """How many have that tag; none is perhaps a mistake."""
        if row.device_id is not None:
            return cells.number(1)
        devices = Device.objects.filter(tag_links__tag=row.tag_id) if row.tag_id is not None else Device.objects.all()
        return cells.number(devices.count())


def _until(row: RetentionRule, step: int) -> SafeString:
    if any(days is None for days in row.steps[:step]):
        return cells.DASH
    days = row.steps[step]
    return cells.cut("for ever" if days is None else f"until {counted(days, 'day')}")
