"""Platforms: how each kind of device is read and judged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from devices.connector import platforms
from devices.platforms_described import STATES, Line, described, overview
from devices.platforms_overrides import PlatformOverride
from devices.platforms_services import VIEW, devices_of
from netraven_site.api.base import PlainListViewSet
from netraven_site.api.fields import StrictSerializer
from netraven_site.api.serializers.platforms import PlatformDetailSerializer, PlatformSerializer


class _Choice(StrictSerializer):
    search = serializers.CharField(required=False, max_length=100)
    state = serializers.ChoiceField(choices=list(STATES), required=False)
    used = serializers.BooleanField(required=False)


@extend_schema_view(
    list=extend_schema(
        summary="Platforms",
        description="All that devices can have, by name.",
        parameters=[
            OpenApiParameter("search", OpenApiTypes.STR, description="In name, label, vendor and texts."),
            OpenApiParameter("state", OpenApiTypes.STR, enum=list(STATES)),
            OpenApiParameter("used", OpenApiTypes.BOOL, description="Only those that devices have."),
        ],
    ),
    retrieve=extend_schema(
        summary="A platform with all that counts for it",
        parameters=[OpenApiParameter("name", OpenApiTypes.STR, OpenApiParameter.PATH)],
        responses=PlatformDetailSerializer,
    ),
)
class PlatformViewSet(PlainListViewSet[PlatformOverride]):
    """Platforms, with the rules of files and of the portal laid over the shipped ones."""

    queryset = PlatformOverride.objects.none()
    serializer_class = PlatformSerializer
    lookup_field = "name"
    lookup_value_converter = "str"
    action_permissions = {"list": (VIEW,), "retrieve": (VIEW,)}
    action_parameters = {"list": frozenset({"search", "state", "used"})}

    def get_items(self) -> Sequence[Line]:
        """Those that the parameters leave."""
        names = ("search", "state", "used")
        given = {name: value for name, value in self.request.query_params.items() if name in names}
        asked = self.checked(_Choice, given)
        words = asked.get("search", "").lower().split()
        return [
            each
            for each in overview(platforms.table(), devices_of())
            if each.matches(words)
            and asked.get("state", each.state) == each.state
            and (each.devices or not asked.get("used"))
        ]

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One, by its name."""
        name, table = self.kwargs["name"], platforms.table()
        if name not in table.platforms:
            raise NotFound(f"There is no platform {name[:63]}.")
        found = described(table, name, devices_of([name]).get(name, 0))
        return Response(PlatformDetailSerializer(found).data)
