"""The audit trail written by several processes at once, and read afterwards by the command."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.engines import engine
from tests.netraven_site.instance import REPOSITORY, Instance

pytestmark = pytest.mark.e2e
WRITERS, TURNS = 4, 12

WRITE = f"""
from django.db import transaction
from credentials import audit
input()
for turn in range({TURNS}):
    with transaction.atomic():
        audit.record("job.changed", turn=turn)
        audit.append([audit.Entry("credential.used", device=n) for n in range(3)])
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def instance(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Instance]:
    with engine(request.param) as variables:
        made = Instance(tmp_path, **variables)
        made.setup()
        yield made


def test_processes_that_write_at_once_make_one_chain(instance: Instance) -> None:
    rows = int(instance.shell("from credentials.models import AuditEvent; print(AuditEvent.objects.count())"))
    writers = [
        subprocess.Popen(
            [sys.executable, "manage.py", "shell", "--no-imports", "--command", WRITE],
            cwd=REPOSITORY,
            env=instance.env,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(WRITERS)
    ]
    for writer in writers:
        writer.stdin.write("\n")
        writer.stdin.flush()
    for writer in writers:
        _, problems = writer.communicate(timeout=100)
        assert writer.returncode == 0, problems
    done = instance.manage("audit_verify", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert (report["whole"], report["rows"] - rows) == (True, WRITERS * TURNS * 4)
    assert report["missing_triggers"] == []
