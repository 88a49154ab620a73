"""The append-only, chained trail: what people, programs and rules did.

`record` is what services call. `intents` has what comes before a secret is opened; `verify`, `anchors` and
`retention` what keeps the trail honest; `triggers` what the database does for it.
"""

from __future__ import annotations

from credentials.audit.trail import Acting, Entry, acting, append, collected, printable, record

__all__ = ["Acting", "Entry", "acting", "append", "collected", "printable", "record"]
