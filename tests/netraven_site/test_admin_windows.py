"""Maintenance windows and concurrency limits: their lists, forms and pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_q.models import Schedule
from taggit.models import Tag

from jobs.choices import LimitScope, ShardStatus
from jobs.limiting import save_limit
from jobs.limits import ConcurrencyLimit, LimitUse
from jobs.models import Shard
from jobs.windows import MaintenanceWindow
from tests.netraven_site.api_helpers import make_device, make_job, make_run, make_window
from tests.netraven_site.pages import administrator, body, list_of, messages_of, page_of, staff_with, text_of

pytestmark = pytest.mark.django_db


def core() -> Tag:
    return Tag.objects.get_or_create(name="core")[0]


def window(client: Client, **changed: Any):
    form = {"name": "Weekend", "enabled": "on", "tags": [core().pk], "cron": "0 22 * * 6", "length": "4 h", **changed}
    return client.post(reverse("admin:jobs_maintenancewindow_add"), form)


def limit(client: Client, **changed: Any):
    return client.post(reverse("admin:jobs_concurrencylimit_add"), {"scope": "system", "devices": "50", **changed})


# --- windows --------------------------------------------------------------------------------------
def test_a_window_is_made_by_a_cron_line_and_its_page_says_when_and_whom() -> None:
    make_device("sw1")
    client = administrator()
    answer = window(client, time_zone="Europe/Berlin", description="image updates")
    made = MaintenanceWindow.objects.get()
    assert answer.url == page_of("jobs_maintenancewindow", made.pk)
    assert (made.duration_min, [tag.name for tag in made.tags.all()]) == (240, ["core"])
    page = text_of(client.get(answer.url))
    for words in ("At 22:00 on Saturday (Europe/Berlin), for 4 h", "sw1", "image updates", "Sat "):
        assert words in page


def test_a_single_window_is_typed_on_the_clock_of_its_zone() -> None:
    client = administrator()
    window(client, cron="", begins_at="2030-07-01T22:00", time_zone="Europe/Berlin", length="90 min")
    made = MaintenanceWindow.objects.get()
    assert (made.starts_at, made.duration_min) == (datetime(2030, 7, 1, 20, 0, tzinfo=UTC), 90)
    form = body(client.get(page_of("jobs_maintenancewindow", made.pk, "change")))
    assert 'value="2030-07-01T22:00"' in form
    assert 'value="1 h 30 min"' in form


@pytest.mark.parametrize(
    ("changed", "field", "says"),
    [
        ({"tags": []}, "tags", "Choose a tag"),
        ({"cron": ""}, "cron", "Say when it begins"),
        ({"begins_at": "2030-01-01T00:00"}, "begins_at", "not both"),
        ({"cron": "0 0 31 2 *"}, "cron", "never fires"),
        ({"length": ""}, "length", "a minute long at least"),
        ({"length": "45 s"}, "length", "whole minutes"),
        ({"length": "long"}, "length", "such as 15 min"),
        ({"cron": "0 * * * *"}, "length", "never end"),
        ({"time_zone": "Mars/Base"}, "time_zone", "There is no time zone"),
        ({"name": ""}, "name", "required"),
    ],
)
def test_what_is_no_window_is_refused_at_its_field(changed: dict[str, Any], field: str, says: str) -> None:
    page = window(administrator(), **changed)
    assert says in " ".join(page.context["adminform"].form.errors[field])
    assert not MaintenanceWindow.objects.exists()


def test_the_list_says_which_windows_are_open_and_until_when() -> None:
    make_window("now")
    make_window("later", cron="0 22 * * 6")
    page = text_of(administrator().get(list_of("jobs_maintenancewindow")))
    assert "open until " in page
    assert "closed" in page


def test_the_history_of_a_window_says_who_changed_it() -> None:
    client = administrator("vera")
    window(client)
    made = MaintenanceWindow.objects.get()
    client.post(
        page_of("jobs_maintenancewindow", made.pk, "change"),
        {"name": "Weekend", "tags": [core().pk], "cron": "0 21 * * 6", "length": "4 h"},
    )
    made.refresh_from_db()
    assert (made.cron, made.enabled) == ("0 21 * * 6", False)
    assert "vera" in text_of(client.get(page_of("jobs_maintenancewindow", made.pk, "history")))


def test_a_job_shows_the_windows_of_its_devices_and_no_others() -> None:
    make_device("sw1")
    make_window("near")
    make_window("far", tags=("edge",))
    job = make_job(all_devices=True)
    page = text_of(administrator().get(page_of("jobs_job", job.pk)))
    assert "near" in page
    assert "far" not in page


def test_the_page_of_a_device_shows_its_windows() -> None:
    device = make_device("sw1")
    make_window("near")
    make_window("far", tags=("edge",))
    page = text_of(administrator().get(page_of("devices_device", device.pk)))
    assert "near open until" in page
    assert "far" not in page


def test_windows_and_limits_are_for_those_who_may_see_and_change_them() -> None:
    made = make_window()
    few = staff_with("devices.view_device")
    assert few.get(list_of("jobs_maintenancewindow")).status_code == 403
    assert few.get(page_of("jobs_maintenancewindow", made.pk)).status_code == 403
    assert window(few).status_code == 403
    assert limit(few).status_code == 403
    assert "Maintenance windows" not in text_of(few.get(reverse("admin:index")))


# --- limits ---------------------------------------------------------------------------------------
def test_a_limit_is_made_for_a_site_and_the_list_shows_what_is_used_of_it() -> None:
    make_device("sw1", site="Paris")
    client = administrator()
    answer = limit(client, scope="site", site="Paris", devices="5")
    assert answer.status_code == 302
    assert ConcurrencyLimit.objects.get().devices == 5
    shard = Shard.objects.create(
        run=make_run(), number=1, status=ShardStatus.RUNNING, lease_until=timezone.now() + timedelta(days=1)
    )
    LimitUse.objects.create(shard=shard, key="site:Paris", devices=3)
    page = text_of(client.get(list_of("jobs_concurrencylimit")))
    assert "Site Paris 5 3 1" in page


def test_who_may_only_look_reads_a_limit_and_is_offered_no_new_one() -> None:
    few = staff_with("jobs.view_concurrencylimit")
    assert reverse("admin:jobs_concurrencylimit_add") not in body(few.get(list_of("jobs_concurrencylimit")))
    made = save_limit(ConcurrencyLimit(), scope=LimitScope.SITE, site="Paris", devices=5)
    answer = few.get(page_of("jobs_concurrencylimit", made.pk, "change"))
    assert answer.status_code == 200
    assert "Paris" in text_of(answer)


@pytest.mark.parametrize(
    ("changed", "field", "says"),
    [
        ({"devices": "0"}, "devices", "1"),
        ({"devices": ""}, "devices", "1 device or more"),
        ({"scope": "site"}, "site", "Name the site"),
        ({"scope": "tag"}, "tag", "Choose the tag"),
        ({"scope": "domain", "domain": " "}, "domain", "Name the AAA domain"),
        ({"scope": "planet"}, "scope", "planet"),
    ],
)
def test_what_is_no_limit_is_refused_at_its_field(changed: dict[str, str], field: str, says: str) -> None:
    page = limit(administrator(), **changed)
    assert says in " ".join(page.context["adminform"].form.errors[field])
    assert not ConcurrencyLimit.objects.exists()


def test_a_second_limit_for_the_same_is_refused() -> None:
    save_limit(ConcurrencyLimit(), scope=LimitScope.SYSTEM, devices=10)
    page = limit(administrator())
    assert "There is a limit for this already" in text_of(page)


def test_a_limit_is_changed_and_deleted() -> None:
    made = save_limit(ConcurrencyLimit(), scope=LimitScope.SYSTEM, devices=10)
    client = administrator()
    client.post(page_of("jobs_concurrencylimit", made.pk, "change"), {"scope": "system", "devices": "20"})
    made.refresh_from_db()
    assert made.devices == 20
    answer = client.post(page_of("jobs_concurrencylimit", made.pk, "delete"), {"confirmed": "yes"}, follow=True)
    assert "was deleted" in messages_of(answer)[-1]
    assert not ConcurrencyLimit.objects.exists()


# --- what is not offered --------------------------------------------------------------------------
def test_the_schedules_of_the_task_queue_are_not_offered() -> None:
    from django.contrib import admin

    assert not admin.site.is_registered(Schedule)
    assert administrator().get("/admin/django_q/schedule/").status_code == 404
