"""What goes on beside the requests in a web process: it says which keys it reads, and ends after it saw a secret."""

from __future__ import annotations

import threading
import time
from typing import Any

from django.conf import settings

from credentials import key_readers, plaintext
from jobs.engine import beat

_LOOK_EVERY_S = 0.5


def begin(worker: Any) -> None:
    """Start both for a worker of gunicorn that has just loaded the application."""
    key_readers.report_from_now_on(beat.this_host(), "web")
    threading.Thread(target=_replace_after_a_secret, args=(worker,), name="replaced soon", daemon=True).start()


def _replace_after_a_secret(worker: Any) -> None:
    """Let a worker end in order some seconds after somebody's secret passed through it: copies of it go with it.

    What it is answering is answered, the other worker takes the new requests, and a fresh one starts. Not at once,
    so that an import of a thousand credentials does not mean a thousand new processes.
    """
    while True:
        ago = plaintext.sealed_s_ago()
        if ago is not None and ago >= settings.NETRAVEN_WEB_RECYCLE_S:
            worker.log.info("a secret passed through this process: it is replaced")
            worker.alive = False
            return
        time.sleep(_LOOK_EVERY_S)
