"""Schedules, kinds, pause and retry, maintenance windows and concurrency limits through the API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient
from taggit.models import Tag

from jobs.choices import RunStatus
from jobs.kinds import KINDS
from jobs.limits import ConcurrencyLimit
from jobs.models import Job, Run
from jobs.windows import MaintenanceWindow
from tests.netraven_site.api_helpers import admin_client, client_with, make_device, make_job, make_run, make_window

pytestmark = pytest.mark.django_db
JOB = {"name": "Nightly", "kind": "backup", "all_devices": True}
WINDOW = {"name": "Weekend", "tags": ["core"], "cron": "0 22 * * 6", "duration_min": 240}


@pytest.fixture
def client() -> APIClient:
    Tag.objects.get_or_create(name="core")
    return admin_client()


def post(client: APIClient, where: str, body: dict[str, Any] | None = None) -> Any:
    return client.post(f"/api/v1/{where}", body or {}, format="json")


def words(answer: Any, field: str) -> str:
    return " ".join(answer.json()["errors"][field])


# --- schedules ------------------------------------------------------------------------------------
def test_a_job_is_scheduled_and_says_when_it_starts_next(client: APIClient) -> None:
    schedule = {"recurrence": "cron", "cron": "15 2 * * 1-5", "time_zone": "Europe/Berlin", "overlap": "queue"}
    answer = post(client, "jobs/", {**JOB, **schedule, "jitter_s": 60, "max_parallel": 20})
    assert answer.status_code == 201, answer.content
    made = answer.json()
    assert {name: made[name] for name in schedule} == schedule
    assert made["schedule_text"] == "At 02:15 on Monday through Friday (Europe/Berlin), put off by up to 1 min"
    assert datetime.fromisoformat(made["next_run_at"]) > timezone.now()
    assert made["max_parallel"] == 20


def test_changing_one_field_of_a_schedule_plans_anew_and_taking_it_away_ends_it(client: APIClient) -> None:
    made = post(client, "jobs/", {**JOB, "recurrence": "interval", "interval_s": 86_400}).json()
    url = f"/api/v1/jobs/{made['id']}/"
    sooner = client.patch(url, {"interval_s": 600}, format="json").json()
    assert datetime.fromisoformat(sooner["next_run_at"]) - timezone.now() <= timedelta(minutes=10)
    assert client.patch(url, {"enabled": False}, format="json").json()["next_run_at"] is None
    assert client.patch(url, {"enabled": True}, format="json").json()["next_run_at"] is not None
    assert client.patch(url, {"recurrence": "none"}, format="json").json()["next_run_at"] is None


def test_the_next_start_is_read_and_never_written(client: APIClient) -> None:
    made = post(client, "jobs/", {**JOB, "next_run_at": "2020-01-01T00:00:00Z"}).json()
    assert made["next_run_at"] is None


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({"recurrence": "cron", "cron": "0 0 30 2 *"}, "cron", "never fires"),
        ({"recurrence": "cron"}, "cron", "five fields"),
        ({"recurrence": "cron", "cron": "0 0 * * *", "time_zone": "Berlin"}, "time_zone", "did you mean Europe/Berlin"),
        ({"recurrence": "interval"}, "interval_s", "how long"),
        ({"recurrence": "interval", "interval_s": 30}, "interval_s", "60"),
        ({"recurrence": "interval", "interval_s": 600, "jitter_s": 601}, "jitter_s", "no longer than"),
        ({"recurrence": "once"}, "run_at", "Say when"),
        ({"recurrence": "once", "run_at": "2020-01-01T00:00:00Z"}, "run_at", "past"),
        (
            {"recurrence": "once", "run_at": "9999-12-31T23:59:59Z", "time_zone": "Asia/Tokyo"},
            "run_at",
            "too far away",
        ),
        ({"recurrence": "interval", "interval_s": 10**18}, "interval_s", "3650 days at most"),
        ({"recurrence": "daily"}, "recurrence", "daily"),
        ({"overlap": "both"}, "overlap", "both"),
        ({"max_parallel": 0}, "max_parallel", "1"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_with_its_field(
    client: APIClient, body: dict[str, Any], field: str, says: str
) -> None:
    answer = post(client, "jobs/", {**JOB, **body})
    assert answer.status_code == 400
    assert says in words(answer, field)
    assert not Job.objects.exists()


def test_jobs_are_ordered_by_their_next_start(client: APIClient) -> None:
    for name, cron in (("later", "0 0 1 1 *"), ("sooner", "* * * * *")):
        post(client, "jobs/", {**JOB, "name": name, "recurrence": "cron", "cron": cron})
    found = client.get("/api/v1/jobs/?ordering=next_run_at").json()["results"]
    assert [job["name"] for job in found] == ["sooner", "later"]


# --- kinds ----------------------------------------------------------------------------------------
def test_every_kind_is_listed_with_what_it_takes(client: APIClient) -> None:
    found = {each["name"]: each for each in client.get("/api/v1/kinds/").json()["results"]}
    assert set(found) == set(KINDS)
    for name, kind in KINDS.items():
        assert found[name]["on_devices"] is kind.on_devices
        assert [each["name"] for each in found[name]["parameters"]] == [each.name for each in kind.parameters]
    (parameter,) = found["credential_test"]["parameters"]
    assert (parameter["type"], parameter["required"], parameter["choices"]) == ("credential", False, [])


def test_a_job_of_a_kind_that_works_on_no_device_takes_none(client: APIClient) -> None:
    answer = post(client, "jobs/", {"name": "n", "kind": "prune", "all_devices": True})
    assert answer.status_code == 400
    assert "works on no device" in answer.json()["detail"]
    assert post(client, "jobs/", {"name": "n", "kind": "prune"}).status_code == 201


@pytest.mark.parametrize("kind", ["prune", "key_rotation"])
def test_who_may_only_write_and_run_jobs_sets_up_none_that_deletes_or_rewrites_what_others_keep(kind: str) -> None:
    few = client_with("jobs.run_job", "jobs.view_job", "jobs.add_job", "jobs.change_job", name="few")
    job = Job.objects.create(name="theirs", kind=kind)
    for answer in (
        post(few, "runs/", {"kind": kind}),
        post(few, "jobs/", {"name": "n", "kind": kind}),
        few.patch(f"/api/v1/jobs/{job.pk}/", {"enabled": False}, format="json"),
    ):
        assert answer.status_code == 403
        assert "needs the permission" in answer.json()["detail"]
    assert not Run.objects.exists()
    assert Job.objects.get().enabled
    more = client_with("jobs.run_job", *KINDS[kind].permissions, name="more")
    assert post(more, "runs/", {"kind": kind}).status_code == 201


# --- runs -----------------------------------------------------------------------------------------
def test_a_run_is_paused_and_resumed(client: APIClient) -> None:
    make_device()
    run = post(client, "runs/", {"kind": "backup"}).json()["id"]
    assert post(client, f"runs/{run}/pause/").json()["status"] == "paused"
    assert post(client, f"runs/{run}/pause/").status_code == 409
    assert post(client, f"runs/{run}/resume/").json()["status"] == "queued"
    answer = post(client, f"runs/{run}/resume/")
    assert (answer.status_code, answer.json()["detail"]) == (409, "This run is not paused.")


def test_what_failed_is_retried(client: APIClient) -> None:
    run = make_run(make_device("a"), make_device("b"), status=RunStatus.PARTIAL)
    run.results.filter(device_name="b").update(outcome="timeout")
    answer = post(client, f"runs/{run.pk}/retry/")
    assert answer.status_code == 201
    assert (answer.json()["retry_of"], answer.json()["device_count"]) == (run.pk, 1)
    assert [each["id"] for each in client.get(f"/api/v1/runs/?retry_of={run.pk}").json()["results"]] == [
        answer.json()["id"]
    ]
    good = make_run(make_device("c"))
    assert post(client, f"runs/{good.pk}/retry/").status_code == 409


def test_a_run_may_be_told_to_work_in_windows_too(client: APIClient) -> None:
    make_device()
    job = make_job(all_devices=True)
    make_window()
    assert post(client, f"jobs/{job.pk}/run/").json()["ignores_windows"] is False
    assert post(client, f"jobs/{job.pk}/run/", {"ignores_windows": True}).json()["ignores_windows"] is True
    adhoc = post(client, "runs/", {"kind": "backup", "ignores_windows": True, "max_parallel": 3}).json()
    assert (adhoc["ignores_windows"], adhoc["max_parallel"]) == (True, 3)
    assert post(client, "runs/", {"kind": "backup", "max_parallel": 0}).status_code == 400
    assert post(client, f"jobs/{job.pk}/run/", {"ignore_windows": True}).status_code == 400


def test_progress_tells_failures_from_devices_that_were_left_alone(client: APIClient) -> None:
    run = make_run(*(make_device(name) for name in "abc"))
    run.results.filter(device_name="b").update(outcome="timeout")
    run.results.filter(device_name="c").update(
        outcome="cancelled", detail="Left alone: maintenance window Weekend until 02:00 CET."
    )
    found = client.get(f"/api/v1/runs/{run.pk}/progress/").json()
    assert {name: found[name] for name in ("done", "succeeded", "failed", "left_alone")} == {
        "done": 3,
        "succeeded": 1,
        "failed": 1,
        "left_alone": 1,
    }
    assert found["summary"] == {}


def test_scheduled_runs_are_found_by_their_time(client: APIClient) -> None:
    job = make_job()
    when = timezone.now().replace(microsecond=0)
    run = make_run(job=job, trigger="schedule", scheduled_for=when)
    make_run()
    day = when.strftime("%Y-%m-%dT%H:%M:%SZ")
    found = client.get(f"/api/v1/runs/?scheduled_since={day}").json()["results"]
    assert [each["id"] for each in found] == [run.pk]
    assert datetime.fromisoformat(found[0]["scheduled_for"]) == when
    assert Run.objects.count() == 2


# --- windows --------------------------------------------------------------------------------------
def test_a_window_is_made_read_changed_and_deleted(client: APIClient) -> None:
    answer = post(client, "maintenance-windows/", {**WINDOW, "time_zone": "Europe/Berlin"})
    assert answer.status_code == 201, answer.content
    made = answer.json()
    assert made["text"] == "At 22:00 on Saturday (Europe/Berlin), for 4 h"
    assert datetime.fromisoformat(made["begins_next"]) > timezone.now()
    url = f"/api/v1/maintenance-windows/{made['id']}/"
    changed = client.patch(url, {"duration_min": 30}, format="json").json()
    assert (changed["duration_min"], changed["tags"]) == (30, ["core"])
    assert client.put(url, client.get(url).json(), format="json").status_code == 200
    assert client.delete(url).status_code == 204


def test_a_window_that_is_open_says_until_when(client: APIClient) -> None:
    window = make_window()
    found = client.get(f"/api/v1/maintenance-windows/{window.pk}/").json()
    assert datetime.fromisoformat(found["open_until"]) == window.starts_at + timedelta(minutes=120)
    assert found["begins_next"] is None
    assert client.get("/api/v1/maintenance-windows/?tag=core&enabled=true").json()["count"] == 1


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"tags": []}, "tags", "Choose a tag"),
        ({"tags": ["nowhere"]}, "tags", "There is no tag nowhere"),
        ({"cron": ""}, "cron", "Say when it begins"),
        ({"starts_at": "2030-01-01T00:00:00Z"}, "starts_at", "not both"),
        ({"cron": "", "starts_at": "9999-12-31T23:00:00Z"}, "starts_at", "too far away"),
        ({"cron": "0 0 31 2 *"}, "cron", "never fires"),
        ({"duration_min": 0}, "duration_min", "a minute long"),
        ({"time_zone": "Mars"}, "time_zone", "no time zone"),
        ({"duration": 5}, "duration", "no such field. Did you mean duration_min"),
    ],
)
def test_what_is_no_window_is_refused_with_its_field(
    client: APIClient, change: dict[str, Any], field: str, says: str
) -> None:
    answer = post(client, "maintenance-windows/", {**WINDOW, **change})
    assert answer.status_code == 400
    assert says in words(answer, field)
    assert not MaintenanceWindow.objects.exists()


# --- limits ---------------------------------------------------------------------------------------
def test_a_limit_is_made_changed_and_deleted(client: APIClient) -> None:
    answer = post(client, "concurrency-limits/", {"scope": "tag", "tag": "core", "devices": 5})
    assert answer.status_code == 201, answer.content
    made = answer.json()
    assert (made["tag"], made["devices"], made["in_use"]) == ("core", 5, 0)
    url = f"/api/v1/concurrency-limits/{made['id']}/"
    assert client.patch(url, {"devices": 7}, format="json").json()["devices"] == 7
    moved = client.patch(url, {"scope": "site", "site": "Paris"}, format="json").json()
    assert (moved["scope"], moved["site"], moved["tag"]) == ("site", "Paris", None)
    assert client.get("/api/v1/concurrency-limits/?scope=site").json()["count"] == 1
    assert client.delete(url).status_code == 204


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({"scope": "system", "devices": 0}, "devices", "A limit is 1 device or more."),
        ({"scope": "system", "devices": -1}, "devices", "A limit is 1 device or more."),
        ({"scope": "system"}, "devices", "required"),
        ({"scope": "site", "devices": 1}, "site", "Name the site"),
        ({"scope": "tag", "tag": "nowhere", "devices": 1}, "tag", "There is no tag nowhere."),
        ({"scope": "planet", "devices": 1}, "scope", "planet"),
    ],
)
def test_what_is_no_limit_is_refused_with_its_field(
    client: APIClient, body: dict[str, Any], field: str, says: str
) -> None:
    answer = post(client, "concurrency-limits/", body)
    assert answer.status_code == 400
    assert says in words(answer, field)
    assert not ConcurrencyLimit.objects.exists()


def test_a_second_limit_for_the_same_is_refused(client: APIClient) -> None:
    body = {"scope": "domain", "domain": "tacacs", "devices": 1}
    assert post(client, "concurrency-limits/", body).status_code == 201
    assert "There is a limit for this already" in words(post(client, "concurrency-limits/", body), "domain")


def test_a_time_with_an_offset_is_that_moment(client: APIClient) -> None:
    made = post(client, "jobs/", {**JOB, "recurrence": "once", "run_at": "2030-07-01T02:15:00+02:00"}).json()
    assert Job.objects.get().next_run_at == datetime(2030, 7, 1, 0, 15, tzinfo=UTC)
    assert made["schedule_text"].startswith("Once, at 2030-07-01 00:15 UTC")
