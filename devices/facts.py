"""What devices said about themselves, and since when: one row for each distinct answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Self

from django.db import models, transaction
from django.db.models import F, Q, Value
from django.db.models.functions import Concat, Lower, StrIndex, Substr
from django.utils import timezone

from devices.versions import version_key

IDENTITY = ("vendor", "model", "serial", "version", "hostname")
"""What makes two answers different; the uptime alone does not."""
_LONGEST = 100
COMPARISONS: Final[Mapping[str, str]] = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}
_COMPARED: Final = re.compile(r"\s*(<=|>=|<|>)?\s*(.*?)\s*", re.DOTALL)


class FactsQuerySet(models.QuerySet["DeviceFacts"]):
    """Facts by what they say."""

    def current(self) -> Self:
        """What is true now, as far as anybody knows."""
        return self.filter(is_current=True)

    def matching(self, **wanted: Any) -> Self:
        """By values of `IDENTITY` without regard to case, `version__lt` and its like, and `hostname_differs`."""
        rows = self
        for name, value in wanted.items():
            field, _, comparison = name.partition("__")
            if comparison:
                rows = rows.by_version(comparison, value)
            elif name == "hostname_differs":
                rows = rows.exclude(hostname="").with_other_hostname(value)
            else:
                rows = rows.filter(**{f"{field}__iexact": value})
        return rows

    def of_version(self, wanted: str) -> Self:
        """By version: `<9.3`, `<=`, `>`, `>=` compare as versions are ordered; anything else is its beginning.

        ValueError when there is nothing to compare with. What has no version is older than nothing.
        """
        sign, version = _parts(wanted)
        if not sign:
            return self.filter(version__istartswith=version) if version else self
        return self.by_version(COMPARISONS[sign], version)

    def by_version(self, comparison: str, version: str) -> Self:
        """Versions that are `lt`, `lte`, `gt` or `gte` this one; ValueError when it has no number in it."""
        key = version_key(version)
        if not key:
            raise ValueError(f"There is no number in the version {version[:40]!r}: write one such as 9.3(5).")
        return self.filter(**{f"version_key__{comparison}": key}).exclude(version_key="")

    def with_other_hostname(self, differs: bool = True) -> Self:
        """Those whose device calls itself otherwise than the inventory does; see `hostname_differs`."""
        rows = self.annotate(_own=Lower("hostname"), _ours=Lower("device__name"))
        rows = rows.annotate(_own_host=_before_dot("_own"), _our_host=_before_dot("_ours"))
        both_whole = Q(_own__contains=".") & Q(_ours__contains=".")
        same = (both_whole & Q(_own=F("_ours"))) | (~both_whole & Q(_own_host=F("_our_host"))) | Q(hostname="")
        return rows.filter(~same if differs else same)


def _before_dot(name: str) -> Substr:
    return Substr(F(name), 1, StrIndex(Concat(F(name), Value(".")), Value(".")) - 1)


def _parts(wanted: str) -> tuple[str, str]:
    found = _COMPARED.fullmatch(wanted)
    return (found[1] or "", found[2]) if found else ("", "")


class DeviceFacts(models.Model):
    """Vendor, model, serial number, version and hostname of a device, from when until when it said so."""

    device = models.ForeignKey("devices.Device", on_delete=models.CASCADE, related_name="facts")
    vendor = models.CharField(max_length=_LONGEST, blank=True)
    model = models.CharField(max_length=_LONGEST, blank=True)
    serial = models.CharField("serial number", max_length=_LONGEST, blank=True)
    version = models.CharField(max_length=_LONGEST, blank=True)
    version_key = models.CharField(max_length=255, blank=True, editable=False, help_text="orders as versions do")
    hostname = models.CharField(max_length=_LONGEST, blank=True)
    uptime_s = models.PositiveBigIntegerField("uptime", null=True, help_text="seconds, when it was last seen")
    is_current = models.BooleanField(default=True)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()

    objects = FactsQuerySet.as_manager()

    class Meta:
        ordering = ["device", "-id"]
        verbose_name = "facts of a device"
        verbose_name_plural = "facts of devices"
        constraints = [
            models.UniqueConstraint(fields=["device"], condition=Q(is_current=True), name="one_current_facts_a_device"),
        ]
        indexes = [
            models.Index(fields=["model"], name="facts_model"),
            models.Index(fields=["version"], name="facts_version"),
            models.Index(fields=["version_key"], name="facts_version_key"),
            models.Index(fields=["serial"], name="facts_serial"),
        ]

    def __str__(self) -> str:
        return " ".join(word for word in (self.vendor, self.model, self.version) if word) or "nothing known"

    @property
    def hostname_differs(self) -> bool:
        """Whether the device calls itself otherwise than the inventory does."""
        return hostname_differs(self.device.name, self.hostname)


@transaction.atomic
def save_facts(device: int, facts: Mapping[str, Any], seen_at: datetime | None = None) -> DeviceFacts | None:
    """Keep what a device said; None when it said nothing, or is gone. Doing it twice changes nothing.

    What is not in `facts` is not known this time, which is no change: it stays as it was, unless the serial number
    says that this is another device.
    """
    from devices.models import Device  # that module imports this one

    seen_at = seen_at or timezone.now()
    said = {name: str(facts[name])[:_LONGEST] for name in IDENTITY if facts.get(name)}
    # The device's row serialises two runs that read the same device.
    if not said or Device.objects.select_for_update().only("pk").filter(pk=device).first() is None:
        return None
    uptime = facts.get("uptime_s")
    current = DeviceFacts.objects.filter(device=device, is_current=True).first()
    if current is not None:
        if all(getattr(current, name) in ("", value) for name, value in said.items()):
            for name, value in said.items():
                setattr(current, name, value)
            current.version_key = version_key(current.version)
            current.last_seen_at = max(current.last_seen_at, seen_at)
            current.uptime_s = uptime if uptime is not None else current.uptime_s
            current.save(update_fields=[*said, "version_key", "last_seen_at", "uptime_s"])
            return current
        DeviceFacts.objects.filter(pk=current.pk).update(is_current=False)
        if not current.serial or said.get("serial", current.serial) == current.serial:
            said = {name: getattr(current, name) for name in IDENTITY} | said
    return DeviceFacts.objects.create(
        device_id=device,
        **said,
        version_key=version_key(said.get("version", "")),
        uptime_s=uptime,
        first_seen_at=seen_at,
        last_seen_at=seen_at,
    )


def hostname_differs(name: str, hostname: str) -> bool:
    """Whether a device calls itself otherwise than the inventory does; case and domain do not count."""
    if not hostname:
        return False
    ours, own = name.strip().lower(), hostname.strip().lower()
    if "." in ours and "." in own:
        return ours != own
    return ours.split(".")[0] != own.split(".")[0]
