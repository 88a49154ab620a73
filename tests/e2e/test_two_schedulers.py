"""Two processes that look for due jobs at the same moment, on each database."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.engines import database
from tests.netraven_site.instance import REPOSITORY, Instance

pytestmark = pytest.mark.e2e
JOBS = 12

PREPARE = f"""
from datetime import timedelta
from django.utils import timezone
from devices.models import Device
from devices.services import save_device
from jobs.models import Job
from jobs.services import save_job
save_device(Device(), tags=["core"], name="sw1", host="127.0.0.1", platform="cisco_ios")
for number in range({JOBS}):
    save_job(Job(name=f"job {{number}}"), kind="backup", all_devices=True, recurrence="cron", cron="0 * * * *")
Job.objects.update(next_run_at=timezone.now().replace(microsecond=0) - timedelta(seconds=1))
"""
# Both wait for the same moment, so that neither is done before the other begins.
HOST = """
import sys, time
from django.utils import timezone
from jobs.schedules import start_due
moment = float(sys.argv[1])
from jobs.models import Job
list(Job.objects.all())
time.sleep(max(0, moment - time.time()))
now, started = timezone.now(), 0
while Job.objects.filter(next_run_at__lte=now).exists():  # one go ends after a few seconds, done or not
    started += start_due(now)
print(started)
"""
COUNT = """
import json
from collections import Counter
from jobs.models import Job, Run
runs = Counter(Run.objects.values_list("job", flat=True))
print(json.dumps([runs.total(), max(runs.values()), Job.objects.filter(next_run_at=None).count()]))
"""


def _start_together(instance: Instance) -> list[int]:
    moment = str(time.time() + 12)
    setup = "import sys, django; sys.path.insert(0, '.'); django.setup(); sys.argv = ['', sys.argv[1]];"
    hosts = [
        subprocess.Popen(
            [sys.executable, "-c", setup + "exec(compile(" + repr(HOST) + ", 'host', 'exec'))", moment],
            cwd=REPOSITORY,
            env={**instance.env, "DJANGO_SETTINGS_MODULE": "netraven_site.settings"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    return [int(host.communicate(timeout=120)[0].strip().splitlines()[-1]) for host in hosts]


def _check(instance: Instance) -> None:
    instance.setup()
    instance.shell(PREPARE)
    started = _start_together(instance)
    runs, most_of_a_job, unplanned = json.loads(instance.shell(COUNT))
    assert sum(started) == runs == JOBS
    assert most_of_a_job == 1
    assert unplanned == 0


def test_processes_start_each_due_job_once_on_sqlite(tmp_path: Path) -> None:
    _check(Instance(tmp_path / "home"))


def test_processes_start_each_due_job_once_on_postgresql(tmp_path: Path) -> None:
    with database() as address:
        _check(Instance(tmp_path / "home", DATABASE_URL=address))
