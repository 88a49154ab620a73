"""A real OpenSSH server on loopback, with host keys, users and keys of its own."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.netraven_site.instance import free_port, wait_until

MISSING = (
    "These tests need OpenSSH's server and client, and {} is not installed: "
    "apt-get install openssh-server openssh-client"
)


def tool(name: str) -> str:
    """The path of a program of OpenSSH; AssertionError that names the package where it is missing."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin")
    assert found is not None, MISSING.format(name)
    return found


@dataclass
class OpenSSH:
    """A running sshd. `log` says whom it admitted and whom not."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """Everything that the server has said."""
        return (self.folder / "sshd.log").read_text(errors="replace")

    def answers_to(self, user: str) -> list[str]:
        """`Accepted <method>` or `Failed <method>` for each secret of a user, in order."""
        return [
            " ".join(words[:2])
            for line in self.log.splitlines()
            if (words := line.split())[:1] in (["Accepted"], ["Failed"]) and user in words and "none" not in words
        ]

    def start(self) -> None:
        """Start it with the host key of the moment."""
        with open(self.folder / "sshd.log", "ab") as log:
            self.process = subprocess.Popen(
                [tool("sshd"), "-D", "-e", "-f", str(self.folder / "sshd_config")], stdout=log, stderr=log
            )
        wait_until(self._accepts, 20, f"OpenSSH on port {self.port}: {self.log}")

    def _accepts(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        """Stop it."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None

    def new_host_key(self) -> None:
        """Another host key from the next start on."""
        for path in self.folder.glob("host_key*"):
            path.unlink()
        make_key(self.folder / "host_key")


def make_key(path: Path, passphrase: str = "") -> Path:
    """An Ed25519 key pair."""
    subprocess.run([tool("ssh-keygen"), "-q", "-t", "ed25519", "-N", passphrase, "-f", str(path)], check=True)
    return path


@contextmanager
def openssh(folder: Path, authorized: Path | None = None) -> Iterator[OpenSSH]:
    """A server for the time of a block; who has the key pair `authorized` may log in as the current user."""
    server = OpenSSH(folder, free_port())
    server.new_host_key()
    keys = folder / "authorized_keys"
    keys.write_text(authorized.with_suffix(".pub").read_text() if authorized else "")
    lines = [
        f"Port {server.port}",
        "ListenAddress 127.0.0.1",
        f"HostKey {folder / 'host_key'}",
        f"AuthorizedKeysFile {keys}",
        "PidFile none",
        "StrictModes no",
        "UsePAM no",
        "PasswordAuthentication yes",
        "PermitRootLogin prohibit-password",
        "PrintMotd no",
        "LogLevel VERBOSE",
    ]
    (folder / "sshd_config").write_text("\n".join(lines) + "\n")
    if os.geteuid() == 0:
        # Where sshd puts its unprivileged half; Debian makes it when the service starts.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def system_user(password: str) -> Iterator[str]:
    """A user of this machine with this password, for the time of a block. Needs root."""
    name = f"nrtest{secrets.token_hex(4)}"
    subprocess.run(["useradd", "--create-home", "--shell", "/bin/bash", name], check=True, capture_output=True)
    try:
        subprocess.run(["chpasswd"], input=f"{name}:{password}\n".encode(), check=True, capture_output=True)
        yield name
    finally:
        subprocess.run(["userdel", "--remove", "--force", name], check=False, capture_output=True)


def current_user() -> str:
    """Who runs the tests."""
    return pwd.getpwuid(os.geteuid()).pw_name
