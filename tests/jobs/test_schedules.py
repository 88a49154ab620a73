"""Jobs that start by themselves: at their time, once, over all hosts, and never silently not."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone
from taggit.models import Tag

from jobs import schedules, tasks
from jobs.choices import Overlap, Recurrence, RunStatus, Trigger
from jobs.engine.runs import finish_run
from jobs.models import Job, Run, WorkerBeat
from jobs.schedules import plan_next, replan, start_due, upcoming
from jobs.services import cancel_run, save_job
from tests.netraven_site.api_helpers import make_device

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards wait in their rows: this is about when runs are made, not about who works on them."""
    monkeypatch.setattr("jobs.services.enqueue", lambda shard: None)


def job(name: str = "Nightly", **fields: Any) -> Job:
    values = {"kind": "backup", "all_devices": True, "recurrence": Recurrence.CRON, "cron": "0 2 * * *", **fields}
    return save_job(Job(name=name), **values)


def hourly(**fields: Any) -> Job:
    return job(**{"cron": "0 * * * *", **fields})


def planned(row: Job) -> datetime:
    row.refresh_from_db()
    assert row.next_run_at is not None
    return row.next_run_at


def runs(row: Job) -> list[Run]:
    return list(Run.objects.filter(job=row).order_by("pk"))


def end(run: Run, when: datetime | None = None) -> None:
    Run.objects.filter(pk=run.pk).update(status=RunStatus.SUCCEEDED, finished_at=when or timezone.now())


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# --- planning -------------------------------------------------------------------------------------
def test_saving_a_job_plans_its_next_start() -> None:
    row = job(time_zone="Europe/Berlin")
    start = planned(row).astimezone(UTC)
    assert start > timezone.now()
    assert start.strftime("%H:%M") in {"00:00", "01:00"}
    assert upcoming(row, timezone.now())[0] == start


def test_an_edit_of_the_schedule_reaches_the_scheduler_at_once() -> None:
    make_device()
    row = job()
    save_job(row, cron="*/5 * * * *")
    soon = planned(row)
    assert soon - timezone.now() <= timedelta(minutes=5)
    assert start_due(soon) == 1
    save_job(row, recurrence=Recurrence.NONE)
    assert Job.objects.get().next_run_at is None


def test_a_disabled_job_does_not_start_and_enabling_it_plans_anew() -> None:
    make_device()
    row = hourly()
    save_job(row, enabled=False)
    assert Job.objects.get().next_run_at is None
    assert start_due(timezone.now() + timedelta(hours=2)) == 0
    save_job(row, enabled=True)
    assert planned(row) > timezone.now()


def test_a_job_that_was_disabled_past_the_services_does_not_start_either() -> None:
    make_device()
    row = hourly()
    Job.objects.update(enabled=False)
    assert start_due(planned(row)) == 0
    assert not Run.objects.exists()


def test_what_is_due_is_not_lost_when_somebody_edits_the_description() -> None:
    make_device()
    row = hourly()
    due = timezone.now() - timedelta(minutes=10)
    Job.objects.update(next_run_at=due)
    save_job(Job.objects.get(), description="of the core")
    assert planned(row) == due
    assert start_due(timezone.now()) == 1


def test_a_time_that_is_past_is_refused_and_a_spent_one_does_not_stand_in_the_way_of_an_edit() -> None:
    make_device()
    past = timezone.now() - timedelta(minutes=1)
    with pytest.raises(ValidationError) as caught:
        job(recurrence=Recurrence.ONCE, run_at=past)
    assert "This time is past" in caught.value.message_dict["run_at"][0]
    row = job(recurrence=Recurrence.ONCE, run_at=timezone.now() + timedelta(hours=1))
    assert start_due(planned(row) + timedelta(seconds=3)) == 1
    Job.objects.update(run_at=past)
    changed = save_job(Job.objects.get(), description="done")
    assert (changed.next_run_at, changed.description) == (None, "done")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"cron": "0 0 30 2 *"}, "cron"),
        ({"cron": ""}, "cron"),
        ({"time_zone": "Europe/Berln"}, "time_zone"),
        ({"recurrence": "interval", "interval_s": 30}, "interval_s"),
        ({"recurrence": "interval", "interval_s": 600, "jitter_s": 601}, "jitter_s"),
        ({"recurrence": "sometimes"}, "recurrence"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_and_nothing_is_saved(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        job(**fields)
    assert field in caught.value.message_dict
    assert not Job.objects.exists()


def test_a_job_is_planned_anew_when_the_zone_of_the_server_has_changed(settings: Any) -> None:
    row = job()
    settings.TIME_ZONE = "Asia/Tokyo"
    assert replan(timezone.now()) == 1
    assert planned(row).astimezone(UTC).strftime("%H:%M") == "17:00"
    assert replan(timezone.now()) == 0


def test_a_start_that_was_planned_by_a_clock_that_went_wrong_is_put_right() -> None:
    row = hourly()
    Job.objects.update(next_run_at=timezone.now() + timedelta(days=900))
    now = timezone.now().replace(second=1)
    start_due(now)
    assert planned(row) - now <= timedelta(hours=1)


# --- starting -------------------------------------------------------------------------------------
def test_a_job_starts_once_at_its_time_and_is_planned_for_the_next() -> None:
    make_device()
    row = hourly()
    due = planned(row)
    assert start_due(due - timedelta(seconds=1)) == 0
    assert start_due(due + timedelta(seconds=2)) == 1
    assert start_due(due + timedelta(seconds=5)) == 0
    (run,) = runs(row)
    assert (run.trigger, run.scheduled_for, run.device_count, run.message) == (Trigger.SCHEDULE, due, 1, "")
    assert planned(row) == due + timedelta(hours=1)


def test_nothing_due_costs_one_query(django_assert_num_queries: Any) -> None:
    for number in range(20):
        hourly(name=f"job {number}")
    now = timezone.now().replace(second=30)
    with django_assert_num_queries(1):
        start_due(now)


def test_the_heartbeat_starts_what_is_due() -> None:
    make_device()
    row = hourly()
    Job.objects.update(next_run_at=timezone.now() - timedelta(seconds=1))
    WorkerBeat.objects.create(host="here", asked_at=timezone.now())
    tasks.heartbeat("here")
    assert [run.trigger for run in runs(row)] == [Trigger.SCHEDULE]


def test_what_was_missed_while_everything_was_down_is_made_up_for_once() -> None:
    make_device()
    row = hourly()
    due = planned(row)
    assert start_due(due + timedelta(hours=7, minutes=20)) == 1
    assert start_due(due + timedelta(hours=7, minutes=21)) == 0
    (run,) = runs(row)
    assert run.scheduled_for == due
    assert run.message.startswith("Makes up, once, for 8 starts that were missed from ")
    assert planned(row) == due + timedelta(hours=8)


def test_why_a_run_came_late_is_still_said_when_it_ended_with_devices_left_alone() -> None:
    make_device()
    row = hourly()
    start_due(planned(row) + timedelta(hours=2, minutes=20))
    (run,) = runs(row)
    run.results.update(status="done", outcome="cancelled", detail="Left alone: maintenance window W until 02:00 CET.")
    run.shards.update(status="done")
    assert finish_run(run.pk)
    message = runs(row)[0].message
    assert message.startswith("Makes up, once, for 3 starts")
    assert message.endswith("1 of 1 devices were left alone: maintenance window.")


def test_a_single_start_that_comes_late_says_so() -> None:
    make_device()
    row = job()
    assert start_due(planned(row) + timedelta(minutes=50)) == 1
    assert "nothing could start it for 50 min" in runs(row)[0].message


def test_a_start_of_a_job_on_no_device_is_explained_and_no_success() -> None:
    row = job(all_devices=False)
    start_due(planned(row))
    (run,) = runs(row)
    assert run.status == RunStatus.FAILED
    assert "No enabled device" in run.message


def test_a_job_that_can_no_longer_run_leaves_a_failed_run_with_the_reason() -> None:
    make_device()
    row = hourly()
    Job.objects.update(parameters={"force": True})
    due = planned(row)
    assert start_due(due) == 0
    (run,) = runs(row)
    assert (run.status, run.scheduled_for, run.trigger) == (RunStatus.FAILED, due, Trigger.SCHEDULE)
    assert "no parameter force" in run.message
    assert planned(row) > due


def test_a_schedule_that_has_become_senseless_fails_visibly_and_not_for_ever() -> None:
    make_device()
    row = hourly()
    due = planned(row)
    Job.objects.update(time_zone="Gone/Zone")
    start_due(due)
    start_due(due + timedelta(seconds=3))
    (run,) = runs(row)
    assert run.status == RunStatus.FAILED
    assert "There is no time zone Gone/Zone" in run.message


def test_a_fault_with_one_job_does_not_keep_the_others_from_starting(monkeypatch: pytest.MonkeyPatch) -> None:
    make_device()
    bad, good = hourly(name="bad"), hourly(name="good")
    begin = schedules._begin

    def broken(row: Job, *rest: Any) -> int:
        if row.pk == bad.pk:
            raise OSError("disk full")
        return begin(row, *rest)

    monkeypatch.setattr(schedules, "_begin", broken)
    due = planned(bad)
    assert start_due(due) == 1
    assert (len(runs(bad)), len(runs(good))) == (0, 1)
    assert planned(bad) == due, "it is tried again"


# --- overlap --------------------------------------------------------------------------------------
def test_a_start_that_is_skipped_leaves_a_row_that_names_the_run_in_the_way() -> None:
    make_device()
    row = hourly()
    due = planned(row)
    start_due(due)
    assert start_due(due + timedelta(hours=1)) == 0
    first, skipped = runs(row)
    assert (skipped.status, skipped.scheduled_for) == (RunStatus.SKIPPED, due + timedelta(hours=1))
    assert f"run #{first.pk} of this job had not ended" in skipped.message
    assert skipped.finished_at is not None


def test_many_skipped_starts_are_one_row_that_counts_them() -> None:
    make_device()
    row = hourly()
    due = planned(row)
    for hour in range(6):
        start_due(due + timedelta(hours=hour))
    first, skipped = runs(row)
    assert skipped.message.startswith("5 starts from ")
    assert skipped.summary == {"starts": 5, "run_in_the_way": first.pk}
    end(first)
    assert start_due(due + timedelta(hours=6)) == 1
    start_due(due + timedelta(hours=7))
    assert [run.status for run in runs(row)][2:] == [RunStatus.QUEUED, RunStatus.SKIPPED]


def test_a_paused_run_is_in_the_way_too() -> None:
    make_device()
    row = hourly()
    due = planned(row)
    start_due(due)
    Run.objects.update(status=RunStatus.PAUSED)
    start_due(due + timedelta(hours=1))
    assert "was paused" in runs(row)[1].message


def test_with_queue_one_start_waits_and_begins_when_the_earlier_run_has_ended() -> None:
    make_device()
    row = hourly(overlap=Overlap.QUEUE)
    due = planned(row)
    start_due(due)
    (first,) = runs(row)
    for hour in (1, 2, 3):
        assert start_due(due + timedelta(hours=hour)) == 0
    assert len(runs(row)) == 1
    ended = due + timedelta(hours=3, minutes=30)
    end(first, ended)
    assert start_due(ended + timedelta(seconds=2)) == 1
    assert start_due(ended + timedelta(seconds=5)) == 0
    second = runs(row)[1]
    assert second.scheduled_for == due + timedelta(hours=1)
    assert f"until run #{first.pk} had ended" in second.message
    assert "2 starts in between fell away" in second.message
    assert planned(row) == due + timedelta(hours=4)


def test_a_cancelled_run_is_no_longer_in_the_way() -> None:
    make_device()
    row = hourly()
    due = planned(row)
    start_due(due)
    cancel_run(runs(row)[0])
    assert start_due(due + timedelta(hours=1)) == 1


def test_a_job_with_a_tag_starts_on_the_devices_that_have_it_then() -> None:
    row = hourly(all_devices=False)
    row.tags.set([Tag.objects.create(name="late")])
    make_device("sw1", tags=("late",))
    start_due(planned(row))
    assert runs(row)[0].device_count == 1


# --- two schedulers -------------------------------------------------------------------------------
@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="one writer at a time elsewhere; see tests/e2e")
def test_schedulers_that_look_at_the_same_moment_start_one_run() -> None:
    make_device()
    rows = [hourly(name=f"job {number}") for number in range(10)]
    due = planned(rows[0])
    gate = threading.Barrier(4)
    started: list[int] = []

    def host() -> None:
        try:
            gate.wait()
            started.append(start_due(due))
        finally:
            connection.close()

    hosts = [threading.Thread(target=host) for _ in range(4)]
    for each in hosts:
        each.start()
    for each in hosts:
        each.join()
    assert sum(started) == 10
    assert [len(runs(row)) for row in rows] == [1] * 10


def test_a_start_that_has_a_run_already_is_not_run_again_whatever_the_plan_says() -> None:
    make_device()
    row = hourly()
    due = planned(row)
    start_due(due)
    end(runs(row)[0])
    # An edit that was read before the start, and written after it.
    Job.objects.update(next_run_at=due)
    assert start_due(due + timedelta(seconds=4)) == 0
    assert len(runs(row)) == 1
    assert planned(row) == due + timedelta(hours=1)


def test_planning_asks_the_same_whoever_asks() -> None:
    row = hourly(jitter_s=900)
    now = timezone.now()
    assert plan_next(row, now) == plan_next(Job.objects.get(), now) == planned(row)
