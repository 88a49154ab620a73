"""The logins of a shard in the audit trail: on record before a secret is opened, and what came of each.

The first candidate of every device is put on record before the shard begins, in one transaction; another one, to
which a device goes on, before it is opened. A credential is opened once in a shard, and each device needs a grant of
its own to get it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from django.db import transaction

from credentials import audit
from credentials.audit import intents
from credentials.audit.intents import Login
from credentials.grants import Grant
from credentials.guard import GuardedLogin
from credentials.store import Candidate, CredentialStore, OpenedCredential
from devices.connector.outcomes import Fate
from devices.connector.target import address_of
from jobs.connector import AttemptRecord, DeviceReport, DeviceTask
from jobs.engine.writer import Desk, Writer
from jobs.kinds import DeviceKind

if TYPE_CHECKING:
    from jobs.engine.books import RunFacts

_Key = tuple[int, int, int]
_Use = tuple[DeviceTask, Candidate]


class Uses:
    """Which logins are on record, by device, and the plaintext that their grants have opened."""

    def __init__(self, store: CredentialStore, facts: RunFacts) -> None:
        self._store = store
        self._facts = facts
        self._grants: dict[_Key, Grant] = {}
        self._opened: dict[tuple[int, int], OpenedCredential] = {}
        self._desk: Desk[_Use, audit.Entry | None] = Desk(35, self._intend)

    # --- before -----------------------------------------------------------------------------------
    def plan(self, tasks: Iterable[DeviceTask], kind: DeviceKind) -> None:
        """In the main thread: put the first candidate of each device on record."""
        planned = [
            (task, first)
            for task in tasks
            if kind.needs_login(task.context.parameters)
            and (first := next((each for each in task.candidates if not each.skipped), None)) is not None
        ]
        with transaction.atomic():
            entries = intents.logins([self._login(*each) for each in planned])
        for (task, candidate), grant in zip(planned, intents.grants(entries), strict=True):
            self._grants[_key(task.device, candidate)] = grant

    def open(self, writer: Writer, task: DeviceTask, candidate: Candidate) -> OpenedCredential:
        """In a device's thread: the plaintext, on record. Raises CredentialsError and what the writer raises."""
        key = _key(task.device, candidate)
        opened = self._opened.get(key[1:])
        if opened is not None and key in self._grants:
            return opened
        told = threading.Event()
        answers: list[OpenedCredential] = []
        problems: list[BaseException] = []

        def committed(entry: audit.Entry | None) -> None:
            # In the main thread, after the transaction with the intent.
            try:
                if entry is not None:
                    self._grants[key] = intents.grants([entry])[0]
                answers.append(self._open(key))
            except Exception as error:  # noqa: BLE001 - belongs to whoever asked, and is handed over
                problems.append(error)
            told.set()

        def failed(problem: BaseException) -> None:
            problems.append(problem)
            told.set()

        writer.put(self._desk, (task, candidate), committed, failed, urgent=True)
        told.wait()
        if problems:
            raise problems[0]
        return answers[0]

    def _intend(self, uses: list[_Use]) -> Sequence[audit.Entry | None]:
        missing = [each for each in uses if _key(each[0].device, each[1]) not in self._grants]
        entries = iter(intents.logins([self._login(*each) for each in missing]))
        return [None if _key(task.device, candidate) in self._grants else next(entries) for task, candidate in uses]

    def _open(self, key: _Key) -> OpenedCredential:
        grant, credential = self._grants[key], key[1:]
        if credential not in self._opened:
            self._opened[credential] = self._store.open(credential[0], grant, credential[1])
        return self._opened[credential]

    def _login(self, task: DeviceTask, candidate: Candidate) -> Login:
        address = address_of(task.target.host, task.target.port)
        return _login(self._facts, candidate, task.device, task.target.name, address)

    # --- after ------------------------------------------------------------------------------------
    def attempted(self, records: Iterable[AttemptRecord]) -> None:
        """Within a transaction: what came of logins."""
        audit.append([_outcome(record, self._facts, self._intent(record)) for record in records])

    def not_attempted(self, device: int, name: str, unused: Iterable[Candidate], report: DeviceReport) -> None:
        """Within a transaction: logins that were on record and for which no secret was sent."""
        audit.append(
            [
                intents.outcome(
                    _login(self._facts, candidate, device, name, ""),
                    grant.intent,
                    report.outcome.value,
                    fate=Fate.UNSENT.value,
                )
                for candidate in unused
                if (grant := self._grants.get(_key(device, candidate))) is not None
            ]
        )

    def left_over(self, task: DeviceTask, attempts: Iterable[Candidate]) -> tuple[Candidate, ...]:
        """The candidates of a device that are on record, without those that were tried."""
        tried = {_key(task.device, candidate) for candidate in attempts}
        keys = {_key(task.device, candidate): candidate for candidate in task.candidates}
        return tuple(candidate for key, candidate in keys.items() if key in self._grants and key not in tried)

    def _intent(self, record: AttemptRecord) -> int:
        grant = self._grants.get(_key(record.device, record.candidate))
        return grant.intent if grant is not None else 0


def lost_login(login: GuardedLogin, name: str, facts: RunFacts, outcome: str, fate: str, order: int) -> audit.Entry:
    """The outcome of a login during which its worker was lost; nobody knows the number of its intent."""
    used = Login(
        credential=login.credential,
        version=login.version,
        credential_name=name,
        device=login.device,
        device_name=login.device_label,
        address="",
        run=facts.run,
        job=facts.job,
        kind=facts.kind,
        actor=facts.requested_by_name,
    )
    return intents.outcome(used, 0, outcome, fate=fate, order=order, lost_worker=True)


def _outcome(record: AttemptRecord, facts: RunFacts, intent: int) -> audit.Entry:
    more: dict[str, Any] = {"order": record.order, "fate": record.fate.value, "address": record.address}
    if record.host_key:
        more["host_key"] = record.host_key
    login = _login(facts, record.candidate, record.device, record.device_name, record.address)
    return intents.outcome(login, intent, record.outcome.value, **more)


def _login(facts: RunFacts, candidate: Candidate, device: int, name: str, address: str) -> Login:
    return Login(
        credential=candidate.credential,
        version=candidate.version,
        credential_name=candidate.name,
        device=device,
        device_name=name,
        address=address,
        run=facts.run,
        job=facts.job,
        kind=facts.kind,
        actor=facts.requested_by_name,
    )


def _key(device: int, candidate: Candidate) -> _Key:
    return device, candidate.credential, candidate.version
