"""What happens with every request."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import Error as DatabaseFailure
from django.http import HttpRequest, HttpResponse

from devices import platforms_table

logger = logging.getLogger(__name__)


class PlatformsMiddleware:
    """Takes over platforms that were changed in another process; looks every two seconds at most."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Before the page: a database that is away is the page's own trouble."""
        try:
            platforms_table.refresh()
        except DatabaseFailure as error:
            logger.warning("The platforms could not be looked at: %s", error)
        return self._get_response(request)
