"""Inside an instance: the CPU that a shard's writer takes for a device, with devices that answer at once.

It runs in the instance's shell, takes the numbers of devices and rounds on standard input, and prints JSON.
"""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from django.db import transaction

import jobs.connector
from credentials.services import SecretsInput, create_credential
from devices.configs.store import new_text, prepare
from devices.connector.outcomes import Fate
from devices.connector.platforms import platform
from devices.connector.target import Evidence, HostKeyData, LoginSecrets, Target
from devices.models import Device
from devices.services import save_device
from jobs.choices import Trigger
from jobs.engine.shard import run_shard
from jobs.models import Result, Run
from jobs.services import start_adhoc
from tests.bench import texts

_REVISION = "! change {}\nend"


class _Ready:
    """Stands in for CoreDeviceConnector: logs in and answers without a network."""

    revision = 0

    def __init__(
        self,
        target: Target,
        username: str,
        secrets: Callable[[tuple[str, ...]], LoginSecrets],
        check_host_key: Callable[[HostKeyData], None],
        **_: Any,
    ) -> None:
        self.target = target
        self.platform = platform(target.platform)
        self.evidence = Evidence()
        self._secrets = secrets
        self._check_host_key = check_host_key

    def open(self) -> None:
        """Check the host key and ask for the secrets, as the real one does."""
        key = base64.b64encode(self.target.name.encode()).decode()
        self.evidence.address = f"{self.target.host}:{self.target.port}"
        self.evidence.host_key = HostKeyData("ssh-ed25519", key)
        self._check_host_key(self.evidence.host_key)
        self._secrets(("password",))
        self.evidence.fate, self.evidence.secrets_sent = Fate.ACCEPTED, 1

    def enable(self) -> bool:
        """The rights suffice."""
        return True

    def send(self, command: str, **_: Any) -> str:
        """The configuration at the present revision; nothing for any other command."""
        if not command.startswith("show run"):
            return ""
        text = texts.text(int(self.target.name.rpartition("-")[2]))
        return text.replace("\nend", "\n" + _REVISION.format(self.revision))

    def mask(self, text: str) -> str:
        """No secret is in it."""
        return text

    def close(self) -> None:
        """Nothing to close."""


def _measure(devices: int) -> dict[str, float]:
    """Milliseconds of CPU a device in the thread that writes; of all threads together; wall time."""
    run = start_adhoc("backup", trigger=Trigger.COMMAND)
    began, writer, everything = time.perf_counter(), time.thread_time(), time.process_time()
    for shard in run.shards.order_by("pk"):
        run_shard(shard.pk)
    taken = {
        "writer": time.thread_time() - writer,
        "everything": time.process_time() - everything,
        "wall": time.perf_counter() - began,
    }
    run = Run.objects.get(pk=run.pk)
    good = Result.objects.filter(run=run, outcome="success").count()
    if good != devices:
        wrong = Result.objects.filter(run=run).exclude(outcome="success").first()
        raise SystemExit(f"{good} of {devices} devices succeeded; {wrong}: {wrong and wrong.detail}")
    return {name: seconds * 1000 / devices for name, seconds in taken.items()}


def _packing(devices: int) -> float:
    """Milliseconds of CPU to pack and seal a text; the threads do it, but it is part of storing it."""
    prepared = [prepare(texts.text(number), "cisco_ios") for number in range(1, devices + 1)]
    for each in prepared:
        assert each.shown  # made when it is first asked for, and no part of packing
    began = time.thread_time()
    for each in prepared:
        new_text(each)
    return (time.thread_time() - began) * 1000 / devices


def main() -> None:
    """Rounds of: changed, unchanged."""
    devices, rounds = map(int, sys.stdin.readline().split())
    vars(jobs.connector)["CoreDeviceConnector"] = _Ready
    with transaction.atomic():
        for number in range(1, devices + 1):
            save_device(
                Device(), name=texts.device_name(number), host="127.0.0.1", platform="cisco_ios", transport="ssh",
                tags=["lab"],
            )  # fmt: skip
    secrets = SecretsInput(password="opens nothing")
    create_credential(name="login", username="ops", secrets=secrets, tags=["lab"])
    found: dict[str, list[dict[str, float]]] = {"new": [_measure(devices)], "changed": [], "unchanged": []}
    for _ in range(rounds):
        _Ready.revision += 1
        found["changed"].append(_measure(devices))
        found["unchanged"].append(_measure(devices))
    sys.stdout.write(json.dumps({"rounds": found, "packing": [_packing(min(devices, 200)) for _ in range(rounds)]}))


if __name__ == "__main__":
    main()
