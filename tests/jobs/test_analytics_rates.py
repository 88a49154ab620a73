"""Rates over time, coverage, and the command that reports them."""

from __future__ import annotations

import json

import pytest

from credentials.models import Credential
from credentials.services import SecretsInput, update_credential
from devices.models import Device
from jobs.analytics.coverage import CREDENTIALS_A_PAGE, Cover, CoverageFilter, choices, coverage
from jobs.analytics.rates import Counts, credential_uses, rates
from jobs.analytics.rollup import roll_up
from jobs.rollups import Dimension
from tests import commands
from tests.jobs.attempts import NOW, ago, credential, device, login, visit

pytestmark = pytest.mark.django_db


def many(count: int, where, who, fate: str, **more) -> None:
    for _ in range(count):
        login(where, who, fate, **more)


def groups(by: Dimension, **more) -> list[tuple[str, Counts]]:
    roll_up()
    return [(group.label, group.counts) for group in rates(by, 30, now=NOW, **more).groups]


# --- rates ------------------------------------------------------------------------------------------
def test_logins_are_told_apart_by_credential():
    r1, a, b = device("r1"), credential("a"), credential("b")
    many(2, r1, a, "accepted")
    many(3, r1, b, "rejected")
    assert groups(Dimension.ALL) == [("b", Counts(0, 3)), ("a", Counts(2))]


@pytest.mark.parametrize(
    ("by", "one", "two"), [("tag", "dc", "lab"), ("platform", "arista_eos", "cisco_ios"), ("site", "Bonn", "(no site)")]
)
def test_logins_are_told_apart_by_what_the_device_is(by, one, two):
    a = credential("a", ["dc", "lab"])
    many(2, device("r1", ["dc"], platform="arista_eos", site="Bonn"), a, "accepted")
    login(device("r2", ["lab"]), a, "rejected")
    assert groups(Dimension(by)) == [(one, Counts(2)), (two, Counts(0, 1))]


def test_days_without_a_login_are_in_the_series_too():
    r1, a = device("r1"), credential("a")
    login(r1, a, at=ago(days=2))
    login(r1, a, "rejected")
    login(r1, a, at=ago(days=3))
    roll_up()
    found = rates(days=3, now=NOW)
    assert [(each.day.day, each.counts) for each in found.series] == [
        (13, Counts(1)),
        (14, Counts()),
        (15, Counts(0, 1)),
    ]
    assert found.total == Counts(1, 1)


def test_the_series_by_tag_counts_a_login_once_though_its_device_has_two_tags():
    login(device("r1", ["dc", "lab"]), credential("a"))
    roll_up()
    found = rates(Dimension.TAG, now=NOW)
    assert found.total == Counts(1)
    assert [group.label for group in found.groups] == ["dc", "lab"]


def test_a_rate_is_given_from_ten_answered_logins_on():
    r1, a = device("r1"), credential("a")
    many(6, r1, a, "accepted")
    many(3, r1, a, "rejected")
    many(20, r1, a, "unanswered")
    roll_up()
    assert rates(now=NOW).total.success_rate is None
    login(r1, a, "rejected")
    roll_up()
    total = rates(now=NOW).total
    assert (total.success_rate, total.rejection_rate, total.answered) == (60.0, 40.0, 10)


def test_one_site_is_shown_by_credential():
    a, b = credential("a"), credential("b")
    many(2, device("r1", site="Bonn"), a, "accepted")
    login(device("r2", site="Cologne"), b)
    assert groups(Dimension.SITE, value="Bonn") == [("a", Counts(2))]


def test_one_credential_is_chosen_by_its_id():
    a, b = credential("a"), credential("b")
    visit(device("r1"), (a, "rejected"), (b, "accepted"))
    assert groups(Dimension.ALL, value=str(a.pk)) == [("a", Counts(0, 1))]
    assert groups(Dimension.ALL, value="nonsense") == []


def test_tests_are_apart_from_the_rates():
    r1, a = device("r1"), credential("a")
    login(r1, a)
    many(2, r1, a, "rejected", is_test=True)
    assert groups(Dimension.ALL) == [("a", Counts(1))]
    assert groups(Dimension.ALL, tests=True) == [("a", Counts(0, 2))]


def test_a_deleted_credential_keeps_its_numbers():
    a = credential("a")
    login(device("r1"), a)
    roll_up()
    key = a.pk
    a.delete()
    assert groups(Dimension.ALL) == [(f"deleted, was #{key}", Counts(1))]


def test_every_credential_is_listed_with_its_last_use_also_without_a_login():
    a, b = credential("a", priority=2), credential("b", priority=1)
    login(device("r1"), a)
    Credential.objects.filter(pk=a.pk).update(last_used_at=NOW, last_success_at=ago(days=1))
    roll_up()
    found = [(use.name, use.counts, use.last_used_at, use.last_success_at) for use in credential_uses(now=NOW)]
    assert found == [("b", Counts(), None, None), ("a", Counts(1), NOW, ago(days=1))]
    assert b.pk


# --- coverage ---------------------------------------------------------------------------------------
def table(**chosen) -> dict[str, dict[str, str]]:
    roll_up()
    found = coverage(CoverageFilter(**chosen))
    names = [name for _, name in found.credentials]
    return {
        row.device.name: dict(zip(names, [cell.cover.value for cell in row.cells], strict=True)) for row in found.rows
    }


def test_each_cell_says_what_is_known_of_a_credential_on_a_device():
    a, b, c = credential("a"), credential("b"), credential("c", ["lab"])
    login(device("r1"), a)
    login(device("r2"), a, "rejected")
    device("r3", ["lab"])
    changed = credential("d")
    login(Device.objects.get(name="r1"), changed)
    update_credential(changed, secrets=SecretsInput(password="newer"))
    assert table() == {
        "r1": {"a": "proven", "b": "matched", "c": "unmatched", "d": "earlier"},
        "r2": {"a": "rejected", "b": "matched", "c": "unmatched", "d": "matched"},
        "r3": {"a": "unmatched", "b": "unmatched", "c": "matched", "d": "unmatched"},
    }
    assert b.pk < c.pk


def test_the_last_proof_counts():
    r1, a = device("r1"), credential("a")
    login(r1, a, "accepted", ago(days=2))
    login(r1, a, "rejected", ago(days=1))
    assert table()["r1"]["a"] == "rejected"
    login(r1, a, "accepted", ago(hours=1))
    assert table()["r1"]["a"] == "proven"


def test_a_cell_has_times_numbers_and_the_place_in_the_order():
    r1, a = device("r1"), credential("a", priority=5)
    credential("b", priority=1)
    login(r1, a, "rejected", ago(days=2))
    many(2, r1, a, "accepted", at=ago(days=1))
    roll_up()
    found = coverage(CoverageFilter(credential="a"))
    cell = found.rows[0].cells[0]
    assert (cell.at, cell.accepted, cell.rejected, cell.order) == (ago(days=1), 2, 1, 2)
    assert cell.reason == "shares tag dc; priority 5"


def test_what_opens_a_device_without_sharing_a_tag_is_shown_and_not_in_the_order():
    a = credential("a", ["lab"])
    login(device("r1"), a, is_test=True)
    roll_up()
    cell = coverage(CoverageFilter()).rows[0].cells[0]
    assert (cell.cover, cell.order, cell.is_matched) == (Cover.PROVEN, None, False)


@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        ({"tag": "lab"}, ["r3"]),
        ({"site": "Bonn"}, ["r1"]),
        ({"platform": "arista_eos"}, ["r2"]),
        ({"credential": "a"}, ["r1", "r2", "r4", "r5"]),
        ({"credential": "a", "cover": Cover.PROVEN}, ["r1"]),
        ({"credential": "a", "cover": Cover.REJECTED}, ["r2"]),
        ({"credential": "a", "cover": Cover.MATCHED}, ["r4"]),
        ({"credential": "a", "cover": Cover.EARLIER}, ["r5"]),
        ({"credential": "a", "cover": Cover.UNMATCHED}, ["r3"]),
        ({"credential": "a", "site": "Bonn", "cover": Cover.REJECTED}, []),
        ({"credential": "glass", "cover": Cover.MATCHED}, ["r1", "r2", "r3", "r4", "r5"]),
        ({"credential": "no-such"}, []),
        ({"tag": "no-such"}, []),
    ],
)
def test_the_devices_can_be_chosen(chosen, names):
    a = credential("a")
    credential("glass", [], is_fallback=True)
    login(device("r5"), a, version=1)
    update_credential(a, secrets=SecretsInput(password="newer"))
    login(device("r1", site="Bonn"), a)
    login(device("r2", platform="arista_eos"), a, "rejected")
    device("r3", ["lab"])
    device("r4")
    device("off", enabled=False)
    assert list(table(**chosen)) == names


def test_devices_and_credentials_are_paged():
    for number in range(CREDENTIALS_A_PAGE + 2):
        credential(f"c{number:02}", priority=number)
    for number in range(53):
        device(f"r{number:02}")
    first = coverage(CoverageFilter())
    assert (len(first.rows), first.columns, first.column_pages) == (50, CREDENTIALS_A_PAGE + 2, 2)
    last = coverage(CoverageFilter(), page=2, column_page=2)
    assert [row.device.name for row in last.rows] == ["r50", "r51", "r52"]
    assert [name for _, name in last.credentials] == ["c12", "c13"]
    assert coverage(CoverageFilter(), page="nonsense", column_page=99).column_page == 2


def test_a_fallback_credential_is_the_last_column():
    credential("glass", [], is_fallback=True, priority=1)
    credential("a", priority=900)
    device("r1")
    assert [name for _, name in coverage(CoverageFilter()).credentials] == ["a", "glass"]


def test_the_filters_offer_what_devices_have():
    device("r1", ["dc"], site="Bonn")
    device("r2", ["lab"], platform="arista_eos")
    credential("a", ["of-no-device"])
    found = choices()
    assert (found.tags, found.sites, found.platforms) == (["dc", "lab"], ["Bonn"], ["arista_eos", "cisco_ios"])


# --- the command --------------------------------------------------------------------------------------
@pytest.fixture
def ledger():
    from django.utils import timezone

    old, new, wrong = credential("old", priority=1), credential("new", priority=2), credential("wrong", ["lab"])
    for number in range(6):
        visit(device(f"r{number}", site="Bonn"), (old, "rejected"), (new, "accepted"), at=timezone.now())
    for number in range(2):
        visit(device(f"l{number}", ["lab"]), (wrong, "rejected"), at=timezone.now())


def test_the_command_reports_rates_and_advice(ledger):
    done = commands.run("credential_report")
    assert done.code == 0
    assert "By site" in done.out
    assert "Bonn" in done.out
    assert "This saves about 6 failed logins a week (6 in the replay)" in done.out
    assert "Every credential that may be tried is proven wrong here." in done.out
    assert "None." in done.out.split("Redundant")[1].split("Order")[0]


def test_the_command_reports_the_same_as_json(ledger):
    found = json.loads(commands.run("credential_report", "--json", "--days", "7").out)
    assert found["order"]["changes"] == [{"credential": "old", "tag": None, "before": 1, "after": 3}]
    assert [each["credential"] for each in found["never_worked"]] == ["old", "wrong"]
    assert found["by_site"][0] == {
        "site": "Bonn", "accepted": 6, "rejected": 6, "unanswered": 0, "other": 0, "success_rate": 50.0
    }  # fmt: skip
    assert [(each["device"], each["why"]) for each in found["loginless"]] == [("l0", "rejected"), ("l1", "rejected")]
    assert found["samples"]["rate"] == 10


def test_the_command_works_on_an_empty_instance():
    done = commands.run("credential_report")
    assert done.code == 0
    assert "No other order is known to be better." in done.out


@pytest.mark.parametrize("days", ["0", "-3", "400"])
def test_the_command_refuses_days_out_of_range(days):
    done = commands.run("credential_report", "--days", days)
    assert (done.code, done.out) == (2, "")
    assert "between 1 and 366" in done.err


def test_the_command_shows_no_control_characters():
    login(device("r1", site="\x1b[31mred"), credential("a"))
    roll_up()
    assert "\x1b" not in commands.run("credential_report", "--days", "366").out
