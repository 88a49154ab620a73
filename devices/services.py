"""Making and changing devices, and the decisions on their host keys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.deletion import Collector
from django.utils import timezone
from simple_history.utils import bulk_update_with_history
from taggit.models import Tag

from credentials import audit
from credentials.bulk import select_in
from credentials.querysets import known_tags, tags_named
from credentials.store import Place
from devices.choices import HostKeyPolicy, HostKeyState, Transport
from devices.configs.store import forget_unused_texts
from devices.connector.target import HostKeyData, HostKeyVerdict, Limits, Target
from devices.models import ConfigVersion, Device, DeviceTag, HostKey
from devices.reach import require_allowed, target_policy

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
# How old "last seen" of a pinned key may be: a night of backups is not ten thousand updates.
_SEEN_EVERY_S = 3600.0


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
    errors = _tag_errors(tags or ())
    was = None if is_new else Device.objects.filter(pk=device.pk).values_list("host", "port").first()
    try:
        device.full_clean()
        if (device.host, device.port) != was:
            require_allowed(device.host, device.port)
    except ValidationError as error:
        raise ValidationError({**error.message_dict, **errors}) from None
    if errors:
        raise ValidationError(errors)
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


def _tag_errors(tags: Sequence[str]) -> dict[str, list[str]]:
    bad = [tag for tag in tags if ";" in tag or "," in tag or len(tag) > 100]
    said = f"A tag has at most 100 characters, no comma and no semicolon: {bad[0][:40]}" if bad else ""
    return {"tags": [said]} if said else {}


# --- many devices at once, in a number of queries that does not grow with them ----------------------
@transaction.atomic
def set_enabled(devices: QuerySet[Device], enabled: bool, user: User | None = None) -> int:
    """Enable or disable devices, each change with its row of history; how many were changed."""
    changed = [device for device in _locked(devices) if device.enabled != enabled]
    now = timezone.now()
    for device in changed:
        device.enabled = enabled
    Device.objects.filter(pk__in=[device.pk for device in changed]).update(enabled=enabled, updated_at=now)
    _note_in_history(changed, user, "Enabled" if enabled else "Disabled")
    return len(changed)


@transaction.atomic
def add_tags(devices: QuerySet[Device], names: Sequence[str], user: User | None = None) -> int:
    """Give tags to devices; those that are there stay. How many got any; ValidationError for a wrong tag."""
    if errors := _tag_errors(names):
        raise ValidationError(errors)
    tags = tags_named(names)
    found = _locked(devices)
    links = DeviceTag.objects.filter(content_object__in=[device.pk for device in found], tag__in=tags)
    there = set(links.values_list("content_object_id", "tag_id"))
    new = [
        DeviceTag(content_object=device, tag=tag)
        for device in found
        for tag in tags
        if (device.pk, tag.pk) not in there
    ]
    DeviceTag.objects.bulk_create(new)
    return _note_tags(found, {link.content_object_id for link in new}, "Tags added", tags, user)


@transaction.atomic
def remove_tags(devices: QuerySet[Device], names: Sequence[str], user: User | None = None) -> int:
    """Take tags away from devices. How many had any of them; ValidationError for a tag that does not exist."""
    tags, missing = known_tags(names)
    if missing:
        raise ValidationError({"tags": f"There is no tag {missing[0]}."})
    found = _locked(devices)
    links = DeviceTag.objects.filter(content_object__in=[device.pk for device in found], tag__in=tags)
    keys = set(links.values_list("content_object_id", flat=True))
    links.delete()
    return _note_tags(found, keys, "Tags removed", tags, user)


def _note_tags(devices: Sequence[Device], keys: set[int], what: str, tags: Sequence[Tag], user: User | None) -> int:
    changed = [device for device in devices if device.pk in keys]
    Device.objects.filter(pk__in=keys).update(updated_at=timezone.now())
    _note_in_history(changed, user, f"{what}: {', '.join(tag.name for tag in tags)}")
    return len(changed)


@transaction.atomic
def delete_devices(devices: QuerySet[Device], user: User | None = None) -> int:
    """Delete devices with all that is theirs, and the configuration texts that nobody else has; how many.

    Results and attempts stay, under the device's name; so does its history, with a last row.
    """
    found = _locked(devices)
    ids = [device.pk for device in found]
    texts = set(ConfigVersion.objects.filter(device__in=ids).values_list("text", flat=True))
    history: Any = Device.history
    now = timezone.now()
    history.model.objects.bulk_create(
        [
            history.model(
                history_date=now,
                history_type="-",
                history_user=user or history.model.get_default_history_user(device),
                **{field.attname: getattr(device, field.attname) for field in history.model.tracked_fields},
            )
            for device in found
        ]
    )
    for device in found:
        device.is_noted_as_deleted = True
    # The instances themselves are collected, since a query set would load others without the mark.
    collector = Collector(using=Device.objects.db)
    collector.collect(found)
    with audit.collected():
        collector.delete()
    forget_unused_texts(texts)
    return len(ids)


def _locked(devices: QuerySet[Device]) -> list[Device]:
    """The devices, whatever filters and prefetches led to them, locked until the transaction ends."""
    keys = list(devices.order_by().values_list("pk", flat=True))
    return list(Device.objects.select_for_update().filter(pk__in=keys).order_by("pk"))


def _note_in_history(devices: Sequence[Device], user: User | None, reason: str) -> None:
    if devices:
        bulk_update_with_history(devices, Device, [], default_user=user, default_change_reason=reason[:100])


# --- what a login needs to know -------------------------------------------------------------------
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
        policy=target_policy(),
    )


# --- host keys ------------------------------------------------------------------------------------
@transaction.atomic
def admit_host_key(device: int, presented: HostKeyData, now: datetime | None = None) -> HostKeyVerdict | None:
    """Let a presented host key pass, pin it at first contact, or queue it and return why it does not pass.

    Called before any secret is opened. A device with a pinned key never gets another one by itself. While another
    key of it waits for a decision, the pinned one does not pass either: somebody stands in its place now and then.
    """
    now = now or timezone.now()
    # The device's row serialises two first contacts at the same moment.
    Device.objects.select_for_update().only("pk").get(pk=device)
    keys = list(HostKey.objects.filter(device=device))
    pinned = [key for key in keys if key.state == HostKeyState.PINNED]
    waiting = max((k for k in keys if k.state == HostKeyState.PENDING), key=lambda k: k.last_seen_at, default=None)
    same = next((k for k in keys if (k.key_type, k.fingerprint) == (presented.key_type, presented.fingerprint)), None)
    if same is not None and same.state == HostKeyState.PINNED:
        if waiting is not None:
            return HostKeyVerdict(
                True,
                f"The device shows the pinned key again, but on {waiting.last_seen_at:%Y-%m-%d %H:%M} UTC it showed "
                f"{waiting.key_type} {waiting.fingerprint}: nobody logs in until that key is approved or rejected.",
            )
        if (now - same.last_seen_at).total_seconds() > _SEEN_EVERY_S:
            HostKey.objects.filter(pk=same.pk).update(last_seen_at=now)
        return None
    if not keys and settings.NETRAVEN_HOST_KEY_POLICY == HostKeyPolicy.FIRST_USE:
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


def admit_host_keys(presented: Sequence[tuple[int, HostKeyData]]) -> list[HostKeyVerdict | None]:
    """`admit_host_key` for many devices: pinned keys and first contacts in a few queries, the others one by one."""
    now = timezone.now()
    old = connection.ops.adapt_datetimefield_value(now - timedelta(seconds=_SEEN_EVERY_S))
    rows = select_in(
        HostKey,
        ["device", "state", "key_type", "public_key", "id"],
        {
            "device": [device for device, _ in presented],
            "state": [HostKeyState.PINNED.value, HostKeyState.PENDING.value],
        },
        extra="last_seen_at < %s",
        values=[old],
    )
    undecided = {device for device, state, *_ in rows if state == HostKeyState.PENDING}
    known = {(row[0], row[2], row[3]): (row[4], row[5]) for row in rows if row[0] not in undecided}
    fresh = _pin_first_contacts([(device, key) for device, key in presented if _of(device, key) not in known], now)
    stale = [pk for pk, is_old in (known[_of(*each)] for each in presented if _of(*each) in known) if is_old]
    HostKey.objects.filter(pk__in=stale).update(last_seen_at=now)
    return [
        None if _of(device, key) in known or _of(device, key) in fresh else admit_host_key(device, key, now)
        for device, key in presented
    ]


_Shown = tuple[int, str, str]


def _of(device: int, key: HostKeyData) -> _Shown:
    return device, key.key_type, key.public_key


def _pin_first_contacts(presented: Sequence[tuple[int, HostKeyData]], now: datetime) -> set[_Shown]:
    """Pin the keys of devices that have shown none before, where the policy allows it; those that were pinned."""
    if not presented or settings.NETRAVEN_HOST_KEY_POLICY != HostKeyPolicy.FIRST_USE:
        return set()
    # The rows of the devices serialise two first contacts at the same moment.
    devices = Device.objects.select_for_update().filter(pk__in=[device for device, _ in presented]).order_by("pk")
    existing = set(devices.values_list("pk", flat=True))
    existing -= set(HostKey.objects.filter(device__in=existing).values_list("device_id", flat=True))
    first = {device: key for device, key in reversed(presented) if device in existing}
    HostKey.objects.bulk_create([_row(device, key, HostKeyState.PINNED, now) for device, key in first.items()])
    return {_of(device, key) for device, key in first.items()}


def _store(device: int, presented: HostKeyData, state: HostKeyState, row: HostKey | None, now: datetime) -> None:
    if row is not None:
        HostKey.objects.filter(pk=row.pk).update(state=state, last_seen_at=now)
    else:
        _row(device, presented, state, now).save()


def _row(device: int, presented: HostKeyData, state: HostKeyState, now: datetime) -> HostKey:
    return HostKey(
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
        retired = sorted(others.filter(state=HostKeyState.PINNED).values_list("fingerprint", flat=True))
        others.filter(state__in=[HostKeyState.PINNED, HostKeyState.PENDING]).update(state=HostKeyState.RETIRED)
        HostKey.objects.filter(pk=key.pk).update(state=HostKeyState.PINNED, decided_by=user, decided_at=now)
        _record_decision("host_key.approved", current, user, retired=retired)


@transaction.atomic
def reject_host_key(key: HostKey, user: User | None) -> None:
    """Take a waiting key out of the queue; the device stays pinned to what it had.

    StaleDecision when the key no longer waits.
    """
    updated = HostKey.objects.filter(pk=key.pk, state=HostKeyState.PENDING).update(
        state=HostKeyState.RETIRED, decided_by=user, decided_at=timezone.now()
    )
    if not updated:
        raise StaleDecision("This key no longer waits for approval: look at the device again.")
    _record_decision("host_key.refused", key, user)


def _record_decision(event: str, key: HostKey, user: User | None, **more: Any) -> None:
    audit.record(event, user=user, device=key.device, key_type=key.key_type, fingerprint=key.fingerprint, **more)
