"""No audit, no decryption: what is about to be opened is on record, and committed, before it is opened.

Two steps where many secrets are opened at once, as by the run engine: `append` intents in a transaction, and when it is
committed ask `grants` for what they yield. One step for a single one: `opening`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.db import models, transaction

from credentials.audit.chain import same
from credentials.audit.models import AuditEvent
from credentials.audit.trail import Entry, append, record
from credentials.exceptions import NotAudited, SecretDamaged
from credentials.fields import Secret
from credentials.grants import Grant, mint
from credentials.models import SECRET_FIELDS, Credential

if TYPE_CHECKING:
    from django.contrib.auth.models import User

USE: Final = "credential.used"
INTENT: Final = "intent"
_BATCH: Final = 500


@dataclass(frozen=True)
class Login:
    """One login that is to be made: which credential, where, and for whom."""

    credential: int
    version: int
    credential_name: str
    device: int
    device_name: str
    address: str
    """As the inventory has it, `host:port`; the outcome says which address it was."""
    run: int | None
    job: str
    kind: str
    actor: str


def logins(planned: Sequence[Login]) -> list[Entry]:
    """Append an intent for each login, in this transaction; ask `grants` when it is committed."""
    known = _known({each.credential for each in planned})
    entries = []
    for each in planned:
        row, keys = known.get(each.credential, (None, []))
        details = {"version": each.version, "keys": keys, "address": each.address, "job": each.job, "kind": each.kind}
        entry = _login_row(each, INTENT, details)
        entry.row = row
        entries.append(entry)
    append(entries)
    return entries


def outcome(login: Login, intent: int, result: str, **details: Any) -> Entry:
    """The row that says what became of a login; to be appended by the caller, with others."""
    return _login_row(login, result, {"version": login.version, "intent": intent, "job": login.job, **details})


def grants(intents: Sequence[Entry]) -> list[Grant]:
    """What committed intents yield; outside of any transaction, so that what is read was committed.

    Raises NotAudited when one of them is not in the database as it was written, and RuntimeError in a transaction.
    """
    found: dict[int, str] = {}
    with transaction.atomic(durable=True):
        for start in range(0, len(intents), _BATCH):
            ids = [each.id for each in intents[start : start + _BATCH]]
            found.update(AuditEvent.objects.filter(pk__in=ids).values_list("pk", "mac"))
    for each in intents:
        if not each.mac or not same(found.get(each.id), each.mac):
            raise NotAudited("The intent is not in the audit trail: no secret was opened.")
    return [mint(each.id, each.row) for each in intents]


@contextlib.contextmanager
def opening(
    event: str, row: models.Model, *, user: User | None = None, actor: str = "", **details: Any
) -> Iterator[Grant]:
    """Leave to open the secrets of a row (with a `uuid`), on record before; afterwards, what came of it.

    Not within a transaction: RuntimeError.
    """
    with transaction.atomic(durable=True):
        intent = record(event, user=user, actor=actor, outcome=INTENT, **details)
        intent.row = getattr(row, "uuid", None)
    grant = grants([intent])[0]
    done = False
    try:
        yield grant
        done = True
    finally:
        record(event, user=user, actor=actor, outcome="done" if done else "failed", intent=intent.id, **details)


def _login_row(login: Login, result: str, details: dict[str, Any]) -> Entry:
    return Entry(
        USE,
        result,
        login.actor,
        "worker",
        device=login.device,
        device_name=login.device_name,
        credential=login.credential,
        credential_name=login.credential_name,
        run=login.run,
        details=details,
    )


def _known(credentials: Iterable[int]) -> dict[int, tuple[Any, list[str]]]:
    """The uuid of each credential, and the ids of the keys that its secrets are sealed with."""
    rows = Credential.objects.filter(pk__in=set(credentials)).only("uuid", *SECRET_FIELDS)
    return {row.pk: (row.uuid, sorted(set(_key_ids(row)))) for row in rows}


def _key_ids(row: Credential) -> Iterator[str]:
    for name in SECRET_FIELDS:
        secret = getattr(row, name)
        if isinstance(secret, Secret):
            try:
                yield secret.key_id
            except SecretDamaged:
                yield "damaged"
