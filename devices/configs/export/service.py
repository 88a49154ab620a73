"""Exporting the latest configurations: what changed since the last time is read and written, in one commit."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.utils import timezone

from credentials import audit
from devices.configs import index
from devices.configs.export import remote as remotes
from devices.configs.export.layout import DEFAULT, RUNNING, BadTemplate, Entry, check_template, paths
from devices.configs.export.remote import BadRemote, Remote, RemoteError
from devices.configs.export.repository import Repository
from devices.configs.export.target import Commit, Exported, ExportError, Folder, Target
from devices.models import ConfigText, ConfigVersion, Device

_CHUNK: Final = 250
"""Texts that are in memory at once."""
_WAIT_S: Final = 30.0
_NAMED: Final = 3
_LISTED: Final = 2_000
"""Lines of a commit's message, and names in a report."""
_AUTHOR: Final = re.compile(r"[^<>\n\x00]+ <[^<>\s\x00]+>")
AUTHOR: Final = "NetRaven <netraven@localhost>"
MESSAGE: Final = "{count}: {devices}"


@dataclass(frozen=True)
class Wish:
    """What is to be exported, and where to."""

    folder: Path
    template: str = DEFAULT
    tags: tuple[str, ...] = ()
    """Devices with any of these; none means all devices."""
    git: bool = True
    bare: bool | None = None
    """A new repository without work tree; None: as it is."""
    remote: Remote | None = None
    author: str = AUTHOR
    message: str = MESSAGE
    """The first line of a commit; `{count}` and `{devices}` are filled in."""
    full: bool = False
    """Read and compare every text, whatever is known of the last export."""


@dataclass
class Report:
    """What an export did; names are those of devices, with the kind of text where it is not the running one."""

    folder: str
    files: int = 0
    new: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    renamed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    read: int = 0
    """Texts that were read."""
    commit: str = ""
    foreign: int = 0
    """Files of the repository that no export is known to have written; they stay."""
    followed: bool = False
    """Whether the remote's history was taken over first."""
    pushed: bool | None = None
    """Whether anything was pushed; None without a remote."""
    stopped: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For JSON; long lists are cut, their lengths are not."""
        lists = ("new", "changed", "renamed", "removed")
        counts: dict[str, Any] = {f"{name}_count": len(getattr(self, name)) for name in lists}
        return {**asdict(self), **{name: getattr(self, name)[:_LISTED] for name in lists}, **counts}

    def as_summary(self) -> dict[str, Any]:
        """For the summary of a run: numbers, the commit, and a few names."""
        lists = ("new", "changed", "renamed", "removed")
        found: dict[str, Any] = {"files": self.files, **{name: len(getattr(self, name)) for name in lists}}
        found |= {"commit": self.commit[:12] or None, "pushed": self.pushed, "devices": _few(self.touched)}
        return found

    @property
    def touched(self) -> list[str]:
        """Every device that the export had something to write about."""
        return sorted({*self.new, *self.changed, *self.renamed, *self.removed})


def check(wish: Wish) -> None:
    """Refuse what cannot go well, without touching anything: ExportError."""
    try:
        check_template(wish.template)
        if wish.remote is not None:
            wish.remote.check()
    except (BadTemplate, BadRemote) as error:
        raise ExportError(str(error)) from None
    if not _AUTHOR.fullmatch(wish.author):
        raise ExportError(f"An author is written as {AUTHOR}.")


def remote_of_settings() -> Remote | None:
    """The remote that the settings name, None without one."""
    if not settings.NETRAVEN_GIT_REMOTE:
        return None
    return Remote(
        url=settings.NETRAVEN_GIT_REMOTE,
        user=settings.NETRAVEN_GIT_USER,
        token_file=settings.NETRAVEN_GIT_TOKEN_FILE,
        ssh_key=settings.NETRAVEN_GIT_SSH_KEY,
        known_hosts=settings.NETRAVEN_GIT_KNOWN_HOSTS,
    )


def export(
    wish: Wish,
    *,
    actor: str = "",
    now: datetime | None = None,
    wait_s: float = _WAIT_S,
    checkpoint: Callable[[Report], bool] = lambda report: False,
) -> Report:
    """Write what has changed since the last export, commit and push it.

    ExportError when it could not be written, or was written and not pushed; the next export pushes what is left.
    `checkpoint` is called between reads and answers whether to stop: then nothing has changed.
    """
    check(wish)
    report = Report(str(wish.folder))
    entries = _latest(wish.tags)
    if not entries:
        raise ExportError("No configuration is kept of the devices that this export is for: nothing was written.")
    trouble = ""
    try:
        with _opened(wish, wait_s) as target:
            if wish.remote is not None and isinstance(target, Repository):
                try:
                    report.followed = remotes.follow(wish.remote, target)
                except RemoteError as error:
                    trouble = str(error)
            _write(wish, target, entries, report, now or timezone.localtime(), checkpoint)
            if wish.remote is not None and isinstance(target, Repository) and not report.stopped:
                report.pushed = False
                if not trouble:
                    try:
                        report.pushed = remotes.push(wish.remote, target)
                    except RemoteError as error:
                        trouble = str(error)
    except OSError as error:
        raise ExportError(f"{error.filename or wish.folder}: {error.strerror or error}.") from error
    audit.record(
        "config.exported",
        actor=actor,
        outcome="push_failed" if trouble else "success",
        subject=report.folder,
        tags=list(wish.tags),
        files=report.files,
        written=len(report.touched),
        commit=report.commit,
        pushed=report.pushed,
    )
    if trouble:
        kept = f"Commit {report.commit[:12]} is in {wish.folder}. " if report.commit else ""
        raise ExportError(f"{trouble} {kept}The next export pushes what is left.")
    return report


@contextmanager
def _opened(wish: Wish, wait_s: float) -> Iterator[Target]:
    if wish.git:
        with Repository.opened(wish.folder, wait_s, bare=wish.bare) as repository:
            yield repository
    else:
        with Folder.opened(wish.folder, wait_s) as folder:
            yield folder


def _latest(tags: Sequence[str]) -> list[Entry]:
    """The latest text of each kind of each device."""
    versions = ConfigVersion.objects.filter(index.is_latest()).order_by()
    if tags:
        versions = versions.filter(device__in=Device.objects.filter(tags__name__in=tags).order_by().values("pk"))
    columns = ("device", "device__name", "device__site", "device__platform", "device__aaa_domain")
    rows = versions.values_list(*columns, "kind", "pk", "text", "text__digest")
    return [Entry(*row) for row in rows]


def _write(
    wish: Wish,
    target: Target,
    entries: Sequence[Entry],
    report: Report,
    now: datetime,
    checkpoint: Callable[[Report], bool],
) -> None:
    state = target.state()
    is_trusted = target.is_trusted(state) and not wish.full
    wanted = paths(entries, wish.template)
    to_read = [path for path, each in wanted.items() if not is_trusted or state.files.get(path) != _exported(each)]
    changed: set[str] = set()
    for start in range(0, len(to_read), _CHUNK):
        part = {path: wanted[path] for path in to_read[start : start + _CHUNK]}
        texts = _texts(part)
        for path in part.keys() - texts.keys():
            del wanted[path]  # the device was deleted meanwhile
        changed |= target.put(texts)
        report.read += len(texts)
        if checkpoint(report):
            report.stopped = True
            return
    files = {path: _exported(each) for path, each in wanted.items()}
    removed = [path for path in state.files if path not in files]
    report.files = len(files)
    _tell(report, target, wanted, changed, state.files, removed)
    if not is_trusted:
        report.foreign = len(target.files().keys() - files.keys() - state.files.keys())
    if is_trusted and not changed and not removed and files == state.files:
        return
    commit = None
    if report.touched:
        commit = Commit(wish.author, _message(wish, report, wanted, changed), now)
    report.commit = target.finish(removed, files, commit)


def _exported(entry: Entry) -> Exported:
    return Exported(entry.device, entry.kind, entry.digest)


def _texts(part: Mapping[str, Entry]) -> dict[str, bytes]:
    """The texts with a placeholder for each secret."""
    packed = dict(ConfigText.objects.filter(pk__in={each.text for each in part.values()}).values_list("pk", "packed"))
    return {path: zlib.decompress(packed[each.text]) for path, each in part.items() if each.text in packed}


def _tell(
    report: Report,
    target: Target,
    wanted: Mapping[str, Entry],
    changed: set[str],
    before: Mapping[str, Exported],
    removed: Sequence[str],
) -> None:
    """Put each file that is not as it was under new, changed, renamed or removed."""
    there = target.files()
    old = {(before[path].device, before[path].kind): path for path in removed}
    moved = set()
    for path in sorted(changed):
        entry = wanted[path]
        was = old.get((entry.device, entry.kind))
        if was is not None:
            moved.add(was)
            report.renamed.append(_called(entry.name, entry.kind))
        else:
            (report.changed if path in there else report.new).append(_called(entry.name, entry.kind))
    # The device's row is gone, so it is called by its file.
    report.removed = sorted(path.rsplit("/", 1)[-1] for path in removed if path in there and path not in moved)


def _called(name: str, kind: str) -> str:
    return name if kind == RUNNING else f"{name} {kind}"


def _few(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    if more <= 1:
        return ", ".join(names)
    return f"{', '.join(names[:_NAMED])} and {more:,} more"


def _message(wish: Wish, report: Report, wanted: Mapping[str, Entry], changed: set[str]) -> str:
    """The first line as it was wished for, and below it each device with what changed and who changed it."""
    touched = report.touched
    count = f"{len(touched):,} {'device' if len(touched) == 1 else 'devices'}"
    subject = wish.message.replace("{count}", count).replace("{devices}", _few(touched))
    versions = [wanted[path].version for path in changed]
    said: dict[int, tuple[str, str]] = {}
    for start in range(0, len(versions), _CHUNK):
        rows = ConfigVersion.objects.filter(pk__in=versions[start : start + _CHUNK])
        said |= {pk: (summary, who) for pk, summary, who in rows.values_list("pk", "summary", "changed_by")}
    words = {
        _called(each.name, each.kind): said.get(each.version, ("", "")) for each in map(wanted.get, changed) if each
    }
    lines = []
    for name in report.changed:
        summary, who = words[name]
        lines.append(f"changed {name}" + (f": {summary}" if summary else "") + (f" (by {who})" if who else ""))
    lines += [f"new {name}" for name in report.new]
    lines += [f"renamed {name}" for name in report.renamed]
    lines += [f"removed {name}" for name in report.removed]
    if len(lines) > _LISTED:
        lines = [*lines[:_LISTED], f"and {len(lines) - _LISTED:,} more"]
    return " ".join(subject.split()) + "\n\n" + "\n".join(" ".join(line.split()) for line in lines) + "\n"
