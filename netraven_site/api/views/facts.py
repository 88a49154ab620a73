"""What devices said about themselves, now and before."""

from __future__ import annotations

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view

from devices.facts import DeviceFacts
from netraven_site.api import filters
from netraven_site.api.base import ListViewSet, ReadViewSet
from netraven_site.api.serializers.facts import FactsSerializer
from netraven_site.api.views.devices import of_device

FACTS = DeviceFacts.objects.select_related("device")
_ORDERING = ("id", "device__name", "vendor", "model", "version_key", "first_seen_at", "last_seen_at")
_SEE = ("devices.view_device",)


@extend_schema_view(
    list=extend_schema(
        summary="What devices say about themselves",
        description=(
            "The facts of now, one row a device, unless `history=true`. Versions compare as they are numbered: "
            "`?platform=cisco_nxos&version__lt=9.3` finds 9.2(4) and 7.0(3)I7(8), and neither 9.3(5) nor 10.1(1)."
        ),
    )
)
class FactsViewSet(ReadViewSet[DeviceFacts]):
    """Vendor, model, serial number, version and hostname."""

    queryset = FACTS
    serializer_class = FactsSerializer
    filterset_class = filters.FactsFilter
    search_fields = ("device__name", "serial", "model", "hostname")
    ordering_fields = _ORDERING
    ordering = ("device__name", "-id")
    action_permissions = {"list": _SEE, "retrieve": _SEE}


@extend_schema_view(list=extend_schema(summary="What one device said about itself, the newest first"))
class DeviceFactsHistory(ListViewSet[DeviceFacts]):
    """One row for each time that something was new."""

    queryset = FACTS
    serializer_class = FactsSerializer
    ordering_fields = _ORDERING
    ordering = ("-id",)
    action_permissions = {"list": _SEE}

    def get_queryset(self) -> QuerySet[DeviceFacts]:
        """Those of the device in the address."""
        return of_device(self, super().get_queryset())
