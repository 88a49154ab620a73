"""Runs in numbers: devices by outcome and tone, who started them, how long they took."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.db.models import Count, QuerySet
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from devices.connector.outcomes import Outcome, Tone, info
from jobs.choices import RUN_FINISHED, ResultStatus, Trigger
from jobs.kinds import KINDS
from jobs.models import Result, Run
from jobs.services import on_devices
from netraven_site.panels import cells

_WORST_FIRST = (Tone.FAILED, Tone.HELD, Tone.PASSING, Tone.UNKNOWN, Tone.GOOD)
_TONE_ORDER = {tone: number for number, tone in enumerate(_WORST_FIRST)}
_SHOWN_CLASSES = 4


def tone_counts(by_outcome: dict[str, int]) -> dict[Tone, int]:
    """Devices by tone, the worst first."""
    found: dict[Tone, int] = defaultdict(int)
    for outcome, count in by_outcome.items():
        found[info(outcome).tone] += count
    return {tone: found[tone] for tone in _TONE_ORDER if found[tone]}


def outcome_counts(runs: Iterable[int]) -> dict[int, dict[str, int]]:
    """Devices by outcome of each of these runs, in one query."""
    found: dict[int, dict[str, int]] = defaultdict(dict)
    done = Result.objects.filter(run__in=list(runs), status=ResultStatus.DONE).order_by()
    for run, outcome, count in done.values_list("run", "outcome").annotate(n=Count("pk")):
        found[run][outcome] = count
    return found


def by_rank(by_outcome: dict[str, int]) -> list[str]:
    """The outcome classes, the worst tone first and the commonest first within it."""
    return sorted(by_outcome, key=lambda each: (_TONE_ORDER[info(each).tone], -by_outcome[each]))


def tally(by_outcome: dict[str, int]) -> SafeString:
    """Numbers of devices by outcome class in their tones: what worked, then the worst first."""
    if not by_outcome:
        return cells.DASH
    order = sorted(by_rank(by_outcome), key=lambda each: each != Outcome.SUCCESS)
    parts = [(info(each).tone.value, f"{by_outcome[each]:,}", info(each).label.lower()) for each in order]
    title = ", ".join(f"{count} {label}" for _, count, label in parts)
    shown = format_html_join(" ", '<span class="nr-count nr-{}"><b>{}</b> {}</span>', parts[:_SHOWN_CLASSES])
    more = f" +{len(parts) - _SHOWN_CLASSES}" if len(parts) > _SHOWN_CLASSES else ""
    return format_html('<span class="nr-cut" title="{}">{}{}</span>', title, shown, more)


def duration(run: Run) -> str:
    """How long a run took; empty while it runs."""
    if run.finished_at is None or run.status not in RUN_FINISHED:
        return ""
    return cells.span((run.finished_at - run.created_at).total_seconds())


def kind_label(kind: str) -> str:
    """A kind in words; one that is gone by its name."""
    return KINDS[kind].label if kind in KINDS else kind


def started_by(run: Run) -> str:
    """Who or what started a run."""
    label = Trigger(run.trigger).label if run.trigger in Trigger.values else run.trigger
    if run.trigger == Trigger.PERSON and run.requested_by_name:
        return run.requested_by_name
    return f"{label}, {run.requested_by_name}" if run.requested_by_name else str(label)


def rows_of(runs: QuerySet[Run]) -> list[dict[str, Any]]:
    """Runs with their numbers for a table, in two queries."""
    found = list(runs)
    counts = outcome_counts(run.pk for run in found)
    return [
        {
            "run": run,
            "kind": kind_label(run.kind),
            "by": started_by(run),
            "tally": tally(counts[run.pk]) if run.pk in counts else cells.cut(run.message),
            "devices": cells.number(run.device_count) if on_devices(run.kind) else cells.DASH,
            "duration": duration(run),
        }
        for run in found
    ]
