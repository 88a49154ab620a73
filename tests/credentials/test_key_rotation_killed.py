"""A key rotation that is killed again and again, under live reads and writes, in processes of its own."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.netraven_site.instance import REPOSITORY, Instance

pytestmark = pytest.mark.e2e
SECRETS = 1200
KILLS = 50

FILL = f"""
from credentials.models import Credential
Credential.objects.bulk_create(
    Credential(name=f"c{{number}}", username="u", password=f"secret-{{number}}") for number in range({SECRETS})
)
from django.conf import settings
from credentials import keyring
after = keyring.add_key(settings.NETRAVEN_KEYRING_PATH)
keyring.activate(settings.NETRAVEN_KEYRING_PATH, after)
print(after)
"""
# Forked from a process that has everything loaded, a rotation begins at once. It asks after each batch whether to go
# on; the kill comes somewhere within the next one: while it reads, seals, writes or commits.
KILL = f"""
import os, random, signal, time
from django.db import connections
from credentials import key_rotation
key_rotation._BATCH = {{"text": 5, "binary": 5}}
killed = 0
for _ in range({KILLS}):
    connections.close_all()
    ready, done = os.pipe()
    may, go = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            key_rotation.rotate(lambda state: os.write(done, b".") != 1 or not os.read(may, 1))
        finally:
            os._exit(0)
    os.close(done)
    for _ in range(random.randint(0, 3)):
        os.read(ready, 1)
        os.write(go, b".")
    time.sleep(random.uniform(0, 0.01))
    os.kill(child, signal.SIGKILL)
    killed += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    for end in (ready, may, go):
        os.close(end)
print(killed)
"""
ROTATE = """
from credentials import key_rotation
state = key_rotation.rotate()
print("end", state.is_complete, flush=True)
"""
USE = f"""
import random, select, sys
from credentials import plaintext
from credentials.models import Credential
from tests.credentials.sealed import ANY
bad = used = 0
with plaintext.logins_may_be_opened():
    while not select.select([sys.stdin], [], [], 0)[0]:
        row = Credential.objects.get(name=f"c{{random.randrange({SECRETS})}}")
        used += 1
        try:
            bad += row.password.reveal(ANY) != "secret-" + row.name[1:]
        except Exception as error:
            bad += 1
            print(repr(error), file=sys.stderr)
        row.description = str(used)
        # Entering them all anew would be a key rotation too.
        if int(row.name[1:]) < 20:
            row.password = "secret-" + row.name[1:]
        row.save()
print(bad, used)
"""
REPORT = """
import json
from credentials import doctor, plaintext
from credentials.key_rotation import rows_by_key
from credentials.models import Credential
from tests.credentials.sealed import ANY
with plaintext.logins_may_be_opened():
    opened = sum(row.password.reveal(ANY) == "secret-" + row.name[1:] for row in Credential.objects.all())
print(json.dumps([rows_by_key(), opened, doctor.examine().opened]))
"""


def started(instance: Instance, code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "manage.py", "shell", "--no-imports", "--command", code],
        cwd=REPOSITORY,
        env=instance.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_killed_at_random_points_it_loses_nothing_and_comes_to_an_end(tmp_path):
    instance = Instance(tmp_path / "home")
    instance.setup()
    after = instance.shell(FILL)
    user = started(instance, USE)
    try:
        assert int(instance.shell(KILL)) == KILLS
        left, _, _ = json.loads(instance.shell(REPORT))
        rotation = started(instance, ROTATE)
        out, err = rotation.communicate(timeout=120)
        assert "end True" in out, err
    finally:
        out, err = user.communicate("stop\n", timeout=60)
    assert len(left) == 2, "the kills came too early or too late to prove anything"
    bad, used = map(int, out.split())
    assert (bad, used > 20) == (0, True), err
    assert json.loads(instance.shell(REPORT)) == [{after: SECRETS}, SECRETS, SECRETS]
