"""What an export writes to: a folder that one export at a time may change, and what it remembers of it."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from devices.configs.export.layout import is_safe

STATE: Final = "netraven-export.json"
NOTE: Final = "netraven-export.at-work"
TEMPORARY: Final = ".netraven-part-"
"""The beginning of the names of files that are being written."""
_VERSION: Final = 1
_LOOK_EVERY_S: Final = 0.2


class ExportError(Exception):
    """An export could not be made; words for the operator, never a secret."""


class Exported(NamedTuple):
    """What a file of the export holds: the text of a kind of a device, by the digest of the complete text."""

    device: int
    kind: str
    digest: str


@dataclass(frozen=True)
class State:
    """The files of the last export. `mark` says at which point of the target they were all there."""

    files: Mapping[str, Exported] = field(default_factory=dict)
    mark: str = ""


@dataclass(frozen=True)
class Commit:
    """What a run is called: by whom, when, and in which words."""

    author: str
    message: str
    at: datetime


class Target(Protocol):
    """A folder or a repository. All within `opened`."""

    def state(self) -> State:
        """What is known of the last export."""

    def is_trusted(self, state: State) -> bool:
        """Whether the target is still as that export left it, so that only what is new must be written."""

    def files(self) -> Mapping[str, object]:
        """The files as they were before this export, by their paths."""

    def put(self, texts: Mapping[str, bytes]) -> set[str]:
        """Write files; which of them are not as they were. Nothing is final before `finish`."""

    def finish(self, removed: Sequence[str], state: Mapping[str, Exported], commit: Commit | None) -> str:
        """Take files away and make it final; the id of what was made, empty where nothing was.

        `commit` is None when no file has changed.
        """


# --- one at a time ---------------------------------------------------------------------------------------
@contextmanager
def alone(root: Path, wait_s: float) -> Iterator[None]:
    """Hold a folder for this export alone; ExportError when another one holds it for longer than `wait_s` seconds.

    The kernel takes the lock back from a process that ends, however it ends.
    """
    file = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        until = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise ExportError(f"Another export is writing to {root}: try again when it has ended.") from None
                time.sleep(_LOOK_EVERY_S)
        yield
    finally:
        os.close(file)


@contextmanager
def at_work(note: Path) -> Iterator[bool]:
    """Leave a note while an export is at work; yields whether there was one, so that the export before was killed."""
    was_killed = note.exists()
    note.write_text(f"{os.getpid()}\n")
    try:
        yield was_killed
    finally:
        note.unlink(missing_ok=True)


# --- what is remembered ------------------------------------------------------------------------------------
def read_state(path: Path) -> State:
    """What the last export wrote; empty when nobody knows."""
    try:
        raw = json.loads(path.read_bytes())
        if raw["version"] != _VERSION:
            return State()
        files = {
            str(name): Exported(int(device), str(kind), str(digest))
            for name, (device, kind, digest) in raw["files"].items()
        }
        return State({name: each for name, each in files.items() if is_safe(name)}, str(raw["mark"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return State()


def write_state(path: Path, files: Mapping[str, Exported], mark: str) -> None:
    """Remember it, all or nothing."""
    text = json.dumps({"version": _VERSION, "mark": mark, "files": files}, ensure_ascii=False, indent=0)
    write_file(path, text.encode())


# --- files ---------------------------------------------------------------------------------------------------
def write_file(path: Path, data: bytes) -> None:
    """The whole file or none of it."""
    file, name = tempfile.mkstemp(prefix=TEMPORARY, dir=path.parent)
    try:
        with os.fdopen(file, "wb") as handle:
            handle.write(data)
            os.fchmod(handle.fileno(), 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def place(root: Path, path: str) -> Path:
    """The file of a path below a folder, its folders made; ExportError where a link would lead out of it."""
    parent = root
    for part in path.split("/")[:-1]:
        parent /= part
        if parent.is_symlink():
            raise ExportError(f"{parent} is a link: an export writes into folders of its own alone.")
        if parent.is_file():
            raise ExportError(f"{parent} is a file where a folder is to be made: export into a new folder.")
        parent.mkdir(exist_ok=True)
    found = root / path
    if found.is_dir() and not found.is_symlink():
        raise ExportError(f"{found} is a folder where a file is to be written: export into a new folder.")
    return found


def take_away(root: Path, path: str) -> None:
    """Delete a file, and the folders that are empty then."""
    found = root / path
    found.unlink(missing_ok=True)
    for parent in found.parents:
        if parent == root or not parent.is_relative_to(root):
            return
        try:
            parent.rmdir()
        except OSError:
            return


def holds(path: Path, data: bytes) -> bool:
    """Whether a file is there with just this in it."""
    try:
        return not path.is_symlink() and path.stat().st_size == len(data) and path.read_bytes() == data
    except OSError:
        return False


def _umask() -> int:
    # There is no way to read it without setting it, and threads are about: ask the kernel.
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return 0o077


def clear_parts(root: Path) -> None:
    """Delete what a killed export was writing."""
    for part in root.rglob(f"{TEMPORARY}*"):
        part.unlink(missing_ok=True)


class Folder:
    """Plain files in a folder that is the export's own."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._state = root / f".{STATE}"

    @classmethod
    @contextmanager
    def opened(cls, root: Path, wait_s: float) -> Iterator[Folder]:
        """Make it, or take the one that an export made; ExportError when it is something else."""
        if (root / ".git").exists() or (root / "HEAD").is_file():
            raise ExportError(f"{root} is a git repository: say --git, or name another folder.")
        root.mkdir(parents=True, exist_ok=True)
        ours = (root / f".{STATE}", root / f".{NOTE}")
        with alone(root, wait_s):
            if any(root.iterdir()) and not any(each.exists() for each in ours):
                raise ExportError(f"{root} is not empty and no export made it: name a new folder.")
            with at_work(ours[1]) as was_killed:
                if was_killed:
                    clear_parts(root)
                yield cls(root)

    def state(self) -> State:
        """See Target."""
        return read_state(self._state)

    def is_trusted(self, state: State) -> bool:
        """A folder cannot say whether somebody was at it: it is taken to be as it was left."""
        return bool(state.mark)

    def files(self) -> Mapping[str, Exported]:
        """See Target; what else lies in the folder is not looked at."""
        return self.state().files

    def put(self, texts: Mapping[str, bytes]) -> set[str]:
        """See Target."""
        changed = set()
        for path, data in texts.items():
            found = place(self._root, path)
            if not holds(found, data):
                write_file(found, data)
                changed.add(path)
        return changed

    def finish(self, removed: Sequence[str], state: Mapping[str, Exported], commit: Commit | None) -> str:
        """See Target."""
        for path in removed:
            take_away(self._root, path)
        write_state(self._state, state, "folder")
        return ""
