"""Maintenance windows: times in which devices with a tag are left alone."""

from __future__ import annotations

from django.core.validators import MinValueValidator
from django.db import models
from simple_history.models import HistoricalRecords
from taggit.models import Tag


class MaintenanceWindow(models.Model):
    """A time, once or again and again, in which devices with any of its tags are left alone."""

    name = models.CharField(max_length=100, unique=True)
    tags = models.ManyToManyField(Tag, related_name="maintenance_windows", help_text="Devices with any of these tags.")
    enabled = models.BooleanField(default=True)
    description = models.CharField(max_length=250, blank=True)
    cron = models.CharField(
        "cron line",
        max_length=100,
        blank=True,
        help_text="When it begins, again and again: 0 22 * * 6. Empty: it happens once.",
    )
    time_zone = models.CharField(max_length=64, blank=True, help_text="Of the cron line. Empty: that of the server.")
    starts_at = models.DateTimeField("begins", null=True, blank=True, help_text="For a window that happens once.")
    duration_min = models.PositiveIntegerField("length", validators=[MinValueValidator(1)], help_text="Minutes.")
    created_at = models.DateTimeField("created", auto_now_add=True)
    updated_at = models.DateTimeField("changed", auto_now=True)

    history = HistoricalRecords(m2m_fields=[tags], excluded_fields=["updated_at"])

    class Meta:
        ordering = ["name"]
        verbose_name = "maintenance window"

    def __str__(self) -> str:
        return self.name
