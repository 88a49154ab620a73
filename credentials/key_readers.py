"""Who reads the keyring: each part of each host says which keys it can read, so that none is activated too early.

The web server's processes and the task clusters report by themselves, from a thread that looks at the keyring
every two seconds: at once when it has changed, and otherwise as a sign of life.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db import Error as DatabaseFailure
from django.db import connections, models
from django.utils import timezone

from credentials import keyring
from credentials.exceptions import KeyringError

logger = logging.getLogger(__name__)

LIVE_FOR = timedelta(seconds=60)
"""A reader that was heard of within this time is live."""
FORGOTTEN_AFTER = timedelta(days=1)
_LOOK_EVERY_S = 2.0
_SIGN_EVERY_S = 20.0


class KeyReader(models.Model):
    """What one part of one host last said about the keys that it can read."""

    host = models.CharField(max_length=100)
    part = models.CharField(max_length=20, help_text="web or worker")
    keys = models.JSONField(default=list, help_text="ids of the keys that it can read")
    active = models.CharField(max_length=40, blank=True, help_text="id of the key that it seals with")
    trouble = models.CharField(max_length=400, blank=True, help_text="why it cannot use its keyring")
    at = models.DateTimeField()

    class Meta:
        verbose_name = "encryption key"
        ordering = ["host", "part"]
        permissions = [("manage_keys", "Can manage the encryption keys")]
        constraints = [models.UniqueConstraint(fields=["host", "part"], name="key_reader_once")]

    def __str__(self) -> str:
        return f"{self.part} on {self.host}"

    @property
    def is_live(self) -> bool:
        """Whether it gave a sign of life a moment ago."""
        return abs(timezone.now() - self.at) <= LIVE_FOR


def report(host: str, part: str) -> None:
    """Write down what this process can read now, and forget who has not been heard of for a day."""
    said = _look()
    now = timezone.now()
    KeyReader.objects.update_or_create(
        host=host,
        part=part,
        defaults={"keys": list(said.keys), "active": said.active, "trouble": said.trouble[:400], "at": now},
    )
    KeyReader.objects.filter(at__lt=now - FORGOTTEN_AFTER).delete()


def report_from_now_on(host: str, part: str) -> threading.Thread:
    """Report from a thread for as long as this process lives; start it after the last fork."""
    thread = threading.Thread(target=_report_for_ever, args=(host, part), name="key reader", daemon=True)
    thread.start()
    return thread


def unable_to_read(key_id: str) -> tuple[list[KeyReader], list[KeyReader]]:
    """Readers that did not say that they can read a key: the live ones, and those that fell silent."""
    without = [each for each in KeyReader.objects.all() if key_id not in each.keys or each.trouble]
    return [each for each in without if each.is_live], [each for each in without if not each.is_live]


def sealing_with_others(key_id: str) -> list[KeyReader]:
    """Live readers that would seal with another key than this one."""
    return [each for each in KeyReader.objects.exclude(active=key_id) if each.is_live]


def named(readers: Sequence[KeyReader]) -> str:
    """Readers in words: `web on a, worker on b`."""
    return ", ".join(str(each) for each in readers)


@dataclass(frozen=True)
class _Said:
    keys: tuple[str, ...] = ()
    active: str = ""
    trouble: str = ""


def _look() -> _Said:
    try:
        ring = keyring.current()
        ring.refresh()
        return _Said(ring.ids, ring.active_id, str(ring.trouble or ""))
    except KeyringError as error:
        return _Said(trouble=str(error))


def _report_for_ever(host: str, part: str) -> None:
    said: _Said | None = None
    due = 0.0
    can_report = True
    while True:
        now = _look()
        if now != said or time.monotonic() >= due:
            try:
                report(host, part)
                said, due, can_report = now, time.monotonic() + _SIGN_EVERY_S, True
            except DatabaseFailure as error:
                if can_report:
                    logger.warning("It cannot be reported which keys this host reads: %s", error)
                can_report = False
            finally:
                connections.close_all()
        time.sleep(_LOOK_EVERY_S)
