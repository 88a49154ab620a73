"""`up`: what dies or stalls is replaced, and nothing is left behind, whichever way it ends."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from netraven_site.processes import child
from tests.netraven_site.instance import Instance, children, free_port, wait_until

pytestmark = pytest.mark.e2e

START_A_RUN = """
from devices.models import Device
from jobs.choices import Trigger
from jobs.services import start_adhoc
device, _ = Device.objects.get_or_create(
    name="nobody-there", defaults={"host": "127.0.0.1", "port": 1, "platform": "cisco_ios"})
print(start_adhoc("backup", devices=[device], trigger=Trigger.COMMAND).pk)
"""


def database(instance: Instance) -> sqlite3.Connection:
    return sqlite3.connect(instance.home / "var" / "netraven.sqlite3", timeout=30, isolation_level=None)


def is_done(instance: Instance, run: str) -> bool:
    return (
        instance.shell(f"from jobs.models import Run; print(Run.objects.get(pk={run}).finished_at is not None)")
        == "True"
    )


def answers(instance: Instance) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{instance.port}/admin/login/", timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("prepared") / "home"
    Instance(home).setup()
    return home


@pytest.fixture
def instance(prepared: Path, tmp_path: Path) -> Instance:
    shutil.copytree(prepared, tmp_path / "home")
    return Instance(tmp_path / "home", NETRAVEN_GRACE_S="5")


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    port = free_port()
    server = subprocess.Popen(
        ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)],
        stdout=subprocess.DEVNULL,
    )

    def accepts() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_until(accepts, 20, "Redis")
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait()


BROKERS = [("database", 3), *([("redis", 1)] if shutil.which("redis-server") else [])]


@pytest.mark.parametrize(("broker", "times"), BROKERS)
def test_a_run_is_done_within_half_a_minute_each_time_an_idle_worker_is_killed(
    broker: str, times: int, instance: Instance, request: pytest.FixtureRequest
) -> None:
    if broker == "redis":
        instance.env["NETRAVEN_BROKER_URL"] = request.getfixturevalue("redis_url")
    # The only worker is the one that holds the queue's lock: the death that stops a cluster for good.
    with instance.up("--workers", "1") as up:
        for _ in range(times):
            os.kill(up.idle_worker(), signal.SIGKILL)
            run = instance.shell(START_A_RUN)
            wait_until(lambda run=run: is_done(instance, run), 30, "the run")


def test_a_killed_cluster_is_replaced_and_leaves_nothing_behind(instance: Instance) -> None:
    with instance.up() as up:
        cluster = up.child("worker")
        members = [cluster, up.sentinel(), *children(up.sentinel())]
        os.kill(cluster, signal.SIGKILL)
        up.wait_for_line("worker started", count=2)
        assert not set(members) & set(up.living())
        run = instance.shell(START_A_RUN)
        wait_until(lambda: is_done(instance, run), 30, "the run")


def test_a_killed_web_server_is_replaced_without_losing_the_port(instance: Instance) -> None:
    with instance.up() as up:
        os.kill(up.child("gunicorn"), signal.SIGKILL)
        up.wait_for_line("web started", count=2)
        wait_until(lambda: answers(instance), 30, "a page")


def test_nothing_outlives_an_up_that_is_killed(instance: Instance) -> None:
    with instance.up() as up:
        up.note_sessions()
        assert len(up.living()) > 6
        up.process.kill()
        up.process.wait()
        up.wait_until_gone()


def test_nothing_outlives_an_up_and_a_cluster_that_are_killed_together(instance: Instance) -> None:
    with instance.up() as up:
        cluster = up.child("worker")
        up.process.kill()
        os.kill(cluster, signal.SIGKILL)
        up.process.wait()
        up.wait_until_gone()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_everything_and_up_exits_with_0(instance: Instance, signum: signal.Signals) -> None:
    with instance.up() as up:
        up.note_sessions()
        up.process.send_signal(signum)
        assert up.process.wait(timeout=60) == 0
        assert up.living() == []


def keep_the_workers_busy(instance: Instance, seconds: int) -> None:
    """A task for each of two workers, and one more that waits; they take no notice of anything."""
    instance.shell(
        f"from django_q.tasks import async_task; [async_task('time.sleep', {seconds}) for _ in range(3)]; print(1)"
    )
    with database(instance) as connection:
        taken = "SELECT count(*) FROM django_q_ormq WHERE key = 'netraven' AND lock > datetime('now')"
        wait_until(lambda: connection.execute(taken).fetchone()[0] >= 2, 30, "the workers at work")


def test_work_in_hand_is_finished_before_the_end(instance: Instance) -> None:
    instance.env["NETRAVEN_GRACE_S"] = "60"
    with instance.up("--workers", "2") as up:
        keep_the_workers_busy(instance, 4)
        up.note_sessions()
        up.process.terminate()
        assert up.process.wait(timeout=60) == 0
        assert up.living() == []
    assert "was killed" not in (instance.home / "var" / "log" / "worker.log").read_text()


def test_work_that_does_not_end_within_the_grace_time_is_killed(instance: Instance) -> None:
    with instance.up() as up:
        keep_the_workers_busy(instance, 600)
        up.note_sessions()
        up.process.terminate()
        assert up.process.wait(timeout=60) == 0
        assert up.living() == []
    assert "was killed" in (instance.home / "var" / "log" / "worker.log").read_text()


def test_a_second_interrupt_does_not_wait_for_the_grace_time(instance: Instance) -> None:
    instance.env["NETRAVEN_GRACE_S"] = "600"
    with instance.up() as up:
        keep_the_workers_busy(instance, 600)
        up.note_sessions()
        up.process.send_signal(signal.SIGINT)
        up.wait_for_line("stopping")
        up.process.send_signal(signal.SIGINT)
        assert up.process.wait(timeout=60) == 130
        assert up.living() == []


def test_up_can_start_again_after_it_was_killed(instance: Instance) -> None:
    with instance.up() as up:
        up.note_sessions()
        up.process.kill()
        up.process.wait()
        up.wait_until_gone()
    with instance.up():
        wait_until(lambda: answers(instance), 30, "a page")


UP_WITH_AN_EXTRA = """
import sys
from django.conf import settings
from netraven_site.processes.child import Spec
from netraven_site.processes.supervisor import console, run_instance
say = console(sys.stdout)
extra = Spec("simulator", ["/bin/sleep", "1000"], settings.NETRAVEN_VAR / "log" / "simulator.log")
run_instance(host="127.0.0.1", port=settings.NETRAVEN_PORT, workers=1, extras=[extra],
             say=say, ready=lambda: say("ready at last"))
"""


def test_an_extra_process_is_watched_and_ended_with_the_others(instance: Instance) -> None:
    program = ("manage.py", "shell", "--no-imports", "--command", UP_WITH_AN_EXTRA)
    with instance.up(program=program) as up:
        os.kill(up.child("/bin/sleep"), signal.SIGKILL)
        up.wait_for_line("simulator started", count=2)
        up.note_sessions()
        up.process.terminate()
        up.process.wait(timeout=60)
        assert up.living() == []


def test_what_the_processes_write_is_for_their_user_alone(instance: Instance) -> None:
    with instance.up():
        wait_until(lambda: answers(instance), 30, "a page")
        others = [
            path for path in instance.home.rglob("*") if path.stat().st_mode & 0o077 and path.name != "console.txt"
        ]
    assert others == []


# --- refusals -----------------------------------------------------------------------------------------------


def refusal(instance: Instance, *arguments: str) -> str:
    done = instance.manage("up", *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    return done.stderr


def test_up_refuses_an_instance_that_was_not_set_up_and_names_the_command(tmp_path: Path) -> None:
    message = refusal(Instance(tmp_path / "home"))
    assert "NETRAVEN_SECRET_KEY is not set" in message
    assert "./manage.py setup" in message


def test_up_refuses_a_missing_keyring(instance: Instance) -> None:
    (instance.home / "keyring.json").unlink()
    message = refusal(instance)
    assert "There is no keyring at" in message
    assert "NETRAVEN_KEYRING" in message


def test_up_refuses_a_keyring_that_others_can_read(instance: Instance) -> None:
    (instance.home / "keyring.json").chmod(0o644)
    assert "chmod 400" in refusal(instance)


def test_up_refuses_a_database_that_lacks_migrations(instance: Instance) -> None:
    with database(instance) as connection:
        connection.execute("DELETE FROM django_migrations WHERE app = 'sessions'")
    assert "1 migrations are not applied to the database: run ./manage.py setup" in refusal(instance)


def test_up_refuses_a_port_in_use_and_names_the_variable(instance: Instance) -> None:
    with socket.create_server(("127.0.0.1", instance.port)):
        message = refusal(instance)
    assert f"Port {instance.port}" in message
    assert "NETRAVEN_PORT" in message


def test_up_refuses_a_broker_that_does_not_answer(instance: Instance) -> None:
    instance.env["NETRAVEN_BROKER_URL"] = f"redis://127.0.0.1:{free_port()}/0"
    assert "NETRAVEN_BROKER_URL" in refusal(instance)


def test_a_second_up_of_the_same_instance_is_refused(instance: Instance) -> None:
    with instance.up() as up:
        message = refusal(instance, "--port", str(free_port()))
        assert f"process {up.process.pid}" in message


@pytest.mark.parametrize("option", [("--port", "0"), ("--port", "x"), ("--workers", "0")])
def test_up_refuses_an_impossible_option(instance: Instance, option: tuple[str, str]) -> None:
    assert option[0] in refusal(instance, *option)


# --- logs --------------------------------------------------------------------------------------------


def test_a_log_that_has_grown_is_kept_three_times_and_emptied_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "LOG_LIMIT_BYTES", 10)
    log = tmp_path / "worker.log"
    with open(log, "a") as writer:
        for text in ("a first text", "a second text", "a third text", "a fourth text", "a fifth text"):
            writer.write(text)
            writer.flush()
            child.rotate(log)
        writer.write("last")
    assert log.read_text() == "last"
    older = [log.with_name(f"worker.log.{number}").read_text() for number in (1, 2, 3)]
    assert older == ["a fifth text", "a fourth text", "a third text"]
    assert not log.with_name("worker.log.4").exists()
