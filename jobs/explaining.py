"""Which credentials would be tried on a device, in which order, why, and what stands against it right now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from credentials.guard import HeldAccount, get_guard
from credentials.models import account_identity
from credentials.store import Candidate
from devices.choices import HostKeyState, Transport
from devices.connector.target import address_of
from devices.models import Device, HostKey
from jobs.services import candidates_for_device


@dataclass(frozen=True)
class Explained:
    """A candidate with its place in the order, None where it would be skipped.

    `held` says that its account has no rejections left: then neither it nor what comes after it is tried.
    """

    candidate: Candidate
    order: int | None
    held: str = ""
    held_until: datetime | None = None


@dataclass(frozen=True)
class Explanation:
    """The candidates of a device, and why nothing would be sent to it at all, if so."""

    candidates: list[Explained]
    blocked: str = ""

    @property
    def usable(self) -> list[Explained]:
        """Those that would be tried, in order."""
        return [each for each in self.candidates if each.order is not None]


def explain(device: Device) -> Explanation:
    """From the database alone: nothing is connected to and no secret is opened; a fixed number of queries."""
    candidates = candidates_for_device(device)
    keys = {each.credential: _account(device, each) for each in candidates if not each.skipped}
    held = {each.account.key: each for each in get_guard().held_accounts(keys=set(keys.values()))} if keys else {}
    found: list[Explained] = []
    order = 0
    for each in candidates:
        order += not each.skipped
        account = held.get(keys.get(each.credential, ""))
        found.append(
            Explained(
                each,
                None if each.skipped else order,
                _words(account) if account else "",
                account.until if account else None,
            )
        )
    return Explanation(found, _blocked(device))


def _account(device: Device, candidate: Candidate) -> str:
    address = address_of(device.host, device.port)
    return account_identity(candidate.scope, candidate.username, device.aaa_domain, address, device.name)[0]


def _words(held: HeldAccount) -> str:
    minutes = max(1, round((held.until - timezone.now()).total_seconds() / 60))
    return (
        f"Held now: {held.spent} of {held.limit} rejections of {held.account.label} are used up. "
        f"Tried again in {minutes} min, or when somebody releases the account."
    )


def _blocked(device: Device) -> str:
    if not device.enabled:
        return "The device is disabled: no job logs in to it."
    if device.transport == Transport.TELNET:
        return ""
    states = set(HostKey.objects.filter(device=device).values_list("state", flat=True))
    if HostKeyState.PENDING not in states:
        return ""
    if HostKeyState.PINNED in states:
        return "It has shown another host key than the pinned one: no password is sent until that key is decided on."
    return "Its host key waits for approval: no password is sent before that."
