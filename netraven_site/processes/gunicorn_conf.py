"""How gunicorn serves the web part; `up` adds the socket."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from jobs.engine import linux

wsgi_app = "netraven_site.wsgi"
pythonpath = str(Path(__file__).resolve().parent.parent.parent)
proc_name = "netraven-web"

workers = 2
worker_class = "gthread"
threads = 8
# Recycled now and then, not both at once: whatever a process gathers in its memory goes with it.
max_requests = 5000
max_requests_jitter = 1000
timeout = 60
graceful_timeout = 8
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108 - heartbeat files, no data
control_socket_disable = True

# A path may hold line ends: %0A is one when it is written down.
logger_class = "netraven_site.security.access_log.AccessLog"
accesslog = "-"
errorlog = "-"
# Without the query: what people search for stays out of the log.
access_log_format = '%(h)s %(t)s "%(m)s %(U)s" %(s)s %(B)s %(M)sms'


def on_starting(server: Any) -> None:
    """What people type, secrets among it, passes through the memory of these processes."""
    linux.keep_memory_private()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "netraven_site.settings")
    from devices import platforms_table

    # Here for all processes to come: a file that is changed, perhaps not well yet, counts after the next start.
    platforms_table.files()


def post_worker_init(worker: Any) -> None:
    """The application is loaded: say which keys it reads, and see to it that no secret stays."""
    from netraven_site.processes import web

    web.begin(worker)


def post_fork(server: Any, worker: Any) -> None:
    """No web worker outlives its master."""
    linux.die_with_parent(worker.ppid, signal.SIGKILL)
