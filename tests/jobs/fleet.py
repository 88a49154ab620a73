"""A simulated fleet with its devices and credentials in the database."""

from __future__ import annotations

from collections.abc import Iterable

from credentials.models import Credential
from credentials.services import SecretsInput, create_credential
from devices.models import Device
from devices.services import save_device
from devices.simulator.fleet import SimulatedFleet
from jobs.choices import Trigger
from jobs.engine.shard import run_shard
from jobs.models import Result, Run
from jobs.services import start_adhoc


def register(fleet: SimulatedFleet, tags: Iterable[str] = ("lab",), **more: object) -> dict[str, Device]:
    """Put every simulated device into the inventory."""
    return {
        handle.name: save_device(
            Device(),
            name=handle.name,
            host=handle.host,
            port=handle.port,
            platform=handle.spec.platform,
            transport=handle.spec.transport,
            tags=list(tags),
            **more,
        )
        for handle in fleet
    }


def credential(
    name: str, password: str, *, username: str = "ops", tags: Iterable[str] = ("lab",), **more
) -> Credential:
    enable = more.pop("enable_secret", None)
    return create_credential(
        name=name,
        username=username,
        secrets=SecretsInput(password=password, enable_secret=enable),
        tags=list(tags),
        **more,
    )


def run_now(kind: str = "backup", **more) -> tuple[Run, dict[str, Result]]:
    """Start a run and do its shards in this process, as a worker would."""
    run = start_adhoc(kind, trigger=Trigger.COMMAND, **more)
    for shard in run.shards.all():
        run_shard(shard.pk)
    run.refresh_from_db()
    return run, {result.device_name: result for result in run.results.select_related("credential")}
