"""Rows of the audit trail."""

from __future__ import annotations

from rest_framework import serializers

from credentials.audit.labels import label_of
from credentials.models import AuditEvent


class AuditSerializer(serializers.ModelSerializer[AuditEvent]):
    """One row; ids and names are those of the time."""

    event_label = serializers.SerializerMethodField(help_text="The event in words.")
    details = serializers.DictField(source="data", help_text="Everything else; which fields depends on the event.")

    class Meta:
        model = AuditEvent
        fields = (
            "id",
            "at",
            "event",
            "event_label",
            "outcome",
            "actor",
            "source",
            "subject",
            "device",
            "device_name",
            "credential",
            "credential_name",
            "run",
            "details",
            "mac",
        )
        read_only_fields = fields

    def get_event_label(self, row: AuditEvent) -> str:
        """In words."""
        return label_of(row.event)
