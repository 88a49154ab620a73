"""The command run_job: what it starts, what it reports, and how it exits. The shard runs in this process."""

from __future__ import annotations

import json
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from devices.models import Device
from devices.services import save_device
from devices.simulator.fleet import SimulatedFleet
from devices.simulator.spec import SimDevice, SimLogin
from jobs.choices import RunStatus
from jobs.engine.shard import run_shard
from jobs.management import following
from jobs.models import Job, Run, WorkerBeat
from tests.commands import run
from tests.jobs.fleet import credential, register

pytestmark = pytest.mark.django_db(transaction=True)
LOGIN = (SimLogin("ops", "right"),)


@pytest.fixture(autouse=True)
def _quick(settings, monkeypatch):
    settings.NETRAVEN_RETRIES = 0
    monkeypatch.setattr(following, "_LOOK_EVERY_S", 0.01)


@pytest.fixture
def worker(monkeypatch):
    """Does a shard as soon as it is enqueued."""
    monkeypatch.setattr("jobs.engine.runs.async_task", lambda name, shard, **options: run_shard(shard))


@pytest.fixture
def no_worker(monkeypatch):
    """A queue that nobody reads."""
    monkeypatch.setattr("jobs.engine.runs.async_task", lambda *arguments, **options: None)


@pytest.fixture
def lab():
    """Two devices: the password of the credential opens one of them."""
    devices = [
        SimDevice("r1", "cisco_ios", LOGIN, config_kb=5),
        SimDevice("r2", "arista_eos", (SimLogin("ops", "other"),), config_kb=5),
    ]
    with SimulatedFleet(devices) as fleet:
        register(fleet)
        credential("lab", "right", scope="local")
        yield fleet


# --- reports and exit codes ---


def test_all_good_exits_with_0_and_json_is_one_object(lab, worker):
    done = run("run_job", "--kind", "backup", "--device", "r1", "--wait", "--json", "--results")
    report = json.loads(done.out)
    assert done.code == 0
    assert list(report) == ["run", "status", "devices", "by_outcome", "elapsed_s", "message", "results"]
    assert (report["status"], report["devices"], report["by_outcome"]) == ("succeeded", 1, {"success": 1})
    result = report["results"][0]
    assert list(result) == ["device", "outcome", "credential", "attempts", "duration_s", "detail", "advice"]
    assert (result["device"], result["credential"], result["attempts"]) == ("r1", "lab", 1)


def test_elapsed_is_the_time_from_enqueue_to_the_last_result(lab, worker):
    report = json.loads(run("run_job", "--kind", "backup", "--wait", "--json").out)
    row = Run.objects.get(pk=report["run"])
    assert report["elapsed_s"] == round((row.finished_at - row.created_at).total_seconds(), 3)
    last = row.results.order_by("-finished_at").first()
    assert row.finished_at - last.finished_at < timedelta(seconds=1)


def test_one_failure_exits_with_1_and_names_the_advice(lab, worker):
    done = run("run_job", "--kind", "backup", "--wait", "--json", "--results")
    report = json.loads(done.out)
    assert done.code == 1
    assert report["status"] == "partial"
    assert report["by_outcome"] == {"success": 1, "rejected": 1}
    failed = next(row for row in report["results"] if row["device"] == "r2")
    assert failed["advice"].startswith("Every matching credential was refused.")


def test_results_are_left_out_of_json_unless_asked_for(lab, worker):
    assert "results" not in json.loads(run("run_job", "--kind", "backup", "--wait", "--json").out)


def test_for_people_the_failed_devices_stand_below_the_counts(lab, worker):
    done = run("run_job", "--kind", "backup", "--wait")
    assert "partly failed, 2 devices" in done.out
    assert "1  Success" in done.out
    assert "r2      Rejected" in done.out
    assert "r1 " not in done.out
    assert "r2: Every matching credential was refused." in done.out


def test_with_results_every_device_is_listed(lab, worker):
    done = run("run_job", "--kind", "backup", "--wait", "--results")
    assert "r1      Success   lab" in done.out


def test_a_stored_job_is_started_by_its_name(lab, worker):
    job = Job.objects.create(name="nightly", kind="backup")
    job.devices.add(Device.objects.get(name="r1"))
    done = run("run_job", "nightly", "--wait", "--json")
    assert done.code == 0
    assert Run.objects.get(pk=json.loads(done.out)["run"]).job == job


def test_devices_are_chosen_by_tag_and_by_name(lab, worker):
    save_device(Device.objects.get(name="r1"), tags=["edge"])
    done = run("run_job", "--kind", "backup", "--tag", "EDGE", "--device", "r2", "--wait", "--json", "--results")
    assert [row["device"] for row in json.loads(done.out)["results"]] == ["r1", "r2"]


def test_without_tag_and_device_it_is_every_enabled_device(lab, worker):
    save_device(Device.objects.get(name="r2"), enabled=False)
    assert json.loads(run("run_job", "--kind", "backup", "--wait", "--json").out)["devices"] == 1


def test_one_credential_alone_can_be_tested(lab, worker):
    credential("other", "other", scope="local")
    done = run(
        *("run_job", "--kind", "credential_test", "--credential", "other", "--device", "r2"),
        *("--wait", "--json", "--results"),
    )
    assert done.code == 0
    assert json.loads(done.out)["results"][0]["credential"] == "other"


def test_a_run_without_devices_exits_with_1_and_says_why(worker):
    done = run("run_job", "--kind", "backup", "--wait", "--json")
    report = json.loads(done.out)
    assert done.code == 1
    assert (report["status"], report["devices"], report["elapsed_s"]) == ("failed", 0, 0.0)
    assert report["message"].startswith("No enabled device was chosen")


def test_a_tag_that_no_enabled_device_has_is_explained_even_without_wait(worker):
    save_device(Device(), name="off", host="10.0.0.1", platform="cisco_ios", tags=["spare"], enabled=False)
    done = run("run_job", "--kind", "backup", "--tag", "spare")
    assert done.code == 1
    assert "No enabled device was chosen" in done.err


# --- waiting ---


def test_without_wait_it_says_where_to_watch_the_run_and_exits_with_0(lab, no_worker):
    done = run("run_job", "--kind", "backup")
    row = Run.objects.get()
    assert done.code == 0
    assert f"Run {row.pk} started: 2 devices." in done.out
    assert "http://127.0.0.1:" in done.out


def test_without_wait_json_tells_the_run(lab, no_worker):
    report = json.loads(run("run_job", "--kind", "backup", "--json").out)
    assert (report["run"], report["status"]) == (Run.objects.get().pk, "queued")


def test_after_the_timeout_the_run_goes_on_and_the_command_exits_with_1(lab, no_worker):
    done = run("run_job", "--kind", "backup", "--wait", "--json", "--results", "--timeout", "0.05")
    report = json.loads(done.out)
    assert done.code == 1
    assert report["status"] == "queued"
    assert report["results"][0]["outcome"] is None
    assert "has not ended within 0.05 s; it goes on" in done.err
    assert Run.objects.get().status == RunStatus.QUEUED


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(following, "_WORKER_EXPECTED_WITHIN_S", 0.0)


def wait_in_vain():
    return run("run_job", "--kind", "backup", "--wait", "--json", "--timeout", "0.1")


def test_when_no_worker_ever_answered_it_says_how_to_start_one(lab, no_worker, impatient):
    assert wait_in_vain().err.count("No worker is running: start one with ./manage.py up") == 1


def test_a_worker_that_answered_long_ago_is_not_running(lab, no_worker, impatient):
    WorkerBeat.objects.create(host="h", answered_at=timezone.now() - timedelta(minutes=5))
    assert "No worker is running" in wait_in_vain().err


def test_a_worker_that_answered_just_now_is_running(lab, no_worker, impatient):
    WorkerBeat.objects.create(host="h", answered_at=timezone.now())
    assert "No worker is running" not in wait_in_vain().err


def test_ctrl_c_leaves_the_run_going_and_says_so(lab, no_worker, monkeypatch):
    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)
    done = run("run_job", "--kind", "backup", "--wait")
    row = Run.objects.get()
    assert done.code == 130
    assert f"No longer waiting; run {row.pk} goes on." in done.err
    assert (row.status, row.cancel_requested) == (RunStatus.QUEUED, False)


# --- wrong use ---


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Give the name of a job, or --kind"),
        (["nightly", "--kind", "backup"], "Give the name of a job, or --kind"),
        (["nigthly"], "There is no job named 'nigthly'. Did you mean nightly?"),
        (["nightly", "--tag", "lab"], "go with --kind"),
        (["nightly", "--credential", "lab"], "go with --kind"),
        (["--kind", "bakcup"], "There is no kind bakcup. There are: backup"),
        (["--kind", "backup", "--tag", "nowhere"], "There is no tag nowhere"),
        (["--kind", "backup", "--device", "r3"], "There is no device named 'r3'"),
        (["--kind", "backup", "--device", "off"], "off is disabled"),
        (["--kind", "backup", "--credential", "lab"], "no parameter credential"),
        (["--kind", "credential_test", "--credential", "lob"], "no credential named lob"),
        (["--kind", "backup", "--results"], "--results goes with --wait"),
        (["--kind", "backup", "--timeout", "5"], "--timeout goes with --wait"),
        (["--kind", "backup", "--wait", "--timeout", "0"], "above 0"),
        (["--kind", "backup", "--wait", "--timeout", "nan"], "above 0"),
    ],
)
def test_wrong_use_exits_with_2_and_starts_nothing(lab, no_worker, arguments, words):
    Job.objects.create(name="nightly", kind="backup")
    save_device(Device(), name="off", host="10.0.0.1", platform="cisco_ios", tags=[], enabled=False)
    done = run("run_job", *arguments)
    assert (done.code, done.out) == (2, "")
    assert words in done.err
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--kind", "command", "--set", "commands"], "--set takes NAME=VALUE"),
        (["--kind", "command", "--set", "=x"], "--set takes NAME=VALUE"),
        (["--kind", "command"], "Commands (commands) is missing"),
        (["--kind", "command", "--set", "commands=reload"], "'reload' is refused"),
        (["--kind", "command", "--set", "commands=dis cu"], "'dis cu' is refused on arista_eos"),
        (["--kind", "reachability", "--set", "login=yes", "--set", "login=no"], "login is given more than once"),
        (["--kind", "reachability", "--set", "lgoin=yes"], "no parameter lgoin. Did you mean login?"),
        (["nightly", "--set", "login=yes"], "go with --kind"),
        (["--retry", "1", "--tag", "lab"], "go with --kind"),
        (["--retry", "1"], "There is no run 1"),
        (["--cancel", "1"], "There is no run 1"),
        (["--cancel", "1", "--wait"], "do not go with it"),
        (["--cancel", "1", "--pause", "1"], "do not go together"),
        (["nightly", "--retry", "1"], "do not go together"),
        (["--kind", "prune", "--tag", "lab"], "works on no device"),
    ],
)
def test_wrong_parameters_and_directions_exit_with_2_and_start_nothing(lab, no_worker, arguments, words):
    Job.objects.create(name="nightly", kind="backup")
    done = run("run_job", *arguments)
    assert (done.code, done.out) == (2, "")
    assert words in done.err
    assert not Run.objects.exists()


def test_parameters_are_set_by_name_and_typed(lab, no_worker):
    done = run("run_job", "--kind", "command", "--set", "commands=show version", "--set", "parse=no", "--json")
    assert Run.objects.get(pk=json.loads(done.out)["run"]).parameters == {
        "commands": ["show version"],
        "parse": False,
    }


def test_before_anything_has_happened_no_time_is_told(lab, no_worker):
    assert json.loads(run("run_job", "--kind", "backup", "--json").out)["elapsed_s"] is None


def test_what_failed_is_tried_again_by_the_number_of_the_run(lab, worker):
    first = json.loads(run("run_job", "--kind", "backup", "--wait", "--json").out)
    done = run("run_job", "--retry", str(first["run"]), "--wait", "--json", "--results")
    report = json.loads(done.out)
    assert [row["device"] for row in report["results"]] == ["r2"]
    assert Run.objects.get(pk=report["run"]).retry_of_id == first["run"]


def test_a_run_is_paused_resumed_and_cancelled_by_its_number(lab, no_worker):
    number = str(json.loads(run("run_job", "--kind", "backup", "--json").out)["run"])
    assert run("run_job", "--pause", number).out == f"Run {number} pauses.\n"
    assert Run.objects.get().status == RunStatus.PAUSED
    again = run("run_job", "--pause", number)
    assert (again.code, again.err.strip()) == (1, "This run is paused already.")
    assert run("run_job", "--resume", number).code == 0
    report = json.loads(run("run_job", "--cancel", number, "--json").out)
    assert (report["status"], report["by_outcome"]) == ("cancelled", {"cancelled": 2})


def test_a_kind_without_devices_reports_its_summary(worker):
    done = run("run_job", "--kind", "prune", "--wait", "--json")
    report = json.loads(done.out)
    assert (done.code, report["status"], report["devices"]) == (0, "succeeded", 0)
    assert report["summary"]["runs"] == 0
    text = run("run_job", "--kind", "prune", "--wait")
    assert "started: it works on no device." in text.out
    assert "Pruning: succeeded, in" in text.out
    assert "guard logins: 0" in text.out


def test_answers_to_commands_are_printed_by_device(lab, worker):
    report = json.loads(run("run_job", "--kind", "command", "--set", "commands=show version", "--wait", "--json").out)
    number = str(report["run"])
    shown = run("show_output", number)
    assert shown.code == 0
    assert "=== r1: show version" in shown.out
    assert "Cisco IOS Software" in shown.out
    rows = json.loads(run("show_output", number, "--device", "r1", "--command", "show version", "--json").out)
    assert [row["device"] for row in rows] == ["r1"]
    assert rows[0]["rows"][0]["hostname"] == "r1"
    assert run("show_output", number, "--device", "r9").code == 1
    assert run("show_output", "999").code == 2


def test_a_disabled_job_is_refused(lab, no_worker):
    Job.objects.create(name="nightly", kind="backup", enabled=False)
    done = run("run_job", "nightly")
    assert done.code == 2
    assert "The job nightly is disabled." in done.err
