"""Maintenance windows and concurrency limits."""

from __future__ import annotations

from jobs.limits import ConcurrencyLimit
from jobs.windows import MaintenanceWindow
from netraven_site.api import filters
from netraven_site.api.base import EditViewSet
from netraven_site.api.serializers.limits import LimitSerializer, WindowSerializer


class WindowViewSet(EditViewSet[MaintenanceWindow]):
    """Times in which jobs leave devices alone."""

    queryset = MaintenanceWindow.objects.prefetch_related("tags")
    serializer_class = WindowSerializer
    filterset_class = filters.WindowFilter
    search_fields = ("name", "description")
    ordering_fields = ("id", "name", "created_at", "updated_at")
    ordering = ("name",)


class LimitViewSet(EditViewSet[ConcurrencyLimit]):
    """Most devices at once, over all runs and hosts."""

    queryset = ConcurrencyLimit.objects.select_related("tag")
    serializer_class = LimitSerializer
    filterset_class = filters.LimitFilter
    search_fields = ("site", "domain", "tag__name")
    ordering_fields = ("id", "scope", "site", "domain", "devices")
    ordering = ("scope", "site", "domain", "id")
