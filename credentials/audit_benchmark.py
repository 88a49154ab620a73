"""What the audit trail costs: `python -m credentials.audit_benchmark [--rows N] [--json]`.

In a database of its own that is thrown away: SQLite in a temporary folder, or what DATABASE_URL names, where rows of
the trail are added. Prints CPU per row and rows per second.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

_BATCH = 50
"""Rows that a shard's writer has in hand at once, about."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _prepare(Path(folder))
        found = _measure(options.rows)
    if options.json:
        sys.stdout.write(json.dumps(found) + "\n")
        return
    for what, value in found.items():
        sys.stdout.write(f"{what:<48}{value:>12,.3f}\n")


def _prepare(folder: Path) -> None:
    os.environ["NETRAVEN_HOME"] = str(folder)
    os.environ.setdefault("NETRAVEN_SECRET_KEY", "for this benchmark alone")
    os.environ["DJANGO_SETTINGS_MODULE"] = "netraven_site.settings"
    (folder / "var").mkdir()
    import django

    django.setup()
    from django.core.management import call_command

    from credentials import keyring

    keyring.create(folder / "keyring.json")
    call_command("migrate", verbosity=0)


def _measure(rows: int) -> dict[str, float]:
    from django.db import transaction

    from credentials.audit import intents, verify
    from credentials.audit.intents import Login
    from credentials.audit.trail import append
    from credentials.services import SecretsInput, create_credential

    core = create_credential(name="core", username="ops", secrets=SecretsInput(password="x" * 20), tags=["core"])

    def login(number: int) -> Login:
        return Login(core.pk, 1, core.name, number, f"switch-{number}", "192.0.2.1:22", 1, "nightly", "backup", "olga")

    def outcomes(first: int) -> None:
        with transaction.atomic():
            append(
                [
                    intents.outcome(
                        login(n), n, "success", fate="accepted", address="192.0.2.1", host_key="SHA256:" + "x" * 43
                    )
                    for n in range(first, first + _BATCH)
                ]
            )

    def plan() -> None:
        with transaction.atomic():
            entries = intents.logins([login(n) for n in range(1000)])
        intents.grants(entries)

    def all_outcomes() -> None:
        for first in range(0, rows, _BATCH):
            outcomes(first)

    found = {
        "CPU of 1,000 intents with their grants, ms": _cpu(plan) * 1e3,
        f"CPU of an outcome in batches of {_BATCH}, ms": _cpu(all_outcomes) * 1e3 / rows,
    }
    began = time.perf_counter()
    verdict = verify.verify()
    found["rows verified"] = verdict.rows
    found["rows verified per second"] = verdict.rows / (time.perf_counter() - began)
    if not verdict.is_whole:
        raise SystemExit(f"the trail is not whole: {verdict.trouble}")
    return found


def _cpu(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


if __name__ == "__main__":
    main()
