"""The REST API: a thin face over the services; docs/api.md describes it."""

from netraven_site.api.errors import exception_handler

__all__ = ["exception_handler"]
