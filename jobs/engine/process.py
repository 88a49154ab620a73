"""The task cluster as this product runs it: django-q2's, hardened, and ended in order."""

from __future__ import annotations

import contextlib
import gc
import logging
import signal
import time
from types import FrameType
from typing import Any

from django.db import connections
from django_q.brokers import Broker, get_broker
from django_q.cluster import Cluster
from django_q.conf import Conf
from django_q.signals import post_execute_in_worker

from credentials.key_readers import report_from_now_on
from devices.configs import integrity
from devices.configs.normalise import normalise
from devices.configs.redact import redact
from devices.connector.platforms import platforms
from devices.models import Device

# The shard is loaded here for the workers: forked from a process that has it, they start at once, share its
# memory, and go on with the same code when the files change under them.
from jobs.engine import beat, drain, linux, runs, shard, trouble

logger = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.1
_ASK_BROKER_EVERY_S = 1.0
_ASK_EVERY_S = 3.0
_MOST_BEATS = 100
"""A worker ends after so many heartbeats as well."""
_MOST_PLATFORMS = 50


class HostFirstBroker:
    """The shared queue, after what lies in this host's own; hands out nothing while draining."""

    def __init__(self, shared: Broker, own: Broker) -> None:
        self._shared = shared
        self._own = own

    def __getattr__(self, name: str) -> Any:
        return getattr(self._shared, name)

    def dequeue(self) -> list[tuple[Any, str]] | None:
        """The next (acknowledgement id, task) pairs; waits a moment when there are none."""
        if drain.is_draining():
            time.sleep(Conf.POLL)
            return None
        try:
            # An empty queue's dequeue waits; asking for its size first does not.
            found = self._own.dequeue() if self._own.queue_size() else None
            return found or self._shared.dequeue()  # type: ignore[no-any-return]
        except Exception as error:  # noqa: BLE001 - brokers raise what their libraries raise
            # Out of here it would end the process that fetches tasks, and that only after ten seconds.
            logger.warning("the broker does not answer: %s", error)
            time.sleep(_ASK_BROKER_EVERY_S)
            return None


def run_cluster(grace_s: float, is_watched: bool = True) -> int:
    """Run this host's task cluster in this process until SIGTERM or SIGINT; returns the exit code.

    One that nobody watches asks for its heartbeats itself: with them other hosts know that it is there, and
    what was lost is found.

    The signal lets devices in hand finish within `grace_s` seconds; what runs longer, and everything at a
    SIGINT after that, is killed.
    """
    host = beat.this_host()
    linux.keep_memory_private()
    linux.kill_forks_with_parent()
    beat.forget(host)
    hand_out_again()
    _keep_connections()
    _prepare_for_forks()
    # A forked process must not share its parent's connection.
    connections.close_all()
    post_execute_in_worker.connect(recycle)

    is_asked = is_pressed = False

    def stop(signum: int, frame: FrameType | None) -> None:
        nonlocal is_asked, is_pressed
        # The kernel sends SIGTERM once for each thread of a parent that dies: a second one means nothing.
        is_pressed = is_asked and signum == signal.SIGINT
        is_asked = True

    cluster = Cluster(broker=HostFirstBroker(get_broker(), get_broker(beat.queue_of(host))))
    # After Cluster(), which sets handlers of its own; those would wait without end inside a handler.
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        cluster.start()
    except RuntimeError as error:
        logger.error("%s", error)
        return 1
    # A thread, and only now: nothing is forked from this process any more, and a busy database keeps it waiting.
    report_from_now_on(host, "worker")
    sentinel = cluster.sentinel
    ask_at = float("inf") if is_watched else 0.0
    while not is_asked:
        sentinel.join(_LOOK_EVERY_S)
        if time.monotonic() >= ask_at:
            _ask(host)
            ask_at = time.monotonic() + _ASK_EVERY_S
        if not sentinel.is_alive():
            logger.error("The task cluster ended by itself (exit code %s).", sentinel.exitcode)
            return 1

    end = time.monotonic() + grace_s
    drain.begin()
    # Within a guard cycle the sentinel replaces workers that have just ended. Only a full pool takes all the
    # "stop" marks that it hands out next; otherwise it would wait for ever to hand out the last.
    sentinel.join(2 * Conf.GUARD_CYCLE)
    cluster.stop_event.set()
    while sentinel.is_alive() and time.monotonic() < end and not is_pressed:
        sentinel.join(_LOOK_EVERY_S)
    if sentinel.is_alive():
        logger.warning("The task cluster was killed before it had finished.")
        sentinel.kill()
        sentinel.join()
        return 1
    return 0


def _ask(host: str) -> None:
    try:
        beat.ask(host)
    except Exception as error:  # noqa: BLE001 - databases and brokers raise what they raise; it is asked again
        logger.warning("no heartbeat could be asked for: %s", error)
    finally:
        connections.close_all()


def _keep_connections() -> None:
    """Let this cluster's processes keep their connection: opening one of SQLite's reads the whole schema.

    The process that fetches tasks would open ten a second.
    """
    for connection in connections.all():
        if connection.vendor == "sqlite":
            connection.settings_dict["CONN_MAX_AGE"] = None


def _prepare_for_forks() -> None:
    """Do once for all workers what each would do at its start: it is forked anew after a shard, and shares these pages.

    The tables of the platforms are read, the patterns of those in use compiled, and the first queries made.
    """
    platforms()
    in_use = Device.objects.filter(enabled=True).order_by("platform").values_list("platform", flat=True).distinct()
    for platform in in_use[:_MOST_PLATFORMS]:
        text = "hostname a\n"
        integrity.check(normalise(redact(text, platform), platform), platform, "running", prompt_seen=True)
    with contextlib.suppress(*trouble.ERRORS):
        shard.rehearse()
    gc.collect()
    linux.keep_heap_small()
    # Counting references in a collection would write to every shared page.
    gc.freeze()
    # Of a hundred sessions at work there are always some hundred thousand objects that are no garbage.
    gc.set_threshold(20_000, 20, 20)


def hand_out_again() -> None:
    """Enqueue every waiting shard once more when the queue holds fewer tasks than there are waiting shards.

    A killed cluster takes along the tasks that it had fetched and not begun. A shard that is in the queue
    twice does no harm: the second task finds nothing to do.
    """
    waiting = list(runs.handed_out().values_list("pk", flat=True))
    if get_broker().queue_size() < len(waiting):
        for shard_id in waiting:
            runs.enqueue(shard_id)


def recycle(task: dict[str, Any], **kwargs: Any) -> None:
    """In a worker that has done a task: whether it ends now. It has opened secrets if that was a shard."""
    if drain.is_draining():
        # A worker that ends after its task would leave its "stop" mark to nobody.
        Conf.RECYCLE = 0
    elif task["func"] == beat.HEARTBEAT and Conf.RECYCLE < _MOST_BEATS:
        Conf.RECYCLE += 1
