"""Maintenance windows: when devices are left alone."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from devices.models import Device
from jobs.maintenance import begins, save_window, state_of
from jobs.timing import clock, zone_of
from jobs.windows import MaintenanceWindow
from netraven_site.panels import cells, filters
from netraven_site.panels.base import HistoryPanel, ServiceForm, ServicePanel
from netraven_site.panels.timefields import LocalTimeField, SpanField, in_zone, on_clock, zone_help, zone_input

_PLAIN = ("name", "description", "enabled", "cron", "time_zone")
_SHOWN = 15


class WindowForm(ServiceForm):
    """A window, written by `save_window`."""

    field_of: ClassVar[dict[str, str]] = {"starts_at": "begins_at", "duration_min": "length"}

    begins_at = LocalTimeField(label="Begins at", help_text="For a window that happens once, in the zone below.")
    length = SpanField(label="Length", placeholder="4 h", help_text="Such as 30 min, 4 h or 1 day.")

    class Meta:
        model = MaintenanceWindow
        fields = (*_PLAIN, "tags")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        window: MaintenanceWindow = self.instance
        self.fields["time_zone"].help_text = zone_help()
        self.fields["tags"].required = False  # the service says it in words
        try:
            zone = zone_of(window.time_zone)
        except ValidationError:
            zone = timezone.get_default_timezone()
        length = window.duration_min * 60 if window.duration_min else None
        self.initial.update({"begins_at": on_clock(window.starts_at, zone), "length": length})

    def clean_length(self) -> int | None:
        """Whole minutes."""
        seconds: int | None = self.cleaned_data["length"]
        if seconds is not None and seconds % 60:
            raise ValidationError("A window is some whole minutes long.")
        return seconds // 60 if seconds is not None else None

    def clean(self) -> dict[str, Any]:
        """The time of a single window on the clock of the chosen zone."""
        data: dict[str, Any] = super().clean() or {}
        data["starts_at"] = None
        if data.get("begins_at"):
            try:
                zone = zone_of(data.get("time_zone", ""))
            except ValidationError:
                zone = timezone.get_default_timezone()  # the service refuses the zone itself
            try:
                data["starts_at"] = in_zone(data["begins_at"], zone)
            except ValidationError as error:
                self.add_error("begins_at", error)
        return data

    def write(self, instance: Any, data: dict[str, Any]) -> MaintenanceWindow:
        """Make or change the window."""
        plain = {name: data[name] for name in _PLAIN}
        return save_window(
            instance, tags=data["tags"], starts_at=data["starts_at"], duration_min=data["length"], **plain
        )


@admin.register(MaintenanceWindow)
class WindowPanel(HistoryPanel, ServicePanel):
    """Times in which jobs leave devices alone."""

    form = WindowForm
    page_template = "netraven/window.html"
    list_display = ("window", "state", "tag_list", "begins_", "when", "description_")
    list_display_links = ("window",)
    list_filter = (filters.Enabled,)
    search_fields = ("name", "description")
    search_help_text = "Name, description"
    ordering = ("name",)
    autocomplete_fields = ("tags",)
    fieldsets = (
        (None, {"fields": (("name", "description"), "enabled", "tags")}),
        (
            "When",
            {
                "fields": (("cron", "begins_at"), ("length", "time_zone")),
                "description": "Either by a cron line, again and again, or once at a time.",
            },
        ),
    )
    delete_text = "Jobs work on its devices again at any time."
    empty_title = "No maintenance windows"
    empty_text = (
        "While a window is open, jobs leave devices with its tags alone: each of them is shown as left alone in the "
        "run. A person who starts a run can say that it works on them all the same."
    )
    empty_links: ClassVar[tuple[tuple[str, str], ...]] = (("Add maintenance window", "jobs_maintenancewindow_add"),)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Inputs with what is typed into them."""
        if db_field.name == "time_zone":
            kwargs["widget"] = zone_input()
        found: forms.Field | None = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "cron" and found is not None:
            found.widget.attrs.update({"placeholder": "0 22 * * 6", "autocomplete": "off"})
        return found

    def get_queryset(self, request: HttpRequest) -> QuerySet[MaintenanceWindow]:
        """The tags of a whole page in one query."""
        found: QuerySet[MaintenanceWindow] = super().get_queryset(request)
        return found.prefetch_related("tags")

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Whether each window is open, by one clock."""
        found = super().get_changelist_instance(request)
        now = timezone.now()
        for row in found.result_list:
            row.state = state_of(row, now)
        return found

    @admin.display(description="Name", ordering="name")
    def window(self, row: MaintenanceWindow) -> SafeString:
        """The name; one that is not used says so."""
        if row.enabled:
            return cells.cut(row.name)
        return format_html('{} <span class="nr-off">disabled</span>', cells.cut(row.name))

    @admin.display(description="Now")
    def state(self, row: Any) -> SafeString:
        """Open, and until when; or not."""
        return cells.window_state(row.state.until)

    @admin.display(description="Tags")
    def tag_list(self, row: MaintenanceWindow) -> SafeString:
        """Devices with any of these."""
        return cells.tags(sorted(tag.name for tag in row.tags.all()))

    @admin.display(description="Begins next")
    def begins_(self, row: Any) -> SafeString:
        """Relative to now."""
        return cells.ago(row.state.next_start) if row.state.next_start else cells.DASH

    @admin.display(description="When")
    def when(self, row: Any) -> SafeString:
        """In words."""
        return cells.cut(row.state.words)

    @admin.display(description="Description")
    def description_(self, row: MaintenanceWindow) -> SafeString:
        """What it is for."""
        return cells.cut(row.description)

    def page_context(self, request: HttpRequest, obj: MaintenanceWindow) -> dict[str, Any]:
        """When it is open, and which devices it concerns."""
        now = timezone.now()
        state = state_of(obj, now)
        tagged = Device.objects.filter(enabled=True, tag_links__tag__in=obj.tags.all()).distinct()
        try:
            zone = zone_of(obj.time_zone)
        except ValidationError:
            zone = timezone.get_default_timezone()
        return {
            "window": obj,
            "state": state,
            "starts": [f"{each.astimezone(zone):%a} {clock(each, zone)}" for each in begins(obj, now)],
            "tags": sorted(tag.name for tag in obj.tags.all()),
            "device_count": tagged.count(),
            "devices": list(tagged.order_by("name")[:_SHOWN]) if request.user.has_perm("devices.view_device") else [],
            "shown": _SHOWN,
        }
