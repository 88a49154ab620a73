"""Devices, credentials and a ledger of attempts, as rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from credentials.models import Credential
from credentials.services import SecretsInput, create_credential
from devices.connector.outcomes import Outcome
from devices.models import Device
from devices.services import save_device
from jobs.choices import ResultStatus
from jobs.models import Attempt, Result, Run

NOW = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
OUTCOMES = {"accepted": "success", "rejected": "rejected", "unanswered": "unanswered", "unsent": "success"}


def ago(**span: float) -> datetime:
    """A moment before NOW."""
    return NOW - timedelta(**span)


def device(name: str, tags: Sequence[str] = ("dc",), **more: object) -> Device:
    given = {"host": "192.0.2.1", "platform": "cisco_ios"} | more
    return save_device(Device(), name=name, tags=list(tags), **given)


def credential(name: str, tags: Sequence[str] = ("dc",), **more: object) -> Credential:
    given = {"username": name, "scope": "local"} | more
    return create_credential(name=name, secrets=SecretsInput(password="pw"), tags=list(tags), **given)


def run(kind: str = "backup", at: datetime = NOW) -> Run:
    return Run.objects.create(job_name="nightly", kind=kind, created_at=at)


def login(
    where: Device | None,
    who: Credential | None,
    fate: str = "accepted",
    at: datetime = NOW,
    *,
    during: Run | None = None,
    order: int = 1,
    is_test: bool = False,
    version: int | None = None,
) -> Attempt:
    return Attempt.objects.create(
        run=during,
        device=where,
        device_name=where.name if where else "gone",
        credential=who,
        credential_name=who.name if who else "gone",
        credential_version=version or (who.version if who else 1),
        username="",
        order=order,
        outcome=OUTCOMES[fate],
        fate=fate,
        is_test=is_test,
        started_at=at,
        duration_s=1.0,
    )


def visit(where: Device, *tried: tuple[Credential, str], at: datetime = NOW, during: Run | None = None) -> Run:
    """The logins of one run on one device, in their order."""
    during = during or run(at=at)
    for order, (who, fate) in enumerate(tried, start=1):
        login(where, who, fate, at + timedelta(seconds=order), during=during, order=order)
    return during


def result(where: Device, outcome: str, during: Run | None = None) -> Result:
    return Result.objects.create(
        run=during or run(),
        device=where,
        device_name=where.name,
        status=ResultStatus.DONE,
        outcome=Outcome(outcome),
        finished_at=NOW,
    )
