"""Jobs: what to do, on which devices, and when; "run now" and how the last run went."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from devices.models import Device
from jobs.choices import RUN_FINISHED, Overlap, Recurrence, Trigger
from jobs.engine.plan import devices_of_job
from jobs.kinds import KINDS
from jobs.kinds.base import as_text
from jobs.maintenance import closed_devices, windows_of_job
from jobs.models import Job, Run
from jobs.schedules import schedule_of, upcoming, words_of
from jobs.services import on_devices, start_run
from netraven_site.panels import cells, filters, starting
from netraven_site.panels.base import HistoryPanel, ServicePanel, how_many
from netraven_site.panels.jobform import STARTS, JobForm, parameter_fields, preview, told
from netraven_site.panels.tallies import kind_label, rows_of, started_by
from netraven_site.panels.timefields import zone_input

_SHOWN = 15


def parameters_shown(kind: str, parameters: dict[str, Any]) -> list[tuple[str, str]]:
    """Label and value of each parameter, as a person would type it."""
    labels = {each.name: each.label for each in KINDS[kind].parameters} if kind in KINDS else {}
    return [(labels.get(name, name), as_text(value)) for name, value in parameters.items()]


@admin.register(Job)
class JobPanel(HistoryPanel, ServicePanel):
    """What is done again and again."""

    form = JobForm
    page_template = "netraven/job.html"
    list_display = ("job", "kind_", "chosen", "next_start", "last_status", "last_devices", "last_when", "last_by")
    list_display_links = ("job",)
    list_filter = (filters.Kind, filters.Scheduled, filters.Enabled)
    search_fields = ("name", "description")
    search_help_text = "Name, description"
    ordering = ("name",)
    autocomplete_fields = ("tags", "devices")
    actions = ("run_now",)
    delete_text = "Its runs stay, under its name."
    empty_title = "No jobs yet"
    empty_text = "A job says what to do on which devices, and when. Add a backup of all devices, every night."
    empty_links: ClassVar[tuple[tuple[str, str], ...]] = (("Add job", "jobs_job_add"),)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """One part for the parameters of each kind that takes some; the script shows that of the chosen kind."""
        what = (None, {"fields": (("name", "description"), "kind", "enabled")})
        parameters = [
            (f"{kind.label}: parameters", {"fields": fields, "classes": ("nr-kind", f"nr-kind-{kind.name}")})
            for kind in KINDS.values()
            if (fields := parameter_fields(kind))
        ]
        devices = ("tags", "devices", ("all_devices", "max_parallel"))
        when = ("recurrence", "cron", ("every", "jitter"), ("start_at", "time_zone"), "overlap")
        return [
            what,
            *parameters,
            ("On which devices", {"fields": devices, "classes": ("nr-on-devices",)}),
            ("When", {"fields": when, "classes": ("nr-schedule",), "description": self._starts_box(obj)}),
        ]

    def _starts_box(self, job: Job | None) -> SafeString:
        words = ""
        if job is not None and job.recurrence != Recurrence.NONE:
            schedule = schedule_of(job, timezone.now())
            starts = told(upcoming(job, timezone.now(), STARTS), schedule)
            words = ". ".join([words_of(job), *(", ".join(each) for each in starts)])
        url = reverse("admin:jobs_job_preview") + (f"?job={job.pk}" if job else "")
        return format_html(
            '<div class="nr-starts" data-nr-starts="{}" role="status" aria-live="polite">{}</div>', url, words
        )

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """The names of credentials for those who may see them."""
        form = super().get_form(request, obj, change=change, **kwargs)
        form.sees_credentials = request.user.has_perm("credentials.view_credential")
        form.user = request.user
        return form

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """What the address says to begin with; of tags and devices ids alone."""
        found: dict[str, Any] = super().get_changeform_initial_data(request)
        for name in {"tags", "devices"} & found.keys():
            found[name] = [each for each in found[name] if each.isdecimal() and each.isascii() and len(each) < 19]
        return found

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Inputs with what is typed into them."""
        if db_field.name == "time_zone":
            kwargs["widget"] = zone_input()
        found = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "cron" and found is not None:
            found.widget.attrs |= {"placeholder": "15 2 * * 1-5", "autocomplete": "off"}
            found.widget.attrs["class"] = f"{found.widget.attrs.get('class', '')} nr-id"
        return found

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
        """The name; one that does not start says so."""
        if row.enabled:
            return cells.cut(row.name)
        return format_html('{} <span class="nr-off">disabled</span>', cells.cut(row.name))

    @admin.display(description="Kind", ordering="kind")
    def kind_(self, row: Job) -> SafeString:
        """In words."""
        return cells.cut(kind_label(row.kind))

    @admin.display(description="Devices")
    def chosen(self, row: Any) -> SafeString:
        """All, or these tags and so many by name."""
        if not on_devices(row.kind):
            return cells.DASH
        if row.all_devices:
            return cells.cut("all enabled devices")
        names = sorted(tag.name for tag in row.tags.all())
        more = cells.counted(row.device_total, "device") if row.device_total else ""
        if names and more:
            return format_html("{} and {}", cells.tags(names), more)
        return cells.tags(names) if names else cells.cut(more)

    @admin.display(description="Next start", ordering="next_run_at")
    def next_start(self, row: Any) -> SafeString:
        """Relative to now; a start that waits says so."""
        if row.next_run_at is None:
            return cells.DASH
        if row.next_run_at <= timezone.now():
            return cells.toned("waits", "held", f"since {cells.absolute(row.next_run_at)}")
        return cells.ago(row.next_run_at)

    @admin.display(description="Last run")
    def last_status(self, row: Any) -> SafeString:
        """Leads to the run."""
        if row.latest is None:
            return cells.none("never")
        return cells.link(run_url(row.latest.pk), cells.run_status(row.latest.status))

    @admin.display(description="Size")
    def last_devices(self, row: Any) -> SafeString:
        """Devices of the last run."""
        return cells.number(row.latest.device_count) if row.latest and on_devices(row.kind) else cells.DASH

    @admin.display(description="When")
    def last_when(self, row: Any) -> SafeString:
        """Relative to now."""
        return cells.ago(row.latest.created_at) if row.latest else cells.DASH

    @admin.display(description="By")
    def last_by(self, row: Any) -> SafeString:
        """Who started it."""
        return cells.cut(started_by(row.latest)) if row.latest else cells.DASH

    # --- the page ---------------------------------------------------------------------------------
    def page_context(self, request: HttpRequest, obj: Job) -> dict[str, Any]:
        """How many devices it means now, when it starts, which windows concern it, and its runs."""
        now = timezone.now()
        devices = chosen_devices(obj)
        kind = KINDS.get(obj.kind)
        starts = upcoming(obj, now, STARTS) if obj.enabled else []
        return {
            "job": obj,
            "kind": kind_label(obj.kind),
            "kind_text": kind.description if kind else "",
            "parameters": parameters_shown(obj.kind, obj.parameters),
            "on_devices": on_devices(obj.kind),
            "device_count": devices.count(),
            "devices": list(devices.order_by("name")[:_SHOWN]) if request.user.has_perm("devices.view_device") else [],
            "named": obj.devices.count(),
            "closed": len(closed_devices(list(devices.order_by().values_list("pk", flat=True)), now)),
            "schedule": words_of(obj),
            "starts": told(starts, schedule_of(obj, now)) if starts else [],
            "scheduled": obj.recurrence != Recurrence.NONE,
            "overlap": Overlap(obj.overlap).label if obj.recurrence != Recurrence.NONE else "",
            "waits_since": obj.next_run_at if obj.enabled and obj.next_run_at and obj.next_run_at <= now else None,
            "in_the_way": obj.runs.exclude(status__in=RUN_FINISHED).order_by("-id").first(),
            "windows": windows_of_job(obj, devices, now) if on_devices(obj.kind) else [],
            "runs": rows_of(obj.runs.order_by("-id")[:_SHOWN]) if request.user.has_perm("jobs.view_run") else None,
            "shown": _SHOWN,
        }

    def extra_urls(self) -> list[Any]:
        """The button of the page, and what the form asks while a schedule is typed."""
        return [
            ("<int:object_id>/run/", self.run_view, "run"),
            ("starts/", self.preview_view, "preview"),
        ]

    def has_run_permission(self, request: HttpRequest) -> bool:
        """Who may start jobs."""
        return request.user.has_perm("jobs.run_job")

    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """What a schedule means that is being typed, for people who may write jobs."""
        if not (self.has_add_permission(request) or self.has_change_permission(request)):
            raise PermissionDenied
        pk = request.GET.get("job", "")
        job = Job.objects.filter(pk=int(pk[:18])).first() if pk.isdecimal() else None
        return JsonResponse(preview(request.GET, job))

    def run_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Start the job now."""
        job = self.found(request, object_id)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_run_permission(request):
            raise PermissionDenied
        user: Any = request.user
        also_closed = request.POST.get("ignores_windows") == "yes"
        return starting.start(
            request,
            lambda: start_run(job, trigger=Trigger.PERSON, user=user, ignores_windows=also_closed),
            self.page_url(job.pk),
        )

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
    return devices_of_job(job) if on_devices(job.kind) else Device.objects.none()


def run_url(pk: int) -> str:
    """The page of a run."""
    return reverse("admin:jobs_run_page", args=[pk])
