"""Jobs: what to do, on which devices; "run now" and how the last run went."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from devices.models import Device
from jobs.choices import Trigger
from jobs.engine.plan import devices_of
from jobs.kinds import KINDS, kind_choices
from jobs.models import Job, Run
from jobs.services import clean_kind, start_run
from netraven_site.panels import cells, filters, starting
from netraven_site.panels.base import HistoryPanel, how_many
from netraven_site.panels.tallies import kind_label, rows_of, started_by

_SHOWN = 15


def parameters_text(parameters: dict[str, Any]) -> str:
    """Parameters as `name = value` lines; what is no text is JSON."""
    lines = []
    for name, value in parameters.items():
        shown = value if isinstance(value, str) and not _is_json(value) else json.dumps(value, ensure_ascii=False)
        lines.append(f"{name} = {shown}")
    return "\n".join(lines)


def parameters_from(text: str) -> dict[str, Any]:
    """The parameters of such lines; ValidationError for a line that is none."""
    found: dict[str, Any] = {}
    for line in text.splitlines():
        if not line.strip():
            continue
        name, separator, value = line.partition("=")
        if not separator or not name.strip():
            raise ValidationError(f"Write name = value, not {line.strip()!r}.")
        found[name.strip()] = json.loads(value) if _is_json(value) else value.strip()
    return found


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


class JobForm(forms.ModelForm):  # type: ignore[type-arg]
    """A job; its kind says which parameters it takes."""

    kind = forms.ChoiceField(
        choices=kind_choices,
        widget=UnfoldAdminSelectWidget,
        help_text=" ".join(f"{kind.label}: {kind.description}" for kind in KINDS.values()),
    )
    parameters_lines = forms.CharField(
        required=False,
        label="Parameters",
        widget=UnfoldAdminTextareaWidget({"rows": 3, "class": "nr-id", "placeholder": "credential = noc"}),
        help_text="One name = value a line. Most kinds need none.",
    )

    class Meta:
        model = Job
        fields = ("name", "description", "enabled", "kind", "tags", "devices", "all_devices")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["parameters_lines"] = parameters_text(self.instance.parameters)

    def clean(self) -> dict[str, Any]:
        """Ask the kind whether it takes these parameters."""
        data: dict[str, Any] = super().clean() or {}
        try:
            given = parameters_from(data.get("parameters_lines", ""))
            self.instance.parameters = clean_kind(data.get("kind", ""), given)
        except ValidationError as error:
            self.add_error("parameters_lines", error.messages)
        return data


@admin.register(Job)
class JobPanel(HistoryPanel):
    """What is done again and again."""

    form = JobForm
    page_template = "netraven/job.html"
    list_display = ("job", "kind_", "chosen", "last_status", "last_devices", "last_when", "last_by", "enabled_")
    list_display_links = ("job",)
    list_filter = (filters.Kind, filters.Enabled)
    search_fields = ("name", "description")
    search_help_text = "Name, description"
    ordering = ("name",)
    autocomplete_fields = ("tags", "devices")
    actions = ("run_now",)
    fieldsets = (
        (None, {"fields": (("name", "description"), "kind", "parameters_lines", "enabled")}),
        ("On which devices", {"fields": ("tags", "devices", "all_devices")}),
    )
    delete_text = "Its runs stay, under its name."
    empty_title = "No jobs yet"
    empty_text = "A job says what to do on which devices, so that it can be run again. Add a backup of all devices."
    empty_links: ClassVar[tuple[tuple[str, str], ...]] = (("Add job", "jobs_job_add"),)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """The model's fields that the form names; the parameters are the form's own."""
        kwargs["fields"] = JobForm.Meta.fields
        return super().get_form(request, obj, change=change, **kwargs)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        """Tags by a prefetch, the number of devices and the last run by subqueries."""
        runs = Run.objects.filter(job=OuterRef("pk")).order_by("-id").values("pk")
        through = Job.devices.through._default_manager.filter(job=OuterRef("pk"))
        found: QuerySet[Job] = super().get_queryset(request)
        return found.prefetch_related("tags").annotate(
            last_run=Subquery(runs[:1]), device_total=how_many(through, "job")
        )

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The last runs of the jobs on this page, in one query."""
        found = super().get_changelist_instance(request)
        runs = Run.objects.in_bulk([row.last_run for row in found.result_list if row.last_run])
        for row in found.result_list:
            row.latest = runs.get(row.last_run)
        return found

    # --- the list ---------------------------------------------------------------------------------
    @admin.display(description="Name", ordering="name")
    def job(self, row: Job) -> SafeString:
        """The name."""
        return cells.cut(row.name)

    @admin.display(description="Kind", ordering="kind")
    def kind_(self, row: Job) -> SafeString:
        """In words."""
        return cells.cut(kind_label(row.kind))

    @admin.display(description="Devices")
    def chosen(self, row: Any) -> SafeString:
        """All, or these tags and so many by name."""
        if row.all_devices:
            return cells.cut("all enabled devices")
        names = sorted(tag.name for tag in row.tags.all())
        more = cells.counted(row.device_total, "device") if row.device_total else ""
        if names and more:
            return format_html("{} and {}", cells.tags(names), more)
        return cells.tags(names) if names else cells.cut(more)

    @admin.display(description="Last run")
    def last_status(self, row: Any) -> SafeString:
        """Leads to the run."""
        if row.latest is None:
            return format_html('<span class="nr-none">never</span>')
        return cells.link(run_url(row.latest.pk), cells.run_status(row.latest.status))

    @admin.display(description="Size")
    def last_devices(self, row: Any) -> SafeString:
        """Devices of the last run."""
        return cells.number(row.latest.device_count) if row.latest else cells.DASH

    @admin.display(description="When")
    def last_when(self, row: Any) -> SafeString:
        """Relative to now."""
        return cells.ago(row.latest.created_at) if row.latest else cells.DASH

    @admin.display(description="By")
    def last_by(self, row: Any) -> SafeString:
        """Who started it."""
        return cells.cut(started_by(row.latest)) if row.latest else cells.DASH

    @admin.display(description="Enabled", ordering="enabled")
    def enabled_(self, row: Job) -> SafeString:
        """In words."""
        return cells.cut("yes" if row.enabled else "no")

    # --- the page ---------------------------------------------------------------------------------
    def page_context(self, request: HttpRequest, obj: Job) -> dict[str, Any]:
        """How many devices it means now, and its runs."""
        devices = chosen_devices(obj)
        kind = KINDS.get(obj.kind)
        return {
            "job": obj,
            "kind": kind_label(obj.kind),
            "kind_text": kind.description if kind else "",
            "parameters": parameters_text(obj.parameters),
            "device_count": devices.count(),
            "devices": list(devices.order_by("name")[:_SHOWN]) if request.user.has_perm("devices.view_device") else [],
            "named": obj.devices.count(),
            "runs": rows_of(obj.runs.order_by("-id")[:_SHOWN]) if request.user.has_perm("jobs.view_run") else None,
            "shown": _SHOWN,
        }

    def extra_urls(self) -> list[Any]:
        """The button of the page."""
        return [("<int:object_id>/run/", self.run_view, "run")]

    def has_run_permission(self, request: HttpRequest) -> bool:
        """Who may start jobs."""
        return request.user.has_perm("jobs.run_job")

    def run_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Start the job now."""
        job = self.found(request, object_id)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_run_permission(request):
            raise PermissionDenied
        user: Any = request.user
        return starting.start(request, lambda: start_run(job, trigger=Trigger.PERSON, user=user), self.page_url(job.pk))

    @admin.action(description="Run now", permissions=["run"])
    def run_now(self, request: HttpRequest, chosen: QuerySet[Job]) -> HttpResponse:
        """Start each of them."""
        jobs = list(chosen)
        counts = {job.pk: chosen_devices(job).count() for job in jobs}
        asked = self.ask(
            request,
            chosen,
            title="Run now",
            button=f"Run on {cells.counted(sum(counts.values()), 'device')}",
            text=" ".join(f"{job.name}: {cells.counted(counts[job.pk], 'device')}." for job in jobs[:20]),
        )
        if asked:
            return asked
        user: Any = request.user
        answer: HttpResponse = HttpResponseRedirect(self.list_url())
        for job in jobs:
            answer = starting.start(
                request,
                lambda each=job: start_run(each, trigger=Trigger.PERSON, user=user),  # type: ignore[misc]
                self.list_url(),
            )
        return answer if len(jobs) == 1 else HttpResponseRedirect(self.list_url())


def chosen_devices(job: Job) -> QuerySet[Device]:
    """The enabled devices that a run of the job would take now."""
    return devices_of(job.tags.values_list("pk", flat=True), job.devices.values_list("pk", flat=True), job.all_devices)


def run_url(pk: int) -> str:
    """The page of a run."""
    return reverse("admin:jobs_run_page", args=[pk])
