"""The form of a job: its kind with the parameters of that kind, its devices, its schedule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.html import format_html_join
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from credentials.models import Credential
from jobs.choices import Recurrence
from jobs.kinds import KINDS, JobKind, Parameter, kind_choices, missing_permission
from jobs.models import Job
from jobs.schedules import schedule_of
from jobs.services import on_devices, save_job
from jobs.timing import Schedule, clock, zone_of
from netraven_site.panels import cells
from netraven_site.panels.base import ServiceForm
from netraven_site.panels.timefields import LocalTimeField, SpanField, in_zone, on_clock, zone_help

PLAIN = ("name", "description", "enabled", "all_devices", "max_parallel", "overlap", "recurrence", "cron", "time_zone")
STARTS = 3


def field_name(kind: str, parameter: str) -> str:
    """The name of the form's field for one parameter of one kind."""
    return f"{kind}__{parameter}"


def parameter_fields(kind: JobKind) -> list[str]:
    """The names of the form's fields for the parameters of a kind."""
    return [field_name(kind.name, parameter.name) for parameter in kind.parameters]


class JobForm(ServiceForm):
    """A job, written by `save_job`. It has the fields of every kind; those of the chosen one are read."""

    field_of: ClassVar[dict[str, str]] = {"interval_s": "every", "jitter_s": "jitter", "run_at": "start_at"}
    sees_credentials: ClassVar[bool] = False
    """Whether this person may be shown the names of credentials."""
    user: ClassVar[Any] = None
    """The person who fills it in."""

    kind = forms.ChoiceField(choices=kind_choices, widget=UnfoldAdminSelectWidget({"data-nr-kinds": ""}))
    every = SpanField(label="Interval", help_text="Such as 15 min, 6 h or 1 day, counted from when the job was made.")
    jitter = SpanField(
        label="Jitter",
        placeholder="none",
        help_text="Each start is put off by a random time of at most so long, so that not all begin at once.",
    )
    start_at = LocalTimeField(label="Start at", help_text="In the time zone below.")

    class Meta:
        model = Job
        fields = (*PLAIN, "kind", "tags", "devices")

    class Media:
        js = ("netraven/jobform.js",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        job: Job = self.instance
        self.fields["kind"].help_text = format_html_join(
            " ",
            '<span data-nr-kind-text="{}" data-nr-on-devices="{}">{}: {}</span>',
            ((kind.name, "yes" if kind.on_devices else "", kind.label, kind.description) for kind in KINDS.values()),
        )
        if job.pk and job.kind not in KINDS:
            kinds: Any = self.fields["kind"]
            kinds.choices = [(job.kind, f"{job.kind} (there is no such kind any more)"), *kind_choices()]
        self.fields["time_zone"].help_text = zone_help()
        for kind in KINDS.values():
            given = job.parameters if job.kind == kind.name else {}
            for parameter in kind.parameters:
                value = given.get(parameter.name, None if given else parameter.default)
                self.fields[field_name(kind.name, parameter.name)] = self._field(parameter, value)
        self.initial.update({"every": job.interval_s, "jitter": job.jitter_s or None})
        try:
            self.initial["start_at"] = on_clock(job.run_at, zone_of(job.time_zone))
        except ValidationError:
            self.initial["start_at"] = on_clock(job.run_at, timezone.get_default_timezone())

    def _field(self, parameter: Parameter, value: Any) -> forms.Field:
        shown: dict[str, Any] = {
            "required": False,
            "label": parameter.label + (" (needed)" if parameter.required else ""),
            "help_text": parameter.help_text,
            "initial": "\n".join(map(str, value)) if isinstance(value, list | tuple) else value,
        }
        if parameter.type == "flag":
            return forms.BooleanField(widget=UnfoldBooleanSwitchWidget, **shown)
        if parameter.type == "lines":
            return forms.CharField(widget=UnfoldAdminTextareaWidget({"rows": 5, "class": "nr-id"}), **shown)
        if parameter.type == "number":
            bounds = {"min": parameter.minimum, "max": parameter.maximum, "step": "any"}
            widget = UnfoldAdminTextInputWidget({key: each for key, each in bounds.items() if each is not None})
            widget.input_type = "number"
            return forms.CharField(widget=widget, **shown)
        if parameter.type == "choice":
            blank = [] if parameter.default else [("", "–")]
            choices = [*blank, *parameter.choices]
            return forms.ChoiceField(choices=choices, widget=UnfoldAdminSelectWidget, **shown)
        if parameter.type == "credential" and self.sees_credentials:
            names = list(Credential.objects.filter(enabled=True).order_by("name").values_list("name", flat=True))
            # One that was disabled since stays to be seen: the service says what is wrong with it.
            names += [value] if value and value not in names else []
            return forms.ChoiceField(
                choices=[("", "–"), *((name, name) for name in names)], widget=UnfoldAdminSelectWidget, **shown
            )
        if parameter.type == "credential":
            shown |= {"disabled": True, "help_text": "Naming one needs the permission to view credentials."}
        return forms.CharField(widget=UnfoldAdminTextInputWidget({"autocomplete": "off"}), **shown)

    def clean_kind(self) -> str:
        """A kind that this person may set up."""
        kind: str = self.cleaned_data["kind"]
        if refusal := missing_permission(kind, self.user.has_perm):
            raise ValidationError(refusal)
        return kind

    def clean(self) -> dict[str, Any]:
        """The time of a single start on the clock of the chosen zone."""
        data: dict[str, Any] = super().clean() or {}
        data["run_at"] = None
        if data.get("start_at"):
            try:
                data["run_at"] = in_zone(data["start_at"], zone_of(data.get("time_zone", "")))
            except ValidationError as error:
                # The service says what is wrong with the zone itself.
                if data.get("recurrence") == Recurrence.ONCE:
                    self.add_error("start_at", error)
        return data

    def write(self, instance: Any, data: dict[str, Any]) -> Job:
        """Make or change the job."""
        plain = {name: data[name] for name in PLAIN}
        tags, devices = data["tags"], data["devices"]
        if not on_devices(data["kind"]):
            # Its part of the form is hidden then: what stands in it from before is not meant.
            tags, devices, plain["all_devices"], plain["max_parallel"] = (), (), False, None
        return save_job(
            instance,
            user=self.user,
            tags=tags,
            devices=devices,
            kind=data["kind"],
            parameters=given_parameters(data),
            interval_s=data["every"],
            jitter_s=data["jitter"] or 0,
            run_at=data["run_at"],
            **plain,
        )

    def _by_field(self, error: ValidationError) -> dict[str | None, list[ValidationError]]:
        placed = super()._by_field(error)
        if not hasattr(error, "error_dict") or "parameters" not in error.error_dict:
            return placed
        own = error.error_dict["parameters"]
        placed[None] = [each for each in placed.get(None, []) if each not in own]
        kind = KINDS.get(self.cleaned_data.get("kind", ""))
        for each in own:
            placed.setdefault(_field_for(kind, " ".join(each.messages)), []).append(each)
        return {name: found for name, found in placed.items() if found}


def given_parameters(data: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of the chosen kind, as they were typed; the kind checks them."""
    kind = KINDS.get(data["kind"])
    return {each.name: data[field_name(kind.name, each.name)] for each in kind.parameters} if kind else {}


def _field_for(kind: JobKind | None, message: str) -> str | None:
    """The field that a complaint about parameters is about: it names the parameter, or there is but one."""
    if kind is None or not kind.parameters:
        return "kind" if kind else None
    for parameter in kind.parameters:
        if f"({parameter.name})" in message:
            return field_name(kind.name, parameter.name)
    by_word = [each for each in kind.parameters if each.name in message or each.type in message]
    chosen = by_word[0] if by_word else kind.parameters[0] if len(kind.parameters) == 1 else None
    return field_name(kind.name, chosen.name) if chosen else None


def preview(data: Mapping[str, Any], job: Job | None) -> dict[str, Any]:
    """What a schedule that is being typed means: its words and next starts, or what is wrong, by field."""
    now = timezone.now()
    typed = Job(name=data.get("name", ""), created_at=job.created_at if job else now)
    errors: dict[str, list[str]] = {}
    fields = JobForm.base_fields
    values: dict[str, Any] = {}
    for name in ("every", "jitter", "start_at"):
        try:
            values[name] = fields[name].clean(data.get(name, ""))
        except ValidationError as error:
            errors[name] = error.messages
    typed.recurrence = data.get("recurrence", "")
    typed.cron, typed.time_zone = data.get("cron", ""), data.get("time_zone", "")
    typed.interval_s, typed.jitter_s = values.get("every"), values.get("jitter") or 0
    schedule = schedule_of(typed, now)
    try:
        if values.get("start_at"):
            typed.run_at = in_zone(values["start_at"], schedule.zone)
            schedule = schedule_of(typed, now)
        if not errors:
            schedule.check()
    except ValidationError as error:
        found = error.message_dict if hasattr(error, "error_dict") else {"start_at": error.messages}
        errors |= {JobForm.field_of.get(name, name): messages for name, messages in found.items()}
    if errors:
        return {"words": "", "starts": [], "errors": errors}
    starts = list(islice(schedule.starts(now), STARTS))
    if typed.recurrence == Recurrence.ONCE and not starts:
        return {"words": "", "starts": [], "errors": {"start_at": ["This time is past."]}}
    return {"words": schedule.words(), "starts": [", ".join(each) for each in told(starts, schedule)], "errors": {}}


def told(starts: Iterable[datetime], schedule: Schedule) -> list[tuple[str, str]]:
    """Each start on the clock of the schedule's zone, and how far away it is."""
    return [(f"{each.astimezone(schedule.zone):%a} {clock(each, schedule.zone)}", cells.since(each)) for each in starts]
