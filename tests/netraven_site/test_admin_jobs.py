"""Jobs: the form with its kinds and schedules, starting them; and the decisions on host keys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django import forms
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from devices.choices import HostKeyState
from devices.models import HostKey
from jobs.choices import RunStatus
from jobs.kinds import KINDS
from jobs.models import Job, Run
from jobs.services import save_job
from netraven_site.panels.jobform import field_name
from tests.netraven_site.api_helpers import (
    make_credential,
    make_device,
    make_job,
    make_key,
    make_run,
    make_window,
)
from tests.netraven_site.pages import administrator, body, list_of, messages_of, page_of, staff_with, text_of

pytestmark = pytest.mark.django_db

QUEUE = "/admin/devices/hostkey/"


def _form(**changed: Any) -> dict[str, Any]:
    return {
        "name": "Nightly",
        "description": "",
        "enabled": "on",
        "kind": "backup",
        "recurrence": "none",
        "overlap": "skip",
        **changed,
    }


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
    assert "Fetch the configuration of each device" in form.fields["kind"].help_text


def test_what_the_kind_refuses_stands_at_its_field_and_nothing_is_written() -> None:
    page = administrator().post(
        reverse("admin:jobs_job_add"), _form(kind="credential_test", credential_test__credential="ghost")
    )
    errors = page.context["adminform"].form.errors
    assert list(errors) == ["credential_test__credential"]
    assert not Job.objects.exists()


def test_parameters_are_kept_and_shown_again() -> None:
    make_credential("noc")
    client = administrator()
    client.post(
        reverse("admin:jobs_job_add"),
        _form(kind="credential_test", credential_test__credential="noc", all_devices="on"),
    )
    job = Job.objects.get()
    assert job.parameters == {"credential": "noc"}
    form = client.get(page_of("jobs_job", job.pk, "change")).context["adminform"].form
    assert form["credential_test__credential"].value() == "noc"
    assert "Credential noc" in text_of(client.get(page_of("jobs_job", job.pk)))


def test_the_fields_of_other_kinds_are_not_read() -> None:
    make_credential("noc")
    administrator().post(reverse("admin:jobs_job_add"), _form(credential_test__credential="noc"))
    assert Job.objects.get().parameters == {}


def test_every_parameter_of_every_kind_has_a_field_of_its_type() -> None:
    form = administrator().get(reverse("admin:jobs_job_add")).context["adminform"].form
    of_type = {"flag": forms.BooleanField, "choice": forms.ChoiceField, "credential": forms.ChoiceField}
    for kind in KINDS.values():
        for parameter in kind.parameters:
            field = form.fields[field_name(kind.name, parameter.name)]
            assert isinstance(field, of_type.get(parameter.type, forms.CharField)), (kind.name, parameter.name)
            assert field.help_text == parameter.help_text
            assert not field.required, "of the chosen kind the service says it, of the others nobody"


def test_the_names_of_credentials_are_for_those_who_may_see_them() -> None:
    make_credential("noc")
    few = staff_with("jobs.view_job", "jobs.add_job").get(reverse("admin:jobs_job_add"))
    assert "noc" not in text_of(few)
    assert "noc" in text_of(administrator().get(reverse("admin:jobs_job_add")))


def test_who_may_only_write_jobs_sets_up_none_that_deletes_what_others_keep() -> None:
    client = staff_with("jobs.view_job", "jobs.add_job")
    answer = client.post(reverse("admin:jobs_job_add"), _form(kind="prune"))
    assert "Pruning needs the permission jobs.delete_run" in text_of(answer)
    assert not Job.objects.exists()


def test_a_job_on_no_device_drops_the_devices_of_the_kind_before_and_runs() -> None:
    device = make_device()
    client = administrator()
    form = _form(kind="prune", tags=[device.tags.get().pk], devices=[device.pk], all_devices="on")
    client.post(reverse("admin:jobs_job_add"), form)
    job = Job.objects.get()
    assert (job.kind, job.all_devices, job.tags.count(), job.devices.count()) == ("prune", False, 0, 0)
    page = text_of(client.get(page_of("jobs_job", job.pk)))
    assert "Run now" in page
    assert "No enabled device is chosen" not in page
    answer = client.post(page_of("jobs_job", job.pk, "run"), follow=True)
    assert "of 0 devices" not in text_of(answer)
    assert "0 devices" not in " ".join(messages_of(answer))
    assert Run.objects.get().status == RunStatus.QUEUED


def test_parameters_with_defaults_are_filled_in_by_the_form() -> None:
    form = administrator().get(reverse("admin:jobs_job_add")).context["adminform"].form
    for kind in KINDS.values():
        for parameter in kind.parameters:
            if parameter.default is not None:
                assert form[field_name(kind.name, parameter.name)].value() == parameter.default


# --- schedules ------------------------------------------------------------------------------------
def test_a_job_is_scheduled_by_its_form_and_its_page_says_when() -> None:
    client = administrator()
    client.post(
        reverse("admin:jobs_job_add"),
        _form(recurrence="cron", cron="15 2 * * 1-5", time_zone="Europe/Berlin", jitter="10 min", overlap="queue"),
    )
    job = Job.objects.get()
    assert (job.cron, job.jitter_s, job.overlap) == ("15 2 * * 1-5", 600, "queue")
    assert job.next_run_at is not None
    page = text_of(client.get(page_of("jobs_job", job.pk)))
    assert "At 02:15 on Monday through Friday (Europe/Berlin), put off by up to 10 min" in page
    assert page.count(" CE") >= 3, "three starts with their zone"
    assert "Start when the earlier run has ended" in page


def test_an_interval_is_typed_and_shown_in_words() -> None:
    client = administrator()
    client.post(reverse("admin:jobs_job_add"), _form(recurrence="interval", every="1 h 30 min"))
    job = Job.objects.get()
    assert job.interval_s == 5400
    assert 'value="1 h 30 min"' in body(client.get(page_of("jobs_job", job.pk, "change")))
    assert "Every 1 h 30 min" in text_of(client.get(page_of("jobs_job", job.pk)))


def test_a_single_start_is_typed_on_the_clock_of_its_zone() -> None:
    client = administrator()
    form = _form(recurrence="once", start_at="2030-07-01T02:15", time_zone="Europe/Berlin")
    client.post(reverse("admin:jobs_job_add"), form)
    job = Job.objects.get()
    assert job.next_run_at == datetime(2030, 7, 1, 0, 15, tzinfo=UTC)
    assert 'value="2030-07-01T02:15"' in body(client.get(page_of("jobs_job", job.pk, "change")))


@pytest.mark.parametrize(
    ("changed", "field", "says"),
    [
        ({"recurrence": "cron", "cron": "0 0 30 2 *"}, "cron", "never fires"),
        ({"recurrence": "cron", "cron": "0 0 * * *", "time_zone": "berlin"}, "time_zone", "did you mean Europe/Berlin"),
        ({"recurrence": "interval"}, "every", "how long"),
        ({"recurrence": "interval", "every": "30 s"}, "every", "60"),
        ({"recurrence": "interval", "every": "soon"}, "every", "such as 15 min"),
        ({"recurrence": "interval", "every": "90"}, "every", "with its unit"),
        ({"recurrence": "interval", "every": "1 h", "jitter": "2 h"}, "jitter", "no longer than"),
        ({"recurrence": "once"}, "start_at", "Say when"),
        ({"recurrence": "once", "start_at": "2020-01-01T00:00"}, "start_at", "This time is past"),
        ({"recurrence": "once", "start_at": "tomorrow"}, "start_at", "Write date and time"),
        (
            {"recurrence": "once", "start_at": "9999-12-31T23:59", "time_zone": "America/Los_Angeles"},
            "start_at",
            "too far away",
        ),
        (
            {"recurrence": "once", "start_at": "2030-03-31T02:30", "time_zone": "Europe/Berlin"},
            "start_at",
            "the clock jumps over it",
        ),
        ({"max_parallel": "0"}, "max_parallel", "1"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_at_its_field(changed: dict[str, str], field: str, says: str) -> None:
    page = administrator().post(reverse("admin:jobs_job_add"), _form(**changed))
    assert says in " ".join(page.context["adminform"].form.errors[field])
    assert not Job.objects.exists()


def test_a_disabled_job_says_that_it_does_not_start() -> None:
    job = save_job(Job(name="n"), kind="backup", recurrence="cron", cron="0 2 * * *", enabled=False)
    assert "none while the job is disabled" in text_of(administrator().get(page_of("jobs_job", job.pk)))


def test_the_list_of_jobs_shows_the_next_start_and_one_that_waits() -> None:
    save_job(Job(name="later"), kind="backup", recurrence="cron", cron="0 2 * * *")
    waiting = save_job(Job(name="waiting"), kind="backup", recurrence="cron", cron="0 2 * * *", overlap="queue")
    Job.objects.filter(pk=waiting.pk).update(next_run_at=timezone.now() - timedelta(minutes=3))
    earlier = make_run(make_device(), job=waiting, status=RunStatus.RUNNING, finished_at=None)
    client = administrator()
    rows = text_of(client.get(list_of("jobs_job")))
    assert " in " in rows
    assert "waits" in rows
    assert f"until run #{earlier.pk} has ended" in text_of(client.get(page_of("jobs_job", waiting.pk)))


def test_the_list_of_jobs_is_filtered_by_schedule() -> None:
    save_job(Job(name="by the clock"), kind="backup", recurrence="cron", cron="0 2 * * *")
    make_job("by hand")
    found = administrator().get(list_of("jobs_job") + "?recurrence=cron").context["cl"].result_list
    assert [job.name for job in found] == ["by the clock"]


def test_while_a_schedule_is_typed_its_next_starts_are_told() -> None:
    url = reverse("admin:jobs_job_preview")
    client = administrator()
    told = client.get(url, {"recurrence": "cron", "cron": "15 2 * * *", "time_zone": "Asia/Tokyo"}).json()
    assert told["words"] == "At 02:15 every day (Asia/Tokyo)"
    assert len(told["starts"]) == 3
    assert all(" 02:15 JST, in " in start for start in told["starts"])
    wrong = client.get(url, {"recurrence": "cron", "cron": "0 0 30 2 *"}).json()
    assert "never fires" in wrong["errors"]["cron"][0]
    assert wrong["starts"] == []
    past = client.get(url, {"recurrence": "once", "start_at": "2020-01-01T00:00"}).json()
    assert "past" in past["errors"]["start_at"][0]
    assert client.get(url, {"recurrence": "interval", "every": "x"}).json()["errors"]["every"]
    assert client.get(url).json() == {"words": "Only when somebody starts it", "starts": [], "errors": {}}
    assert staff_with("jobs.view_job").get(url, {"recurrence": "cron"}).status_code == 403


# --- starting -------------------------------------------------------------------------------------
def test_a_job_says_how_many_of_its_devices_are_in_a_window_and_can_work_on_them_all_the_same() -> None:
    device = make_device()
    job = make_job(all_devices=True)
    window = make_window(tags=("core",))
    client = administrator()
    page = client.get(page_of("jobs_job", job.pk))
    assert "also on the 1 in a maintenance window" in text_of(page)
    assert window.name in text_of(page)
    client.post(page_of("jobs_job", job.pk, "run"))
    client.post(page_of("jobs_job", job.pk, "run"), {"ignores_windows": "yes"})
    assert list(Run.objects.order_by("pk").values_list("ignores_windows", flat=True)) == [False, True]
    assert device.results.count() == 2


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


@pytest.mark.parametrize("query", ["devices=abc", "tags=x,1", "devices=9999999999999999999999", "devices=%00"])
def test_nonsense_in_the_address_of_the_form_is_no_error(query: str) -> None:
    answer = administrator().get(f"{reverse('admin:jobs_job_add')}?{query}")
    assert answer.status_code == 200


def test_the_form_begins_with_the_devices_of_its_address() -> None:
    device = make_device("sw1")
    page = body(administrator().get(f"{reverse('admin:jobs_job_add')}?devices={device.pk}"))
    assert f'<option value="{device.pk}" selected>sw1' in page


def test_a_run_on_no_device_shows_no_number_of_devices() -> None:
    client = administrator()
    Run.objects.create(kind="prune", job_name="Tidy", status="succeeded", trigger="schedule", created_at=timezone.now())
    [row] = [each for each in body(client.get(reverse("admin:index"))).split("<tr>") if "Tidy" in each]
    assert '<td class="nr-right"><span class="nr-none">–</span></td>' in row
