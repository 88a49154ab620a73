"""The head of the trail, written down where who can write to the database cannot: a file, syslog, a webhook.

A chain alone does not show that its end was cut off. An anchor says how far it had come, and with which mac.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import socket
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from logging.handlers import SysLogHandler
from pathlib import Path
from typing import Final

from django.conf import settings
from django.utils import timezone

from credentials.audit import trail
from credentials.audit.chain import Chain, instant, same

logger = logging.getLogger("netraven.audit")

_TIMEOUT_S: Final = 3.0
_LONGEST_LINE: Final = 4_000
_TAIL_BYTES: Final = 16_384


@dataclass(frozen=True)
class Anchor:
    """How far the trail had come at a time, and the mac of that row."""

    id: int
    mac: str
    at: str
    host: str
    seal: str = ""
    missed: tuple[str, ...] = ()
    """Where it could not be sent: it is tried again."""

    @property
    def said(self) -> str:
        """What the seal is over."""
        return f"{self.id} {self.mac} {self.at} {self.host}"


@dataclass(frozen=True)
class Line:
    """One line of a file of anchors; `anchor` is None where it is none of ours."""

    number: int
    anchor: Anchor | None


def anchor_if_due() -> Anchor | None:
    """Write the head down when the last anchor is older than NETRAVEN_AUDIT_ANCHOR_S and something came since.

    A file that cannot be written is said in the log, in one line: this is called every few seconds.
    """
    try:
        return write(timedelta(seconds=settings.NETRAVEN_AUDIT_ANCHOR_S))
    except OSError as error:
        where = settings.NETRAVEN_AUDIT_ANCHOR_FILE
        logger.error("The audit trail cannot be anchored in %s (%s): let this user write there.", where, error.strerror)
        return None


def write(after: timedelta = timedelta(0)) -> Anchor | None:
    """Write the head down, in the file with fsync, and wherever else the settings say; None when nothing is new.

    Raises OSError when the file cannot be written. A syslog server or webhook that does not answer is logged and
    tried again with the next anchor.
    """
    path = Path(settings.NETRAVEN_AUDIT_ANCHOR_FILE)
    with _alone(path) as descriptor:
        now, last = timezone.now(), _last(path)
        if last is not None and abs(now - datetime.fromisoformat(f"{last.at}+00:00")) < after:
            return None
        number, mac = trail.head()
        if number == 0 or (last is not None and (last.id, last.mac) == (number, mac) and not last.missed):
            return None
        bare = Anchor(number, mac, instant(now), socket.gethostname()[:100])
        sealed = Anchor(bare.id, bare.mac, bare.at, bare.host, Chain().seal_anchor(bare.said))
        missed = tuple(name for name, send in _elsewhere() if not _sent(name, send, sealed))
        found = Anchor(sealed.id, sealed.mac, sealed.at, sealed.host, sealed.seal, missed)
        # A line that was cut short by a full disk stays alone on its line.
        text = _text(found) + "\n"
        if (size := os.fstat(descriptor).st_size) and os.pread(descriptor, 1, size - 1) != b"\n":
            text = "\n" + text
        os.write(descriptor, text.encode("ascii"))
        os.fsync(descriptor)
    return found


def read(path: Path) -> list[Line]:
    """The lines of a file of anchors, also from a log in which something stands before each. Raises OSError."""
    with path.open(encoding="utf-8", errors="replace") as file:
        return list(parse(file))


def parse(lines: Iterable[str]) -> Iterator[Line]:
    """Each line that holds something; forged and damaged ones without an anchor."""
    chain = Chain()
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield Line(number, _parsed(line[line.find("{") :], chain) if "{" in line else None)


def own_lines() -> list[Line]:
    """The lines of this instance's own file; none before the first anchor. Raises OSError."""
    path = Path(settings.NETRAVEN_AUDIT_ANCHOR_FILE)
    return read(path) if path.exists() else []


def _parsed(text: str, chain: Chain) -> Anchor | None:
    try:
        found = json.loads(text[:_LONGEST_LINE])
        anchor = Anchor(**{**found, "missed": tuple(found.get("missed", ()))})
        datetime.fromisoformat(anchor.at)
        genuine = isinstance(anchor.id, int) and same(anchor.seal, chain.seal_anchor(anchor.said))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None
    return anchor if genuine else None


def _last(path: Path) -> Anchor | None:
    with path.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
        tail = file.read().decode("utf-8", "replace").splitlines()
    found = [line.anchor for line in parse(tail) if line.anchor is not None]
    return found[-1] if found else None


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[int]:
    """The file, open for adding lines, and locked: the processes of a host write one after the other."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _text(anchor: Anchor) -> str:
    return json.dumps({name: value for name, value in asdict(anchor).items() if name != "missed" or value})


# --- elsewhere --------------------------------------------------------------------------------------------

_Send = Callable[[str], None]


def _elsewhere() -> Iterator[tuple[str, _Send]]:
    if settings.NETRAVEN_AUDIT_ANCHOR_SYSLOG:
        yield "syslog", _to_syslog
    if settings.NETRAVEN_AUDIT_ANCHOR_WEBHOOK:
        yield "webhook", _to_webhook


def _sent(name: str, send: _Send, anchor: Anchor) -> bool:
    try:
        send(_text(anchor))
    except OSError as error:
        # The address of a webhook may hold a token: the kind of trouble is said, not the address.
        reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
        logger.error("The anchor of the audit trail did not reach the %s (%s); it is tried again.", name, reason)
        return False
    return True


def _to_syslog(text: str) -> None:
    where: str = settings.NETRAVEN_AUDIT_ANCHOR_SYSLOG
    host, _, port = where.rpartition(":")
    address = where if where.startswith("/") else (host or where, int(port) if host else 514)
    handler = SysLogHandler(address=address, facility=SysLogHandler.LOG_AUTHPRIV)
    handler.ident = "netraven-audit: "
    handler.handleError = _raise_it  # type: ignore[method-assign]
    try:
        handler.emit(logging.LogRecord("netraven.audit", logging.INFO, "", 0, text, None, None))
    finally:
        handler.close()


def _raise_it(record: logging.LogRecord) -> None:
    raise


def _to_webhook(text: str) -> None:
    request = urllib.request.Request(  # noqa: S310 - the settings allow http and https alone
        settings.NETRAVEN_AUDIT_ANCHOR_WEBHOOK,
        data=text.encode("ascii"),
        headers={"Content-Type": "application/json", "User-Agent": "NetRaven"},
    )
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - as above
        answer.read(1_000)
