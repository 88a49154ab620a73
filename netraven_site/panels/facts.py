"""What a device said about itself, for its page."""

from __future__ import annotations

from typing import Any

from devices.facts import DeviceFacts, hostname_differs
from devices.models import Device

_SHOWN = 10


def facts_of(device: Device) -> dict[str, Any]:
    """The facts of now, whether its hostname is another than its name, and what they were before; one query."""
    rows = list(DeviceFacts.objects.filter(device=device).order_by("-id")[:_SHOWN])
    current = rows[0] if rows and rows[0].is_current else None
    return {
        "current": current,
        "differs": current is not None and hostname_differs(device.name, current.hostname),
        "rows": rows,
    }
