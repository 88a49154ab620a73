"""JobDeviceConnector: one device's part of a run, from its candidates to what was brought back.

It knows no database: what it must know or write goes through a `Ledger`, which the run engine implements.
"""

from __future__ import annotations

import logging
import random
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from django.utils import timezone

from credentials.exceptions import CredentialsError
from credentials.guard import GuardedLogin, Held, KnownRejected, Reservation
from credentials.store import Candidate, OpenedCredential
from devices.connector.core import CoreDeviceConnector
from devices.connector.outcomes import ConnectorError, Fate, Outcome, info
from devices.connector.ssh import MethodMismatch
from devices.connector.target import HostKeyData, LoginSecrets, Target, address_of
from jobs.kinds import DeviceKind, KindContext, Store
from jobs.kinds.base import PartlyDone

logger = logging.getLogger(__name__)

_METHOD_NEEDS = {
    "publickey": "private key",
    "password": "password",
    "keyboard-interactive": "password",
    "telnet": "password",
}


_PROVEN_WRONG = "Proven wrong before and not sent again: correct the credential, or release it."


@dataclass(frozen=True)
class DeviceTask:
    """Everything a thread needs to work on one device; ids and plain data, no secret."""

    result: int
    device: int
    target: Target
    domain: str
    candidates: tuple[Candidate, ...]
    context: KindContext
    tries: int = 1
    """Above 1 when a worker was lost while it had this device in hand."""


@dataclass(frozen=True)
class AttemptRecord:
    """One login, as it will be kept."""

    device: int
    device_name: str
    candidate: Candidate
    order: int
    outcome: Outcome
    fate: Fate
    detail: str
    address: str
    host_key: str
    started_at: datetime
    duration_s: float
    enable_refused: bool = False
    """Whether the device refused the enable secret that was typed."""


@dataclass
class DeviceReport:
    """What became of one device in a run."""

    outcome: Outcome
    detail: str = ""
    advice: str = ""
    candidate: Candidate | None = None
    attempts: int = 0
    store: Store | None = None
    started_at: datetime = field(default_factory=timezone.now)
    duration_s: float = 0.0
    is_lasting: bool = False
    """It will not pass by itself, though its class does."""


@dataclass(frozen=True)
class RetryPolicy:
    """Passing failures are tried again `retries` times, after `pause_s` seconds, doubled each time, with jitter."""

    retries: int = 2
    pause_s: float = 2.0


class GateClosed(Exception):
    """Others are still finding out whether this account works; nothing was sent."""


class Ledger(Protocol):
    """What a login asks and writes on its way."""

    def admit_host_key(self, device: int, presented: HostKeyData) -> None:
        """Raises HostKeyVerdict unless this key may be trusted."""

    def reserve(self, login: GuardedLogin, candidate: Candidate, order: int) -> Reservation:
        """Leave to send one secret, on record before it is sent. Raises KnownRejected, Held or GateClosed."""

    def open(self, candidate: Candidate) -> OpenedCredential:
        """The opened credential. Raises CredentialsError."""

    def settle(self, reservation: Reservation, fate: Fate) -> None:
        """Book what became of the secret, as soon as it is known."""

    def attempt(self, record: AttemptRecord) -> None:
        """Keep one login."""


class JobDeviceConnector:
    """Tries a device's candidates in order, goes on only after a proven rejection, and reports."""

    def __init__(
        self,
        task: DeviceTask,
        kind: DeviceKind,
        ledger: Ledger,
        retry: RetryPolicy,
        stopped: Callable[[float], bool] | None = None,
    ) -> None:
        self._task = task
        self._kind = kind
        self._ledger = ledger
        self._retry = retry
        self._pause = stopped or _sleep
        self._order = 0
        self._deadline = time.monotonic() + task.target.limits.deadline_s

    def run(self) -> DeviceReport:
        """Work on the device; never raises."""
        started, clock = timezone.now(), time.monotonic()
        try:
            report = self._run()
        except Exception:
            reference = uuid.uuid4().hex[:12]
            logger.exception("internal error, reference %s, device id %s", reference, self._task.device)
            report = DeviceReport(Outcome.INTERNAL_ERROR, f"Reference {reference} in the worker's log.")
        report.attempts = self._order
        report.started_at = started
        report.duration_s = time.monotonic() - clock
        report.advice = report.advice or info(report.outcome).advice
        return report

    def _run(self) -> DeviceReport:
        if not self._kind.needs_login(self._task.context.parameters):
            return self._look()
        usable = [candidate for candidate in self._task.candidates if not candidate.skipped]
        if not usable:
            return self._nothing_to_try()
        rejected: list[str] = []
        offered: tuple[str, ...] = ()
        last: DeviceReport | None = None
        for candidate in usable:
            if offered and not _fits(candidate, offered):
                continue
            last = self._with_retries(candidate)
            if last.outcome == Outcome.REJECTED:
                rejected.append(candidate.name)
                continue
            if isinstance(last, _Known):
                continue
            if isinstance(last, _Mismatch):
                # No secret was sent, so nothing was risked: the next one that fits may be tried.
                offered = last.offered
                continue
            return last
        assert last is not None
        if rejected:
            last.outcome, last.advice = Outcome.REJECTED, ""
            if self._kind.is_test and len(usable) == 1:
                last.advice = f"Correct the password or the user name of {usable[0].name}."
            last.detail = f"Rejected: {', '.join(rejected)}. {last.detail}"
        return last

    def _look(self) -> DeviceReport:
        """What can be seen without a login; passing failures are tried again."""
        tries = 0
        while True:
            try:
                return DeviceReport(Outcome.SUCCESS, store=self._kind.look(self._task.target, self._task.context))
            except ConnectorError as error:
                store = error.store if isinstance(error, PartlyDone) else None
                report = DeviceReport(error.outcome, error.detail, error.advice, store=store, is_lasting=error.lasting)
            if not _passes(report) or tries >= self._retry.retries:
                break
            tries += 1
            if self._rest(self._retry.pause_s * 2 ** (tries - 1) * random.uniform(0.5, 1.5)):
                break
        return _tried(report, tries)

    def _rest(self, pause_s: float) -> bool:
        """Wait before another try; True when there is to be none."""
        return time.monotonic() + pause_s > self._deadline or self._pause(pause_s)

    def _nothing_to_try(self) -> DeviceReport:
        skipped = self._task.candidates
        if not skipped:
            return DeviceReport(Outcome.NO_CREDENTIALS, "No enabled credential shares a tag with this device.")
        words = "; ".join(f"{c.name}: {c.skipped}" for c in skipped)
        if all("telnet" in c.skipped for c in skipped):
            return DeviceReport(
                Outcome.NO_CREDENTIALS,
                words,
                "This device is reached by telnet. Allow telnet on the credential that is meant for it.",
            )
        return DeviceReport(
            Outcome.HELD,
            words,
            _PROVEN_WRONG,
        )

    def _with_retries(self, candidate: Candidate) -> DeviceReport:
        tries = 0
        while True:
            report, fate = self._once(candidate)
            may_retry = _passes(report) and fate in {Fate.UNSENT, Fate.ACCEPTED}
            if isinstance(report, _Gate):
                pause = random.uniform(0.2, 1.0)
            elif may_retry and report.outcome != Outcome.HELD and tries < self._retry.retries:
                tries += 1
                pause = self._retry.pause_s * 2 ** (tries - 1) * random.uniform(0.5, 1.5)
            else:
                break
            if self._rest(pause):
                break
        return _tried(report, tries)

    def _once(self, candidate: Candidate) -> tuple[DeviceReport, Fate]:
        """One connection with one credential."""
        task, ledger = self._task, self._ledger
        reservation: Reservation | None = None
        started, clock = timezone.now(), time.monotonic()

        def provide(offered: tuple[str, ...]) -> LoginSecrets:
            nonlocal reservation
            if offered and offered != ("none",) and not _fits(candidate, offered):
                raise MethodMismatch(offered, " and ".join(candidate.kinds) or "no secret")
            reservation = ledger.reserve(self._guarded(candidate), candidate, self._order + 1)
            opened = ledger.open(candidate)
            return LoginSecrets(
                opened.username,
                opened.password,
                None if candidate.enable_refused else opened.enable_secret,
                opened.private_key,
                opened.passphrase,
                candidate.enable_refused,
            )

        left = max(1.0, self._deadline - time.monotonic())
        target = replace(task.target, limits=replace(task.target.limits, deadline_s=left))
        connector = CoreDeviceConnector(
            target, candidate.username, provide, lambda key: ledger.admit_host_key(task.device, key)
        )
        report = DeviceReport(Outcome.INTERNAL_ERROR, candidate=candidate)
        logged_in = False
        try:
            connector.open()
            logged_in = True
            if reservation is not None and connector.evidence.fate == Fate.ACCEPTED:
                # Now and not after the work: others wait for this at the gate, and a lost worker must not lose it.
                ledger.settle(reservation, Fate.ACCEPTED)
                reservation = None
            report.store = self._kind.work(connector, task.context)
            report.outcome = Outcome.SUCCESS
        except MethodMismatch as error:
            report = _Mismatch(error.outcome, error.detail, offered=error.offered)
        except ConnectorError as error:
            report.outcome, report.detail, report.advice = error.outcome, error.detail, error.advice
            report.is_lasting = error.lasting
            report.store = error.store if isinstance(error, PartlyDone) else None
            if error.outcome == Outcome.ENABLE_REJECTED and candidate.enable_refused:
                report.advice = (
                    f"Correct the enable secret of {candidate.name}; or release the credential, and it is typed again."
                )
        except Held as error:
            report.outcome, report.detail = Outcome.HELD, str(error)
            report.advice = (
                f"Correct the credential {candidate.name}, or release the account {error.label}. "
                f"Its scope is {error.scope}; the limit is {error.limit} rejections in a window."
            )
        except KnownRejected:
            report = _Known(
                Outcome.HELD,
                f"{candidate.name}: proven wrong a moment ago on another device of this AAA domain.",
                _PROVEN_WRONG,
            )
        except GateClosed as error:
            report = _Gate(Outcome.HELD, str(error), candidate=candidate)
        except CredentialsError as error:
            report.detail = f"The secret of {candidate.name} cannot be opened: {error}"
            report.advice = "Run the job again; if it stays so, check the keyring: ./manage.py check"
        finally:
            connector.close()
            evidence = connector.evidence
            if not logged_in and evidence.fate != Fate.ACCEPTED:
                report.candidate = None  # a result names the credential that got in
            if reservation is not None:
                ledger.settle(reservation, evidence.fate)
            if evidence.fate != Fate.UNSENT or logged_in:
                self._order += 1
                ledger.attempt(
                    AttemptRecord(
                        device=task.device,
                        device_name=task.target.name,
                        candidate=candidate,
                        order=self._order,
                        outcome=report.outcome,
                        fate=evidence.fate,
                        detail=report.detail,
                        address=evidence.address,
                        host_key=evidence.host_key.fingerprint if evidence.host_key else "",
                        started_at=started,
                        duration_s=time.monotonic() - clock,
                        enable_refused=evidence.enable_refused,
                    )
                )
        return report, evidence.fate

    def _guarded(self, candidate: Candidate) -> GuardedLogin:
        return GuardedLogin(
            credential=candidate.credential,
            version=candidate.version,
            scope=candidate.scope,
            username=candidate.username,
            domain=self._task.domain,
            device=self._task.device,
            device_label=self._task.target.name,
            address=address_of(self._task.target.host, self._task.target.port),
        )


def _passes(report: DeviceReport) -> bool:
    return info(report.outcome).passing and not report.is_lasting


def _tried(report: DeviceReport, tries: int) -> DeviceReport:
    if tries and report.outcome != Outcome.SUCCESS:
        report.detail = f"{report.detail} (tried {tries + 1} times)"
    return report


@dataclass
class _Mismatch(DeviceReport):
    offered: tuple[str, ...] = ()


@dataclass
class _Gate(DeviceReport):
    pass


@dataclass
class _Known(DeviceReport):
    pass


def _fits(candidate: Candidate, offered: Sequence[str]) -> bool:
    return any(_METHOD_NEEDS.get(method) in candidate.kinds for method in offered)


def _sleep(seconds: float) -> bool:
    time.sleep(seconds)
    return False
