"""The ledger of one device: its thread's side of the shard's books."""

from __future__ import annotations

import logging
import time

from django.utils import timezone

from credentials.guard import GuardedLogin, Reservation, Wait
from credentials.store import Candidate, OpenedCredential
from devices.connector.outcomes import ConnectorError, Fate, Outcome
from devices.connector.target import HostKeyData, HostKeyVerdict
from jobs.connector import AttemptRecord, DeviceTask, GateClosed
from jobs.engine.books import Books, Intent, Settlement
from jobs.engine.writer import LostLease, Writer

logger = logging.getLogger(__name__)

# Shorter than the time that servers give somebody to log in (120 s at OpenSSH and IOS, 30 s at some).
_WAIT_AT_GATE_S = 20.0


class DeviceLedger:
    """Implements `jobs.connector.Ledger` for one device of a shard, in its thread."""

    def __init__(self, writer: Writer, books: Books, task: DeviceTask) -> None:
        self._writer = writer
        self._books = books
        self._task = task
        self._intents: dict[int, Intent] = {}
        self._presented: HostKeyData | None = None
        self._has_settled = False
        self._tried: list[Candidate] = []
        self.attempts: list[AttemptRecord] = []
        """Attempts that are not handed to the writer yet: they go with the next login, or with the end."""

    def admit_host_key(self, device: int, presented: HostKeyData) -> None:
        """See Ledger; a key that was pinned when the shard began is looked up again with the reservation."""
        self._presented = presented
        if presented not in self._task.target.pinned:
            self._refuse(self._writer.ask(self._books.admit, (device, presented)))

    @staticmethod
    def _refuse(verdict: HostKeyVerdict | None) -> None:
        if verdict is not None:
            raise verdict

    def reserve(self, login: GuardedLogin, candidate: Candidate, order: int) -> Reservation:
        """See Ledger; waits at the gate for a while when others are trying the same account."""
        until = time.monotonic() + _WAIT_AT_GATE_S
        while True:
            key = self._presented
            intent = Intent(self._task.result, login, candidate, order, key, tuple(self.attempts))
            answer = self._writer.ask(self._books.reserve, intent, flush=self._has_settled)
            self.attempts.clear()
            if isinstance(answer, Reservation):
                self._intents[id(answer)] = intent
                return answer
            if isinstance(answer, HostKeyVerdict):
                outcome = Outcome.HOST_KEY_CHANGED if answer.changed else Outcome.HOST_KEY_UNKNOWN
                raise ConnectorError(outcome, answer.detail)
            if not isinstance(answer, Wait):
                raise answer
            left = until - time.monotonic()
            if left <= 0:
                raise GateClosed("Others are still finding out whether this account works.")
            with self._books.settled:
                # Other workers settle too and cannot wake this one, so it also looks by itself.
                self._books.settled.wait(min(left, 0.5))

    def open(self, candidate: Candidate) -> OpenedCredential:
        """See Ledger; each credential is opened once in a shard, and each login is on record before."""
        return self._books.uses.open(self._writer, self._task, candidate)

    def settle(self, reservation: Reservation, fate: Fate) -> None:
        """See Ledger; written soon, and before whatever this thread hands over next."""
        row = Settlement(self._intents.pop(id(reservation)), reservation, fate, timezone.now())
        # What others may wait for: the first success of an account, or that it has one rejection less.
        urgent = reservation.row is not None or fate != Fate.ACCEPTED
        self._has_settled = True
        self._writer.put(self._books.settle, row, self._tell, self._not_settled, urgent=urgent)

    def attempt(self, record: AttemptRecord) -> None:
        """See Ledger."""
        self.attempts.append(record)
        self._tried.append(record.candidate)

    def unused(self) -> tuple[Candidate, ...]:
        """Candidates that are on record as about to be used, and were not."""
        return self._books.uses.left_over(self._task, self._tried)

    def _tell(self, answer: None) -> None:
        with self._books.settled:
            self._books.settled.notify_all()

    def _not_settled(self, problem: BaseException) -> None:
        if not isinstance(problem, LostLease):
            logger.error("the fate of a login of device id %s was not booked", self._task.device, exc_info=problem)
