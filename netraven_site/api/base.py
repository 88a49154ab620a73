"""What the view sets share: strict parameters, filters, paging."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final, TypeVar

from django.contrib.auth.models import User
from django.db.models import Model
from django_filters.rest_framework import DjangoFilterBackend  # type: ignore[import-untyped]
from rest_framework import filters, mixins, serializers, viewsets
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from netraven_site.api.filters import FilterSet, StrictOrdering
from netraven_site.api.parsers import JSONBody

_ModelT = TypeVar("_ModelT", bound=Model)

_PAGING: Final = frozenset({"page", "page_size"})
_EVERYWHERE: Final = frozenset({"format"})


class Formats(DefaultContentNegotiation):
    """Says which formats there are when another one is asked for."""

    def filter_renderers(self, renderers: Iterable[BaseRenderer], format: str) -> list[BaseRenderer]:  # noqa: A002
        """The renderers of a format; ValidationError when there is none."""
        found = [each for each in renderers if each.format == format]
        if not found:
            known = ", ".join(str(each.format) for each in renderers)
            raise serializers.ValidationError({"format": [f"There is no such format here. There is: {known}."]})
        return found


class ApiViewSet(viewsets.GenericViewSet[_ModelT]):
    """Base of all view sets: unknown query parameters are refused, bodies are JSON."""

    lookup_value_converter = "int"
    parser_classes = (JSONBody,)
    content_negotiation_class = Formats
    filter_backends: Sequence[Any] = (DjangoFilterBackend, filters.SearchFilter, StrictOrdering)
    filterset_class: type[FilterSet] | None = None
    search_fields: Sequence[str] = ()
    ordering_fields: Sequence[str] = ()
    ordering: Sequence[str] = ()
    action_permissions: ClassVar[Mapping[str, Sequence[str]]] = {}
    """Permissions of an action, where they are not those of the model for the method."""
    action_parameters: ClassVar[Mapping[str, frozenset[str]]] = {}
    """Query parameters that an action has besides the filters of the list."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """After authentication and permissions, refuse query parameters that would be ignored."""
        super().initial(request, *args, **kwargs)
        known = self.known_parameters()
        repeatable = self.filterset_class.repeatable() if self.filterset_class else set()
        errors: dict[str, list[str]] = {}
        for name, values in request.query_params.lists():
            if name not in known:
                errors[name[:60]] = [f"There is no such parameter. There are: {', '.join(sorted(known))}."]
            elif len(values) > 1 and name not in repeatable:
                errors[name] = ["This parameter can be given once."]
        if errors:
            raise serializers.ValidationError(errors)

    def known_parameters(self) -> set[str]:
        """The query parameters of the present action."""
        known = {*_EVERYWHERE, *self.action_parameters.get(self.action, ())}
        if self.action != "list":
            return known
        known |= _PAGING
        if self.filterset_class:
            known |= self.filterset_class.base_filters.keys()
        if self.search_fields:
            known.add("search")
        if self.ordering_fields:
            known.add("ordering")
        return known

    def checked(self, serializer_class: type[serializers.Serializer[Any]], data: Any) -> dict[str, Any]:
        """The validated values of a body."""
        serializer = serializer_class(data=data, context=self.get_serializer_context())
        serializer.is_valid(raise_exception=True)
        values: dict[str, Any] = serializer.validated_data
        return values


def user_of(request: Request) -> User:
    """The signed-in user; permissions have refused everybody else."""
    assert isinstance(request.user, User)
    return request.user


class ReadViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, ApiViewSet[_ModelT]):
    """List and retrieve."""


class ListViewSet(mixins.ListModelMixin, ApiViewSet[_ModelT]):
    """List alone: what belongs to another row."""


class EditViewSet(
    mixins.CreateModelMixin,
    mixins.RetrieveModelMixin,
    mixins.UpdateModelMixin,
    mixins.DestroyModelMixin,
    mixins.ListModelMixin,
    ApiViewSet[_ModelT],
):
    """Everything."""


class PlainListViewSet(ApiViewSet[_ModelT]):
    """A paged list of things that are no rows: `get_items` says which."""

    filter_backends = ()

    def get_items(self) -> Sequence[Any]:
        """What is listed."""
        raise NotImplementedError

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """A page of the items."""
        page = self.paginate_queryset(self.get_items())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)
