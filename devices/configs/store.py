"""Configuration versions in the database: each distinct text once, complete only under seal."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from credentials import keyring
from credentials.fields import open_bytes, seal_bytes
from credentials.grants import Grant
from devices.configs import index
from devices.configs.authors import LastChange, last_change
from devices.configs.diff import DiffLine, summary, unified
from devices.configs.normalise import normalise
from devices.configs.redact import redact
from devices.models import ConfigText, ConfigVersion

SUMMARY_LENGTH = 200
IN_TURN = threading.Lock()
"""Held while a text is got ready: threads that all do so at once, as they do after a command that takes all devices
equally long, would each get on slowly, and need memory for their intermediate results at the same time."""
# Half the time of level 6 and a tenth more bytes; any level is read by the same call.
_LEVEL = 3


@dataclass(frozen=True)
class PreparedText:
    """A text ready to be stored; prepared outside the database, since it takes the time."""

    complete: bytes = field(repr=False)
    digest: str
    compared: str
    platform: str
    change: LastChange = field(default_factory=LastChange)
    """Who changed it, as the device says."""

    @cached_property
    def shown(self) -> str:
        """The text with a placeholder for each secret; made when it is first asked for, which takes the time."""
        return redact(self.complete.decode("utf-8"), self.platform, keyring.current().fingerprint)


@dataclass(frozen=True)
class LastVersion:
    """What is known of a device's last version before it is worked on."""

    number: int
    compared: str
    size: int
    digest: str


@dataclass(frozen=True)
class SavedVersion:
    """The version that a text became or already was."""

    version: ConfigVersion
    changed: bool


def prepare(text: str, platform: str, last: LastVersion | None = None) -> PreparedText:
    """Normalise and hash a cleaned text; one that is to the byte what the last version is needs no comparison."""
    ring = keyring.current()
    complete = text.encode("utf-8")
    digest = ring.digest(complete)
    if last is not None and last.digest == digest:
        compared = last.compared
    else:
        with IN_TURN:
            compared = ring.digest(normalise(text, platform).encode("utf-8"))
    return PreparedText(
        complete=complete,
        digest=digest,
        compared=compared,
        platform=platform,
        change=last_change(text),
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
    said = summary_of(version_text(last) if last else None, text)
    version = ConfigVersion.objects.create(
        device_id=device,
        kind=kind,
        number=number + 1,
        text=store_text(text),
        compared=text.compared,
        summary=said,
        changed_by=text.change.who,
        changed_said=text.change.when,
        first_seen_at=seen_at,
        last_seen_at=seen_at,
    )
    return SavedVersion(version, changed=True)


def store_text(text: PreparedText) -> ConfigText:
    """The row of a text, stored now unless it was before; within a transaction."""
    # Locked, so that nobody takes it away as unused before its new version is written.
    found = ConfigText.objects.select_for_update().filter(digest=text.digest).first()
    if found is not None:
        return found
    row = new_text(text)
    row.save()
    return row


def summary_of(before: str | None, text: PreparedText) -> str:
    """In one line, what changed since the text before (secrets as placeholders); empty for a first one."""
    return summary(before, text.shown, text.platform)[:SUMMARY_LENGTH] if before else ""


def new_text(text: PreparedText) -> ConfigText:
    """The row of a text, packed and sealed, not stored yet."""
    row = ConfigText(
        digest=text.digest,
        packed=zlib.compress(text.shown.encode("utf-8"), _LEVEL),
        size=len(text.complete),
        lines=text.shown.count("\n") + (not text.shown.endswith("\n")),
    )
    row.sealed = seal_bytes(row, "sealed", zlib.compress(text.complete, _LEVEL))
    return row


@transaction.atomic
def forget_unused_texts(texts: Collection[int]) -> int:
    """Delete those of these texts that no version has any more, and nothing kept aside; how many."""
    locked = list(ConfigText.objects.select_for_update().filter(pk__in=texts).values_list("pk", flat=True))
    unused = list(ConfigText.objects.filter(pk__in=locked, versions=None, kept_aside=None).values_list("pk", flat=True))
    index.forget(unused)
    ConfigText.objects.filter(pk__in=unused).delete()
    return len(unused)


def version_text(version: ConfigVersion) -> str:
    """The text of a version with each secret as a placeholder."""
    return zlib.decompress(version.text.packed).decode("utf-8")


def complete_text(version: ConfigVersion, grant: Grant) -> str:
    """The complete text, secrets included; the caller checks the right to it, and has the look on record."""
    return zlib.decompress(open_bytes(version.text, "sealed", grant)).decode("utf-8")


def latest(device: int, kind: str = "running") -> ConfigVersion | None:
    """The last good version of a device."""
    versions = ConfigVersion.objects.filter(device=device, kind=kind).select_related("text")
    return versions.order_by("-number").first()


def last_text(device: int, kind: str = "running") -> str | None:
    """The text of the last good version, secrets as placeholders."""
    versions = ConfigVersion.objects.filter(device=device, kind=kind).order_by("-number")
    packed = versions.values_list("text__packed", flat=True).first()
    return zlib.decompress(packed).decode("utf-8") if packed is not None else None


def by_number(device: int, number: int, kind: str = "running") -> ConfigVersion | None:
    """The version of that number, if there is one."""
    return ConfigVersion.objects.filter(device=device, kind=kind, number=number).select_related("text").first()


def diff_versions(before: ConfigVersion, after: ConfigVersion, context: int = 3) -> list[DiffLine]:
    """What changed between two versions, secrets as placeholders."""
    return unified(version_text(before), version_text(after), context)


def heading(version: ConfigVersion) -> str:
    """The name of a version at the head of a diff."""
    return f"{version.device.name}/{version.kind}/{version.number}\t{version.first_seen_at:%Y-%m-%d %H:%M:%S %z}"
