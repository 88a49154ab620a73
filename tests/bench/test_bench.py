"""The machinery of the benchmark, with a handful of devices; what it measures is not judged here."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench import plan, texts
from tests.bench.contestants.netraven import NetRaven
from tests.bench.costs import analytics, pages, writing
from tests.bench.fleet import Fleet, Situation
from tests.bench.measure import Tree, cpu_seconds, pss_bytes
from tests.bench.page import Report
from tests.bench.play import Program, Round
from tests.bench.report import Figures
from tests.bench.scenarios import Scenario
from tests.bench.targets import TARGETS, Book
from tests.netraven_site.instance import REPOSITORY

NEAR = Situation(devices=4, round_trip_s=0.001, answer_s=0.05, reject_s=0.05)
BURN = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass\n"


def test_bare_asyncssh_brings_every_configuration_to_the_byte_and_sends_each_password_once(tmp_path: Path) -> None:
    with Fleet(NEAR) as fleet:
        (played,) = Program("asyncssh", "bare_asyncssh", 4, 2).play(fleet, tmp_path)
    assert (played.devices, played.verified, played.passwords) == (4, 4, 4)


def test_stock_netmiko_brings_every_configuration_to_the_byte(tmp_path: Path) -> None:
    with Fleet(NEAR) as fleet:
        (played,) = Program("Netmiko", "netmiko_threads", 4, 2).play(fleet, tmp_path)
    assert (played.verified, played.passwords) == (4, 4)


def test_netraven_is_measured_from_the_queue_to_what_it_has_stored(tmp_path: Path) -> None:
    with Fleet(replace(NEAR, refuse_first=0.25)) as fleet:
        first, again = NetRaven(sessions=4, scope="local", times=2).play(fleet, tmp_path)
    # One device refuses the first password; at the second run it is known which one works.
    assert (first.verified, first.passwords) == (4, 5)
    assert (again.verified, again.passwords) == (4, 4)
    assert first.cpu_s > 0
    assert first.peak_bytes > 10_000_000
    assert list(tmp_path.iterdir()) == []


def test_devices_that_offer_group14_alone_are_reached(tmp_path: Path) -> None:
    with Fleet(replace(NEAR, group14_only=True)) as fleet:
        (played,) = Program("asyncssh", "bare_asyncssh", 4).play(fleet, tmp_path)
    assert played.verified == 4


def test_no_device_has_the_configuration_of_another() -> None:
    assert len({texts.text(number) for number in range(1, 40)}) == 39


def test_a_text_that_differs_in_one_byte_is_not_verified() -> None:
    right = texts.text(7)
    assert texts.same(right.replace("\n", "\r\n"), 7)
    assert not texts.same(right.replace("end\n", "enb\n"), 7)
    assert not texts.same(right, 8)


def test_rancid_s_output_is_verified_line_by_line() -> None:
    kept = "\n".join(reversed(texts.text(7).splitlines()))
    assert texts.same_lines(kept, 7)
    assert not texts.same_lines(kept.replace("hostname bench-00007", ""), 7)


def test_the_share_of_devices_that_refuse_is_spread_over_the_fleet() -> None:
    with Fleet(replace(NEAR, devices=10, refuse_first=0.2)) as fleet:
        assert len(fleet.addresses) == 10
        assert sorted(fleet.refusing) == [5, 10]


def test_cpu_of_children_that_have_ended_is_counted() -> None:
    program = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BURN!r}])\nprint(flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert cpu_seconds(Tree(process.pid).members()) >= 0.3
        process.communicate(b"\n")


def test_a_tree_has_its_grandchildren() -> None:
    program = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'print(flush=True); input()'])"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        members = Tree(process.pid).members()
        assert len(members) == 2
        assert pss_bytes(members) > pss_bytes([process.pid]) > 0
        process.communicate(b"\n")


def test_memory_of_a_process_that_is_gone_is_nothing() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert (cpu_seconds([process.pid]), pss_bytes([process.pid])) == (0, 0)
    assert pss_bytes([os.getpid()]) > 0


def test_what_writing_costs_is_measured_for_changed_and_for_unchanged_configurations() -> None:
    lines, costs = writing.measure(4, 1, print, only=["SQLite"])
    assert [line[0] for line in lines] == ["SQLite, new", "SQLite, changed", "SQLite, unchanged"]
    assert min(costs.values()) > 0


def test_pages_are_read_at_one_size_and_at_ten_times_that() -> None:
    headings, lines = pages.measure(20, print, nights=2)
    assert headings[1:3] == ("2 devices, 4 results", "20 devices, 40 results")
    assert {"Dashboard", "Devices", "One run"} <= {line[0] for line in lines}


def test_the_analytics_have_their_queries_beside_their_times() -> None:
    found = [
        {"what": "login attempts", "value": 1_000_000, "unit": "rows"},
        {"what": "coverage", "value": 12.34, "unit": "ms"},
        {"what": "coverage: queries", "value": 7.0, "unit": "queries"},
    ]
    assert analytics.lines(found) == [("login attempts", "1,000,000 rows", ""), ("coverage", "12.3 ms", "7")]


def test_the_page_has_every_figure_and_tells_how_to_repeat_it() -> None:
    report = Report(
        figures=[figures(plan.AT_200, plan.NETRAVEN.label, 4.0)], writing=[("SQLite, new", "1", "2", "3", "4")]
    )
    text = report.markdown()
    assert "| NetRaven, as it comes |" in text
    assert "| SQLite, new |" in text
    assert "make bench" in text
    assert str(REPOSITORY) not in text


def a_round(seconds: float, cpu_s: float = 1.0) -> Round:
    return Round(200, seconds, cpu_s, 0.5, 100_000_000, 200, 200)


def figures(scenario: Scenario, who: str, *seconds: float) -> Figures:
    return Figures(scenario.title, who, [a_round(each) for each in seconds])


def test_a_figure_is_the_median_of_its_rounds() -> None:
    assert figures(plan.AT_200, "x", 4.0, 2.0, 100.0).rate == 50.0


def test_targets_are_ratios_of_medians_and_say_what_was_not_measured() -> None:
    book = Book(
        [
            figures(plan.AT_200, plan.NETRAVEN.label, 4.0, 4.0, 9.0),
            figures(plan.AT_200, plan.NETMIKO.label, 5.0, 5.0, 1.0),
        ],
        {"SQLite changed": 1.5},
    )
    lines = {line[0]: line[1:] for line in (target.line(book) for target in TARGETS)}
    assert lines["Rate, beside stock Netmiko, 2 × 100 threads"] == ("≥ 1.25 ×", "1.25 ×", "met")
    assert lines["Database, SQLite, changed configuration, CPU a device"] == ("≤ 1 ms", "1.5 ms", "not met")
    assert lines["Rate, beside RANCID at 50"] == ("≥ 10 ×", "not measured", "")


def test_a_contestant_that_loses_a_device_is_not_paid_for_it(tmp_path: Path) -> None:
    began = time.perf_counter()
    with Fleet(replace(NEAR, refuse_first=0.5)) as fleet:
        (played,) = Program("Netmiko", "netmiko_threads", 4).play(fleet, tmp_path)
    assert played.verified == 2
    assert played.rate < 2 / (played.seconds * 0.99)
    assert played.seconds < time.perf_counter() - began


@pytest.mark.parametrize("scenario", plan.FULL + plan.LONG, ids=lambda scenario: scenario.title)
def test_no_two_contestants_of_a_scenario_have_the_same_name(scenario: Scenario) -> None:
    names = [each.label for each in scenario.contestants]
    assert len(names) == len(set(names))


def test_a_contestant_that_breaks_down_leaves_the_others_their_figures(tmp_path: Path) -> None:
    scenario = Scenario("x", NEAR, [Program("broken", "no_such_program", 4), Program("asyncssh", "bare_asyncssh", 4)])
    said: list[str] = []
    (left,) = scenario.play(1, said.append)
    assert (left.who, left.rounds[0].verified) == ("asyncssh", 4)
    assert any("broken fell out" in line for line in said)
