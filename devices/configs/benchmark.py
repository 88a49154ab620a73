"""What keeping, searching, comparing and exporting configurations costs: `python -m devices.configs.benchmark`.

It fills a scratch instance on SQLite with a made-up fleet, lets days go by, measures, and removes the instance. It
needs a process of its own, since it chooses the instance before Django is set up.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

_BATCH: Final = 50
"""Devices in one transaction, as the writer of a run has them."""
_LINES: Final = 18_000
"""Lines of a text of about 1 MB."""
_PLATFORMS: Final = ("cisco_ios", "cisco_ios", "arista_eos", "cisco_nxos", "juniper_junos", "cisco_xe")


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    devices: int = 10_000
    kb: int = 30
    days: int = 50
    daily_percent: float = 1.0


@dataclass(frozen=True)
class Figure:
    """What was measured, the CPU seconds that it took where that says more, and what it is to be below."""

    what: str
    value: float
    unit: str
    below: float | None = None
    cpu: float | None = None

    @property
    def line(self) -> tuple[str, str, str, str]:
        """For a table."""
        value = f"{self.value:,.3g}" if self.value < 1000 else f"{self.value:,.0f}"
        limit = (
            "" if self.below is None else f"{'yes' if self.value < self.below else 'no'}, < {self.below:g} {self.unit}"
        )
        return self.what, f"{value} {self.unit}", "" if self.cpu is None else f"{self.cpu:.2g} s", limit


def main() -> None:
    """Measure and print: a line for each figure, all of them as JSON, or a table for a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=Size.devices)
    parser.add_argument("--kb", type=int, default=Size.kb, help="size of a configuration")
    parser.add_argument("--days", type=int, default=Size.days)
    parser.add_argument("--home", type=Path, help="keep the scratch instance here, and use it again next time")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--markdown", action="store_true")
    given = parser.parse_args()
    found = figures(Size(given.devices, given.kb, given.days), given.home)
    if given.json:
        sys.stdout.write(json.dumps([asdict(each) for each in found]))
    elif given.markdown:
        sys.stdout.write("| | measured | CPU | reached |\n| --- | ---: | ---: | --- |\n")
        for each in found:
            sys.stdout.write(f"| {' | '.join(each.line)} |\n")
            sys.stdout.flush()
    else:
        for each in found:
            what, value, cpu, limit = each.line
            sys.stdout.write(f"{what:<64} {value:>14} {cpu:>8} {limit}\n")
            sys.stdout.flush()


def figures(size: Size, home: Path | None = None) -> Iterator[Figure]:
    """Fill, let the days go by, measure; in a process in which Django is not set up yet."""
    used = home or Path(tempfile.mkdtemp(prefix="netraven-bench-"))
    try:
        _prepare(used)
        yield from _keeping(size, used)
        yield from _searching()
        yield from _comparing()
        yield from _exporting(size, used)
    finally:
        if home is None:
            shutil.rmtree(used)


def _prepare(home: Path) -> None:
    (home / "var").mkdir(parents=True, exist_ok=True)
    os.environ |= {
        "NETRAVEN_HOME": str(home),
        "DJANGO_SETTINGS_MODULE": "netraven_site.settings",
        "NETRAVEN_LOG_LEVEL": "WARNING",
    }
    os.environ.pop("DATABASE_URL", None)
    import django

    django.setup()
    from django.core.management import call_command

    from credentials import keyring

    if not (home / "keyring.json").exists():
        keyring.create(home / "keyring.json")
    call_command("migrate", verbosity=0)


# --- keeping -------------------------------------------------------------------------------------------------
class _Fleet:
    """Texts of made-up devices; a device's text changes with its revision."""

    def __init__(self, size: Size) -> None:
        from devices.simulator.generate import Wishes, make_credentials, make_fleet

        wishes = Wishes(devices=size.devices, platforms=_PLATFORMS, config_kb=size.kb, steady=True)
        self._specs = make_fleet(wishes, make_credentials())
        self._revisions = [1] * size.devices
        self.ids: list[int] = []

    def make(self) -> None:
        """The rows of the devices."""
        from devices.models import Device

        rows = [
            Device(name=each.name, host="192.0.2.1", platform=each.platform, site=each.site) for each in self._specs
        ]
        self.ids = [row.pk for row in Device.objects.bulk_create(rows)]

    def change(self, number: int) -> None:
        """Let a device be configured."""
        self._revisions[number] += 1

    def text(self, number: int) -> str:
        """What it answers now."""
        from devices.simulator.texts import configuration

        spec, revision = self._specs[number], self._revisions[number]
        # Beyond the few revisions that the texts know, one line is changed a day.
        more = f"! revision {revision}\n" if revision > 2 else ""
        text = configuration(spec, min(revision, 2)).dump().replace(b"\r\n", b"\n").decode()
        return text + (f"banner-note-{revision} 10.0.{revision % 250}.{number % 250}\n" if more else "")

    def platform(self, number: int) -> str:
        """Its platform."""
        return self._specs[number].platform


def _keeping(size: Size, home: Path) -> Iterator[Figure]:
    from devices.models import ConfigText, ConfigVersion

    if ConfigText.objects.exists():
        return  # an instance of an earlier time, for measuring the rest once more
    fleet = _Fleet(size)
    fleet.make()
    start = datetime.now(UTC) - timedelta(days=size.days)
    numbers = list(range(size.devices))
    empty = _bytes()
    took = _dump(fleet, numbers, start)
    yield Figure("devices", size.devices, "devices")
    each = statistics.mean(len(fleet.text(number)) for number in numbers[:500])
    yield Figure("size of a configuration", each / 1024, "KB")
    yield Figure("database time of a first version, in batches of 50", took * 1000, "ms a device")
    rows = ConfigText.objects.count()
    took = _dump(fleet, numbers[:2000], start + timedelta(hours=1))
    yield Figure("rows of text that unchanged dumps add", ConfigText.objects.count() - rows, "rows", 1)
    yield Figure("database time of an unchanged dump, in batches of 50", took * 1000, "ms", 1)
    took = _dump(fleet, numbers[:200], start + timedelta(hours=2), batch=1)
    yield Figure("database time of an unchanged dump, alone in its transaction", took * 1000, "ms", 1)
    chance = random.Random(1)
    for day in range(1, size.days):
        chosen = chance.sample(numbers, max(1, int(size.devices * size.daily_percent / 100)))
        for number in chosen:
            fleet.change(number)
        _dump(fleet, chosen, start + timedelta(days=day))
        ConfigVersion.objects.filter(last_seen_at__lt=start + timedelta(days=day)).filter(_latest()).update(
            last_seen_at=start + timedelta(days=day)
        )
    raw = each * size.devices * size.days
    yield Figure(f"raw size of {size.days} days", raw / 1e9, "GB")
    yield Figure("versions kept", ConfigVersion.objects.count(), "versions")
    yield Figure("distinct texts kept", ConfigText.objects.count(), "texts")
    kept = _bytes() - empty
    yield Figure("database without the search index", kept / 1e6, "MB")
    yield Figure("of the raw size", kept / raw * 100, "%", 3)
    began = time.monotonic()
    _index()
    yield Figure("building the search index", time.monotonic() - began, "s")
    yield Figure("search index, of the latest texts", (_bytes() - empty - kept) / 1e6, "MB")


def _latest() -> Any:
    from devices.configs.index import is_latest

    return is_latest()


def _dump(fleet: _Fleet, numbers: Sequence[int], at: datetime, batch: int = _BATCH) -> float:
    """Keep what these devices answer, as a run does; seconds of database time a device."""
    from django.db import connection, transaction

    from devices.configs.keeping import keep, last_versions, save_all
    from devices.configs.store import last_text, prepare

    spent = []
    for first in range(0, len(numbers), batch):
        part = numbers[first : first + batch]
        last = last_versions([fleet.ids[number] for number in part], "running")
        keeps = []
        for number in part:
            device = fleet.ids[number]
            known = last.get(device)
            text = prepare(fleet.text(number), fleet.platform(number), known)
            before = last_text(device) if known is not None and known.compared != text.compared else None
            keeps.append(keep(device, "running", text, known, before))
        clock = _Clock()
        with connection.execute_wrapper(clock), transaction.atomic():
            save_all(keeps, at)
        spent.append(clock.spent / len(part))
    return statistics.median(spent)


class _Clock:
    """Counts the seconds that statements take."""

    def __init__(self) -> None:
        self.spent = 0.0

    def __call__(self, execute: Callable[..., Any], *args: Any) -> Any:
        """Run one statement."""
        began = time.perf_counter()
        try:
            return execute(*args)
        finally:
            self.spent += time.perf_counter() - began


def _bytes() -> int:
    """Bytes of the database that are in use."""
    from django.db import connection

    with connection.cursor() as cursor:
        found = []
        for name in ("page_count", "freelist_count", "page_size"):
            cursor.execute(f"PRAGMA {name}")
            found.append(int(cursor.fetchone()[0]))
    pages, free, page = found
    return (pages - free) * page


def _index() -> None:
    from devices.configs.index import index_latest

    while not index_latest(limit_s=60, rest=0.0).is_complete:
        pass


# --- searching -------------------------------------------------------------------------------------------------
def _searching() -> Iterator[Figure]:
    from devices.configs.query import Mode, Query
    from devices.configs.search import search

    _index()  # where an instance of an earlier time has none yet
    looks = (
        ("a word that many have", Query("interface"), 1.0),
        ("a word that one device has", Query("sim-00777"), 1.0),
        ("an address", Query("192.0.2."), 1.0),
        ("two words", Query("ntp server", mode=Mode.WORDS), 1.0),
        ("a word that nobody has", Query("no such thing anywhere"), 1.0),
        ("devices that lack a word", Query("snmp-server", absent=True), 1.0),
        ("two letters, which no index knows", Query("zq"), None),
        ("a regular expression with a word in it", Query(r"^ntp server \S+$", mode=Mode.REGEX), None),
        ("a regular expression without one", Query(r"^[a-z]\d{9}$", mode=Mode.REGEX), None),
    )
    for name, query, below in looks:
        took, cpu = _best(partial(search, query))
        yield Figure(f"search, first page: {name}", took, "s", below, cpu)


# --- comparing ---------------------------------------------------------------------------------------------------
def _comparing() -> Iterator[Figure]:
    from django.contrib.auth.models import User
    from django.test import Client

    from devices.configs.store import prepare, save_version
    from devices.models import Device

    device = Device.objects.get_or_create(name="large", host="192.0.2.1", platform="cisco_ios")[0]
    chance = random.Random(2)
    lines = [
        f"access-list 10{n % 90} permit tcp host 10.{n % 200}.{n // 200 % 250}.9 any eq {n}" for n in range(_LINES)
    ]
    pages = []
    for part in (0.0, 0.003, 0.1):
        now = [f"{line} log" if chance.random() < part else line for line in lines]
        text = "\n".join([f"hostname large-{part}", *now, "end", ""])
        pages.append(save_version(device.pk, "running", prepare(text, "cisco_ios")).version.pk)
    client = Client(headers={"host": "localhost"})
    client.force_login(User.objects.filter(username="bench").first() or User.objects.create_superuser("bench"))
    yield Figure("size of each text of the diffs", len(text) / 1e6, "MB")
    for percent, after in zip(("0.3 %", "10 %"), pages[1:], strict=True):
        for view in ("unified", "side"):
            address = f"/admin/devices/configversion/diff/?before={pages[0]}&after={after}&view={view}"

            def load(address: str = address) -> None:
                answer = client.get(address)
                assert answer.status_code == 200, (answer.status_code, address)

            took, cpu = _best(load)
            yield Figure(f"diff page, {percent} of the lines changed, {view}", took, "s", 1, cpu)


# --- exporting -----------------------------------------------------------------------------------------------------
def _exporting(size: Size, home: Path) -> Iterator[Figure]:
    from devices.configs.export.service import Wish, export
    from devices.configs.store import last_text, prepare, save_version
    from devices.models import Device

    shutil.rmtree(home / "export", ignore_errors=True)
    wish = Wish(folder=home / "export", bare=True)
    took, cpu = _once(lambda: export(wish))
    yield Figure("first git export of all devices", took, "s", None, cpu)
    took, cpu = _best(lambda: export(wish))
    yield Figure("git export with nothing changed", took, "s", None, cpu)
    chosen = list(Device.objects.exclude(name="large")[: max(1, int(size.devices * size.daily_percent / 100))])
    for device in chosen:
        text = (last_text(device.pk) or "") + "one more line\n"
        save_version(device.pk, "running", prepare(text, device.platform))
    took, cpu = _once(lambda: export(wish))
    yield Figure(f"git export with {len(chosen):,} devices changed", took, "s", None, cpu)
    packed = sum(each.stat().st_size for each in (home / "export").rglob("*") if each.is_file())
    yield Figure("repository after it", packed / 1e6, "MB")


def _once(work: Callable[[], Any]) -> tuple[float, float]:
    """Seconds on the clock and of the CPU."""
    began, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - used


def _best(work: Callable[[], Any], times: int = 3) -> tuple[float, float]:
    return min(_once(work) for _ in range(times))


if __name__ == "__main__":
    main()
