"""What devices said about themselves: on the page of one, and as column and filters of their list."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from devices.facts import DeviceFacts, hostname_differs
from devices.models import Device
from netraven_site.panels import cells
from netraven_site.panels.filters import BarFilter, distinct

_SHOWN = 10


def facts_of(device: Device) -> dict[str, Any]:
    """The facts of now, whether its hostname is another than its name, and what they were before; one query."""
    rows = list(DeviceFacts.objects.filter(device=device).order_by("-id")[:_SHOWN])
    current = rows[0] if rows and rows[0].is_current else None
    return {
        "current": current,
        "differs": current is not None and hostname_differs(device.name, current.hostname),
        "rows": rows,
    }


# --- in the list of devices -----------------------------------------------------------------------------
def with_facts(devices: QuerySet[Device]) -> QuerySet[Device]:
    """One query for the facts of a whole page."""
    return devices.prefetch_related(Prefetch("facts", DeviceFacts.objects.current(), to_attr="current_facts"))


def system(device: Any) -> SafeString:
    """Model and version of a device of `with_facts`; another hostname than its name is flagged."""
    if not device.current_facts:
        return cells.DASH
    facts: DeviceFacts = device.current_facts[0]
    shown = cells.cut(" ".join(word for word in (facts.model or facts.vendor, facts.version) if word))
    if not hostname_differs(device.name, facts.hostname):
        return shown
    return format_html("{} {}", cells.toned("other name", "passing", f"It calls itself {facts.hostname}"), shown)


class _OfFacts(BarFilter):
    """Devices whose facts of now have this value in the field of the parameter."""

    is_more = True

    def options(self) -> list[tuple[str, str]]:
        """Each value that there is."""
        field = str(self.parameter_name)
        return distinct(DeviceFacts.objects.current().exclude(**{field: ""}), field)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Devices with it."""
        if not self.value():
            return queryset
        return _of(queryset, DeviceFacts.objects.current().filter(**{str(self.parameter_name): self.value()}))


class Vendor(_OfFacts):
    """Who made a device."""

    title = "vendor"
    parameter_name = "vendor"


class Model(_OfFacts):
    """Its model."""

    title = "model"
    parameter_name = "model"


class OsVersion(BarFilter):
    """The version of its operating system: `<9.3`, `>=17.9`, or how it begins."""

    is_more = True
    kind = "text"
    title = "version, <9.3"
    parameter_name = "version"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Compared as versions are; a word that cannot be is refused with a message, and finds nothing."""
        if not self.value():
            return queryset
        try:
            return _of(queryset, DeviceFacts.objects.current().of_version(str(self.value())))
        except ValueError as error:
            if str(error) not in {str(each) for each in messages.get_messages(request)}:
                messages.error(request, str(error))
            return queryset.none()


class NameDiffers(BarFilter):
    """Devices that call themselves otherwise than the inventory does."""

    is_more = True
    title = "hostname"
    parameter_name = "hostname"

    def options(self) -> list[tuple[str, str]]:
        """Another one, or the same."""
        return [("other", "not the name here"), ("same", "as here")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Those that said a hostname."""
        if self.value() not in {"other", "same"}:
            return queryset
        found = DeviceFacts.objects.current().exclude(hostname="")
        return _of(queryset, found.with_other_hostname(self.value() == "other"))


def _of(devices: QuerySet[Any], facts: QuerySet[DeviceFacts]) -> QuerySet[Any]:
    return devices.filter(pk__in=facts.order_by().values("device"))
