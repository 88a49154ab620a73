"""Concurrency limits: how many devices may be worked on at once."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString

from devices.models import Device
from jobs.choices import LimitScope
from jobs.engine.slots import key_of
from jobs.limiting import limited_devices, save_limit, used_now
from jobs.limits import ConcurrencyLimit
from netraven_site.panels import cells
from netraven_site.panels.base import HistoryPanel, ServiceForm, ServicePanel
from netraven_site.panels.filters import distinct
from netraven_site.panels.widgets import SuggestInput

_FIELDS = ("scope", "site", "tag", "domain", "devices")


class LimitForm(ServiceForm):
    """A limit, written by `save_limit`."""

    class Meta:
        model = ConcurrencyLimit
        fields = _FIELDS

    class Media:
        js = ("netraven/limitform.js",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if devices := self.fields.get("devices"):  # whoever may only look has no fields
            devices.help_text = "Most devices that are worked on at the same time, over all runs and hosts."
            devices.required = False  # the service says it in words

    def write(self, instance: Any, data: dict[str, Any]) -> ConcurrencyLimit:
        """Make or change the limit."""
        return save_limit(instance, **{name: data[name] for name in _FIELDS})


@admin.register(ConcurrencyLimit)
class LimitPanel(HistoryPanel, ServicePanel):
    """Most devices at once: in the whole system, at a site, with a tag, behind an AAA domain."""

    form = LimitForm
    list_display = ("limit", "what", "most", "now", "concerned")
    list_display_links = ("limit",)
    list_note = "A device counts under each limit that it is concerned by."
    list_filter = ()
    search_fields = ("site", "domain", "tag__name")
    search_help_text = "Site, tag, AAA domain"
    list_select_related = ("tag",)
    ordering = ("scope", "site", "domain", "id")
    fieldsets = ((None, {"fields": ("scope", "site", "tag", "domain", "devices")}),)
    delete_text = "Runs are then held back by the other limits alone."
    empty_title = "No concurrency limits"
    empty_text = (
        "Runs work on as many devices at once as the workers have threads. Add a limit for a site behind a thin line, "
        "or for an AAA domain whose accounts server is slow."
    )
    empty_links: ClassVar[tuple[tuple[str, str], ...]] = (("Add concurrency limit", "jobs_concurrencylimit_add"),)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Sites and domains that there are, as suggestions."""
        if db_field.name == "site":
            kwargs["widget"] = SuggestInput(lambda: distinct(Device.objects.exclude(site=""), "site"))
        elif db_field.name == "domain":
            kwargs["widget"] = SuggestInput(lambda: distinct(Device.objects.all(), "aaa_domain"))
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """What is used of each limit now, in one query."""
        found = super().get_changelist_instance(request)
        used = used_now()
        for row in found.result_list:
            row.used = used.get(key_of(row), 0)
        return found

    @admin.display(description="Limit", ordering="scope")
    def limit(self, row: ConcurrencyLimit) -> SafeString:
        """What it counts devices by."""
        return cells.cut(row.get_scope_display())

    @admin.display(description="Of")
    def what(self, row: ConcurrencyLimit) -> SafeString:
        """The site, tag or domain."""
        if row.scope == LimitScope.TAG:
            return cells.tags([row.tag.name] if row.tag else [])
        return cells.cut(row.site or row.domain)

    @admin.display(description="Devices at once", ordering="devices")
    def most(self, row: ConcurrencyLimit) -> SafeString:
        """The limit itself."""
        return cells.number(row.devices)

    @admin.display(description="Now")
    def now(self, row: Any) -> SafeString:
        """How many are worked on."""
        return cells.number(row.used)

    @admin.display(description="Devices concerned")
    def concerned(self, row: ConcurrencyLimit) -> SafeString:
        """How many there are; none is perhaps a typing error."""
        return cells.number(limited_devices(row).count())
