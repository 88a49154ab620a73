"""Searching configurations, and the searches that people keep."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from devices.configs.query import BadQuery, Mode, Query
from devices.configs.saved import delete_search, save_search, searches_of
from devices.configs.search import search
from devices.models import ConfigVersion
from devices.searches import SavedSearch
from netraven_site.api import filters
from netraven_site.api.base import ApiViewSet, ReadViewSet, user_of
from netraven_site.api.serializers.searches import FoundSerializer, NewSearchSerializer, SavedSearchSerializer

_VIEW = ("devices.view_configversion",)


@extend_schema_view(
    list=extend_schema(
        summary="Search the texts of configurations",
        description=(
            "The latest version of each device unless `every_version`. Secrets are placeholders there and are never "
            "found. In the order of the devices' names; `next` leads to the following page. `is_stopped` says that "
            "the time for one page was up before it was full: then `next` goes on from there."
        ),
        responses=FoundSerializer,
    )
)
class ConfigSearch(ApiViewSet[ConfigVersion]):
    """Configurations that have, or lack, a term."""

    queryset = ConfigVersion.objects.all()
    serializer_class = FoundSerializer
    filterset_class = filters.SearchFilter
    filter_backends = (filters.Described,)
    pagination_class = None
    action_permissions = {"list": _VIEW}

    def known_parameters(self) -> set[str]:
        """Those of the search; pages are asked for with `after` and `limit`."""
        return super().known_parameters() - {"page", "page_size"}

    def list(self, request: Request) -> Response:
        """One page of what was found."""
        values = filters.checked(filters.SearchFilter, request.query_params)
        query = Query(
            term=values["term"],
            mode=Mode(values["mode"] or Mode.TEXT),
            case=bool(values["case"]),
            absent=bool(values["absent"]),
            tags=tuple(tag.name for tag in values["tag"] or ()),
            platform=values["platform"],
            site=values["site"],
            kind=values["kind"],
            every_version=bool(values["every_version"]),
        )
        options = {name: values[name] for name in ("context", "lines", "limit") if values[name] is not None}
        try:
            found = search(query, after=values["after"], **options)
        except BadQuery as error:
            raise serializers.ValidationError({"term": [str(error)]}) from error
        return Response(FoundSerializer(found, context={"request": request}).data)


@extend_schema_view(
    create=extend_schema(
        summary="Keep a search",
        description="Under a name, in place of your own search of that name.",
        request=NewSearchSerializer,
        responses={201: SavedSearchSerializer},
    ),
)
class SavedSearchViewSet(mixins.DestroyModelMixin, ReadViewSet[SavedSearch]):
    """Your own searches, and those that others share."""

    queryset = SavedSearch.objects.select_related("owner")
    serializer_class = SavedSearchSerializer
    ordering_fields = ("id", "name", "created_at")
    ordering = ("name",)
    action_permissions = {"list": _VIEW, "retrieve": _VIEW, "create": _VIEW, "destroy": _VIEW}

    def get_queryset(self) -> QuerySet[SavedSearch]:
        """What this person has."""
        if getattr(self, "swagger_fake_view", False):
            return super().get_queryset().none()
        return searches_of(user_of(self.request))

    def create(self, request: Request) -> Response:
        """Keep a search."""
        values: dict[str, Any] = self.checked(NewSearchSerializer, request.data)
        try:
            query = Query.from_dict(values["query"])
        except BadQuery as error:
            raise serializers.ValidationError({"query": [str(error)]}) from error
        row = save_search(user_of(request), values["name"], query, shared=values["is_shared"])
        return Response(SavedSearchSerializer(row).data, status=status.HTTP_201_CREATED)

    def perform_destroy(self, instance: SavedSearch) -> None:
        """One's own, or with the permission a shared one."""
        delete_search(instance, user_of(self.request))
