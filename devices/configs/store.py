"""Configuration versions in the database: each distinct text once, complete only under seal."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from credentials import keyring
from credentials.fields import open_bytes, seal_bytes
from devices.configs.diff import DiffLine, summary, unified
from devices.configs.normalise import normalise
from devices.configs.redact import redact
from devices.models import ConfigText, ConfigVersion

_SUMMARY_LENGTH = 200


@dataclass(frozen=True)
class PreparedText:
    """A text ready to be stored; prepared outside the database, since it takes the time."""

    complete: bytes
    shown: str
    digest: str
    compared: str
    platform: str


@dataclass(frozen=True)
class SavedVersion:
    """The version that a text became or already was."""

    version: ConfigVersion
    changed: bool


def prepare(text: str, platform: str) -> PreparedText:
    """Normalise, redact and hash a cleaned text."""
    ring = keyring.current()
    complete = text.encode("utf-8")
    return PreparedText(
        complete=complete,
        shown=redact(text, platform, ring.fingerprint),
        digest=ring.digest(complete),
        compared=ring.digest(normalise(text, platform).encode("utf-8")),
        platform=platform,
    )


@transaction.atomic
def save_version(device: int, kind: str, text: PreparedText, seen_at: datetime | None = None) -> SavedVersion:
    """Store a text as a version of the device, or move the last version's `last seen` when nothing changed."""
    seen_at = seen_at or timezone.now()
    last = latest(device, kind)
    if last is not None and last.compared == text.compared:
        ConfigVersion.objects.filter(pk=last.pk).update(last_seen_at=seen_at)
        last.last_seen_at = seen_at
        return SavedVersion(last, changed=False)
    number = ConfigVersion.objects.filter(device=device, kind=kind).aggregate(n=Max("number"))["n"] or 0
    said = summary(version_text(last), text.shown, text.platform) if last else ""
    version = ConfigVersion.objects.create(
        device_id=device,
        kind=kind,
        number=number + 1,
        text=_stored(text),
        compared=text.compared,
        summary=said[:_SUMMARY_LENGTH],
        first_seen_at=seen_at,
        last_seen_at=seen_at,
    )
    return SavedVersion(version, changed=True)


def _stored(text: PreparedText) -> ConfigText:
    found = ConfigText.objects.filter(digest=text.digest).first()
    if found is not None:
        return found
    row = ConfigText(
        digest=text.digest,
        packed=zlib.compress(text.shown.encode("utf-8"), 6),
        size=len(text.complete),
        lines=text.shown.count("\n") + (not text.shown.endswith("\n")),
    )
    row.sealed = seal_bytes(row, "sealed", zlib.compress(text.complete, 6))
    row.save()
    return row


def version_text(version: ConfigVersion) -> str:
    """The text of a version with each secret as a placeholder."""
    return zlib.decompress(version.text.packed).decode("utf-8")


def complete_text(version: ConfigVersion) -> str:
    """The complete text, secrets included; the caller checks the right to it and leaves an audit row."""
    return zlib.decompress(open_bytes(version.text, "sealed")).decode("utf-8")


def latest(device: int, kind: str = "running") -> ConfigVersion | None:
    """The last good version of a device."""
    versions = ConfigVersion.objects.filter(device=device, kind=kind).select_related("text")
    return versions.order_by("-number").first()


def last_text(device: int, kind: str = "running") -> str | None:
    """The text of the last good version, secrets as placeholders."""
    version = latest(device, kind)
    return version_text(version) if version else None


def by_number(device: int, number: int, kind: str = "running") -> ConfigVersion | None:
    """The version of that number, if there is one."""
    return ConfigVersion.objects.filter(device=device, kind=kind, number=number).select_related("text").first()


def diff_versions(before: ConfigVersion, after: ConfigVersion, context: int = 3) -> list[DiffLine]:
    """What changed between two versions, secrets as placeholders."""
    return unified(version_text(before), version_text(after), context)
