"""App configuration."""

from django.apps import AppConfig


class JobsConfig(AppConfig):
    """When, and what happened."""

    name = "jobs"
    verbose_name = "Jobs"
