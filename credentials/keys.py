"""The life of a key: added, read by every host, activated, everything re-encrypted under it, one day retired.

What the command, the page and the API do with the keyring. Each operation is on record in the audit trail, in the
transaction in which it is done.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from credentials import audit, key_readers, key_rotation, keyring, keyring_backup, keyring_file
from credentials.exceptions import KeyInUse, KeyNotReadEverywhere, KeyringError, UnknownKey
from credentials.key_readers import KeyReader

if TYPE_CHECKING:
    from django.contrib.auth.models import User

MANAGE = "credentials.manage_keys"
"""The permission that every change of the keyring needs."""


@dataclass(frozen=True)
class KeyState:
    """One key: what is sealed with it, and who reads it."""

    id: str
    active: bool
    rows: int
    created: str
    """ISO 8601, as the keyring says; empty where it does not hold the key."""
    held: bool
    """Whether the keyring of this process holds it; without it its rows cannot be opened."""
    read_by: tuple[str, ...]
    """Live readers that can read it, such as `web on host`."""
    not_read_by: tuple[str, ...]
    """Live readers that cannot."""

    @property
    def can_retire(self) -> bool:
        """Whether nothing is sealed with it any more and it is not the active one."""
        return self.held and not self.active and self.rows == 0


def states() -> list[KeyState]:
    """Every key of the keyring, in its order, and then keys that only rows of the database name."""
    ring = _ring()
    rows = key_rotation.rows_by_key()
    readers = [each for each in KeyReader.objects.all() if each.is_live]
    missing = [key_id for key_id in rows if key_id and key_id not in ring.ids]
    created = ring.created
    return [
        KeyState(
            id=key_id,
            active=key_id == ring.active_id,
            rows=rows.get(key_id, 0),
            created=created.get(key_id, ""),
            held=key_id in ring.ids,
            read_by=tuple(str(each) for each in readers if key_id in each.keys and not each.trouble),
            not_read_by=tuple(str(each) for each in readers if key_id not in each.keys or each.trouble),
        )
        for key_id in (*ring.ids, *missing)
    ]


def why_read_only() -> str:
    """Why keys cannot be added, activated or retired from here, and what to do instead; empty where they can."""
    return keyring_file.why_read_only(_path())


def add(*, user: User | None = None, actor: str = "") -> str:
    """Make a new key that only opens; its id. Raises KeyringReadOnly with what to do where that is not possible."""
    key_id = keyring.add_key(_path())
    try:
        with transaction.atomic():
            audit.record("key.added", user=user, actor=actor, subject=key_id)
    except BaseException:
        # What is not on record did not happen.
        keyring.remove_key(_path(), key_id)
        raise
    _ring()
    return key_id


def wait_for_readers(key_id: str, patience_s: float, *, look_every_s: float = 0.5) -> None:
    """Wait until every live reader can read a key, `patience_s` seconds at most; nothing is raised."""
    end = time.monotonic() + patience_s
    while key_readers.unable_to_read(key_id)[0] and time.monotonic() < end:
        time.sleep(look_every_s)


def activate(key_id: str, *, forget_silent: bool = False, user: User | None = None, actor: str = "") -> list[str]:
    """Let a key seal from now on; the silent readers that were forgotten for it, in words.

    Raises KeyNotReadEverywhere while a live reader cannot read it, and for one that fell silent before it could,
    unless `forget_silent` says that those are gone for good. Raises UnknownKey or KeyringReadOnly.
    """
    _require_held(key_id)
    live, silent = key_readers.unable_to_read(key_id)
    if live:
        raise KeyNotReadEverywhere(_why_not(key_id, live))
    if silent and not forget_silent:
        raise KeyNotReadEverywhere(
            f"{key_readers.named(silent)} fell silent {_ago(silent[0])} and had not read the key {key_id}: start it "
            "with the new keyring. If it is gone for good, say so with --force: it is then forgotten."
        )
    with transaction.atomic():
        KeyReader.objects.filter(pk__in=[each.pk for each in silent]).delete()
        forgotten = [str(each) for each in silent]
        audit.record(
            "key.activated", user=user, actor=actor, subject=key_id, before=_ring().active_id, forgotten=forgotten
        )
        keyring.activate(_path(), key_id)
    _ring()
    return forgotten


def require_read_everywhere() -> str:
    """The id of the active key, once every live reader can read it; KeyNotReadEverywhere otherwise."""
    key_id = _ring().active_id
    live, _ = key_readers.unable_to_read(key_id)
    if live:
        raise KeyNotReadEverywhere(_why_not(key_id, live))
    return key_id


def rotate(
    checkpoint: Callable[[key_rotation.Rotation], bool] = lambda state: False,
    *,
    user: User | None = None,
    actor: str = "",
) -> key_rotation.Rotation:
    """Re-encrypt everything under the active key, on record; see `key_rotation.rotate`.

    Raises KeyNotReadEverywhere while a live reader could not open what is written.
    """
    key_id = require_read_everywhere()
    audit.record("key.rotation_started", user=user, actor=actor, subject=key_id)
    state = key_rotation.rotate(checkpoint)
    audit.record(
        "key.rotation_ended",
        user=user,
        actor=actor,
        subject=state.active,
        done=state.done,
        bad=len(state.bad),
        complete=state.is_complete,
    )
    return state


def why_incomplete(state: key_rotation.Rotation) -> str:
    """Why a key rotation came to its end and values are left, in words."""
    if state.bad:
        return f"{len(state.bad)} sealed values cannot be opened and stay as they are."
    others = key_readers.sealing_with_others(state.active)
    if others:
        return (
            f"{key_readers.named(others)} still seals with another key: activate {state.active} there as well, "
            "then rotate again."
        )
    return "Some values were sealed with another key meanwhile: rotate again."


def retire(key_id: str, *, user: User | None = None, actor: str = "") -> None:
    """Take a key that nothing is sealed with out of the keyring. Raises KeyInUse, UnknownKey or KeyringReadOnly."""
    _require_held(key_id)
    if _ring().active_id == key_id:
        raise KeyInUse(f"The key {key_id} is the active one: activate another key first.")
    if rows := key_rotation.rows_by_key().get(key_id, 0):
        raise KeyInUse(f"{rows:,} values are still sealed with the key {key_id}: run ./manage.py keys rotate first.")
    sealing = [each for each in KeyReader.objects.filter(active=key_id) if each.is_live]
    if sealing:
        raise KeyInUse(f"{key_readers.named(sealing)} still seals with the key {key_id}: activate another key there.")
    with transaction.atomic():
        audit.record("key.retired", user=user, actor=actor, subject=key_id)
        keyring.remove_key(_path(), key_id)
    _ring()


def back_up(target: Path, passphrase: str, *, user: User | None = None, actor: str = "") -> list[str]:
    """Write the keyring to a new file, encrypted under a passphrase; the ids in it. Raises BackupUnusable."""
    ids = list(_ring().ids)
    data = keyring_backup.seal(keyring.text(), ids, passphrase)
    audit.record("key.backed_up", user=user, actor=actor, keys=ids, file=str(target))
    keyring_backup.write(target, data)
    return ids


@dataclass(frozen=True)
class Restored:
    """What came of a restoration of the keyring."""

    what: str
    """`created` where there was none, `merged` into the same instance's, or `replaced`."""
    added: tuple[str, ...]
    kept: Path | None = None
    """Where the keyring that was replaced lies now."""


def restore(data: bytes, passphrase: str, *, replace: bool = False) -> Restored:
    """Put a keyring back: where there is none as it is, into the one of the same instance the keys that it lacks.

    With `replace` it takes the place of whatever is there, which is kept beside it. Raises BackupUnusable, or a
    KeyringError that says what to do; then nothing was changed. The caller puts it on record: without a keyring
    there is no trail to write to.
    """
    document, _ = keyring_file.parse(keyring_backup.unseal(data, passphrase), "The backup")
    path = _path()
    ids = tuple(entry["id"] for entry in document["keys"])
    if not path.exists():
        keyring_file.put(path, document)
        keyring.forget()
        return Restored("created", ids)
    if replace:
        kept = keyring_file.replace(path, document)
        keyring.forget()
        return Restored("replaced", ids, kept)
    try:
        return Restored("merged", tuple(keyring_file.merge(path, document)))
    except KeyringError as error:
        advice = "To put the backup in its place all the same, use --replace: the present one is kept beside it."
        raise type(error)(f"{error} {advice}") from None


def _ring() -> keyring.Keyring:
    ring = keyring.current()
    ring.refresh()
    return ring


def _path() -> Path:
    return Path(settings.NETRAVEN_KEYRING_PATH)


def _require_held(key_id: str) -> None:
    ids = _ring().ids
    if key_id not in ids:
        raise UnknownKey(f"The keyring has no key {key_id}: choose one of {', '.join(ids)}.")


def _why_not(key_id: str, live: list[KeyReader]) -> str:
    trouble = next((f" ({each.trouble})" for each in live if each.trouble), "")
    return (
        f"{key_readers.named(live)} cannot read the key {key_id} yet{trouble}: give that host the new keyring. A live "
        "host says within seconds that it reads a key, one that has stopped counts for a minute more."
    )


def _ago(reader: KeyReader) -> str:
    minutes = int((timezone.now() - reader.at).total_seconds() // 60)
    return f"{minutes} min ago" if minutes < 120 else f"{minutes // 60} h ago"
