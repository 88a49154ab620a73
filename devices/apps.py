"""App configuration."""

from django.apps import AppConfig


class DevicesConfig(AppConfig):
    """What exists, and which configuration it had."""

    name = "devices"
    verbose_name = "Devices"

    def ready(self) -> None:
        """Announce the sealed column, so that key rotation covers it, and say where the platforms come from."""
        from credentials.fields import register_sealed
        from devices import platforms_table
        from devices.connector import platforms

        platforms.build_with(platforms_table.build)

        register_sealed("devices.ConfigText", "sealed")
