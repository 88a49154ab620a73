"""A keyring as a file that may lie about: encrypted under a passphrase.

JSON: `{"format": "netraven-keyring-backup", "version": 1, "made", "keys": [ids], "salt", "cost", "sealed"}`. The key is
scrypt's of the passphrase, what is sealed with it is the text of the keyring.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from credentials.exceptions import BackupUnusable

LEAST_PASSPHRASE = 12
MAX_BYTES = 2_000_000
_FORMAT = "netraven-keyring-backup"
_COST = 17
"""Binary logarithm of scrypt's n: 128 MiB and some tenths of a second for each guess."""
_MOST_COST = 20


def seal(text: str, key_ids: list[str], passphrase: str) -> bytes:
    """The backup of a keyring's text. Raises BackupUnusable for a passphrase that is too short."""
    if len(passphrase) < LEAST_PASSPHRASE:
        raise BackupUnusable(
            f"A passphrase has {LEAST_PASSPHRASE} characters or more: whoever guesses it has every password."
        )
    salt = os.urandom(16)
    document = {
        "format": _FORMAT,
        "version": 1,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "keys": key_ids,
        "salt": base64.b64encode(salt).decode("ascii"),
        "cost": _COST,
        "sealed": _fernet(passphrase, salt, _COST).encrypt(text.encode()).decode("ascii"),
    }
    return json.dumps(document, indent=2).encode("ascii") + b"\n"


def unseal(data: bytes, passphrase: str) -> str:
    """The keyring's text. Raises BackupUnusable for a wrong passphrase and for what is no backup."""
    document: Any = None
    with contextlib.suppress(ValueError, RecursionError):
        document = json.loads(data)
    if not isinstance(document, dict) or document.get("format") != _FORMAT or document.get("version") != 1:
        raise BackupUnusable("This is no backup of a keyring, or one of a later version of this program.")
    salt, cost, sealed = document.get("salt"), document.get("cost"), document.get("sealed")
    if not (isinstance(salt, str) and isinstance(cost, int) and 10 <= cost <= _MOST_COST and isinstance(sealed, str)):
        raise BackupUnusable("This backup of a keyring is damaged: take another copy.")
    opened = None
    # The error behind it holds nothing of use, and the decoder's would hold the text.
    with contextlib.suppress(InvalidToken, ValueError):
        opened = _fernet(passphrase, base64.b64decode(salt), cost).decrypt(sealed.encode()).decode("ascii")
    if opened is None:
        raise BackupUnusable("The passphrase is wrong, or the backup is damaged: nothing was changed.")
    return opened


def write(path: Path, data: bytes) -> None:
    """Write a backup to a new file, mode 0600. Raises BackupUnusable rather than overwrite anything."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise BackupUnusable(f"{path} exists and was left alone: name another file.") from None
    except OSError as error:
        raise BackupUnusable(f"{path} cannot be written ({error.strerror}): name another file.") from None


def _fernet(passphrase: str, salt: bytes, cost: int) -> Fernet:
    derived = Scrypt(salt=salt, length=32, n=2**cost, r=8, p=1).derive(passphrase.encode("utf-8", "surrogatepass"))
    return Fernet(base64.urlsafe_b64encode(derived))
