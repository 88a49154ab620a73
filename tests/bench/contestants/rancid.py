"""RANCID as Debian packages it: its own collector for Cisco, run by its own `rancid_par`.

Left out, in its favour: the version control and the mail that follow a collection.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import tempfile
from pathlib import Path

from tests.bench.contestants import stage

_PR_SET_CHILD_SUBREAPER = 36
_PROGRAMS = "/usr/lib/rancid/bin"
_LOGINRC = """\
add user * {username}
add password * {{{password}}} {{{password}}}
add method * {{ssh:{port}}}
add autoenable * 1
add sshcmd * {{ssh\\ -F\\ none\\ -o\\ StrictHostKeyChecking=accept-new\\ -o\\ UserKnownHostsFile={known}}}
"""


def _prepare(order: stage.Order, home: Path) -> None:
    login = _LOGINRC.format(
        username=order.username, password=order.passwords[0], port=order.devices[0].port, known=home / "known_hosts"
    )
    path = home / ".cloginrc"
    path.touch(0o600)
    path.write_text(login)
    (home / "routers.up").write_text("".join(f"{each.host};cisco\n" for each in order.devices))


def _fetch(order: stage.Order, home: Path) -> dict[int, str]:
    # What outlives its parent comes here, so that its CPU is counted as well.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    env = {
        "HOME": str(home),
        "BASEDIR": str(home),
        "TMPDIR": str(home),
        "PATH": f"{_PROGRAMS}:/usr/bin:/bin",
        "PERL5LIB": "/usr/share/perl5/rancid",
        "TERM": "network",
        "LC_COLLATE": "POSIX",
        # Its filters would take lines out that are to be found again.
        "FILTER_PWDS": "NO",
        "FILTER_OSC": "NO",
        "NOCOMMSTR": "NO",
    }
    command = ["rancid_par", "-q", "-n", str(order.sessions), "-c", 'rancid-fe "{}"', "routers.up"]
    subprocess.run(command, cwd=home, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False)
    _reap()
    found = {}
    for device in order.devices:
        kept = home / f"{device.host}.new"
        if kept.exists():
            found[device.number] = kept.read_text()
    return found


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def main() -> None:
    """Fetch when told to."""
    order = stage.receive()
    with tempfile.TemporaryDirectory(dir=order.out.parent) as folder:
        _prepare(order, Path(folder))
        stage.perform(order, lambda: _fetch(order, Path(folder)))


if __name__ == "__main__":
    main()
