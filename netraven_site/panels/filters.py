"""The filters that stand in one line above a list."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from taggit.models import Tag

from credentials.models import Credential
from devices.choices import HostKeyState
from devices.connector.outcomes import INFO, Tone
from devices.connector.platforms import RUNNING
from devices.models import ConfigVersion, Device
from jobs.choices import OUTCOME_CHOICES, Recurrence, RunStatus, Trigger
from jobs.kinds import kind_choices
from netraven_site.panels.cells import TONE_LABELS, outcomes_of

_MOST_OPTIONS = 500
_TONE = "tone:"


class BarFilter(admin.SimpleListFilter):
    """A filter of the bar: `select` with options, or `text` for a name."""

    kind = "select"
    is_more = False
    """Folded away under "More filters"."""

    def has_output(self) -> bool:
        """Shown even where there is nothing to choose, so that the bar does not jump."""
        return True

    def options(self) -> list[tuple[str, str]]:
        """Value and label of each choice."""
        return []

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """What Django asks for the options by; a value that came by a link is among them."""
        found = self.options()
        value = self.value()
        if value and self.kind == "select" and value not in {each for each, _ in found}:
            found.append((value, value))
        return found


class YesNo(BarFilter):
    """A boolean field of the same name as the parameter."""

    def options(self) -> list[tuple[str, str]]:
        """Yes and no."""
        return [("yes", "yes"), ("no", "no")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Rows with that value."""
        if self.value() in {"yes", "no"}:
            return queryset.filter(**{str(self.parameter_name): self.value() == "yes"})
        return queryset


class Enabled(YesNo):
    """Enabled or not."""

    title = "enabled"
    parameter_name = "enabled"


class _Exact(BarFilter):
    """The field of the same name as the parameter, exactly."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Rows with that value."""
        return queryset.filter(**{str(self.parameter_name): self.value()}) if self.value() else queryset


class Scheduled(_Exact):
    """What makes a job start."""

    title = "schedule"
    parameter_name = "recurrence"

    def options(self) -> list[tuple[str, str]]:
        """Every way."""
        return [(value, str(label)) for value, label in Recurrence.choices]


class Platform(_Exact):
    """The platforms that devices have."""

    title = "platform"
    parameter_name = "platform"

    def options(self) -> list[tuple[str, str]]:
        """Each platform in use."""
        return distinct(Device.objects.all(), "platform")


class Site(_Exact):
    """The sites that devices have."""

    title = "site"
    parameter_name = "site"

    def options(self) -> list[tuple[str, str]]:
        """Each site in use."""
        return distinct(Device.objects.exclude(site=""), "site")


class DevicesTag(BarFilter):
    """Devices with a tag."""

    title = "tag"
    parameter_name = "tag"

    def options(self) -> list[tuple[str, str]]:
        """Each tag that a device has."""
        return distinct(Tag.objects.filter(device_tags__isnull=False), "name")

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """A tag is on a device at most once, so nothing doubles."""
        return queryset.filter(tag_links__tag__name=self.value()) if self.value() else queryset


class CredentialsTag(DevicesTag):
    """Credentials with a tag."""

    def options(self) -> list[tuple[str, str]]:
        """Each tag that a credential has."""
        return distinct(Tag.objects.filter(credential_tags__isnull=False), "name")


class LastOutcome(BarFilter):
    """The last outcome of a device: a tone or a class."""

    title = "outcome"
    parameter_name = "outcome"

    def options(self) -> list[tuple[str, str]]:
        """The tones first, then every class."""
        tones = [(f"{_TONE}{tone.value}", TONE_LABELS[tone]) for tone in Tone]
        return tones + [(value.value, f"· {known.label}") for value, known in INFO.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Devices that ended so last time."""
        value = self.value()
        if not value:
            return queryset
        if value.startswith(_TONE):
            return queryset.filter(last_outcome__in=outcomes_of(value.removeprefix(_TONE)))
        return queryset.filter(last_outcome=value)


class HasBackup(BarFilter):
    """Devices with or without a version of their running configuration."""

    title = "backup"
    parameter_name = "backup"

    def options(self) -> list[tuple[str, str]]:
        """Some or never."""
        return [("some", "has one"), ("never", "never")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Devices that have, or lack, a version."""
        if self.value() not in {"some", "never"}:
            return queryset
        # An inventory alone is no backup.
        has = Exists(ConfigVersion.objects.filter(device=OuterRef("pk"), kind=RUNNING))
        return queryset.filter(has if self.value() == "some" else ~has)


class OutcomeClass(_Exact):
    """An outcome class of an attempt."""

    title = "outcome"
    parameter_name = "outcome"

    def options(self) -> list[tuple[str, str]]:
        """Every class."""
        return list(OUTCOME_CHOICES)


class Status(_Exact):
    """How far a run is."""

    title = "status"
    parameter_name = "status"

    def options(self) -> list[tuple[str, str]]:
        """Every status."""
        return [(value, str(label)) for value, label in RunStatus.choices]


class TriggeredBy(_Exact):
    """What started a run."""

    title = "started by"
    parameter_name = "trigger"

    def options(self) -> list[tuple[str, str]]:
        """Every trigger."""
        return [(value, str(label)) for value, label in Trigger.choices]


class Kind(_Exact):
    """The kind of a job."""

    title = "kind"
    parameter_name = "kind"

    def options(self) -> list[tuple[str, str]]:
        """Every kind."""
        return kind_choices()


class KeyState(_Exact):
    """The state of a host key."""

    title = "state"
    parameter_name = "state"

    def options(self) -> list[tuple[str, str]]:
        """Every state."""
        return [(value, str(label)) for value, label in HostKeyState.choices]


class IsTest(YesNo):
    """Attempts of a credential test."""

    title = "test"
    parameter_name = "is_test"


class DeviceNamed(BarFilter):
    """Rows of one device, by its name; also of one that is gone, where its name was kept."""

    kind = "text"
    title = "device"
    parameter_name = "device"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The index on the device is used where the device exists."""
        return _of_name(queryset, Device, "device", self.value())


class TextKind(_Exact):
    """Versions of one kind of text, such as running."""

    title = "text"
    parameter_name = "kind"

    def options(self) -> list[tuple[str, str]]:
        """The kinds that are kept."""
        return distinct(ConfigVersion.objects.all(), "kind")


class CredentialNamed(BarFilter):
    """Rows of one credential, by its name."""

    kind = "text"
    title = "credential"
    parameter_name = "credential"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The index on the credential is used where the credential exists."""
        return _of_name(queryset, Credential, "credential", self.value())


def _of_name(queryset: QuerySet[Any], model: Any, field: str, name: str | None) -> QuerySet[Any]:
    if not name:
        return queryset
    found = model.objects.filter(name__iexact=name.strip()).values_list("pk", flat=True).first()
    if found is not None:
        return queryset.filter(**{field: found})
    kept = f"{field}_name"
    if kept in {each.name for each in queryset.model._meta.get_fields()}:
        return queryset.filter(**{f"{kept}__iexact": name.strip()})
    return queryset.none()


def distinct(rows: QuerySet[Any], field: str) -> list[tuple[str, str]]:
    """The values of a field as options, in order; the first few hundred."""
    values = rows.order_by(field).values_list(field, flat=True).distinct()[:_MOST_OPTIONS]
    return [(value, value) for value in values]
