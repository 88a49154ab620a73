"""The demo: an instance with a simulated fleet, and a short story that the fleet lives through.

Two backup runs, and between them configurations change and one device shows another host key. Everything
that the demo makes up lies in `var/demo` of the instance, so that the next demo finds the same doors.
"""

from __future__ import annotations

import csv
import io
import json
import os
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import transaction
from django.urls import reverse
from taggit.models import Tag

from credentials.exceptions import CredentialsError
from credentials.models import Credential
from credentials.services import SecretsInput, create_credential, update_credential
from devices.choices import HostKeyState
from devices.connector.outcomes import Outcome
from devices.inventory import importer
from devices.models import ConfigVersion, Device, HostKey
from devices.simulator import demo as fleet
from devices.simulator.control import SimulatorControl
from devices.simulator.generate import COLUMNS, with_ports
from devices.simulator.spec import SimDevice, SimulatorError
from jobs.choices import Trigger
from jobs.maintenance import save_window
from jobs.models import Attempt, Job, Result, Run
from jobs.services import Progress, progress, save_job, start_run
from jobs.windows import MaintenanceWindow
from netraven_site.env import Reader
from netraven_site.processes.child import Spec
from netraven_site.processes.supervisor import manage

BASE_PORT_VARIABLE = "NETRAVEN_DEMO_BASE_PORT"
BASE_PORT = 2201
TARGETS = ("any", "127.0.0.0/8")
"""Addresses that devices may have while the demo runs, unless NETRAVEN_TARGETS says otherwise."""
JOB_NAME = "Backup of the demo"
# Beside the one that the story runs: what a team would have start by itself.
_JOBS: tuple[tuple[str, dict[str, Any]], ...] = (
    (JOB_NAME, {"kind": "backup", "all_devices": True, "description": "Every enabled device. Made by the demo."}),
    (
        "Nightly backup",
        {
            "kind": "backup",
            "all_devices": True,
            "recurrence": "cron",
            "cron": "15 2 * * *",
            "jitter_s": 600,
            "description": "Every enabled device, at night. Made by the demo.",
        },
    ),
    (
        "What answers",
        {
            "kind": "reachability",
            "all_devices": True,
            "recurrence": "interval",
            "interval_s": 1800,
            "description": "Which devices answer, without a login. Made by the demo.",
        },
    ),
)
WINDOW_NAME = "London cabling"
_FLEET_WITHIN_S = 60.0
_RUN_WITHIN_S = 300.0
_LOOK_EVERY_S = 0.3


class DemoError(Exception):
    """The demo cannot go on; `str()` says why and what to do."""


@dataclass(frozen=True)
class DemoFleet:
    """The simulated devices with their ports, the doors to them, and the folder of the demo."""

    devices: list[SimDevice]
    secrets: fleet.DemoSecrets
    are_new: bool
    """Whether the secrets were made up just now."""
    folder: Path

    @property
    def simulator(self) -> Spec:
        """The process that simulates them."""
        arguments = ("simulate", "--fleet", str(self.folder / "fleet.json"), "--state", str(self.folder / "state"))
        return Spec("simulator", manage(*arguments), settings.NETRAVEN_VAR / "log" / "simulator.log")

    @property
    def control(self) -> SimulatorControl:
        """What talks to that process."""
        return SimulatorControl(self.folder / "state")


# --- before the processes start ---------------------------------------------------------------------------


def base_port() -> int:
    """The first port of the simulated devices. Raises DemoError."""
    try:
        return Reader(settings.NETRAVEN_HOME).number(BASE_PORT_VARIABLE, BASE_PORT, least=1024, most=65_000)
    except ImproperlyConfigured as error:
        raise DemoError(str(error)) from None


def require_free_ports() -> None:
    """Raise DemoError when a simulated device could not listen."""
    devices = with_ports(fleet.demo_fleet(fleet.DemoSecrets()), base_port())
    for device in devices:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((device.host, device.port))
                probe.listen(1)
            except OSError as error:
                raise DemoError(
                    f"Port {device.port} on {device.host}, meant for the simulated device {device.name}, cannot be "
                    f"used ({error.strerror}): stop what uses it, or move the {len(devices)} ports of the demo "
                    f"with {BASE_PORT_VARIABLE}, e.g. {BASE_PORT_VARIABLE}=12201."
                ) from None


def prepare_fleet() -> DemoFleet:
    """Make up the fleet, or find the one of the last demo. Raises DemoError."""
    folder = settings.NETRAVEN_VAR / "demo"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        known, are_new = _secrets(folder / "secrets.json")
        devices = with_ports(fleet.demo_fleet(known), base_port())
        _write(folder / "fleet.json", json.dumps([device.to_json() for device in devices], indent=1))
    except OSError as error:
        raise DemoError(f"Cannot write {error.filename or folder} ({error.strerror}).") from None
    return DemoFleet(devices, known, are_new, folder)


def _secrets(path: Path) -> tuple[fleet.DemoSecrets, bool]:
    try:
        return fleet.DemoSecrets.from_json(json.loads(path.read_text(encoding="utf-8"))), False
    except FileNotFoundError:
        made = fleet.DemoSecrets()
        _write(path, json.dumps(made.to_json(), indent=1))
        return made, True
    except (ValueError, TypeError):
        raise DemoError(f"{path} is not what the demo wrote: move it away, and the demo starts anew.") from None


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all, for this user alone."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text + "\n")
    partial.replace(path)


def fill_instance(demo: DemoFleet) -> str:
    """Bring inventory, credentials and job into the instance; returns what was done, in words."""
    try:
        with transaction.atomic():
            report = importer.apply(_inventory(demo.devices))
            if report.errors:
                wrong = next(row for row in report.rows if row.errors)
                raise DemoError(f"The inventory of the demo is refused: {wrong.name}: {wrong.words[0]}")
            for item in demo.secrets.credentials:
                _bring(item, demo.are_new)
            _bring_jobs()
    except (importer.InventoryError, CredentialsError) as error:
        raise DemoError(str(error)) from None
    except ValidationError as error:
        raise DemoError(f"The demo does not fit into this instance: {' '.join(error.messages)}") from None
    return report.summary


def _bring_jobs() -> None:
    """The jobs that are not there yet, and a maintenance window."""
    for name, plain in _JOBS:
        if not Job.objects.filter(name=name).exists():
            save_job(Job(name=name), **plain)
    if not MaintenanceWindow.objects.filter(name=WINDOW_NAME).exists():
        save_window(
            MaintenanceWindow(name=WINDOW_NAME),
            tags=[Tag.objects.get(name="lon")],
            cron="0 22 * * 6",
            duration_min=240,
            description="Saturday nights. Made by the demo.",
        )


def _inventory(devices: list[SimDevice]) -> bytes:
    """The fleet as the CSV file that anybody would import."""
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(COLUMNS)
    for device in devices:
        tags = ";".join(device.tags)
        row = (device.name, device.host, device.port, device.platform, tags, device.transport)
        table.writerow([*row, device.site, device.description])
    return text.getvalue().encode()


def _bring(item: fleet.DemoCredential, are_new: bool) -> None:
    typed = SecretsInput(password=item.password, enable_secret=item.enable_secret)
    found = Credential.objects.filter(name=item.name).first()
    if found is None:
        create_credential(
            name=item.name,
            username=item.username,
            secrets=typed,
            tags=item.tags,
            priority=item.priority,
            scope=item.scope,
            description="Made by the demo.",
        )
    elif are_new:
        # The instance outlived the secrets: its credentials get those that the fleet accepts now.
        update_credential(found, username=item.username, secrets=typed)


# --- the story --------------------------------------------------------------------------------------------


class Story:
    """What happens while web and worker run. `stopping` ends it early, with DemoError."""

    def __init__(self, demo: DemoFleet, say: Callable[[str], None], stopping: Event) -> None:
        self._demo = demo
        self._say = say
        self._stopping = stopping

    def tell(self) -> list[Run]:
        """Two runs, with changes between them; returns them. Raises DemoError."""
        try:
            self._await_fleet()
            first = self._back_up()
            changed = [name for name in fleet.DEMO_CONFIG_CHANGES if self._demo.control.change_config(name)]
            self._say(f"configurations change on {', '.join(changed)}")
            self._change_host_key()
            return [first, self._back_up()]
        except SimulatorError as error:
            raise DemoError(f"The simulated fleet does not answer: {error}. See var/log/simulator.log.") from None
        except ValidationError as error:
            raise DemoError(" ".join(error.messages)) from None

    def _pause(self) -> None:
        if self._stopping.wait(_LOOK_EVERY_S):
            raise DemoError("Stopped before the demo was prepared.")

    def _await_fleet(self) -> None:
        until = time.monotonic() + _FLEET_WITHIN_S
        last = self._demo.devices[-1].name
        while True:
            try:
                self._demo.control.status(last)
            except SimulatorError:
                if time.monotonic() > until:
                    raise
            else:
                break
            self._pause()
        running = sum(device.started for device in self._demo.devices)
        ports = f"{self._demo.devices[0].port} to {self._demo.devices[-1].port}"
        self._say(f"{running} of {len(self._demo.devices)} simulated devices answer on ports {ports}")

    def _back_up(self) -> Run:
        run = start_run(Job.objects.get(name=JOB_NAME), trigger=Trigger.COMMAND)
        self._say(f"run {run.pk}: backup of {run.device_count} devices")
        until = time.monotonic() + _RUN_WITHIN_S
        while not (seen := progress(run.pk)).is_finished:
            if time.monotonic() > until:
                raise DemoError(f"Run {run.pk} did not end within {_RUN_WITHIN_S:.0f} s. See var/log/worker.log.")
            self._pause()
        self._say(f"run {run.pk}: {_counted(seen)} in {seen.elapsed_s:.0f} s")
        run.refresh_from_db()
        return run

    def _change_host_key(self) -> None:
        name = fleet.DEMO_HOST_KEY_CHANGES
        pinned = HostKey.objects.filter(device__name=name, state=HostKeyState.PINNED)
        shown = self._demo.control.status(name)["fingerprint"]
        # The key of the last demo may still wait for a decision: one surprise is enough.
        if shown in pinned.values_list("fingerprint", flat=True):
            self._demo.control.change_host_key(name)
            self._say(f"{name} shows another host key")


def _counted(seen: Progress) -> str:
    good = seen.by_outcome.get(Outcome.SUCCESS, 0)
    return f"{good} of {seen.total} devices succeeded"


# --- what to look at --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sight:
    """Something worth a look: a headline, what it shows, and the path of its page."""

    headline: str
    text: str
    page: str


def sights(demo: DemoFleet, runs: list[Run]) -> list[Sight]:
    """What the story left behind; only what is really there."""
    found = []
    names = [device.name for device in demo.devices]
    ids = dict(Device.objects.filter(name__in=names).values_list("name", "pk"))
    rotated = (
        Attempt.objects.filter(device_name__in=names, outcome=Outcome.REJECTED, device__site="lon")
        .order_by("device_name", "-pk")
        .first()
    )
    if rotated is not None:
        found.append(
            Sight(
                "A password change half done",
                f"{rotated.device_name} in London still has the old password: {rotated.credential_name!r} was "
                "refused once, the next one opened it, and from then on it comes first.",
                _page("device", ids[rotated.device_name]),
            )
        )
    last = Result.objects.filter(run=runs[-1])
    if down := last.filter(device_name=fleet.DEMO_DOWN).first():
        found.append(
            Sight(
                "A device that is down",
                f"{down.device_name}: {down.outcome_info.label.lower()}; no password was spent on it.",
                _page("device", ids[down.device_name]),
            )
        )
    if last.filter(device_name=fleet.DEMO_HOST_KEY_CHANGES, outcome=Outcome.HOST_KEY_CHANGED).exists():
        found.append(
            Sight(
                "A changed host key",
                f"{fleet.DEMO_HOST_KEY_CHANGES} was sent no password; its new key waits for a decision.",
                _page("device", ids[fleet.DEMO_HOST_KEY_CHANGES]),
            )
        )
    changed = last.filter(config_changed=True, config_version__number__gt=1).order_by("device_name").first()
    if changed is not None and changed.config_version_id is not None:
        version = ConfigVersion.objects.get(pk=changed.config_version_id)
        found.append(
            Sight(
                "A diff",
                f"{changed.device_name}, version {version.number}: {version.summary or 'what changed'}",
                _diff(version),
            )
        )
    found.append(
        Sight(
            "The whole run",
            f"Run {runs[-1].pk}: every device with its outcome and the advice for it.",
            reverse("admin:jobs_run_page", args=[runs[-1].pk]),
        )
    )
    return found


def _page(model: str, pk: int) -> str:
    return reverse(f"admin:devices_{model}_page", args=[pk])


def _diff(version: ConfigVersion) -> str:
    """The page that shows what changed since the version before."""
    before = ConfigVersion.objects.get(device=version.device_id, kind=version.kind, number=version.number - 1)
    return f"{reverse('admin:devices_configversion_diff')}?before={before.pk}&after={version.pk}"
