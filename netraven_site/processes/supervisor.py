"""Starts web and worker, replaces what dies or stalls, and stops everything in order."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Protocol

from django.conf import settings

from jobs.engine import linux
from netraven_site.processes import preflight
from netraven_site.processes.child import Child, Pauses, Spec, rotate
from netraven_site.processes.pulse import Pulse

MANAGE = Path(__file__).resolve().parent.parent.parent / "manage.py"
WATCHED = "NETRAVEN_WATCHED"
"""Tells the worker that somebody asks for its heartbeats."""
_LOOK_EVERY_S = 0.2
_ROTATE_EVERY_S = 10.0
_WEB_GRACE_S = 10.0
_WORKER_MARGIN_S = 5.0
"""The worker ends within the grace time by itself; this much later it is killed from outside."""


def manage(*arguments: str) -> list[str]:
    """The argument list that runs a management command of this checkout with this interpreter."""
    return [sys.executable, str(MANAGE), *arguments]


class SupportsWrite(Protocol):
    """A text stream, or Django's wrapper around one."""

    def write(self, text: str, /) -> object: ...

    def flush(self) -> None: ...


@dataclass
class _Place:
    """A child that is to run always, and when to start it next."""

    spec: Spec
    child: Child | None = None
    start_at: float = 0.0
    pauses: Pauses = field(default_factory=Pauses)


class Supervisor:
    """The parent of all processes of an instance. Runs in the main thread: the children are bound to it."""

    def __init__(
        self,
        *,
        web: Spec,
        worker: Spec,
        extras: Sequence[Spec] = (),
        pulse: Pulse,
        listener: socket.socket,
        grace_s: float,
        say: Callable[[str], None],
        ready: Callable[[], None],
    ) -> None:
        self._web, self._worker = _Place(web), _Place(worker)
        # In the order of their start; stopped the other way round, but web first.
        self._places = [*(_Place(extra) for extra in extras), self._worker, self._web]
        self._retiring: list[tuple[Child, float]] = []
        self._pulse = pulse
        self._listener = listener
        self._grace_s = grace_s
        self._say = say
        self._ready: Callable[[], None] | None = ready
        self._is_asked = self._is_pressed = False

    def run(self) -> int:
        """Start everything and watch it until SIGTERM or SIGINT; returns the exit code."""
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._ask)
        # A handler rather than SIG_IGN, which the children would inherit.
        signal.signal(signal.SIGHUP, lambda signum, frame: None)
        rotate_at = 0.0
        try:
            self._watch()
            self._pulse.start()
            while not self._is_asked:
                time.sleep(_LOOK_EVERY_S)
                self._watch()
                if time.monotonic() >= rotate_at:
                    for place in self._places:
                        rotate(place.spec.log)
                    rotate_at = time.monotonic() + _ROTATE_EVERY_S
            return self._stop()
        finally:
            for child in self._children():
                child.kill()

    def _ask(self, signum: int, frame: FrameType | None) -> None:
        # Only a second Ctrl-C means haste: what passes signals on, like make, may send SIGTERM twice.
        self._is_pressed = self._is_asked and signum == signal.SIGINT
        self._is_asked = True

    def _children(self) -> list[Child]:
        running = [place.child for place in self._places if place.child is not None]
        return [*running, *(child for child, _ in self._retiring)]

    # --- watching -------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        now = time.monotonic()
        for place in self._places:
            if place.child is not None and place.child.has_ended:
                how = place.child.kill()
                pause = place.pauses.next(now - place.child.started_at)
                self._say(f"{place.spec.name} ended ({how}), next start in {pause:.0f} s; see {place.spec.log}")
                place.child, place.start_at = None, now + pause
        if self._worker.child is not None and self._pulse.has_stalled:
            self._replace_worker(self._worker.child)
        for child, deadline in list(self._retiring):
            if child.has_ended or now > deadline:
                child.kill()
                self._retiring.remove((child, deadline))
        for place in self._places:
            if place.child is None and now >= place.start_at:
                self._start(place)
        if self._ready is not None and self._pulse.has_answered:
            self._ready()
            self._ready = None

    def _start(self, place: _Place) -> None:
        try:
            place.child = Child(place.spec)
        except OSError as error:
            pause = place.pauses.next(0)
            self._say(f"{place.spec.name} cannot start ({error}), next try in {pause:.0f} s")
            place.start_at = time.monotonic() + pause
            return
        if place is self._worker:
            self._pulse.cluster_started()
        self._say(f"{place.spec.name} started (pid {place.child.pid})")

    def _replace_worker(self, child: Child) -> None:
        self._say(f"{self._worker.spec.name} makes no progress: it is replaced")
        if self._pulse.runs_devices:
            # One of its processes may still be at work: let that finish beside the new cluster.
            child.terminate()
            self._retiring.append((child, time.monotonic() + self._grace_s + _WORKER_MARGIN_S))
        else:
            child.kill()
        self._worker.child = None

    # --- stopping -------------------------------------------------------------------------------------------

    def _stop(self) -> int:
        self._say(f"stopping: devices in hand have {self._grace_s:.0f} s to finish; Ctrl-C stops at once")
        # The web server holds it too; with both closed new visitors are refused rather than kept waiting.
        self._listener.close()
        clusters = {self._worker.child, *(child for child, _ in self._retiring)}
        self._end({self._web.child}, _WEB_GRACE_S)
        self._end(clusters, self._grace_s + _WORKER_MARGIN_S)
        self._end({place.child for place in self._places}, _WEB_GRACE_S)
        for child in self._children():
            child.kill()
        if self._is_pressed:
            self._say("stopped at once; devices in hand are run again after the next start")
            return 130
        self._say("stopped")
        return 0

    def _end(self, children: Collection[Child | None], within_s: float) -> None:
        living = [child for child in children if child is not None and not child.has_ended]
        for child in living:
            child.terminate()
        deadline = time.monotonic() + within_s
        while living and not self._is_pressed and time.monotonic() < deadline:
            time.sleep(_LOOK_EVERY_S / 4)
            living = [child for child in living if not child.has_ended]


def run_instance(
    *,
    host: str,
    port: int,
    workers: int,
    extras: Sequence[Spec] = (),
    say: Callable[[str], None],
    ready: Callable[[], None],
) -> int:
    """Run web, worker and `extras` in the foreground; returns the exit code. Raises preflight.NotReady.

    `ready` is called once, when the first heartbeat has been answered.
    """
    # The checks have the keyring read.
    linux.keep_memory_private()
    preflight.require_ready()
    with preflight.only_one(settings.NETRAVEN_VAR), preflight.listening(host, port) as listener:
        logs = settings.NETRAVEN_VAR / "log"
        logs.mkdir(mode=0o700, exist_ok=True)
        env = {"NETRAVEN_HOST": host, "NETRAVEN_PORT": str(port), "NETRAVEN_WORKERS": str(workers)}
        # gunicorn is no command of ours: it needs to be told where the checkout is.
        path = os.pathsep.join(filter(None, [str(MANAGE.parent), os.environ.get("PYTHONPATH")]))
        config = Path(__file__).with_name("gunicorn_conf.py")
        fd = listener.fileno()
        web = Spec(
            "web",
            [sys.executable, "-m", "gunicorn", "--config", str(config), "--bind", f"fd://{fd}"],
            logs / "web.log",
            {**env, "PYTHONPATH": path},
            [fd],
        )
        worker = Spec("worker", manage("worker"), logs / "worker.log", {**env, WATCHED: "1"})
        supervisor = Supervisor(
            web=web,
            worker=worker,
            extras=extras,
            pulse=Pulse(workers),
            listener=listener,
            grace_s=settings.NETRAVEN_GRACE_S,
            say=say,
            ready=ready,
        )
        return supervisor.run()


def console(stream: SupportsWrite) -> Callable[[str], None]:
    """Prints a line with the time of day; a terminal that went away is no reason to stop."""

    def say(text: str) -> None:
        with contextlib.suppress(OSError):
            stream.write(f"{time.strftime('%H:%M:%S')} {text}\n")
            # Whoever reads a file or a pipe wants the line now as well.
            stream.flush()

    return say
