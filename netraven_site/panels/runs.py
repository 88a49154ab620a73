"""Runs with live progress, and the ledger of login attempts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.db.models import Case, IntegerField, Q, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect, JsonResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from devices.connector.outcomes import INFO, Outcome, info
from jobs.choices import RUN_FINISHED, ResultStatus, RunStatus, Trigger
from jobs.models import Attempt, Result, Run
from jobs.services import cancel_run, on_devices, pause_run, progress, resume_run, retry_failed, retryable
from netraven_site.panels import cells, filters, mending, results, starting, testing
from netraven_site.panels.base import ReadOnlyPanel, say
from netraven_site.panels.jobs import parameters_shown
from netraven_site.panels.tallies import by_rank, duration, kind_label, outcome_counts, started_by, tally, tone_counts

_PAGE = 100
PENDING = "pending"


@admin.register(Run)
class RunPanel(ReadOnlyPanel):
    """What was done."""

    page_template = "netraven/run.html"
    list_display = ("run", "kind_", "status_", "devices", "outcomes", "by", "started", "took")
    list_display_links = ("run",)
    list_filter = (filters.Status, filters.Kind, filters.TriggeredBy)
    search_fields = ("job_name", "requested_by_name")
    search_help_text = "Job, person"
    ordering = ("-id",)
    empty_title = "No runs yet"
    empty_text = "Run a job, or back up some devices: what happened on each of them is kept here."
    empty_links: ClassVar[tuple[tuple[str, str], ...]] = (
        ("Devices", "devices_device_changelist"),
        ("Jobs", "jobs_job_changelist"),
    )

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The outcomes of the runs on this page, in one query."""
        found = super().get_changelist_instance(request)
        counts = outcome_counts(row.pk for row in found.result_list)
        for row in found.result_list:
            row.counts = counts.get(row.pk, {})
        return found

    # --- the list ---------------------------------------------------------------------------------
    @admin.display(description="Run", ordering="id")
    def run(self, row: Run) -> SafeString:
        """Job and number."""
        return format_html('{} <span class="nr-none">#{}</span>', cells.cut(row.job_name), row.pk)

    @admin.display(description="Kind", ordering="kind")
    def kind_(self, row: Run) -> SafeString:
        """In words."""
        return cells.cut(kind_label(row.kind))

    @admin.display(description="Status", ordering="status")
    def status_(self, row: Run) -> SafeString:
        """In its tone."""
        return cells.run_status(row.status)

    @admin.display(description="Devices", ordering="device_count")
    def devices(self, row: Run) -> SafeString:
        """How many; none for a kind that works on no device."""
        return cells.number(row.device_count) if on_devices(row.kind) else cells.DASH

    @admin.display(description="Outcomes")
    def outcomes(self, row: Any) -> SafeString:
        """Devices by tone; why there is none, if so."""
        return tally(row.counts) if row.counts else cells.cut(row.message)

    @admin.display(description="Started by", ordering="requested_by_name")
    def by(self, row: Run) -> SafeString:
        """Who or what."""
        return cells.cut(started_by(row))

    @admin.display(description="When", ordering="created_at")
    def started(self, row: Run) -> SafeString:
        """Relative to now."""
        return cells.ago(row.created_at)

    @admin.display(description="Duration")
    def took(self, row: Run) -> SafeString:
        """From the request to the last result."""
        return cells.number(duration(row))

    # --- the page ---------------------------------------------------------------------------------
    def extra_urls(self) -> list[Any]:
        """Live progress, and the buttons."""
        return [
            ("<int:object_id>/progress/", self.progress_view, "progress"),
            ("<int:object_id>/cancel/", self.cancel_view, "cancel"),
            ("<int:object_id>/pause/", self.pause_view, "pause"),
            ("<int:object_id>/resume/", self.resume_view, "resume"),
            ("<int:object_id>/retry/", self.retry_view, "retry"),
            ("<int:object_id>/results/<int:result_id>/", self.result_view, "result"),
            ("<int:object_id>/results/<int:result_id>/<int:number>/", self.output_view, "output"),
        ]

    def page_context(self, request: HttpRequest, obj: Run) -> dict[str, Any]:
        """Everything that the live part shows, and what does not change."""
        return {
            **self.live_context(request, obj),
            "progress_url": reverse("admin:jobs_run_progress", args=[obj.pk]),
        }

    def live_context(self, request: HttpRequest, run: Run) -> dict[str, Any]:
        """How far the run is, what failed and why, and the results that are there."""
        state = progress(run.pk)
        left = state.total - state.done
        # What somebody stopped did not fail, and is no speed.
        cancelled = state.by_outcome.get(Outcome.CANCELLED, 0) - state.left_alone
        chosen = request.GET.get("outcome", "")
        page = Paginator(_results(run, chosen), _PAGE).get_page(request.GET.get("p"))
        row: Any
        for row in page.object_list:
            row.known = info(row.outcome)
            row.mend = mending.mend(row.outcome, row.device_id, row.device_name, row.credential_id)
        outcomes = by_rank(state.by_outcome)
        found: dict[str, Any] = {
            "run": run,
            "kind": kind_label(run.kind),
            "by": started_by(run),
            "parameters": parameters_shown(run.kind, run.parameters),
            "state": state,
            "left": left,
            "cancelled": cancelled,
            "failed": state.failed,
            "on_devices": on_devices(run.kind),
            "is_paused": run.status == RunStatus.PAUSED,
            "is_skipped": run.status == RunStatus.SKIPPED,
            "to_retry": retryable(run).count() if run.status in RUN_FINISHED and (state.failed or cancelled) else 0,
            "retries": list(run.retries.order_by("pk")),
            "summary": results.values_shown(state.summary),
            "percent": int(100 * state.done / state.total) if state.total else 100,
            "bars": [
                (tone.value, cells.TONE_LABELS[tone], count, round(100 * count / max(1, state.total), 2))
                for tone, count in reversed(tone_counts(state.by_outcome).items())
            ],
            "outcomes": [(each, info(each), state.by_outcome[each]) for each in outcomes],
            "failures": [
                (each, info(each), state.by_outcome[each], mending.mend(each))
                for each in outcomes
                if each not in {Outcome.SUCCESS, Outcome.CANCELLED}
            ],
            "chosen": chosen,
            "page": page,
            "duration": cells.span(state.elapsed_s),
            "rate": f"{state.rate:.1f}" if state.rate < 10 else f"{state.rate:.0f}",
            "eta": cells.span(state.eta_s) if state.eta_s is not None and left else "",
        }
        return found | testing.live_context(run, page.object_list, found["failures"])

    def progress_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """The parts of the page that change, as JSON: whether the run has ended, its numbers and the HTML."""
        run = self.found(request, object_id)
        context = {**self.live_context(request, run), "may_run": request.user.has_perm("jobs.run_job")}
        state = context["state"]
        return JsonResponse(
            {
                "finished": state.is_finished,
                "status": state.status,
                "total": state.total,
                "done": state.done,
                "by_outcome": state.by_outcome,
                "elapsed_s": round(state.elapsed_s, 1),
                "html": render_to_string("netraven/run_live.html", context, request),
                "tools": render_to_string("netraven/run_tools.html", context, request),
            }
        )

    def cancel_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Ask the run to stop."""
        return self._tell(request, object_id, cancel_run, "The run stops: devices in hand finish, the others are left.")

    def pause_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Let the devices wait that have not begun."""
        return self._tell(
            request,
            object_id,
            pause_run,
            "The run pauses: devices in hand finish, the others wait until you resume it.",
        )

    def resume_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Go on with a paused run."""
        return self._tell(request, object_id, resume_run, "The run goes on.")

    def retry_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """A new run over what failed."""
        run = self._posted(request, object_id)
        if isinstance(run, HttpResponse):
            return run
        user: Any = request.user
        return starting.start(
            request, lambda: retry_failed(run, trigger=Trigger.PERSON, user=user), self.page_url(run.pk)
        )

    def result_view(self, request: HttpRequest, object_id: int, result_id: int) -> HttpResponse:
        """What happened on one device."""
        return results.result_view(self, request, object_id, result_id)

    def output_view(self, request: HttpRequest, object_id: int, result_id: int, number: int) -> HttpResponse:
        """One answer of a device as plain text."""
        return results.output_view(self, request, object_id, result_id, number)

    def _tell(self, request: HttpRequest, object_id: int, verb: Callable[[Run], None], done: str) -> HttpResponse:
        run = self._posted(request, object_id)
        if isinstance(run, HttpResponse):
            return run
        try:
            verb(run)
        except ValidationError as error:
            say(request, error)
        else:
            messages.success(request, done)
        return HttpResponseRedirect(self.page_url(run.pk))

    def _posted(self, request: HttpRequest, object_id: int) -> Run | HttpResponse:
        found: Run = self.found(request, object_id)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not request.user.has_perm("jobs.run_job"):
            raise PermissionDenied
        return found


def _results(run: Run, chosen: str) -> QuerySet[Result]:
    """What failed first, then what worked, what was left, and what is still to come."""
    failing = [each.value for each in Outcome if each not in {Outcome.SUCCESS, Outcome.CANCELLED}]
    rank = Case(
        When(status=ResultStatus.PENDING, then=Value(3)),
        When(outcome__in=failing, then=Value(0)),
        When(outcome=Outcome.CANCELLED, then=Value(2)),
        default=Value(1),
        output_field=IntegerField(),
    )
    found = Result.objects.filter(run=run).select_related("config_version").defer("data")
    if chosen == PENDING:
        found = found.filter(status=ResultStatus.PENDING)
    elif chosen.startswith("tone:"):
        found = found.filter(outcome__in=cells.outcomes_of(chosen.removeprefix("tone:")))
    elif chosen in INFO:
        found = found.filter(Q(outcome=chosen))
    return found.annotate(rank=rank).order_by("rank", "device_name", "pk")


@admin.register(Attempt)
class AttemptPanel(ReadOnlyPanel):
    """Every login that was tried, with which credential and how it ended."""

    list_display = ("when", "of_device", "of_credential", "user", "order_", "outcome_", "took", "detail_", "in_run")
    list_display_links = None
    list_filter = (filters.OutcomeClass, filters.CredentialNamed, filters.DeviceNamed, filters.IsTest)
    search_fields = ("device_name", "credential_name", "username")
    search_help_text = "Device, credential, user name"
    list_select_related = ("run",)
    ordering = ("-id",)
    empty_title = "No attempts"
    empty_text = "Each login that a run tries is listed here: with which credential, why, and how it ended."
    empty_links: ClassVar[tuple[tuple[str, str], ...]] = (("Runs", "jobs_run_changelist"),)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Whether this person may be led to the credentials."""
        found = super().get_changelist_instance(request)
        for row in found.result_list:
            row.leads_on = request.user.has_perm("credentials.view_credential")
        return found

    @admin.display(description="When", ordering="id")
    def when(self, row: Attempt) -> SafeString:
        """Relative to now."""
        return cells.ago(row.started_at)

    @admin.display(description="Device", ordering="device_name")
    def of_device(self, row: Attempt) -> SafeString:
        """Leads to the device while there is one."""
        if row.device_id is None:
            return cells.code(row.device_name)
        return cells.link(reverse("admin:devices_device_page", args=[row.device_id]), cells.code(row.device_name))

    @admin.display(description="Credential", ordering="credential_name")
    def of_credential(self, row: Any) -> SafeString:
        """Leads to the credential while there is one, those who may see it; why it was tried is in the title."""
        shown = cells.cut(row.credential_name, f"{row.credential_name}: {row.reason}")
        if row.credential_id is None or not row.leads_on:
            return shown
        return cells.link(reverse("admin:credentials_credential_page", args=[row.credential_id]), shown)

    @admin.display(description="User name", ordering="username")
    def user(self, row: Attempt) -> SafeString:
        """As it was sent."""
        return cells.code(row.username)

    @admin.display(description="Order", ordering="order")
    def order_(self, row: Attempt) -> SafeString:
        """1 for the first login on this device in this run."""
        return cells.number(row.order)

    @admin.display(description="Outcome", ordering="outcome")
    def outcome_(self, row: Attempt) -> SafeString:
        """In its tone; the advice in the title."""
        return cells.outcome(row.outcome)

    @admin.display(description="Duration", ordering="duration_s")
    def took(self, row: Attempt) -> SafeString:
        """Of the login alone."""
        return cells.number(cells.span(row.duration_s))

    @admin.display(description="Detail")
    def detail_(self, row: Attempt) -> SafeString:
        """What happened, in words."""
        return cells.cut(row.detail)

    @admin.display(description="Run")
    def in_run(self, row: Attempt) -> SafeString:
        """Leads to the run; a test says so."""
        if row.run is None:
            return cells.DASH
        label = f"{row.run.job_name} #{row.run_id}" + (" (test)" if row.is_test else "")
        return cells.link(reverse("admin:jobs_run_page", args=[row.run_id]), cells.cut(label))
