"""How rows of the audit trail hang together: what is authenticated, and with which key. Plain functions.

Each row carries an HMAC over all its columns and the HMAC of the row before. The key is derived from the keyring's
audit key, which no key rotation changes; each purpose has a key of its own.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from credentials import keyring

COLUMNS: Final = (
    "id",
    "at",
    "event",
    "outcome",
    "actor",
    "source",
    "subject",
    "device",
    "device_name",
    "credential",
    "credential_name",
    "run",
    "details",
)
"""Everything that a row says, in the order in which it is authenticated."""
STORED: Final = (*COLUMNS, "mac")


_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


class Unreadable(ValueError):
    """A value that this program would never have written into that column."""


class Chain:
    """Computes and compares with the keys of this instance; cheap to make, holds no connection."""

    def __init__(self) -> None:
        self._rows = _derived("chain")
        self._anchors = _derived("anchor")

    @property
    def beginning(self) -> str:
        """What stands in place of a row before the first one."""
        return hmac.new(self._rows, b"beginning", hashlib.sha256).hexdigest()

    def mac(self, values: Sequence[Any], before: str) -> str:
        """64 hexadecimal digits for a row (`COLUMNS`) after the one with the mac `before`. Raises Unreadable."""
        number, at, *rest = values
        text = [number, instant(at), *rest, before]
        try:
            data = _ENCODER.encode(text)
        except (TypeError, ValueError):
            raise Unreadable from None
        return hmac.digest(self._rows, data.encode("ascii"), "sha256").hex()

    def seal_anchor(self, text: str) -> str:
        """The signature of what an anchor says."""
        return hmac.new(self._anchors, text.encode(), hashlib.sha256).hexdigest()


def same(one: object, other: str) -> bool:
    """Whether two macs are equal, whatever stands in the first's place."""
    return isinstance(one, str) and hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode())


@lru_cache(maxsize=16)
def instant(value: Any) -> str:
    """A time as it is authenticated: UTC to the microsecond. Takes what drivers return; raises Unreadable."""
    if isinstance(value, str):
        # SQLite has no type for times: the one text that we would have written, and no other.
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError:
            raise Unreadable from None
        if parsed.tzinfo is not None or str(parsed) != value:
            raise Unreadable
        value = parsed.replace(tzinfo=UTC)
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise Unreadable
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def _derived(purpose: str) -> bytes:
    return hmac.new(keyring.current().audit_key, f"netraven audit {purpose} 1".encode(), hashlib.sha256).digest()
