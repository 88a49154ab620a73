"""Configuration versions, their texts and what changed between them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from devices.configs import revealing
from devices.configs.revealing import RESTORE, REVEAL
from devices.configs.store import diff_versions, version_text
from devices.models import ConfigVersion
from netraven_site.api import filters
from netraven_site.api.base import ReadViewSet, user_of
from netraven_site.api.fields import NothingSerializer, StrictSerializer
from netraven_site.api.renderers import PlainText, unified_text
from netraven_site.api.serializers.configs import DiffSerializer, VersionSerializer, VersionTextSerializer

# The texts themselves stay in the database until one of them is asked for.
VERSIONS = ConfigVersion.objects.select_related("device", "text").defer("text__packed", "text__sealed")
_WITH_TEXT = ConfigVersion.objects.select_related("device", "text").defer("text__sealed")


class _DiffParameters(StrictSerializer):
    against = serializers.IntegerField(min_value=1, max_value=2**63 - 1, required=False)
    context = serializers.IntegerField(  # type: ignore[assignment]
        min_value=0, max_value=10_000, default=3
    )


@extend_schema_view(
    text=extend_schema(
        summary="The text of a version",
        responses={(200, "text/plain"): OpenApiTypes.STR},
    ),
    diff=extend_schema(
        summary="What changed",
        description=(
            "Against the version before, unless `against` names another one, of this or of any other device. "
            "`?format=text` (or `Accept: text/plain`) gives a unified diff."
        ),
        parameters=[
            OpenApiParameter("against", OpenApiTypes.INT, description="The id of the version to compare with."),
            OpenApiParameter("context", OpenApiTypes.INT, description="Equal lines around a change. Default 3."),
            OpenApiParameter("format", OpenApiTypes.STR, enum=["json", "text"]),
        ],
        responses={(200, "application/json"): DiffSerializer, (200, "text/plain"): OpenApiTypes.STR},
    ),
    reveal=extend_schema(
        summary="The text of a version with its secrets",
        description="Needs a permission of its own and is recorded.",
        request=NothingSerializer,
        responses={(200, "text/plain"): OpenApiTypes.STR},
    ),
    restore_file=extend_schema(
        summary="The text of a version as it can be loaded into the device",
        description=(
            "With its secrets, without the lines that only describe the dump. Needs a permission of its own and is "
            "recorded."
        ),
        request=NothingSerializer,
        responses={(200, "text/plain"): OpenApiTypes.STR},
    ),
)
class VersionViewSet(ReadViewSet[ConfigVersion]):
    """Configuration versions. Secrets stand in every text as placeholders."""

    queryset = VERSIONS
    filterset_class = filters.VersionFilter
    search_fields = ("device__name", "summary")
    ordering_fields = ("id", "device__name", "number", "first_seen_at", "last_seen_at")
    ordering = ("-first_seen_at",)
    action_parameters = {"diff": frozenset({"against", "context"})}
    action_permissions = {
        "text": ("devices.view_configversion",),
        "diff": ("devices.view_configversion",),
        "reveal": ("devices.view_configversion", REVEAL),
        "restore_file": ("devices.view_configversion", RESTORE),
    }

    def get_queryset(self) -> QuerySet[ConfigVersion]:
        """With the texts only where they are read."""
        return super().get_queryset() if self.action == "list" else _WITH_TEXT.all()

    def get_serializer_class(self) -> type[serializers.BaseSerializer[Any]]:
        """The text comes with a single version."""
        return VersionSerializer if self.action == "list" else VersionTextSerializer

    @action(detail=True, methods=["get"], renderer_classes=[PlainText])
    def text(self, request: Request, pk: int) -> Response:
        """The text alone."""
        return Response(version_text(self.get_object()))

    @action(detail=True, methods=["get"], renderer_classes=[JSONRenderer, PlainText])
    def diff(self, request: Request, pk: int) -> Response:
        """The lines that changed, with some around them."""
        after = self.get_object()
        parameters = {name: text for name, text in request.query_params.items() if name != "format"}
        values = self.checked(_DiffParameters, parameters)
        before = self._before(after, values.get("against"))
        lines = diff_versions(before, after, values["context"])
        if request.accepted_renderer is not None and request.accepted_renderer.format == PlainText.format:
            return Response(unified_text(before, after, lines))
        answer = {"before": before, "after": after, "lines": [asdict(line) for line in lines]}
        return Response(DiffSerializer(answer).data)

    @action(detail=True, methods=["post"], renderer_classes=[PlainText])
    def reveal(self, request: Request, pk: int) -> Response:
        """The complete text."""
        self.checked(NothingSerializer, request.data)
        return _uncached(revealing.reveal(self.get_object(), user=user_of(request)))

    @action(detail=True, methods=["post"], renderer_classes=[PlainText], url_path="restore-file")
    def restore_file(self, request: Request, pk: int) -> Response:
        """The complete text for the device."""
        self.checked(NothingSerializer, request.data)
        return _uncached(revealing.restore_file(self.get_object(), user=user_of(request)))

    @staticmethod
    def _before(after: ConfigVersion, against: int | None) -> ConfigVersion:
        if against is not None:
            found = _WITH_TEXT.filter(pk=against).first()
            if found is None:
                raise serializers.ValidationError({"against": ["There is no version with this id."]})
            return found
        earlier = _WITH_TEXT.filter(device=after.device, kind=after.kind, number__lt=after.number)
        before = earlier.order_by("-number").first()
        if before is None:
            raise NotFound("There is no version before this one: name another with against=ID.")
        return before


def _uncached(text: str) -> Response:
    return Response(text, headers={"Cache-Control": "no-store"})
