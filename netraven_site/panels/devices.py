"""Devices: the list with its bulk actions, the page of one device, its form."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Field, QuerySet
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminTextInputWidget

from credentials import audit
from devices.connector.outcomes import info
from devices.connector.platforms import platforms
from devices.inventory.exporter import export_lines
from devices.models import Device
from devices.services import PLAIN_FIELDS, add_tags, delete_devices, remove_tags, save_device, set_enabled
from jobs.choices import ResultStatus, Trigger
from jobs.explaining import explain
from jobs.maintenance import windows_of
from jobs.models import Attempt, Result
from jobs.services import start_adhoc
from jobs.testing import KIND
from netraven_site.panels import cells, filters, importing, starting
from netraven_site.panels import facts as of_facts
from netraven_site.panels.base import CONFIRMED, HistoryPanel, ServiceForm, ServicePanel, Tool, say
from netraven_site.panels.facts import facts_of
from netraven_site.panels.widgets import SuggestInput, TagsField, TagsInput

_SHOWN = 10


class DeviceForm(ServiceForm):
    """A device, written by `save_device`."""

    tags = TagsField(
        required=False, help_text="Between commas. A credential matches this device when they share a tag."
    )

    class Meta:
        model = Device
        fields = PLAIN_FIELDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["tags"] = sorted(link.tag.name for link in self.instance.tag_links.select_related("tag"))

    def write(self, instance: Any, data: dict[str, Any]) -> Device:
        """Make or change the device."""
        return save_device(instance, tags=data["tags"], **{name: data[name] for name in PLAIN_FIELDS})


class AddTags(forms.Form):
    """Which tags many devices get."""

    tags = TagsField(label="Tags to add", widget=TagsInput, help_text="Between commas. Tags that are there stay.")


class RemoveTags(forms.Form):
    """Which tags many devices lose."""

    tags = TagsField(
        label="Tags to remove",
        widget=TagsInput,
        help_text="Between commas. Credentials and jobs that reach a device by these tags alone no longer do.",
    )


@admin.register(Device)
class DevicePanel(HistoryPanel, ServicePanel):
    """The inventory."""

    form = DeviceForm
    page_template = "netraven/device.html"
    list_display = ("device", "address", "platform_", "system", "site_", "tag_list", "outcome", "tried", "succeeded")
    list_display_links = ("device",)
    list_filter = (
        filters.Platform,
        filters.Site,
        filters.DevicesTag,
        filters.LastOutcome,
        filters.HasBackup,
        filters.Enabled,
        of_facts.Vendor,
        of_facts.Model,
        of_facts.OsVersion,
        of_facts.NameDiffers,
    )
    search_fields = ("name", "host", "site", "description", "facts__serial")
    search_help_text = "Name, address, site, description, serial number"
    ordering = ("name",)
    actions = ("back_up", "test_logins", "add_tags", "remove_tags", "enable", "disable")
    fieldsets = (
        (None, {"fields": (("name", "description"), ("host", "port", "transport"), ("platform", "legacy_ssh"))}),
        ("Who opens it", {"fields": ("tags", "aaa_domain")}),
        ("Where it is", {"fields": (("site", "enabled"),)}),
    )
    tools = (
        Tool("Import", "admin:devices_device_import", "upload", "devices.add_device"),
        Tool("Export", "admin:devices_device_export", "download", "devices.view_device", keeps_filters=True),
    )
    delete_text = (
        "Host keys and every configuration version go with a device and cannot be brought back. Results and "
        "attempts stay, under its name."
    )
    empty_title = "No devices yet"
    empty_text = "Import a CSV file with one device a line, or add the first one by hand."
    empty_links: ClassVar[tuple[tuple[str, str], ...]] = (
        ("Import CSV", "devices_device_import"),
        ("Add device", "devices_device_add"),
    )

    # --- the list ---------------------------------------------------------------------------------
    def get_queryset(self, request: HttpRequest) -> QuerySet[Device]:
        """Three queries for the tags and facts of a whole page."""
        return of_facts.with_facts(super().get_queryset(request).prefetch_related("tag_links__tag"))

    @admin.display(description="Name", ordering="name")
    def device(self, row: Device) -> SafeString:
        """The name; a device that is left alone says so."""
        if row.enabled:
            return cells.code(row.name)
        return format_html('{} <span class="nr-off">disabled</span>', cells.code(row.name))

    @admin.display(description="Address", ordering="host")
    def address(self, row: Device) -> SafeString:
        """Address and port; telnet says so."""
        shown = f"[{row.host}]" if ":" in row.host else row.host
        return cells.code(f"{shown}:{row.port}" + (" telnet" if row.transport == "telnet" else ""))

    @admin.display(description="Platform", ordering="platform")
    def platform_(self, row: Device) -> SafeString:
        """Netmiko's word for it."""
        return cells.code(row.platform)

    @admin.display(description="Runs")
    def system(self, row: Device) -> SafeString:
        """Model and version, as it says itself."""
        return of_facts.system(row)

    @admin.display(description="Site", ordering="site")
    def site_(self, row: Device) -> SafeString:
        """Cut where there is no room."""
        return cells.cut(row.site)

    @admin.display(description="Tags")
    def tag_list(self, row: Device) -> SafeString:
        """All of them in the title."""
        return cells.tags(sorted(link.tag.name for link in row.tag_links.all()))

    @admin.display(description="Last outcome", ordering="last_outcome")
    def outcome(self, row: Device) -> SafeString:
        """Its tone and word, the advice in the title."""
        return cells.outcome(row.last_outcome)

    @admin.display(description="Last tried", ordering="last_outcome_at")
    def tried(self, row: Device) -> SafeString:
        """Relative to now."""
        return cells.ago(row.last_outcome_at)

    @admin.display(description="Last success", ordering="last_success_at")
    def succeeded(self, row: Device) -> SafeString:
        """Relative to now."""
        return cells.ago(row.last_success_at)

    # --- the form ---------------------------------------------------------------------------------
    def formfield_for_dbfield(self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        """Suggestions where the same words come again and again."""
        if db_field.name == "platform":
            kwargs["widget"] = SuggestInput(_platforms, mono=True)
        elif db_field.name in {"site", "aaa_domain"}:
            kwargs["widget"] = SuggestInput(lambda: _in_use(db_field.name))
        elif db_field.name in {"name", "host"}:
            kwargs["widget"] = UnfoldAdminTextInputWidget(
                {"class": "nr-id", "autocomplete": "off", "spellcheck": "false"}
            )
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    # --- the page ---------------------------------------------------------------------------------
    def page_context(self, request: HttpRequest, obj: Device) -> dict[str, Any]:
        """What happened last and why, what would be tried next, and what is known of the device."""
        done = Result.objects.filter(device=obj, status=ResultStatus.DONE).select_related("run", "config_version")
        results = list(done.order_by("-id")[:_SHOWN])
        # A test of one named credential says nothing about how the device is.
        own = done.exclude(run__kind=KIND, run__parameters__has_key="credential")
        last = own.order_by("-id").first()
        may = request.user.has_perm
        attempts = Attempt.objects.filter(device=obj).select_related("run").order_by("-id")
        keys = obj.host_keys.select_related("decided_by").order_by("state", "-last_seen_at")
        versions = obj.config_versions.select_related("text").defer("text__packed", "text__sealed")
        versions = versions.order_by("-first_seen_at", "-id")
        return {
            "device": obj,
            "tags": sorted(link.tag.name for link in obj.tag_links.all()),
            "last": last,
            "last_info": info(last.outcome) if last else None,
            "results": results,
            "explanation": explain(obj) if may("credentials.view_credential") else None,
            "may_release": may("credentials.release_guardaccount"),
            "versions": with_older(list(versions[: _SHOWN + 1])) if may("devices.view_configversion") else None,
            "attempts": list(attempts[:_SHOWN]) if may("jobs.view_attempt") else None,
            "host_keys": list(keys) if may("devices.view_hostkey") else None,
            "windows": windows_of(obj),
            "facts": facts_of(obj),
            "may_approve": may("devices.approve_hostkey"),
            "shown": _SHOWN,
        }

    def extra_urls(self) -> list[Any]:
        """Import, export, and the buttons of the page."""
        return [
            ("import/", self.import_view, "import"),
            ("export/", self.export_view, "export"),
            ("suggest/", self.suggest_view, "suggest"),
            ("<int:object_id>/run/", self.run_view, "run"),
        ]

    def suggest_view(self, request: HttpRequest) -> JsonResponse:
        """Enabled devices whose name contains what was typed, as the input for names wants them."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        names = Device.objects.filter(enabled=True, name__icontains=request.GET.get("q", "").strip()[:100])
        return JsonResponse({"tags": list(names.order_by("name").values_list("name", flat=True)[:_SHOWN])})

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """From a CSV file, with a preview."""
        return importing.import_view(self, request)

    def export_view(self, request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
        """The devices of the list as it is filtered, as the CSV that an import takes."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        chosen = self.get_changelist_instance(request).get_queryset(request)
        name = f"devices-{timezone.localtime():%Y%m%d-%H%M}.csv"
        audit.record("devices.exported", devices=chosen.count())
        return StreamingHttpResponse(
            export_lines(chosen.order_by("name")),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    def run_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Start a backup or a credential test of this device."""
        device = self.found(request, object_id)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_run_permission(request):
            raise PermissionDenied
        kind = request.POST.get("kind", "")
        name = request.POST.get("credential")
        user: Any = request.user
        parameters = {"credential": name} if name else None
        return starting.start(
            request,
            lambda: start_adhoc(kind, devices=[device], parameters=parameters, trigger=Trigger.PERSON, user=user),
            self.page_url(device.pk),
        )

    # --- actions ----------------------------------------------------------------------------------
    def has_run_permission(self, request: HttpRequest) -> bool:
        """Who may start jobs."""
        return request.user.has_perm("jobs.run_job")

    @admin.action(description="Back up now", permissions=["run"])
    def back_up(self, request: HttpRequest, chosen: QuerySet[Device]) -> HttpResponse:
        """Fetch and keep the configurations."""
        text = "NetRaven logs in to each device and keeps its configuration when it changed."
        return self._start(request, chosen, "backup", "Back up now", "Back up {}", text)

    @admin.action(description="Test credentials", permissions=["run"])
    def test_logins(self, request: HttpRequest, chosen: QuerySet[Device]) -> HttpResponse:
        """Log in and leave again."""
        text = (
            "NetRaven logs in to each device with its candidates in order, stops at the first that works, and "
            "leaves again."
        )
        return self._start(request, chosen, "credential_test", "Test credentials", "Test logins on {}", text)

    def _start(
        self, request: HttpRequest, chosen: QuerySet[Device], kind: str, title: str, button: str, text: str
    ) -> HttpResponse:
        enabled = chosen.filter(enabled=True)
        left_out = chosen.filter(enabled=False).count()
        if not enabled.exists():
            # Without any device a run would mean all of them.
            messages.warning(request, "None of the selected devices is enabled, so there is nothing to do.")
            return self.back(request)
        if left_out:
            text += f" {cells.counted(left_out, 'disabled device')} of the selection will be left alone."
        if asked := self.ask(request, enabled, title=title, button=button, text=text):
            return asked
        devices = list(enabled.only("pk"))
        user: Any = request.user
        return starting.start(
            request,
            lambda: start_adhoc(kind, devices=devices, trigger=Trigger.PERSON, user=user),
            self.list_url(),
        )

    @admin.action(description="Add tags", permissions=["change"])
    def add_tags(self, request: HttpRequest, chosen: QuerySet[Device]) -> HttpResponse:
        """Some tags for many devices; nothing is taken away."""
        form = AddTags(request.POST if CONFIRMED in request.POST else None)
        if asked := self.ask(request, chosen, title="Add tags", button="Add tags to {}", form=form):
            return asked
        return self._change_tags(request, chosen, add_tags, form, "got", "had them already")

    @admin.action(description="Remove tags", permissions=["change"])
    def remove_tags(self, request: HttpRequest, chosen: QuerySet[Device]) -> HttpResponse:
        """Some tags from many devices; the others stay."""
        form = RemoveTags(request.POST if CONFIRMED in request.POST else None)
        if asked := self.ask(request, chosen, title="Remove tags", button="Remove tags from {}", form=form):
            return asked
        return self._change_tags(request, chosen, remove_tags, form, "lost", "had none of them")

    def _change_tags(
        self,
        request: HttpRequest,
        chosen: QuerySet[Device],
        service: Callable[[QuerySet[Device], list[str], Any], int],
        form: forms.Form,
        done: str,
        others: str,
    ) -> HttpResponse:
        # The filters of the list may be about these very tags.
        total, tags = chosen.count(), form.cleaned_data["tags"]
        try:
            changed = service(chosen, tags, self._person(request))
        except ValidationError as error:
            say(request, error)
        else:
            word = "tag" if len(tags) == 1 else "tags"
            self._tell(request, total, changed, f"{done} the {word} {cells.words(tags)}", others)
        return self.back(request)

    @admin.action(description="Enable", permissions=["change"])
    def enable(self, request: HttpRequest, chosen: QuerySet[Device]) -> HttpResponse:
        """Jobs take them again."""
        asked = self.ask(request, chosen, title="Enable", button="Enable {}", text="Jobs take them again.")
        return asked or self._set_enabled(request, chosen, True)

    @admin.action(description="Disable", permissions=["change"])
    def disable(self, request: HttpRequest, chosen: QuerySet[Device]) -> HttpResponse:
        """Every job leaves them alone."""
        asked = self.ask(request, chosen, title="Disable", button="Disable {}", text="Every job leaves them alone.")
        return asked or self._set_enabled(request, chosen, False)

    def _set_enabled(self, request: HttpRequest, chosen: QuerySet[Device], enabled: bool) -> HttpResponse:
        # The filters of the list may be about this very field.
        total = chosen.count()
        changed = set_enabled(chosen, enabled, self._person(request))
        self._tell(request, total, changed, f"are {'enabled' if enabled else 'disabled'} now", "were so already")
        return self.back(request)

    @staticmethod
    def _tell(request: HttpRequest, total: int, changed: int, done: str, others: str) -> None:
        more = f" {cells.counted(total - changed, 'other')} {others}." if total > changed else ""
        messages.success(request, f"{cells.counted(changed, 'device')} {done}.{more}")

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Device]) -> None:
        """With all that is theirs."""
        delete_devices(queryset, self._person(request))

    @staticmethod
    def _person(request: HttpRequest) -> Any:
        return request.user

    def back(self, request: HttpRequest) -> HttpResponse:
        """The list as it was filtered."""
        return HttpResponseRedirect(request.get_full_path())


def with_older(versions: list[Any]) -> list[Any]:
    """Versions of one device, newest first, each with the id of the one before it of the same kind."""
    for position, version in enumerate(versions):
        rest = versions[position + 1 :]
        version.older = next((each.pk for each in rest if each.kind == version.kind), None)
    return versions


def _platforms() -> Iterable[tuple[str, str]]:
    return ((name, each.label) for name, each in platforms().items())


def _in_use(field: str) -> Iterable[tuple[str, str]]:
    values = Device.objects.exclude(**{field: ""}).order_by(field).values_list(field, flat=True).distinct()
    return ((value, "") for value in values[:200])
