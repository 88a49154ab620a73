"""Jobs, runs with their live progress, and the decisions on host keys."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from devices.choices import HostKeyState
from devices.models import HostKey
from jobs.choices import ResultStatus, RunStatus
from jobs.models import Job, Result, Run, Shard
from netraven_site.panels.jobs import parameters_from, parameters_text
from tests.netraven_site.api_helpers import (
    config,
    make_credential,
    make_device,
    make_job,
    make_key,
    make_run,
    make_version,
)
from tests.netraven_site.pages import administrator, body, list_of, messages_of, page_of, staff_with, text_of

pytestmark = pytest.mark.django_db

QUEUE = "/admin/devices/hostkey/"


def _form(**changed: Any) -> dict[str, Any]:
    return {"name": "Nightly", "description": "", "enabled": "on", "kind": "backup", "parameters_lines": "", **changed}


# --- jobs -----------------------------------------------------------------------------------------
def test_a_job_is_made_for_tags_and_devices() -> None:
    device = make_device(tags=("core",))
    tag = device.tags.get()
    answer = administrator().post(reverse("admin:jobs_job_add"), _form(tags=[tag.pk], devices=[device.pk]))
    job = Job.objects.get()
    assert answer.url == page_of("jobs_job", job.pk)
    assert (list(job.tags.all()), list(job.devices.all())) == ([tag], [device])


def test_the_form_of_a_job_offers_every_kind_with_its_meaning() -> None:
    page = administrator().get(reverse("admin:jobs_job_add"))
    form = page.context["adminform"].form
    assert ("backup", "Backup") in form.fields["kind"].choices
    assert "Fetch the running configuration" in form.fields["kind"].help_text


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("speed = 5", "A backup takes no parameters"),
        ("nonsense", "name = value"),
        ("= 5", "name = value"),
    ],
)
def test_parameters_that_the_kind_does_not_take_are_refused(lines: str, says: str) -> None:
    page = administrator().post(reverse("admin:jobs_job_add"), _form(parameters_lines=lines))
    assert says in text_of(page)
    assert not Job.objects.exists()


def test_parameters_are_kept_and_shown_again() -> None:
    make_credential("noc")
    client = administrator()
    client.post(
        reverse("admin:jobs_job_add"),
        _form(kind="credential_test", parameters_lines="credential = noc", all_devices="on"),
    )
    job = Job.objects.get()
    assert job.parameters == {"credential": "noc"}
    assert "credential = noc" in body(client.get(page_of("jobs_job", job.pk, "change")))


@pytest.mark.parametrize(
    "parameters",
    [{}, {"a": "text = more"}, {"a": 5, "b": [1, "x"], "c": True, "d": None}, {"a": "5"}, {"a": "ü\\n"}, {"a": '"q"'}],
)
def test_parameters_survive_being_written_as_lines(parameters: dict[str, Any]) -> None:
    assert parameters_from(parameters_text(parameters)) == parameters


def test_a_job_says_on_how_many_devices_it_would_run_now() -> None:
    make_device("sw1")
    make_device("sw2")
    make_device("off", enabled=False)
    job = make_job(tags=("core",))
    assert "Run now on 2 devices" in text_of(administrator().get(page_of("jobs_job", job.pk)))


def test_a_job_on_no_device_says_what_to_do() -> None:
    job = make_job(tags=("nowhere",))
    assert "No enabled device is chosen" in text_of(administrator().get(page_of("jobs_job", job.pk)))


def test_run_now_starts_the_job_in_the_name_of_the_person() -> None:
    make_device()
    job = make_job(all_devices=True)
    answer = administrator("vera").post(page_of("jobs_job", job.pk, "run"), follow=True)
    run = Run.objects.get()
    assert (run.job, run.requested_by_name, run.device_count) == (job, "vera", 1)
    assert "was started on 1 device." in messages_of(answer)[0]


def test_a_run_on_no_device_is_explained_and_no_success() -> None:
    job = make_job(tags=("nowhere",))
    answer = administrator().post(page_of("jobs_job", job.pk, "run"), follow=True)
    assert Run.objects.get().status == RunStatus.FAILED
    assert "No enabled device was chosen" in messages_of(answer)[0]
    assert "No enabled device was chosen" in text_of(answer)


def test_a_disabled_job_is_not_started() -> None:
    job = make_job(enabled=False)
    answer = administrator().post(page_of("jobs_job", job.pk, "run"), follow=True)
    assert "is disabled" in messages_of(answer)[0]
    assert not Run.objects.exists()


def test_running_a_job_needs_its_right_and_a_post() -> None:
    job = make_job(all_devices=True)
    client = staff_with("jobs.view_job", "jobs.change_job")
    assert client.post(page_of("jobs_job", job.pk, "run")).status_code == 403
    assert "Run now" not in text_of(client.get(page_of("jobs_job", job.pk)))
    assert administrator().get(page_of("jobs_job", job.pk, "run")).status_code == 405
    assert not Run.objects.exists()


def test_several_jobs_are_started_after_a_confirmation_that_counts_devices() -> None:
    make_device("sw1")
    make_device("sw2", tags=("lab",))
    jobs = [make_job("one", tags=("core",)), make_job("two", tags=("lab",))]
    client = administrator()
    data = {"action": "run_now", "index": "0", "select_across": "0", "_selected_action": [str(job.pk) for job in jobs]}
    page = client.post(list_of("jobs_job"), data)
    assert "Run on 2 devices" in text_of(page)
    assert not Run.objects.exists()
    client.post(list_of("jobs_job"), {**data, "confirmed": "yes"})
    assert sorted(Run.objects.values_list("job_name", flat=True)) == ["one", "two"]


# --- runs -----------------------------------------------------------------------------------------
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


def test_a_run_is_cancelled_by_those_who_may() -> None:
    run = _running(done=1, left=2)
    assert staff_with("jobs.view_run").post(page_of("jobs_run", run.pk, "cancel")).status_code == 403
    answer = administrator().post(page_of("jobs_run", run.pk, "cancel"), follow=True)
    assert "The run stops" in messages_of(answer)[0]
    run.refresh_from_db()
    assert run.cancel_requested


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


# --- host keys --------------------------------------------------------------------------------------
def _decide(client: Client, action: str, keys: list[HostKey], **more: Any):
    data = {"action": action, "index": "0", "select_across": "0", "_selected_action": [str(key.pk) for key in keys]}
    return client.post(list_of("devices_hostkey"), {**data, **more}, follow=True)


def _waiting(name: str = "sw1") -> HostKey:
    device = make_device(name)
    make_key(device, f"SHA256:old-{name}", HostKeyState.PINNED)
    return make_key(device, f"SHA256:new-{name}")


def test_the_confirmation_names_the_devices_with_old_and_new_fingerprints_side_by_side() -> None:
    keys = [_waiting("sw1"), _waiting("sw2")]
    page = _decide(administrator(), "approve", keys)
    seen = text_of(page)
    for word in ("sw1", "sw2", "SHA256:old-sw1", "SHA256:new-sw1", "SHA256:old-sw2", "Approve 2 keys"):
        assert word in seen
    assert set(HostKey.objects.filter(state=HostKeyState.PENDING)) == set(keys)


def test_confirmed_keys_are_pinned_and_the_old_ones_retired() -> None:
    key = _waiting()
    user = "vera"
    answer = _decide(administrator(user), "approve", [key], confirmed="yes", seen=f"{key.pk}={key.fingerprint}")
    key.refresh_from_db()
    assert key.state == HostKeyState.PINNED
    assert key.decided_by.username == user
    assert HostKey.objects.get(fingerprint="SHA256:old-sw1").state == HostKeyState.RETIRED
    assert messages_of(answer) == ["1 key approved: sw1."]


def test_a_key_that_nobody_has_seen_is_not_approved_with_the_others() -> None:
    seen, late = _waiting("sw1"), _waiting("sw2")
    data = {"select_across": "1", "confirmed": "yes", "seen": f"{seen.pk}={seen.fingerprint}"}
    _decide(administrator(), "approve", [seen], **data)
    late.refresh_from_db()
    assert late.state == HostKeyState.PENDING


def test_a_decision_on_a_key_that_is_no_longer_the_one_shown_is_refused() -> None:
    key = _waiting()
    newer = make_key(key.device, "SHA256:newer")
    HostKey.objects.filter(pk=newer.pk).update(last_seen_at=timezone.now() + timedelta(seconds=5))
    answer = _decide(administrator(), "approve", [key], confirmed="yes", seen=f"{key.pk}={key.fingerprint}")
    assert "shown yet another key meanwhile" in messages_of(answer)[0]
    key.refresh_from_db()
    assert key.state == HostKeyState.PENDING


def test_a_rejected_key_leaves_the_device_pinned_to_what_it_had() -> None:
    key = _waiting()
    _decide(administrator(), "reject", [key], confirmed="yes", seen=f"{key.pk}={key.fingerprint}")
    assert HostKey.objects.get(fingerprint="SHA256:old-sw1").state == HostKeyState.PINNED
    key.refresh_from_db()
    assert key.state == HostKeyState.RETIRED


def test_deciding_needs_its_right() -> None:
    key = _waiting()
    client = staff_with("devices.view_hostkey", "devices.view_device")
    _decide(client, "approve", [key], confirmed="yes", seen=f"{key.pk}={key.fingerprint}")
    assert client.post(page_of("devices_hostkey", key.pk, "decide"), {"decision": "approve"}).status_code == 403
    key.refresh_from_db()
    assert key.state == HostKeyState.PENDING


@pytest.mark.parametrize(("back", "to"), [("/admin/", "/admin/"), ("https://evil.example/", QUEUE), ("", QUEUE)])
def test_a_key_is_decided_from_the_page_of_its_device_and_one_comes_back_there(back: str, to: str) -> None:
    key = _waiting()
    answer = administrator().post(
        page_of("devices_hostkey", key.pk, "decide"),
        {"decision": "approve", "fingerprint": key.fingerprint, "next": back},
    )
    assert answer.url == to
    key.refresh_from_db()
    assert key.state == HostKeyState.PINNED


def test_a_decision_with_another_fingerprint_than_the_row_is_stale() -> None:
    key = _waiting()
    url = page_of("devices_hostkey", key.pk, "decide")
    answer = administrator().post(url, {"decision": "approve", "fingerprint": "SHA256:other"}, follow=True)
    assert "no longer waits" in messages_of(answer)[0]
    key.refresh_from_db()
    assert key.state == HostKeyState.PENDING


def test_the_menu_counts_the_keys_that_wait_and_leads_to_them() -> None:
    _waiting()
    page = body(administrator().get(reverse("admin:index")))
    assert 'href="/admin/devices/hostkey/?state=pending"' in page
