"""Filters of the lists. What cannot be understood is refused with what would be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import django_filters  # type: ignore[import-untyped]
from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django_filters import rest_framework as rest_filters
from drf_spectacular.utils import extend_schema_field
from rest_framework import filters, serializers
from rest_framework.request import Request
from rest_framework.views import APIView
from taggit.models import Tag

from credentials.choices import AccountScope
from credentials.models import AuditEvent, Credential
from credentials.querysets import known_tags
from devices.asides import KeptAside
from devices.choices import AsideState, HostKeyState, Transport
from devices.configs.query import LONGEST_TERM, MOST_CONTEXT, Mode
from devices.connector.outcomes import Fate
from devices.connector.platforms import UnknownPlatformError, platform
from devices.facts import DeviceFacts, FactsQuerySet
from devices.inventory.cells import parse_switch
from devices.models import ConfigVersion, Device, HostKey
from devices.versions import version_key
from jobs.choices import OUTCOME_CHOICES, LimitScope, Recurrence, ResultStatus, RunStatus, Trigger
from jobs.kinds import kind_choices
from jobs.limits import ConcurrencyLimit
from jobs.models import Attempt, Job, Result, Run
from jobs.windows import MaintenanceWindow

NEVER_TRIED: Final = "never"


class StrictOrdering(filters.OrderingFilter):
    """`?ordering=site,-name`; unknown fields are refused, and the id settles what is equal."""

    def get_ordering(self, request: Request, queryset: Any, view: APIView) -> Sequence[str] | None:
        """The fields to order by; ValidationError names the possible ones."""
        fields: Sequence[str] = getattr(view, "ordering_fields", None) or ()
        terms = [term.strip() for term in request.query_params.get(self.ordering_param, "").split(",")]
        terms = [term for term in terms if term]
        if unknown := [term for term in terms if term.removeprefix("-") not in fields]:
            raise serializers.ValidationError(
                {"ordering": [f"Cannot order by {unknown[0][:60]}. Choose from: {', '.join(fields)}."]}
            )
        order = terms or list(self.get_default_ordering(view) or ())
        if not order:
            return None
        # Rows that are equal in these fields would otherwise wander between pages.
        return order if order[-1].removeprefix("-") == "id" else [*order, "-id" if order[0][0] == "-" else "id"]

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """The parameter with the fields that the view offers."""
        fields: Sequence[str] = getattr(view, "ordering_fields", None) or ()
        if not fields:
            return []
        text = f"Fields separated by commas, `-` before one reverses it: {', '.join(fields)}."
        return [
            {
                "name": self.ordering_param,
                "required": False,
                "in": "query",
                "description": text,
                "schema": {"type": "string"},
            }
        ]


# --- single filters ---------------------------------------------------------------------------------------


class _YesNoField(forms.Field):
    def to_python(self, value: Any) -> bool | None:
        if value in self.empty_values:
            return None
        found = parse_switch(str(value))
        if found is None:
            raise ValidationError("Write true or false.")
        return found


class YesNoFilter(django_filters.BooleanFilter):  # type: ignore[misc]
    """True or false; anything else is refused, where the library's own filter ignores it."""

    field_class = _YesNoField


class IdFilter(django_filters.NumberFilter):  # type: ignore[misc]
    """The id of a row."""

    field_class = forms.IntegerField

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"min_value": 1, "max_value": 2**63 - 1, **kwargs})


class _Whole(django_filters.NumberFilter):  # type: ignore[misc]
    field_class = forms.IntegerField


class _TagField(forms.Field):
    widget = forms.SelectMultiple

    def to_python(self, value: Any) -> list[Tag]:
        found, missing = known_tags([name for name in value or [] if name.strip()])
        if missing:
            raise ValidationError(f"There is no tag {missing[0][:100]}.")
        return found


@extend_schema_field(
    {
        "type": "array",
        "items": {"type": "string"},
        "description": "The name of a tag; given several times, rows with any of them.",
    }
)
class TagFilter(django_filters.CharFilter):  # type: ignore[misc]
    """Rows with any of the given tags."""

    field_class = _TagField
    repeatable = True

    def filter(self, qs: QuerySet[Any], value: list[Tag]) -> QuerySet[Any]:
        """The rows, each once."""
        if not value:
            return qs
        tagged = qs.model._default_manager.filter(tags__in=[tag.pk for tag in value])
        return qs.filter(pk__in=tagged.order_by().values("pk"))


def _known_platform(name: str) -> None:
    try:
        platform(name)
    except UnknownPlatformError as error:
        raise ValidationError(str(error)) from None


class PlatformFilter(django_filters.CharFilter):  # type: ignore[misc]
    """A platform of the table."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, validators=[_known_platform], **kwargs)


class OutcomeFilter(django_filters.ChoiceFilter):  # type: ignore[misc]
    """An outcome class."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"choices": OUTCOME_CHOICES, **kwargs})


class Described(rest_filters.DjangoFilterBackend):  # type: ignore[misc]
    """Describes the parameters of a view that reads them by itself."""

    def filter_queryset(self, request: Request, queryset: Any, view: APIView) -> Any:
        """As it is."""
        return queryset


def _since(field: str, words: str) -> django_filters.IsoDateTimeFilter:
    return django_filters.IsoDateTimeFilter(field, "gte", help_text=f"{words} at this time or later (ISO 8601).")


def _until(field: str, words: str) -> django_filters.IsoDateTimeFilter:
    return django_filters.IsoDateTimeFilter(field, "lt", help_text=f"{words} before this time (ISO 8601).")


def _device_name(field: str = "device_name") -> django_filters.CharFilter:
    return django_filters.CharFilter(field, help_text="The name of the device.")


class _VersionField(forms.CharField):
    def to_python(self, value: Any) -> str:
        found = super().to_python(value) or ""
        if found and not version_key(found):
            raise ValidationError("There is no number in it: write a version such as 9.3(5).")
        return found


class FactFilter(django_filters.CharFilter):  # type: ignore[misc]
    """Facts of now by what they say, or devices by their facts; see `FactsQuerySet.matching`."""

    def filter(self, qs: QuerySet[Any], value: Any) -> QuerySet[Any]:
        """The rows, each once."""
        if value in (None, ""):
            return qs
        if isinstance(qs, FactsQuerySet):
            return qs.matching(**{self.field_name: value})
        facts = DeviceFacts.objects.current().matching(**{self.field_name: value})
        return qs.filter(pk__in=facts.order_by().values("device"))


class ComparedVersion(FactFilter):
    """A version that is older or newer, as versions are numbered: 9.3 < 9.3(5) < 10.1."""

    field_class = _VersionField


class OtherHostname(FactFilter):
    """Whether a device calls itself otherwise than the inventory does."""

    field_class = _YesNoField


def _version(words: str) -> ComparedVersion:
    return ComparedVersion(help_text=f"The version is {words}, as versions are numbered.")


# --- one class for each list ------------------------------------------------------------------------------


class FilterSet(rest_filters.FilterSet):  # type: ignore[misc]
    """Base of the filters: declared ones alone."""

    @classmethod
    def repeatable(cls) -> set[str]:
        """Parameters that may be given several times."""
        return {name for name, each in cls.base_filters.items() if getattr(each, "repeatable", False)}


def checked(filterset: type[FilterSet], values: Any) -> dict[str, Any]:
    """The values of the parameters; ValidationError names the wrong ones."""
    form = filterset(values, queryset=filterset.Meta.model._default_manager.none()).form
    if not form.is_valid():
        raise serializers.ValidationError({name: list(errors) for name, errors in form.errors.items()})
    found: dict[str, Any] = form.cleaned_data
    return found


class _ByFacts(FilterSet):
    vendor = FactFilter(help_text="Such as Cisco.")
    model = FactFilter(help_text="The whole model.")
    serial = FactFilter(help_text="The whole serial number.")
    version = FactFilter(help_text="The whole version.")
    version__lt = _version("older than this one")
    version__lte = _version("this one or older")
    version__gt = _version("newer than this one")
    version__gte = _version("this one or newer")
    hostname_differs = OtherHostname(help_text="The device calls itself otherwise than the inventory does.")


class DeviceFilter(_ByFacts):
    """Filters of devices."""

    name = django_filters.CharFilter(help_text="The exact name.")
    host = django_filters.CharFilter(help_text="The exact address.")
    platform = PlatformFilter()
    site = django_filters.CharFilter(help_text="The exact site.")
    aaa_domain = django_filters.CharFilter(help_text="The exact AAA domain.")
    tag = TagFilter()
    enabled = YesNoFilter()
    legacy_ssh = YesNoFilter()
    transport = django_filters.ChoiceFilter(choices=Transport.choices)
    outcome = OutcomeFilter(
        method="by_outcome",
        choices=[*OUTCOME_CHOICES, (NEVER_TRIED, "Never tried")],
        help_text="How the last login or job ended.",
    )
    last_success_since = _since("last_success_at", "Last success")
    last_success_until = _until("last_success_at", "Last success")

    class Meta:
        model = Device
        fields: Sequence[str] = ()

    def by_outcome(self, queryset: QuerySet[Device], name: str, value: str) -> QuerySet[Device]:
        """Devices with this last outcome, or with none yet."""
        return queryset.filter(last_outcome="" if value == NEVER_TRIED else value)


class FactsFilter(_ByFacts):
    """Filters of facts."""

    device = IdFilter(help_text="The id of the device.")
    device_name = _device_name("device__name")
    platform = PlatformFilter("device__platform")
    site = django_filters.CharFilter("device__site", help_text="The exact site.")
    tag = TagFilter(method="by_tag")
    hostname = FactFilter(help_text="What the device calls itself.")
    history = YesNoFilter(method="with_history", help_text="What was said before as well. Default false.")
    last_seen_since = _since("last_seen_at", "Last seen")
    last_seen_until = _until("last_seen_at", "Last seen")

    class Meta:
        model = DeviceFacts
        fields: Sequence[str] = ()

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The facts of now, unless the history is asked for."""
        found: QuerySet[Any] = super().filter_queryset(queryset)
        return found if self.form.cleaned_data["history"] else found.filter(is_current=True)

    def with_history(self, queryset: QuerySet[Any], name: str, value: bool) -> QuerySet[Any]:
        """See `filter_queryset`."""
        return queryset

    def by_tag(self, queryset: QuerySet[Any], name: str, value: list[Tag]) -> QuerySet[Any]:
        """Of devices with any of the tags."""
        tagged = Device.objects.filter(tags__in=[tag.pk for tag in value])
        return queryset.filter(device__in=tagged.order_by().values("pk")) if value else queryset


class HostKeyFilter(FilterSet):
    """Filters of host keys."""

    state = django_filters.ChoiceFilter(choices=HostKeyState.choices)
    device = IdFilter(help_text="The id of the device.")
    device_name = _device_name("device__name")
    key_type = django_filters.CharFilter(help_text="Such as ssh-ed25519.")
    fingerprint = django_filters.CharFilter(help_text="The whole fingerprint.")

    class Meta:
        model = HostKey
        fields: Sequence[str] = ()


class VersionFilter(FilterSet):
    """Filters of configuration versions."""

    device = IdFilter(help_text="The id of the device.")
    device_name = _device_name("device__name")
    kind = django_filters.CharFilter(help_text="Such as running.")
    number = IdFilter()
    first_seen_since = _since("first_seen_at", "First seen")
    first_seen_until = _until("first_seen_at", "First seen")
    last_seen_since = _since("last_seen_at", "Last seen")
    last_seen_until = _until("last_seen_at", "Last seen")

    class Meta:
        model = ConfigVersion
        fields: Sequence[str] = ()


class AsideFilter(FilterSet):
    """Filters of incomplete outputs."""

    device = IdFilter(help_text="The id of the device.")
    device_name = _device_name("device__name")
    kind = django_filters.CharFilter(help_text="Such as running.")
    state = django_filters.ChoiceFilter(choices=AsideState.choices)

    class Meta:
        model = KeptAside
        fields: Sequence[str] = ()


class SearchFilter(FilterSet):
    """What a search of configurations is asked for; each is a parameter of the search, none a filter of rows."""

    term = django_filters.CharFilter(required=True, max_length=LONGEST_TERM, strip=False, help_text="What to look for.")
    mode = django_filters.ChoiceFilter(
        choices=[(mode.value, mode.value) for mode in Mode],
        help_text="`text`: as it stands there (default). `words`: each as a whole word. "
        "`regex`: `^` and `$` are ends of lines.",
    )
    case = YesNoFilter(help_text="Upper and lower case differ.")
    absent = YesNoFilter(help_text="Configurations that lack it.")
    tag = TagFilter()
    platform = PlatformFilter(help_text="Devices of this platform.")
    site = django_filters.CharFilter(help_text="Devices at this site.")
    kind = django_filters.CharFilter(help_text="Texts of this kind, such as running.")
    every_version = YesNoFilter(help_text="All versions, not the latest ones alone.")
    context = _Whole(min_value=0, max_value=MOST_CONTEXT, help_text="Lines around each that was found. Default 2.")
    lines = _Whole(min_value=1, max_value=200, help_text="Lines that are shown of a configuration. Default 5.")
    limit = _Whole(min_value=1, max_value=200, help_text="Configurations a page. Default 25.")
    after = IdFilter(help_text="Where the page begins, from `next`.")

    class Meta:
        model = ConfigVersion
        fields: Sequence[str] = ()


class CredentialFilter(FilterSet):
    """Filters of credentials."""

    name = django_filters.CharFilter(help_text="The exact name.")
    username = django_filters.CharFilter(help_text="The exact user name.")
    tag = TagFilter()
    scope = django_filters.ChoiceFilter(choices=AccountScope.choices)
    enabled = YesNoFilter()
    is_fallback = YesNoFilter()
    allow_telnet = YesNoFilter()

    class Meta:
        model = Credential
        fields: Sequence[str] = ()


class JobFilter(FilterSet):
    """Filters of jobs."""

    name = django_filters.CharFilter(help_text="The exact name.")
    kind = django_filters.ChoiceFilter(choices=kind_choices, help_text="The name of a kind; see `kinds/`.")
    tag = TagFilter()
    enabled = YesNoFilter()
    recurrence = django_filters.ChoiceFilter(choices=Recurrence.choices, help_text="What makes it start.")
    next_run_since = _since("next_run_at", "Next start")
    next_run_until = _until("next_run_at", "Next start")

    class Meta:
        model = Job
        fields: Sequence[str] = ()


class WindowFilter(FilterSet):
    """Filters of maintenance windows."""

    name = django_filters.CharFilter(help_text="The exact name.")
    tag = TagFilter()
    enabled = YesNoFilter()

    class Meta:
        model = MaintenanceWindow
        fields: Sequence[str] = ()


class LimitFilter(FilterSet):
    """Filters of concurrency limits."""

    scope = django_filters.ChoiceFilter(choices=LimitScope.choices)
    site = django_filters.CharFilter(help_text="The exact site.")
    domain = django_filters.CharFilter(help_text="The exact AAA domain.")

    class Meta:
        model = ConcurrencyLimit
        fields: Sequence[str] = ()


class RunFilter(FilterSet):
    """Filters of runs."""

    job = IdFilter(help_text="The id of the job.")
    kind = django_filters.CharFilter(help_text="The kind of job.")
    status = django_filters.ChoiceFilter(choices=RunStatus.choices)
    trigger = django_filters.ChoiceFilter(choices=Trigger.choices)
    requested_by = django_filters.CharFilter("requested_by_name", help_text="The user's name.")
    retry_of = IdFilter(help_text="The id of the run that it retries.")
    scheduled_since = _since("scheduled_for", "Scheduled")
    scheduled_until = _until("scheduled_for", "Scheduled")
    created_since = _since("created_at", "Created")
    created_until = _until("created_at", "Created")

    class Meta:
        model = Run
        fields: Sequence[str] = ()


class ResultFilter(FilterSet):
    """Filters of the results of a run."""

    outcome = OutcomeFilter()
    status = django_filters.ChoiceFilter(choices=ResultStatus.choices)
    device = IdFilter(help_text="The id of the device.")
    device_name = _device_name()
    config_changed = YesNoFilter()

    class Meta:
        model = Result
        fields: Sequence[str] = ()


class AttemptFilter(FilterSet):
    """Filters of attempts."""

    device = IdFilter(help_text="The id of the device.")
    device_name = _device_name()
    credential = IdFilter(help_text="The id of the credential.")
    credential_name = django_filters.CharFilter(help_text="The name of the credential.")
    run = IdFilter(help_text="The id of the run.")
    username = django_filters.CharFilter(help_text="The user name that was tried.")
    outcome = OutcomeFilter()
    fate = django_filters.ChoiceFilter(
        choices=[(fate.value, fate.value) for fate in Fate], help_text="What became of the secret on the wire."
    )
    is_test = YesNoFilter()
    started_since = _since("started_at", "Started")
    started_until = _until("started_at", "Started")

    class Meta:
        model = Attempt
        fields: Sequence[str] = ()


class AuditFilter(FilterSet):
    """Filters of the audit trail."""

    event = django_filters.CharFilter(help_text="The name of the event, such as credential.used.")
    outcome = django_filters.CharFilter(help_text="What came of it; intent for what is on record before it is done.")
    actor = django_filters.CharFilter(help_text="Who did it, or asked for it.")
    device = IdFilter(help_text="The id of the device.")
    device_name = _device_name()
    credential = IdFilter(help_text="The id of the credential.")
    credential_name = django_filters.CharFilter(help_text="The name of the credential.")
    run = IdFilter(help_text="The id of the run.")
    since = _since("at", "Recorded")
    until = _until("at", "Recorded")

    class Meta:
        model = AuditEvent
        fields: Sequence[str] = ()
