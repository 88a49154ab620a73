"""Who comes in: API tokens (kept as a hash), sign-ins that last, tries to sign in, and use of the API."""

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


class TokenScope(models.TextChoices):
    """What a token may be used for, within the rights of its user; each includes the ones before."""

    READ = "read", "read only"
    WRITE = "write", "read and write"
    SECRETS = "secrets", "read, write, and secrets of configurations"


class ApiToken(models.Model):
    """A token that lets a program act as a user; only its hash is kept."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100, blank=True)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(max_length=12, editable=False, help_text="The first characters, to tell tokens apart.")
    scope = models.CharField(
        max_length=10,
        choices=TokenScope,
        default=TokenScope.READ,
        help_text="Within the rights of the user. Reading is enough for monitoring and reports.",
    )
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
    def issue(
        cls, user: User, name: str = "", expires_at: datetime | None = None, scope: str = TokenScope.WRITE
    ) -> tuple[ApiToken, str]:
        """Make a token for a user; the text returned beside the row is never seen again."""
        text = TOKEN_PREFIX + secrets.token_urlsafe(32)
        row = cls.objects.create(
            user=user, name=name, digest=cls.digest_of(text), hint=text[:9], expires_at=expires_at, scope=scope
        )
        return row, text

    @property
    def is_valid(self) -> bool:
        """Whether the token has not expired."""
        return self.expires_at is None or self.expires_at > timezone.now()


class SignIn(models.Model):
    """One browser in which somebody is signed in. Who deletes the row signs it out, in every process at once."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="sign_ins")
    address = models.CharField(max_length=45, blank=True)
    agent = models.CharField("browser", max_length=200, blank=True)
    created_at = models.DateTimeField("signed in")
    seen_at = models.DateTimeField("last seen")

    class Meta:
        verbose_name = "sign-in"
        ordering = ["-seen_at", "-id"]

    def __str__(self) -> str:
        return f"{self.user} from {self.address or 'an unknown address'}"


class SignInTries(models.Model):
    """Tries to sign in that were not followed by a success: for a name, an address, or both together.

    Known by a keyed hash: what people type into the field for the name is now and then their password.
    """

    key = models.CharField(max_length=64, unique=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="+")
    taken = models.PositiveIntegerField(default=0)
    since = models.DateTimeField()
    locks = models.PositiveIntegerField(default=0)
    locked_until = models.DateTimeField(null=True)
    known_until = models.DateTimeField(null=True)
    """The name got in from this address: strangers elsewhere cannot lock it out here."""

    class Meta:
        indexes = [models.Index(fields=["since"], name="signintries_since")]


class ApiUse(models.Model):
    """Requests of one caller of the API in one window, counted for all web processes."""

    key = models.CharField(max_length=64, unique=True)
    window = models.BigIntegerField()
    taken = models.PositiveIntegerField(default=0)
