"""The access log of the web server, one line a request."""

from __future__ import annotations

from typing import Any

from gunicorn.glogging import Logger

from netraven_site.security.logs import one_line


class AccessLog(Logger):  # type: ignore[misc]
    """Gunicorn's, which writes paths as they come."""

    def atoms(self, resp: Any, req: Any, environ: Any, request_time: Any) -> dict[str, Any]:
        """What a line is made of, without line ends and control characters."""
        found = super().atoms(resp, req, environ, request_time)
        return {name: one_line(value) if isinstance(value, str) else value for name, value in found.items()}
