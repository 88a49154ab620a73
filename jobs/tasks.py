"""What django-q may call: ids in, nothing out."""

from __future__ import annotations

import logging

logger = logging.getLogger(__name__)


def run_shard(shard_id: int) -> None:
    """Work on one shard of a run."""
    from jobs.engine.shard import run_shard as work

    work(shard_id)


def heartbeat(host: str) -> None:
    """Prove that tasks run on this host, find shards that lost their worker, start what is due, count new logins."""
    from django.utils import timezone

    from credentials.audit import anchors
    from devices.configs.index import index_latest
    from jobs.analytics.rollup import roll_up
    from jobs.engine import beat, runs
    from jobs.schedules import start_due

    beat.answer(host)
    for chore in (
        runs.recover,
        lambda: start_due(timezone.now()),
        anchors.anchor_if_due,
        lambda: roll_up(limit_s=2.0),
        # What is not in the index yet is read by the search itself.
        lambda: index_latest(limit_s=1.0, may_go_on=beat.is_quiet),
    ):
        try:
            chore()
        except Exception:
            # One that fails must not keep the others from being done, now and at every heartbeat to come.
            logger.exception("a chore of the heartbeat failed")
