"""Where a failure is mended: a link for each outcome class."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from django.urls import reverse

from devices.connector.outcomes import Outcome

_DEVICE_SETTINGS = {
    Outcome.UNRESOLVED,
    Outcome.UNREACHABLE,
    Outcome.REFUSED,
    Outcome.TIMEOUT,
    Outcome.BUSY,
    Outcome.ALGORITHM_MISMATCH,
    Outcome.PROTOCOL_ERROR,
    Outcome.COMMAND_ERROR,
}
_CREDENTIAL = {Outcome.ENABLE_REJECTED, Outcome.PASSWORD_EXPIRED, Outcome.REJECTED}
_HOST_KEYS = {Outcome.HOST_KEY_UNKNOWN, Outcome.HOST_KEY_CHANGED}


@dataclass(frozen=True)
class Mend:
    """A link with what one does there."""

    label: str
    url: str


def mend(outcome: str, device: int | None = None, name: str = "", credential: int | None = None) -> Mend | None:
    """Where to go about this outcome, for one device (its id and name) or credential where they are known."""
    if outcome in _HOST_KEYS:
        return Mend("Compare host keys", _list("devices_hostkey", device=name))
    if outcome == Outcome.HELD:
        return Mend("Held accounts", _list("credentials_guardaccount"))
    if outcome in _CREDENTIAL and credential:
        return Mend("Edit credential", reverse("admin:credentials_credential_change", args=[credential]))
    if outcome in {Outcome.NO_CREDENTIALS, Outcome.REJECTED} and device:
        return Mend("Its credentials", reverse("admin:devices_device_page", args=[device]) + "#candidates")
    if outcome in _CREDENTIAL | {Outcome.NO_CREDENTIALS}:
        return Mend("Credentials", _list("credentials_credential"))
    if outcome in _DEVICE_SETTINGS:
        if device:
            return Mend("Edit device", reverse("admin:devices_device_change", args=[device]))
        return Mend("Devices", _list("devices_device", outcome=outcome))
    if outcome == Outcome.INCOMPLETE_OUTPUT:
        return Mend("Look at the answer", _list("devices_keptaside", device=name))
    if outcome == Outcome.UNANSWERED:
        if name:
            return Mend("Its attempts", _list("jobs_attempt", device=name))
        return Mend("Attempts", _list("jobs_attempt", outcome=outcome))
    return None


def _list(model: str, **query: str) -> str:
    given = {name: value for name, value in query.items() if value}
    return reverse(f"admin:{model}_changelist") + (f"?{urlencode(given)}" if given else "")
