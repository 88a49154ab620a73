"""Rules of how long versions of configurations are kept."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from devices.configs.pruning import preview, prune_configs
from devices.retention import RetentionRule
from netraven_site.api.base import EditViewSet, PlainListViewSet, user_of
from netraven_site.api.fields import NothingSerializer
from netraven_site.api.serializers.retention import GoingSerializer, PrunedSerializer, RetentionSerializer

_ONE_CALL_S: Final = 10.0


@extend_schema_view(
    prune=extend_schema(
        summary="Delete the versions that no rule wants",
        description="The latest version of a device never goes. Each deletion is recorded.",
        request=NothingSerializer,
        responses=PrunedSerializer,
    )
)
class RetentionViewSet(EditViewSet[RetentionRule]):
    """A device's own rule goes before those of its tags, these go before the one for all."""

    queryset = RetentionRule.objects.select_related("device", "tag")
    serializer_class = RetentionSerializer
    search_fields = ("device__name", "tag__name")
    ordering_fields = ("id", "device__name", "tag__name")
    ordering = ("id",)
    action_permissions = {"prune": ("devices.view_retentionrule", "devices.delete_configversion")}

    @action(detail=False, methods=["post"])
    def prune(self, request: Request) -> Response:
        """As a job of the kind Pruning does, configurations alone."""
        self.checked(NothingSerializer, request.data)
        until = time.monotonic() + _ONE_CALL_S
        stopped = False

        def checkpoint(_: Any) -> bool:
            nonlocal stopped
            stopped = time.monotonic() > until
            return stopped

        deleted = prune_configs(timezone.now(), checkpoint, actor=user_of(request).get_username())
        return Response(PrunedSerializer({**deleted, "is_complete": not stopped}).data)


@extend_schema_view(list=extend_schema(summary="What the rules would delete now; nothing is deleted"))
class RetentionPreview(PlainListViewSet[RetentionRule]):
    """By device and kind of text."""

    queryset = RetentionRule.objects.all()
    serializer_class = GoingSerializer
    action_permissions = {"list": ("devices.view_retentionrule",)}

    def get_items(self) -> Sequence[Any]:
        """In the order of the devices' names."""
        return preview(timezone.now())
