"""Jobs, schedules, windows and live runs in a real browser."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from jobs.choices import LimitScope, ResultStatus, RunStatus
from jobs.limiting import save_limit
from jobs.limits import ConcurrencyLimit
from jobs.models import Job, Result, Run, Shard
from jobs.outputs import CommandOutput, pack
from jobs.services import save_job
from tests.e2e.test_browser import browser, visit  # noqa: F401 - fixtures
from tests.netraven_site.api_helpers import make_credential, make_device, make_run, make_window

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def _running(devices: int) -> Run:
    now = timezone.now()
    run = Run.objects.create(
        job_name="Backup",
        kind="backup",
        status=RunStatus.RUNNING,
        device_count=devices,
        created_at=now - timedelta(seconds=5),
        started_at=now - timedelta(seconds=5),
    )
    shard = Shard.objects.create(run=run, number=1)
    for number in range(devices):
        device = make_device(f"sw{number:02}")
        Result.objects.create(run=run, shard=shard, device=device, device_name=device.name)
    return run


def _end(run: Run, name: str, outcome: str = "success") -> None:
    now = timezone.now()
    Result.objects.filter(run=run, device_name=name).update(
        status=ResultStatus.DONE, outcome=outcome, duration_s=1.0, finished_at=now
    )


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_pages_of_jobs_windows_and_limits_open_in_both_themes(visit, theme: str) -> None:  # noqa: F811
    device = make_device()
    window = make_window()
    job = save_job(Job(name="n"), kind="backup", all_devices=True, recurrence="cron", cron="15 2 * * *")
    save_limit(ConcurrencyLimit(), scope=LimitScope.SYSTEM, devices=10)
    run = make_run(device, job=job, kind="command")
    result = run.results.get()
    CommandOutput.objects.create(result=result, number=1, command="show clock", packed=pack("12:00\n"), size=6)
    someone = visit(theme)
    for path in (
        "jobs/job/add/",
        f"jobs/job/{job.pk}/",
        f"jobs/job/{job.pk}/change/",
        f"jobs/job/{job.pk}/history/",
        f"jobs/run/{run.pk}/",
        f"jobs/run/{run.pk}/results/{result.pk}/",
        "jobs/maintenancewindow/",
        "jobs/maintenancewindow/add/",
        f"jobs/maintenancewindow/{window.pk}/",
        "jobs/concurrencylimit/",
        "jobs/concurrencylimit/add/",
        f"devices/device/{device.pk}/",
    ):
        page = someone.open(f"/admin/{path}")
        expect(page.locator("#content-main")).to_be_visible()
        assert page.evaluate("document.documentElement.classList.contains('dark')") is (theme == "dark")
        assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"], path


def test_the_form_shows_the_parameters_of_the_chosen_kind_alone(visit) -> None:  # noqa: F811
    make_credential("noc")
    page = visit().open("/admin/jobs/job/add/")
    expect(page.locator("#id_credential_test__credential")).to_be_hidden()
    expect(page.locator("#id_tags")).to_be_attached()
    page.select_option("#id_kind", "credential_test")
    expect(page.locator("#id_credential_test__credential")).to_be_visible()
    expect(page.get_by_text("Log in to each device and leave again")).to_be_visible()
    page.select_option("#id_kind", "prune")
    expect(page.locator("#id_credential_test__credential")).to_be_hidden()
    expect(page.locator("#id_prune__runs_days")).to_have_value("400")
    expect(page.get_by_text("On which devices")).to_be_hidden()


def test_a_schedule_is_previewed_while_it_is_typed_and_saved(visit) -> None:  # noqa: F811
    page = visit().open("/admin/jobs/job/add/")
    starts = page.locator("[data-nr-starts]")
    expect(page.locator("#id_cron")).to_be_hidden()
    page.fill("#id_name", "Nightly")
    page.select_option("#id_recurrence", "cron")
    expect(page.locator("#id_every")).to_be_hidden()
    page.fill("#id_cron", "0 0 30 2 *")
    expect(starts).to_contain_text("This cron line never fires")
    page.fill("#id_cron", "15 2 * * 1-5")
    page.fill("#id_time_zone", "Asia/Tokyo")
    expect(starts).to_contain_text("At 02:15 on Monday through Friday (Asia/Tokyo)")
    expect(starts.locator("span")).to_have_count(3)
    expect(starts.locator("span").first).to_contain_text("02:15 JST, in ")
    page.click("button[name=_save]")
    page.wait_for_url("**/jobs/job/*/")
    expect(page.locator("#schedule")).to_contain_text("At 02:15 on Monday through Friday (Asia/Tokyo)")
    assert Job.objects.get().cron == "15 2 * * 1-5"


def test_a_field_that_was_refused_is_in_sight_whatever_was_chosen(visit) -> None:  # noqa: F811
    page = visit().open("/admin/jobs/job/add/")
    page.fill("#id_name", "Nightly")
    page.select_option("#id_recurrence", "interval")
    page.fill("#id_every", "1 h")
    page.fill("#id_jitter", "2 h")
    page.click("button[name=_save]")
    expect(page.get_by_text("A jitter is no longer than the interval, here 1 h.").first).to_be_visible()
    expect(page.locator("#id_jitter")).to_be_visible()


def test_a_live_run_shows_results_as_they_come_and_its_buttons_count(visit) -> None:  # noqa: F811
    run = _running(3)
    someone = visit()
    page = someone.open(f"/admin/jobs/run/{run.pk}/")
    expect(page.get_by_role("button", name="Cancel, 3 devices to come")).to_be_visible()
    _end(run, "sw00")
    _end(run, "sw01", "timeout")
    expect(page.get_by_role("button", name="Cancel, 1 device to come")).to_be_visible(timeout=15_000)
    expect(page.locator(".nr-headline")).to_contain_text("2 of 3 devices")
    expect(page.locator(".nr-headline")).to_contain_text("1 failed")
    page.get_by_role("button", name="Pause, 1 device to come").click()
    expect(page.locator(".nr-headline")).to_contain_text("Paused")
    page.get_by_role("button", name="Resume on 1 device").click()
    expect(page.get_by_role("button", name="Pause, 1 device to come")).to_be_visible()
    _end(run, "sw02")
    Run.objects.filter(pk=run.pk).update(status=RunStatus.PARTIAL, finished_at=timezone.now())
    expect(page.get_by_role("button", name="Retry 1 failed device")).to_be_visible(timeout=15_000)
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)


def test_the_form_of_a_limit_asks_for_what_its_scope_needs(visit) -> None:  # noqa: F811
    page = visit().open("/admin/jobs/concurrencylimit/add/")
    expect(page.locator("#id_site")).to_be_hidden()
    page.select_option("#id_scope", "site")
    expect(page.locator("#id_site")).to_be_visible()
    expect(page.locator("#id_domain")).to_be_hidden()
