"""Configurations: versions, the text of one, and the diff of any two of a device."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.safestring import SafeString

from devices.configs.diff import LineKind, unified
from devices.configs.store import version_text
from devices.models import ConfigVersion
from netraven_site.panels import cells, filters
from netraven_site.panels.base import ReadOnlyPanel

_MOST_LINES = 20_000
_MOST_VERSIONS = 200
_FILE_NAME = re.compile(r"[^A-Za-z0-9._-]+")
SIGNS = {LineKind.ADDED: "+", LineKind.REMOVED: "-", LineKind.SAME: " "}


@admin.register(ConfigVersion)
class ConfigPanel(ReadOnlyPanel):
    """What devices were configured to do, and since when."""

    page_template = "netraven/config.html"
    list_display = ("of_device", "platform", "site", "number_", "summary_", "lines", "first_seen", "last_seen")
    list_display_links = ("number_", "summary_")
    list_filter = (filters.DeviceNamed,)
    search_fields = ("device__name", "summary")
    search_help_text = "Device, what changed"
    ordering = ("-first_seen_at", "-id")
    list_select_related = ("device", "text")
    empty_title = "No configurations yet"
    empty_text = "Run a backup: each distinct configuration of a device becomes a version here."
    empty_links: ClassVar[tuple[tuple[str, str], ...]] = (
        ("Devices", "devices_device_changelist"),
        ("Jobs", "jobs_job_changelist"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[ConfigVersion]:
        """Without the texts themselves, which no list shows."""
        return super().get_queryset(request).defer("text__packed", "text__sealed")

    @admin.display(description="Device", ordering="device__name")
    def of_device(self, row: ConfigVersion) -> SafeString:
        """Leads to the device."""
        return cells.link(_device_url(row), cells.code(row.device.name))

    @admin.display(description="Platform", ordering="device__platform")
    def platform(self, row: ConfigVersion) -> SafeString:
        """Netmiko's word for it."""
        return cells.code(row.device.platform)

    @admin.display(description="Site", ordering="device__site")
    def site(self, row: ConfigVersion) -> SafeString:
        """Cut where there is no room."""
        return cells.cut(row.device.site)

    @admin.display(description="Version", ordering="number")
    def number_(self, row: ConfigVersion) -> SafeString:
        """Counted per device."""
        return cells.number(f"v{row.number}")

    @admin.display(description="What changed", ordering="summary")
    def summary_(self, row: ConfigVersion) -> SafeString:
        """In one line."""
        return cells.cut(said(row))

    @admin.display(description="Lines", ordering="text__lines")
    def lines(self, row: ConfigVersion) -> SafeString:
        """Of the complete text."""
        return cells.number(row.text.lines)

    @admin.display(description="First seen", ordering="first_seen_at")
    def first_seen(self, row: ConfigVersion) -> SafeString:
        """When it was new."""
        return cells.ago(row.first_seen_at)

    @admin.display(description="Last seen", ordering="last_seen_at")
    def last_seen(self, row: ConfigVersion) -> SafeString:
        """When the device still had it."""
        return cells.ago(row.last_seen_at)

    def extra_urls(self) -> list[Any]:
        """The diff, and the text as a file."""
        return [("diff/", self.diff_view, "diff"), ("<int:object_id>/download/", self.download_view, "download")]

    def page_context(self, request: HttpRequest, obj: ConfigVersion) -> dict[str, Any]:
        """The text with its line numbers."""
        text = version_text(ConfigVersion.objects.select_related("text").get(pk=obj.pk))
        lines = text.splitlines()
        others = versions_of(obj)
        at = next((i for i, each in enumerate(others) if each.pk == obj.pk), None)
        return {
            "version": obj,
            "device": obj.device,
            "lines": lines[:_MOST_LINES],
            "hidden": max(0, len(lines) - _MOST_LINES),
            "versions": others,
            "newer": others[at - 1] if at else None,
            "older": others[at + 1] if at is not None and at + 1 < len(others) else None,
            "said": said(obj),
        }

    def download_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """The text with placeholders, as a file."""
        version = self.found(request, object_id)
        name = _FILE_NAME.sub("_", f"{version.device.name}-v{version.number}.txt")
        text = version_text(ConfigVersion.objects.select_related("text").get(pk=version.pk))
        return HttpResponse(
            text,
            content_type="text/plain; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"},
        )

    def diff_view(self, request: HttpRequest) -> HttpResponse:
        """Two versions of one device; `whole=1` folds nothing."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        before, after = self._chosen(request, "before"), self._chosen(request, "after")
        if before.device_id != after.device_id:
            raise Http404("These are versions of two devices.")
        if before.number > after.number:
            query = request.GET.copy()
            query["before"], query["after"] = str(after.pk), str(before.pk)
            return HttpResponseRedirect(f"?{query.urlencode()}")
        whole = request.GET.get("whole") == "1"
        lines = unified(version_text(before), version_text(after), None if whole else 3)
        return self.render(
            request,
            "netraven/diff.html",
            f"{after.device} v{before.number} to v{after.number}",
            {
                "before": before,
                "after": after,
                "device": after.device,
                "rows": [(line, SIGNS.get(line.kind, "")) for line in lines[:_MOST_LINES]],
                "hidden": max(0, len(lines) - _MOST_LINES),
                "added": sum(line.kind == LineKind.ADDED for line in lines),
                "removed": sum(line.kind == LineKind.REMOVED for line in lines),
                "whole": whole,
                "versions": versions_of(after),
            },
        )

    def _chosen(self, request: HttpRequest, name: str) -> ConfigVersion:
        value = request.GET.get(name, "")
        found = (
            ConfigVersion.objects.select_related("text", "device").filter(pk=int(value)).first()
            if value.isdecimal() and len(value) < 19
            else None
        )
        if found is None:
            raise Http404("There is no such version.")
        return found


def versions_of(version: ConfigVersion) -> list[ConfigVersion]:
    """The versions of the same device and kind, newest first."""
    same = ConfigVersion.objects.filter(device=version.device_id, kind=version.kind)
    return list(same.order_by("-number")[:_MOST_VERSIONS])


def said(version: ConfigVersion) -> str:
    """What changed, in words; the first version says so."""
    return version.summary or ("First version" if version.number == 1 else "")


def _device_url(version: ConfigVersion) -> str:
    from django.urls import reverse

    return reverse("admin:devices_device_page", args=[version.device_id])
