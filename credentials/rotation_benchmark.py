"""How long a key rotation takes: `python -m credentials.rotation_benchmark [--secrets N]`.

It fills a scratch instance with secrets, rotates to a new key, has the doctor look, and removes the instance. On
SQLite, or on the empty PostgreSQL database that `--database URL` names. It needs a process of its own, since it chooses
the instance before Django is set up.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

_BATCH: Final = 5_000


def main() -> None:
    """Measure, and print one JSON object: seconds and secrets a second of rotation and doctor."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--secrets", type=int, default=100_000)
    parser.add_argument("--database", metavar="URL", default="", help="an empty database; SQLite unless given")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="netraven-rotation-") as home:
        sys.stdout.write(json.dumps(measure(given.secrets, Path(home), given.database)) + "\n")


def measure(count: int, home: Path, database: str = "") -> dict[str, float | int]:
    """Seconds that re-encrypting and looking at `count` secrets take, in an instance below `home`."""
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "netraven_site.settings",
        "NETRAVEN_HOME": str(home),
        "NETRAVEN_SECRET_KEY": secrets.token_urlsafe(64),
        "NETRAVEN_LOG_LEVEL": "WARNING",
    }
    os.environ.pop("NETRAVEN_KEYRING_JSON", None)
    os.environ["NETRAVEN_KEYRING"] = str(home / "keyring.json")
    os.environ["DATABASE_URL"] = database
    (home / "var" / "log").mkdir(parents=True)

    import django
    from django.core.management import call_command

    django.setup()
    from credentials import doctor, keyring, keys
    from credentials.key_rotation import rows_by_key
    from credentials.models import Credential

    keyring.create(home / "keyring.json")
    call_command("migrate", verbosity=0, interactive=False)
    for start in range(0, count, _BATCH):
        Credential.objects.bulk_create(
            Credential(name=f"c{number}", username="ops", password=secrets.token_urlsafe(16))
            for number in range(start, min(start + _BATCH, count))
        )
    after = keys.add(actor="benchmark")
    keys.activate(after, actor="benchmark")
    began = time.monotonic()
    state = keys.rotate(actor="benchmark")
    rotated = time.monotonic()
    found = doctor.examine(actor="benchmark")
    looked = time.monotonic()
    if not state.is_complete or rows_by_key() != {after: count} or found.opened != count:
        raise SystemExit("It did not come to its end: nothing was measured.")
    return {
        "secrets": count,
        "rotation_s": round(rotated - began, 2),
        "secrets_per_s": round(count / (rotated - began)),
        "doctor_s": round(looked - rotated, 2),
    }


if __name__ == "__main__":
    main()
