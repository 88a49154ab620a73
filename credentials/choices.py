"""The states and kinds that rows of this app can have."""

from django.db import models


class AccountScope(models.TextChoices):
    """Where an account lives; it decides how the lockout guard counts."""

    CENTRAL = "central", "Central (TACACS+, RADIUS, LDAP)"
    LOCAL = "local", "Local to each device"


SCOPE_MEANING = {
    AccountScope.CENTRAL: (
        "One account for the whole AAA domain: every device that refuses it counts against the same "
        "budget, so a wrong password is stopped after a few devices."
    ),
    AccountScope.LOCAL: (
        "A separate account on each device that happens to have the same name: refusals are counted "
        "per device, so one device never holds up another."
    ),
}


class GuardState(models.TextChoices):
    """What became of a guarded login."""

    OPEN = "open", "In flight"
    REJECTED = "rejected", "Rejected"
    UNANSWERED = "unanswered", "Unanswered"
    CLEARED = "cleared", "Rejected, and wiped out since"
    ACCEPTED = "accepted", "Accepted"
