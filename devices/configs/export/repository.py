"""A git repository as the target of an export, with or without a work tree. The only place that writes with dulwich."""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

from dulwich.errors import (
    ChecksumMismatch,
    FileFormatException,
    MissingCommitError,
    NotGitRepository,
    ObjectMissing,
    WrongObjectException,
)
from dulwich.file import FileLocked
from dulwich.index import index_entry_from_stat
from dulwich.object_store import commit_tree_changes
from dulwich.objects import Blob, ObjectID, Tree
from dulwich.objects import Commit as GitCommit
from dulwich.refs import Ref
from dulwich.repo import Repo

from devices.configs.export.target import (
    NOTE,
    STATE,
    Commit,
    Exported,
    ExportError,
    State,
    alone,
    at_work,
    clear_parts,
    holds,
    place,
    read_state,
    take_away,
    write_file,
    write_state,
)

BRANCH: Final = "main"
_FILE: Final = 0o100644
_LOOSE: Final = 64
"""Texts that are written one file each; more of them become a pack."""
_MOST_LOOSE: Final = 6_000
_HALF: Final = frozenset({"HEAD", "branches", "config", "description", "hooks", "info", "objects", "refs"})
_DAMAGED: Final = (
    ChecksumMismatch,
    FileFormatException,
    KeyError,
    MissingCommitError,
    ObjectMissing,
    WrongObjectException,
    zlib.error,
)


class Repository:
    """One branch of a repository: the one that HEAD names."""

    def __init__(self, repo: Repo, root: Path, branch: Ref, head: ObjectID | None, *, repairs: bool) -> None:
        self.repo = repo
        self.branch = branch
        self._root = None if repo.bare else root
        self._control = Path(repo.controldir())
        self._head = head
        self._repairs = repairs
        self._files: dict[str, ObjectID] | None = None
        self._blobs: dict[str, ObjectID] = {}

    @classmethod
    @contextmanager
    def opened(cls, root: Path, wait_s: float, *, bare: bool | None = None) -> Iterator[Repository]:
        """Make the repository, or take the one that is there; ExportError says what is in the way.

        `bare` is for a new one (None: with a work tree); one that is there must not contradict it.
        """
        root.mkdir(parents=True, exist_ok=True)
        with alone(root, wait_s), _in_words(root):
            repo = _open(root, bare)
            # A power cut must not leave commits whose objects are empty.
            repo.object_store.fsync_object_files = True
            try:
                with at_work(Path(repo.controldir()) / NOTE) as was_killed:
                    if was_killed:
                        _repair(repo, root)
                    branch, head = _branch(repo, root)
                    yield cls(repo, root, branch, head, repairs=was_killed)
            finally:
                repo.close()

    @property
    def head(self) -> ObjectID | None:
        """The last commit of the branch, None before the first."""
        return self._head

    def state(self) -> State:
        """See Target."""
        return read_state(self._control / STATE)

    def is_trusted(self, state: State) -> bool:
        """Whether the branch still ends where that export ended, and no export was killed since."""
        return self._head is not None and state.mark == self._head.decode() and not self._repairs

    def files(self) -> Mapping[str, ObjectID]:
        """The files of the last commit."""
        if self._files is None:
            self._files = {}
            if self._head is not None:
                entries = self.repo.object_store.iter_tree_contents(self._tree())
                self._files = {os.fsdecode(entry.path): entry.sha for entry in entries if entry.path and entry.sha}
        return self._files

    def put(self, texts: Mapping[str, bytes]) -> set[str]:
        """See Target. Files of the work tree are written at once, and made whole where an export was killed."""
        there = self.files()
        fresh: dict[str, Blob] = {}
        for path, data in texts.items():
            blob = Blob.from_string(data)
            if there.get(path) != blob.id:
                fresh[path] = blob
            if self._root is not None:
                file = place(self._root, path)
                if not holds(file, data):
                    write_file(file, data)
                    self._blobs.setdefault(path, blob.id)
        blobs = {blob.id: blob for blob in fresh.values()}
        if len(blobs) > _LOOSE:
            self.repo.object_store.add_objects([(blob, None) for blob in blobs.values()])
        else:
            for blob in blobs.values():
                self.repo.object_store.add_object(blob)
        self._blobs |= {path: blob.id for path, blob in fresh.items()}
        return set(fresh)

    def finish(self, removed: Sequence[str], state: Mapping[str, Exported], commit: Commit | None) -> str:
        """See Target. One commit; the branch moves last, so that whoever is killed before has changed nothing."""
        gone = [path for path in removed if path in self.files()]
        if self._root is not None and (self._blobs or removed):
            self._stage(removed)
        made = ""
        if commit is not None:
            made = self._commit(gone, commit)
        write_state(self._control / STATE, state, self._head.decode() if self._head else "")
        if self.repo.object_store.count_loose_objects() > _MOST_LOOSE:
            self.repo.object_store.pack_loose_objects()
        return made

    def follow(self, commit: ObjectID) -> None:
        """Move the branch, and the files of the work tree, on to a commit that comes after its last one."""
        before = dict(self.files())
        self._move(commit, b"fetch")
        self._files = None
        if self._root is not None:
            after = self.files()
            for path in before.keys() - after.keys():
                take_away(self._root, path)
            for path, blob in after.items():
                file = place(self._root, path)
                data = self.repo.object_store[blob].as_raw_string()
                if not holds(file, data):
                    write_file(file, data)
                self._blobs[path] = blob
            self._stage([path for path in before if path not in after])
            self._blobs.clear()

    def _tree(self) -> ObjectID:
        found = self.repo.object_store[self._head] if self._head else None
        assert isinstance(found, GitCommit)
        tree: ObjectID = found.tree
        return tree

    def _stage(self, removed: Sequence[str]) -> None:
        assert self._root is not None
        index = self.repo.open_index()
        for path, blob in self._blobs.items():
            index[os.fsencode(path)] = index_entry_from_stat(os.lstat(self._root / path), blob, mode=_FILE)
        for path in removed:
            take_away(self._root, path)
            if os.fsencode(path) in index:
                del index[os.fsencode(path)]
        index.write()

    def _commit(self, gone: Sequence[str], commit: Commit) -> str:
        store = self.repo.object_store
        changes: list[tuple[bytes, int | None, ObjectID | None]] = [
            (os.fsencode(path), _FILE, blob) for path, blob in self._blobs.items() if self.files().get(path) != blob
        ]
        changes += [(os.fsencode(path), None, None) for path in gone]
        tree: ObjectID | Tree = self._tree() if self._head else Tree()
        made = GitCommit()
        made.tree = commit_tree_changes(store, tree, changes)
        made.parents = [self._head] if self._head else []
        made.author = made.committer = commit.author.encode()
        made.author_time = made.commit_time = int(commit.at.timestamp())
        offset = commit.at.utcoffset() or timedelta()
        made.author_timezone = made.commit_timezone = int(offset.total_seconds())
        made.encoding = b"UTF-8"
        made.message = commit.message.encode()
        store.add_object(made)
        self._move(made.id, b"commit: " + made.message.split(b"\n", 1)[0])
        return made.id.decode()

    def _move(self, to: ObjectID, why: bytes) -> None:
        refs = self.repo.refs
        moved = (
            refs.set_if_equals(self.branch, self._head, to, message=why)
            if self._head
            else refs.add_if_new(self.branch, to, message=why)
        )
        if not moved:
            raise ExportError(f"{self._control} was committed to by somebody else at the same moment: run it again.")
        self._head = to


@contextmanager
def _in_words(root: Path) -> Iterator[None]:
    try:
        yield
    except FileLocked as error:
        name = os.fsdecode(error.lockfilename)
        raise ExportError(f"{name} is there: another program is at the repository. If none is, delete it.") from None
    except NotGitRepository:
        raise ExportError(f"{root} is no git repository that can be opened.") from None
    except _DAMAGED as error:
        raise ExportError(
            f"The repository {root} is damaged ({type(error).__name__}): look with git fsck, or move it away; the "
            "next export makes a new one."
        ) from error


def _open(root: Path, bare: bool | None) -> Repo:
    if (root / ".git").exists() or (root / "objects").is_dir():
        if _was_half_made(root):
            return _make(root, bare)
        repo = Repo(os.fspath(root))
        if bare is not None and repo.bare != bare:
            repo.close()
            have = "has no work tree" if repo.bare else "has a work tree"
            raise ExportError(f"The repository {root} is there already and {have}: name another folder.")
        return repo
    if any(root.iterdir()):
        raise ExportError(f"{root} is not empty and no git repository: name a new folder.")
    return _make(root, bare)


def _make(root: Path, bare: bool | None) -> Repo:
    make = Repo.init_bare if bare else Repo.init
    return make(os.fspath(root), default_branch=BRANCH.encode())


def _was_half_made(root: Path) -> bool:
    """Take away a repository of which nothing but folders was made before somebody was killed; whether it was one."""
    is_bare = not (root / ".git").is_dir()
    control = root if is_bare else root / ".git"
    if (control / "HEAD").exists() or not control.is_dir():
        return False
    parts = list(control.iterdir())
    if any(part.name not in _HALF or any(each.is_file() for each in part.rglob("*")) for part in parts):
        return False
    for part in parts:
        shutil.rmtree(part) if part.is_dir() else part.unlink()
    if not is_bare:
        control.rmdir()
    return True


def _branch(repo: Repo, root: Path) -> tuple[Ref, ObjectID | None]:
    chain, head = repo.refs.follow(Ref(b"HEAD"))
    if len(chain) < 2:
        raise ExportError(f"HEAD of {root} names no branch: git switch to the one that exports go to.")
    return chain[-1], head


def _repair(repo: Repo, root: Path) -> None:
    """Take away what a killed export was writing; nobody else has the repository now."""
    control = Path(repo.controldir())
    for pattern in ("*.lock", "refs/**/*.lock", "objects/??/*.lock", "objects/pack/tmp_pack_*", "objects/pack/*.lock"):
        for rest in control.glob(pattern):
            rest.unlink(missing_ok=True)
    clear_parts(root)
