"""The kinds of jobs. A new kind is one file here and one line below."""

from __future__ import annotations

from jobs.kinds.backup import Backup
from jobs.kinds.base import JobKind, KindContext, Store, Stored
from jobs.kinds.credential_test import CredentialTest

__all__ = ["KINDS", "JobKind", "KindContext", "Store", "Stored", "kind_choices"]

KINDS: dict[str, JobKind] = {kind.name: kind for kind in (Backup(), CredentialTest())}


def kind_choices() -> list[tuple[str, str]]:
    """Name and label of each kind, for forms."""
    return [(kind.name, kind.label) for kind in KINDS.values()]
