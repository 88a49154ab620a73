"""Making and changing devices, and the decisions on their host keys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from credentials.querysets import tags_named
from credentials.store import Place
from devices.choices import HostKeyPolicy, HostKeyState, Transport
from devices.connector.target import HostKeyData, HostKeyVerdict, Limits, Target
from devices.models import Device, DeviceTag, HostKey

if TYPE_CHECKING:
    from django.contrib.auth.models import User

PLAIN_FIELDS = (
    "name",
    "host",
    "port",
    "platform",
    "transport",
    "site",
    "aaa_domain",
    "legacy_ssh",
    "description",
    "enabled",
)


class StaleDecision(Exception):
    """The host key that a person decided on is no longer the one that waits."""


# --- devices --------------------------------------------------------------------------------------
def save_device(device: Device, *, tags: Sequence[str] | None = None, **plain: Any) -> Device:
    """Make or change a device with its tags; ValidationError names each wrong field."""
    if unknown := sorted(set(plain) - set(PLAIN_FIELDS)):
        raise TypeError(f"not fields of a device: {', '.join(unknown)}")
    is_new = device.pk is None
    for field, value in plain.items():
        setattr(device, field, value)
    if is_new and plain.get("port") is None:
        device.port = 23 if device.transport == Transport.TELNET else 22
    device.full_clean()
    if tags is not None and (bad := [tag for tag in tags if ";" in tag or "," in tag or len(tag) > 100]):
        raise ValidationError({"tags": f"A tag has at most 100 characters, no comma and no semicolon: {bad[0][:40]}"})
    with transaction.atomic():
        # A run may be writing what it learned of this device: an edit touches the fields of the form alone.
        device.save(update_fields=None if is_new else [*PLAIN_FIELDS, "updated_at"])
        if tags is not None:
            set_device_tags(device, tags)
    return device


def set_device_tags(device: Device, names: Iterable[str]) -> None:
    """Make these the tags of the device."""
    wanted = {tag.pk: tag for tag in tags_named(names)}
    links = DeviceTag.objects.filter(content_object=device)
    kept = set(links.values_list("tag_id", flat=True))
    links.exclude(tag_id__in=wanted).delete()
    DeviceTag.objects.bulk_create(
        [DeviceTag(content_object=device, tag=tag) for pk, tag in wanted.items() if pk not in kept]
    )


def places_of(devices: Iterable[Device]) -> list[Place]:
    """What the credential store needs to know of these devices; one query for all their tags."""
    found = list(devices)
    tags: dict[int, set[int]] = {device.pk: set() for device in found}
    links = DeviceTag.objects.all()
    if len(found) <= 500:
        links = links.filter(content_object__in=tags)
    for device, tag in links.values_list("content_object_id", "tag_id"):
        if device in tags:
            tags[device].add(tag)
    return [
        Place(
            device=device.pk,
            label=device.name,
            domain=device.aaa_domain,
            tags=frozenset(tags[device.pk]),
            telnet=device.transport == Transport.TELNET,
            preferred=device.last_good_credential_id,
        )
        for device in found
    ]


def limits_from_settings() -> Limits:
    """Time-outs and caps as set for this instance."""
    return Limits(
        connect_s=settings.NETRAVEN_CONNECT_TIMEOUT_S,
        banner_s=settings.NETRAVEN_BANNER_TIMEOUT_S,
        auth_s=settings.NETRAVEN_AUTH_TIMEOUT_S,
        prompt_s=min(settings.NETRAVEN_READ_TIMEOUT_S, 30),
        read_s=settings.NETRAVEN_READ_TIMEOUT_S,
        deadline_s=settings.NETRAVEN_DEVICE_DEADLINE_S,
        max_output=settings.NETRAVEN_MAX_OUTPUT_BYTES,
    )


def target_of(device: Device, pinned: Iterable[HostKey], limits: Limits) -> Target:
    """The device as the connector sees it."""
    return Target(
        name=device.name,
        host=device.host,
        port=device.port,
        platform=device.platform,
        transport=device.transport,
        legacy_ssh=device.legacy_ssh,
        pinned=tuple(HostKeyData(key.key_type, key.public_key) for key in pinned),
        limits=limits,
    )


# --- host keys ------------------------------------------------------------------------------------
@transaction.atomic
def admit_host_key(device: int, presented: HostKeyData, now: datetime | None = None) -> HostKeyVerdict | None:
    """Let a presented host key pass, pin it at first contact, or queue it and return why it does not pass.

    Called before any secret is opened. A device with a pinned key never gets another one by itself.
    """
    now = now or timezone.now()
    # The device's row serialises two first contacts at the same moment.
    Device.objects.select_for_update().only("pk").get(pk=device)
    keys = list(HostKey.objects.filter(device=device))
    pinned = [key for key in keys if key.state == HostKeyState.PINNED]
    same = next((k for k in keys if (k.key_type, k.fingerprint) == (presented.key_type, presented.fingerprint)), None)
    if same is not None and same.state == HostKeyState.PINNED:
        if (now - same.last_seen_at).total_seconds() > 3600:
            HostKey.objects.filter(pk=same.pk).update(last_seen_at=now)
        return None
    quarantined = any(key.state == HostKeyState.PENDING for key in keys)
    first_use = settings.NETRAVEN_HOST_KEY_POLICY == HostKeyPolicy.FIRST_USE
    if not keys and first_use and not quarantined:
        _store(device, presented, HostKeyState.PINNED, None, now)
        return None
    _store(device, presented, HostKeyState.PENDING, same, now)
    if pinned:
        return HostKeyVerdict(
            True,
            f"The device shows {presented.key_type} {presented.fingerprint}; "
            f"pinned is {pinned[0].key_type} {pinned[0].fingerprint}.",
        )
    return HostKeyVerdict(
        False, f"The device shows {presented.key_type} {presented.fingerprint}, which nobody has approved."
    )


def _store(device: int, presented: HostKeyData, state: HostKeyState, row: HostKey | None, now: datetime) -> None:
    if row is not None:
        HostKey.objects.filter(pk=row.pk).update(state=state, last_seen_at=now)
        return
    HostKey.objects.create(
        device_id=device,
        key_type=presented.key_type,
        public_key=presented.public_key,
        fingerprint=presented.fingerprint,
        state=state,
        first_seen_at=now,
        last_seen_at=now,
        decided_at=now if state == HostKeyState.PINNED else None,
    )


def approve_host_key(key: HostKey, user: User | None, *, fingerprint: str | None = None) -> None:
    """Pin a waiting host key and retire the ones before it.

    `fingerprint` is what the person saw; StaleDecision when another key waits by now.
    """
    with transaction.atomic():
        Device.objects.select_for_update().only("pk").get(pk=key.device_id)
        current = HostKey.objects.get(pk=key.pk)
        newer = HostKey.objects.filter(
            device=key.device_id, state=HostKeyState.PENDING, last_seen_at__gt=current.last_seen_at
        ).exclude(pk=key.pk)
        if current.state != HostKeyState.PENDING or (fingerprint and fingerprint != current.fingerprint):
            raise StaleDecision("This key no longer waits for approval: look at the device again.")
        if newer.exists():
            raise StaleDecision("The device has shown yet another key meanwhile: look at the device again.")
        now = timezone.now()
        others = HostKey.objects.filter(device=key.device_id).exclude(pk=key.pk)
        others.filter(state__in=[HostKeyState.PINNED, HostKeyState.PENDING]).update(state=HostKeyState.RETIRED)
        HostKey.objects.filter(pk=key.pk).update(state=HostKeyState.PINNED, decided_by=user, decided_at=now)


def reject_host_key(key: HostKey, user: User | None) -> None:
    """Take a waiting key out of the queue; the device stays pinned to what it had.

    StaleDecision when the key no longer waits.
    """
    updated = HostKey.objects.filter(pk=key.pk, state=HostKeyState.PENDING).update(
        state=HostKeyState.RETIRED, decided_by=user, decided_at=timezone.now()
    )
    if not updated:
        raise StaleDecision("This key no longer waits for approval: look at the device again.")
