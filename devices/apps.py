"""App configuration."""

from django.apps import AppConfig


class DevicesConfig(AppConfig):
    """What exists, and which configuration it had."""

    name = "devices"
    verbose_name = "Devices"

    def ready(self) -> None:
        """Announce the sealed column, so that key rotation covers it."""
        from credentials.fields import register_sealed

        register_sealed("devices.ConfigText", "sealed")
