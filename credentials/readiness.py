"""What the system checks refuse to work with: asked before anything starts, and before a command is done."""

from __future__ import annotations

from collections.abc import Sequence

from django.core import checks
from django.core.checks import CheckMessage, Tags


def serious_troubles() -> list[CheckMessage]:
    """What the checks call an error; those that ask the database are asked only where all others are content."""
    return _serious(checks.run_checks()) or _serious(checks.run_checks(tags=[Tags.database], databases=["default"]))


def _serious(found: Sequence[CheckMessage]) -> list[CheckMessage]:
    return [each for each in found if each.is_serious() and not each.is_silenced()]
