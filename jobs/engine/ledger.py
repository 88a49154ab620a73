"""The books of a shard: guard, host keys, opened credentials and attempts, written by its one writer."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from django.utils import timezone

from credentials.guard import Guard, GuardedLogin, Reservation, Wait
from credentials.store import Candidate, CredentialStore, OpenedCredential
from devices.connector.outcomes import Fate
from devices.connector.target import HostKeyData
from devices.models import Device
from devices.services import admit_host_key
from jobs.connector import AttemptRecord, GateClosed
from jobs.engine.writer import Writer
from jobs.models import Attempt

# Shorter than the time that servers give somebody to log in (120 s at OpenSSH and IOS, 30 s at some).
_WAIT_AT_GATE_S = 20.0


@dataclass(frozen=True)
class RunFacts:
    """What every attempt of a run has in common."""

    run: int
    requested_by_name: str
    is_test: bool


class ShardLedger:
    """Implements `jobs.connector.Ledger` over the database, through the shard's writer."""

    def __init__(self, writer: Writer, guard: Guard, store: CredentialStore, facts: RunFacts) -> None:
        self._writer = writer
        self._guard = guard
        self._store = store
        self._facts = facts
        self._opened: dict[int, OpenedCredential] = {}
        self._settled = threading.Condition()

    def admit_host_key(self, device: int, presented: HostKeyData) -> None:
        """See Ledger."""
        verdict = self._writer.call(lambda: admit_host_key(device, presented))
        if verdict is not None:
            raise verdict

    def reserve(self, login: GuardedLogin) -> Reservation:
        """See Ledger; waits at the gate for a while when others are trying the same account."""
        until = time.monotonic() + _WAIT_AT_GATE_S
        while True:
            try:
                return self._writer.call(lambda: self._guard.reserve(login))
            except Wait:
                pass
            left = until - time.monotonic()
            if left <= 0:
                raise GateClosed("Others are still finding out whether this account works.")
            with self._settled:
                # Other workers settle too and cannot wake this one, so it also looks by itself.
                self._settled.wait(min(left, 0.5))

    def open(self, candidate: Candidate) -> OpenedCredential:
        """See Ledger; each credential is opened once in a shard."""
        opened = self._opened.get(candidate.credential)
        if opened is None:
            opened = self._writer.call(lambda: self._store.open(candidate.credential, candidate.version))
            self._opened[candidate.credential] = opened
        return opened

    def settle(self, reservation: Reservation, fate: Fate) -> None:
        """See Ledger."""

        def book() -> None:
            now = timezone.now()
            self._guard.settle(reservation, fate, now)
            if fate != Fate.UNSENT:
                self._store.record(reservation.login.credential, fate, now)
            if fate == Fate.ACCEPTED:
                Device.objects.filter(pk=reservation.login.device).update(
                    last_good_credential_id=reservation.login.credential, last_good_at=now
                )

        self._writer.call(book)
        with self._settled:
            self._settled.notify_all()

    def attempt(self, record: AttemptRecord) -> None:
        """See Ledger."""
        candidate, facts = record.candidate, self._facts
        self._writer.call(
            lambda: Attempt.objects.create(
                run_id=facts.run,
                device_id=record.device,
                device_name=record.device_name,
                credential_id=candidate.credential,
                credential_name=candidate.name,
                credential_version=candidate.version,
                username=candidate.username,
                order=record.order,
                reason=candidate.reason[:200],
                outcome=record.outcome,
                fate=record.fate,
                detail=record.detail[:500],
                address=record.address,
                host_key=record.host_key,
                is_test=facts.is_test,
                requested_by_name=facts.requested_by_name,
                started_at=record.started_at,
                duration_s=record.duration_s,
            )
        )
