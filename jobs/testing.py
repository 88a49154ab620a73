"""Testing one credential: on which devices, and what came of it on each of them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from credentials.models import Credential
from credentials.querysets import known_tags
from devices.choices import Transport
from devices.connector.outcomes import Fate, Outcome
from devices.models import Device
from jobs.choices import Trigger
from jobs.engine.plan import devices_of
from jobs.kinds.credential_test import CredentialTest
from jobs.models import Attempt, Result, Run
from jobs.services import start_adhoc

if TYPE_CHECKING:
    from django.contrib.auth.models import User


SAMPLE: Final = 5
"""Devices of a test for which none were named."""
KIND: Final = CredentialTest.name


class CredentialDisabled(ValidationError):
    """The credential is disabled, so it is not tested."""


class NothingToTest(ValidationError):
    """No device is left that the credential may be sent to."""


def start_test(
    credential: Credential,
    *,
    devices: Sequence[Device] = (),
    tags: Sequence[str] = (),
    sample: int | None = None,
    trigger: Trigger,
    user: User | None = None,
) -> Run:
    """Test a credential on these devices and those with these tags, or on a sample by chance.

    The sample is of the devices with the tags, or else of those that the credential matches; of SAMPLE devices
    where nothing is said at all. CredentialDisabled; NothingToTest when no device is left; ValidationError by
    field when the choice cannot be.
    """
    if not credential.enabled:
        raise CredentialDisabled(f"The credential {credential.name} is disabled: enable it before testing it.")
    check_choice(devices, sample)
    if sample is not None or not (devices or tags):
        devices, tags = _sample(credential, tags, sample or SAMPLE), ()
    return start_adhoc(
        KIND, tags=tags, devices=devices, parameters={"credential": credential.name}, trigger=trigger, user=user
    )


def check_choice(devices: Sequence[Device], sample: int | None) -> None:
    """ValidationError by field when a test cannot be on these named devices, or on a sample of this size."""
    if sample is not None and sample < 1:
        raise ValidationError({"sample": "A sample is of at least 1 device."})
    if sample is not None and devices:
        raise ValidationError({"sample": "A sample is chosen by chance and devices by name: give one of them."})
    if off := [device.name for device in devices if not device.enabled]:
        raise ValidationError({"devices": f"{off[0]} is disabled: no job logs in to it."})


def matching_devices(credential: Credential) -> QuerySet[Device]:
    """The enabled devices that it matches, also those that it may not be sent to."""
    own = credential.tag_links.values_list("tag_id", flat=True)
    return devices_of(own, (), all_devices=credential.is_fallback)


def testable_devices(credential: Credential) -> QuerySet[Device]:
    """The enabled devices that it matches and may be sent to: what a sample is taken of."""
    return _sendable(credential, matching_devices(credential))


def _sendable(credential: Credential, devices: QuerySet[Device]) -> QuerySet[Device]:
    return devices if credential.allow_telnet else devices.exclude(transport=Transport.TELNET)


def _sample(credential: Credential, tags: Sequence[str], size: int) -> list[Device]:
    if tags:
        known, missing = known_tags(tags)
        if missing:
            raise ValidationError({"tags": f"There is no tag {missing[0]}."})
        found = _sendable(credential, devices_of([tag.pk for tag in known], ()))
    else:
        found = testable_devices(credential)
    ids = list(found.order_by().values_list("pk", flat=True))
    devices = list(Device.objects.filter(pk__in=random.sample(ids, min(size, len(ids)))))
    if not devices:
        where = f"has no enabled device with the tags {', '.join(tags)}" if tags else "matches no enabled device"
        raise NothingToTest(
            f"The credential {credential.name} {where} that it may be sent to: name devices, or give it a tag "
            "that they have."
        )
    return devices


# --- what came of it ------------------------------------------------------------------------------
@dataclass(frozen=True)
class Tested:
    """Whether login and privileged mode worked; None where that was not found out."""

    login: bool | None = None
    enable: bool | None = None


def is_test(run: Run) -> bool:
    """Whether the run is a credential test."""
    return run.kind == KIND


def tested(run: Run, results: Iterable[Result]) -> dict[int, Tested]:
    """What a credential test found out about each of these results, by their ids; two queries."""
    rows = list(results)
    data = dict(Result.objects.filter(pk__in=[row.pk for row in rows]).values_list("pk", "data"))
    devices = [row.device_id for row in rows if row.device_id is not None]
    accepted = set(
        Attempt.objects.filter(run=run, device__in=devices, fate=Fate.ACCEPTED).values_list("device", flat=True)
    )
    return {row.pk: _tested(row.outcome, data.get(row.pk, {}), row.device_id in accepted) for row in rows}


def _tested(outcome: str, data: Mapping[str, Any], accepted: bool) -> Tested:
    if outcome == Outcome.SUCCESS:
        return Tested(True, bool(data.get("enable")))
    if outcome == Outcome.ENABLE_REJECTED:
        return Tested(True, False)
    if accepted:
        return Tested(True)
    return Tested(False if outcome in {Outcome.REJECTED, Outcome.PASSWORD_EXPIRED} else None)
