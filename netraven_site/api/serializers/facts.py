"""What devices said about themselves."""

from __future__ import annotations

from rest_framework import serializers

from devices.facts import DeviceFacts

_FACTS = ("vendor", "model", "serial", "version", "hostname", "hostname_differs", "uptime_s")
_TIMES = ("first_seen_at", "last_seen_at")


class CurrentFactsSerializer(serializers.ModelSerializer[DeviceFacts]):
    """What a device says about itself now."""

    hostname_differs = serializers.BooleanField(
        read_only=True,
        help_text="Whether the device calls itself otherwise than the inventory does; case and domain do not count.",
    )

    class Meta:
        model = DeviceFacts
        fields: tuple[str, ...] = (*_FACTS, *_TIMES)
        read_only_fields: tuple[str, ...] = fields


class FactsSerializer(CurrentFactsSerializer):
    """What a device said about itself, from when until when."""

    device_name = serializers.CharField(source="device.name", read_only=True)
    platform = serializers.CharField(source="device.platform", read_only=True)

    class Meta(CurrentFactsSerializer.Meta):
        fields = ("id", "device", "device_name", "platform", *_FACTS, "is_current", *_TIMES)
        read_only_fields = fields
