"""Leave to open a secret: an object that only a committed intent of the audit trail yields.

`Secret.reveal` and `open_bytes` ask for one, so nothing is decrypted that is not on record before. Plain Python:
`credentials.audit.intents` mints them, after it has read the intent back from the database.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn
from uuid import UUID

from credentials.exceptions import NotAudited

_MINT: Final = object()


class Grant:
    """For the secrets of one row, by its uuid, and for what the intent says; for nothing else. Immutable."""

    __slots__ = ("_intent", "_row")

    def __init__(self, mint: object, intent: int, row: UUID | None) -> None:
        if mint is not _MINT:
            raise TypeError("A grant is not made by hand: write an intent to the audit trail, which yields one.")
        self._intent = intent
        self._row = row

    @property
    def intent(self) -> int:
        """Number of the row of the trail that stands behind it."""
        return self._intent

    def require(self, context: str) -> None:
        """Raise NotAudited unless the intent is about the row of this context (`model:field:uuid`)."""
        if self._row is None or context.rpartition(":")[2] != str(self._row):
            raise NotAudited(
                f"Row {self._intent} of the audit trail is no leave to open {context}: nothing was opened."
            )

    def __repr__(self) -> str:
        return f"<grant of intent {self._intent}>"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("A grant is for one process: write an intent where the secret is opened.")


def mint(intent: int, row: UUID | None) -> Grant:
    """A grant; for `credentials.audit.intents` alone, which a test makes sure of."""
    return Grant(_MINT, intent, row)
