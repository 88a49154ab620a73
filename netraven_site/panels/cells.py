"""How single values look, in lists and in pages alike: tones, times, identifiers, texts that are cut.

Every function escapes what it is given; what devices say is hostile.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from devices.choices import HostKeyState
from devices.connector.outcomes import INFO, Tone, info
from jobs.choices import RunStatus

DASH = mark_safe('<span class="nr-none">–</span>')

RUN_TONES: dict[str, Tone] = {
    RunStatus.QUEUED: Tone.UNKNOWN,
    RunStatus.RUNNING: Tone.UNKNOWN,
    RunStatus.SUCCEEDED: Tone.GOOD,
    RunStatus.PARTIAL: Tone.PASSING,
    RunStatus.FAILED: Tone.FAILED,
    RunStatus.CANCELLED: Tone.UNKNOWN,
    RunStatus.PAUSED: Tone.HELD,
    RunStatus.SKIPPED: Tone.UNKNOWN,
}
KEY_TONES: dict[str, Tone] = {
    HostKeyState.PINNED: Tone.GOOD,
    HostKeyState.PENDING: Tone.HELD,
    HostKeyState.RETIRED: Tone.UNKNOWN,
}
TONE_LABELS: dict[Tone, str] = {
    Tone.GOOD: "Good",
    Tone.PASSING: "Passing failure",
    Tone.FAILED: "Failed",
    Tone.HELD: "Held",
    Tone.UNKNOWN: "Not tried",
}


def none(word: str) -> SafeString:
    """What stands in a cell that has nothing to show."""
    return format_html('<span class="nr-none">{}</span>', word)


def toned(label: object, tone: str, title: str = "") -> SafeString:
    """A state: a word, with a colour that is never alone."""
    return format_html('<span class="nr-tone nr-{}" title="{}">{}</span>', tone, title, label)


def outcome(value: str, title: str | None = None) -> SafeString:
    """An outcome class in its tone; the title is its advice unless another is given."""
    if not value:
        return toned("Not tried", Tone.UNKNOWN)
    known = info(value)
    return toned(known.label, known.tone, known.advice if title is None else title)


def run_status(value: str) -> SafeString:
    """The status of a run in its tone."""
    label = RunStatus(value).label if value in RunStatus.values else value
    live = " nr-live" if value in {RunStatus.RUNNING, RunStatus.QUEUED} else ""
    return toned(label, f"{RUN_TONES.get(value, Tone.UNKNOWN)}{live}")


def key_state(value: str) -> SafeString:
    """The state of a host key in its tone."""
    label = HostKeyState(value).label if value in HostKeyState.values else value
    return toned(label, KEY_TONES.get(value, Tone.UNKNOWN))


def outcomes_of(tone: str) -> list[str]:
    """The outcome classes of a tone; `unknown` has the empty one too, of what was never tried."""
    found = [value.value for value, known in INFO.items() if known.tone == tone]
    return ["", *found] if tone == Tone.UNKNOWN else found


def absolute(when: datetime) -> str:
    """A time with its zone, for titles."""
    return f"{timezone.localtime(when):%Y-%m-%d %H:%M:%S %Z}"


def since(when: datetime, now: datetime | None = None) -> str:
    """How long ago, in words: `12 min ago`; also `in 5 min`."""
    seconds = ((now or timezone.now()) - when).total_seconds()
    span, past = abs(seconds), seconds >= 0
    if span < 10:
        return "just now"
    for limit, unit, word in ((60, 1, "s"), (3600, 60, "min"), (86_400, 3600, "h"), (86_400 * 30, 86_400, "days")):
        if span < limit:
            number = int(span // unit)
            word = "day" if word == "days" and number == 1 else word
            return f"{number} {word} ago" if past else f"in {number} {word}"
    return f"{timezone.localtime(when):%Y-%m-%d}"


def ago(when: datetime | None, empty: str = "never") -> SafeString:
    """A time relative to now, with the absolute one in its title."""
    if when is None:
        return none(empty)
    return format_html(
        '<time class="nr-ago" datetime="{}" title="{}">{}</time>', when.isoformat(), absolute(when), since(when)
    )


def moment(when: datetime) -> SafeString:
    """A time as such, with how far away it is."""
    return format_html('<time datetime="{}">{}</time>, {}', when.isoformat(), absolute(when), since(when))


def window_state(until: datetime | None) -> SafeString:
    """Whether a maintenance window is open, and until when on the clock of its zone."""
    if until is None:
        return toned("closed", Tone.UNKNOWN)
    return toned(f"open until {until:%H:%M %Z}", Tone.HELD, absolute(until))


def span(seconds: float | None) -> str:
    """A duration in words: `850 ms`, `3.2 s`, `2 min 10 s`, `1 h 5 min`, `12 days 3 h`."""
    if seconds is None:
        return "–"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days:,} days {hours} h" if hours else f"{days:,} days"


def size(count: int) -> str:
    """Bytes in words."""
    if count < 1024:
        return f"{count} B"
    return f"{count / 1024:.1f} KB" if count < 1024 * 1024 else f"{count / 1024 / 1024:.1f} MB"


def number(value: object) -> SafeString:
    """A number, aligned to the right."""
    return format_html('<span class="nr-num">{}</span>', f"{value:,}" if isinstance(value, int) else value)


def code(value: object) -> SafeString:
    """An identifier in the fixed-width face, cut with a title where there is no room."""
    return format_html('<span class="nr-id nr-cut" title="{0}">{0}</span>', value) if value else DASH


def cut(value: object, title: str = "") -> SafeString:
    """A text on one line, cut where there is no room; the whole of it in its title."""
    text = " ".join(str(value).split())
    return format_html('<span class="nr-cut" title="{}">{}</span>', title or text, text) if text else DASH


def tags(names: Iterable[str]) -> SafeString:
    """Tags as chips on one line."""
    found = list(names)
    if not found:
        return DASH
    chips = format_html_join(" ", '<span class="nr-tag">{}</span>', ((name,) for name in found))
    return format_html('<span class="nr-tags nr-cut" title="{}">{}</span>', ", ".join(found), chips)


def link(url: str, label: object) -> SafeString:
    """A link on one line."""
    return format_html('<a class="nr-link nr-cut" href="{}">{}</a>', url, label)


def words(items: Iterable[str], empty: str = "nothing") -> str:
    """A list in words: `a, b and c`."""
    found = list(items)
    if len(found) < 2:
        return found[0] if found else empty
    return f"{', '.join(found[:-1])} and {found[-1]}"


def counted(count: int, noun: str, plural: str = "") -> str:
    """A number with its noun: `1 device`, `24 devices`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
