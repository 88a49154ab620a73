"""What the generators of configurations share: made-up names, addresses and secrets, and volatile lines."""

import random
import re
import string
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from devices.simulator.spec import SimDevice

_VOLATILE = re.compile("\x01([a-z_]+)\x01")
_BASE64 = string.ascii_letters + string.digits + "./"
# fmt: off
_WORDS = (
    "core", "edge", "access", "voice", "guest", "printer", "camera", "badge", "scanner", "lab", "meeting",
    "office", "reception", "warehouse", "dock", "server", "storage", "backup", "build", "test", "payroll",
    "finance", "sales", "design", "support", "training", "library", "kitchen", "roof",
)
_PEOPLE = (
    "anna", "bert", "carla", "dmitri", "elena", "farid", "greta", "henk", "ines", "jonas", "katja", "luuk",
)
# fmt: on


def volatile(name: str) -> str:
    """The mark of a text that differs on each dump; the names are those of `_moments`."""
    return f"\x01{name}\x01"


def _moments(now: datetime, count: int, seed: int) -> dict[str, str]:
    """What the volatile marks stand for in dump number `count`."""
    # Two dumps within a second must still differ, so each is dated a second later than the clock says.
    now = (now + timedelta(seconds=count)).replace(microsecond=0)
    written = now - timedelta(minutes=7, seconds=seed % 50)
    up = timedelta(days=30 + seed % 300) + timedelta(seconds=now.timestamp() % 86400)
    hours, minutes = up.seconds // 3600, up.seconds // 60 % 60
    return {
        "ios_changed": written.strftime("%H:%M:%S UTC %a %b %-d %Y"),
        "ios_written": (written + timedelta(seconds=41)).strftime("%H:%M:%S UTC %a %b %-d %Y"),
        "ctime": now.strftime("%a %b %e %H:%M:%S %Y"),
        "ctime_changed": written.strftime("%a %b %e %H:%M:%S %Y"),
        "iso_changed": written.strftime("%Y-%m-%d %H:%M:%S"),
        "iso_now": now.strftime("%Y-%m-%d %H:%M:%S"),
        "routeros_now": now.strftime("%b/%d/%Y %H:%M:%S").lower(),
        "vrp_changed": written.strftime("%H:%M:%S+00:00 %Y/%m/%d"),
        "clock_period": str(17179860 + (seed + count) % 120),
        "conf_file_ver": str(1000000000 + seed % 1000000 * 1000 + count),
        "uptime": f"{up.days} days, {hours} hours, {minutes} minutes",
        "up_clock": now.strftime("%H:%M:%S"),
        "load": f"0.{(seed + count * 7) % 90 + 10}",
    }


class Text:
    """A text with volatile places, its lines ended by CR and LF, prepared so that a dump costs one join."""

    def __init__(self, lines: list[str]) -> None:
        joined = "\r\n".join(lines) + "\r\n"
        parts = _VOLATILE.split(joined)
        self._fixed = [part.encode() for part in parts[::2]]
        self._names = parts[1::2]
        self._bytes = sum(map(len, self._fixed))

    def dump(self, now: datetime | None = None, count: int = 0, seed: int = 0) -> bytes:
        """The whole text as dump number `count` at `now` (default: the present)."""
        moments = _moments(now or datetime.now(UTC), count, seed)
        values = [b"" if name == "byte_count" else moments[name].encode() for name in self._names]
        if "byte_count" in self._names:
            total = self._bytes + sum(map(len, values))
            values[self._names.index("byte_count")] = str(total).encode()
        pieces = [self._fixed[0]]
        for value, fixed in zip(values, self._fixed[1:], strict=True):
            pieces += (value, fixed)
        return b"".join(pieces)


class Maker:
    """Made-up facts for one device. The random sequence depends on the seed alone, never on the revision."""

    def __init__(self, device: SimDevice, revision: int) -> None:
        self.name = device.name
        self.site = device.site or device.name.split("-")[0]
        self.revision = revision
        self.bytes_wanted = max(5, device.config_kb) * 1024
        self.random = random.Random(device.seed or 0)
        self.users = [login.username for login in device.logins if login.username] or ["admin"]
        self.octet = self.random.randrange(1, 250)
        """The second octet of the site's networks."""

    # Facts
    def word(self) -> str:
        """A word for a description."""
        return self.random.choice(_WORDS)

    def person(self) -> str:
        """A first name."""
        return self.random.choice(_PEOPLE)

    def number(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return self.random.randint(low, high)

    def address(self) -> str:
        """A host address of the site."""
        return f"10.{self.octet}.{self.number(0, 250)}.{self.number(1, 254)}"

    def network(self) -> str:
        """A /24 network of the site."""
        return f"10.{self.octet}.{self.number(0, 250)}.0"

    def service_port(self) -> int:
        """A TCP port that access lists speak of."""
        return self.random.choice((22, 25, 53, 123, 161, 389, 443, 636, 3389, 8443))

    def description(self) -> str:
        """What a port is for."""
        return f"{self.word()} {self.word()} {self.number(1, 9)}.{self.number(10, 99)}"

    def mac(self) -> str:
        """A hardware address with colons."""
        return ":".join(["00", "1c", "73", *(f"{self.number(0, 255):02x}" for _ in range(3))])

    # What a revision changes
    @property
    def changed_description(self) -> str:
        """A description that differs in each revision."""
        return "uplink to provider" if self.revision == 1 else f"uplink to provider, change {4200 + self.revision}"

    @property
    def changed_host(self) -> str:
        """A host address that differs in each revision."""
        return f"10.{self.octet}.251.{9 + self.revision % 240}"

    @property
    def changed_network(self) -> str:
        """A /24 network that differs in each revision."""
        return f"10.{self.octet}.{self.revision % 240}.0"

    def changing_secret(self, make: Callable[[], str]) -> str:
        """A secret of its own for each pair of revisions (1 | 2, 3 | 4, 5 | ...)."""
        kept = self.random
        self.random = random.Random(f"{self.name}-{self.octet}-{self.revision // 2}")
        try:
            return make()
        finally:
            self.random = kept

    # Secrets: none of them opens anything
    def _letters(self, alphabet: str, length: int) -> str:
        return "".join(self.random.choices(alphabet, k=length))

    def word_secret(self, length: int = 14) -> str:
        """A secret in clear, as in a community or a pre-shared key."""
        return self._letters(string.ascii_letters + string.digits, length)

    def type5(self) -> str:
        """Like an MD5 crypt hash."""
        return f"$1${self._letters(_BASE64, 4)}${self._letters(_BASE64, 22)}"

    def type6(self) -> str:
        """Like a SHA-512 crypt hash."""
        return f"$6${self._letters(_BASE64, 16)}${self._letters(_BASE64, 86)}"

    def type7(self) -> str:
        """Like the reversible encoding of IOS and NX-OS."""
        return f"{self.number(2, 15):02d}" + self._letters("0123456789ABCDEF", 2 * self.number(8, 14))

    def type9(self) -> str:
        """Like an scrypt hash of IOS."""
        return f"$9${self._letters(_BASE64, 14)}${self._letters(_BASE64, 43)}"

    def junos9(self) -> str:
        """Like the reversible encoding of Junos."""
        return "$9$" + self._letters(_BASE64 + "-", self.number(18, 32))

    def base64(self, length: int) -> str:
        """Letters as in an encoded key."""
        return self._letters(string.ascii_letters + string.digits + "+/", length)

    # Size
    def fill(self, blocks: Iterator[list[str]], size: int) -> list[str]:
        """Blocks of lines until they have about `size` bytes."""
        lines: list[str] = []
        done = 0
        while done < size:
            block = next(blocks)
            lines += block
            done += sum(len(line) + 2 for line in block)
        return lines

    def room(self, fixed: int, share: float) -> int:
        """Bytes for a filler: its share of what is wanted beyond the `fixed` part of the text."""
        return int(max(0, self.bytes_wanted - fixed) * share)
