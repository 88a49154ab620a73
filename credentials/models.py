"""Credentials, the tags that select them, and the books of the lockout guard."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from simple_history.models import HistoricalRecords
from taggit.managers import TaggableManager
from taggit.models import ItemBase, Tag

from credentials.audit.models import AuditEvent as AuditEvent
from credentials.choices import SCOPE_MEANING, AccountScope, GuardState
from credentials.fields import SecretField
from credentials.key_readers import KeyReader as KeyReader

LEAST_PRIORITY, MOST_PRIORITY = -1_000_000, 1_000_000
PRIORITY_BOUNDS = [MinValueValidator(LEAST_PRIORITY), MaxValueValidator(MOST_PRIORITY)]
SECRET_FIELDS = ("password", "enable_secret", "private_key", "passphrase")


class CredentialTag(ItemBase):
    """A tag on a credential; the priority may differ for devices with this tag."""

    tag = models.ForeignKey(Tag, on_delete=models.CASCADE, related_name="credential_tags")
    content_object = models.ForeignKey("Credential", on_delete=models.CASCADE, related_name="tag_links")
    priority = models.IntegerField(
        null=True,
        blank=True,
        validators=PRIORITY_BOUNDS,
        help_text="Lower is tried first. Empty: the credential's own priority.",
    )

    class Meta:
        verbose_name = "tag of a credential"
        verbose_name_plural = "tags of credentials"
        constraints = [
            models.UniqueConstraint(fields=["tag", "content_object"], name="credential_tag_once"),
        ]

    def __str__(self) -> str:
        return f"{self.content_object_id}: {self.tag_id}"


class Credential(models.Model):
    """A user name and its secrets, selected for devices by shared tags."""

    # Sealed secrets are bound to this value, so it stands before them and never changes.
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=100, unique=True)
    username = models.CharField(
        "user name",
        max_length=150,
        blank=True,
        help_text="May be empty: some consoles ask for a password alone.",
    )
    password = SecretField()
    enable_secret = SecretField()
    private_key = SecretField()
    passphrase = SecretField()
    priority = models.IntegerField(
        default=100, validators=PRIORITY_BOUNDS, help_text="Lower is tried first, also below 0. Ties break by id."
    )
    scope = models.CharField("account scope", max_length=10, choices=AccountScope, default=AccountScope.CENTRAL)
    is_fallback = models.BooleanField(
        "fallback",
        default=False,
        help_text="Matches every device and is always tried last. At most one is tried per device.",
    )
    allow_telnet = models.BooleanField(
        default=False, help_text="May be sent over telnet, where anyone on the path can read it."
    )
    enabled = models.BooleanField(default=True)
    description = models.CharField(max_length=250, blank=True)
    tags = TaggableManager(through=CredentialTag, blank=True)  # type: ignore[no-untyped-call]

    version = models.PositiveIntegerField(
        default=1, editable=False, help_text="Rises when the user name or a secret changes."
    )
    success_count = models.PositiveBigIntegerField("successes", default=0, editable=False)
    rejected_count = models.PositiveBigIntegerField("rejections", default=0, editable=False)
    last_used_at = models.DateTimeField("last used", null=True, editable=False)
    last_success_at = models.DateTimeField("last success", null=True, editable=False)
    created_at = models.DateTimeField("created", auto_now_add=True)
    updated_at = models.DateTimeField("changed", auto_now=True)

    history = HistoricalRecords(
        excluded_fields=[
            *SECRET_FIELDS,
            "success_count",
            "rejected_count",
            "last_used_at",
            "last_success_at",
            "updated_at",
        ]
    )

    class Meta:
        ordering = ["priority", "id"]
        constraints = [
            models.CheckConstraint(condition=Q(scope__in=AccountScope.values), name="credential_scope_known"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def scope_meaning(self) -> str:
        """What the chosen account scope means for the lockout guard, in words."""
        return SCOPE_MEANING[AccountScope(self.scope)]

    @property
    def kinds(self) -> list[str]:
        """Which secrets are set, in words, without opening them."""
        words = {
            "password": "password",
            "enable_secret": "enable secret",
            "private_key": "private key",
            "passphrase": "passphrase",
        }
        return [word for field, word in words.items() if getattr(self, field)]

    @property
    def has_login_secret(self) -> bool:
        """Whether there is anything to log in with."""
        return bool(self.password) or bool(self.private_key)


class GuardAccount(models.Model):
    """One account as the lockout guard sees it: a user name in an AAA domain or on one device."""

    key = models.CharField(max_length=300, unique=True)
    label = models.CharField(max_length=400)
    scope = models.CharField(max_length=10, choices=AccountScope)
    last_success_at = models.DateTimeField(null=True)
    released_at = models.DateTimeField(null=True)
    released_by = models.CharField(max_length=150, blank=True)

    class Meta:
        verbose_name = "guarded account"
        permissions = [("release_guardaccount", "Can release a held account")]
        ordering = ["label"]

    def __str__(self) -> str:
        return self.label


class GuardLogin(models.Model):
    """One login that may count against an account's budget, or the newest success of a credential with it."""

    account = models.ForeignKey(GuardAccount, on_delete=models.CASCADE, related_name="logins")
    credential = models.PositiveBigIntegerField()
    credential_version = models.PositiveIntegerField()
    place = models.CharField(max_length=60)
    place_label = models.CharField(max_length=200)
    state = models.CharField(max_length=12, choices=GuardState, default=GuardState.OPEN)
    at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = "guarded login"
        indexes = [models.Index(fields=["account", "at"], name="guard_login_account_at")]

    def __str__(self) -> str:
        return f"{self.account_id} at {self.place_label}: {self.state}"


class GuardRelease(models.Model):
    """One release, for the record: who gave which account or credential another chance, when and why."""

    what = models.CharField(max_length=430, help_text="the account, or the credential")
    by = models.CharField(max_length=150)
    reason = models.CharField(max_length=250, blank=True)
    at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = "release"
        ordering = ["-at"]

    def __str__(self) -> str:
        return f"{self.what} by {self.by}"


class RememberedRejection(models.Model):
    """A password or enable secret that was proven wrong somewhere: not offered there until edited or released."""

    credential = models.ForeignKey(Credential, on_delete=models.CASCADE, related_name="remembered_rejections")
    credential_version = models.PositiveIntegerField()
    place = models.CharField(max_length=60, help_text="`device:ID`, `domain:NAME`, or `enable:ID` of a device")
    place_label = models.CharField(max_length=200)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["credential", "credential_version", "place"], name="rejection_once_per_place"
            ),
        ]
        indexes = [models.Index(fields=["place"], name="rejection_place")]

    def __str__(self) -> str:
        return f"{self.credential_id} v{self.credential_version} at {self.place_label}"


def domain_key(domain: str) -> str:
    """The key of an AAA domain, 60 characters at most; case and blanks around it make no other domain."""
    return f"domain:{_plain_key(domain)}"


def enable_key(device: Any) -> str:
    """The place under which a refused enable secret is remembered: one device."""
    return f"enable:{device}"


def account_identity(scope: str, username: str, domain: str, address: str, device_label: str) -> tuple[str, str]:
    """Key and label of the account that a login uses: the unit that can be locked.

    A local account is that of an address (`host:port`), so a device that stands in the inventory twice has one
    budget. Most account servers tell no `Admin` from `admin`, and one budget too few locks nobody out.
    """
    shown, name = username or "(no user name)", username.casefold()
    if scope == AccountScope.LOCAL:
        return f"local:{_plain_key(address)}:{name}", f"{shown} on {device_label}"
    return f"central:{_plain_key(domain)}:{name}", f"{shown} in AAA domain {domain.strip()}"


def _plain_key(text: str) -> str:
    """Of a domain or an address: 50 characters at most, without colons, whatever its case."""
    name = text.strip().casefold().replace(":", "%3a")
    return name if len(name) <= 50 else f"{name[:33]}~{hashlib.sha256(name.encode()).hexdigest()[:16]}"
