"""What a device's configuration says: compared, redacted, judged and read. Pure functions, no Django here."""

from devices.configs.facts import facts
from devices.configs.normalise import changed
from devices.configs.redact import redact

__all__ = ["changed", "facts", "redact"]
