"""Maintenance windows: which devices are left alone, until when, and what is no window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone
from taggit.models import Tag

from devices.models import Device
from jobs.maintenance import begins, closed_devices, save_window, state_of, windows_of, windows_of_job
from jobs.models import Job
from jobs.windows import MaintenanceWindow
from tests.netraven_site.api_helpers import make_device

pytestmark = pytest.mark.django_db


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def tag(name: str) -> Tag:
    return Tag.objects.get_or_create(name=name)[0]


def window(name: str = "Weekend", tags: tuple[str, ...] = ("core",), **fields: Any) -> MaintenanceWindow:
    values = {"cron": "0 22 * * 6", "time_zone": "Europe/Berlin", "duration_min": 240, **fields}
    return save_window(MaintenanceWindow(name=name), tags=[tag(each) for each in tags], **values)


def is_closed(name: str, now: str) -> bool:
    device = Device.objects.filter(name="probe").first() or make_device("probe", tags=(name,))
    return device.pk in closed_devices([device.pk], at(now))


# --- open or closed -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("now", "closed"),
    [
        ("2026-11-28T20:59:59", False),
        ("2026-11-28T21:00:00", True),  # Saturday 22:00 in Berlin
        ("2026-11-29T00:59:59", True),
        ("2026-11-29T01:00:00", False),
        ("2026-11-27T22:00:00", False),
    ],
)
def test_a_window_is_open_from_its_beginning_to_its_end_on_the_clock_of_its_zone(now: str, closed: bool) -> None:
    window()
    assert is_closed("core", now) is closed


def test_a_closed_device_says_which_window_and_until_when_in_its_zone() -> None:
    window()
    device = make_device(tags=("core",))
    closed = closed_devices([device.pk], at("2026-11-28T21:30"))[device.pk]
    assert closed.window == "Weekend"
    assert f"{closed.until:%H:%M %Z}" == "02:00 CET"


def test_a_window_over_the_night_of_the_clock_change_is_as_long_as_it_says() -> None:
    window(cron="0 22 * * 6", duration_min=360)
    device = make_device(tags=("core",))
    spring = closed_devices([device.pk], at("2026-03-28T23:00"))[device.pk]
    assert spring.until.astimezone(UTC) == at("2026-03-29T03:00")
    assert f"{spring.until:%H:%M %Z}" == "05:00 CEST"
    autumn = closed_devices([device.pk], at("2026-10-24T23:00"))[device.pk]
    assert f"{autumn.until:%H:%M %Z}" == "03:00 CET"


def test_a_window_that_begins_in_the_hour_that_is_left_out_is_open_once() -> None:
    window(cron="30 2 * * *", duration_min=30)
    assert is_closed("core", "2026-03-29T01:29")
    assert not is_closed("core", "2026-03-29T01:30")


def test_a_window_that_begins_in_the_hour_that_comes_twice_is_open_once() -> None:
    window(cron="30 2 * * *", duration_min=20)
    assert is_closed("core", "2026-10-25T00:35")
    assert not is_closed("core", "2026-10-25T01:35")


def test_a_single_window_is_open_once() -> None:
    window(cron="", starts_at=timezone.now() + timedelta(hours=1), duration_min=60)
    device = make_device(tags=("core",))
    now = timezone.now()
    assert [device.pk in closed_devices([device.pk], now + timedelta(minutes=each)) for each in (0, 90, 150)] == [
        False,
        True,
        False,
    ]


def test_windows_that_touch_are_one() -> None:
    window(cron="0 0 * * 6,0", duration_min=24 * 60, time_zone="UTC")
    device = make_device(tags=("core",))
    assert closed_devices([device.pk], at("2026-11-28T12:00"))[device.pk].until == at("2026-11-30T00:00")


def test_only_devices_with_one_of_the_tags_are_left_alone_and_the_window_that_ends_last_counts() -> None:
    window("short", ("core",), cron="0 20 * * *", time_zone="UTC", duration_min=60)
    window("long", ("core", "edge"), cron="0 20 * * *", time_zone="UTC", duration_min=120)
    window("off", ("lab",), cron="0 20 * * *", time_zone="UTC", duration_min=120, enabled=False)
    core, edge, lab = (make_device(each, tags=(each,)) for each in ("core", "edge", "lab"))
    found = closed_devices([core.pk, edge.pk, lab.pk], at("2026-11-28T20:30"))
    assert {pk: closed.window for pk, closed in found.items()} == {core.pk: "long", edge.pk: "long"}
    assert closed_devices([lab.pk], at("2026-11-28T20:30")) == {}


def test_it_costs_the_same_for_many_devices_and_windows(django_assert_max_num_queries: Any) -> None:
    for number in range(12):
        window(f"w{number}", (f"t{number % 3}",), cron="0 20 * * *", time_zone="UTC")
    devices = [make_device(f"sw{number}", tags=(f"t{number % 3}",)).pk for number in range(40)]
    with django_assert_max_num_queries(3):
        found = closed_devices([*devices, *range(10_000, 20_000)], at("2026-11-28T20:30"))
    assert set(found) == set(devices)
    with django_assert_max_num_queries(2):
        assert closed_devices(devices, at("2026-11-28T05:00")) == {}


def test_a_window_that_can_no_longer_be_understood_closes_nothing_and_says_why() -> None:
    row = window()
    MaintenanceWindow.objects.update(time_zone="Gone/Zone")
    row.refresh_from_db()
    assert not is_closed("core", "2026-11-28T21:30")
    assert "There is no time zone Gone/Zone" in state_of(row, timezone.now()).words
    assert begins(row, timezone.now()) == []


# --- what people are shown ------------------------------------------------------------------------
def test_the_windows_of_a_device_say_when_in_words_and_those_that_are_open_come_first() -> None:
    window("a later one", cron="0 3 * * 0")
    window("b open", cron="0 20 * * *", time_zone="UTC", duration_min=90)
    window("c over", cron="", starts_at=at("2020-01-01T00:00"), duration_min=60)
    window("d other", ("edge",))
    device = make_device(tags=("core",))
    states = windows_of(device, at("2026-11-28T20:30"))
    assert [(state.window.name, state.is_open) for state in states] == [("b open", True), ("a later one", False)]
    assert states[0].words == "At 20:00 every day (UTC), for 1 h 30 min"
    assert states[1].next_start == at("2026-11-29T02:00")


def test_the_windows_of_a_job_are_those_of_its_devices() -> None:
    from netraven_site.panels.jobs import chosen_devices

    window("near", ("core",))
    window("far", ("edge",))
    make_device(tags=("core", "paris"))
    job = Job.objects.create(name="Nightly", kind="backup")
    job.tags.set([tag("paris")])
    assert [state.window.name for state in windows_of_job(job, chosen_devices(job))] == ["near"]


# --- what is refused ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"tags": ()}, "tags", "Choose a tag"),
        ({"cron": ""}, "cron", "Say when it begins"),
        ({"starts_at": datetime(2030, 1, 1, tzinfo=UTC)}, "starts_at", "not both"),
        ({"cron": "0 0 31 2 *"}, "cron", "never fires"),
        ({"cron": "0 0 * *"}, "cron", "five fields"),
        ({"time_zone": "Berlin"}, "time_zone", "did you mean Europe/Berlin"),
        ({"duration_min": 0}, "duration_min", "a minute long at least"),
        ({"duration_min": None}, "duration_min", "a minute long at least"),
        ({"duration_min": 28 * 24 * 60 + 1}, "duration_min", "at most 28 days"),
        ({"cron": "0 * * * *", "duration_min": 60}, "duration_min", "never end"),
        ({"cron": "0 22 * * *", "duration_min": 1440}, "duration_min", "never end"),
        ({"name": ""}, "name", "blank"),
    ],
)
def test_what_is_no_window_is_refused_at_its_field(fields: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        window(**fields)
    assert says in caught.value.message_dict[field][0]
    assert not MaintenanceWindow.objects.exists()


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ValidationError) as caught:
        window("", (), cron="0 0 30 2 *")
    assert set(caught.value.message_dict) == {"name", "tags", "cron"}


def test_days_that_follow_on_each_other_are_a_window_while_there_is_a_day_without() -> None:
    window(cron="0 0 * * 1-6", duration_min=1440)
    window("nightly", cron="* 0-5 * * *", duration_min=10)


def test_changing_a_window_without_naming_tags_leaves_them() -> None:
    row = window(tags=("core", "edge"))
    save_window(row, duration_min=30)
    assert sorted(row.tags.values_list("name", flat=True)) == ["core", "edge"]
    with pytest.raises(ValidationError):
        save_window(row, tags=[])
    assert row.tags.count() == 2
