"""The kind `prune`: what is old enough goes, and nothing that is still needed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.utils import timezone

from credentials.choices import GuardState
from credentials.models import GuardAccount, GuardLogin, RememberedRejection
from devices.models import Device
from devices.services import save_device
from jobs.analytics.rollup import roll_up
from jobs.kinds import KINDS, prune
from jobs.models import Attempt, Job, Result, Run
from jobs.outputs import CommandOutput, pack
from jobs.rollups import LoginStep
from tests.jobs.fleet import credential, run_now

pytestmark = pytest.mark.django_db(transaction=True)
NOW = timezone.now()


def ago(days: float):
    return NOW - timedelta(days=days)


def perform(stop_after: int | None = None, **parameters):
    kind = KINDS["prune"]
    summaries: list[dict] = []

    def checkpoint(summary):
        summaries.append(dict(summary))
        return len(summaries) == stop_after

    return kind.perform(kind.clean(parameters), checkpoint)


@pytest.fixture
def device():
    return save_device(Device(), name="r1", host="10.0.0.1", platform="cisco_ios", tags=["lab"])


def a_run(days: float, job: Job | None = None, status: str = "succeeded", device: Device | None = None) -> Run:
    finished = ago(days) if status not in {"queued", "running", "paused"} else None
    run = Run.objects.create(
        job=job, job_name="x", kind="command", status=status, created_at=ago(days), finished_at=finished
    )
    result = Result.objects.create(run=run, device=device, device_name="r1", status="done", finished_at=ago(days))
    CommandOutput.objects.create(result=result, number=1, command="show version", packed=pack("x"), size=1)
    return run


def an_attempt(days: float, device: Device, run: Run | None = None, fate: str = "accepted") -> Attempt:
    return Attempt.objects.create(
        run=run,
        device=device,
        device_name="r1",
        credential_name="c",
        order=1,
        outcome="success",
        fate=fate,
        started_at=ago(days),
        duration_s=1,
    )


def test_old_runs_go_with_their_results_and_new_ones_stay(device):
    old, new = a_run(500), a_run(10)
    counts = perform()
    assert (
        counts.items()
        >= {
            "answers": 1,
            "attempts": 0,
            "replays": 0,
            "results": 1,
            "runs": 1,
            "guard_logins": 0,
            "sessions": 0,
        }.items()
    )
    assert list(Run.objects.all()) == [new]
    assert not Result.objects.filter(run_id=old.pk).exists()


def test_the_newest_run_of_each_job_stays_however_old_it_is(device):
    first, second = (Job.objects.create(name=name, kind="backup") for name in ("one", "two"))
    a_run(900, first)
    kept = [a_run(800, first), a_run(700, second)]
    perform()
    assert list(Run.objects.order_by("pk")) == kept


@pytest.mark.parametrize("status", ["queued", "running", "paused"])
def test_a_run_that_has_not_ended_stays(device, status):
    run = a_run(900, status=status)
    perform()
    assert list(Run.objects.all()) == [run]


def test_answers_go_sooner_than_the_results_that_they_belong_to(device):
    a_run(100)
    assert perform()["answers"] == 1
    assert Result.objects.count() == 1
    assert not CommandOutput.objects.exists()


def test_an_attempt_stays_until_the_analytics_have_counted_it(device):
    an_attempt(500, device)
    assert perform()["attempts"] == 0
    roll_up()
    newer = an_attempt(500, device)
    assert perform()["attempts"] == 1
    assert list(Attempt.objects.all()) == [newer]


def test_an_attempt_outlives_its_run(device):
    attempt = an_attempt(20, device, run=a_run(500))
    perform()
    attempt.refresh_from_db()
    assert attempt.run is None


def test_old_replays_go(device):
    owner = credential("c", "x")
    for number, days in enumerate((500, 5), start=1):
        LoginStep.objects.create(
            attempt=number, device=device, credential=owner, version=1, order=1, fate="rejected", at=ago(days)
        )
    assert perform()["replays"] == 1
    assert LoginStep.objects.get().attempt == 2


def test_books_of_the_guard_go_unless_a_rejection_is_remembered(device):
    account = GuardAccount.objects.create(key="local:1:ops", label="ops", scope="local")
    forgotten, remembered = credential("a", "x"), credential("b", "x")
    for owner, days in ((forgotten, 60), (forgotten, 1), (remembered, 60)):
        GuardLogin.objects.create(
            account=account,
            credential=owner.pk,
            credential_version=1,
            place="device:1",
            place_label="r1",
            state=GuardState.REJECTED,
            at=ago(days),
        )
    RememberedRejection.objects.create(
        credential=remembered, credential_version=1, place="device:1", place_label="r1", at=ago(60)
    )
    assert perform()["guard_logins"] == 1
    assert GuardLogin.objects.filter(credential=forgotten.pk).count() == 1
    assert GuardLogin.objects.filter(credential=remembered.pk).count() == 1


def test_logins_that_still_count_stay_whatever_is_asked_for(device, settings):
    from credentials.guard import get_guard

    settings.NETRAVEN_GUARD_WINDOW_S = 10 * 86400
    get_guard.cache_clear()
    account = GuardAccount.objects.create(key="local:1:ops", label="ops", scope="local")
    GuardLogin.objects.create(
        account=account, credential=1, credential_version=1, place="device:1", place_label="r1", at=ago(8)
    )
    try:
        assert perform(guard_days=2)["guard_logins"] == 0
    finally:
        get_guard.cache_clear()


def test_sessions_that_have_expired_go():
    for key, days in (("old", 1), ("new", -1)):
        Session.objects.create(session_key=key, session_data="x", expire_date=ago(days))
    assert perform()["sessions"] == 1
    assert Session.objects.get().session_key == "new"


def test_it_deletes_in_small_batches_stops_when_told_and_goes_on_later(device, monkeypatch):
    monkeypatch.setattr(prune, "BATCH", 3)
    monkeypatch.setattr(prune, "_RUNS_AT_ONCE", 2)
    for _ in range(10):
        a_run(500)
    first = perform(stop_after=2)
    assert first == {"answers": 6}
    assert CommandOutput.objects.count() == 4
    second = perform()
    assert (second["answers"], second["results"], second["runs"]) == (4, 10, 10)
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"attempts_days": 3}, "30 at least"),
        ({"runs_days": "x"}, "whole number"),
        ({"runs_days": 0}, "7 at least"),
        ({"days": 30}, "no parameter days"),
    ],
)
def test_days_that_would_delete_too_much_are_refused(parameters, words):
    with pytest.raises(ValidationError) as caught:
        KINDS["prune"].clean(parameters)
    assert words in " ".join(caught.value.messages)


def test_as_a_run_it_ends_with_the_counts_in_its_summary(device):
    a_run(500)
    run, results = run_now("prune")
    assert (run.status, results) == ("succeeded", {})
    assert run.summary["runs"] == 1


def test_it_works_on_no_device(device):
    with pytest.raises(ValidationError, match="works on no device"):
        run_now("prune", devices=[device])
