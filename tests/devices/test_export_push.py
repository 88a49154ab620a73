"""Pushing exports: to a folder, over HTTP with a token, over SSH with a key; and what becomes of a push that fails."""

from __future__ import annotations

import base64
import getpass
import logging
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from dulwich.repo import Repo

from devices.configs.export.remote import BadRemote, Remote
from devices.configs.export.target import ExportError
from tests.devices.exported import commits_of, export_to, files_of, git, keep
from tests.e2e.openssh import make_key, openssh

pytestmark = pytest.mark.django_db
TOKEN = "glpat-9Zk2QxWvR7"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "configs"


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """An empty repository on the other side."""
    path = tmp_path / "shelf.git"
    Repo.init_bare(str(path), mkdir=True, default_branch=b"main").close()
    return path


def private(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_a_run_is_pushed(folder, shelf):
    keep("core1")
    remote = Remote(shelf.as_uri())
    assert export_to(folder, remote=remote).pushed is True
    assert files_of(shelf) == ["ams/core1"]
    assert export_to(folder, remote=remote).pushed is False
    keep("core1", "changed")
    assert export_to(folder, remote=remote).pushed is True
    assert git(shelf, "rev-parse", "main") == git(folder, "rev-parse", "HEAD")
    git(shelf, "fsck", "--strict")


def test_what_could_not_be_pushed_is_pushed_by_the_next_export(folder, shelf, tmp_path):
    keep("core1")
    remote = Remote(shelf.as_uri())
    away = shelf.rename(tmp_path / "away")
    with pytest.raises(ExportError, match=r"is not there.* Commit [0-9a-f]{12} is in .* next export pushes what"):
        export_to(folder, remote=remote)
    assert commits_of(folder) == 1
    away.rename(shelf)
    report = export_to(folder, remote=remote)
    assert (report.commit, report.pushed) == ("", True)
    assert files_of(shelf) == ["ams/core1"]


def test_history_that_is_not_ours_is_never_overwritten(folder, shelf, tmp_path):
    keep("core1")
    remote = Remote(shelf.as_uri())
    export_to(folder, remote=remote)
    export_to(tmp_path / "other", remote=remote)
    keep("core1", "one")
    export_to(folder)
    keep("core1", "two")
    export_to(tmp_path / "other", remote=remote)
    theirs = git(shelf, "rev-parse", "main")
    with pytest.raises(ExportError, match="commits on refs/heads/main that are not of this export"):
        export_to(folder, remote=remote)
    assert git(shelf, "rev-parse", "main") == theirs


def test_a_new_folder_goes_on_with_the_history_of_the_remote(folder, shelf, tmp_path):
    keep("core1")
    remote = Remote(shelf.as_uri())
    export_to(folder, remote=remote)
    keep("core1", "changed")
    report = export_to(tmp_path / "second", remote=remote)
    assert (report.followed, report.pushed, report.changed) == (True, True, ["core1"])
    assert commits_of(shelf) == 2
    assert git(tmp_path / "second", "status", "--porcelain") == ""
    # And the first folder follows in its turn.
    keep("core2")
    assert export_to(folder, remote=remote).new == ["core2"]
    assert commits_of(shelf) == 3
    assert git(folder, "status", "--porcelain") == ""


# --- over HTTP ---------------------------------------------------------------------------------------
class _Smart(BaseHTTPRequestHandler):
    """Git's own server for HTTP, for those who show the token."""

    shelves: Path
    token: str

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        body = b""
        if self.headers.get("Transfer-Encoding") == "chunked":
            while length := int(self.rfile.readline(), 16):
                body += self.rfile.read(length)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        self._serve(body)

    def _serve(self, body: bytes) -> None:
        wanted = "Basic " + base64.b64encode(f"git:{self.token}".encode()).decode()
        if self.headers.get("Authorization") != wanted:
            self.send_response(401)
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        values = {
            "PATH": "/usr/bin:/bin",
            "HOME": "/nowhere",
            "GIT_PROJECT_ROOT": str(self.shelves),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_USER": "git",
        }
        done = subprocess.run(["git", "http-backend"], input=body, capture_output=True, env=values, check=True)
        head, _, answer = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args: object) -> None:
        """Nothing."""


@contextmanager
def web(shelf: Path, token: str) -> Iterator[str]:
    """A server for the repository that wants the token."""
    git(shelf, "config", "http.receivepack", "true")
    handler = type("Handler", (_Smart,), {"shelves": shelf.parent, "token": token})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/shelf.git"
    finally:
        server.shutdown()
        server.server_close()


def test_a_token_opens_a_remote_over_http_and_is_shown_nowhere(folder, shelf, tmp_path, caplog):
    keep("core1")
    caplog.set_level(logging.DEBUG)
    with web(shelf, TOKEN) as url:
        remote = Remote(url, token_file=private(tmp_path / "token", f"{TOKEN}\n"))
        assert export_to(folder, remote=remote).pushed is True
    assert files_of(shelf) == ["ams/core1"]
    assert TOKEN not in caplog.text
    assert TOKEN not in "".join(each.read_text(errors="replace") for each in folder.rglob("*") if each.is_file())


def test_a_wrong_token_is_said_without_showing_it(folder, shelf, tmp_path):
    keep("core1")
    with web(shelf, "another") as url:
        remote = Remote(url, token_file=private(tmp_path / "token", TOKEN))
        with pytest.raises(ExportError, match="did not accept the login") as refused:
            export_to(folder, remote=remote)
    assert TOKEN not in str(refused.value)


def test_a_server_that_is_down_is_said(folder, tmp_path):
    keep("core1")
    with pytest.raises(ExportError, match="cannot be reached"):
        export_to(folder, remote=Remote("http://127.0.0.1:1/shelf.git"))
    assert commits_of(folder) == 1


# --- over SSH ----------------------------------------------------------------------------------------
def test_a_key_opens_a_remote_over_ssh_whose_host_key_is_known(folder, shelf, tmp_path):
    keep("core1")
    key = make_key(tmp_path / "id")
    hosts = tmp_path / "known_hosts"
    (tmp_path / "sshd").mkdir()
    with openssh(tmp_path / "sshd", key) as server:
        url = f"ssh://{getpass.getuser()}@127.0.0.1:{server.port}{shelf}"
        remote = Remote(url, ssh_key=key, known_hosts=hosts)
        with pytest.raises(ExportError, match="Add its key to the known hosts"):
            export_to(folder, remote=remote)
        assert "Accepted" not in server.log
        shown = (tmp_path / "sshd/host_key.pub").read_text().split()
        hosts.write_text(f"[127.0.0.1]:{server.port} {shown[0]} {shown[1]}\n")
        assert export_to(folder, remote=remote).pushed is True
        keep("core1", "changed")
        assert export_to(folder, remote=remote).pushed is True
        stranger = Remote(url, ssh_key=make_key(tmp_path / "other"), known_hosts=hosts)
        with pytest.raises(ExportError, match="did not accept the login"):
            export_to(folder, remote=stranger)
    assert commits_of(shelf) == 2


# --- settings ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://me:hunter2@git.example.net/a.git", "holds a password"),
        ("git://git.example.net/a.git", "begins with https"),
        ("ssh://git@git.example.net/a.git", "NETRAVEN_GIT_SSH_KEY"),
        ("git@git.example.net:a.git", "NETRAVEN_GIT_SSH_KEY"),
        ("--upload-pack=touch", "begins with https"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_before_anything_is_done(url, said):
    with pytest.raises(BadRemote, match=said) as refused:
        Remote(url).check()
    assert "hunter2" not in str(refused.value)


def test_a_token_is_sent_over_https_alone(tmp_path):
    with pytest.raises(BadRemote, match="over https:// alone"):
        Remote("http://git.example.net/a.git", token_file=private(tmp_path / "token", TOKEN)).check()


def test_a_token_that_others_may_read_is_refused(tmp_path):
    path = private(tmp_path / "token", TOKEN)
    path.chmod(0o644)
    with pytest.raises(BadRemote, match="chmod 600"):
        Remote("https://git.example.net/a.git", token_file=path).check()


def test_a_key_with_a_passphrase_is_said_to_have_one(folder, tmp_path):
    keep("core1")
    key = make_key(tmp_path / "id", passphrase="twelve words")
    with pytest.raises((ExportError, BadRemote), match="has a passphrase"):
        export_to(folder, remote=Remote("ssh://git@127.0.0.1:1/a.git", ssh_key=key))


def test_git_itself_clones_what_was_pushed(folder, shelf, tmp_path):
    keep("core1")
    export_to(folder, bare=True, remote=Remote(str(shelf)))
    subprocess.run(["git", "clone", "-q", str(shelf), str(tmp_path / "clone")], check=True)
    assert (tmp_path / "clone/ams/core1").read_text().startswith("hostname core1\n")
