"""A job's login on one device over a real connection, with books in memory instead of a database."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.utils import timezone

from credentials.guard import GuardedLogin, Reservation
from credentials.store import Candidate, OpenedCredential
from devices.connector.outcomes import Fate
from devices.connector.target import HostKeyData, HostKeyVerdict, Limits, Target
from devices.simulator.fleet import DeviceHandle
from jobs.connector import AttemptRecord, DeviceReport, DeviceTask, JobDeviceConnector, RetryPolicy
from jobs.kinds import KINDS, KindContext

QUICK = Limits(connect_s=2, banner_s=2, auth_s=2, prompt_s=3, read_s=3, deadline_s=30)


@dataclass
class MemoryLedger:
    secrets: dict[int, OpenedCredential]
    verdict: HostKeyVerdict | None = None
    opened: list[int] = field(default_factory=list)
    settled: list[Fate] = field(default_factory=list)
    attempts: list[AttemptRecord] = field(default_factory=list)
    presented: list[HostKeyData] = field(default_factory=list)

    def admit_host_key(self, device: int, presented: HostKeyData) -> None:
        self.presented.append(presented)
        if self.verdict:
            raise self.verdict

    def reserve(self, login: GuardedLogin, candidate: Candidate, order: int) -> Reservation:
        return Reservation(login, 1, None, timezone.now())

    def open(self, candidate: Candidate) -> OpenedCredential:
        self.opened.append(candidate.credential)
        return self.secrets[candidate.credential]

    def settle(self, reservation: Reservation, fate: Fate) -> None:
        self.settled.append(fate)

    def attempt(self, record: AttemptRecord) -> None:
        self.attempts.append(record)


def candidate(number: int, username: str, *kinds: str, **more: object) -> Candidate:
    return Candidate(
        credential=number,
        version=1,
        name=f"login-{number}",
        username=username,
        scope="local",
        priority=number,
        priority_from="credential",
        matched=("lab",),
        reason="shares tag lab",
        kinds=kinds or ("password",),
        **more,
    )


def opened(username: str, password: str | None = None, **more: str | None) -> OpenedCredential:
    values = {"enable_secret": None, "private_key": None, "passphrase": None} | more
    return OpenedCredential(username=username, password=password, **values)


def target_for(handle: DeviceHandle, limits: Limits = QUICK, **more: object) -> Target:
    spec = handle.spec
    return Target(spec.name, handle.host, handle.port, spec.platform, spec.transport, limits=limits, **more)


def attempt_logins(
    target: Target,
    *secrets: OpenedCredential,
    kind: str = "credential_test",
    verdict: HostKeyVerdict | None = None,
    retries: int = 0,
) -> tuple[DeviceReport, MemoryLedger]:
    """Run one device with these credentials as candidates, in this order."""
    ledger = MemoryLedger(dict(enumerate(secrets, start=1)), verdict)
    candidates = tuple(
        candidate(
            n,
            each.username,
            *(["password"] if each.password else []),
            *(["private key"] if each.private_key else []),
            allow_telnet=True,
        )
        for n, each in enumerate(secrets, start=1)
    )
    task = DeviceTask(1, 1, target, "default", candidates, KindContext(1, target.platform, {}))
    report = JobDeviceConnector(task, KINDS[kind], ledger, RetryPolicy(retries, 0.01)).run()
    return report, ledger
