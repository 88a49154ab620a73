"""Pruning: delete what is older than it has to be kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db.models import Max, Model, QuerySet
from django.utils import timezone

from credentials.audit.retention import prune_due
from credentials.exceptions import CredentialsError
from credentials.retention import settled_logins
from devices.configs.pruning import prune_configs
from jobs.analytics.rollup import counted_up_to
from jobs.kinds.base import Checked, Checkpoint, KindFailed, Parameter
from jobs.models import Attempt, Result, Run
from jobs.outputs import CommandOutput
from jobs.rollups import LoginStep

BATCH = 500
"""Rows in one transaction: some tens of milliseconds, in which nobody else can write on SQLite."""
_RUNS_AT_ONCE = 5  # each of its attempts that stays longer than it is told that it has no run any more


def _days(name: str, label: str, default: int, least: int, help_text: str) -> Parameter:
    return Parameter(name, label, f"Days. {help_text}", type="number", default=default, minimum=least, maximum=36_500)


class Prune(Checked):
    """Deletes in small batches; ended at any moment, it goes on where it was."""

    name = "prune"
    label = "Pruning"
    description = (
        "Delete old runs, results, answers, login attempts, sessions and settled logins of the guard, "
        "and the versions of configurations that no retention rule wants. Works on no device."
    )
    on_devices: Literal[False] = False
    permissions: tuple[str, ...] = ("jobs.delete_run", "devices.delete_configversion")
    parameters: tuple[Parameter, ...] = (
        _days("runs_days", "Keep runs", 400, 7, "Runs and their results; the newest run of each job always stays."),
        _days("outputs_days", "Keep answers", 90, 1, "What devices answered to commands; the results stay longer."),
        _days("attempts_days", "Keep attempts", 400, 30, "Login attempts; their counts by day stay for ever."),
        _days("replay_days", "Keep replays", 400, 30, "Logins by which the advice compares the orders of credentials."),
        _days("guard_days", "Keep guard", 30, 2, "Logins that count against no account's limit any more."),
    )

    def perform(self, parameters: Mapping[str, Any], checkpoint: Checkpoint) -> dict[str, Any]:
        """A checkpoint after each batch; the summary counts what was deleted, by kind of row."""
        now = timezone.now()

        def before(name: str) -> datetime:
            return now - timedelta(days=parameters[name])

        deleted: dict[str, Any] = {}
        steps: list[tuple[str, Callable[[], QuerySet[Any]]]] = [
            ("answers", lambda: CommandOutput.objects.filter(result__finished_at__lt=before("outputs_days"))),
            # What is not counted yet stays until it is, however old it is.
            (
                "attempts",
                lambda: Attempt.objects.filter(started_at__lt=before("attempts_days"), pk__lte=counted_up_to()),
            ),
            ("replays", lambda: LoginStep.objects.filter(at__lt=before("replay_days"))),
            ("results", lambda: Result.objects.filter(run__in=old_runs(before("runs_days")))),
            ("runs", lambda: old_runs(before("runs_days"))),
            ("guard_logins", lambda: settled_logins(before("guard_days"))),
            ("sessions", lambda: Session.objects.filter(expire_date__lt=now)),
        ]
        for name, rows in steps:
            deleted[name] = 0
            while count := _delete_some(rows()):
                deleted[name] += count
                if checkpoint(deleted):
                    return deleted
        deleted |= prune_configs(now, lambda more: checkpoint(deleted | dict(more)))
        if settings.NETRAVEN_AUDIT_KEEP_DAYS and not checkpoint(deleted):
            try:
                deleted["audit_events"] = prune_due(now)
            except CredentialsError as error:
                raise KindFailed(str(error)) from error
        return deleted


def old_runs(before: datetime) -> QuerySet[Run]:
    """Runs that ended before this time, without the newest of each job."""
    newest = Run.objects.exclude(job=None).order_by().values("job").annotate(newest=Max("pk")).values("newest")
    return Run.objects.filter(finished_at__lt=before).exclude(pk__in=newest)


def _delete_some(rows: QuerySet[Any]) -> int:
    """Delete one batch; how many of these rows (not of those that went with them) there were."""
    model: type[Model] = rows.model
    size = _RUNS_AT_ONCE if model is Run else BATCH
    ids = list(rows.order_by("pk").values_list("pk", flat=True)[:size])
    if ids:
        model._default_manager.filter(pk__in=ids).delete()
    return len(ids)
