"""The audit trail, to be read."""

from __future__ import annotations

from credentials.models import AuditEvent
from netraven_site.api import filters
from netraven_site.api.base import ReadViewSet
from netraven_site.api.serializers.audit import AuditSerializer


class AuditViewSet(ReadViewSet[AuditEvent]):
    """What people, programs and rules did; newest first. Needs `credentials.view_auditevent`."""

    queryset = AuditEvent.objects.all()
    serializer_class = AuditSerializer
    filterset_class = filters.AuditFilter
    search_fields = ("subject", "device_name", "credential_name", "details")
    ordering_fields = ("id", "at")
    ordering = ("-id",)
