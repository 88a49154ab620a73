"""The states and kinds that rows of this app can have."""

from django.db import models


class Transport(models.TextChoices):
    """How a device is reached."""

    SSH = "ssh", "SSH"
    TELNET = "telnet", "Telnet"


class HostKeyState(models.TextChoices):
    """What is known of a host key."""

    PINNED = "pinned", "Pinned"
    PENDING = "pending", "Waits for approval"
    RETIRED = "retired", "Retired"


class HostKeyPolicy(models.TextChoices):
    """What happens to the key of a device that was never seen before."""

    FIRST_USE = "first-use", "Pin at first contact"
    APPROVE = "approve", "Wait for approval"


class AsideState(models.TextChoices):
    """What became of an answer that was no whole configuration."""

    WAITING = "waiting", "Waits for a decision"
    ACCEPTED = "accepted", "Accepted as a version"
    DECLINED = "declined", "Declined"
    OUTDATED = "outdated", "Overtaken by a whole one"
