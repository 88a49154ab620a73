"""Answers that were no whole configuration."""

from __future__ import annotations

from rest_framework import serializers

from devices.asides import KeptAside
from devices.configs.asides import aside_text, can_be_accepted


class AsideSerializer(serializers.ModelSerializer[KeptAside]):
    """One answer that was kept aside."""

    device_name = serializers.CharField(source="device.name", read_only=True)
    can_be_accepted = serializers.SerializerMethodField(help_text="Whether somebody's word makes it a version.")
    decided_by = serializers.CharField(source="decided_by.username", default=None, read_only=True)

    class Meta:
        model = KeptAside
        fields: tuple[str, ...] = (
            "id",
            "device",
            "device_name",
            "kind",
            "reason_code",
            "reason",
            "evidence",
            "state",
            "can_be_accepted",
            "times",
            "first_seen_at",
            "last_seen_at",
            "decided_by",
            "decided_at",
            "version",
        )
        read_only_fields: tuple[str, ...] = fields

    def get_can_be_accepted(self, aside: KeptAside) -> bool:
        """By its reason."""
        return can_be_accepted(aside)


class AsideTextSerializer(AsideSerializer):
    """With what the device answered."""

    text = serializers.SerializerMethodField(help_text="Null when it is not kept any more.")

    class Meta(AsideSerializer.Meta):
        fields = (*AsideSerializer.Meta.fields, "text")
        read_only_fields = fields

    def get_text(self, aside: KeptAside) -> str | None:
        """Secrets as placeholders."""
        return aside_text(aside)
