"""Inside an instance of NetRaven: sets it up with the fleet's devices, starts runs, hands out what was stored.

It runs in the shell of the checkout that is measured, so it uses nothing else of the benchmark's.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from django.conf import settings
from django.db import transaction

from credentials.services import SecretsInput, create_credential
from devices.configs.revealing import reveal
from devices.models import Device
from devices.services import save_device
from jobs.choices import RUN_FINISHED, Trigger
from jobs.models import Result, Run
from jobs.services import start_adhoc
from netraven_site.processes.pulse import Pulse

_LOOK_EVERY_S = 0.1
_LIMIT_S = 3600


def _set_up(order: dict[str, Any]) -> None:
    with transaction.atomic():
        for name, host, port in order["devices"]:
            save_device(Device(), name=name, host=host, port=port, platform="cisco_ios", transport="ssh", tags=["lab"])
    for number, password in enumerate(order["passwords"], start=1):
        create_credential(
            name=f"login-{number}",
            username=order["username"],
            secrets=SecretsInput(password=password),
            tags=["lab"],
            priority=number,
            scope=order["scope"],
        )


def _run() -> dict[str, Any]:
    began = time.time()
    run = start_adhoc("backup", trigger=Trigger.COMMAND)
    while run.status not in RUN_FINISHED:
        if time.time() > began + _LIMIT_S:
            raise SystemExit(f"the run has not ended after {_LIMIT_S} s; it is {run.status}")
        time.sleep(_LOOK_EVERY_S)
        run = Run.objects.only("status", "finished_at").get(pk=run.pk)
    assert run.finished_at is not None
    return {"run": run.pk, "seconds": run.finished_at.timestamp() - began}


def _write(run: int, path: str) -> int:
    """Leave the stored texts of a run in a file, opened from their seal; says what failed."""
    results = Result.objects.filter(run=run).select_related("config_version__text").order_by("pk")
    ids = list(results.values_list("pk", flat=True))
    written = 0
    with open(path, "w") as file:
        # Opening a text leaves a row in the audit trail, which SQLite refuses while a query is read.
        for result in (each for n in range(0, len(ids), 200) for each in list(results.filter(pk__in=ids[n : n + 200]))):
            if result.config_version is None:
                sys.stderr.write(f"{result.device_name}: {result.outcome} {result.detail}\n")
                continue
            file.write(json.dumps([result.device_name, reveal(result.config_version)]) + "\n")
            written += 1
    return written


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Set up, then do what each line asks for."""
    _set_up(json.loads(sys.stdin.readline()))
    _say({"set_up": True})
    for line in sys.stdin:
        word, *rest = line.split(maxsplit=2)
        if word == "alive":
            # The heartbeats that the supervisor asks for belong to what a running instance costs.
            pulse = Pulse(settings.NETRAVEN_WORKERS)
            pulse.cluster_started()
            pulse.start()
            while not pulse.has_answered:
                time.sleep(_LOOK_EVERY_S)
            _say({"alive": True})
        elif word == "run":
            _say({"ran": _run()})
        elif word == "write":
            _say({"written": _write(int(rest[0]), rest[1].strip())})


if __name__ == "__main__":
    main()
