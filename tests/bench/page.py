"""The report: one text, for the terminal and as docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.bench import machine
from tests.bench.costs import analytics, writing
from tests.bench.report import HEADINGS, Figures, row, table
from tests.bench.targets import TARGETS, Book

_INTRODUCTION = """\
# Benchmarks

`make bench` measures NetRaven's backup job beside other programs that fetch the same configurations from the same
simulated devices, in one run in which they take turns. This page is what the run described at its end wrote; only
ratios within one run mean something on another machine.

## What is measured

- **The fleet** answers `show running-config` as Cisco IOS does: 40 ms round trip, 2 s until the text comes, about
  30 KB, no two alike. It runs in two processes of its own on asyncssh, each device on an address of its own below
  127.0.0.0/8, and offers the algorithms of IOS XE 17. The distance is made in the server: what a client sends is
  delivered a round trip late, and the first word comes after two round trips, as it would where the connection
  takes the first of them. The fleet shares the cores with who is measured; its CPU stands apart ("fleet's"), and
  is small enough that no contestant waits for it.
- **From the go to all configurations in hand.** For NetRaven that is from the call that makes the run (before it
  is queued) to the end of the run, with everything stored, in a new instance with its task cluster, its heartbeats
  and its database on SQLite: at the first run no host key is pinned, no account is proven, and every configuration
  is a new version. For the others it is their own programs, started and ready, until the last text is in memory
  (RANCID: in its file); they store nothing.
- **CPU** is user and system time of the whole tree of processes, children that ended included. **Memory** is the
  peak of the proportional set size of that tree, for NetRaven the task cluster with its workers.
- **Passwords** are counted by the devices. **Verified** configurations equal what the device sent to the byte,
  NetRaven's after they were opened from their seal; only those count for a rate. RANCID sorts and edits, so there
  every line is looked for.
- Figures are medians of the rounds, with the lowest and highest rate beside them.
"""

_BUSY = """\
> **The machine was busy with other work** when this run began: a load of {load:.0f}, which is how many processes
> were waiting for the cores. All contestants were slowed down by it, and not equally: what is said below to be met or
> not met is preliminary. A run on a quiet machine writes this page anew, without this remark.
"""

_CONTESTANTS = """\
NetRaven "as it comes" has its default settings. asyncssh and Netmiko run in two processes, as NetRaven has two
workers; Netmiko, Nornir with nornir-netmiko and RANCID have their default settings but for the number of sessions.
For RANCID, the version control and the mails that follow its collection are left out, and `show running-config` is
the only command that takes time; at 5 at once it fetches 20 devices, since nothing changes with more.
"""

_WRITING = """\
CPU a device of what a shard does besides talking to devices, with devices that answer at once: in the thread that
writes to the database (results, attempts, guard, host keys, versions), and for packing and sealing a text. The last
column adds what the device threads do with a text before (clean, check, compare, redact) and, in this measurement
alone, making up the text. PostgreSQL's own CPU is not in it.
"""

_PAGES = """\
Milliseconds until a page of the portal is rendered, by Django's test client inside an instance on SQLite, with a
hundred nightly runs behind it; both instances are read in turns, medians of five.
"""

_REPEAT = """\
    make bench                       the whole of it, in half an hour or more
    make bench ARGS=--long           and the slow contestants at 1,000 devices, and NetRaven at 10,000
    make bench ARGS=--quick          the main contestants at 200 devices, in some minutes
    make bench ARGS="--write docs/benchmarks.md"

It installs what it compares with: Nornir and nornir-netmiko into the virtual environment (`requirements-bench.txt`),
RANCID from Debian's packages. PostgreSQL is measured where `make services` has started it. Nothing else should run
on the machine meanwhile.
"""


@dataclass
class Report:
    """Everything that a run has found, as far as it has come."""

    rounds: int = 1
    load: float = field(default_factory=machine.load)
    """Of the machine just before, in processes."""
    figures: list[Figures] = field(default_factory=list)
    writing: list[Sequence[str]] = field(default_factory=list)
    costs: dict[str, float] = field(default_factory=dict)
    pages: tuple[Sequence[str], list[Sequence[str]]] | None = None
    analytics: list[Sequence[str]] = field(default_factory=list)

    def tables(self) -> str:
        """The figures alone."""
        return "\n\n".join(f"## {title}\n\n{text}" for title, text in self._tables())

    def markdown(self) -> str:
        """The whole page."""
        texts = {
            "Backing up 200 devices": _CONTESTANTS,
            "What the database costs": _WRITING,
            "How long pages take": _PAGES,
        }
        parts = [_INTRODUCTION]
        if self.load > machine.QUIET:
            parts.append(_BUSY.format(load=self.load))
        for title, found in self._tables():
            parts.append(f"## {title}\n\n{texts.get(title, '')}\n{found}\n".replace("\n\n\n", "\n\n"))
        parts.append("## To repeat it\n\n" + _REPEAT)
        facts = [*machine.lines(), f"rounds: {self.rounds}; load of the machine just before: {self.load:.1f}"]
        parts.append("## The run\n\n" + "".join(f"- {line}\n" for line in facts))
        return "\n".join(parts)

    def _tables(self) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        if self.figures or self.costs:
            book = Book(self.figures, self.costs)
            targets = [each.line(book) for each in TARGETS]
            found.append(("To reach", table(("", "to reach", "measured", ""), targets)))
        for title in dict.fromkeys(each.scenario for each in self.figures):
            rows = [row(each) for each in self.figures if each.scenario == title]
            found.append((f"Backing up {title}", table(HEADINGS, rows)))
        if self.writing:
            found.append(("What the database costs", table(writing.HEADINGS, self.writing)))
        if self.pages is not None:
            found.append(("How long pages take", table(*self.pages)))
        if self.analytics:
            found.append(("Analytics over a large ledger", table(analytics.HEADINGS, self.analytics)))
        return found
