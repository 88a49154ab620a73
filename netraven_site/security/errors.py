"""The pages of errors, each with the policy that fits a page which stands alone."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views import defaults

from netraven_site.security.headers import ERROR, HEADER


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """400."""
    return _strict(defaults.bad_request(request, exception))


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """403."""
    return _strict(defaults.permission_denied(request, exception))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """404."""
    return _strict(defaults.page_not_found(request, exception))


def server_error(request: HttpRequest) -> HttpResponseBase:
    """500."""
    return _strict(defaults.server_error(request))


def _strict(answer: Any) -> HttpResponseBase:
    answer.headers[HEADER] = ERROR
    found: HttpResponseBase = answer
    return found
