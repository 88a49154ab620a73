"""Signs of life of a host's task cluster, read by whatever watches over it.

A heartbeat is a real task that goes the way of all tasks: broker, pusher, worker. It lies in a queue of
its own for each host, so that only that host's cluster can answer it; other hosts sharing the broker cannot
hide that one of them has stopped.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone
from django_q.brokers import get_broker
from django_q.tasks import async_task

from jobs.choices import RunStatus, ShardStatus
from jobs.engine import linux
from jobs.models import Run, Shard, WorkerBeat

HEARTBEAT = "jobs.tasks.heartbeat"
_LOST_AFTER = timedelta(seconds=6)
_RUNS_COME_FIRST = timedelta(minutes=10)


@dataclass(frozen=True)
class Signs:
    """What the database says about a host's cluster at one moment; any change is progress."""

    answered_at: datetime | None
    leases: frozenset[tuple[int, datetime | None]]
    """(shard id, end of its lease) for each shard that runs on the host."""


def this_host() -> str:
    """The name under which this machine's cluster is known, 80 characters at most."""
    return socket.gethostname()[:80]


def holder() -> str:
    """What a process of this host writes into `Shard.holder`: `<host>:<pid space>-<its beginning>:<pid>`."""
    pid = os.getpid()
    return f"{this_host()}:{linux.pid_space()}-{linux.began_at(pid)}:{pid}"


def is_gone(holder: str) -> bool:
    """Whether the process that holds a shard has ended for certain; False where it cannot be seen from here."""
    head, _, pid = holder.rpartition(":")
    host, _, which = head.rpartition(":")
    space, _, beginning = which.rpartition("-")
    return (host, space) == (this_host(), linux.pid_space()) and linux.began_at(int(pid)) != beginning


def queue_of(host: str) -> str:
    """Name of the queue that only the cluster of `host` reads."""
    return f"host-{host}"


def ask(host: str) -> bool:
    """Enqueue a heartbeat unless an earlier one is unanswered; returns whether it did.

    One that is in no queue any more may be in a worker's hand, or lost with a broker that was started empty: it
    is sent again after a while. Raises what the database or the broker raises.
    """
    beat, _ = WorkerBeat.objects.get_or_create(host=host)
    if beat.asked_at is not None:
        # Raises when the database takes no writes, which is no fault of the cluster either.
        WorkerBeat.objects.filter(host=host, asked_at=beat.asked_at).update(asked_at=beat.asked_at)
        # Raises when the broker is out of reach: then no answer says nothing about the cluster.
        is_queued = get_broker(queue_of(host)).queue_size() > 0
        if is_queued or abs(timezone.now() - beat.asked_at) < _LOST_AFTER:
            return False
    WorkerBeat.objects.filter(host=host).update(asked_at=timezone.now())
    sent = False
    try:
        # Not saved when it succeeds: a row every few seconds for ever would be of use to nobody.
        async_task(HEARTBEAT, host, cluster=queue_of(host), task_name="heartbeat", ack_failure=True, save=False)
        sent = True
    finally:
        if not sent:
            WorkerBeat.objects.filter(host=host).update(asked_at=None)
    return True


def answer(host: str) -> None:
    """Record that a worker of `host` ran the heartbeat."""
    WorkerBeat.objects.filter(host=host).update(asked_at=None, answered_at=timezone.now())


def is_quiet() -> bool:
    """Whether no run needs the processors now; one that goes on for long does not hold everything else up."""
    going = Run.objects.filter(status__in=[RunStatus.QUEUED, RunStatus.RUNNING])
    return not going.filter(created_at__gt=timezone.now() - _RUNS_COME_FIRST).exists()


def forget(host: str) -> None:
    """Drop heartbeats and answers of the cluster before; called where a new one is about to start."""
    get_broker(queue_of(host)).purge_queue()
    WorkerBeat.objects.filter(host=host).update(asked_at=None, answered_at=None)


def signs(host: str) -> Signs:
    """The signs of life of `host`'s cluster now."""
    answered_at = WorkerBeat.objects.filter(host=host).values_list("answered_at", flat=True).first()
    running = Shard.objects.filter(
        status=ShardStatus.RUNNING, holder__startswith=f"{host}:", lease_until__gt=timezone.now()
    )
    return Signs(answered_at, frozenset(running.values_list("pk", "lease_until")))
