"""The keyring: the keys that seal every secret at rest.

The active key seals, all keys open. The fingerprint and audit keys stay the same for the life of an
instance, whatever happens to the others. The file, its form and its permissions: `credentials.keyring_file`.
In place of a file, the environment variable NETRAVEN_KEYRING_JSON may hold the JSON itself; it wins over a
file, and is read-only.

A sealed value ("token") is ASCII: `nr1:<key id>:<Fernet token>`. Inside the ciphertext stands the *context*,
the place that the value belongs to (see `binding`), so that a token moved elsewhere is refused.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import logging
import os
import re
import threading
import time
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from uuid import UUID

from cryptography.fernet import InvalidToken

from credentials import exceptions as exc
from credentials import keyring_file
from credentials.keyring_file import (
    JSON_VARIABLE,
    KEY_ID,
    PATH_VARIABLE,
    Keys,
    Signature,
    activate,
    add_key,
    is_canonical,
    remove_key,
)

__all__ = [
    "CHECK_INTERVAL_S",
    "JSON_VARIABLE",
    "PATH_VARIABLE",
    "Keyring",
    "activate",
    "add_key",
    "binding",
    "create",
    "current",
    "load",
    "loads",
    "remove_key",
]

logger = logging.getLogger(__name__)

CHECK_INTERVAL_S = 1.0
"""Seconds between two looks at the keyring file for changes made by another process."""

_MAX_CONTEXT_BYTES = 1_000
_TOKEN = re.compile(rb"nr1:(%s):([A-Za-z0-9_-]+={0,2})" % KEY_ID.encode("ascii"))
_TokenT = TypeVar("_TokenT", str, bytes)


def binding(model_label: str, field_name: str, row: UUID) -> str:
    """The context of one field of one row, such as `credentials.credential:password:<uuid>`."""
    return f"{model_label.lower()}:{field_name}:{row}"


class Keyring:
    """Seals and opens; notices within `CHECK_INTERVAL_S` when its file changes. Thread-safe."""

    def __init__(self, keys: Keys, path: Path | None = None, signature: Signature | None = None) -> None:
        self._keys = keys
        self._path = path
        self._signature = signature
        self._trouble: exc.KeyringError | None = None
        self._check_after = time.monotonic() + CHECK_INTERVAL_S
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Keyring active={self._keys.active} keys={len(self._keys.fernets)}>"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("A keyring is never pickled or copied; call keyring.current() where it is needed.")

    @property
    def active_id(self) -> str:
        """Id of the key that seals."""
        return self._fresh().active

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of all keys, in the order of the file."""
        return tuple(self._fresh().fernets)

    @property
    def trouble(self) -> exc.KeyringError | None:
        """Why nothing can be sealed just now, if so: the file on disk has become unusable."""
        return self._trouble

    @property
    def audit_key(self) -> bytes:
        """The 32 bytes that chain the audit trail; never changed by a key rotation."""
        return self._keys.audit_key

    def fingerprint(self, text: str) -> str:
        """12 hexadecimal digits that tell two secrets apart and reveal neither; stable for an instance."""
        data = text.encode("utf-8", "surrogatepass")
        return hmac.new(self._keys.fingerprint_key, data, hashlib.sha256).hexdigest()[:12]

    def digest(self, data: bytes) -> str:
        """64 hexadecimal digits, equal for equal data; keyed: without the keyring no guess can be checked."""
        return hmac.new(self._keys.fingerprint_key, data, hashlib.sha256).hexdigest()

    @property
    def created(self) -> dict[str, str]:
        """When each key was made, as its file says, by key id."""
        return dict(self._fresh().created)

    def verify(self, token: str | bytes | memoryview, context: str) -> None:
        """Raise what `open` would raise; nothing of the plaintext leaves this."""
        self.open(token, context)

    def seal(self, plaintext: bytes, context: str) -> str:
        """The token of `plaintext` under the active key, openable with the same `context` alone.

        Raises a KeyringError when the file on disk has become unusable: what would be sealed now might never
        be opened again.
        """
        keys = self._fresh()
        self._refuse_in_trouble()
        return _seal_framed(keys, _frame(context, plaintext))

    def seal_bytes(self, plaintext: bytes, context: str) -> bytes:
        """`seal` for a binary column: the same token as ASCII bytes, a third longer than `plaintext`."""
        return self.seal(plaintext, context).encode("ascii")

    def open(self, token: str | bytes | memoryview, context: str) -> bytes:
        """The plaintext. Raises SecretDamaged, SecretMisplaced (another `context`) or UnknownKey."""
        framed = self._open_framed(token)
        start = 2 + int.from_bytes(framed[:2], "big")
        if not 2 < start <= len(framed):
            raise exc.SecretDamaged("This value was not sealed by this program: enter the secret again.")
        found, plaintext = framed[2:start].decode("utf-8", "replace"), framed[start:]
        if found != context:
            raise exc.SecretMisplaced(
                f"This sealed value belongs to {found}, not to {context}: "
                "restore the row from a backup, or enter the secret again."
            )
        return plaintext

    def rotate_token(self, token: _TokenT) -> _TokenT:
        """The same content and context under the active key; unchanged when it already is. Keeps the type."""
        keys = self._fresh()
        self._refuse_in_trouble()
        if self.key_id_of(token) == keys.active:
            return token
        rotated = _seal_framed(keys, self._open_framed(token))
        return rotated.encode("ascii") if isinstance(token, bytes) else rotated

    @staticmethod
    def key_id_of(token: str | bytes | memoryview) -> str:
        """Id of the key that sealed `token`, known to this keyring or not. Raises SecretDamaged."""
        return _split(token)[0]

    def _open_framed(self, token: str | bytes | memoryview) -> bytes:
        key_id, body = _split(token)
        fernet = self._fresh().fernets.get(key_id)
        if fernet is None:
            # Another process may have added the key less than one check interval ago.
            self.refresh()
            fernet = self._keys.fernets.get(key_id)
        if fernet is None:
            raise exc.UnknownKey(
                f"This secret was sealed with the key {key_id}, which the keyring does not hold: "
                "restore the keyring that belongs to this database."
            )
        framed = None
        with contextlib.suppress(InvalidToken):
            framed = fernet.decrypt(body)
        if framed is None:
            raise exc.SecretDamaged(
                f"This sealed value is damaged, or another key once had the id {key_id}: "
                "restore the row or the keyring from a backup, or enter the secret again."
            )
        return framed

    def _fresh(self) -> Keys:
        if time.monotonic() >= self._check_after:
            self.refresh()
        return self._keys

    def refresh(self) -> None:
        """Look at the file now, and read it if it changed; while it is unusable, `seal` raises, not this."""
        if self._path is None:
            self._check_after = float("inf")
            return
        with self._lock:
            self._check_after = time.monotonic() + CHECK_INTERVAL_S
            try:
                if keyring_file.signature(keyring_file.stat_file(self._path)) != self._signature:
                    keys, signature = keyring_file.read(self._path)
                    self._refuse_replacement(keys)
                    self._keys, self._signature = keys, signature
                self._trouble = None
            except exc.KeyringError as error:
                # What is in memory still opens; only sealing waits until the file is in order again.
                if self._trouble is None:
                    logger.error("The keyring on disk has become unusable: %s", error)
                # A copy: the original leads, by its traceback, to the frame that holds what was to be sealed.
                self._trouble = type(error)(*error.args)

    def _refuse_in_trouble(self) -> None:
        trouble = self._trouble
        if trouble is not None:
            raise type(trouble)(*trouble.args)

    def _refuse_replacement(self, keys: Keys) -> None:
        if (keys.fingerprint_key, keys.audit_key) != (self._keys.fingerprint_key, self._keys.audit_key):
            raise exc.KeyringReplaced(
                f"{self._path} now holds another keyring than the one this process started with: "
                "put the right one back, or restart if the change is meant."
            )


# --- tokens --------------------------------------------------------------------------------------------


def _frame(context: str, plaintext: bytes) -> bytes:
    label = context.encode("utf-8")
    if not 0 < len(label) <= _MAX_CONTEXT_BYTES:
        raise ValueError(f"A context has 1 to {_MAX_CONTEXT_BYTES} bytes.")
    return len(label).to_bytes(2, "big") + label + plaintext


def _seal_framed(keys: Keys, framed: bytes) -> str:
    return f"nr1:{keys.active}:{keys.fernets[keys.active].encrypt(framed).decode('ascii')}"


def _split(token: str | bytes | memoryview) -> tuple[str, bytes]:
    """Key id and Fernet body; stricter than Fernet, which skips foreign characters and ignores spare bits."""
    raw = token.encode("ascii", "replace") if isinstance(token, str) else bytes(token)
    match = _TOKEN.fullmatch(raw)
    if match is None or len(match[2]) % 4 or not is_canonical(match[2][-4:]):
        raise exc.SecretDamaged(
            "This is no sealed value, or a damaged one: restore the row from a backup, or enter the secret again."
        )
    return match[1].decode("ascii"), match[2]


# --- the keyring of this process -----------------------------------------------------------------------


def load(path: Path) -> Keyring:
    """The keyring of a file. Raises a KeyringError that says what to do; never returns a doubtful one."""
    keys, signature = keyring_file.read(path)
    return Keyring(keys, path, signature)


def loads(text: str, where: str = JSON_VARIABLE) -> Keyring:
    """A read-only keyring from its JSON text; `where` names the source in messages."""
    return Keyring(keyring_file.parse(text, where)[1])


def text() -> str:
    """The text of this process's keyring, every key in clear: for a backup, and for nothing else."""
    source = _source()
    return keyring_file.text_of(source) if isinstance(source, Path) else source


def create(path: Path) -> Keyring:
    """Make a new keyring file, mode 0400. Raises KeyringExists rather than touch anything that is there."""
    keyring_file.create(path)
    return load(path)


_current: tuple[str | Path, Keyring] | None = None
_current_lock = threading.Lock()


def current() -> Keyring:
    """This process's keyring: from NETRAVEN_KEYRING_JSON, or the file of settings.NETRAVEN_KEYRING_PATH.

    Cached; follows changes of the file. Raises a KeyringError that says what to do.
    """
    global _current
    source = _source()
    held = _current
    if held is None or held[0] != source:
        with _current_lock:
            held = _current
            if held is None or held[0] != source:
                held = source, load(source) if isinstance(source, Path) else loads(source)
                _current = held
    return held[1]


def forget() -> None:
    """Read the keyring anew when it is next needed: after this process itself has put another one in its place."""
    global _current
    _current = None


def _source() -> str | Path:
    text = os.environ.get(JSON_VARIABLE)
    if text:
        return text
    from django.conf import settings  # the only thing here that needs Django

    return Path(settings.NETRAVEN_KEYRING_PATH)


def _forget_after_fork() -> None:
    # A lock that another thread held at the moment of the fork would stay locked in the child for ever.
    global _current, _current_lock
    _current, _current_lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget_after_fork)
