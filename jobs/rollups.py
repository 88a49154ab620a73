"""What is kept of the login attempts so that nobody has to count millions of them again.

Only `jobs.analytics` writes these rows. They outlive the attempts that they were counted from.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models

from credentials.models import Credential
from devices.models import Device


class Dimension(models.TextChoices):
    """By what a day's logins are told apart, besides the credential."""

    ALL = "all", "Credential"
    TAG = "tag", "Tag"
    PLATFORM = "platform", "Platform"
    SITE = "site", "Site"


class RollUpMark(models.Model):
    """Up to which attempt the logins are counted; moves together with the counts, or not at all."""

    name = models.CharField(max_length=20, unique=True)
    attempt = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.name}: {self.attempt}"


class LoginDay(models.Model):
    """The logins of one day (UTC) with one credential, on the devices with one tag, platform or site.

    Tag, platform and site are those that the device had when its login was counted.
    """

    dimension = models.CharField(max_length=10, choices=Dimension)
    day = models.DateField()
    value = models.CharField(max_length=100, blank=True)
    credential = models.PositiveBigIntegerField(help_text="its id, also when it is gone; 0 where none was kept")
    is_test = models.BooleanField()
    accepted = models.PositiveBigIntegerField(default=0)
    rejected = models.PositiveBigIntegerField(default=0)
    unanswered = models.PositiveBigIntegerField(default=0)
    other = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["dimension", "day", "value", "credential", "is_test"], name="login_day_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.dimension} {self.value}"


class LoginPair(models.Model):
    """All logins with one version of a credential on one device, tests included: what is proven about it."""

    # The unique constraint begins with the device, so it needs no index of its own.
    device = models.ForeignKey(Device, on_delete=models.CASCADE, db_index=False, related_name="login_pairs")
    credential = models.ForeignKey(Credential, on_delete=models.CASCADE, related_name="login_pairs")
    version = models.PositiveIntegerField()
    accepted = models.PositiveIntegerField(default=0)
    rejected = models.PositiveIntegerField(default=0)
    unanswered = models.PositiveIntegerField(default=0)
    accepted_at = models.DateTimeField("last accepted", null=True)
    rejected_at = models.DateTimeField("last rejected", null=True)
    first_rejected_at = models.DateTimeField("first rejected", null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["device", "credential", "version"], name="login_pair_once"),
        ]

    def __str__(self) -> str:
        return f"{self.credential_id} v{self.version} on {self.device_id}"


class LoginStep(models.Model):
    """A login whose place in the order mattered: rejected, tried after a rejection, or the first to open a device.

    The many others went to the credential that had worked there before, under any order.
    """

    attempt = models.BigIntegerField(primary_key=True)
    run = models.BigIntegerField(null=True)
    device = models.ForeignKey(Device, on_delete=models.CASCADE, db_index=False, related_name="+")
    credential = models.ForeignKey(Credential, on_delete=models.CASCADE, related_name="+")
    version = models.PositiveIntegerField()
    order = models.PositiveIntegerField()
    fate = models.CharField(max_length=12)
    at = models.DateTimeField(db_index=True)

    class Meta:
        indexes = [models.Index(fields=["device", "credential", "version"], name="login_step_pair")]

    def __str__(self) -> str:
        return f"attempt {self.attempt}: {self.fate}"


class Reordering(models.Model):
    """Priorities that were changed on the advice of the ledger, with what they were before."""

    changes = models.JSONField(help_text="credential, tag or null, priority before and after; ids and names")
    saved = models.PositiveIntegerField(help_text="failed logins that the replay saved in its time")
    days = models.FloatField(help_text="days that were replayed")
    visits = models.PositiveIntegerField(help_text="device visits that were replayed")
    applied_at = models.DateTimeField()
    applied_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    applied_by_name = models.CharField(max_length=150)
    undone_at = models.DateTimeField(null=True)
    undone_by_name = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"reordering #{self.pk}"
