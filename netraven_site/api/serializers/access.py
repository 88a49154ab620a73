"""Who is asking."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class TokenInfoSerializer(serializers.Serializer[Any]):
    """The token of the request; never the token itself."""

    name = serializers.CharField()
    hint = serializers.CharField(help_text="Its first characters.")
    scope = serializers.CharField(help_text="`read`, `write` or `secrets`.")
    expires_at = serializers.DateTimeField(allow_null=True)


class MeSerializer(serializers.Serializer[Any]):
    """The user of the request."""

    id = serializers.IntegerField()
    username = serializers.CharField()
    is_superuser = serializers.BooleanField()
    groups = serializers.ListField(child=serializers.CharField())
    permissions = serializers.ListField(child=serializers.CharField(), help_text="As `app.codename`.")
    token = TokenInfoSerializer(allow_null=True, help_text="Null for a session.")
