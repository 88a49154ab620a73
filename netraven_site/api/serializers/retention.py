"""Rules of how long versions are kept, and what they would delete."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from taggit.models import Tag

from devices.configs.retaining import STEPS, save_rule
from devices.models import Device
from devices.retention import RetentionRule
from netraven_site.api.fields import StrictSerializer


class RetentionSerializer(StrictSerializer, serializers.ModelSerializer[RetentionRule]):
    """How long versions are kept: of one device, of devices with a tag, or with neither of all."""

    device: Any = serializers.SlugRelatedField(
        slug_field="name",
        queryset=Device.objects.all(),
        required=False,
        allow_null=True,
        error_messages={"does_not_exist": "There is no device {value}."},
        help_text="By name.",
    )
    tag: Any = serializers.SlugRelatedField(
        slug_field="name",
        queryset=Tag.objects.all(),
        required=False,
        allow_null=True,
        error_messages={"does_not_exist": "There is no tag {value}."},
        help_text="By name.",
    )

    class Meta:
        model = RetentionRule
        fields = ("id", "device", "tag", *STEPS)
        # The service says it, in words.
        validators: list[Any] = []

    def create(self, validated_data: dict[str, Any]) -> RetentionRule:
        """A new rule; steps that are not given are those of the form."""
        fresh = RetentionRule()
        return save_rule(fresh, **{name: getattr(fresh, name) for name in STEPS} | validated_data)

    def update(self, instance: RetentionRule, validated_data: dict[str, Any]) -> RetentionRule:
        """A changed rule."""
        now = {name: getattr(instance, name) for name in ("device", "tag", *STEPS)}
        return save_rule(instance, **now | validated_data)


class GoingSerializer(serializers.Serializer[Any]):
    """What of one device and kind of text would be deleted now."""

    device = serializers.CharField()
    kind = serializers.CharField(help_text="Such as running.")
    versions = serializers.IntegerField(help_text="How many would go.")
    of = serializers.IntegerField(help_text="How many there are.")
    until = serializers.DateTimeField(help_text="When the last of those that would go was seen last.")


class PrunedSerializer(serializers.Serializer[Any]):
    """What was deleted."""

    versions = serializers.IntegerField()
    texts = serializers.IntegerField(help_text="Texts that no version has any more.")
    is_complete = serializers.BooleanField(help_text="False when the time for one call was up: call it again.")
