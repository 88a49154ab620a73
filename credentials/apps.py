"""App configuration."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class CredentialsConfig(AppConfig):
    """Who we log in as."""

    name = "credentials"
    verbose_name = "Credentials"

    def ready(self) -> None:
        """Register the system checks; the audit trail's triggers are put back after each migration."""
        from credentials import checks  # noqa: F401
        from credentials.audit import checks as audit_checks  # noqa: F401

        post_migrate.connect(_guard_trail, sender=self)


def _guard_trail(**kwargs: Any) -> None:
    from credentials.audit import triggers

    if kwargs["using"] == "default":
        triggers.restore()
