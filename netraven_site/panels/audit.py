"""The audit trail: read, searched, exported, verified; never changed."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect, StreamingHttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from credentials import audit
from credentials.audit import anchors, export
from credentials.audit.intents import INTENT
from credentials.audit.labels import EVENTS, label_of
from credentials.audit.verify import VERIFIED, in_words, verify
from credentials.models import AuditEvent
from devices.connector.outcomes import INFO, Outcome
from devices.models import Device
from jobs.models import Run
from netraven_site.panels import cells, filters
from netraven_site.panels.base import ReadOnlyPanel, Tool

MOST_AT_ONCE = 100_000
"""Rows that are verified while somebody waits for the page: some seconds."""
_TONES = {"whole": "good", "done": "good", "broken": "failed", "failed": "failed", INTENT: "unknown"}
_SPANS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=30)}


class _Event(filters.BarFilter):
    title = "event"
    parameter_name = "event"

    def options(self) -> list[tuple[str, str]]:
        """Those that are known, and those that are there."""
        there = {value for value, _ in filters.distinct(AuditEvent.objects.all(), "event")}
        return sorted(((name, label_of(name)) for name in there | set(EVENTS)), key=lambda pair: pair[1])

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Of this event."""
        return queryset.filter(event=self.value()) if self.value() else queryset


class _Since(filters.BarFilter):
    title = "time"
    parameter_name = "since"

    def options(self) -> list[tuple[str, str]]:
        """How far back."""
        return [(name, f"last {name}") for name in _SPANS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Since then."""
        span = _SPANS.get(str(self.value()))
        return queryset.filter(at__gte=timezone.now() - span) if span else queryset


class _Actor(filters.BarFilter):
    kind = "text"
    title = "who"
    parameter_name = "actor"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Exactly this name."""
        return queryset.filter(actor=str(self.value()).strip()) if self.value() else queryset


@admin.register(AuditEvent)
class AuditPanel(ReadOnlyPanel):
    """What happened, newest first."""

    change_list_template = "netraven/audit_list.html"
    page_template = "netraven/audit_event.html"
    list_display = ("number", "when", "event_", "outcome_", "who", "about", "said")
    list_display_links = ("number",)
    list_filter = (_Event, _Actor, filters.DeviceNamed, filters.CredentialNamed, _Since)
    search_fields = ("subject", "device_name", "credential_name", "details")
    search_help_text = "About what, details"
    ordering = ("-id",)
    tools = (
        Tool(
            "Export",
            "admin:credentials_auditevent_export",
            "download",
            "credentials.export_auditevent",
            keeps_filters=True,
        ),
    )
    empty_title = "Nothing is on record yet"
    empty_text = "Sign-ins, changes, each use of a credential and each look at a secret are recorded here."
    empty_links: ClassVar[tuple[tuple[str, str], ...]] = ()

    def extra_urls(self) -> list[Any]:
        """Export and verification."""
        return [("export/", self.export_view, "export"), ("verify/", self.verify_view, "verify")]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """With what the last verification found."""
        last = AuditEvent.objects.filter(event=VERIFIED).first()
        extra = {"last": last, "verdict": last.data if last is not None else {}, "anchor": _last_anchor()}
        return super().changelist_view(request, {**(extra_context or {}), **extra})

    def verify_view(self, request: HttpRequest) -> HttpResponse:
        """Verify now; what was found is a row of the trail itself."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_view_permission(request):
            raise PermissionDenied
        if AuditEvent.objects.count() > MOST_AT_ONCE:
            messages.warning(request, "That many rows are verified with the command: ./manage.py audit_verify")
            return HttpResponseRedirect(self.list_url())
        found = verify(_own_lines())
        audit.record(VERIFIED, outcome="whole" if found.is_whole else "broken", **found.as_json())
        (messages.success if found.is_whole else messages.error)(request, in_words(found))
        return HttpResponseRedirect(self.list_url())

    def export_view(self, request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
        """The rows of the list as it is filtered, as CSV; on record before the first is sent."""
        if not (self.has_view_permission(request) and request.user.has_perm("credentials.export_auditevent")):
            raise PermissionDenied
        chosen = self.get_changelist_instance(request).get_queryset(request).order_by("id")
        audit.record("audit.exported", rows=chosen.count(), filters=dict(request.GET.items()))
        name = f"audit-{timezone.localtime():%Y%m%d-%H%M}.csv"
        return StreamingHttpResponse(
            export.as_csv(chosen),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
        )

    def page_context(self, request: HttpRequest, obj: AuditEvent) -> dict[str, Any]:
        """Everything that the row says, and the rows before and after it."""
        intent = obj.data.get("intent")
        return {
            "event": obj,
            "label": label_of(obj.event),
            "state": _outcome(obj.outcome),
            "details": [(name.replace("_", " "), _text(value)) for name, value in obj.data.items()],
            "device_url": _url("devices_device", Device, obj.device),
            "run_url": _url("jobs_run", Run, obj.run),
            "intent": AuditEvent.objects.filter(pk=intent).first() if isinstance(intent, int) else None,
            "outcomes": _outcomes_of(obj) if obj.outcome == INTENT else [],
        }

    # --- the list ---------------------------------------------------------------------------------
    @admin.display(description="No.", ordering="id")
    def number(self, row: AuditEvent) -> SafeString:
        """Its place in the chain."""
        return cells.number(f"{row.pk:,}")

    @admin.display(description="When", ordering="id")
    def when(self, row: AuditEvent) -> SafeString:
        """Relative to now."""
        return cells.ago(row.at)

    @admin.display(description="Event", ordering="event")
    def event_(self, row: AuditEvent) -> SafeString:
        """In words; its name in the title."""
        return cells.cut(label_of(row.event), row.event)

    @admin.display(description="Outcome", ordering="outcome")
    def outcome_(self, row: AuditEvent) -> SafeString:
        """In its tone."""
        return _outcome(row.outcome)

    @admin.display(description="Who", ordering="actor")
    def who(self, row: AuditEvent) -> SafeString:
        """And from where."""
        return cells.cut(row.actor, f"{row.actor}, {row.source}" if row.source else row.actor)

    @admin.display(description="About")
    def about(self, row: AuditEvent) -> SafeString:
        """Device, credential, or whatever else."""
        named = [each for each in (row.device_name, row.credential_name, row.subject) if each]
        return cells.cut(" · ".join(named)) if named else cells.DASH

    @admin.display(description="Details")
    def said(self, row: AuditEvent) -> SafeString:
        """On one line."""
        words = ", ".join(f"{name} {_text(value)}" for name, value in row.data.items() if value not in ("", None, []))
        return format_html('<span class="nr-none">{}</span>', cells.cut(words)) if words else cells.DASH


def _outcome(value: str) -> SafeString:
    if not value:
        return cells.DASH
    if value in {each.value for each in INFO} and Outcome(value) in INFO:
        return cells.outcome(value)
    return cells.toned(value, _TONES.get(value, "unknown"))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _url(page: str, model: Any, pk: int | None) -> str:
    there = pk is not None and model._default_manager.filter(pk=pk).exists()
    return reverse(f"admin:{page}_page", args=[pk]) if there else ""


def _outcomes_of(intent: AuditEvent) -> list[AuditEvent]:
    later = AuditEvent.objects.filter(event=intent.event, device=intent.device, id__gt=intent.pk)
    rows = later.exclude(outcome=INTENT).order_by("id")[:200]
    return [row for row in rows if row.data.get("intent") == intent.pk]


def _own_lines() -> list[anchors.Line]:
    try:
        return anchors.own_lines()
    except OSError:
        return []


def _last_anchor() -> Any:
    found = [line.anchor for line in _own_lines()[-50:] if line.anchor is not None]
    return found[-1] if found else None
