"""Facts: what a device is, in its own words."""

from __future__ import annotations

from typing import Any

from devices.configs import integrity
from devices.configs.facts import FACTS
from devices.configs.facts import facts as read
from devices.configs.normalise import clean
from devices.connector.core import CoreDeviceConnector
from devices.connector.outcomes import ConnectorError, Outcome
from devices.facts import hostname_differs, save_facts
from jobs.kinds.base import KindContext, LoginKind, Store, Stored


class Facts(LoginKind):
    """Keeps vendor, model, serial number, version, hostname and uptime."""

    name = "facts"
    label = "Facts"
    description = "Ask each device for its model, serial number, version, hostname and uptime, and keep their history."

    def work(self, connector: CoreDeviceConnector, context: KindContext) -> Store:
        """Ask the platform's questions, the later ones for what is still missing."""
        platform = connector.platform
        commands = [*([platform.facts_command] if platform.facts_command else []), *platform.facts_more]
        if not commands:
            raise ConnectorError(
                Outcome.COMMAND_ERROR, f"The table of platforms names no facts_command for {platform.label}."
            )
        found: dict[str, Any] = {}
        refused: list[str] = []
        for command in commands:
            if found.keys() >= set(FACTS):
                break
            text = connector.mask(clean(connector.send(command, confirm=True)))
            if line := integrity.refusal(text, context.platform):
                refused.append(f"{command}: {line}")
                continue
            found = read(text, context.platform, command) | found
        if not set(found) - {"vendor"}:
            if refused:
                raise ConnectorError(Outcome.COMMAND_ERROR, f"The device says to {refused[0]}")
            raise ConnectorError(Outcome.PROTOCOL_ERROR, f"Nothing in the answer to {commands[0]!r} could be read.")
        differs = hostname_differs(connector.target.name, found.get("hostname", ""))
        detail = f"It calls itself {found['hostname']}, which is not its name here." if differs else ""

        def store() -> Stored:
            save_facts(context.device, found)
            return Stored(data={**found, "hostname_differs": differs}, detail=detail)

        return store
