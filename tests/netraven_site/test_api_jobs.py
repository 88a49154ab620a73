"""Jobs, runs, results and attempts through the API."""

import pytest
from taggit.models import Tag

from jobs.models import Job, Run
from tests.netraven_site.api_helpers import (
    admin_client,
    config,
    make_attempt,
    make_credential,
    make_device,
    make_job,
    make_run,
    make_version,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def client():
    return admin_client()


def post(client, body, where):
    return client.post(f"/api/v1/{where}", body, format="json")


def devices_of(answer):
    assert answer.status_code == 201, answer.content
    return sorted(Run.objects.get(pk=answer.json()["id"]).results.values_list("device_name", flat=True))


# --- jobs ---


def test_a_job_is_made_on_tags_and_devices_by_name_and_id(client):
    first, second = make_device("sw1"), make_device("sw2")
    body = {"name": "Nightly", "kind": "backup", "tags": ["CORE"], "devices": ["sw1", second.pk]}
    answer = post(client, body, "jobs/")
    assert answer.status_code == 201
    assert (answer.json()["tags"], answer.json()["devices"]) == (["core"], ["sw1", "sw2"])
    assert set(Job.objects.get().devices.all()) == {first, second}


def test_a_job_is_changed_and_keeps_what_was_not_said(client):
    make_device("sw1")
    job = make_job(tags=("core",), description="every night")
    answer = client.patch(f"/api/v1/jobs/{job.pk}/", {"devices": ["sw1"]}, format="json")
    assert answer.json()["devices"] == ["sw1"]
    assert (answer.json()["tags"], answer.json()["description"]) == (["core"], "every night")


def test_a_job_is_deleted_and_its_runs_stay(client):
    job = make_job()
    run = make_run(job=job)
    assert client.delete(f"/api/v1/jobs/{job.pk}/").status_code == 204
    assert client.get(f"/api/v1/runs/{run.pk}/").json()["job"] is None


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"kind": "reboot"}, "kind", "There are: backup"),
        ({"parameters": {"force": True}}, "parameters", "no parameter force"),
        ({"parameters": ["force"]}, "parameters", "dictionary"),
        ({"tags": ["nowhere"]}, "tags", "There is no tag nowhere."),
        ({"devices": ["ghost"]}, "devices", "There is no device 'ghost'"),
        ({"devices": [77]}, "devices", "id 77"),
        ({"devices": [10**30]}, "devices", "id 1000000"),
        ({"devices": [True]}, "devices", "by a text"),
        ({"devices": [["sw1"]]}, "devices", "by a text"),
        ({"devices": "sw1"}, "devices", "list"),
        ({"name": ""}, "name", "blank"),
        ({"schedule": "* * * * *"}, "schedule", "no such field"),
    ],
)
def test_a_wrong_job_is_refused_with_its_field(client, change, field, words):
    answer = post(client, {"name": "Nightly", "kind": "backup", **change}, "jobs/")
    assert answer.status_code == 400
    assert words in " ".join(answer.json()["errors"][field])
    assert not Job.objects.exists()


def test_a_name_that_is_taken_is_refused(client):
    make_job()
    answer = post(client, {"name": "Nightly", "kind": "backup"}, "jobs/")
    assert "already exists" in answer.json()["errors"]["name"][0]


def test_a_wrong_update_of_a_job_changes_nothing(client):
    job = make_job(tags=("core",))
    Tag.objects.create(name="edge")
    answer = client.patch(f"/api/v1/jobs/{job.pk}/", {"tags": ["edge"], "parameters": {"x": 1}}, format="json")
    assert answer.status_code == 400
    assert list(job.tags.values_list("name", flat=True)) == ["core"]


def test_jobs_are_filtered(client):
    make_job("a", ("core",))
    make_job("b", enabled=False, kind="credential_test")
    Job.objects.filter(name="b").update(recurrence="cron", next_run_at="2030-01-01T00:00:00Z")
    for query, expected in {
        "tag=core": ["a"],
        "enabled=false": ["b"],
        "kind=backup": ["a"],
        "recurrence=cron": ["b"],
        "next_run_until=2031-01-01": ["b"],
        "next_run_since=2031-01-01": [],
    }.items():
        found = client.get(f"/api/v1/jobs/?{query}").json()["results"]
        assert [row["name"] for row in found] == expected


# --- starting ---


def test_running_a_job_makes_a_run_of_its_devices(client):
    make_device("sw1", ("core",))
    make_device("sw2", ("edge",))
    job = make_job(tags=("core",))
    answer = client.post(f"/api/v1/jobs/{job.pk}/run/")
    assert devices_of(answer) == ["sw1"]
    assert (answer.json()["job"], answer.json()["trigger"]) == (job.pk, "api")


def test_a_disabled_job_is_not_run(client):
    answer = client.post(f"/api/v1/jobs/{make_job(enabled=False).pk}/run/")
    assert (answer.status_code, answer.json()["detail"]) == (409, "The job Nightly is disabled.")
    assert not Run.objects.exists()


def test_a_job_that_finds_no_device_answers_with_the_reason(client):
    answer = client.post(f"/api/v1/jobs/{make_job(tags=('nowhere',)).pk}/run/")
    assert answer.status_code == 201
    assert answer.json()["status"] == "failed"
    assert answer.json()["message"].startswith("No enabled device was chosen")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"tags": ["core"]}, ["sw1"]),
        ({"tags": ["core"], "devices": ["sw2"]}, ["sw1", "sw2"]),
        ({"devices": ["sw2"]}, ["sw2"]),
        ({}, ["sw1", "sw2"]),
        ({"all_devices": True}, ["sw1", "sw2"]),
        ({"devices": [], "all_devices": True}, ["sw1", "sw2"]),
    ],
)
def test_a_run_without_a_job_takes_the_chosen_devices(client, body, expected):
    make_device("sw1", ("core",))
    make_device("sw2", ("edge",))
    assert devices_of(post(client, {"kind": "backup", **body}, "runs/")) == expected


def test_a_run_takes_the_parameters_of_its_kind(client):
    make_device()
    make_credential()
    body = {"kind": "credential_test", "parameters": {"credential": "team"}}
    assert post(client, body, "runs/").json()["parameters"] == {"credential": "team"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "reboot"}, "kind"),
        ({}, "kind"),
        ({"kind": "backup", "parameters": {"force": 1}}, "parameters"),
        ({"kind": "credential_test", "parameters": {"credential": "ghost"}}, "parameters"),
        ({"kind": "backup", "tags": ["nowhere"]}, "tags"),
        ({"kind": "backup", "devices": ["ghost"]}, "devices"),
        ({"kind": "backup", "devices": []}, "devices"),
        ({"kind": "backup", "tags": []}, "tags"),
        ({"kind": "backup", "device": ["sw1"]}, "device"),
    ],
)
def test_a_run_that_was_not_understood_is_not_started(client, body, field):
    make_device()
    answer = post(client, body, "runs/")
    assert answer.status_code == 400
    assert field in answer.json()["errors"]
    assert not Run.objects.exists()


def test_a_run_of_disabled_devices_alone_answers_with_the_reason(client):
    make_device(enabled=False)
    answer = post(client, {"kind": "backup", "devices": ["sw1"]}, "runs/")
    assert (answer.status_code, answer.json()["status"]) == (201, "failed")
    assert answer.json()["message"]


# --- runs ---


def test_a_run_is_cancelled(client):
    make_device()
    run = post(client, {"kind": "backup"}, "runs/").json()
    answer = client.post(f"/api/v1/runs/{run['id']}/cancel/")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")


def test_a_run_that_has_ended_cannot_be_cancelled(client):
    answer = client.post(f"/api/v1/runs/{make_run().pk}/cancel/")
    assert (answer.status_code, answer.json()["detail"]) == (409, "This run has already ended.")


def test_progress_counts_the_devices_by_outcome(client):
    run = make_run(make_device("sw1"), make_device("sw2"))
    run.results.filter(device_name="sw2").update(outcome="rejected")
    found = client.get(f"/api/v1/runs/{run.pk}/progress/").json()
    assert (found["total"], found["done"], found["is_finished"]) == (2, 2, True)
    assert found["by_outcome"] == {"success": 1, "rejected": 1}
    assert found["elapsed_s"] == pytest.approx(10)


def test_runs_are_filtered_and_the_newest_comes_first(client):
    job = make_job()
    make_run(job=job)
    make_run(status="failed", kind="credential_test")
    listed = client.get("/api/v1/runs/").json()["results"]
    assert [row["status"] for row in listed] == ["failed", "succeeded"]
    for query in (f"job={job.pk}", "status=succeeded", "kind=backup", "created_until=2999-01-01&trigger=person"):
        assert client.get(f"/api/v1/runs/?{query}").json()["results"][-1]["job"] == job.pk
    assert client.get("/api/v1/runs/?status=done").status_code == 400


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_a_run_is_not_written(client, method):
    assert getattr(client, method)(f"/api/v1/runs/{make_run().pk}/").status_code == 405


# --- results ---


def test_a_result_says_what_happened_and_what_to_do(client):
    device = make_device()
    version = make_version(device, config("interface Gi1"))
    run = make_run(device)
    run.results.update(config_version=version, config_changed=True, login_count=2, credential_name="team")
    (row,) = client.get(f"/api/v1/runs/{run.pk}/results/").json()["results"]
    assert (row["device_name"], row["outcome_label"], row["tone"]) == ("sw1", "Success", "good")
    assert (row["config_version"], row["config_version_number"], row["config_changed"]) == (version.pk, 1, True)
    assert (row["login_count"], row["credential_name"]) == (2, "team")


def test_the_advice_of_a_result_is_its_own_or_that_of_its_class(client):
    run = make_run(make_device("sw1"), make_device("sw2"), outcome="held")
    run.results.filter(device_name="sw2").update(advice="Release netops.")
    found = client.get(f"/api/v1/runs/{run.pk}/results/").json()["results"]
    assert found[0]["advice"].startswith("The account has no rejections left")
    assert found[1]["advice"] == "Release netops."


def test_results_are_filtered_by_outcome(client):
    run = make_run(make_device("sw1"), make_device("sw2"))
    run.results.filter(device_name="sw2").update(outcome="rejected")
    make_run(make_device("sw3"), outcome="rejected")
    found = client.get(f"/api/v1/runs/{run.pk}/results/?outcome=rejected").json()["results"]
    assert [row["device_name"] for row in found] == ["sw2"]


def test_the_results_of_no_run_are_a_404(client):
    assert client.get("/api/v1/runs/77/results/").status_code == 404


# --- attempts ---


def test_attempts_are_filtered(client):
    device, credential = make_device(), make_credential()
    run = make_run(device)
    wanted = make_attempt(device, credential, run=run, outcome="rejected", fate="rejected", is_test=True)
    make_attempt(make_device("sw2"))
    for query in (
        f"device={device.pk}",
        "device_name=sw1",
        f"credential={credential.pk}",
        "credential_name=team",
        f"run={run.pk}",
        "outcome=rejected",
        "fate=rejected",
        "is_test=true",
        "search=team",
    ):
        found = client.get(f"/api/v1/attempts/?{query}").json()["results"]
        assert [row["id"] for row in found] == [wanted.pk], query


def test_one_attempt_is_read_alone(client):
    attempt = make_attempt(make_device(), outcome="rejected", fate="rejected", detail="Permission denied")
    found = client.get(f"/api/v1/attempts/{attempt.pk}/").json()
    assert (found["outcome"], found["detail"]) == ("rejected", "Permission denied")
    assert found["advice"].startswith("Every matching credential")


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_attempts_are_only_read(client, method):
    where = "" if method == "post" else f"{make_attempt(make_device()).pk}/"
    assert getattr(client, method)(f"/api/v1/attempts/{where}").status_code == 405
