"""The keyring's file: its form, who may read it, and how it is changed. `credentials.keyring` is the way in.

The file is JSON: `{"format": 1, "active": ID, "keys": [{"id", "key", "created"}, ...], "fingerprint_key",
"audit_key"}`. It is only ever replaced as a whole, so that readers need no lock.

Who may read it. Owner only (0400, or 0600) is always right. A file that its group or everybody can read is
accepted in one case: NETRAVEN_KEYRING names it, or it lies in systemd's CREDENTIALS_DIRECTORY, root owns it, and
nobody has write permission (0444, 0440: how containers and systemd mount secrets). Its directory must not be
writable by everybody.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import errno
import fcntl
import itertools
import json
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from cryptography.fernet import Fernet

from credentials import exceptions as exc

PATH_VARIABLE = "NETRAVEN_KEYRING"
JSON_VARIABLE = "NETRAVEN_KEYRING_JSON"
CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"
CREDENTIAL_NAME = "netraven-keyring"
"""What a systemd credential is called that holds the keyring: `LoadCredential=netraven-keyring:PATH`."""
KEY_ID = r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}"

_FORMAT = 1
MAX_FILE_BYTES = 1_000_000
_KEY_TEXT = re.compile(r"[A-Za-z0-9_-]{43}=")
_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY)

Signature = tuple[int, int, int, int, int]
"""What tells two versions of a file apart: device, inode, times of change, size."""
_ResultT = TypeVar("_ResultT")


@dataclass(frozen=True, repr=False)
class Keys:
    """One consistent reading of a keyring."""

    active: str
    fernets: dict[str, Fernet]
    fingerprint_key: bytes
    audit_key: bytes
    created: dict[str, str]
    """When each key was made, as the file says: ISO 8601."""


def is_canonical(base64_text: bytes) -> bool:
    """Whether this is url-safe base64 in the one form that its content has (no spare bits set)."""
    with contextlib.suppress(binascii.Error):
        return base64.urlsafe_b64encode(base64.urlsafe_b64decode(base64_text)) == base64_text
    return False


# --- the document --------------------------------------------------------------------------------------


def parse(text: str, where: str) -> tuple[dict[str, Any], Keys]:
    """The checked document and its keys; `where` names the source in messages."""
    document: Any = None
    # The decoder's error carries the whole text: it must not become the context of ours.
    with contextlib.suppress(ValueError, RecursionError):
        document = json.loads(text)
    malformed = f"{where} is no keyring of format {_FORMAT}"
    advice = "restore it from a backup; never edit it by hand."
    names = {"format", "active", "keys", "fingerprint_key", "audit_key"}
    if not isinstance(document, dict) or document.get("format") != _FORMAT or set(document) != names:
        raise exc.KeyringMalformed(f"{malformed}: {advice}")
    if not isinstance(document["keys"], list) or not document["keys"]:
        raise exc.KeyringMalformed(f"{malformed}, its list of keys is empty or missing: {advice}")
    fernets: dict[str, Fernet] = {}
    seen: set[bytes] = set()
    for position, entry in enumerate(document["keys"], start=1):
        if not isinstance(entry, dict) or set(entry) != {"id", "key", "created"}:
            raise exc.KeyringMalformed(
                f"{malformed}, its key number {position} is not an id, a key and a date: {advice}"
            )
        key_id = entry["id"]
        if not isinstance(key_id, str) or not re.fullmatch(KEY_ID, key_id):
            raise exc.KeyringMalformed(f"{malformed}, its key number {position} has no valid id: {advice}")
        if key_id in fernets:
            raise exc.DuplicateKey(f"{where} has the key id {key_id} twice: {advice}")
        raw = _check_key(entry["key"], f"the key {key_id}", where)
        _refuse_repeated(raw, seen, f"the key {key_id}", where)
        fernets[key_id] = Fernet(entry["key"])
    fingerprint_key = _check_key(document["fingerprint_key"], "fingerprint_key", where)
    _refuse_repeated(fingerprint_key, seen, "fingerprint_key", where)
    audit_key = _check_key(document["audit_key"], "audit_key", where)
    _refuse_repeated(audit_key, seen, "audit_key", where)
    active = document["active"]
    if not isinstance(active, str) or active not in fernets:
        raise exc.KeyringMalformed(f"{malformed}, its active key is not in its list: {advice}")
    created = {entry["id"]: str(entry["created"]) for entry in document["keys"]}
    return document, Keys(active, fernets, fingerprint_key, audit_key, created)


def _check_key(value: object, name: str, where: str) -> bytes:
    if isinstance(value, str) and _KEY_TEXT.fullmatch(value) and is_canonical(value[-4:].encode("ascii")):
        raw = base64.urlsafe_b64decode(value)
        if not _looks_chosen(raw):
            return raw
    raise exc.WeakKey(
        f"In {where}, {name} is not 32 random bytes in url-safe base64: "
        "restore the keyring from a backup, or let this program make a new key."
    )


def _looks_chosen(raw: bytes) -> bool:
    """True for what 32 random bytes practically never are: few values, a straight run, plain text."""
    steps = {(after - before) % 256 for before, after in itertools.pairwise(raw)}
    return len(set(raw)) <= 16 or len(steps) == 1 or all(32 <= byte < 127 for byte in raw)


def _refuse_repeated(raw: bytes, seen: set[bytes], name: str, where: str) -> None:
    if raw in seen:
        raise exc.DuplicateKey(
            f"In {where}, {name} is the same key as an earlier one: restore the keyring from a backup."
        )
    seen.add(raw)


def _new_key() -> str:
    while _looks_chosen(raw := os.urandom(32)):
        pass
    return base64.urlsafe_b64encode(raw).decode("ascii")


def _new_entry(number: int) -> dict[str, str]:
    return {
        "id": f"k{number}-{secrets.token_hex(4)}",
        "key": _new_key(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


# --- reading -------------------------------------------------------------------------------------------


def default_path(named: str, home: Path) -> Path:
    """Where the keyring lies: where `named` says, else systemd's credential if there is one, else in `home`."""
    if named:
        return Path(named).expanduser()
    directory = os.environ.get(CREDENTIALS_VARIABLE)
    credential = Path(directory or "/nowhere") / CREDENTIAL_NAME
    return credential if directory and credential.exists() else home / "keyring.json"


def read(path: Path) -> tuple[Keys, Signature]:
    """Keys and signature of a file; raises the KeyringError that says what is wrong and what to do."""
    text, info = _read_text(path)
    return parse(text, str(path))[1], signature(info)


def text_of(path: Path) -> str:
    """The checked text of a keyring file: every key in clear."""
    text, _ = _read_text(path)
    parse(text, str(path))
    return text


def why_read_only(path: Path) -> str:
    """Why this process cannot change the keyring, and what to do instead; empty where it seems that it could."""
    try:
        _refuse_variable()
    except exc.KeyringReadOnly as error:
        return str(error)
    path = path.resolve()
    # A file that was mounted by itself cannot be replaced, whatever its directory allows.
    if os.access(path.parent, os.W_OK | os.X_OK) and not os.path.ismount(path) and not _is_credential(path):
        return ""
    return f"{path} cannot be changed from here. {_ELSEWHERE}"


def _read_text(path: Path) -> tuple[str, os.stat_result]:
    stat_file(path)
    with _translated(path, "read"):
        # Non-blocking, so that a FIFO in this place is an error rather than a hang.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            info = os.fstat(file.fileno())
            if not stat.S_ISREG(info.st_mode):
                raise exc.KeyringMalformed(f"{path} is not a regular file: set {PATH_VARIABLE} to the keyring file.")
            _check_access(path, info)
            data = file.read(MAX_FILE_BYTES + 1)
    _check_directory(path.resolve())
    # Undecodable or endless content is no JSON either; the parser says so.
    return ("" if len(data) > MAX_FILE_BYTES else data.decode("utf-8", "replace")), info


def _check_access(path: Path, info: os.stat_result) -> None:
    mode = stat.S_IMODE(info.st_mode)
    if info.st_uid not in (0, os.geteuid()) and os.geteuid() != 0:
        raise exc.KeyringExposed(f"{path} belongs to another user: make it yours, with chown, or use your own.")
    if not mode & 0o077:
        return
    if _named_by_operator(path) and info.st_uid == 0 and not mode & 0o333:
        return
    raise exc.KeyringExposed(
        f"{path} has mode {mode:04o}, so that other users could read it: run chmod 400 {path}, "
        f"or, for a secret that root mounts, name it in {PATH_VARIABLE} and mount it with mode 0440."
    )


def _named_by_operator(path: Path) -> bool:
    named = os.environ.get(PATH_VARIABLE)
    return _is_credential(path) or (bool(named) and Path(named or "").expanduser().resolve() == path.resolve())


def _is_credential(path: Path) -> bool:
    directory = os.environ.get(CREDENTIALS_VARIABLE)
    return bool(directory) and Path(directory or "").resolve() in path.resolve().parents


def _check_directory(path: Path) -> None:
    mode = stat_file(path.parent).st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise exc.KeyringExposed(
            f"Everybody can write to {path.parent}, the keyring's directory: run chmod o-w {path.parent}."
        )


def stat_file(path: Path) -> os.stat_result:
    """The file's status; raises KeyringMissing or KeyringUnreadable."""
    with _translated(path, "read"):
        return os.stat(path)


def signature(info: os.stat_result) -> Signature:
    """The signature in a file status."""
    return info.st_dev, info.st_ino, info.st_mtime_ns, info.st_ctime_ns, info.st_size


# --- changing ------------------------------------------------------------------------------------------


def create(path: Path) -> None:
    """Make a new keyring file, mode 0400. Raises KeyringExists rather than touch anything that is there."""
    entry = _new_entry(1)
    document = {
        "format": _FORMAT,
        "active": entry["id"],
        "keys": [entry],
        "fingerprint_key": _new_key(),
        "audit_key": _new_key(),
    }
    put(path, document)


def put(path: Path, document: dict[str, Any]) -> None:
    """Write a checked document where there is no file yet. Raises KeyringExists."""
    _refuse_variable()
    with _translated(path, "create"), _locked(path.parent):
        _check_directory(path)
        with _temporary(path, document, None) as new:
            try:
                # A rename would replace what is there, and O_EXCL alone would show a half-written file.
                os.link(new, path)
            except FileExistsError:
                raise exc.KeyringExists(
                    f"{path} already exists and was left alone: use it, or move it away if nothing needs it."
                ) from None


def merge(path: Path, other: dict[str, Any]) -> list[str]:
    """Add the keys of another checked document of the same instance; their ids. The active key stays.

    Raises KeyringForeign when the document is that of another instance, DuplicateKey when an id has two keys.
    """

    def add(document: dict[str, Any]) -> list[str]:
        if not is_same_instance(document, other):
            raise exc.KeyringForeign(f"{path} is the keyring of another instance: nothing was changed.")
        known = {entry["id"]: entry["key"] for entry in document["keys"]}
        if clash := [entry["id"] for entry in other["keys"] if known.get(entry["id"], entry["key"]) != entry["key"]]:
            raise exc.DuplicateKey(f"{path} has another key with the id {clash[0]}: nothing was changed.")
        new = [entry for entry in other["keys"] if entry["id"] not in known]
        document["keys"] += new
        return [entry["id"] for entry in new]

    return _rewrite(path, add)


def replace(path: Path, document: dict[str, Any]) -> Path:
    """Put a checked document in the place of the file, whatever that holds; returns where the old one was kept."""
    _refuse_variable()
    with _translated(path, "change"):
        path = path.resolve()
        with _locked(path.parent):
            info = stat_file(path)
            kept = path.with_name(f"{path.name}.before-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}")
            os.link(path, kept)
            with _temporary(path, document, None) as new:
                if (info.st_uid, info.st_gid) != (os.geteuid(), os.getegid()):
                    os.chown(new, info.st_uid, info.st_gid)
                os.replace(new, path)
    return kept


def is_same_instance(document: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two documents share the keys that never change in the life of an instance."""
    return all(document[name] == other[name] for name in ("fingerprint_key", "audit_key"))


def add_key(path: Path) -> str:
    """Add a new inactive key to the file and return its id."""

    def add(document: dict[str, Any]) -> str:
        entry = _new_entry(1 + max((_number(key["id"]) for key in document["keys"]), default=0))
        document["keys"].append(entry)
        return entry["id"]

    return _rewrite(path, add)


def activate(path: Path, key_id: str) -> None:
    """Make an existing key the one that seals. Raises UnknownKey."""

    def choose(document: dict[str, Any]) -> None:
        _require(document, key_id, path)
        document["active"] = key_id

    _rewrite(path, choose)


def remove_key(path: Path, key_id: str) -> None:
    """Remove an inactive key for good: what only it can open is lost. Raises KeyInUse or UnknownKey."""

    def drop(document: dict[str, Any]) -> None:
        _require(document, key_id, path)
        if document["active"] == key_id:
            raise exc.KeyInUse(f"The key {key_id} is the active one: activate another key first.")
        document["keys"] = [key for key in document["keys"] if key["id"] != key_id]

    _rewrite(path, drop)


def _number(key_id: str) -> int:
    match = re.match(r"k(\d{1,9})-", key_id)
    return int(match[1]) if match else 0


def _require(document: dict[str, Any], key_id: str, path: Path) -> None:
    known = [key["id"] for key in document["keys"]]
    if key_id not in known:
        raise exc.UnknownKey(f"{path} has no key with that id: choose one of {', '.join(known)}.")


def _rewrite(path: Path, change: Callable[[dict[str, Any]], _ResultT]) -> _ResultT:
    """Replace the file atomically by its changed document; writers wait for one another."""
    _refuse_variable()
    if _is_credential(path):
        raise exc.KeyringReadOnly(f"{path} is a systemd credential and cannot be changed from here. {_ELSEWHERE}")
    with _translated(path, "change"):
        # A link to the file stays a link; what it points to is replaced.
        path = path.resolve()
        with _locked(path.parent):
            text, info = _read_text(path)
            document, _ = parse(text, str(path))
            result = change(document)
            parse(json.dumps(document), str(path))
            with _temporary(path, document, info) as new:
                os.replace(new, path)
    return result


_ELSEWHERE = (
    f"Copy the keyring to a file of your own with mode 0400, work on the copy ({PATH_VARIABLE}=COPY ./manage.py "
    "keys ...), give the copy to whatever mounts the secret, and go on when `keys list` shows that every host reads it."
)


def _refuse_variable() -> None:
    if os.environ.get(JSON_VARIABLE):
        raise exc.KeyringReadOnly(
            f"The keyring comes from {JSON_VARIABLE} and cannot be changed from here: write its text into a file with "
            f"mode 0400, unset {JSON_VARIABLE} and name the file in {PATH_VARIABLE}."
        )


@contextlib.contextmanager
def _translated(path: Path, verb: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        if verb == "create":
            raise exc.KeyringUnreadable(
                f"The directory {path.parent} does not exist: create it, then try again."
            ) from None
        raise exc.KeyringMissing(
            f"There is no keyring at {path}: put the one of this instance there or name its path in "
            f"{PATH_VARIABLE}; on a new instance, run ./manage.py setup."
        ) from None
    except OSError as error:
        if verb == "change" and error.errno in _NOT_WRITABLE:
            raise exc.KeyringReadOnly(
                f"{path} is mounted read-only, or this user may not replace it ({error.strerror}). {_ELSEWHERE}"
            ) from None
        raise exc.KeyringUnreadable(
            f"Cannot {verb} the keyring at {path} ({error.strerror}): check its owner and mode, "
            f"or name another path in {PATH_VARIABLE}."
        ) from None


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the directory's lock; makes changes durable on the way out."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _temporary(path: Path, document: dict[str, Any], like: os.stat_result | None) -> Iterator[Path]:
    """A complete file beside `path`, owner and mode as `like`; gone afterwards. Call under the lock."""
    new = path.with_name(f".{path.name}.new")
    # One fixed name: what a killed process left behind holds keys and goes away with the next change.
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            if like is None:
                os.fchmod(file.fileno(), 0o400)
            else:
                # An administrator who changes the keyring as root must not lock the service out of it.
                if (like.st_uid, like.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(file.fileno(), like.st_uid, like.st_gid)
                os.fchmod(file.fileno(), stat.S_IMODE(like.st_mode))
            json.dump(document, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        yield new
    finally:
        new.unlink(missing_ok=True)
