"""Making and changing the rules of how long versions are kept."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import transaction
from taggit.models import Tag

from devices.models import Device
from devices.retention import RetentionRule

STEPS = ("all_days", "daily_days", "weekly_days", "monthly_days")


@transaction.atomic
def save_rule(
    rule: RetentionRule,
    *,
    device: Device | None = None,
    tag: Tag | None = None,
    all_days: int | None,
    daily_days: int | None,
    weekly_days: int | None,
    monthly_days: int | None,
) -> RetentionRule:
    """Make or change a rule, for a device, for a tag, or with neither for all; ValidationError by field."""
    rule.device, rule.tag = device, tag
    rule.all_days, rule.daily_days = all_days, daily_days
    rule.weekly_days, rule.monthly_days = weekly_days, monthly_days
    if device is not None and tag is not None:
        raise ValidationError("A rule is for a device or for a tag, not for both.")
    rule.full_clean()
    others = RetentionRule.objects.exclude(pk=rule.pk)
    if device is None and tag is None and others.filter(device=None, tag=None).exists():
        raise ValidationError("There is a rule for all devices already: change that one.")
    rule.save()
    return rule
