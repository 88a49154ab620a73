"""App configuration."""

from django.apps import AppConfig


class NetRavenSiteConfig(AppConfig):
    """The composition root."""

    name = "netraven_site"
    verbose_name = "NetRaven"

    def ready(self) -> None:
        """Register the system checks, what follows a sign-in, and what the audit trail is told by signals."""
        from netraven_site import auditing, checks  # noqa: F401
        from netraven_site.security import sign_ins  # noqa: F401

        auditing.connect()
