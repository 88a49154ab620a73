"""App configuration."""

from django.apps import AppConfig


class CredentialsConfig(AppConfig):
    """Who we log in as."""

    name = "credentials"
    verbose_name = "Credentials"

    def ready(self) -> None:
        """Register the system checks."""
        from credentials import checks  # noqa: F401
