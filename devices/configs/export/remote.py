"""The remote of an export: followed before a run, pushed to after it. Secrets come from files, and into no message."""

from __future__ import annotations

import os
import re
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import SplitResult, urlsplit

import paramiko
from dulwich.client import (
    GitClient,
    HTTPUnauthorized,
    LocalGitClient,
    SSHGitClient,
    SSHVendor,
    SubprocessWrapper,
    Urllib3HttpGitClient,
)
from dulwich.errors import GitProtocolError, NotGitRepository
from dulwich.graph import can_fast_forward
from dulwich.objects import ZERO_SHA, ObjectID
from dulwich.refs import Ref

from devices.configs.export.repository import Repository

_TIMEOUT_S: Final = 60.0
_CONNECT_S: Final = 20.0
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_SCP: Final = re.compile(r"^(?:(?P<user>[\w.+-]+)@)?(?P<host>[\w.-]+):(?P<path>[^/\\].*)$")
_SAID: Final = 200


class BadRemote(Exception):
    """The settings of the remote cannot be used; says which and why."""


class RemoteError(Exception):
    """The remote could not be reached, or did not take what was pushed; words for the operator."""


@dataclass(frozen=True)
class Remote:
    """Where to push, and the files that open it."""

    url: str
    user: str = "git"
    token_file: Path | None = None
    """One line: the token or password for https."""
    ssh_key: Path | None = None
    """A private key without passphrase."""
    known_hosts: Path | None = None
    """The keys of ssh servers; None: those of the user that runs NetRaven."""

    def check(self) -> None:
        """Look at the settings without connecting; BadRemote."""
        _client(self)


def follow(remote: Remote, repository: Repository) -> bool:
    """Take over what the remote has and we do not, where nothing of ours is lost; whether there was anything.

    So a new folder goes on with the history that is there. RemoteError when it cannot be reached.
    """
    with _in_words(remote):
        client, path = _client(remote)
        theirs = client.get_refs(path.encode()).refs.get(repository.branch)
        if theirs is None or theirs == repository.head:
            return False
        store = repository.repo.object_store
        if theirs not in store:
            wanted: ObjectID = theirs
            client.fetch(path, repository.repo, determine_wants=lambda refs, depth=None: [wanted])
        if repository.head is not None and not can_fast_forward(repository.repo, repository.head, theirs):
            return False
        repository.follow(theirs)
        return True


def push(remote: Remote, repository: Repository) -> bool:
    """Push what the remote lacks, never by force; whether there was anything. RemoteError when it did not take it."""
    head, branch = repository.head, repository.branch
    if head is None:
        return False
    repo = repository.repo

    def wanted(refs: dict[Ref, ObjectID]) -> dict[Ref, ObjectID]:
        theirs = refs.get(branch)
        if theirs == head:
            return {}
        if theirs and theirs != ZERO_SHA and not (theirs in repo.object_store and can_fast_forward(repo, theirs, head)):
            raise RemoteError(
                f"{_named(remote)} has commits on {branch.decode()} that are not of this export, and nothing is "
                "forced. Give the export a repository of its own, or move the folder away to go on with theirs."
            )
        return {branch: head}

    def pack(have: Any, want: Any, **options: Any) -> Any:
        return repo.generate_pack_data(have, want, **options)

    with _in_words(remote):
        client, path = _client(remote)
        result = client.send_pack(path.encode(), wanted, pack)
        for name, said in (result.ref_status or {}).items():
            if said is not None:
                raise RemoteError(f"{_named(remote)} refused {os.fsdecode(name)}: {_printable(said)}")
        return bool(result.refs)


# --- connecting -----------------------------------------------------------------------------------------------
def _client(remote: Remote) -> tuple[GitClient, str]:
    """A client for the remote and the path there; BadRemote."""
    url = _split(remote.url)
    if url.password:
        raise BadRemote(
            "The address of the remote holds a password, which would be shown: "
            "put it into a file and name that in NETRAVEN_GIT_TOKEN_FILE."
        )
    if url.scheme in {"https", "http"}:
        return _http(remote, url), remote.url
    if url.scheme == "ssh":
        key = remote.ssh_key
        if key is None:
            raise BadRemote("A remote over ssh needs NETRAVEN_GIT_SSH_KEY, the file of a private key.")
        _secret_file(key, "NETRAVEN_GIT_SSH_KEY")
        vendor = _Ssh(key, remote.known_hosts or Path("~/.ssh/known_hosts").expanduser())
        host = url.hostname or ""
        return SSHGitClient(host, port=url.port, username=url.username or remote.user, vendor=vendor), url.path
    if url.scheme == "file":
        return LocalGitClient(), url.path
    raise BadRemote("The address of a remote begins with https://, ssh:// or file://, or is user@host:path.")


def _split(address: str) -> SplitResult:
    if "://" not in address:
        found = _SCP.match(address)
        if found:
            return SplitResult("ssh", f"{found['user'] or 'git'}@{found['host']}", found["path"], "", "")
        if address.startswith("/"):
            return SplitResult("file", "", address, "", "")
    try:
        url = urlsplit(address)
        _ = url.port
    except ValueError as error:
        raise BadRemote(f"The address of the remote cannot be read: {error}.") from None
    return url


def _http(remote: Remote, url: SplitResult) -> GitClient:
    if remote.token_file is None:
        return Urllib3HttpGitClient(remote.url, timeout=_TIMEOUT_S)
    if url.scheme != "https" and url.hostname not in _LOOPBACK:
        raise BadRemote("A token is sent over https:// alone, not over http://.")
    token = _secret_file(remote.token_file, "NETRAVEN_GIT_TOKEN_FILE").decode("utf-8", "replace").strip()
    if not token or "\n" in token:
        raise BadRemote(f"NETRAVEN_GIT_TOKEN_FILE: {remote.token_file} is to hold the token and nothing else.")
    return Urllib3HttpGitClient(remote.url, username=url.username or remote.user, password=token, timeout=_TIMEOUT_S)


def _secret_file(path: Path, setting: str) -> bytes:
    try:
        if path.stat().st_mode & (stat.S_IRWXO | stat.S_IWGRP):
            raise BadRemote(f"{setting}: others may read {path}. Take that from them: chmod 600 {path}")
        return path.read_bytes()
    except OSError as error:
        raise BadRemote(f"{setting}: {path} cannot be read ({error.strerror}).") from None


class _Ssh(SSHVendor):
    """An ssh session with a key file, to a server whose key is known: no agent, no password, no first contact."""

    def __init__(self, key: Path, known_hosts: Path) -> None:
        self._key = key
        self._known_hosts = known_hosts

    def run_command(
        self,
        host: str,
        command: bytes,
        username: str | None = None,
        port: int | None = None,
        password: str | None = None,
        key_filename: str | None = None,
        ssh_command: str | None = None,
        protocol_version: int | None = None,
    ) -> SubprocessWrapper:
        """Start the command there."""
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        with suppress(FileNotFoundError):
            client.load_host_keys(os.fspath(self._known_hosts))
        client.connect(
            host,
            port=port or 22,
            username=username,
            pkey=_private_key(self._key),
            allow_agent=False,
            look_for_keys=False,
            timeout=_CONNECT_S,
            banner_timeout=_CONNECT_S,
            auth_timeout=_CONNECT_S,
        )
        transport = client.get_transport()
        assert transport is not None
        channel = transport.open_session(timeout=_CONNECT_S)
        channel.settimeout(_TIMEOUT_S)
        channel.exec_command(command)
        return cast(SubprocessWrapper, _Channel(client, channel))


class _Channel:
    """A channel as dulwich wants a process."""

    def __init__(self, client: paramiko.SSHClient, channel: paramiko.Channel) -> None:
        self._client = client
        self._channel = channel
        self.stderr = channel.makefile_stderr("rb")

    def read(self, size: int) -> bytes:
        """So many bytes, fewer at the end alone."""
        parts = []
        while size > 0 and (part := self._channel.recv(size)):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def write(self, data: bytes) -> int:
        """All of it."""
        self._channel.sendall(data)
        return len(data)

    def can_read(self) -> bool:
        """Whether reading would not wait."""
        return bool(self._channel.recv_ready())

    def close(self, timeout: float | None = None) -> None:
        """End the session."""
        self._client.close()


def _private_key(path: Path) -> paramiko.PKey:
    try:
        return paramiko.PKey.from_path(path)
    except (paramiko.SSHException, ValueError, TypeError):
        raise BadRemote(
            f"NETRAVEN_GIT_SSH_KEY: {path} is no private key that can be used, or has a passphrase."
        ) from None


# --- words -------------------------------------------------------------------------------------------------------
@contextmanager
def _in_words(remote: Remote) -> Iterator[None]:
    """What goes wrong on the way, as a RemoteError whose text says what to do."""
    try:
        yield
    except (HTTPUnauthorized, paramiko.AuthenticationException):
        raise RemoteError(f"{_named(remote)} did not accept the login: look at the token or the key.") from None
    except paramiko.BadHostKeyException:
        raise RemoteError(f"{_named(remote)} shows another host key than the known one: nothing was sent.") from None
    except NotGitRepository:
        raise RemoteError(f"{_named(remote)} is not there, or this login may not see it.") from None
    except paramiko.SSHException as error:
        hint = " Add its key to the known hosts." if "not found in known_hosts" in str(error) else ""
        raise RemoteError(f"{_named(remote)} cannot be reached: {_printable(str(error))}.{hint}") from None
    except (GitProtocolError, TimeoutError, socket.gaierror, OSError) as error:
        raise RemoteError(
            f"{_named(remote)} cannot be reached: {_printable(str(error)) or type(error).__name__}"
        ) from None


def _named(remote: Remote) -> str:
    return f"The remote {remote.url}"


def _printable(text: str) -> str:
    """What a server said, in one line that can move no cursor."""
    return "".join(c if c.isprintable() else " " for c in text)[:_SAID].strip()
