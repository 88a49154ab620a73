"""The model of what a team changes in the table of platforms, or adds to it, in the portal."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from simple_history.models import HistoricalRecords


class PlatformOverride(models.Model):
    """TOML for one platform, laid over the shipped table and over the files of the instance.

    Written by `devices.platforms_services` alone, which tries it before it counts.
    """

    name = models.CharField("platform", max_length=63, unique=True, editable=False)
    text = models.TextField(
        "rules",
        help_text="TOML in the form of the shipped table: one [platforms.NAME] with what is different or new.",
    )
    enabled = models.BooleanField(default=True, help_text="Otherwise it is kept here and does not count.")
    revision = models.PositiveIntegerField(default=1, editable=False, help_text="Rises with every change.")
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    changed_at = models.DateTimeField("changed", auto_now=True)

    history = HistoricalRecords()

    class Meta:
        ordering = ["name"]
        verbose_name = "platform"

    def __str__(self) -> str:
        return self.name
