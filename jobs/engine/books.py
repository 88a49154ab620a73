"""The books of a shard: what its devices say and cost, written for many devices at once.

Each desk is a kind of write; the shard's writer calls it with all rows of a batch. A desk may be called again
with the same rows after a rollback, so it keeps nothing in memory.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils import timezone

from credentials import audit
from credentials.bulk import insert_many, update_many
from credentials.guard import Guard, GuardedLogin, Reservation
from credentials.guard_many import Answer, ProvenAccounts, reserve_many, settle_many
from credentials.models import Credential
from credentials.store import Candidate, CredentialStore
from devices.connector.outcomes import Fate, Outcome
from devices.connector.target import HostKeyData, HostKeyVerdict
from devices.models import Device
from devices.services import admit_host_keys
from jobs.choices import ResultStatus
from jobs.connector import AttemptRecord, DeviceReport
from jobs.engine import crossing
from jobs.engine.auditing import Uses, lost_login
from jobs.engine.writer import Desk
from jobs.kinds import Store, Stored
from jobs.models import Attempt, Result


@dataclass(frozen=True)
class RunFacts:
    """What every attempt of a run has in common."""

    run: int
    kind: str
    requested_by_name: str
    is_test: bool
    is_about_credential: bool = False
    """A test of one named credential: it says nothing about how the devices are logged in to otherwise."""
    job: str = ""


@dataclass(frozen=True)
class Intent:
    """A login that is about to happen, and the attempts before it that are not written yet."""

    result: int
    login: GuardedLogin
    candidate: Candidate
    order: int
    host_key: HostKeyData | None = None
    """The key that the device has just shown; none over telnet."""
    before: Sequence[AttemptRecord] = ()


@dataclass(frozen=True)
class Settlement:
    """What became of the secret of an intent."""

    intent: Intent
    reservation: Reservation
    fate: Fate
    at: datetime


@dataclass(frozen=True)
class Ending:
    """The end of a device: its report and the attempts that are not written yet."""

    result: int
    device: int
    report: DeviceReport
    attempts: Sequence[AttemptRecord] = ()
    unused: Sequence[Candidate] = ()
    """Those that are on record as about to be used, and were not."""
    device_name: str = ""
    is_bare: bool = False
    """Written after it could not be: without what refers to rows that are gone."""


@dataclass
class Books:
    """The desks of a shard, and what its threads share."""

    guard: Guard
    store: CredentialStore
    facts: RunFacts
    settled: threading.Condition = field(default_factory=threading.Condition)
    """Notified when the fate of a login is booked: those who wait at the gate may ask again."""
    _proven: ProvenAccounts = field(default_factory=ProvenAccounts)

    def __post_init__(self) -> None:
        self.uses = Uses(self.store, self.facts)
        self.admit: Desk[tuple[int, HostKeyData], HostKeyVerdict | None] = Desk(10, admit_host_keys)
        self.settle: Desk[Settlement, None] = Desk(20, self._settle)
        self.reserve: Desk[Intent, Answer | HostKeyVerdict] = Desk(30, self._reserve)
        self.end: Desk[Ending, None] = Desk(40, self._end)
        self.begin: Desk[Sequence[tuple[int, int]], dict[int, str]] = Desk(50, self._begin)

    # --- the desks --------------------------------------------------------------------------------
    def _begin(self, batches: list[Sequence[tuple[int, int]]]) -> list[dict[int, str]]:
        """Stamp (result, device) pairs as in hand; the devices that another run is working on, and its name."""
        answers = []
        for batch in batches:
            busy = crossing.busy_elsewhere(self.facts.run, self.facts.kind, [device for _, device in batch])
            begun = [result for result, device in batch if device not in busy]
            now = timezone.now()
            update_many(Result, [(result, [now]) for result in begun], ["started_at"])
            answers.append(busy)
        return answers

    def _reserve(self, intents: list[Intent]) -> list[Answer | HostKeyVerdict]:
        now = timezone.now()
        self._keep([record for intent in intents for record in intent.before])
        verdicts = self._verdicts(intents)
        admitted = [intent.login for intent, verdict in zip(intents, verdicts, strict=True) if verdict is None]
        granted = iter(reserve_many(self.guard, admitted, self._proven, now))
        answers = [verdict or next(granted) for verdict in verdicts]
        rows: list[tuple[int, list[Any]]] = []
        for intent, answer in zip(intents, answers, strict=True):
            if isinstance(answer, Reservation):
                rows.append((intent.result, [_open_login(intent, answer, now)]))
            elif intent.before:
                rows.append((intent.result, [None]))
        update_many(Result, rows, ["open_login"])
        return answers

    @staticmethod
    def _verdicts(intents: list[Intent]) -> list[HostKeyVerdict | None]:
        """Whose host key is not the pinned one any more, just before a secret is opened for it."""
        shown = [(intent.login.device, intent.host_key) for intent in intents if intent.host_key is not None]
        found = iter(admit_host_keys(shown))
        return [None if intent.host_key is None else next(found) for intent in intents]

    def _settle(self, rows: list[Settlement]) -> list[None]:
        settle_many(self.guard, self.store, [(row.reservation, row.fate) for row in rows], timezone.now())
        if any(row.reservation.row is not None or row.fate not in (Fate.ACCEPTED, Fate.UNSENT) for row in rows):
            self._proven.forget()
        update_many(
            Result,
            [
                (
                    row.intent.result,
                    [
                        None
                        if row.fate == Fate.UNSENT
                        else {**_open_login(row.intent, row.reservation, row.at), "fate": row.fate.value}
                    ],
                )
                for row in rows
            ],
            ["open_login"],
        )
        return [None] * len(rows)

    def _end(self, rows: list[Ending]) -> list[None]:
        self._keep([record for row in rows if not row.is_bare for record in row.attempts])
        self._keep([record for row in rows if row.is_bare for record in row.attempts], gone=True)
        for row in rows:
            if row.unused:
                self.uses.not_attempted(row.device, row.device_name, row.unused, row.report)
        stored = store_all([row.report.store for row in rows])
        now = timezone.now()
        update_many(
            Result,
            [(row.result, _result_values(row.report, found, now)) for row, found in zip(rows, stored, strict=True)],
            _RESULT_FIELDS,
            add=["login_count"],
            where={"status": ResultStatus.PENDING.value},
        )
        learned = [(row, _learned(row.report, self.facts)) for row in rows]
        for fields, of_device in _DEVICE_FIELDS.items():
            update_many(
                Device,
                [
                    (row.device, [of_device[name](row.report, now) for name in fields])
                    for row, of in learned
                    if of == fields
                ],
                fields,
            )
        return [None] * len(rows)

    def _keep(self, records: Sequence[AttemptRecord], gone: bool = False) -> None:
        insert_many(Attempt, _ATTEMPT_FIELDS, [_attempt_values(record, self.facts, gone) for record in records])
        self.uses.attempted(records)
        for record in records:
            if record.enable_refused:
                candidate, now = record.candidate, timezone.now()
                self.guard.remember_enable(
                    candidate.credential, candidate.version, record.device, record.device_name, now
                )


def store_all(stores: Sequence[Store | None]) -> list[Stored]:
    """What kinds left to be written, together where a kind knows how to."""
    answers: list[Stored | None] = [None] * len(stores)
    groups: dict[Callable[[Sequence[Any]], Sequence[Stored]], list[int]] = {}
    for place, store in enumerate(stores):
        together = getattr(type(store), "together", None)
        if store is None:
            answers[place] = Stored()
        elif together is None:
            answers[place] = store()
        else:
            groups.setdefault(together, []).append(place)
    for together, places in groups.items():
        for place, found in zip(places, together([stores[place] for place in places]), strict=True):
            answers[place] = found
    return [answer for answer in answers if answer is not None]


_RESULT_FIELDS = [
    "status",
    "outcome",
    "detail",
    "advice",
    "credential",
    "credential_name",
    "login_count",
    "open_login",
    "config_version",
    "config_changed",
    "data",
    "started_at",
    "finished_at",
    "duration_s",
]


def _result_values(report: DeviceReport, stored: Stored, now: datetime) -> list[Any]:
    candidate = report.candidate
    return [
        ResultStatus.DONE.value,
        report.outcome.value,
        (report.detail or stored.detail)[:500],
        report.advice[:500],
        candidate.credential if candidate else None,
        candidate.name if candidate else "",
        report.attempts,
        None,
        stored.config_version,
        stored.config_changed,
        stored.data,
        report.started_at,
        now,
        round(report.duration_s, 3),
    ]


_Value = Callable[[DeviceReport, datetime], Any]
_TRIED: dict[str, _Value] = {
    "last_outcome": lambda report, now: report.outcome.value,
    "last_outcome_at": lambda report, now: now,
}
_GOOD: dict[str, _Value] = {"last_success_at": lambda report, now: now}
_LOGIN: dict[str, _Value] = {
    "last_good_credential": lambda report, now: report.candidate.credential if report.candidate else None,
    "last_good_at": lambda report, now: now,
}
_DEVICE_FIELDS: dict[tuple[str, ...], dict[str, _Value]] = {
    tuple(fields): fields for fields in (_TRIED, _LOGIN, _TRIED | _LOGIN, _TRIED | _GOOD | _LOGIN)
}


def _learned(report: DeviceReport, facts: RunFacts) -> tuple[str, ...]:
    """The fields of the device that this report changes; none for a look from outside that found it there.

    An open port is no working login: it must not paint a device green whose host key has changed.
    """
    if facts.is_about_credential:  # how the devices are doing is not what was asked
        return tuple(_LOGIN if report.candidate else {})
    if report.outcome == Outcome.SUCCESS:
        return tuple(_TRIED | _GOOD | _LOGIN) if report.candidate else ()
    return tuple(_TRIED | _LOGIN if report.candidate else _TRIED)


# --- logins -----------------------------------------------------------------------------------------------


def _open_login(intent: Intent, answer: Answer, at: datetime) -> dict[str, Any]:
    assert isinstance(answer, Reservation)
    login, candidate = intent.login, intent.candidate
    return {
        "login": {
            "credential": login.credential,
            "version": login.version,
            "scope": login.scope,
            "username": login.username,
            "domain": login.domain,
            "device": login.device,
            "device_label": login.device_label,
            "address": login.address,
        },
        "account": answer.account,
        "row": answer.row,
        "name": candidate.name,
        "reason": candidate.reason,
        "order": intent.order,
        "at": at.isoformat(),
        "fate": Fate.UNANSWERED.value,
    }


def close_open_logins(results: Sequence[Result], facts: RunFacts, guard: Guard, store: CredentialStore) -> None:
    """Make attempts of the logins that were under way when a worker was lost; within a transaction.

    Nobody knows what became of a secret that was not settled: it counts as unanswered.
    """
    for result in results:
        found = result.open_login
        if found is None:
            continue
        fate = Fate(found["fate"])
        login = GuardedLogin(**{"address": "", **found["login"]})
        at = datetime.fromisoformat(found["at"])
        if fate == Fate.UNANSWERED:
            settle_many(guard, store, [(Reservation(login, found["account"], found["row"], at), fate)])
        outcome = {Fate.UNANSWERED: Outcome.UNANSWERED, Fate.REJECTED: Outcome.REJECTED}.get(fate)
        Attempt.objects.create(
            run_id=facts.run,
            device_id=_existing(Device, login.device),
            device_name=login.device_label,
            credential_id=_existing(Credential, login.credential),
            credential_name=found["name"],
            credential_version=login.version,
            username=login.username,
            order=found["order"],
            reason=found["reason"][:200],
            outcome=outcome or Outcome.INTERNAL_ERROR,
            fate=fate.value,
            detail="The worker was lost while this login was under way.",
            is_test=facts.is_test,
            requested_by_name=facts.requested_by_name,
            started_at=at,
            duration_s=max(0.0, (timezone.now() - at).total_seconds()),
        )
        known = outcome or Outcome.INTERNAL_ERROR
        audit.append([lost_login(login, found["name"], facts, known.value, fate.value, found["order"])])


def _existing(model: type[Device] | type[Credential], pk: int) -> int | None:
    return pk if model.objects.filter(pk=pk).exists() else None


_ATTEMPT_FIELDS = [
    "run",
    "device",
    "device_name",
    "credential",
    "credential_name",
    "credential_version",
    "username",
    "order",
    "reason",
    "outcome",
    "fate",
    "detail",
    "address",
    "host_key",
    "is_test",
    "requested_by_name",
    "started_at",
    "duration_s",
]


def _attempt_values(record: AttemptRecord, facts: RunFacts, gone: bool) -> list[Any]:
    """With `gone`, on its own where the device or the credential was deleted meanwhile."""
    candidate = record.candidate
    return [
        facts.run,
        _existing(Device, record.device) if gone else record.device,
        record.device_name,
        _existing(Credential, candidate.credential) if gone else candidate.credential,
        candidate.name,
        candidate.version,
        candidate.username,
        record.order,
        candidate.reason[:200],
        record.outcome.value,
        record.fate.value,
        record.detail[:500],
        record.address,
        record.host_key,
        facts.is_test,
        facts.requested_by_name,
        record.started_at,
        record.duration_s,
    ]
