"""`make bench`: NetRaven's backup beside other programs that do the same, in one run, taking turns."""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.bench import machine, plan
from tests.bench.costs import analytics, pages, writing
from tests.bench.page import Report
from tests.bench.report import HEADINGS, Figures, row, table
from tests.bench.scenarios import Scenario, say

_WRITING_DEVICES = 1000
_QUICK_WRITING_DEVICES = 200
_PAGES_DEVICES = 10_000


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the main contestants at 200 devices, in some minutes")
    parser.add_argument("--long", action="store_true", help="slow contestants at 1,000 devices and NetRaven at 10,000")
    parser.add_argument("--rounds", type=int, default=3, help="how often each contestant plays (default: 3)")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the report as Markdown as well")
    parser.add_argument("--part", action="append", choices=("fleet", "writing", "pages", "analytics"), default=[],
                        help="only this part; may be given more than once")  # fmt: skip
    parser.add_argument("--only", action="append", default=[], help="only contestants with this word in their name")
    parser.add_argument("--compare", action="store_true", help="for who changes NetRaven: what shows a change soonest")
    parser.add_argument("--devices", type=int, default=200, help="with --compare: how many (default: 200)")
    parser.add_argument("--times", type=int, default=1, help="with --compare: how often NetRaven runs the same job")
    parser.add_argument("--beside", type=Path, help="with --compare: another checkout of NetRaven to measure as well")
    return parser.parse_args()


def _play(scenarios: list[Scenario], options: argparse.Namespace) -> list[Figures]:
    figures: list[Figures] = []
    for each in scenarios:
        chosen = [one for one in each.contestants if not options.only or any(w in one.label for w in options.only)]
        if chosen:
            say(each.title)
            figures += Scenario(each.title, each.situation, chosen).play(options.rounds, say)
    return figures


def _parts(options: argparse.Namespace) -> list[str]:
    return options.part or (["fleet", "writing"] if options.quick else ["fleet", "writing", "pages", "analytics"])


def main() -> None:
    """Measure and print."""
    options = _options()
    if options.compare:
        figures = _play([plan.compare(options.devices, options.times, options.beside)], options)
        print(table(HEADINGS, [row(each) for each in figures]))
        return
    report, parts = Report(options.rounds), _parts(options)
    if "fleet" in parts:
        scenarios = plan.QUICK if options.quick else plan.FULL + (plan.LONG if options.long else [])
        report.figures = _play(scenarios, options)
    if "writing" in parts:
        say("the database")
        devices = _QUICK_WRITING_DEVICES if options.quick else _WRITING_DEVICES
        report.writing, report.costs = writing.measure(devices, options.rounds, say)
    if "pages" in parts:
        say("pages")
        report.pages = pages.measure(_PAGES_DEVICES, say)
    if "analytics" in parts:
        say("analytics")
        report.analytics = analytics.measure()
    print(report.tables())
    print("\n" + "\n".join(machine.lines()))
    if options.write:
        options.write.write_text(report.markdown())


if __name__ == "__main__":
    main()
