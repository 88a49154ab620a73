"""The model of how long versions of configurations are kept."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q
from taggit.models import Tag

_MOST = 36_500


def _days(name: str, default: int | None, text: str) -> models.PositiveIntegerField[int | None, int | None]:
    return models.PositiveIntegerField(
        name, null=True, blank=True, default=default, validators=[MaxValueValidator(_MOST)], help_text=text
    )


class RetentionRule(models.Model):
    """How long versions are kept: of one device, of devices with a tag, or of all.

    A version's age is the time since it was last seen. Each step reaches to an age in days; no number: for ever.
    """

    device = models.OneToOneField(
        "devices.Device", null=True, blank=True, on_delete=models.CASCADE, related_name="retention"
    )
    tag = models.OneToOneField(Tag, null=True, blank=True, on_delete=models.CASCADE, related_name="retention")
    all_days = _days("keep all", 90, "Days for which every version is kept. Empty: for ever.")
    daily_days = _days("then one a day", 365, "Up to this age in days, the last version of each day. Empty: for ever.")
    weekly_days = _days("then one a week", 730, "Up to this age, the last version of each week. Empty: for ever.")
    monthly_days = _days("then one a month", None, "Up to this age, the last version of each month. Empty: for ever.")

    class Meta:
        ordering = ["device__name", "tag__name", "id"]
        verbose_name = "retention rule"
        constraints = [
            models.CheckConstraint(condition=Q(device=None) | Q(tag=None), name="retention_of_device_or_tag"),
        ]

    def __str__(self) -> str:
        return f"for {self.scope}"

    @property
    def scope(self) -> str:
        """What the rule is for, in words."""
        if self.device_id is not None:
            return f"device {self.device}"
        return f"tag {self.tag}" if self.tag_id is not None else "all devices"

    @property
    def steps(self) -> tuple[int | None, int | None, int | None, int | None]:
        """Up to which age in days all, one a day, one a week and one a month are kept."""
        return self.all_days, self.daily_days, self.weekly_days, self.monthly_days

    def clean(self) -> None:
        """Steps rise; nothing follows one without end."""
        if self.device_id is not None and self.tag_id is not None:
            raise ValidationError("A rule is for a device or for a tag, not for both.")
        names = ("all_days", "daily_days", "weekly_days", "monthly_days")
        before: int | None = 0
        for name, days in zip(names, self.steps, strict=True):
            if before is None:
                # Nothing is left for this step to decide.
                setattr(self, name, None)
            elif days is not None and days < before:
                raise ValidationError({name: f"This step ends before the one before it ({before} days)."})
            before = None if before is None else days
