"""How many devices may be worked on at once, over all workers and hosts."""

from __future__ import annotations

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from simple_history.models import HistoricalRecords
from taggit.models import Tag

from jobs.choices import LimitScope


class ConcurrencyLimit(models.Model):
    """Most devices at once: in the whole system, at a site, with a tag, or behind an AAA domain."""

    scope = models.CharField(max_length=10, choices=LimitScope)
    site = models.CharField(max_length=100, blank=True)
    tag = models.ForeignKey(Tag, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    domain = models.CharField("AAA domain", max_length=60, blank=True)
    devices = models.PositiveIntegerField("devices at once", validators=[MinValueValidator(1)])

    history = HistoricalRecords()

    class Meta:
        ordering = ["scope", "site", "domain", "id"]
        verbose_name = "concurrency limit"
        constraints = [
            models.UniqueConstraint(fields=["scope"], condition=Q(scope="system"), name="one_limit_of_the_system"),
            models.UniqueConstraint(fields=["site"], condition=Q(scope="site"), name="one_limit_a_site"),
            models.UniqueConstraint(fields=["tag"], condition=Q(scope="tag"), name="one_limit_a_tag"),
            models.UniqueConstraint(fields=["domain"], condition=Q(scope="domain"), name="one_limit_a_domain"),
            models.CheckConstraint(condition=Q(devices__gte=1), name="limit_above_zero"),
        ]

    def __str__(self) -> str:
        return f"{self.get_scope_display()} {self.site or self.domain or self.tag or ''}".strip()


class LimitUse(models.Model):
    """How many devices a shard works on under one limit; counts only while the shard's lease holds."""

    shard = models.ForeignKey("jobs.Shard", on_delete=models.CASCADE, related_name="limit_uses")
    key = models.CharField(max_length=120, help_text="system, site:NAME, tag:ID, domain:NAME or run:ID")
    devices = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["shard", "key"], name="one_use_a_shard_and_limit")]
        indexes = [models.Index(fields=["key"], name="use_of_limit")]

    def __str__(self) -> str:
        return f"{self.key}: {self.devices}"
