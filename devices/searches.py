"""Models for searching configurations: which texts the index knows, and searches that people keep."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q


class IndexedText(models.Model):
    """A configuration text that the search index knows.

    On PostgreSQL the index hangs on `body`. On SQLite the index is a virtual table of its own, and `body` is empty.
    """

    text = models.OneToOneField(
        "devices.ConfigText", primary_key=True, on_delete=models.CASCADE, related_name="indexed"
    )
    body = models.TextField(blank=True, help_text="folded to lower case, secrets as placeholders")

    def __str__(self) -> str:
        return f"text {self.pk}"


class IndexMark(models.Model):
    """The newest version for which the index was brought up to date."""

    name = models.CharField(max_length=20, unique=True)
    version = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.name}: {self.version}"


class SavedSearch(models.Model):
    """A search that somebody keeps, for themselves or for everybody."""

    name = models.CharField(max_length=80)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    is_shared = models.BooleanField("shared", default=False, help_text="Everybody who may see configurations has it.")
    query = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name", "id"]
        verbose_name_plural = "saved searches"
        permissions = [("share_savedsearch", "Can share a saved search")]
        constraints = [
            models.UniqueConstraint(fields=["owner", "name"], name="saved_search_once_per_owner"),
            models.CheckConstraint(condition=~Q(name=""), name="saved_search_has_a_name"),
        ]

    def __str__(self) -> str:
        return self.name
