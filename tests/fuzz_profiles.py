"""How long the tests with made-up input look.

The same few examples each time, unless HYPOTHESIS_PROFILE says wide (minutes) or long (a night).
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_SHARED = {"deadline": None, "suppress_health_check": list(HealthCheck)}

settings.register_profile("quick", max_examples=40, derandomize=True, database=None, **_SHARED)
settings.register_profile("wide", max_examples=500, **_SHARED)
settings.register_profile("long", max_examples=5_000, **_SHARED)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
