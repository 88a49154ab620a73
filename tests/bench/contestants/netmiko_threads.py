"""Stock Netmiko in a pool of threads, as its documentation shows it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from netmiko import ConnectHandler

from tests.bench.address import Address
from tests.bench.contestants import stage

_LIMIT_S = 120


def fetch(order: stage.Order) -> dict[int, str]:
    """Every configuration that could be fetched."""
    found: dict[int, str] = {}

    def work(device: Address) -> None:
        try:
            with ConnectHandler(
                device_type="cisco_ios",
                host=device.host,
                port=device.port,
                username=order.username,
                password=order.passwords[0],
                conn_timeout=_LIMIT_S,
                banner_timeout=_LIMIT_S,
                auth_timeout=_LIMIT_S,
            ) as connection:
                found[device.number] = connection.send_command("show running-config", read_timeout=_LIMIT_S)
        except Exception as error:  # noqa: BLE001 - whatever it is, the device counts as missing
            stage.note(device.number, error)

    with ThreadPoolExecutor(order.sessions) as pool:
        list(pool.map(work, order.devices))
    return found


if __name__ == "__main__":
    given = stage.receive()
    stage.perform(given, lambda: fetch(given))
