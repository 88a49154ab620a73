"""Host keys that people bring along: pins from a known_hosts file."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from django.db import transaction
from django.utils import timezone

from credentials import audit
from devices.choices import HostKeyState, Transport
from devices.connector.target import HostKeyData
from devices.models import Device, HostKey

if TYPE_CHECKING:
    from datetime import datetime

    from django.contrib.auth.models import User

MAX_BYTES = 16 * 1024 * 1024
KEY_TYPES = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")
_HASHED = "|1|"
# A hashed name fits every device until it is compared with it: two microseconds each.
_MOST_COMPARED = 10_000_000


class KnownHostsError(ValueError):
    """The file as a whole is of no use; the message is for the operator."""


class Action(StrEnum):
    """What became of one key for one device."""

    PINNED = "pinned"
    UNCHANGED = "unchanged"
    CONFLICT = "conflict"


@dataclass(frozen=True)
class KeyReport:
    """One key of the file for one device; `line` is its line in the file, `detail` says why not, if so."""

    line: int
    device: str
    key_type: str
    fingerprint: str
    action: Action
    detail: str = ""


@dataclass(frozen=True)
class LineReport:
    """A line that led to nothing, and why."""

    line: int
    detail: str


@dataclass
class KnownHostsReport:
    """What an import did: keys by device, lines whose hosts are no device, lines that are not understood."""

    keys: list[KeyReport] = field(default_factory=list)
    unmatched: list[LineReport] = field(default_factory=list)
    ignored: list[LineReport] = field(default_factory=list)

    def count(self, action: Action) -> int:
        """How many keys ended so."""
        return sum(key.action == action for key in self.keys)


@dataclass(frozen=True)
class _Entry:
    """One line: the names that it is for, as written, and its key."""

    line: int
    names: tuple[str, ...]
    key: HostKeyData


def import_known_hosts(data: bytes, user: User | None, *, dry_run: bool = False) -> KnownHostsReport:
    """Pin the keys of a known_hosts file for the devices whose address and port they are for.

    What is pinned stays: another key of the same type is a conflict, and so is one that a person retired.
    One transaction; with `dry_run` nothing is written. Raises KnownHostsError when the file holds nothing of
    the kind.
    """
    report = KnownHostsReport()
    entries = list(_entries(data, report))
    if not entries and (report.ignored or not data.strip()):
        why = f" Line {report.ignored[0].line}: {report.ignored[0].detail}" if report.ignored else ""
        raise KnownHostsError(f"This file holds no host key.{why}")
    # Hashed names are compared with every device, which may take a while: before anything is locked.
    wanted, known_as = _by_device(entries, report)
    with transaction.atomic():
        # The rows of the devices serialise this with a first contact at the same moment.
        devices = Device.objects.select_for_update().filter(pk__in=wanted).only("name", "host", "port").order_by("pk")
        # One that was deleted or moved to another address meanwhile is not the one that the file is about.
        names = {each.pk: each.name for each in devices if _known_as(each) == known_as[each.pk]}
        _Pins({pk: wanted[pk] for pk in names}, names, user, timezone.now()).write(report)
        if dry_run:
            transaction.set_rollback(True)
    report.keys.sort(key=lambda key: (key.line, key.device))
    return report


# --- reading ----------------------------------------------------------------------------------------------


def _entries(data: bytes, report: KnownHostsReport) -> Iterator[_Entry]:
    if len(data) > MAX_BYTES:
        raise KnownHostsError(f"The file has more than {MAX_BYTES // 1024 // 1024} MiB.")
    for number, raw in enumerate(data.splitlines(), start=1):
        words = raw.decode("utf-8", "replace").split()
        if not words or words[0].startswith("#"):
            continue
        if words[0].startswith("@"):
            report.ignored.append(LineReport(number, f"{words[0]} lines pin no key of a device."))
            continue
        if len(words) < 3:
            report.ignored.append(LineReport(number, "A line has hosts, a key type and a key."))
            continue
        try:
            key = _key(words[1], words[2])
        except ValueError as error:
            report.ignored.append(LineReport(number, str(error)))
            continue
        names = words[0].lower().split(",") if not words[0].startswith("|") else [words[0]]
        if any(set(name) & set("*?!") for name in names):
            report.ignored.append(LineReport(number, "Patterns pin no key: a key belongs to one device."))
            continue
        yield _Entry(number, tuple(names), key)


def _key(key_type: str, text: str) -> HostKeyData:
    """A public key, checked. Raises ValueError in words."""
    if key_type not in KEY_TYPES:
        raise ValueError(f"Keys of the type {key_type[:40]} are not used.")
    try:
        raw = base64.b64decode(text, validate=True)
        # The key names its own type, and must be what the line says.
        if raw[4 : 4 + int.from_bytes(raw[:4], "big")] != key_type.encode():
            raise ValueError
        load_ssh_public_key(f"{key_type} {text}".encode())
    except (ValueError, binascii.Error, UnsupportedAlgorithm):
        raise ValueError(f"This is no valid key of the type {key_type}.") from None
    return HostKeyData(key_type, base64.b64encode(raw).decode())


def _known_as(device: Device) -> str:
    """The name under which OpenSSH keeps a device: its address, with the port where it is not 22."""
    host = device.host.lower()
    return host if device.port == 22 else f"[{host}]:{device.port}"


def _made_of(hashed: str, names: Iterable[bytes]) -> bytes | None:
    """The name that `|1|salt|hash` was made of, if it is among these."""
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in hashed[len(_HASHED) :].split("|"))
    except (ValueError, binascii.Error):
        return None
    return next((name for name in names if hmac.digest(salt, name, "sha1") == digest), None)


def _by_device(entries: Iterable[_Entry], report: KnownHostsReport) -> tuple[dict[int, list[_Entry]], dict[int, str]]:
    """The entries that are for each device and the name under which they are, by its id; notes those for none."""
    devices: dict[str, list[int]] = defaultdict(list)
    known_as: dict[int, str] = {}
    for device in Device.objects.exclude(transport=Transport.TELNET).only("host", "port"):
        known_as[device.pk] = _known_as(device)
        devices[known_as[device.pk]].append(device.pk)
    encoded = [name.encode() for name in devices]
    found_entries = list(entries)
    hashed = sum(name.startswith(_HASHED) for entry in found_entries for name in entry.names)
    if hashed * len(encoded) > _MOST_COMPARED:
        raise KnownHostsError(
            f"{hashed:,} hashed names are too many to be compared with {len(encoded):,} devices: "
            "import the file in parts, or what ssh-keyscan prints."
        )
    wanted: dict[int, list[_Entry]] = defaultdict(list)
    for entry in found_entries:
        found: set[int] = set()
        for name in entry.names:
            if name.startswith(_HASHED):
                known = _made_of(name, encoded)
                found.update(devices[known.decode()] if known is not None else ())
            else:
                # OpenSSH also understands [host]:22, and writes it nowhere.
                found.update(devices.get(name.removeprefix("[").removesuffix("]:22"), ()))
                found.update(devices.get(name, ()))
        for pk in found:
            wanted[pk].append(entry)
        if not found:
            report.unmatched.append(LineReport(entry.line, _shown(entry.names)))
    return wanted, known_as


def _shown(names: tuple[str, ...]) -> str:
    return "hashed name" if names[0].startswith("|") else ", ".join(names)[:100]


# --- pinning ----------------------------------------------------------------------------------------------


class _Pins:
    """The keys that are known of some devices, and what the file adds to them."""

    def __init__(
        self, wanted: dict[int, list[_Entry]], names: dict[int, str], user: User | None, now: datetime
    ) -> None:
        self._wanted = wanted
        self._names = names
        self._user = user
        self._now = now
        self._known: dict[int, list[HostKey]] = defaultdict(list)
        for key in HostKey.objects.filter(device__in=wanted):
            self._known[key.device_id].append(key)

    def write(self, report: KnownHostsReport) -> None:
        new: list[HostKey] = []
        ids = {name: device for device, name in self._names.items()}
        for device, entries in self._wanted.items():
            by_type: dict[str, dict[str, _Entry]] = defaultdict(dict)
            for entry in entries:
                by_type[entry.key.key_type].setdefault(entry.key.fingerprint, entry)
            for key_type, keys in by_type.items():
                for entry in keys.values():
                    action, detail = self._judge(device, key_type, entry.key.fingerprint, len(keys))
                    if action == Action.PINNED:
                        new.extend(self._pin(device, entry.key))
                    report.keys.append(
                        KeyReport(
                            entry.line,
                            self._names[device],
                            key_type,
                            entry.key.fingerprint,
                            action,
                            detail,
                        )
                    )
        HostKey.objects.bulk_create(new)
        with audit.collected():
            for key in report.keys:
                if key.action == Action.PINNED:
                    audit.record(
                        "host_key.pinned",
                        user=self._user,
                        subject="import of known_hosts",
                        device=ids[key.device],
                        device_name=key.device,
                        key_type=key.key_type,
                        fingerprint=key.fingerprint,
                    )

    def _judge(self, device: int, key_type: str, fingerprint: str, alternatives: int) -> tuple[Action, str]:
        known = [key for key in self._known[device] if key.key_type == key_type]
        same = next((key for key in known if key.fingerprint == fingerprint), None)
        if same is not None and same.state == HostKeyState.PINNED:
            return Action.UNCHANGED, ""
        pinned = next((key for key in known if key.state == HostKeyState.PINNED), None)
        if pinned is not None:
            return Action.CONFLICT, f"{pinned.fingerprint} stays pinned."
        if same is not None and same.state == HostKeyState.RETIRED:
            return Action.CONFLICT, "This key was retired before; it is not pinned again by an import."
        if alternatives > 1:
            return Action.CONFLICT, f"The file has {alternatives} different keys of this type for the device."
        return Action.PINNED, ""

    def _pin(self, device: int, key: HostKeyData) -> list[HostKey]:
        """Pin a key that waits, or return a new row to be written."""
        decided = {"state": HostKeyState.PINNED, "decided_by": self._user, "decided_at": self._now}
        waiting = HostKey.objects.filter(device=device, key_type=key.key_type, fingerprint=key.fingerprint)
        if waiting.update(**decided):
            return []
        return [
            HostKey(
                device_id=device,
                key_type=key.key_type,
                public_key=key.public_key,
                fingerprint=key.fingerprint,
                first_seen_at=self._now,
                last_seen_at=self._now,
                **decided,
            )
        ]
