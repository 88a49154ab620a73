"""What browsers are told on every answer: which scripts may run, who may frame it, that nothing is kept.

Our own few lines instead of a package: there are four policies, all fixed, and Django 6 has this built in.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from typing import Final

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

HEADER: Final = "Content-Security-Policy"
_COMMON: Final = (
    "default-src 'none'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'; form-action 'self'; "
    "connect-src 'self'; font-src 'self'; manifest-src 'self'; "
)
NOTHING: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""For answers that are no pages."""
STRICT: Final = _COMMON + "img-src 'self'; script-src 'self'; style-src 'self'"
"""For pages before the sign-in."""
PORTAL: Final = _COMMON + "img-src 'self' data:; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'"
"""The theme's Alpine evaluates expressions that stand in attributes, and its markup has style attributes."""
DOCS: Final = _COMMON + "img-src 'self' data:; script-src 'self'; style-src 'self' 'unsafe-inline'"
"""The page to try the API at draws its style into the page."""
PERMISSIONS: Final = ", ".join(
    f"{feature}=()"
    for feature in (
        "accelerometer",
        "camera",
        "display-capture",
        "geolocation",
        "gyroscope",
        "magnetometer",
        "microphone",
        "midi",
        "payment",
        "usb",
        "screen-wake-lock",
        "publickey-credentials-get",
    )
)


def _error_page() -> str:
    """The policy for the pages of errors, which stand alone with one style of their own."""
    text = (settings.BASE_DIR / "templates" / "error.html").read_text(encoding="utf-8")
    found = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode() if found else ""
    return _COMMON + f"img-src 'self'; script-src 'none'; style-src 'sha256-{digest}'"


ERROR: Final = _error_page()


class HeadersMiddleware:
    """Sets them on every answer that does not have its own."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """As above."""
        answer = self.get_response(request)
        if not answer.has_header(HEADER):
            answer.headers[HEADER] = _policy(request.path, answer)
        if not answer.has_header("Permissions-Policy"):
            answer.headers["Permissions-Policy"] = PERMISSIONS
        if not answer.has_header("Cross-Origin-Resource-Policy"):
            answer.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        if not answer.has_header("Cache-Control"):
            # Nothing here is for everybody: not in a browser's cache, nor in a proxy's.
            answer.headers["Cache-Control"] = "no-store"
        return answer


def _policy(path: str, answer: HttpResponseBase) -> str:
    if settings.DEBUG and answer.status_code >= 400:
        return PORTAL.replace("script-src 'self'", "script-src 'self' 'unsafe-inline'")
    if path == "/admin/login/":
        return STRICT
    if path.startswith("/admin/"):
        return PORTAL
    if path == "/api/v1/docs/":
        return DOCS
    if path.startswith("/api/"):
        return NOTHING
    return ERROR
