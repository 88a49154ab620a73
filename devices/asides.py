"""The model of answers that were no whole configuration and are kept aside for a person to look at."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from devices.choices import AsideState


class KeptAside(models.Model):
    """An answer that did not become a version: why, and what somebody decided."""

    device = models.ForeignKey("devices.Device", on_delete=models.CASCADE, related_name="kept_aside")
    kind = models.CharField(max_length=30, default="running")
    text = models.ForeignKey(
        "devices.ConfigText", null=True, on_delete=models.SET_NULL, related_name="kept_aside", editable=False
    )
    compared = models.CharField(max_length=64, help_text="keyed hash of the normalised text")
    reason_code = models.CharField(max_length=30)
    reason = models.CharField(max_length=200)
    evidence = models.CharField(max_length=200, blank=True, help_text="the line that the judgement rests on")
    state = models.CharField(max_length=10, choices=AsideState, default=AsideState.WAITING)
    times = models.PositiveIntegerField(default=1, help_text="how often the device answered so")
    first_seen_at = models.DateTimeField("first seen")
    last_seen_at = models.DateTimeField("last seen")
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    version = models.ForeignKey(
        "devices.ConfigVersion", null=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )

    class Meta:
        ordering = ["-last_seen_at", "-id"]
        verbose_name = "incomplete output"
        verbose_name_plural = "incomplete outputs"
        permissions = [("decide_keptaside", "Can accept or decline an incomplete output")]
        constraints = [
            models.UniqueConstraint(
                fields=["device", "kind"], condition=Q(state=AsideState.WAITING), name="one_waits_per_device_and_kind"
            ),
        ]
        indexes = [models.Index(fields=["state"], name="kept_aside_state")]

    def __str__(self) -> str:
        return f"{self.device} {self.kind}"
