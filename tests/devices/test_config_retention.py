"""Retention: which versions go, and that the latest never does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from unittest import mock

import pytest
from django.core.exceptions import ValidationError
from taggit.models import Tag

from credentials.audit.models import AuditEvent
from devices.configs import index
from devices.configs.pruning import Row, load_rules, may_go, prune_configs
from devices.configs.retaining import save_rule
from devices.configs.store import latest, prepare, save_version
from devices.models import ConfigText, ConfigVersion, Device
from devices.retention import RetentionRule
from devices.searches import IndexedText
from devices.services import save_device

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
HOUR = 1 / 24
FOR_EVER = (None, None, None, None)


def rows(*ages: float, lasted: float = 0.0) -> list[Row]:
    """Versions by the days since they were first seen, oldest first; each was last seen `lasted` days later."""
    return [
        Row(n, 1, "running", n, n, NOW - timedelta(days=age), NOW - timedelta(days=age - lasted))
        for n, age in enumerate(ages, start=1)
    ]


def gone(versions: list[Row], *rules: tuple) -> list[int]:
    return [row.number for row in may_go(versions, rules, NOW)]


def test_without_a_rule_nothing_goes():
    assert gone(rows(900, 800, 0)) == []


def test_the_latest_stays_however_old_it_is():
    assert gone(rows(900, 800), (0, 0, 0, 0)) == [1]


def test_all_are_kept_for_so_many_days():
    assert gone(rows(40, 31, 29, 29 - HOUR, 0), (30, 0, 0, 0)) == [1, 2]


def test_then_the_last_of_each_day_is_kept():
    # Two on one day, one on the next, one that is past the step.
    versions = rows(50, 20 + 3 * HOUR, 20 + HOUR, 19, 0)
    assert gone(versions, (10, 30, 0, 0)) == [1, 2]


def test_then_the_last_of_each_week_and_month_is_kept():
    # 2026-06-15 is a Monday: the first two are of the week before June 1, the next two of the week after it.
    versions = rows(16, 15, 13, 12, 1)
    assert gone(versions, (5, 5, 30, 30)) == [1, 3]
    assert gone(versions, (5, 5, 5, 30)) == [1, 3], "one of May, one of June"
    assert gone(rows(13, 12, 10, 9, 1), (5, 5, 5, 30)) == [1, 2, 3]


def test_no_number_means_for_ever():
    assert gone(rows(9000, 8000, 0), FOR_EVER) == []
    assert gone(rows(9000, 9000 - HOUR, 8000, 0), (1, None, None, None)) == [1]


def test_age_is_the_time_since_a_version_was_last_seen():
    assert gone(rows(100, 5, lasted=95), (30, 0, 0, 0)) == []


def test_of_several_rules_each_keeps_what_it_wants():
    assert gone(rows(40, 20, 0), (10, 0, 0, 0), (30, 0, 0, 0)) == [1]


# --- in the database -----------------------------------------------------------------------------------
def device(name: str, *tags: str) -> Device:
    return save_device(Device(), name=name, host="192.0.2.1", platform="cisco_ios", tags=list(tags) or ["lab"])


def store(of: Device, text: str, age: float) -> ConfigVersion:
    seen = NOW - timedelta(days=age)
    return save_version(of.pk, "running", prepare(f"hostname x\n{text}\nend\n", of.platform), seen).version


def rule(device: Device | None = None, tag: str = "", days: tuple = (30, 0, 0, 0)) -> RetentionRule:
    names = ("all_days", "daily_days", "weekly_days", "monthly_days")
    days = tuple(max(day, days[0]) if day is not None else None for day in days)
    row = Tag.objects.get(name=tag) if tag else None
    return save_rule(RetentionRule(), device=device, tag=row, **dict(zip(names, days, strict=True)))


def numbers(of: Device) -> list[int]:
    return sorted(ConfigVersion.objects.filter(device=of).values_list("number", flat=True))


def prune(stop: bool = False) -> dict:
    return prune_configs(NOW, lambda summary: stop)


@pytest.mark.django_db
def test_versions_go_with_texts_that_nobody_has_any_more():
    one, two = device("one"), device("two")
    for age, text in ((90, "a"), (80, "b"), (1, "c")):
        store(one, text, age)
    store(two, "a", 80)
    rule()
    assert prune() == {"versions": 2, "texts": 1}
    assert (numbers(one), numbers(two)) == ([3], [1])
    assert ConfigText.objects.count() == 2, "a is still the text of another device"


@pytest.mark.django_db
def test_without_rules_nothing_goes_and_nothing_is_read(django_assert_num_queries):
    store(device("one"), "a", 900)
    with django_assert_num_queries(2):
        assert prune() == {"versions": 0, "texts": 0}


@pytest.mark.django_db
def test_a_devices_own_rule_goes_before_its_tags_and_these_before_the_general_one():
    own, tagged, plain = device("own", "core"), device("tagged", "core"), device("plain")
    for each in (own, tagged, plain):
        for age in (100, 50, 20, 1):
            store(each, f"{each.name} {age}", age)
    rule(days=(10, 0, 0, 0))
    rule(tag="core", days=(30, 0, 0, 0))
    rule(device=own, days=(60, 0, 0, 0))
    prune()
    assert (numbers(own), numbers(tagged), numbers(plain)) == ([2, 3, 4], [3, 4], [4])


@pytest.mark.django_db
def test_numbers_go_on_after_versions_went():
    one = device("one")
    for age in (90, 80, 70):
        store(one, str(age), age)
    rule()
    prune()
    assert store(one, "new", 0).number == 4
    newest = latest(one.pk)
    assert newest is not None
    assert newest.number == 4


@pytest.mark.django_db
def test_each_kind_of_text_keeps_its_latest():
    one = device("one")
    for kind in ("running", "startup"):
        for age in (90, 80):
            seen = NOW - timedelta(days=age)
            save_version(one.pk, kind, prepare(f"{kind} {age}\nend\n", "cisco_ios"), seen)
    rule()
    assert prune()["versions"] == 2
    assert set(ConfigVersion.objects.values_list("kind", "number")) == {("running", 2), ("startup", 2)}


@pytest.mark.django_db
def test_it_stops_when_it_is_told_to_and_goes_on_later():
    for name in ("one", "two"):
        each = device(name)
        for age in (90, 80):
            store(each, f"{name} {age}", age)
    rule()
    with mock.patch("devices.configs.pruning._BATCH", 1):
        assert prune(stop=True)["versions"] == 1
    assert prune()["versions"] == 1


@pytest.mark.django_db
def test_a_text_that_goes_leaves_the_index_first():
    one = device("one")
    text = store(one, "needle", 90).text_id
    index.index_latest()
    store(one, "other", 1)
    rule()
    prune()
    assert not IndexedText.objects.filter(pk=text).exists()
    current = index.current()
    assert current is not None
    assert current.find(["needle"]) == set()


@pytest.mark.django_db
def test_what_went_is_recorded():
    one = device("one")
    for age in (90, 80, 1):
        store(one, str(age), age)
    rule()
    prune()
    noted = AuditEvent.objects.get(event="config.pruned")
    assert (noted.device, noted.data["versions"]) == (one.pk, [1, 2])


@pytest.mark.django_db
def test_a_rule_whose_steps_do_not_rise_is_refused():
    with pytest.raises(ValidationError, match="ends before the one before it"):
        save_rule(RetentionRule(), all_days=30, daily_days=10, weekly_days=None, monthly_days=None)
    kept = save_rule(RetentionRule(), all_days=None, daily_days=10, weekly_days=20, monthly_days=30)
    assert kept.steps == FOR_EVER, "what follows a step without end decides nothing"


@pytest.mark.django_db
def test_there_is_one_rule_for_each_thing():
    one = device("one", "core")
    for values in ({}, {"device": one}, {"tag": "core"}):
        rule(**values)
        with pytest.raises(ValidationError):
            rule(**values)
    assert load_rules().of(one.pk, []) == [(30, 30, 30, 30)]
