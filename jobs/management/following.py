"""Following a run from a terminal: the progress bar, the wait for the end, and what came of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NoReturn

from django.conf import settings
from django.core.management.base import OutputWrapper
from django.db import OperationalError, connection
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

from credentials.management.output import FAILED, INTERRUPTED, ReportingCommand
from devices.connector.outcomes import Outcome, info
from jobs.choices import RunStatus, ShardStatus
from jobs.models import Result, Run, Shard, WorkerBeat
from jobs.services import Progress, on_devices, progress

_LOOK_EVERY_S = 0.2
_PATIENCE_WITH_DATABASE_S = 60.0
_WORKER_EXPECTED_WITHIN_S = 10.0
_BEAT_IS_OLD_AFTER = timedelta(seconds=30)


class StillRunning(Exception):
    """The time to wait is over and the run is not; `progress` is how far it is."""

    def __init__(self, progress: Progress) -> None:
        super().__init__("The run goes on.")
        self.progress = progress


def follow(run: Run, stderr: OutputWrapper, timeout_s: float | None = None) -> Progress:
    """Wait until a run has ended, with a progress bar where standard error is a terminal.

    Raises StillRunning after `timeout_s` seconds, and passes KeyboardInterrupt on: the run is left alone.
    """
    end = time.monotonic() + timeout_s if timeout_s is not None else None
    warn_at = time.monotonic() + _WORKER_EXPECTED_WITHIN_S
    warned = False
    with _bar(run) as show:
        while True:
            seen = _patiently(run.pk)
            show(seen)
            if seen.is_finished:
                return seen
            if end is not None and time.monotonic() >= end:
                raise StillRunning(seen)
            if not warned and time.monotonic() >= warn_at and seen.status == RunStatus.QUEUED:
                warned = True
                if not _worker_is_alive():
                    stderr.write("No worker is running: start one with ./manage.py up. Still waiting.")
            time.sleep(_LOOK_EVERY_S)


def _patiently(run: int) -> Progress:
    """How far a run is; a database that is busy is asked again, for a minute."""
    until = time.monotonic() + _PATIENCE_WITH_DATABASE_S
    while True:
        try:
            return progress(run)
        except OperationalError:
            if time.monotonic() > until or connection.in_atomic_block:
                raise
            connection.close()
            time.sleep(_LOOK_EVERY_S)


def _worker_is_alive() -> bool:
    """Whether any host's workers gave a sign of life lately: a heartbeat, or a lease that holds."""
    now = timezone.now()
    return (
        WorkerBeat.objects.filter(answered_at__gt=now - _BEAT_IS_OLD_AFTER).exists()
        or Shard.objects.filter(status=ShardStatus.RUNNING, lease_until__gt=now).exists()
    )


@contextmanager
def _bar(run: Run) -> Iterator[Any]:
    """A function that shows progress on the terminal, or does nothing where there is none."""
    if not sys.stderr.isatty():
        yield lambda seen: None
        return
    bar = Bar(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[counts]}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    with bar:
        task = bar.add_task(f"Run {run.pk}", total=run.device_count, counts="")

        def show(seen: Progress) -> None:
            good = seen.by_outcome.get(Outcome.SUCCESS, 0)
            counts = f"{good} good, {seen.done - good} not" if seen.done else "waiting"
            bar.update(task, completed=seen.done, counts=counts)

        yield show


# --- what came of it --------------------------------------------------------------------------------------


def as_json(run: Run, seen: Progress) -> dict[str, Any]:
    """A run as one object; elapsed_s from the moment it was enqueued to its last result, null until there is one.

    `summary` is there for kinds that work on no device.
    """
    started = seen.is_finished or seen.done > 0
    found = {
        "run": run.pk,
        "status": seen.status,
        "devices": seen.total,
        "by_outcome": seen.by_outcome,
        "elapsed_s": round(seen.elapsed_s, 3) if started else None,
        "message": seen.message,
    }
    return found if on_devices(run.kind) else {**found, "summary": seen.summary}


def results_of(run: Run) -> list[dict[str, Any]]:
    """What happened on each device, by name."""
    rows = Result.objects.filter(run=run).order_by("device_name", "pk")
    return [result_as_json(row) for row in rows.iterator()]


def result_as_json(row: Result) -> dict[str, Any]:
    """What happened on one device; `attempts` is how many logins were made."""
    return {
        "device": row.device_name,
        "outcome": row.outcome or None,
        "credential": row.credential_name or None,
        "attempts": row.login_count,
        "duration_s": row.duration_s,
        "detail": row.detail,
        "advice": row.advice,
    }


def summarise(command: ReportingCommand, run: Run, seen: Progress) -> None:
    """Print how a run ended, in a line and its counts."""
    status = RunStatus(seen.status)
    style = command.style.SUCCESS if status == RunStatus.SUCCEEDED else command.style.ERROR
    size = f"{devices(seen.total)} " if on_devices(run.kind) else ""
    command.stdout.write(
        f"Run {run.pk}, {run.job_name}: {style(status.label.lower())}, {size}in {seen.elapsed_s:.1f} s."
    )
    for name, value in seen.summary.items():
        command.stdout.write(f"{name.replace('_', ' ')}: {value}")
    for outcome, count in sorted(seen.by_outcome.items(), key=lambda item: (-item[1], item[0])):
        command.stdout.write(f"{count:>7}  {info(outcome).label}")
    if seen.message:
        command.stdout.write(seen.message)


def devices(count: int) -> str:
    """How many devices, in words."""
    return "1 device" if count == 1 else f"{count} devices"


def conclude(seen: Progress) -> None:
    """Exit with 1 unless all devices succeeded."""
    if seen.status != RunStatus.SUCCEEDED:
        sys.exit(FAILED)


def leave(command: ReportingCommand, run: Run) -> NoReturn:
    """After Ctrl-C: say that the run goes on, and exit."""
    command.stderr.write(f"No longer waiting; run {run.pk} goes on. {where_to_watch(run)}")
    sys.exit(INTERRUPTED)


def where_to_watch(run: Run) -> str:
    """One sentence with the address of the run's page."""
    host = settings.NETRAVEN_HOST
    shown = f"[{host}]" if ":" in host else host
    try:
        path = reverse("admin:jobs_run_change", args=[run.pk])
    except NoReverseMatch:
        path = "/"
    return f"Watch it at http://{shown}:{settings.NETRAVEN_PORT}{path}"
