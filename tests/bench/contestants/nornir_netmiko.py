"""Nornir with nornir-netmiko and its threaded runner."""

from __future__ import annotations

from nornir.core import Nornir
from nornir.core.configuration import Config
from nornir.core.inventory import ConnectionOptions, Defaults, Groups, Host, Hosts, Inventory
from nornir.core.plugins.connections import ConnectionPluginRegister
from nornir.plugins.runners import ThreadedRunner
from nornir_netmiko.tasks import netmiko_send_command  # type: ignore[import-untyped]

from tests.bench.contestants import stage

_LIMIT_S = 120


def prepare(order: stage.Order) -> Nornir:
    """The inventory in Nornir's own form."""
    ConnectionPluginRegister.auto_register()
    extras = {"conn_timeout": _LIMIT_S, "banner_timeout": _LIMIT_S, "auth_timeout": _LIMIT_S}
    hosts = Hosts(
        {
            str(each.number): Host(
                str(each.number),
                hostname=each.host,
                port=each.port,
                username=order.username,
                password=order.passwords[0],
                platform="cisco_ios",
                connection_options={"netmiko": ConnectionOptions(extras=extras)},
            )
            for each in order.devices
        }
    )
    inventory = Inventory(hosts=hosts, groups=Groups(), defaults=Defaults())
    return Nornir(inventory=inventory, config=Config(), runner=ThreadedRunner(num_workers=order.sessions))


def fetch(nornir: Nornir) -> dict[int, str]:
    """Every configuration that could be fetched."""
    results = nornir.run(task=netmiko_send_command, command_string="show running-config", read_timeout=_LIMIT_S)
    for host, failed in results.failed_hosts.items():
        if failed.exception is not None:
            stage.note(int(host), failed.exception)
    return {int(host): result[0].result for host, result in results.items() if not result.failed}


if __name__ == "__main__":
    given = stage.receive()
    prepared = prepare(given)
    stage.perform(given, lambda: fetch(prepared))
