"""Fields for times and spans of time: what people type for when something begins and how long it takes."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from unfold.widgets import UnfoldAdminTextInputWidget

from jobs.timing import check_year, in_words, zone_names
from netraven_site.panels.widgets import SuggestInput

_SPAN = re.compile(r"(\d+)\s*([a-z]+)\s*", re.ASCII)
_UNITS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86_400),
    **dict.fromkeys(("w", "week", "weeks"), 7 * 86_400),
}
_MOST_S = 2**31 - 1


class SpanField(forms.CharField):
    """A span of time in words, such as `1 h 30 min`; seconds, or None where nothing is typed."""

    def __init__(self, **kwargs: Any) -> None:
        widget = UnfoldAdminTextInputWidget({"placeholder": kwargs.pop("placeholder", "6 h"), "autocomplete": "off"})
        super().__init__(required=kwargs.pop("required", False), widget=widget, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        """Seconds as words; what was typed as it was typed."""
        return in_words(value) if isinstance(value, int) else value

    def to_python(self, value: Any) -> int | None:  # type: ignore[override]
        """The seconds."""
        text = str(value or "").strip().casefold().replace(",", " ")
        if not text:
            return None
        parts = list(_SPAN.finditer(text))
        if "".join(part.group(0) for part in parts) != text or any(part.group(2) not in _UNITS for part in parts):
            raise ValidationError(f"Write a number with its unit, such as 15 min, 6 h or 1 day, not {text[:40]!r}.")
        seconds = sum(int(part.group(1)) * _UNITS[part.group(2)] for part in parts)
        if seconds > _MOST_S:
            raise ValidationError("That is too long.")
        return seconds


class _LocalTimeInput(UnfoldAdminTextInputWidget):  # type: ignore[misc]
    input_type = "datetime-local"

    def __init__(self) -> None:
        super().__init__({"step": "60", "class": "nr-when"})

    def format_value(self, value: Any) -> Any:
        return f"{value:%Y-%m-%dT%H:%M}" if isinstance(value, datetime) else value


class LocalTimeField(forms.CharField):
    """A time on the clock of a zone that another field names; without a zone of its own."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, widget=_LocalTimeInput(), **kwargs)

    def to_python(self, value: Any) -> datetime | None:  # type: ignore[override]
        """The time as it was typed, to the minute unless seconds were given."""
        text = str(value or "").strip()
        if not text:
            return None
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            raise ValidationError("Write date and time, such as 2027-01-31 02:15.") from None
        if found.tzinfo is not None:
            raise ValidationError("Write the time without a zone; the zone has its own field.")
        return found


def zone_input() -> SuggestInput:
    """The input for a time zone, with every zone suggested."""
    widget = SuggestInput(lambda: ((name, name) for name in sorted(zone_names())))
    widget.attrs["placeholder"] = f"{timezone.get_default_timezone()} (of the server)"
    return widget


def zone_help() -> str:
    """What an empty zone means."""
    return f"Such as Europe/Berlin. Empty: {timezone.get_default_timezone()}, that of the server."


def in_zone(naive: datetime, zone: tzinfo) -> datetime:
    """The moment at which the clock of a zone shows this time, the first where it shows it twice.

    ValidationError where it never does, since the clock jumps over it, and for a year far away.
    """
    check_year(naive)
    moment = naive.replace(tzinfo=zone)
    if moment.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != naive:
        raise ValidationError("There is no such time on that day: the clock jumps over it.")
    return moment


def on_clock(moment: datetime | None, zone: tzinfo) -> datetime | None:
    """What the clock of a zone shows at a moment, without the zone."""
    return moment.astimezone(zone).replace(tzinfo=None) if moment is not None else None
