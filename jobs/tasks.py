"""What django-q may call: ids in, nothing out."""

from __future__ import annotations


def run_shard(shard_id: int) -> None:
    """Work on one shard of a run."""
    from jobs.engine.shard import run_shard as work

    work(shard_id)


def heartbeat(host: str) -> None:
    """Prove that tasks run on this host, find shards that lost their worker, and count new logins."""
    from jobs.analytics.rollup import roll_up
    from jobs.engine import beat, runs

    beat.answer(host)
    runs.recover()
    roll_up(limit_s=2.0)
