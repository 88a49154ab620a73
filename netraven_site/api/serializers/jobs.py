"""Jobs, runs, results and attempts."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from devices.connector.outcomes import info
from jobs.kinds import KINDS
from jobs.models import Attempt, Job, Result, Run
from jobs.services import save_job
from netraven_site.api.fields import DeviceRefs, KnownTags, StrictSerializer


class JobSerializer(StrictSerializer, serializers.ModelSerializer[Job]):
    """What to do, on which devices, with which parameters."""

    kind = serializers.CharField(max_length=40, help_text=f"One of: {', '.join(sorted(KINDS))}.")
    parameters = serializers.DictField(required=False, help_text="What the kind of job takes.")
    tags = KnownTags(required=False, help_text="Devices with any of these tags. The whole set.")
    devices = DeviceRefs(required=False, help_text="And these devices, by name or id. The whole set.")

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
            "created_at",
            "updated_at",
        )
        read_only_fields = ("created_at", "updated_at")

    def create(self, validated_data: dict[str, Any]) -> Job:
        """A new job."""
        return save_job(Job(), **validated_data)

    def update(self, instance: Job, validated_data: dict[str, Any]) -> Job:
        """A changed job."""
        return save_job(instance, **validated_data)


class RunSerializer(serializers.ModelSerializer[Run]):
    """One execution of a job."""

    status_label = serializers.CharField(source="get_status_display", read_only=True)

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
            "device_count",
            "created_at",
            "started_at",
            "finished_at",
        )
        read_only_fields = fields


class StartSerializer(StrictSerializer):
    """A run without a stored job."""

    kind = serializers.CharField(max_length=40, help_text=f"One of: {', '.join(sorted(KINDS))}.")
    tags = KnownTags(required=False, help_text="Devices with any of these tags.")
    devices = DeviceRefs(required=False, help_text="And these devices, by name or id.")
    all_devices = serializers.BooleanField(default=False, help_text="Every enabled device.")
    parameters = serializers.DictField(required=False, help_text="What the kind of job takes.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Lists that are given and empty are no wish for every device."""
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
    by_outcome = serializers.DictField(child=serializers.IntegerField(), help_text="Devices by outcome class.")
    elapsed_s = serializers.FloatField()
    rate = serializers.FloatField(help_text="Devices a second.")
    eta_s = serializers.FloatField(allow_null=True, help_text="Seconds left, as far as can be told.")
    message = serializers.CharField(help_text="Why there is nothing to show, if so.")


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
