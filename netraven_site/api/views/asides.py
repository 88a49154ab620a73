"""Incomplete outputs, and the decisions on them."""

from __future__ import annotations

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from devices.asides import KeptAside
from devices.configs.asides import DECIDE, CannotDecide, accept, decline
from netraven_site.api import filters
from netraven_site.api.base import ReadViewSet, user_of
from netraven_site.api.errors import Conflict
from netraven_site.api.fields import NothingSerializer
from netraven_site.api.serializers.asides import AsideSerializer, AsideTextSerializer

_DECIDE = ("devices.view_keptaside", DECIDE)


@extend_schema_view(
    accept=extend_schema(
        summary="Accept an incomplete output as whole",
        description="It becomes the latest version of its device: somebody says that so much was deleted. Recorded.",
        request=NothingSerializer,
        responses=AsideTextSerializer,
    ),
    decline=extend_schema(
        summary="Throw an incomplete output away",
        description="The last good version stays the latest. Recorded.",
        request=NothingSerializer,
        responses=AsideTextSerializer,
    ),
)
class AsideViewSet(ReadViewSet[KeptAside]):
    """What devices answered instead of a whole configuration. Secrets stand in every text as placeholders."""

    queryset = KeptAside.objects.select_related("device", "text", "decided_by").defer("text__sealed")
    filterset_class = filters.AsideFilter
    search_fields = ("device__name", "reason")
    ordering_fields = ("id", "device__name", "first_seen_at", "last_seen_at")
    ordering = ("-last_seen_at",)
    action_permissions = {"accept": _DECIDE, "decline": _DECIDE}

    def get_queryset(self) -> QuerySet[KeptAside]:
        """With the texts only where they are read."""
        found = super().get_queryset()
        return found.defer("text__packed", "text__sealed") if self.action == "list" else found

    def get_serializer_class(self) -> type[AsideSerializer]:
        """The text comes with a single one."""
        return AsideSerializer if self.action == "list" else AsideTextSerializer

    @action(detail=True, methods=["post"])
    def accept(self, request: Request, pk: int) -> Response:
        """Somebody's word makes it a version."""
        self.checked(NothingSerializer, request.data)
        try:
            accept(self.get_object(), user_of(request))
        except CannotDecide as error:
            raise Conflict(str(error)) from error
        return Response(AsideTextSerializer(self.get_object()).data)

    @action(detail=True, methods=["post"])
    def decline(self, request: Request, pk: int) -> Response:
        """It is thrown away."""
        self.checked(NothingSerializer, request.data)
        try:
            decline(self.get_object(), user_of(request))
        except CannotDecide as error:
            raise Conflict(str(error)) from error
        return Response(AsideTextSerializer(self.get_object()).data)
