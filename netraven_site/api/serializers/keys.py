"""Encryption keys; never a key itself."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class KeySerializer(serializers.Serializer[Any]):
    """One encryption key, by its id."""

    id = serializers.CharField()
    active = serializers.BooleanField(help_text="Whether it seals what is written.")
    rows = serializers.IntegerField(help_text="Values that are sealed with it.")
    created = serializers.CharField(help_text="ISO 8601; empty where the keyring does not hold the key.")
    held = serializers.BooleanField(help_text="Whether the keyring holds it: without it its rows cannot be opened.")
    read_by = serializers.ListField(child=serializers.CharField(), help_text="Live hosts that read it.")
    not_read_by = serializers.ListField(child=serializers.CharField(), help_text="Live hosts that do not.")
