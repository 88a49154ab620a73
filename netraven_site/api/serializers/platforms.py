"""Platforms, and where their rules come from."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from devices.platforms_described import STATES


class PlatformSerializer(serializers.Serializer[Any]):
    """A kind of device."""

    name = serializers.CharField(help_text="What a device's `platform` names.")
    label = serializers.CharField()  # type: ignore[assignment]
    vendor = serializers.CharField()
    texts = serializers.ListField(child=serializers.CharField(), help_text="The kinds of texts that it has.")
    devices = serializers.IntegerField(help_text="How many devices have it.")
    state = serializers.ChoiceField(choices=list(STATES), help_text="`own` was added here, `changed` was changed here.")


class SettingSerializer(serializers.Serializer[Any]):
    """One thing that is said of a platform."""

    key = serializers.CharField()
    value = serializers.CharField()
    origin = serializers.CharField(help_text="`shipped`, the name of a file, or `portal`; and whose rule it is.")


class TextSerializer(serializers.Serializer[Any]):
    """One text that is collected."""

    kind = serializers.CharField()
    command = serializers.CharField()
    default = serializers.BooleanField(help_text="Whether a backup that names no texts collects it.")
    origin = serializers.CharField()
    fallback = serializers.ListField(child=serializers.CharField())
    end_marker = serializers.CharField()
    structure = serializers.CharField()
    requires = serializers.ListField(child=serializers.CharField())
    min_bytes = serializers.IntegerField()
    read_timeout_s = serializers.FloatField()


class PlatformDetailSerializer(PlatformSerializer):
    """A platform with all that counts for it."""

    telnet = serializers.BooleanField()
    settings = SettingSerializer(many=True)
    collects = TextSerializer(many=True)
    rules = serializers.DictField(child=SettingSerializer(many=True), help_text="By kind of rule, in their order.")
