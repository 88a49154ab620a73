"""The doctor: opens every sealed value once, and looks at everything that keeps them openable and private."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from django.conf import settings

from credentials import key_readers, keyring
from credentials.audit import anchors, record, triggers
from credentials.audit.verify import in_words, verify
from credentials.exceptions import CredentialsError
from credentials.fields import SealedColumn, Secret, sealed_fields
from credentials.key_readers import KeyReader
from credentials.key_rotation import BadValue

_OF_AN_OLDER_DATABASE: Final = ("truncated", "rewritten")
_BATCH: Final = {"text": 2_000, "binary": 50}


@dataclass
class Findings:
    """What the doctor saw."""

    total: int = 0
    opened: int = 0
    bad: list[BadValue] = field(default_factory=list)
    """Every sealed value that does not open, and why."""
    troubles: list[str] = field(default_factory=list)
    """What else is wrong, each a sentence with what to do."""
    notes: list[str] = field(default_factory=list)
    """What is in order and not as good as it could be."""

    @property
    def is_healthy(self) -> bool:
        """Whether everything opens and nothing is wrong."""
        return not self.bad and not self.troubles


def examine(progress: Callable[[Findings, int], None] = lambda findings, count: None, *, actor: str = "") -> Findings:
    """Open every sealed value, and look at the keyring, its readers and the audit trail.

    `progress` is called after each batch with what was found so far and the number of all values. On record before
    the first value is opened; no plaintext is kept or leaves. Raises a KeyringError when there is no keyring.
    """
    findings = Findings()
    ring = keyring.current()
    ring.refresh()
    record("key.doctor_started", actor=actor)
    _look_at_keyring(ring, findings)
    _look_at_readers(ring, findings)
    _look_at_trail(findings)
    columns = list(sealed_fields())
    count = sum(_rows(column).count() for column in columns)
    for column in columns:
        for batch in _batches(column):
            for pk, row, token in batch:
                findings.total += 1
                try:
                    ring.verify(token, keyring.binding(column.model._meta.label_lower, column.field, row))
                    findings.opened += 1
                except CredentialsError as error:
                    findings.bad.append(BadValue(column.model._meta.label, column.field, pk, str(error)))
            progress(findings, count)
    return findings


def _rows(column: SealedColumn) -> Any:
    return column.model._base_manager.exclude(**{f"{column.field}__isnull": True})


def _batches(column: SealedColumn) -> Iterator[list[tuple[Any, Any, Any]]]:
    """Primary key, uuid and token of every value, in the order of the primary keys."""
    size = _BATCH[column.kind]
    last: Any = None
    while True:
        rows = _rows(column) if last is None else _rows(column).filter(pk__gt=last)
        found = [
            (pk, row, value.token if isinstance(value, Secret) else value)
            for pk, row, value in rows.order_by("pk").values_list("pk", "uuid", column.field)[:size]
        ]
        if found:
            yield found
        if len(found) < size:
            return
        last = found[-1][0]


def _look_at_keyring(ring: keyring.Keyring, findings: Findings) -> None:
    if ring.trouble is not None:
        findings.troubles.append(str(ring.trouble))
    if os.environ.get(keyring.JSON_VARIABLE):
        findings.notes.append(
            f"The keyring comes from {keyring.JSON_VARIABLE}, where it can be read in the environment of every "
            f"process: put it into a file with mode 0400 and name that in {keyring.PATH_VARIABLE}."
        )
        return
    # What is exposed or another user's was refused when it was read; this is what is allowed and could be better.
    info = os.stat(Path(settings.NETRAVEN_KEYRING_PATH))
    mode = stat.S_IMODE(info.st_mode)
    if mode & 0o200:
        findings.notes.append(
            f"{settings.NETRAVEN_KEYRING_PATH} has mode {mode:04o}: 0400 is enough, since it is only ever replaced "
            f"as a whole. Run chmod 400 {settings.NETRAVEN_KEYRING_PATH}"
        )
    if info.st_uid not in (0, os.geteuid()):
        findings.notes.append(
            f"{settings.NETRAVEN_KEYRING_PATH} belongs to the user id {info.st_uid}: that must be the service's user."
        )


def _look_at_readers(ring: keyring.Keyring, findings: Findings) -> None:
    for reader in KeyReader.objects.all():
        if not reader.is_live:
            continue
        if reader.trouble:
            findings.troubles.append(f"{reader} cannot use its keyring: {reader.trouble}")
        elif ring.active_id not in reader.keys:
            findings.troubles.append(f"{reader} cannot read the active key {ring.active_id}: give it this keyring.")
    others = [each for each in key_readers.sealing_with_others(ring.active_id) if each.active]
    if others:
        findings.notes.append(
            f"{key_readers.named(others)} seals with another key than the one that is active here, {ring.active_id}: "
            "activate that there as well."
        )


def _look_at_trail(findings: Findings) -> None:
    try:
        missing = triggers.missing()
        lines = anchors.own_lines()
        verdict = verify(lines)
    except OSError as error:
        findings.troubles.append(f"The anchors of the audit trail cannot be read ({error.strerror}): audit_verify.")
        return
    if missing:
        findings.troubles.append(
            f"The database would let the audit trail be changed ({', '.join(missing)}): run ./manage.py migrate."
        )
    if verdict.trouble is None:
        return
    words = f"The audit trail: {in_words(verdict)} Run ./manage.py audit_verify."
    # What a database that was restored from a backup looks like: said, and no reason to distrust the secrets.
    (findings.notes if verdict.trouble.what in _OF_AN_OLDER_DATABASE else findings.troubles).append(words)
