"""Where a simulated device answers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Address:
    """One device; its name is its prompt."""

    number: int
    name: str
    host: str
    port: int
