"""Changing the table of platforms in the portal: tried as a whole before anything is written, and audited."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Count, QuerySet

from credentials import audit
from devices import platforms_table
from devices.connector.platform_trial import require_quick
from devices.connector.platforms import PlatformTableError, Source, Table, read_table
from devices.models import Device
from devices.platforms_overrides import PlatformOverride

if TYPE_CHECKING:
    from django.contrib.auth.models import User

CHANGE: Final = "devices.change_platformoverride"
VIEW: Final = "devices.view_platformoverride"
MOST_CHARACTERS: Final = 100_000
_CANNOT_TRY: Final = "The patterns could not be tried in time; nothing was saved. Try again, with fewer of them."


def platform_named(text: str) -> str:
    """The platform that this TOML is about; ValidationError unless it is about exactly one."""
    if len(text) > MOST_CHARACTERS:
        raise ValidationError({"text": f"At most {MOST_CHARACTERS:,} characters."})
    try:
        data: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValidationError({"text": f"This is not valid TOML: {error}"}) from error
    named = data.get("platforms")
    if set(data) != {"platforms"} or not isinstance(named, dict) or len(named) != 1:
        raise ValidationError(
            {"text": "Write the rules of one platform: [platforms.NAME] and what is different or new below it."}
        )
    return str(next(iter(named)))


def draft(text: str, row: PlatformOverride | None = None) -> list[Source]:
    """All that would be laid over the shipped table with this TOML in place of the row's.

    ValidationError says what is wrong. The patterns are tried for time as well, in another process for some tenths
    of a second.
    """
    name = platform_named(text)
    if row is not None and row.name and row.name != name:
        raise ValidationError({"text": f"These are the rules of {row.name}. Add {name} as a platform of its own."})
    others = PlatformOverride.objects.exclude(name=name).filter(enabled=True)
    sources = [*_sources(others), platforms_table.source_of(name, text)]
    try:
        table = _table(sources)
    except ValidationError as error:
        raise ValidationError({"text": error.messages}) from error
    own = {each: place for each, place in table.own_patterns.items() if platforms_table.is_in_database(place)}
    try:
        require_quick(own)
    except PlatformTableError as error:
        raise ValidationError({"text": str(error)}) from error
    except TimeoutError:
        raise ValidationError({"text": _CANNOT_TRY}) from None
    return [*platforms_table.files(), *sources]


def save_override(row: PlatformOverride, *, text: str, enabled: bool = True, user: User | None) -> PlatformOverride:
    """Make or change the rules of a platform; ValidationError by field. Counts in every process within seconds."""
    text = text.replace("\r\n", "\n").strip() + "\n"
    name = platform_named(text)
    draft(text, row)
    with transaction.atomic():
        if not row.pk and PlatformOverride.objects.filter(name=name).exists():
            raise ValidationError({"text": f"There are rules of {name} already: change those."})
        if row.pk:
            row.revision = PlatformOverride.objects.select_for_update().get(pk=row.pk).revision + 1
        row.name, row.text, row.enabled, row.changed_by = name, text, enabled, user
        row.full_clean()
        if not enabled:
            _require_rest(row)
        row.save()
        audit.record("platform.saved", user=user, name=name, enabled=enabled, revision=row.revision)
        transaction.on_commit(_take_over)
    return row


@transaction.atomic
def disable(row: PlatformOverride, *, user: User | None = None, actor: str = "") -> None:
    """Leave a row out though it may not even fit any more; the way back when nothing starts."""
    PlatformOverride.objects.select_for_update().get(pk=row.pk)
    row.enabled = False
    row.revision += 1
    row.save()
    audit.record("platform.disabled", user=user, actor=actor, name=row.name)
    transaction.on_commit(_take_over)


@transaction.atomic
def delete_overrides(rows: Sequence[PlatformOverride], *, user: User | None) -> None:
    """Go back to what is shipped and in files; ValidationError while a device or another platform needs a row."""
    for row in rows:
        _require_rest(row)
        name = row.name
        row.delete()
        audit.record("platform.deleted", user=user, name=name)
    transaction.on_commit(_take_over)


def devices_of(names: Sequence[str] | None = None) -> dict[str, int]:
    """How many devices have each platform, of these or of all."""
    found = Device.objects.all() if names is None else Device.objects.filter(platform__in=names)
    return dict(found.order_by().values_list("platform").annotate(n=Count("pk")))


def _require_rest(row: PlatformOverride) -> None:
    """Refuse to be without a row that others are built on, or devices have."""
    rest = _table(_sources(PlatformOverride.objects.exclude(pk=row.pk).filter(enabled=True)))
    if row.name not in rest.platforms and (count := devices_of([row.name]).get(row.name, 0)):
        raise ValidationError(f"Devices have the platform {row.name} ({count:,}): give them another one first.")


def _sources(rows: QuerySet[PlatformOverride]) -> list[Source]:
    return [platforms_table.source_of(row.name, row.text) for row in rows.order_by("name")]


def _table(sources: Sequence[Source]) -> Table:
    try:
        return read_table(*platforms_table.files(), *sources)
    except PlatformTableError as error:
        raise ValidationError(str(error)) from error


def _take_over() -> None:
    platforms_table.refresh(at_once=True)
