"""App configuration."""

from django.apps import AppConfig


class NetRavenSiteConfig(AppConfig):
    """The composition root."""

    name = "netraven_site"
    verbose_name = "NetRaven"

    def ready(self) -> None:
        """Register the system checks."""
        from netraven_site import checks  # noqa: F401
