"""Who may not see credentials cannot find out by a job or a run which names there are."""

from __future__ import annotations

import pytest
from django.urls import reverse

from jobs.models import Job, Run
from tests.netraven_site.api_helpers import client_with, make_credential, make_device, make_job
from tests.netraven_site.pages import page_of, staff_with, text_of

pytestmark = pytest.mark.django_db
NAMES = pytest.mark.parametrize("name", ["tacacs", "nothing"], ids=["one that exists", "one that does not"])
REFUSED = "naming one needs the permission credentials.view_credential"


@pytest.fixture(autouse=True)
def _a_device_and_a_credential() -> None:
    make_device(tags=("core",))
    make_credential("tacacs", tags=("core",))


@NAMES
def test_a_run_over_the_api_is_refused_alike(name: str) -> None:
    client = client_with("jobs.run_job", "jobs.view_run", "devices.view_device")
    body = {"kind": "credential_test", "all_devices": True, "parameters": {"credential": name}}
    answer = client.post("/api/v1/runs/", body, format="json")
    assert answer.status_code == 400
    assert REFUSED in str(answer.json()["errors"]["parameters"])
    assert name not in answer.content.decode()
    assert not Run.objects.exists()


@NAMES
def test_a_job_over_the_api_is_refused_alike(name: str) -> None:
    client = client_with("jobs.add_job", "jobs.view_job", "jobs.change_job")
    body = {"name": "probe", "kind": "credential_test", "parameters": {"credential": name}, "all_devices": True}
    answer = client.post("/api/v1/jobs/", body, format="json")
    assert answer.status_code == 400
    assert REFUSED in str(answer.json()["errors"]["parameters"])
    assert not Job.objects.exists()


@NAMES
def test_the_test_button_of_a_device_is_refused_alike(name: str) -> None:
    client = staff_with("devices.view_device", "jobs.run_job")
    url = page_of("devices_device", make_device("sw2").pk, "run")
    said = client.post(url, {"kind": "credential_test", "credential": name}, follow=True)
    assert REFUSED in text_of(said)
    assert not Run.objects.exists()


def test_the_candidates_of_a_device_can_be_tested_without_naming_one() -> None:
    client = client_with("jobs.run_job", "jobs.view_run", "devices.view_device")
    body = {"kind": "credential_test", "all_devices": True}
    assert client.post("/api/v1/runs/", body, format="json").status_code == 201


def test_a_job_that_names_one_keeps_it_when_something_else_is_changed() -> None:
    job = make_job("Test", kind="credential_test", parameters={"credential": "tacacs"}, all_devices=True)
    client = client_with("jobs.view_job", "jobs.change_job")
    same = client.patch(f"/api/v1/jobs/{job.pk}/", {"description": "by night"}, format="json")
    assert same.status_code == 200
    other = client.patch(f"/api/v1/jobs/{job.pk}/", {"parameters": {"credential": "nothing"}}, format="json")
    assert other.status_code == 400
    job.refresh_from_db()
    assert job.parameters == {"credential": "tacacs"}


def test_the_form_of_a_job_shows_the_name_it_has_and_takes_no_other() -> None:
    job = make_job("Test", kind="credential_test", parameters={"credential": "tacacs"}, all_devices=True)
    client = staff_with("jobs.view_job", "jobs.change_job")
    url = reverse("admin:jobs_job_change", args=[job.pk])
    page = client.get(url).content.decode()
    assert "Naming one needs the permission to view credentials." in page
    fields = {"name": "Test", "kind": "credential_test", "all_devices": "on", "enabled": "on", "recurrence": "none"}
    answer = client.post(url, {**fields, "overlap": "skip", "credential_test__credential": "nothing"})
    assert answer.status_code == 302
    job.refresh_from_db()
    assert job.parameters == {"credential": "tacacs"}
