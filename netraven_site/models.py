"""API tokens: shown once, kept as a hash."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.utils import timezone

if TYPE_CHECKING:
    from django.contrib.auth.models import User

TOKEN_PREFIX = "nrt_"  # noqa: S105 - says what it is, is no secret


class ApiToken(models.Model):
    """A token that lets a program act as a user; only its hash is kept."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100, blank=True)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(max_length=12, editable=False, help_text="The first characters, to tell tokens apart.")
    created_at = models.DateTimeField("created", auto_now_add=True)
    expires_at = models.DateTimeField("expires", null=True, blank=True)
    last_used_at = models.DateTimeField("last used", null=True, editable=False)

    class Meta:
        verbose_name = "API token"
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.user} {self.hint}…"

    @staticmethod
    def digest_of(token: str) -> str:
        """The hash under which a token is kept; tokens are random, so no salt is needed."""
        return hashlib.sha256(token.encode()).hexdigest()

    @classmethod
    def issue(cls, user: User, name: str = "", expires_at: datetime | None = None) -> tuple[ApiToken, str]:
        """Make a token for a user; the text returned beside the row is never seen again."""
        text = TOKEN_PREFIX + secrets.token_urlsafe(32)
        row = cls.objects.create(user=user, name=name, digest=cls.digest_of(text), hint=text[:9], expires_at=expires_at)
        return row, text

    @property
    def is_valid(self) -> bool:
        """Whether the token has not expired."""
        return self.expires_at is None or self.expires_at > timezone.now()
