"""Run the task cluster alone."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from jobs.engine.process import run_cluster
from netraven_site.processes import preflight
from netraven_site.processes.supervisor import WATCHED


class Command(BaseCommand):
    """`worker`: what `up` starts beside the web server."""

    help = (
        "Run the task cluster in the foreground, without anything that restarts it; `up` is the usual way. "
        "SIGTERM or Ctrl-C lets devices in hand finish (NETRAVEN_GRACE_S). Exit code 2: not ready to start."
    )
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until stopped."""
        os.umask(0o077)
        try:
            preflight.require_ready_apart()
        except preflight.NotReady as error:
            raise CommandError(str(error), returncode=2) from None
        sys.exit(run_cluster(settings.NETRAVEN_GRACE_S, is_watched=WATCHED in os.environ))
