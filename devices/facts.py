"""What devices said about themselves, and since when: one row for each distinct answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone

IDENTITY = ("vendor", "model", "serial", "version", "hostname")
"""What makes two answers different; the uptime alone does not."""
_LONGEST = 100


class DeviceFacts(models.Model):
    """Vendor, model, serial number, version and hostname of a device, from when until when it said so."""

    device = models.ForeignKey("devices.Device", on_delete=models.CASCADE, related_name="facts")
    vendor = models.CharField(max_length=_LONGEST, blank=True)
    model = models.CharField(max_length=_LONGEST, blank=True)
    serial = models.CharField("serial number", max_length=_LONGEST, blank=True)
    version = models.CharField(max_length=_LONGEST, blank=True)
    hostname = models.CharField(max_length=_LONGEST, blank=True)
    uptime_s = models.PositiveBigIntegerField("uptime", null=True, help_text="seconds, when it was last seen")
    is_current = models.BooleanField(default=True)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()

    class Meta:
        ordering = ["device", "-id"]
        verbose_name = "facts of a device"
        verbose_name_plural = "facts of devices"
        constraints = [
            models.UniqueConstraint(fields=["device"], condition=Q(is_current=True), name="one_current_facts_a_device"),
        ]
        indexes = [
            models.Index(fields=["model"], name="facts_model"),
            models.Index(fields=["version"], name="facts_version"),
        ]

    def __str__(self) -> str:
        return " ".join(word for word in (self.vendor, self.model, self.version) if word) or "nothing known"


@transaction.atomic
def save_facts(device: int, facts: Mapping[str, Any], seen_at: datetime | None = None) -> DeviceFacts | None:
    """Keep what a device said; None when it said nothing, or is gone. Doing it twice changes nothing.

    What is not in `facts` is not known this time, which is no change: it stays as it was while all else is the
    same.
    """
    from devices.models import Device  # that module imports this one

    seen_at = seen_at or timezone.now()
    said = {name: str(facts[name])[:_LONGEST] for name in IDENTITY if facts.get(name)}
    # The device's row serialises two runs that read the same device.
    if not said or Device.objects.select_for_update().only("pk").filter(pk=device).first() is None:
        return None
    uptime = facts.get("uptime_s")
    current = DeviceFacts.objects.filter(device=device, is_current=True).first()
    if current is not None:
        if all(getattr(current, name) in ("", value) for name, value in said.items()):
            for name, value in said.items():
                setattr(current, name, value)
            current.last_seen_at = max(current.last_seen_at, seen_at)
            current.uptime_s = uptime if uptime is not None else current.uptime_s
            current.save(update_fields=[*said, "last_seen_at", "uptime_s"])
            return current
        DeviceFacts.objects.filter(pk=current.pk).update(is_current=False)
    return DeviceFacts.objects.create(
        device_id=device, **said, uptime_s=uptime, first_seen_at=seen_at, last_seen_at=seen_at
    )


def hostname_differs(name: str, hostname: str) -> bool:
    """Whether a device calls itself otherwise than the inventory does; case and domain do not count."""
    if not hostname:
        return False
    ours, own = name.strip().lower(), hostname.strip().lower()
    if "." in ours and "." in own:
        return ours != own
    return ours.split(".")[0] != own.split(".")[0]
