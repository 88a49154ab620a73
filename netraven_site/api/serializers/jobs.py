"""Jobs, runs, results and attempts."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from devices.connector.outcomes import info
from jobs.kinds import Parameter, missing_permission
from jobs.models import Attempt, Job, Result, Run
from jobs.schedules import words_of
from jobs.services import save_job
from jobs.testing import Tested
from netraven_site.api.fields import DeviceRefs, KnownTags, StrictSerializer


def refuse_kind(kind: str, request: Request) -> None:
    """Raise PermissionDenied for a kind of job that whoever asks may not set up."""
    if refusal := missing_permission(kind, request.user.has_perm):
        raise PermissionDenied(refusal)


class JobSerializer(StrictSerializer, serializers.ModelSerializer[Job]):
    """What to do, on which devices, with which parameters."""

    kind = serializers.CharField(max_length=40, help_text="The name of a kind of job; see `kinds/`.")
    parameters = serializers.DictField(required=False, help_text="What the kind of job takes.")
    tags = KnownTags(required=False, help_text="Devices with any of these tags. The whole set.")
    devices = DeviceRefs(required=False, help_text="And these devices, by name or id. The whole set.")
    schedule_text = serializers.SerializerMethodField(help_text="When it starts, in words.")

    class Meta:
        model = Job
        fields = (
            "id",
            "name",
            "kind",
            "parameters",
            "tags",
            "devices",
            "all_devices",
            "enabled",
            "description",
            "max_parallel",
            "recurrence",
            "cron",
            "time_zone",
            "interval_s",
            "jitter_s",
            "run_at",
            "overlap",
            "next_run_at",
            "schedule_text",
            "created_at",
            "updated_at",
        )
        read_only_fields = ("next_run_at", "created_at", "updated_at")
        extra_kwargs = {
            "recurrence": {"help_text": "What makes it start: `none`, `cron`, `interval` or `once`."},
            "cron": {"help_text": "Minute, hour, day, month, weekday, for recurrence `cron`: 15 2 * * 1-5"},
            "time_zone": {"help_text": "Of the cron line, such as Europe/Berlin. Empty: that of the server."},
            "interval_s": {"help_text": "Seconds, 60 at least, counted from when the job was made."},
            "jitter_s": {"help_text": "Each start is put off by a random time of at most so many seconds."},
            "run_at": {"help_text": "For recurrence `once`: ISO 8601, with an offset or in the zone of the server."},
            "overlap": {"help_text": "While an earlier run goes on: `skip` the start, or `queue` one."},
            "next_run_at": {"help_text": "The next start; null when it has none or is disabled."},
        }

    def get_schedule_text(self, job: Job) -> str:
        """In words, with the zone."""
        return words_of(job)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """A kind that this person may set up."""
        refuse_kind(attrs.get("kind") or self.instance.kind, self.context["request"])  # type: ignore[union-attr]
        return attrs

    def create(self, validated_data: dict[str, Any]) -> Job:
        """A new job."""
        return save_job(Job(), user=self.context["request"].user, **validated_data)

    def update(self, instance: Job, validated_data: dict[str, Any]) -> Job:
        """A changed job."""
        return save_job(instance, user=self.context["request"].user, **validated_data)


class RunSerializer(serializers.ModelSerializer[Run]):
    """One execution of a job."""

    status_label = serializers.CharField(source="get_status_display", read_only=True)

    summary = serializers.DictField(read_only=True, help_text="What a kind that works on no device has done.")

    class Meta:
        model = Run
        fields = (
            "id",
            "uuid",
            "job",
            "job_name",
            "kind",
            "parameters",
            "status",
            "status_label",
            "message",
            "trigger",
            "requested_by_name",
            "cancel_requested",
            "retry_of",
            "scheduled_for",
            "ignores_windows",
            "max_parallel",
            "summary",
            "device_count",
            "created_at",
            "started_at",
            "finished_at",
        )
        read_only_fields = fields


class RunNowSerializer(StrictSerializer):
    """How a job is started now."""

    ignores_windows = serializers.BooleanField(
        default=False, help_text="Work on devices in a maintenance window too, instead of leaving them alone."
    )


class StartSerializer(RunNowSerializer):
    """A run without a stored job."""

    kind = serializers.CharField(max_length=40, help_text="The name of a kind of job; see `kinds/`.")
    tags = KnownTags(required=False, help_text="Devices with any of these tags.")
    devices = DeviceRefs(required=False, help_text="And these devices, by name or id.")
    all_devices = serializers.BooleanField(default=False, help_text="Every enabled device.")
    parameters = serializers.DictField(required=False, help_text="What the kind of job takes; see `kinds/`.")
    max_parallel = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, help_text="Most devices at once, over all workers."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Lists that are given and empty are no wish for every device."""
        refuse_kind(attrs["kind"], self.context["request"])
        given = {"tags", "devices"} & attrs.keys()
        if given and not attrs["all_devices"] and not any(attrs[name] for name in given):
            raise serializers.ValidationError(
                {name: ["Empty: name something, or say all_devices."] for name in sorted(given)}
            )
        return attrs


class ProgressSerializer(serializers.Serializer[Any]):
    """How far a run is."""

    status = serializers.CharField()
    is_finished = serializers.BooleanField()
    total = serializers.IntegerField(help_text="Devices.")
    done = serializers.IntegerField(help_text="Devices with a result.")
    succeeded = serializers.IntegerField(help_text="Of these, devices on which everything was done.")
    failed = serializers.IntegerField(help_text="Of these, devices on which it was not.")
    left_alone = serializers.IntegerField(help_text="Of these, devices in a maintenance window.")
    by_outcome = serializers.DictField(child=serializers.IntegerField(), help_text="Devices by outcome class.")
    elapsed_s = serializers.FloatField()
    rate = serializers.FloatField(help_text="Devices a second.")
    eta_s = serializers.FloatField(allow_null=True, help_text="Seconds left, as far as can be told.")
    message = serializers.CharField(help_text="What is to be said of the run as a whole, if anything.")
    summary = serializers.DictField(help_text="What a kind that works on no device has done so far.")


class OutcomeFields(serializers.Serializer[Any]):
    """An outcome class in words, beside the class itself."""

    outcome_label = serializers.SerializerMethodField()
    tone = serializers.SerializerMethodField(help_text="good, passing, failed, held or unknown.")

    def get_outcome_label(self, row: Result | Attempt) -> str:
        """The class in words."""
        return info(row.outcome).label

    def get_tone(self, row: Result | Attempt) -> str:
        """One of five."""
        return info(row.outcome).tone.value


class ResultSerializer(OutcomeFields, serializers.ModelSerializer[Result]):
    """What happened on one device in a run."""

    advice = serializers.SerializerMethodField(help_text="What the operator can do.")
    login = serializers.SerializerMethodField(help_text="Of a credential test: whether the login worked, if known.")
    enable = serializers.SerializerMethodField(help_text="Of a credential test: whether the session had all rights.")
    config_version_number = serializers.IntegerField(source="config_version.number", default=None, read_only=True)

    class Meta:
        model = Result
        fields = (
            "id",
            "run",
            "device",
            "device_name",
            "status",
            "outcome",
            "outcome_label",
            "tone",
            "detail",
            "advice",
            "login",
            "enable",
            "credential",
            "credential_name",
            "login_count",
            "tries",
            "config_version",
            "config_version_number",
            "config_changed",
            "data",
            "started_at",
            "finished_at",
            "duration_s",
        )
        read_only_fields = fields

    def get_advice(self, result: Result) -> str:
        """The advice for this very case, or that of the outcome class."""
        return result.advice or info(result.outcome).advice

    def get_login(self, result: Result) -> bool | None:
        """Null for other kinds, and where it was not found out."""
        return self._tested(result).login

    def get_enable(self, result: Result) -> bool | None:
        """Null for other kinds, and where it was not found out."""
        return self._tested(result).enable

    def _tested(self, result: Result) -> Tested:
        found: dict[int, Tested] = getattr(self.context.get("view"), "tested", {})
        return found.get(result.pk, Tested())


class AttemptSerializer(OutcomeFields, serializers.ModelSerializer[Attempt]):
    """One login with one credential on one device."""

    advice = serializers.SerializerMethodField(help_text="What the operator can do.")

    class Meta:
        model = Attempt
        fields = (
            "id",
            "run",
            "device",
            "device_name",
            "credential",
            "credential_name",
            "credential_version",
            "username",
            "order",
            "reason",
            "outcome",
            "outcome_label",
            "tone",
            "advice",
            "fate",
            "detail",
            "address",
            "host_key",
            "is_test",
            "requested_by_name",
            "started_at",
            "duration_s",
        )
        read_only_fields = fields

    def get_advice(self, attempt: Attempt) -> str:
        """The advice of the outcome class."""
        return info(attempt.outcome).advice


class ParameterSerializer(serializers.Serializer[Any]):
    """One parameter of a kind of job."""

    name = serializers.CharField()
    label: Any = serializers.CharField()
    help_text: Any = serializers.CharField()
    type = serializers.ChoiceField(
        choices=["text", "lines", "number", "flag", "choice", "credential"],
        help_text="`lines` is a list of texts, `credential` the name of one.",
    )
    required: Any = serializers.BooleanField()
    default: Any = serializers.JSONField(allow_null=True)
    choices = serializers.SerializerMethodField(help_text="The possible values, for type `choice`.")
    minimum = serializers.FloatField(allow_null=True)
    maximum = serializers.FloatField(allow_null=True)

    def get_choices(self, parameter: Parameter) -> list[str]:
        """The values alone."""
        return [value for value, _ in parameter.choices]


class KindSerializer(serializers.Serializer[Any]):
    """A kind of job and what it takes."""

    name = serializers.CharField(help_text="What `kind` of a job or run is.")
    label: Any = serializers.CharField()
    description = serializers.CharField()
    on_devices = serializers.BooleanField(help_text="Without devices it takes neither `tags` nor `devices`.")
    parameters = ParameterSerializer(many=True)
