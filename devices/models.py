"""Devices, their pinned host keys, and the versions of their configurations."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from simple_history.models import HistoricalRecords
from taggit.managers import TaggableManager
from taggit.models import ItemBase, Tag

from credentials.models import Credential
from devices import asides, facts, platforms_overrides, retention, searches  # noqa: F401 - models of this app that have a file of their own
from devices.choices import HostKeyState, Transport
from devices.connector.platforms import RUNNING, UnknownPlatformError, platform
from devices.validators import validate_host, validate_name


class DeviceTag(ItemBase):
    """A tag on a device."""

    tag = models.ForeignKey(Tag, on_delete=models.CASCADE, related_name="device_tags")
    content_object = models.ForeignKey("Device", on_delete=models.CASCADE, related_name="tag_links")

    class Meta:
        verbose_name = "tag of a device"
        verbose_name_plural = "tags of devices"
        constraints = [models.UniqueConstraint(fields=["tag", "content_object"], name="device_tag_once")]

    def __str__(self) -> str:
        return f"{self.content_object_id}: {self.tag_id}"


class DeviceHistory(HistoricalRecords):  # type: ignore[misc]
    """The history of devices; a device that is deleted together with many has its last row already."""

    def post_delete(self, instance: Device, using: str | None = None, **kwargs: Any) -> None:
        """The last row, unless `delete_devices` has written it."""
        if not instance.is_noted_as_deleted:
            super().post_delete(instance, using=using, **kwargs)


class Device(models.Model):
    """Something with an address, a platform, a transport and a command line."""

    name = models.CharField(max_length=100, unique=True, validators=[validate_name])
    host = models.CharField(
        "address", max_length=253, validators=[validate_host], help_text="IP address or name in the DNS."
    )
    port = models.PositiveIntegerField(default=22, validators=[MinValueValidator(1), MaxValueValidator(65535)])
    platform = models.CharField(max_length=60, help_text="Netmiko's device type, such as cisco_ios.")
    transport = models.CharField(max_length=10, choices=Transport, default=Transport.SSH)
    site = models.CharField(max_length=100, blank=True, db_index=True)
    aaa_domain = models.CharField(
        "AAA domain",
        max_length=60,
        default="default",
        help_text="The accounts server behind the device. Central accounts are counted per domain.",
    )
    legacy_ssh = models.BooleanField(
        "legacy SSH",
        default=False,
        help_text="Allow SHA-1 key exchange, host keys and ciphers that old devices need. Off unless set.",
    )
    description = models.CharField(max_length=250, blank=True)
    enabled = models.BooleanField(default=True, help_text="A disabled device is left alone by every job.")
    tags = TaggableManager(through=DeviceTag, blank=True)  # type: ignore[no-untyped-call]

    last_good_credential = models.ForeignKey(
        Credential, null=True, blank=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    last_good_at = models.DateTimeField(null=True, editable=False)
    last_outcome = models.CharField(max_length=30, blank=True, editable=False, db_index=True)
    last_outcome_at = models.DateTimeField("last tried", null=True, editable=False)
    last_success_at = models.DateTimeField("last success", null=True, editable=False, db_index=True)
    created_at = models.DateTimeField("created", auto_now_add=True)
    updated_at = models.DateTimeField("changed", auto_now=True)

    is_noted_as_deleted = False
    history = DeviceHistory(
        excluded_fields=[
            "last_good_credential",
            "last_good_at",
            "last_outcome",
            "last_outcome_at",
            "last_success_at",
            "updated_at",
        ]
    )

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(condition=Q(port__gte=1, port__lte=65535), name="device_port_in_range"),
            models.CheckConstraint(condition=Q(transport__in=Transport.values), name="device_transport_known"),
        ]
        indexes = [
            models.Index(fields=["platform"], name="device_platform"),
            models.Index(fields=["aaa_domain"], name="device_aaa_domain"),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse a platform that neither Netmiko nor the platform table knows."""
        try:
            found = platform(self.platform)
        except UnknownPlatformError as error:
            raise ValidationError({"platform": str(error)}) from error
        if self.transport == Transport.TELNET and not found.telnet:
            raise ValidationError({"transport": f"Netmiko has no telnet driver for {self.platform}."})

    @property
    def place(self) -> str:
        """The key under which the lockout guard knows this device."""
        return f"device:{self.pk}"


class HostKey(models.Model):
    """The SSH public key of a device: pinned, waiting for approval, or retired."""

    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="host_keys")
    key_type = models.CharField(max_length=60)
    public_key = models.TextField(help_text="base64, as in known_hosts")
    fingerprint = models.CharField(max_length=60)
    state = models.CharField(max_length=10, choices=HostKeyState)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["device", "key_type", "id"]
        permissions = [("approve_hostkey", "Can approve a host key")]
        constraints = [
            models.UniqueConstraint(
                fields=["device", "key_type"], condition=Q(state=HostKeyState.PINNED), name="one_pinned_key_a_type"
            ),
            models.UniqueConstraint(fields=["device", "key_type", "fingerprint"], name="host_key_once_per_device"),
        ]
        indexes = [models.Index(fields=["state"], name="host_key_state")]

    def __str__(self) -> str:
        return f"{self.key_type} {self.fingerprint}"


class ConfigText(models.Model):
    """One distinct configuration text, kept once however many devices and versions have it."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    digest = models.CharField(max_length=64, unique=True, help_text="keyed hash of the complete text")
    packed = models.BinaryField(help_text="zlib, secrets as placeholders")
    sealed = models.BinaryField(help_text="zlib, complete, sealed with the keyring")
    size = models.PositiveIntegerField(help_text="bytes of the complete text")
    lines = models.PositiveIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.digest[:12]


class ConfigVersion(models.Model):
    """One distinct configuration of one device, with the time it was first and last seen."""

    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="config_versions")
    kind = models.CharField(max_length=30, default=RUNNING)
    number = models.PositiveIntegerField()
    text = models.ForeignKey(ConfigText, on_delete=models.PROTECT, related_name="versions")
    compared = models.CharField(max_length=64, help_text="keyed hash of the normalised text")
    summary = models.CharField(max_length=200, blank=True, help_text="what changed since the version before")
    changed_by = models.CharField(max_length=80, blank=True, help_text="who changed it, as the device says")
    changed_said = models.CharField(max_length=80, blank=True, help_text="when, as the device says")
    first_seen_at = models.DateTimeField(db_index=True)
    last_seen_at = models.DateTimeField()

    class Meta:
        ordering = ["device", "kind", "-number"]
        verbose_name = "configuration version"
        permissions = [
            ("reveal_configversion", "Can see the secrets of a configuration"),
            ("restore_configversion", "Can download a configuration with its secrets"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["device", "kind", "number"], name="version_number_once"),
        ]

    def __str__(self) -> str:
        return f"{self.device} {self.kind} v{self.number}"

    @property
    def called(self) -> str:
        """How pages name it beside its device: `v3`, or `startup v3` where it is no running configuration."""
        return f"v{self.number}" if self.kind == RUNNING else f"{self.kind} v{self.number}"

    @property
    def file_stem(self) -> str:
        """The beginning of the name of a file with its text."""
        return f"{self.device.name}-{self.called.replace(' ', '-')}"
