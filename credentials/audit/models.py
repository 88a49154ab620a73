"""The table of the audit trail."""

from __future__ import annotations

import json
from typing import Any, ClassVar, NoReturn

from django.db import models


class AuditEvent(models.Model):
    """One thing that happened, for ever: ids and names as values, so that nothing it names can take it along.

    Written by `credentials.audit` alone, deleted by its retention alone; the database refuses everything else.
    """

    LENGTHS: ClassVar[dict[str, int]] = {
        "event": 60,
        "outcome": 30,
        "actor": 150,
        "source": 100,
        "subject": 250,
        "device_name": 200,
        "credential_name": 150,
    }

    id = models.BigIntegerField("number", primary_key=True, help_text="Place in the chain: 1, 2, 3 without a gap.")
    at = models.DateTimeField("time", db_index=True)
    event = models.CharField(max_length=LENGTHS["event"], db_index=True)
    outcome = models.CharField(max_length=LENGTHS["outcome"], blank=True)
    actor = models.CharField(max_length=LENGTHS["actor"], db_index=True, help_text="who did it, or who asked for it")
    source = models.CharField(max_length=LENGTHS["source"], blank=True, help_text="by which way, and from where")
    subject = models.CharField(max_length=LENGTHS["subject"], blank=True, help_text="what it is about")
    device = models.BigIntegerField("device id", null=True, db_index=True)
    device_name = models.CharField("device", max_length=LENGTHS["device_name"], blank=True)
    credential = models.BigIntegerField("credential id", null=True, db_index=True)
    credential_name = models.CharField("credential", max_length=LENGTHS["credential_name"], blank=True)
    run = models.BigIntegerField("run id", null=True)
    details = models.TextField(default="{}", help_text="Everything else, as a JSON object.")
    mac = models.CharField(max_length=64, help_text="HMAC-SHA256 over this row and the mac of the one before.")

    class Meta:
        app_label = "credentials"
        verbose_name = "audit event"
        default_permissions = ("view",)
        permissions = [("export_auditevent", "Can export the audit trail")]
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.id} {self.event}"

    def save(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Not this way."""
        raise TypeError("The audit trail is written by credentials.audit.record.")

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Not this way."""
        raise TypeError("Rows leave the audit trail by its retention alone.")

    @property
    def data(self) -> dict[str, Any]:
        """The details; empty when somebody wrote something else there."""
        try:
            found = json.loads(self.details)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}
