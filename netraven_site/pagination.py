"""Paging of the API's lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from django.core.paginator import EmptyPage
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import PageNumberPagination

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from rest_framework.request import Request
    from rest_framework.views import APIView

MOST_ROWS: Final = 500
"""Rows that a page can have."""


class PageNumbers(PageNumberPagination):
    """`?page=N&page_size=M`; a value that cannot be served is refused, not replaced."""

    page_size = 50
    page_size_query_param = "page_size"
    page_size_query_description = f"Rows a page, 1 to {MOST_ROWS}."
    max_page_size = MOST_ROWS

    def paginate_queryset(
        self, queryset: QuerySet[Any] | Sequence[Any], request: Request, view: APIView | None = None
    ) -> list[Any]:
        """The rows of the page that was asked for; NotFound beyond the last one."""
        self.request = request
        paginator = self.django_paginator_class(queryset, self.get_page_size(request))
        number = self._number(request)
        if number == "last":
            number = paginator.num_pages
        try:
            self.page = paginator.page(number)
        except EmptyPage:
            raise NotFound(f"There is no page {number}: the last one is {paginator.num_pages}.") from None
        return list(self.page)

    def get_page_size(self, request: Request) -> int:
        """Rows a page; ValidationError when the parameter is no number from 1 to 500."""
        raw = request.query_params.get("page_size")
        if raw is None:
            return self.page_size
        size = _whole(raw)
        if not 1 <= size <= MOST_ROWS:
            raise ValidationError({"page_size": [f"Write a whole number from 1 to {MOST_ROWS}."]})
        return size

    def _number(self, request: Request) -> int | str:
        raw = request.query_params.get("page", "1")
        number = _whole(raw)
        if raw != "last" and number < 1:
            raise ValidationError({"page": ["Write a whole number from 1, or last."]})
        return "last" if raw == "last" else number


def _whole(raw: str) -> int:
    """The number, or 0 for what is none or has too many digits."""
    return int(raw) if raw.isascii() and raw.isdigit() and len(raw) <= 12 else 0
