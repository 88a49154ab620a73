"""What the tests of the API share: clients with just the permissions that are asked for, and rows to read."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import Permission, User
from django.utils import timezone
from rest_framework.test import APIClient

from credentials.guard import Guard, GuardedLogin, GuardLimits
from credentials.models import Credential
from credentials.services import SecretsInput, create_credential
from devices.choices import HostKeyState
from devices.configs.store import prepare, save_version
from devices.connector.target import address_of
from devices.models import ConfigVersion, Device, HostKey
from devices.services import save_device
from jobs.choices import ResultStatus, RunStatus
from jobs.maintenance import save_window
from jobs.models import Attempt, Job, Result, Run
from jobs.windows import MaintenanceWindow
from netraven_site.models import ApiToken, TokenScope

ROOT = "/api/v1/"


def user_with(*permissions: str, name: str = "olga", **fields: Any) -> User:
    user = User.objects.create_user(name, **fields)
    for permission in permissions:
        app, codename = permission.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    return user


def token_client(user: User) -> APIClient:
    _, text = ApiToken.issue(user, scope=TokenScope.SECRETS)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {text}")
    return client


def client_with(*permissions: str, name: str = "olga") -> APIClient:
    """A client whose user may do these things and nothing else."""
    return token_client(user_with(*permissions, name=name))


def admin_client(name: str = "root") -> APIClient:
    return token_client(User.objects.create_superuser(name))


def make_device(name: str = "sw1", tags: tuple[str, ...] = ("core",), **fields: Any) -> Device:
    values = {"name": name, "host": "10.0.0.1", "platform": "cisco_ios", **fields}
    return save_device(Device(), tags=list(tags), **values)


def make_credential(name: str = "team", tags: tuple[str, ...] = ("core",), **fields: Any) -> Credential:
    secrets = SecretsInput(password=fields.pop("password", "hunter2-secret"))
    return create_credential(name=name, username="netops", secrets=secrets, tags=list(tags), **fields)


def make_run(*devices: Device, outcome: str = "success", **fields: Any) -> Run:
    now = timezone.now()
    run = Run.objects.create(
        **{
            "job_name": "Backup",
            "kind": "backup",
            "status": RunStatus.SUCCEEDED,
            "device_count": len(devices),
            "created_at": now - timedelta(seconds=10),
            "finished_at": now,
            **fields,
        }
    )
    for device in devices:
        Result.objects.create(
            run=run, device=device, device_name=device.name, status=ResultStatus.DONE, outcome=outcome
        )
    return run


def make_attempt(device: Device, credential: Credential | None = None, **fields: Any) -> Attempt:
    return Attempt.objects.create(
        **{
            "device": device,
            "device_name": device.name,
            "credential": credential,
            "credential_name": credential.name if credential else "",
            "order": 1,
            "outcome": "success",
            "fate": "accepted",
            "started_at": timezone.now(),
            "duration_s": 0.5,
            **fields,
        }
    )


def config(*lines: str) -> str:
    return "\n".join(["hostname sw1", "!", *lines, "!", "end", ""])


def make_version(device: Device, text: str) -> ConfigVersion:
    return save_version(device.pk, "running", prepare(text, device.platform)).version


def make_key(device: Device, fingerprint: str = "SHA256:new", state: str = HostKeyState.PENDING) -> HostKey:
    now = timezone.now()
    return HostKey.objects.create(
        device=device,
        key_type="ssh-ed25519",
        public_key="AAAA" + fingerprint,
        fingerprint=fingerprint,
        state=state,
        first_seen_at=now,
        last_seen_at=now,
    )


def hold_account(credential: Credential, device: Device) -> None:
    """Use up the rejections of a credential's account."""
    guard = Guard(GuardLimits(central=3, in_flight=3))
    for edited in range(3):
        login = GuardedLogin(
            credential=credential.pk,
            version=credential.version + edited,
            scope=credential.scope,
            username=credential.username,
            domain=device.aaa_domain,
            device=device.pk,
            device_label=device.name,
            address=address_of(device.host, device.port),
        )
        guard.settle(guard.reserve(login), "rejected")


def make_job(name: str = "Nightly", tags: tuple[str, ...] = (), **fields: Any) -> Job:
    job = Job.objects.create(name=name, **{"kind": "backup", **fields})
    if tags:
        from taggit.models import Tag

        job.tags.set([Tag.objects.get_or_create(name=tag)[0] for tag in tags])
    return job


def make_window(name: str = "Weekend", tags: tuple[str, ...] = ("core",), **fields: Any) -> MaintenanceWindow:
    """A window that is open now, unless its fields say otherwise."""
    from taggit.models import Tag

    begun = timezone.now() - timedelta(minutes=5)
    values = {"starts_at": begun, "duration_min": 120} if "cron" not in fields else {"duration_min": 120}
    found = [Tag.objects.get_or_create(name=tag)[0] for tag in tags]
    return save_window(MaintenanceWindow(name=name), tags=found, **{**values, **fields})
