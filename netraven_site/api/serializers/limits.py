"""Maintenance windows and concurrency limits."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone
from rest_framework import serializers
from taggit.models import Tag

from jobs.engine.slots import key_of
from jobs.limiting import save_limit, used_now
from jobs.limits import ConcurrencyLimit
from jobs.maintenance import WindowState, save_window, state_of
from jobs.windows import MaintenanceWindow
from netraven_site.api.fields import KnownTags, StrictSerializer


class WindowSerializer(StrictSerializer, serializers.ModelSerializer[MaintenanceWindow]):
    """A time in which devices with any of its tags are left alone."""

    tags = KnownTags(help_text="Devices with any of these tags. The whole set, one at least.")
    duration_min = serializers.IntegerField(
        min_value=1,
        help_text="Minutes.",
        error_messages={"min_value": "A window is a minute long at least."},
    )
    text = serializers.SerializerMethodField(help_text="When it is open, in words.")
    open_until = serializers.SerializerMethodField(help_text="When it ends, if it is open now.")
    begins_next = serializers.SerializerMethodField(help_text="When it begins next, if ever.")

    class Meta:
        model = MaintenanceWindow
        fields = (
            "id",
            "name",
            "tags",
            "enabled",
            "description",
            "cron",
            "time_zone",
            "starts_at",
            "duration_min",
            "text",
            "open_until",
            "begins_next",
            "created_at",
            "updated_at",
        )
        read_only_fields = ("created_at", "updated_at")
        extra_kwargs = {
            "cron": {"help_text": "When it begins, again and again: 0 22 * * 6. Either this or `starts_at`."},
            "time_zone": {"help_text": "Of the cron line, such as Europe/Berlin. Empty: that of the server."},
            "starts_at": {"help_text": "When it begins, once: ISO 8601, with an offset or in the server's zone."},
        }

    def get_text(self, window: MaintenanceWindow) -> str:
        """In words, with the zone."""
        return self._state(window).words

    def get_open_until(self, window: MaintenanceWindow) -> datetime | None:
        """On the clock of its zone."""
        return self._state(window).until

    def get_begins_next(self, window: MaintenanceWindow) -> datetime | None:
        """In UTC."""
        return self._state(window).next_start

    def create(self, validated_data: dict[str, Any]) -> MaintenanceWindow:
        """A new window."""
        return save_window(MaintenanceWindow(), **validated_data)

    def update(self, instance: MaintenanceWindow, validated_data: dict[str, Any]) -> MaintenanceWindow:
        """A changed window."""
        return save_window(instance, **validated_data)

    def _state(self, window: MaintenanceWindow) -> WindowState:
        return state_of(window, timezone.now())


class LimitSerializer(StrictSerializer, serializers.ModelSerializer[ConcurrencyLimit]):
    """Most devices at once: in the whole system, at a site, with a tag, behind an AAA domain."""

    tag: Any = serializers.SlugRelatedField(
        slug_field="name",
        queryset=Tag.objects.all(),
        required=False,
        allow_null=True,
        error_messages={"does_not_exist": "There is no tag {value}."},
        help_text="By name, for scope `tag`.",
    )
    devices = serializers.IntegerField(
        min_value=1,
        max_value=2_147_483_647,
        help_text="Most devices that are worked on at the same time, over all runs and hosts.",
        error_messages={"min_value": "A limit is 1 device or more."},
    )
    in_use = serializers.SerializerMethodField(help_text="Devices that are worked on now under it.")

    class Meta:
        model = ConcurrencyLimit
        fields = ("id", "scope", "site", "tag", "domain", "devices", "in_use")
        # The service says it, by field and in words.
        validators: list[Any] = []
        extra_kwargs = {
            "site": {"help_text": "For scope `site`.", "validators": []},
            "domain": {"help_text": "The AAA domain, for scope `domain`.", "validators": []},
            "scope": {"validators": []},
        }

    def get_in_use(self, limit: ConcurrencyLimit) -> int:
        """Read once for a whole list."""
        context: Any = self.context
        if "used" not in context:
            context["used"] = used_now()
        used: int = context["used"].get(key_of(limit), 0)
        return used

    def create(self, validated_data: dict[str, Any]) -> ConcurrencyLimit:
        """A new limit."""
        return save_limit(ConcurrencyLimit(), **validated_data)

    def update(self, instance: ConcurrencyLimit, validated_data: dict[str, Any]) -> ConcurrencyLimit:
        """A changed limit."""
        return save_limit(instance, **validated_data)
