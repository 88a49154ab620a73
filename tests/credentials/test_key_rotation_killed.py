"""A key rotation that is killed again and again, under live reads and writes, in processes of its own."""

from __future__ import annotations

import json
import random
import subprocess
import sys

import pytest

from tests.netraven_site.instance import REPOSITORY, Instance

pytestmark = pytest.mark.e2e
SECRETS = 600
KILLS = 8

FILL = f"""
from credentials.models import Credential
for number in range({SECRETS}):
    Credential.objects.create(name=f"c{{number}}", username="u", password=f"secret-{{number}}")
from django.conf import settings
from credentials import keyring
after = keyring.add_key(settings.NETRAVEN_KEYRING_PATH)
keyring.activate(settings.NETRAVEN_KEYRING_PATH, after)
print(after)
"""
# A point for each batch tells the test how far it is.
ROTATE = """
from credentials import key_rotation
key_rotation._BATCH = {"text": 10, "binary": 10}
state = key_rotation.rotate(lambda state: print(".", flush=True))
print("end", state.is_complete, flush=True)
"""
USE = f"""
import random, sys
from credentials.models import Credential
bad = used = 0
while not select_has_input():
    row = Credential.objects.get(name=f"c{{random.randrange({SECRETS})}}")
    used += 1
    try:
        bad += row.password.reveal() != "secret-" + row.name[1:]
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
HAS_INPUT = """
import select, sys
def select_has_input():
    return bool(select.select([sys.stdin], [], [], 0)[0])
"""
REPORT = """
import json
from credentials.key_rotation import rows_by_key
from credentials.models import Credential
opened = sum(row.password.reveal() == "secret-" + row.name[1:] for row in Credential.objects.all())
print(json.dumps([rows_by_key(), opened]))
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
    user = started(instance, HAS_INPUT + USE)
    try:
        for _ in range(KILLS):
            rotation = started(instance, ROTATE)
            for _ in range(random.randint(1, 5)):
                rotation.stdout.readline()
            rotation.kill()
            rotation.communicate()
        left, _ = json.loads(instance.shell(REPORT))
        rotation = started(instance, ROTATE)
        out, err = rotation.communicate(timeout=120)
        assert "end True" in out, err
    finally:
        out, err = user.communicate("stop\n", timeout=60)
    assert set(left) - {after}, "every kill came too late to prove anything"
    bad, used = map(int, out.split())
    assert (bad, used > 20) == (0, True), err
    assert json.loads(instance.shell(REPORT)) == [{after: SECRETS}, SECRETS]
