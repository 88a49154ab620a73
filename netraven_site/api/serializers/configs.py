"""Configuration versions and what changed between them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from devices.configs.diff import LineKind
from devices.configs.store import version_text
from devices.models import ConfigVersion


class VersionSerializer(serializers.ModelSerializer[ConfigVersion]):
    """One distinct configuration of a device."""

    device_name = serializers.CharField(source="device.name", read_only=True)
    size = serializers.IntegerField(source="text.size", read_only=True, help_text="Bytes of the complete text.")
    lines = serializers.IntegerField(source="text.lines", read_only=True)

    class Meta:
        model = ConfigVersion
        fields: tuple[str, ...] = (
            "id",
            "device",
            "device_name",
            "kind",
            "number",
            "summary",
            "changed_by",
            "changed_said",
            "size",
            "lines",
            "first_seen_at",
            "last_seen_at",
        )
        read_only_fields: tuple[str, ...] = fields


class VersionTextSerializer(VersionSerializer):
    """A version with its text."""

    text = serializers.SerializerMethodField(help_text="Secrets stand in it as placeholders.")

    class Meta(VersionSerializer.Meta):
        fields = (*VersionSerializer.Meta.fields, "text")
        read_only_fields = fields

    def get_text(self, version: ConfigVersion) -> str:
        """The text with placeholders."""
        return version_text(version)


class DiffLineSerializer(serializers.Serializer[Any]):
    """One line of a diff."""

    kind = serializers.ChoiceField(choices=[kind.value for kind in LineKind])
    text = serializers.CharField()
    before = serializers.IntegerField(allow_null=True, help_text="Its number in the text before, from 1.")
    after = serializers.IntegerField(allow_null=True, help_text="Its number in the text after, from 1.")
    marks = serializers.ListField(
        child=serializers.ListField(child=serializers.IntegerField()),
        help_text="Start and end of the words that changed within `text`.",
    )
    folded = serializers.IntegerField(help_text="How many equal lines a gap stands for.")


class DiffSerializer(serializers.Serializer[Any]):
    """What changed between two versions; no lines when nothing did."""

    before = VersionSerializer()
    after = VersionSerializer()
    lines = DiffLineSerializer(many=True)
