"""Runs: their page while they go on and afterwards, and its buttons."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.choices import ResultStatus, RunStatus
from jobs.models import Result, Run, Shard
from tests.netraven_site.api_helpers import (
    config,
    make_attempt,
    make_credential,
    make_device,
    make_run,
    make_version,
)
from tests.netraven_site.pages import administrator, body, list_of, messages_of, page_of, staff_with, text_of

pytestmark = pytest.mark.django_db


def _running(done: int, left: int) -> Run:
    now = timezone.now()
    run = Run.objects.create(
        job_name="Backup",
        kind="backup",
        status=RunStatus.RUNNING,
        device_count=done + left,
        created_at=now - timedelta(seconds=4),
        started_at=now,
        requested_by_name="vera",
    )
    shard = Shard.objects.create(run=run, number=1)
    for number in range(done + left):
        device = make_device(f"sw{number:02}")
        finished = {"status": ResultStatus.DONE, "outcome": "success", "duration_s": 1.5} if number < done else {}
        Result.objects.create(run=run, shard=shard, device=device, device_name=device.name, **finished)
    return run


def test_the_progress_of_a_run_is_read_as_json_with_the_part_of_the_page_that_changes() -> None:
    run = _running(done=2, left=3)
    answer = administrator().get(page_of("jobs_run", run.pk, "progress"))
    data = answer.json()
    assert (data["finished"], data["done"], data["total"]) == (False, 2, 5)
    assert data["by_outcome"] == {"success": 2}
    assert "<b>2</b> of 5 devices" in data["html"]
    assert "<html" not in data["html"]
    assert "started by" in data["html"]
    assert "no-store" in answer["Cache-Control"]


def test_a_running_page_asks_again_and_a_finished_one_does_not() -> None:
    client = administrator()
    running = body(client.get(page_of("jobs_run", _running(1, 1).pk)))
    finished = body(client.get(page_of("jobs_run", make_run(make_device()).pk)))
    assert 'data-nr-poll="/admin/jobs/run/' in running
    assert 'data-nr-every="2000"' in running
    assert "data-nr-poll" not in finished


def test_progress_and_page_need_the_right_to_see_runs() -> None:
    run = make_run(make_device())
    client = staff_with("devices.view_device")
    assert client.get(page_of("jobs_run", run.pk, "progress")).status_code == 403
    assert client.get(page_of("jobs_run", run.pk)).status_code == 403


def test_what_failed_stands_first_with_advice_and_a_place_where_it_is_mended() -> None:
    run = make_run(make_device("a"), make_device("b"))
    bad = make_device("z")
    Result.objects.create(
        run=run, device=bad, device_name="z", status=ResultStatus.DONE, outcome="host_key_changed", detail="<new>"
    )
    page = administrator().get(page_of("jobs_run", run.pk))
    assert [row.device_name for row in page.context["page"]] == ["z", "a", "b"]
    assert "Approve the new key only if you know why it changed." in text_of(page)
    assert "/admin/devices/hostkey/?device=z" in body(page)
    assert "<new>" not in body(page)


@pytest.mark.parametrize(
    ("chosen", "found"), [("rejected", ["b"]), ("tone:good", ["a"]), ("pending", []), ("rubbish", ["b", "a"])]
)
def test_results_are_filtered_by_outcome(chosen: str, found: list[str]) -> None:
    run = make_run(make_device("a"))
    device = make_device("b")
    Result.objects.create(run=run, device=device, device_name="b", status=ResultStatus.DONE, outcome="rejected")
    page = administrator().get(page_of("jobs_run", run.pk) + f"?outcome={chosen}")
    assert [row.device_name for row in page.context["page"]] == found


def test_a_result_leads_to_the_version_that_it_stored() -> None:
    device = make_device()
    version = make_version(device, config("vlan 1"))
    run = make_run(device)
    Result.objects.update(config_version=version, config_changed=True)
    page = body(administrator().get(page_of("jobs_run", run.pk)))
    assert page_of("devices_configversion", version.pk) in page
    assert "v1 changed" in page


def test_devices_of_a_cancelled_run_are_not_told_as_failed() -> None:
    run = _running(done=1, left=2)
    Result.objects.filter(run=run, status=ResultStatus.PENDING).update(status=ResultStatus.DONE, outcome="cancelled")
    Run.objects.filter(pk=run.pk).update(status=RunStatus.CANCELLED, finished_at=timezone.now())
    page = text_of(administrator().get(page_of("jobs_run", run.pk)))
    assert "2 cancelled" in page
    assert " failed" not in page
    assert "Retry 2 devices that did not succeed" in page
    assert "devices/s" not in page


def test_credentials_are_linked_only_for_those_who_may_see_them() -> None:
    device, credential = make_device(), make_credential()
    run = make_run(device)
    Result.objects.filter(run=run).update(credential=credential, credential_name=credential.name)
    make_attempt(device, credential, run=run)
    few = staff_with("jobs.view_run", "jobs.view_result", "jobs.view_attempt")
    root = administrator()
    for url in (page_of("jobs_run", run.pk), list_of("jobs_attempt")):
        assert page_of("credentials_credential", credential.pk) not in body(few.get(url))
        assert page_of("credentials_credential", credential.pk) in body(root.get(url))


def test_an_incomplete_output_leads_to_the_answer_that_was_kept_aside() -> None:
    run = make_run(make_device("sw1"), outcome="incomplete_output")
    page = body(administrator().get(page_of("jobs_run", run.pk)))
    assert list_of("devices_keptaside") + "?device=sw1" in page


def test_a_run_is_cancelled_by_those_who_may() -> None:
    run = _running(done=1, left=2)
    assert staff_with("jobs.view_run").post(page_of("jobs_run", run.pk, "cancel")).status_code == 403
    answer = administrator().post(page_of("jobs_run", run.pk, "cancel"), follow=True)
    assert "The run stops" in messages_of(answer)[0]
    run.refresh_from_db()
    assert run.cancel_requested


@pytest.mark.parametrize("verb", ["cancel", "pause", "resume", "retry"])
def test_the_buttons_of_a_run_need_the_right_to_run_and_a_post(verb: str) -> None:
    run = _running(done=1, left=2)
    url = page_of("jobs_run", run.pk, verb)
    few = staff_with("jobs.view_run")
    assert few.post(url).status_code == 403
    assert administrator().get(url).status_code == 405
    assert "to come" not in body(few.get(page_of("jobs_run", run.pk))).split('id="nr-run-tools"')[1].split("</span>")[0]
    run.refresh_from_db()
    assert (run.status, run.cancel_requested) == (RunStatus.RUNNING, False)


def test_a_run_is_paused_and_resumed_and_each_button_says_how_many_devices_it_touches() -> None:
    run = _running(done=1, left=2)
    client = administrator()
    page = text_of(client.get(page_of("jobs_run", run.pk)))
    assert "Pause, 2 devices to come" in page
    assert "Cancel, 2 devices to come" in page
    answer = client.post(page_of("jobs_run", run.pk, "pause"), follow=True)
    assert "The run pauses" in messages_of(answer)[0]
    assert "Paused" in text_of(answer)
    assert "Resume on 2 devices" in text_of(answer)
    answer = client.post(page_of("jobs_run", run.pk, "resume"), follow=True)
    assert "The run goes on." in messages_of(answer)[0]
    run.refresh_from_db()
    assert run.status == RunStatus.RUNNING


def test_what_failed_is_retried_in_a_run_that_names_the_one_before() -> None:
    run = make_run(make_device("a"), make_device("b"), status=RunStatus.PARTIAL)
    run.results.filter(device_name="b").update(outcome="timeout")
    client = administrator("vera")
    page = text_of(client.get(page_of("jobs_run", run.pk)))
    assert "Retry 1 failed device" in page
    assert "1 failed" in page
    answer = client.post(page_of("jobs_run", run.pk, "retry"), follow=True)
    again = Run.objects.latest("pk")
    assert (again.retry_of, again.requested_by_name) == (run, "vera")
    assert list(again.results.values_list("device_name", flat=True)) == ["b"]
    assert f"Retry of run #{run.pk}" in text_of(answer)
    assert f"Retried by run #{again.pk}" in text_of(client.get(page_of("jobs_run", run.pk)))


def test_a_run_without_failures_offers_no_retry() -> None:
    run = make_run(make_device())
    client = administrator()
    assert "Retry" not in text_of(client.get(page_of("jobs_run", run.pk)))
    answer = client.post(page_of("jobs_run", run.pk, "retry"), follow=True)
    assert "nothing to retry" in messages_of(answer)[0]


def test_the_progress_brings_the_buttons_with_their_numbers() -> None:
    run = _running(done=1, left=4)
    data = administrator().get(page_of("jobs_run", run.pk, "progress")).json()
    assert "Pause, 4 devices to come" in data["tools"]
    assert "csrfmiddlewaretoken" in data["tools"]


def test_a_skipped_start_says_which_run_was_in_the_way() -> None:
    run = make_run(
        status=RunStatus.SKIPPED,
        trigger="schedule",
        scheduled_for=timezone.now(),
        message="1 start skipped: run #7 of this job had not ended.",
        summary={"starts": 1, "run_in_the_way": 7},
    )
    page = text_of(administrator().get(page_of("jobs_run", run.pk)))
    for words in ("Skipped", "run #7 of this job had not ended", "Scheduled for", "started by Schedule"):
        assert words in page
    assert "of 0 devices" not in page


def test_a_run_on_no_device_shows_what_it_has_done() -> None:
    run = make_run(kind="prune", summary={"attempts": 12345, "oldest": "2026-01-01", "by_kind": {"runs": 2}})
    page = text_of(administrator().get(page_of("jobs_run", run.pk)))
    assert "attempts 12,345" in page
    assert "by kind runs 2" in page


def test_devices_that_were_left_alone_are_counted_apart_from_failures() -> None:
    run = make_run(make_device("a"), make_device("b"))
    run.results.filter(device_name="b").update(
        outcome="cancelled", detail="Left alone: maintenance window Weekend until 02:00 CET."
    )
    page = text_of(administrator().get(page_of("jobs_run", run.pk)))
    assert "1 left alone" in page
    assert "1 failed" not in page


def test_a_run_that_has_ended_cannot_be_cancelled() -> None:
    run = make_run(make_device())
    answer = administrator().post(page_of("jobs_run", run.pk, "cancel"), follow=True)
    assert "already ended" in messages_of(answer)[0]
    assert "Cancel" not in text_of(answer)


def test_the_page_of_a_run_costs_the_same_for_many_results(django_assert_max_num_queries) -> None:
    client = administrator()
    run = _running(done=60, left=0)
    client.get(page_of("jobs_run", run.pk))
    with django_assert_max_num_queries(14):
        client.get(page_of("jobs_run", run.pk))
