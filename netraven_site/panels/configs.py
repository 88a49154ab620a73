"""Configurations: versions, the text of one, and the diff of any two of a device."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.cache import add_never_cache_headers
from django.utils.safestring import SafeString

from devices.configs.lines import lines_of
from devices.configs.revealing import RESTORE, REVEAL, restore_file, reveal
from devices.configs.store import version_text
from devices.models import ConfigVersion
from netraven_site.panels import cells, diffs, filters, searching
from netraven_site.panels.base import ReadOnlyPanel, Tool
from netraven_site.panels.texts import MOST_LINES, attachment, user_of, window
from netraven_site.security.recent import ask_unless_recent


@admin.register(ConfigVersion)
class ConfigPanel(ReadOnlyPanel):
    """What devices were configured to do, and since when."""

    page_template = "netraven/config.html"
    list_display = ("of_device", "platform", "site", "number_", "summary_", "lines", "first_seen", "last_seen")
    list_display_links = ("number_", "summary_")
    list_filter = (filters.DeviceNamed, filters.TextKind)
    search_fields = ("device__name", "summary")
    search_help_text = "Device, what changed"
    ordering = ("-first_seen_at", "-id")
    list_select_related = ("device", "text")
    tools = (
        Tool("Incomplete outputs", "admin:devices_keptaside_changelist", "rule", "devices.view_keptaside"),
        Tool("Search texts", "admin:devices_configversion_search", "search", "devices.view_configversion"),
    )
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
        """Counted per device and kind of text."""
        return cells.number(row.called)

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
        """The diff, the search, and the text as a file."""
        return [
            ("diff/", partial(diffs.diff_view, self), "diff"),
            ("diff/patch/", partial(diffs.patch_view, self), "patch"),
            ("diff/lines/", partial(diffs.unfold_view, self), "unfold"),
            ("diff/devices/", partial(diffs.suggest_view, self), "suggest"),
            ("search/", partial(searching.search_view, self), "search"),
            ("search/save/", partial(searching.save_view, self), "search_save"),
            ("search/<int:object_id>/delete/", partial(searching.forget_view, self), "search_delete"),
            ("<int:object_id>/download/", self.download_view, "download"),
            ("<int:object_id>/reveal/", self.reveal_view, "reveal"),
            ("<int:object_id>/restore/", self.restore_view, "restore"),
        ]

    def page_context(self, request: HttpRequest, obj: ConfigVersion, text: str | None = None) -> dict[str, Any]:
        """The text with its line numbers: with placeholders, unless another one is given."""
        is_revealed = text is not None
        if text is None:
            text = version_text(ConfigVersion.objects.select_related("text").get(pk=obj.pk))
        lines = lines_of(text)
        first = window(request.GET.get("line", ""), len(lines))
        others = diffs.versions_of(obj)
        at = next((i for i, each in enumerate(others) if each.pk == obj.pk), None)
        return {
            "version": obj,
            "device": obj.device,
            "lines": list(enumerate(lines[first : first + MOST_LINES], start=first + 1)),
            "hidden": max(0, len(lines) - MOST_LINES),
            "versions": others,
            "newer": others[at - 1] if at else None,
            "older": others[at + 1] if at is not None and at + 1 < len(others) else None,
            "said": said(obj),
            "is_revealed": is_revealed,
            "may_reveal": request.user.has_perm(REVEAL),
            "may_restore": request.user.has_perm(RESTORE),
        }

    def reveal_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """The complete text on a page that no browser keeps."""
        version = self._with_secrets(request, object_id, REVEAL)
        if version is None:
            return HttpResponseRedirect(self.page_url(object_id))
        if asked := ask_unless_recent(request):
            return asked
        context = self.page_context(request, version, reveal(version, user=user_of(request)))
        answer = self.render(request, self.page_template, str(version), context, version)
        add_never_cache_headers(answer)
        return answer

    def restore_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """The complete text as a file that can be loaded into the device."""
        version = self._with_secrets(request, object_id, RESTORE)
        if version is None:
            return HttpResponseRedirect(self.page_url(object_id))
        if asked := ask_unless_recent(request):
            return asked
        text = restore_file(version, user=user_of(request))
        answer = attachment(text, f"{version.file_stem}-restore.txt")
        add_never_cache_headers(answer)
        return answer

    def _with_secrets(self, request: HttpRequest, object_id: int, permission: str) -> ConfigVersion | None:
        """The version for somebody who may have its secrets; None for a request that only looks."""
        version = self.found(request, object_id)
        if not request.user.has_perm(permission):
            raise PermissionDenied(f"This needs the permission {permission}.")
        if request.method != "POST":
            return None
        return ConfigVersion.objects.select_related("device", "text").get(pk=version.pk)

    def download_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """The text with placeholders, as a file."""
        version = self.found(request, object_id)
        text = version_text(ConfigVersion.objects.select_related("text").get(pk=version.pk))
        return attachment(text, f"{version.file_stem}.txt")


def said(version: ConfigVersion) -> str:
    """What changed, in words; the first version says so."""
    return version.summary or ("First version" if version.number == 1 else "")


def _device_url(version: ConfigVersion) -> str:
    from django.urls import reverse

    return reverse("admin:devices_device_page", args=[version.device_id])
