"""A bare asyncssh client: about the least that fetching a configuration costs in Python."""

from __future__ import annotations

import asyncio

import asyncssh

from tests.bench.address import Address
from tests.bench.contestants import stage

_LIMIT_S = 120


async def _fetch(device: Address, order: stage.Order) -> str:
    for password in order.passwords:
        try:
            connection = await asyncssh.connect(
                device.host,
                device.port,
                username=order.username,
                password=password,
                known_hosts=None,
                # A login by password needs neither key files nor an agent.
                client_keys=None,
                agent_path=None,
                config=None,
            )
        except asyncssh.PermissionDenied:
            continue
        prompt = f"{device.name}#"
        async with connection, connection.create_process(term_type="vt100") as terminal:
            await terminal.stdout.readuntil(prompt)
            terminal.stdin.write("terminal length 0\n")
            await terminal.stdout.readuntil(prompt)
            terminal.stdin.write("show running-config\n")
            said = str(await terminal.stdout.readuntil(prompt))
        return said.partition("\n")[2].removesuffix(prompt)
    raise PermissionError("no password was accepted")


async def _all(order: stage.Order) -> dict[int, str]:
    found: dict[int, str] = {}
    waiting = iter(order.devices)

    async def work() -> None:
        for device in waiting:
            try:
                async with asyncio.timeout(_LIMIT_S):
                    found[device.number] = await _fetch(device, order)
            except (OSError, EOFError, asyncssh.Error) as error:
                stage.note(device.number, error)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(order.sessions, len(order.devices))):
            group.create_task(work())
    return found


if __name__ == "__main__":
    given = stage.receive()
    stage.perform(given, lambda: asyncio.run(_all(given)))
